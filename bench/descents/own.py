"""cbp, through its public interface: `fit` on all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from descents import Refusal, Run, Task

STEPS = 20_000


def network(task: Task, theta: np.ndarray) -> Any:
    """Return the task's network in float64 with these weights."""
    import cbp

    cbp.set_num_threads(1)
    widths = [task.X.shape[1], task.hidden, 1]
    net = cbp.Network(widths, activation="tanh", output=task.output, dtype="float64", seed=0)
    W, b, w, c = task.cut(theta)
    net.layers[0].W[:], net.layers[0].b[:] = W, b
    net.layers[1].W[:, 0], net.layers[1].b[:] = w, c
    return net


def training(task: Task, theta: np.ndarray, goal: float, steps: int, optimizer: Any, asks: bool) -> Run:
    """Return the training; where the optimiser does not look at the goal itself, a function asked each epoch does."""
    net = network(task, theta)

    def stop(state: Any) -> None:
        state.stop = state.stop or state.logs["loss"] <= goal

    options = {"batch_size": len(task.X), "shuffle": False, "progress": False, "callbacks": [stop] if asks else []}

    def run() -> tuple[int, float]:
        history = net.fit(task.X, task.y, epochs=steps, optimizer=optimizer, **options)
        return len(history.loss), history.loss[-1]

    return run


def method(
    task: Task,
    theta: np.ndarray,
    goal: float,
    name: str,
    steps: int = STEPS,
    squared: bool = False,
    **settings: Any,
) -> Run:
    """A full-batch method; `squared` is for squared errors only."""
    from cbp import methods

    if squared and not task.squared:
        raise Refusal("for squared errors only")
    cls = getattr(methods, name)
    own = "goal" in cls.fields
    return training(task, theta, goal, steps, cls(goal=goal, **settings) if own else cls(**settings), not own)


def optimizer(task: Task, theta: np.ndarray, goal: float, name: str, **settings: float) -> Run:
    """An optimiser of the first order. The loss of an epoch is the one before its update."""
    import cbp

    return training(task, theta, goal, STEPS, getattr(cbp.optimizers, name)(**settings), True)
