"""Searches that learn the curvature from the gradients they meet: BFGS and L-BFGS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cbp import _core
from cbp._arguments import whole
from cbp.methods.line_search import Descent, Point, cautious

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

ROUNDING = float(np.finfo(np.float64).eps)
BLOCK = 2**15  # numbers of a matrix that are changed at a time


class LBFGS(Descent):
    """BFGS with limited memory: the quasi-Newton method for networks of any size.

    It learns the curvature from the last `memory` steps and keeps no matrix: 2 (memory + 1) vectors as long as the
    parameters.

    Parameters
    ----------
    memory : int, default 10
        How many steps are remembered.
    c1 : float, default 1e-4
        A step makes J smaller by at least this share of what the slope promises.
    c2 : float, default 0.9
        The slope after a step is at most this share of the one before it.
    min_grad : float, default 1e-7
        Training stops where the gradient is no longer than that.

    Notes
    -----
    The direction is -H g; H g is made of the remembered s = the step and y = the change of the gradient by the recursion
    of Nocedal and Wright's algorithm 7.4, beginning with (s y / y y) g. A step that met no positive curvature is not
    remembered. Line search: strong Wolfe conditions, length 1 first, so that most steps need one gradient.

    References
    ----------
    Nocedal, Updating quasi-Newton matrices with limited storage, Mathematics of Computation 35, 1980. Liu and Nocedal,
    On the limited memory BFGS method for large scale optimization, Mathematical Programming 45, 1989.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.LBFGS(memory=20).memory
    20
    """

    name: ClassVar[str] = "lbfgs"
    fields: ClassVar[dict[str, float | int | str | bool | None]] = {
        "memory": 10,
        "c1": 1e-4,
        "c2": 0.9,
        "min_grad": 1e-7,
    }
    memory: int

    def _checked(self, name: str, value: Any) -> Any:
        return whole(value, name, 1) if name == "memory" else super()._checked(name, value)

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        if "s" not in state.vectors:
            state.numbers.update(pairs=0.0, next=0.0)
            state.vectors.update(s=np.zeros((self.memory + 1, objective.n)), y=np.zeros((self.memory + 1, objective.n)))
        s, y = list(state.vectors["s"]), list(state.vectors["y"])
        state.cache.update(
            s=s, y=y, products=[_core.dot(*pair) for pair in zip(s, y, strict=True)], room=np.empty(objective.n)
        )

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        numbers, cache = state.numbers, state.cache
        pairs, after = int(numbers["pairs"]), int(numbers["next"])
        direction = -here.gradient
        if not pairs:
            return direction, cautious(cache["norm"])
        s, y, products, room = cache["s"], cache["y"], cache["products"], cache["room"]
        known = [(after - 1 - age) % len(s) for age in range(pairs)]
        shares = []
        for i in known:
            shares.append(_core.dot(s[i], direction) / products[i])
            np.multiply(y[i], shares[-1], room)
            np.subtract(direction, room, direction)
        np.multiply(direction, products[known[0]] / _core.dot(y[known[0]], y[known[0]]), direction)
        for i in reversed(known):
            np.multiply(s[i], shares.pop() - _core.dot(y[i], direction) / products[i], room)
            np.add(direction, room, direction)
        return direction, 1.0

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        numbers, cache = state.numbers, state.cache
        free = int(numbers["next"])
        s, y = cache["s"][free], cache["y"][free]
        product = _pair(start, found, s, y)
        if product > ROUNDING * _core.dot(y, y):
            cache["products"][free] = product
            numbers["next"] = float((free + 1) % len(cache["s"]))
            numbers["pairs"] = min(numbers["pairs"] + 1, float(self.memory))

    def _forget(self, state: MethodState) -> bool:
        known = state.numbers["pairs"] > 0
        state.numbers["pairs"] = 0.0
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
        Training stops where the gradient is no longer than that (the default of MATLAB's trainbfg).

    Notes
    -----
    With the step s and the change of the gradient y (Nocedal and Wright, equations 6.17 and 6.20)::

        H = (s y / y y) I                                    before the first update
        H += w s^T + s w^T,  w = (1 + y H y / s y) / 2 s y  s - H y / s y

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.BFGS().min_grad
    1e-06
    """

    name: ClassVar[str] = "bfgs"
    fields: ClassVar[dict[str, float | int | str | bool | None]] = {"c1": 1e-4, "c2": 0.9, "min_grad": 1e-6}

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        if "inverse" not in state.vectors:
            state.numbers["updates"] = 0.0
            state.vectors["inverse"] = np.zeros((objective.n, objective.n))
        state.cache.update(s=np.empty(objective.n), y=np.empty(objective.n))

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        if not state.numbers["updates"]:
            return -here.gradient, cautious(state.cache["norm"])
        return -_core.times(state.vectors["inverse"], here.gradient), 1.0

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        s, y = state.cache["s"], state.cache["y"]
        product, square = _pair(start, found, s, y), _core.dot(y, y)
        if not product > ROUNDING * square:
            return
        inverse = state.vectors["inverse"]
        if not state.numbers["updates"]:
            inverse[:] = 0.0
            np.fill_diagonal(inverse, product / square)
        known = _core.times(inverse, y)
        w = s * (0.5 * (1 + _core.dot(y, known) / product) / product) - known / product
        rows = max(1, BLOCK // len(s))
        for i in range(0, len(s), rows):
            part = slice(i, i + rows)
            inverse[part] += s[part, None] * w + w[part, None] * s
        state.numbers["updates"] += 1

    def _forget(self, state: MethodState) -> bool:
        known = state.numbers["updates"] > 0
        state.numbers["updates"] = 0.0
        return known


def _pair(start: Point, found: Point, s: Array, y: Array) -> float:
    """Write into s how the parameters changed, into y how the gradient did; return their product."""
    np.subtract(found.theta, start.theta, out=s, dtype=np.float64)
    np.subtract(found.gradient, start.gradient, out=y)
    return _core.dot(s, y)
