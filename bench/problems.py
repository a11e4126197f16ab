"""A problem is what every library is asked to do: a network, its start weights, data, training; all fixed by a seed.

Used by the workers and by run.py. NumPy is all it needs. A list of weights is [(W, b), ...] with W (from, to).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import numpy as np

SEED = 20260101
NOISE = 0.5  # of the labels, against a teacher's outputs of size 1: no network learns them by heart soon


@dataclasses.dataclass(frozen=True)
class Problem:
    """A network and what is to be done with it.

    `kind`: "train" takes the rows in their order, in batches, pass after pass, many passes in one call. "step" trains
    on one row per call. "predict" computes the outputs of all rows in one call, "predict one" of one row per call.
    """

    kind: str
    widths: tuple[int, ...]
    rows: int
    hidden: str = "relu"
    output: str = "softmax"
    loss: str = "categorical_cross_entropy"
    optimizer: str = "sgd"
    rate: float = 0.1
    batch: int = 1
    dtype: str = "float32"

    @property
    def trains(self) -> bool:
        return self.kind in ("train", "step")

    @property
    def single(self) -> bool:
        """Whether a call is about one row."""
        return self.kind in ("step", "predict one")

    @property
    def weights_per_layer(self) -> list[int]:
        return [before * after for before, after in itertools.pairwise(self.widths)]

    @property
    def flops(self) -> int:
        """Useful operations for one row.

        A multiplication and an addition for each weight: forward; for its gradient; and to propagate the error through
        it, which the first layer does not need. Biases, activations, loss and optimiser are not counted.
        """
        p = sum(self.weights_per_layer)
        return 2 * (p + p + p - self.weights_per_layer[0]) if self.trains else 2 * p

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Problem:
        """Make a problem of what `dataclasses.asdict` and JSON left of it."""
        return cls(**{**fields, "widths": tuple(fields["widths"])})


def start(problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the weights that all start from: uniform, by He for relu and by Glorot for others; biases 0."""
    rng = np.random.default_rng(SEED)
    weights = []
    for before, after in itertools.pairwise(problem.widths):
        limit = np.sqrt(6 / before) if problem.hidden == "relu" else np.sqrt(6 / (before + after))
        W = rng.uniform(-limit, limit, (before, after)).astype(problem.dtype)
        weights.append((W, np.zeros(after, problem.dtype)))
    return weights


def data(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (rows, inputs), Y (rows, outputs) and labels (rows,)."""
    X, teacher = _inputs_and_teacher(problem.rows, problem.widths[0], problem.widths[-1])
    if problem.widths[0] == 2:  # exclusive or
        X = (X > 0).astype("float32")
        teacher = (X[:, :1] != X[:, 1:]) - np.float32(0.5)
    if problem.output == "identity":
        Y, labels = np.tanh(teacher), np.zeros(problem.rows, "int64")
    elif problem.widths[-1] == 1:
        Y, labels = teacher > 0, (teacher[:, 0] > 0).astype("int64")
    else:
        labels = teacher.argmax(axis=1)
        Y = labels[:, None] == np.arange(problem.widths[-1])
    return X.astype(problem.dtype), np.ascontiguousarray(Y, problem.dtype), labels


@functools.lru_cache(maxsize=1)
def _inputs_and_teacher(rows: int, n_in: int, n_out: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED + 1)
    X = rng.standard_normal((rows, n_in), "float32") / 2
    W = rng.standard_normal((n_in, n_out), "float32") * np.float32(2 / np.sqrt(n_in))
    return X, X @ W + np.float32(NOISE) * rng.standard_normal((rows, n_out), "float32")


ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softmax": lambda z: (e := np.exp(z - z.max(axis=1, keepdims=True))) / e.sum(axis=1, keepdims=True),
}


def outputs(problem: Problem, weights: list[tuple[np.ndarray, np.ndarray]], X: np.ndarray) -> np.ndarray:
    """Compute the outputs for X in float64, whatever the weights are kept in."""
    A = np.asarray(X, "float64")
    for l, (W, b) in enumerate(weights, 1):
        name = problem.output if l == len(weights) else problem.hidden
        A = ACTIVATIONS[name](A @ np.asarray(W, "float64") + np.asarray(b, "float64"))
    return A


def loss(problem: Problem, weights: list[tuple[np.ndarray, np.ndarray]], X: np.ndarray, Y: np.ndarray) -> float:
    """Compute the mean loss in float64."""
    A, Y = outputs(problem, weights, X), np.asarray(Y, "float64")
    if problem.loss == "half_squared_error":
        return float(((A - Y) ** 2).sum(axis=1).mean() / 2)
    tiny = np.finfo("float64").tiny
    cost = -Y * np.log(A + tiny)
    if problem.loss == "binary_cross_entropy":
        cost -= (1 - Y) * np.log(1 - A + tiny)
    return float(cost.sum(axis=1).mean())
