"""A loss that is a function of the user's: stands where a row of `cbp.losses` does, and checks what it returns.

The core calls `price` with rows of a batch, from the thread that trains. What the function raises cannot pass through
C: it is kept for the thread, the costs become NaN, which stops the training, and `raise_failure` raises it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import tables
from cbp._data import convert

if TYPE_CHECKING:
    from cbp._typing import Array, LossLike


class OwnLoss(tables.NoRow):
    """A function ``my_loss(y, a)`` that returns the cost of every row, (m,), and dC/da, (m, n_L)."""

    def __init__(self, function: Callable[[Array, Array], tuple[Array, Array]]) -> None:
        self.function = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        if self.name in tables.losses:
            raise ValueError(f"{self.name} is one of cbp.losses; a loss of your own needs another name")
        self._failures: dict[int, BaseException] = {}

    def price(self, y: Array, a: Array) -> tuple[Array, Array]:
        """Return costs (m,) and dC/da (m, n_L), checked and converted; NaN where the function has failed."""
        thread = threading.get_ident()
        if thread not in self._failures:
            try:
                return self._checked(self.function(y, a), a.shape, a.dtype)
            except BaseException as error:
                self._failures[thread] = error
        return np.full(len(a), np.nan), np.zeros_like(a)

    def raise_failure(self) -> None:
        """Raise what the function raised in this thread since the last time."""
        if self._failures:
            failure = self._failures.pop(threading.get_ident(), None)
            if failure is not None:
                raise failure

    def _checked(self, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Array, Array]:
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(f"{self.name} must return two arrays, the costs and dC/da, not {type(found).__name__}")
        cost = convert(found[0], np.dtype(np.float64), f"the cost that {self.name} returned")
        slope = convert(found[1], dtype, f"the dC/da that {self.name} returned")
        if cost.shape != shape[:1]:
            raise ValueError(
                f"{self.name} returned costs of shape {cost.shape}, expected {shape[:1]}: one for each row"
            )
        if slope.shape != shape:
            raise ValueError(
                f"{self.name} returned dC/da of shape {slope.shape}, expected {shape}, as the outputs have"
            )
        return cost, slope

    def config(self) -> Callable[[Array, Array], tuple[Array, Array]]:
        """Return the function itself: there is no name that a file could keep."""
        return self.function

    def __str__(self) -> str:
        return self.name


def find_loss(wanted: LossLike) -> tables.Row | OwnLoss:
    """Return the row meant by a name, a row or a dict; or the user's function as a loss."""
    is_own = callable(wanted) and not isinstance(wanted, (tables.Row, type))
    return OwnLoss(wanted) if is_own else tables.losses.find(wanted)  # type: ignore[arg-type]
