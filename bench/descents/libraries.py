"""Libraries of networks that have a method of the second order."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np

from descents import Arrived, Run, Task

STEPS = 20_000
MOST = 4096  # steps that scikit-learn may need


def torch_lbfgs(task: Task, theta: np.ndarray, goal: float, steps: int = STEPS) -> Run:
    """Strong Wolfe line search, ten pairs; the goal is looked for in every evaluation."""
    import torch

    torch.set_num_threads(1)
    X, y = torch.from_numpy(task.X), torch.from_numpy(task.y)
    parts = [torch.tensor(part, requires_grad=True) for part in task.cut(theta)]

    def loss() -> Any:
        W, b, w, c = parts
        z = torch.tanh(X @ W + b) @ w + c
        if task.squared:
            return ((z - y) ** 2).mean() / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(z, y)

    def run() -> tuple[int, float]:
        never = {"tolerance_grad": 0, "tolerance_change": 0}
        optimizer = torch.optim.LBFGS(parts, max_iter=steps, history_size=10, line_search_fn="strong_wolfe", **never)
        last = [np.inf]

        def closure() -> Any:
            optimizer.zero_grad()
            value = loss()
            last[0] = value.item()
            if last[0] <= goal:
                raise Arrived
            value.backward()
            return value

        with contextlib.suppress(Arrived):
            optimizer.step(closure)
        return optimizer.state_dict()["state"][0]["n_iter"], last[0]

    return run


def sklearn_lbfgs(task: Task, theta: np.ndarray, goal: float) -> Run:
    """How many steps it needs is found first, untimed: it cannot be told to stop at a loss."""
    import sklearn.neural_network as library

    warnings.filterwarnings("ignore", module="sklearn")
    cls = library.MLPRegressor if task.squared else library.MLPClassifier
    settings = {"hidden_layer_sizes": (task.hidden,), "activation": "tanh", "solver": "lbfgs", "alpha": 0.0, "tol": 0.0}
    W, b, w, c = task.cut(theta)

    def model(steps: int) -> Any:
        made = cls(max_iter=1, max_fun=10**7, warm_start=True, random_state=0, **settings).fit(task.X, task.y)
        made.coefs_, made.intercepts_ = [W.copy(), w[:, None].copy()], [b.copy(), c.copy()]
        return made.set_params(max_iter=steps)

    def ends_at(steps: int) -> float:
        return model(steps).fit(task.X, task.y).loss_

    least, enough = 0, 16
    while enough < MOST and ends_at(enough) > goal:
        least, enough = enough, 2 * enough
    while enough < MOST and enough - least > max(1, least // 50):
        middle = (least + enough) // 2
        least, enough = (least, middle) if ends_at(middle) <= goal else (middle, enough)
    ready = model(enough)

    def run() -> tuple[int, float]:
        ready.fit(task.X, task.y)
        return ready.n_iter_, ready.loss_

    return run
