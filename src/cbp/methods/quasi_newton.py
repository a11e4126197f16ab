"""Searches that learn the curvature from the gradients they meet: BFGS and L-BFGS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cbp import _core
from cbp._arguments import whole
from cbp.methods import _memory
from cbp.methods.line_search import Descent, Point, cautious

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

ROUNDING = float(np.finfo(np.float64).eps)
MOST_PAIRS = 2**31 - 1


class LBFGS(Descent):
    """BFGS with limited memory: the quasi-Newton method for networks of any size.

    It learns the curvature from the last `memory` steps and keeps no matrix: 2 `memory` vectors as long as the
    parameters.

    Parameters
    ----------
    memory : int, default 20
        How many steps are remembered.
    c1 : float, default 1e-4
        A step makes J smaller by at least this share of what the slope promises.
    c2 : float, default 0.9
        The slope after a step is at most this share of the one before it.
    min_grad : float, default 1e-7
        Training ends where the gradient of the objective is no longer than this: "minimum gradient".
    max_fail : int or None, default 6
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never.

    Notes
    -----
    The direction is -H g; H g is made of the steps s that are remembered, and the changes y of the gradient on them, by
    the recursion of Nocedal and Wright's algorithm 7.4, which begins with (s y / y y) g. A step that met no positive
    curvature is not remembered. The line search looks for the strong Wolfe conditions and tries length 1 first, so that
    most steps take one gradient.

    The History has the columns gradient, the length of g after the step, step, its length, and evaluations, how many
    gradients it took.

    References
    ----------
    Nocedal, Updating quasi-Newton matrices with limited storage, Mathematics of Computation 35, 1980. Liu and Nocedal,
    On the limited memory BFGS method for large scale optimization, Mathematical Programming 45, 1989.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.LBFGS(memory=50).memory
    50
    """

    name = "lbfgs"
    fields: ClassVar[dict[str, Any]] = {
        "memory": 20,
        "c1": 1e-4,
        "c2": 0.9,
        "min_grad": 1e-7,
    }
    memory: int

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept."""
        return whole(value, name, 1, MOST_PAIRS) if name == "memory" else super()._checked(name, value)

    def check(self, state: MethodState, n: int) -> None:
        """Refuse what are not pairs of vectors, as many as `memory` at most, and the place of the next."""
        known, after = len(state.vectors) // 2, int(state.numbers.get("next", 0.0))
        pairs = {f"{letter}{i % self.memory}" for letter in "sy" for i in range(after - known, after)}
        fits = known <= self.memory and 0 <= after < self.memory and state.vectors.keys() == pairs
        if not fits or any(vector.shape != (n,) for vector in state.vectors.values()):
            raise self._other()

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        vectors, after = state.vectors, int(state.numbers.setdefault("next", 0.0))
        known = len(vectors) // 2
        _memory.require(32 * self.memory, "LBFGS", f"memory={self.memory:,}", "take less")
        pairs = state.cache["pairs"] = _core.Pairs(objective.n, self.memory)
        for i in range(after - known, after):
            pairs.add(vectors[f"s{i % self.memory}"], vectors[f"y{i % self.memory}"])

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        pairs: _core.Pairs = state.cache["pairs"]
        direction = -here.gradient
        pairs.times(direction)
        return direction, 1.0 if len(pairs) else cautious(state.cache["norm"])

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        s, y = _changes(start, found)
        if state.cache["pairs"].add(s, y):
            free = int(state.numbers["next"])
            state.vectors[f"s{free}"], state.vectors[f"y{free}"] = s, y
            state.numbers["next"] = float((free + 1) % self.memory)

    def _forget(self, state: MethodState) -> bool:
        known = bool(state.vectors)
        state.vectors.clear()
        state.cache["pairs"].clear()
        return known


class BFGS(Descent):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno, for networks of some hundred parameters.

    It keeps the whole inverse of the matrix of second derivatives as it knows it, 8 n^2 bytes for n parameters, and so
    remembers more than `LBFGS`; every step costs some n^2 operations.

    Parameters
    ----------
    c1 : float, default 1e-4
        A step makes J smaller by at least this share of what the slope promises.
    c2 : float, default 0.9
        The slope after a step is at most this share of the one before it.
    min_grad : float, default 1e-6
        Training ends where the gradient of the objective is no longer than this: "minimum gradient".
    max_fail : int or None, default 6
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never.

    Notes
    -----
    With the step s and the change of the gradient y (Nocedal and Wright, equations 6.17 and 6.20)::

        H = (s y / y y) I                                    before the first update
        H += w s^T + s w^T,  w = (1 + y H y / s y) / 2 s y  s - H y / s y

    A step that met no positive curvature leaves H as it is. The line search and the columns of the History are those of
    `LBFGS`.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.BFGS().min_grad
    1e-06
    """

    name = "bfgs"
    fields: ClassVar[dict[str, Any]] = {"c1": 1e-4, "c2": 0.9, "min_grad": 1e-6}

    def check(self, state: MethodState, n: int) -> None:
        """Refuse what is not the inverse and the number of updates it has had."""
        if "inverse" in state.vectors and not (state.vectors["inverse"].shape == (n, n) and "updates" in state.numbers):
            raise self._other()

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        _memory.require(24 * objective.n**2, "BFGS", f"3 matrices of {objective.n:,} × {objective.n:,} numbers")
        if "inverse" not in state.vectors:
            state.numbers["updates"] = 0.0
            state.vectors["inverse"] = np.zeros((objective.n, objective.n))

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        if not state.numbers["updates"]:
            return -here.gradient, cautious(state.cache["norm"])
        return -_core.times(state.vectors["inverse"], here.gradient), 1.0

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        s, y = _changes(start, found)
        product, square = _core.dot(s, y), _core.dot(y, y)
        if not product > ROUNDING * square:
            return
        before = state.vectors["inverse"]
        if not state.numbers["updates"]:
            before = np.zeros_like(before)
            np.fill_diagonal(before, product / square)
        known = _core.times(before, y)
        w = s * (0.5 * (1 + _core.dot(y, known) / product) / product) - known / product
        state.vectors["inverse"] = _core.updated(before, s, w)
        state.numbers["updates"] += 1

    def _forget(self, state: MethodState) -> bool:
        known = state.numbers["updates"] > 0
        state.numbers["updates"] = 0.0
        return known


def _changes(start: Point, found: Point) -> tuple[Array, Array]:
    """Return s, how the parameters changed, and y, how the gradient did."""
    step = found.theta - start.theta
    if step.dtype != found.gradient.dtype:
        step = np.subtract(found.theta, start.theta, dtype=np.float64)
    return step, found.gradient - start.gradient
