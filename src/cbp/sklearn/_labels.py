"""Class labels of any kind, as the network learns them and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.sklearn._scikit import check_classification_targets, column_or_1d, type_of_target

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.sklearn._goals import Goal

MULTILABEL = "multilabel-indicator"


class Labels:
    """The classes that a classifier knows.

    Parameters
    ----------
    classes : ndarray, shape (k,)
        Sorted. Of several labels a row, the numbers of the columns.
    is_multilabel, is_sparse : bool
        Whether a row has several labels, and whether they came, and go, as a sparse matrix.
    """

    def __init__(self, classes: Array, is_multilabel: bool = False, is_sparse: bool = False) -> None:
        self.classes, self.is_multilabel, self.is_sparse = classes, is_multilabel, is_sparse

    @classmethod
    def of(cls, y: Any, classes: Any = None) -> Labels:
        """Return those that are in y, or that are said to come."""
        if _kind(y) == MULTILABEL:
            return cls(np.arange(y.shape[1]), True, hasattr(y, "tocsr"))
        return cls(np.unique(y if classes is None else np.asarray(classes)))

    def numbers(self, y: Any) -> Array:
        """Return the number of the class of every row, (m,); or whether it has each label, (m, k), of bool.

        Raises
        ------
        ValueError
            There are others than the known ones.
        """
        if (_kind(y) == MULTILABEL) != self.is_multilabel:
            raise ValueError(f"y has {'one class' if self.is_multilabel else 'several labels'} a row, unlike before")
        if self.is_multilabel:
            y = y.toarray() if hasattr(y, "tocsr") else y
            if y.shape[1] != len(self.classes):
                raise ValueError(f"y has {y.shape[1]} labels, {len(self.classes)} are known")
            return y != 0
        known = np.isin(y, self.classes)
        if not known.all():
            raise ValueError(f"y has classes that are not known, {np.unique(y[~known])}; known are {self.classes}")
        return np.searchsorted(self.classes, y)

    def targets(self, numbers: Array, goal: Goal, dtype: Any) -> Array:
        """Return what the network learns, from what `numbers` returned."""
        if goal.rows[0].row_wise:
            return numbers
        if not self.is_multilabel and goal.units > 1:
            numbers = numbers[:, None] == np.arange(goal.units)
        return np.where(numbers, 1.0, goal.low).astype(dtype)

    def found(self, outputs: Array, goal: Goal) -> Array:
        """Return the numbers that outputs (m, units) stand for, as `numbers` has them."""
        if self.is_multilabel:
            return outputs > (1 + goal.low) / 2
        if goal.units > 1:
            return np.argmax(outputs, axis=1)
        return (outputs[:, 0] > (1 + goal.low) / 2).astype(np.intp)

    def named(self, numbers: Array) -> Any:
        """Return the labels themselves."""
        if self.is_multilabel:
            return _as_sparse(numbers) if self.is_sparse else numbers.astype(int)
        return self.classes[np.minimum(numbers, len(self.classes) - 1)]

    def shares(self, outputs: Array, goal: Goal) -> Array:
        """Return the probability of each class, (m, k)."""
        if goal.rows[0].name == "log_softmax":
            return np.exp(outputs)
        if goal.units == 1 and not self.is_multilabel:
            if len(self.classes) == 1:
                return np.ones_like(outputs)
            return np.concatenate([1 - outputs, outputs], axis=1)
        if goal.rows[0].row_wise or self.is_multilabel:
            return outputs
        sums = outputs.sum(axis=1, keepdims=True)  # a sigmoid a class
        return np.divide(outputs, sums, out=np.full_like(outputs, 1 / goal.units), where=sums > 0)


def _kind(y: Any) -> str:
    """Return what kind of labels these are, or refuse them."""
    check_classification_targets(y)
    kind: str = type_of_target(y, input_name="y")
    if kind.endswith("multioutput"):
        raise ValueError(
            "y has several classes a row, of which one at least is not 0 or 1: fit a classifier for each column"
        )
    return kind


def _as_sparse(numbers: Array) -> Any:
    from cbp.sklearn._scikit import csr_matrix

    return csr_matrix(numbers.astype(int))


def flat(y: Any) -> Any:
    """Return targets (m, 1) as (m,), with scikit-learn's warning."""
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
