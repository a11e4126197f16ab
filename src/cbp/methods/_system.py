"""The linear system of a Gauss-Newton method: (G + shift I) p = r, over the parameters that are trained.

Two matrices of (n_params, n_params) doubles are all that it takes; a fixed parameter has no row in what is solved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._own_loss import OwnLoss
from cbp.heads import Heads
from cbp.methods import _memory

if TYPE_CHECKING:
    from cbp._spec import Spec
    from cbp._typing import Array
    from cbp.methods._objective import Objective
    from cbp.tables import Row

STRAIGHT = "zeros_like(a)"
"""The curvature, in the table, of a loss made of straight lines."""


def require_curvature(spec: Spec, who: str) -> None:
    """Refuse a loss whose G is 0, or cannot be known."""
    if isinstance(spec.loss, OwnLoss):
        what = "the curvature of the loss, which a function of your own does not tell"
        raise ValueError(f"{who} needs {what}: LBFGS() and SCG() of cbp.methods do without")
    parts = [(spec.loss, spec.outputs)] if not isinstance(spec.loss, Heads) else _of_heads(spec.loss)
    # A loss that belongs to a row-wise activation is taken together with it, and is curved in the net inputs.
    straight = [
        loss.name
        for loss, output in parts
        if loss.curvature == STRAIGHT and not (output is not None and output.row_wise and output.name == loss.partner)
    ]
    if len(straight) == len(parts):
        names = " and ".join(dict.fromkeys(straight))
        raise ValueError(f"{who} needs the curvature of the loss, and {names} is made of straight lines, with none")


def _of_heads(heads: Heads) -> list[tuple[Row, Row]]:
    return [(head.loss, head.rows[0]) for head in heads.all if head.loss is not None]


class System:
    """G at one point after another, and what is solved with it.

    Attributes
    ----------
    n : int
        How many parameters are trained.
    G : ndarray, shape (n, n)
        The generalised Gauss-Newton matrix of J there.
    gradient : ndarray, shape (n,)
        The gradient of J.
    norm : float
        Its length.
    loss : float
        J.
    trial : float
        J at the last point that was tried, for whoever tries it to keep.
    """

    def __init__(self, objective: Objective, who: str, matrices: int = 2) -> None:
        N = objective.n
        _memory.require(matrices * 8 * N * N, who, f"{matrices} matrices of {N:,} × {N:,} numbers")
        require_curvature(objective.net._spec, who)
        self.objective = objective
        self.places = None if objective.n_trained == N else np.flatnonzero(objective.trained)
        self.n = n = N if self.places is None else len(self.places)
        self._first, self._second = np.empty(N * N), np.empty(N * N)
        self.G, self._work = self._first[: n * n].reshape(n, n), self._second[: n * n].reshape(n, n)
        self.loss = self.norm = self.trial = math.nan
        self.gradient = np.empty(0)

    def glance(self, theta: Array) -> None:
        """Make gradient and loss those at theta, and leave G what it is: for a place that no step is made from."""
        self._found(*self.objective.gradient(theta))

    def _found(self, loss: float, gradient: Array) -> None:
        self.loss, self.gradient = loss, gradient if self.places is None else gradient[self.places]
        self.norm = math.sqrt(_core.dot(self.gradient, self.gradient))

    def take(self, theta: Array) -> None:
        """Make G, gradient and loss those at theta."""
        # The core writes where G is solved for later, unless G is ready in its place at once.
        wide = theta.dtype == np.float64
        there = self._matrix(self._first if wide else self._second, theta.dtype, self.objective.n)
        loss, gradient, there = self.objective.gauss_newton(theta, there)
        if self.places is not None:
            rows = self._matrix(self._second if wide else self._first, theta.dtype, self.n, self.objective.n)
            np.take(there, self.places, axis=0, out=rows, mode="clip")
            there = self._matrix(self._first if wide else self._second, theta.dtype, self.n)
            np.take(rows, self.places, axis=1, out=there, mode="clip")
        if not wide:
            self.G[...] = there
        self._found(loss, gradient)

    def _matrix(self, memory: Array, dtype: np.dtype[Any], rows: int, columns: int | None = None) -> Array:
        """Return a matrix of this dtype at the beginning of `memory`; square unless it is told."""
        columns = rows if columns is None else columns
        return memory.view(dtype)[: rows * columns].reshape(rows, columns)

    def factor(self, shift: float) -> Array | None:
        """Return the Cholesky factor of G + shift I, until the next call of anything here; None where it has none."""
        return self._work if _core.damped(self.G, shift, self._work) else None

    def solve(self, shift: float, right: Array) -> Array | None:
        """Return (G + shift I)^-1 right, or None where the matrix is not positive definite."""
        return _core.damped_solve(self.G, shift, right, self._work)

    def moved(self, theta: Array, p: Array) -> Array:
        """Return the point theta - p; p (n,) has the trained parameters."""
        if self.places is None:
            return (theta - p).astype(theta.dtype, copy=False)
        there = theta.copy()
        there[self.places] -= p
        return there
