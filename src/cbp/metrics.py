"""Metrics: what a person wants to know about the outputs of a network, beside the loss.

A metric is a function of targets and outputs that returns a number. Those here depend on nothing but their arguments:
sums are rounded once (`math.fsum`), since early stopping may decide by them.

Examples
--------
>>> import numpy as np
>>> from cbp import metrics
>>> y, outputs = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.5], [2.0]])
>>> metrics.mean_squared_error(y, outputs), metrics.r2(y, outputs)
(0.08333333333333333, 0.875)
>>> metrics.accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]))
0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cbp._typing import Array, MetricLike

Metric = Callable[[Any, Any], float]

__all__ = [
    "accuracy",
    "binary_accuracy",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "root_mean_squared_error",
    "sign_accuracy",
]


def accuracy(y: Array, outputs: Array) -> float:
    """Return the share of rows whose largest output is at their class; of one output, see `binary_accuracy`.

    Parameters
    ----------
    y : ndarray, shape (n,) or (n, n_L)
        Class labels, or rows whose largest entry is at the class.
    outputs : ndarray, shape (n, n_L)
    """
    if outputs.shape[1] == 1:
        return binary_accuracy(y, outputs)
    return _share(np.argmax(outputs, axis=1) == (y if y.ndim == 1 else np.argmax(y, axis=1)))


def binary_accuracy(y: Array, outputs: Array) -> float:
    """Return the share of outputs that lie on their target's side of one half.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    return _share((outputs >= 0.5) == (y.reshape(outputs.shape) >= 0.5))


def sign_accuracy(y: Array, outputs: Array) -> float:
    """Return the share of outputs that are positive where their target is, and not where it is not.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    return _share((outputs > 0) == (y.reshape(outputs.shape) > 0))


def precision(y: Array, outputs: Array) -> float:
    """Return how many of the outputs of at least one half have a target of at least one half; 0 without any.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    both, _, said = _positives(y, outputs)
    return both / said if said else 0.0


def recall(y: Array, outputs: Array) -> float:
    """Return how many of the targets of at least one half have an output of at least one half; 0 without any.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    both, are, _ = _positives(y, outputs)
    return both / are if are else 0.0


def f1(y: Array, outputs: Array) -> float:
    """Return the harmonic mean of `precision` and `recall`; 0 where both are.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    both, are, said = _positives(y, outputs)
    return 2 * both / (are + said) if are + said else 0.0


def mean_squared_error(y: Array, outputs: Array) -> float:
    """Return the mean of (output - target)**2 over all outputs of all rows.

    Parameters
    ----------
    y : ndarray, shape (n, n_L), or (n,) class labels
    outputs : ndarray, shape (n, n_L)
    """
    return _mean(_errors(y, outputs) ** 2)


def root_mean_squared_error(y: Array, outputs: Array) -> float:
    """Return the square root of `mean_squared_error`."""
    return math.sqrt(mean_squared_error(y, outputs))


def mean_absolute_error(y: Array, outputs: Array) -> float:
    """Return the mean of abs(output - target) over all outputs of all rows.

    Parameters
    ----------
    y : ndarray, shape (n, n_L), or (n,) class labels
    outputs : ndarray, shape (n, n_L)
    """
    return _mean(np.abs(_errors(y, outputs)))


def r2(y: Array, outputs: Array) -> float:
    """Return 1 - (squared errors) / (squared distances of the targets from their mean), averaged over the outputs.

    An output whose targets are all the same counts 1 where every error is 0, else 0.

    Parameters
    ----------
    y : ndarray, shape (n, n_L), or (n,) class labels
    outputs : ndarray, shape (n, n_L)
    """
    errors, scores = _errors(y, outputs), []
    targets = outputs.astype(np.float64) - errors
    for j in range(outputs.shape[1]):
        residual = math.fsum((errors[:, j] ** 2).tolist())
        spread = math.fsum(((targets[:, j] - _mean(targets[:, j])) ** 2).tolist())
        scores.append(1 - residual / spread if spread else float(residual == 0))
    return math.fsum(scores) / len(scores)


def _share(right: Array) -> float:
    return int(np.count_nonzero(right)) / right.size


def _mean(values: Array) -> float:
    return math.fsum(values.ravel().tolist()) / values.size


def _errors(y: Array, outputs: Array) -> Array:
    """Return output - target in double; labels are rows that are 1 there, else 0."""
    errors: Array = outputs.astype(np.float64)
    if y.ndim == 1 and outputs.shape[1] > 1:
        errors[np.arange(len(y)), y] -= 1
        return errors
    return errors - y.reshape(outputs.shape)


def _positives(y: Array, outputs: Array) -> tuple[int, int, int]:
    """Return how many are positive and said to be, how many are, how many are said to be."""
    if y.shape != outputs.shape:
        raise ValueError("precision, recall and f1 need targets of 0 and 1 for every output, not class labels")
    are, said = y >= 0.5, outputs >= 0.5
    return int(np.count_nonzero(are & said)), int(np.count_nonzero(are)), int(np.count_nonzero(said))


def by_name(wanted: MetricLike | Iterable[MetricLike], loss: str) -> dict[str, Metric]:
    """Return the metrics that a person asks for: names, functions, or pairs of both.

    Parameters
    ----------
    wanted : str, callable, (str, callable), or iterable of them
    loss : str
        What it tells classes by is what "accuracy" looks at: see `ACCURACIES`.

    Raises
    ------
    ValueError, TypeError
        No such metric, a name that is taken, or something else than a metric.
    """
    several: Any = wanted
    if isinstance(wanted, str) or callable(wanted) or _is_pair(wanted):
        several = [wanted]
    found: dict[str, Metric] = {}
    for one in several:
        name, metric = _resolve(one, loss)
        if name in found or name in TAKEN:
            raise ValueError(f"there is another figure with the name {name!r}: give (name, function)")
        found[name] = metric
    return found


ACCURACIES: dict[str, Metric] = {
    "binary_cross_entropy": binary_accuracy,
    "focal": binary_accuracy,
    "hinge": sign_accuracy,
    "categorical_cross_entropy": accuracy,
    "negative_log_likelihood": accuracy,
}
"""What "accuracy" means for the losses that tell classes apart."""

TAKEN = {"loss", "learning_rate", "seconds"}


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and callable(one[1])


def _resolve(one: Any, loss: str) -> tuple[str, Metric]:
    if isinstance(one, str):
        if one not in __all__:
            raise ValueError(f"no metric {one!r}; there are {', '.join(__all__)}")
        return one, ACCURACIES.get(loss, accuracy) if one == "accuracy" else globals()[one]
    if _is_pair(one):
        return one
    if not callable(one):
        raise TypeError(f"a metric is a name, a function of targets and outputs, or (name, function), not {one!r}")
    name = getattr(one, "__name__", "<lambda>")
    if not name.isidentifier():
        raise ValueError(f"{one!r} has no name to note its figures by: give (name, function)")
    return name, one


def require_own(metrics: dict[str, Metric]) -> None:
    """Refuse the metrics of this module, for networks whose outputs are more than a guess at each target."""
    for name, metric in metrics.items():
        if metric in [globals()[known] for known in __all__]:
            raise ValueError(
                f"the metric {name!r} knows nothing of heads, or of variances: give a function of your own"
            )


def measure(metrics: dict[str, Metric], y: Array, outputs: Array, prefix: str = "") -> dict[str, float]:
    """Return the figures of some outputs."""
    figures = {}
    for name, metric in metrics.items():
        try:
            figures[prefix + name] = float(metric(y, outputs))
        except TypeError as error:
            raise TypeError(f"the metric {name!r} did not return a number: {error}") from error
    return figures
