"""Metrics: what a person wants to know about the outputs of a network, beside the loss.

A metric is a function of targets and outputs that returns a number. Those here depend on nothing but their arguments:
sums are rounded once (`math.fsum`), since early stopping may decide by them. Targets that are NaN, that is missing, are
left out; where all are missing the figure is NaN.

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

from cbp.errors import unknown

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
    y, outputs = _arrays(y, outputs)
    if outputs.shape[1] == 1:
        return binary_accuracy(y, outputs)
    if y.ndim > 1:
        known = ~np.isnan(y).any(axis=1)
        y, outputs = y[known], outputs[known]
    return _share(np.argmax(outputs, axis=1) == (y if y.ndim == 1 else np.argmax(y, axis=1)))


def binary_accuracy(y: Array, outputs: Array) -> float:
    """Return the share of outputs that lie on their target's side of one half.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    y, outputs, known = _apart(y, outputs)
    return _share(((outputs >= 0.5) == (y >= 0.5))[known])


def sign_accuracy(y: Array, outputs: Array) -> float:
    """Return the share of outputs that are positive where their target is, and not where it is not.

    Parameters
    ----------
    y, outputs : ndarray, shape (n, n_L)
    """
    y, outputs, known = _apart(y, outputs)
    return _share(((outputs > 0) == (y > 0))[known])


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
    return _mean(np.concatenate(_errors(y, outputs)[0]) ** 2)


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
    return _mean(np.abs(np.concatenate(_errors(y, outputs)[0])))


def r2(y: Array, outputs: Array) -> float:
    """Return 1 - (squared errors) / (squared distances of the targets from their mean), averaged over the outputs.

    An output whose targets are all the same counts 1 where every error is 0, else 0.

    Parameters
    ----------
    y : ndarray, shape (n, n_L), or (n,) class labels
    outputs : ndarray, shape (n, n_L)
    """
    scores = []
    for errors, targets in zip(*_errors(y, outputs), strict=True):
        residual = math.fsum((errors**2).tolist())
        spread = math.fsum(((targets - _mean(targets)) ** 2).tolist())
        scores.append(1 - residual / spread if spread else float(residual == 0) if len(errors) else math.nan)
    return math.fsum(scores) / len(scores)


def _arrays(y: Any, outputs: Any) -> tuple[Array, Array]:
    """Return both as arrays, which must have as many rows."""
    y, outputs = np.asarray(y), np.asarray(outputs)
    if outputs.ndim != 2 or y.shape[:1] != outputs.shape[:1]:
        raise ValueError(
            "metrics need the targets of n rows and the outputs that predict returns for them, (n, n_L); "
            f"the shapes are {y.shape} and {outputs.shape}"
        )
    return y, outputs


def _share(right: Array) -> float:
    return int(np.count_nonzero(right)) / right.size if right.size else math.nan


def _mean(values: Array) -> float:
    return math.fsum(values.tolist()) / values.size if values.size else math.nan


def _apart(y: Any, outputs: Any) -> tuple[Array, Array, Array]:
    """Return targets and outputs in the same shape, and which of the targets are known."""
    y, outputs = _arrays(y, outputs)
    y = y.reshape(outputs.shape)
    return y, outputs, ~np.isnan(y)


def _errors(y: Array, outputs: Array) -> tuple[list[Array], list[Array]]:
    """Return output - target in double, and the target, of each output where its target is known."""
    y, outputs = _arrays(y, outputs)
    if y.ndim == 1 and outputs.shape[1] > 1:
        y = np.eye(outputs.shape[1])[y]
    y, outputs, known = _apart(y.astype(np.float64), outputs.astype(np.float64))
    errors = outputs - y
    each = range(outputs.shape[1])
    return [errors[known[:, j], j] for j in each], [y[known[:, j], j] for j in each]


def _positives(y: Array, outputs: Array) -> tuple[int, int, int]:
    """Return how many are positive and said to be, how many are, how many are said to be."""
    y, outputs = _arrays(y, outputs)
    if y.shape != outputs.shape:
        raise ValueError("precision, recall and f1 need targets of 0 and 1 for every output, not class labels")
    are, said = y >= 0.5, (outputs >= 0.5) & ~np.isnan(y)
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
            raise unknown("metric", one, __all__)
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
