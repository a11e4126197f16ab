"""Ways to bring a loss under a goal by full passes over the data, cbp's and others'. second_order.py races them.

A way is a function `prepare(task, theta, goal)` that returns `run()`, which is timed and returns (steps, J at the end).
To add one: a function, and a line in WAYS.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[], tuple[int, float]]


class Refusal(Exception):
    """The way does not go there; the text says why."""


class Arrived(Exception):
    """Raised inside another library's search where it has reached the goal."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Data, a network of one hidden layer of tanh, and goals for J: the mean of half squared errors, or of -log p."""

    name: str
    title: str
    X: np.ndarray  # (m, n_in), float64, standardised
    y: np.ndarray  # (m,)
    hidden: int
    output: str  # identity or sigmoid
    goals: tuple[float, ...]

    @property
    def n_params(self) -> int:
        return (self.X.shape[1] + 2) * self.hidden + 1

    @property
    def squared(self) -> bool:
        return self.output == "identity"

    def goal(self, j: float) -> str:
        """Write a goal as people say it."""
        return f"MSE ≤ {2 * j:g}" if self.squared else f"J ≤ {j:g}"

    def start(self, seed: int) -> np.ndarray:
        """Return the start weights that every way gets: W1, b1, w2, b2 after one another. Glorot's uniform ones."""
        rng = np.random.default_rng(seed)
        n, h = self.X.shape[1], self.hidden
        sizes = [(n * h, (6 / (n + h)) ** 0.5), (h, 0.0), (h, (6 / (h + 1)) ** 0.5), (1, 0.0)]
        return np.concatenate([rng.uniform(-limit, limit, k) if limit else np.zeros(k) for k, limit in sizes])

    def cut(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return W1 (n, h), b1 (h), w2 (h), b2 (1): views."""
        n, h = self.X.shape[1], self.hidden
        a, b, c = n * h, n * h + h, n * h + 2 * h
        return theta[:a].reshape(n, h), theta[a:b], theta[b:c], theta[c:]


def standardised(X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray((X - X.mean(axis=0)) / X.std(axis=0))


def diabetes() -> Task:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    title = "diabetes: 442 rows, 10-10-1 tanh, squared error"
    return Task("diabetes", title, standardised(X), standardised(y), 10, "identity", (0.2, 0.125))


def friedman(hidden: int, goals: tuple[float, ...]) -> Task:
    """Friedman's first function of five of ten numbers, without noise: Annals of Statistics 19 (1991), 1."""
    X = np.random.default_rng(0).uniform(size=(2000, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    task = Task(f"friedman{hidden}", "", standardised(X), standardised(y), hidden, "identity", goals)
    return dataclasses.replace(task, title=f"friedman: 2,000 rows, 10-{hidden}-1 tanh, squared error, no noise")


def cancer() -> Task:
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    title = "breast cancer: 569 rows, 30-10-1 tanh, sigmoid with cross-entropy"
    return Task("cancer", title, standardised(X), y.astype(np.float64), 10, "sigmoid", (0.05, 0.01))


TASKS: dict[str, Callable[[], Task]] = {
    "diabetes": diabetes,
    "friedman20": lambda: friedman(20, (5e-4, 5e-5)),
    "friedman100": lambda: friedman(100, (5e-4, 5e-5)),
    "cancer": cancer,
}

# name: how it is called in tables, module of descents, function, its arguments
WAYS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "lm": ("cbp LevenbergMarquardt", "own", "method", {"name": "LevenbergMarquardt", "steps": 500}),
    "lm-gain": (
        "cbp LevenbergMarquardt, gain",
        "own",
        "method",
        {"name": "LevenbergMarquardt", "steps": 500, "damping": "gain"},
    ),
    "br": (
        "cbp BayesianRegularization",
        "own",
        "method",
        {"name": "BayesianRegularization", "steps": 500, "squared": True},
    ),
    "scg": ("cbp SCG", "own", "method", {"name": "SCG"}),
    "lbfgs": ("cbp LBFGS", "own", "method", {"name": "LBFGS"}),
    "bfgs": ("cbp BFGS", "own", "method", {"name": "BFGS"}),
    "cg": ("cbp ConjugateGradient", "own", "method", {"name": "ConjugateGradient"}),
    "newton": ("cbp TruncatedNewton", "own", "method", {"name": "TruncatedNewton", "steps": 500}),
    "rprop": ("cbp IRpropPlus", "own", "optimizer", {"name": "IRpropPlus"}),
    "adam": ("cbp Adam(0.01)", "own", "optimizer", {"name": "Adam", "learning_rate": 0.01}),
    "numpy-lm": ("NumPy, SciPy: LM", "arrays", "levenberg_marquardt", {}),
    "scipy-lm": ("SciPy least_squares, lm", "arrays", "least_squares", {}),
    "scipy-lbfgs": ("SciPy L-BFGS-B", "arrays", "lbfgs", {}),
    "torch-lbfgs": ("PyTorch LBFGS", "libraries", "torch_lbfgs", {}),
    "sklearn-lbfgs": ("scikit-learn lbfgs", "libraries", "sklearn_lbfgs", {}),
}


def prepare(way: str, task: Task, theta: np.ndarray, goal: float) -> Run:
    """Return what is to be timed; raise Refusal or ImportError if there is no such thing."""
    _, module, function, options = WAYS[way]
    return getattr(importlib.import_module(f"descents.{module}"), function)(task, theta, goal, **options)
