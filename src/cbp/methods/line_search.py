"""A search along a line for a point that satisfies the strong Wolfe conditions, and the step built on it.

The searches with a direction (conjugate.py, quasi_newton.py, newton.py) derive from `Descent`: they say where to go,
and what to learn from having gone there. Only +, -, *, / and sqrt, and the core's sums, touch a number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cbp import _core
from cbp._arguments import positive
from cbp.methods._method import Method, MethodState

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._objective import Objective

ROUNDING = 4 * float(np.finfo(np.float64).eps)  # relative differences of J so small say nothing: the slopes do
MOST = 25  # points that a search looks at before it gives up


class Point(NamedTuple):
    """A point on the line: how far along it lies, J, the slope of J along the line, parameters, gradient."""

    length: float
    loss: float
    slope: float
    theta: Array
    gradient: Array

    @property
    def finite(self) -> bool:
        """Whether J and its slope are finite."""
        return self.loss - self.loss == 0 and self.slope - self.slope == 0


def along(objective: Objective, start: Point, direction: Array, length: float) -> Point:
    """Return the point theta + length * direction."""
    return Point(length, *objective.along(start.theta, direction, length))


def strong_wolfe(
    objective: Objective, start: Point, direction: Array, first: float, c1: float, c2: float, most: int = MOST
) -> tuple[Point | None, int]:
    """Search along a line for a point with J <= J0 + c1 t s0 and |s| <= c2 |s0|, s being the slope of J at length t.

    Bracketing and zooming as Nocedal and Wright have them (Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6), as
    one loop: `low` is the best point so far, and J falls from it towards `high`, the other end of the bracket, or
    towards infinity while there is none. A point where J is not finite is an end like one where J is too high.

    Parameters
    ----------
    objective : Objective
        Evaluated by ``along`` alone.
    start : Point
        Where the line begins, with length 0 and a slope less than 0.
    direction : ndarray, shape (n_params,)
        Of the line.
    first : float
        The length to try first.
    c1, c2 : float
        0 < c1 < c2 < 1.
    most : int
        Number of points after which the search gives up.

    Returns
    -------
    Point or None
        The point found. When the search gave up, the best point that satisfies the first condition, or None.
    int
        How many points were looked at.
    """
    low, high, length, width = start, None, first, math.inf
    for count in range(1, most + 1):
        trial = along(objective, start, direction, length)
        enough = trial.loss < start.loss and trial.loss <= start.loss + c1 * length * start.slope
        if not (trial.finite and enough and trial.loss <= low.loss + ROUNDING * abs(low.loss)):
            high = trial
        elif abs(trial.slope) <= -c2 * start.slope:
            return trial, count
        else:
            ahead = 1.0 if high is None else high.length - low.length
            before, low = low, trial
            if trial.slope * ahead >= 0:
                high = before
            elif high is None:
                length += (trial.length - before.length) * (min(max(_lowest(before, trial), 1.1), 10.0) - 1)
                continue
        assert high is not None
        length = low.length + _share(low, high, width) * (high.length - low.length)
        width = abs(high.length - low.length)
    return (low if low.length > 0 else None), most


def _share(low: Point, high: Point, width: float) -> float:
    """Return where between low (0) and high (1) to look next, `width` being that of the bracket before this one."""
    if not high.finite:
        return 0.1
    if abs(high.length - low.length) > 0.7 * width:
        return 0.5
    return min(max(_lowest(low, high), 0.1), 0.9)


def _lowest(a: Point, b: Point) -> float:
    """Return where the cubic through a (at 0) and b (at 1) with their slopes is lowest; infinity where nowhere.

    J falls at a. With f = J_a + g x + p x^2 + q x^3 that is x = -g / (p + r), r^2 = p^2 - 3 g q = (p + g)^2 - g h, h
    being the slope at b.
    """
    width = b.length - a.length
    g, h = a.slope * width, b.slope * width
    p = 3 * (b.loss - a.loss) - 2 * g - h
    square = (p + g) * (p + g) - g * h
    below = p + math.sqrt(square) if square >= 0 else 0.0
    return -g / below if below > 0 else math.inf


class Descent(Method):
    """A method whose steps are line searches. Subclasses say where to go, and what to learn from having gone there."""

    c1: float
    c2: float
    min_grad: float

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Evaluate J and its gradient at the network's parameters; return J."""
        theta = objective.theta
        loss, gradient = objective.gradient(theta)
        state.cache["here"] = Point(0.0, loss, 0.0, theta, gradient)
        state.cache["norm"] = norm(gradient)
        self._prepare(objective, state)
        return loss

    def step(self, objective: Objective, state: MethodState) -> float:
        """Make one step; return J after it.

        Where a search along the method's own direction finds nothing, what was learned is forgotten, and a search along
        the steepest descent is tried. Where that finds nothing either, there is no progress to be made.
        """
        here: Point = state.cache["here"]
        state.figures = {"gradient": state.cache["norm"], "step": 0.0, "evaluations": 0.0}
        state.stop = halted(here.loss, state.cache["norm"], self.min_grad)
        if state.stop:
            return here.loss
        direction, first = self._direction(objective, state, here)
        start, found = self._search(objective, state, here, direction, first)
        if found is None and self._forget(state):
            direction = -here.gradient
            start, found = self._search(objective, state, here, direction, cautious(state.cache["norm"]))
        if found is None:
            state.stop = "no progress"
            return here.loss
        self._learn(state, start, found, direction)
        objective.accept(found.theta)
        state.cache["here"], state.cache["norm"] = Point(0.0, *found[1:]), norm(found.gradient)
        state.figures["gradient"] = state.cache["norm"]
        state.figures["step"] = found.length * norm(direction)
        state.stop = halted(found.loss, state.cache["norm"], self.min_grad)
        return found.loss

    def _search(
        self, objective: Objective, state: MethodState, here: Point, direction: Array, first: float
    ) -> tuple[Point, Point | None]:
        """Return where the line begins, and the point to go to, None where none is found."""
        start = Point(0.0, here.loss, _core.dot(direction, here.gradient), here.theta, here.gradient)
        if not start.slope < 0:
            return start, None
        found, count = strong_wolfe(objective, start, direction, first, self.c1, self.c2)
        state.figures["evaluations"] += count
        return start, found

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        """Make what `state` does not keep, and at the very beginning what it does."""

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        """Return where to go from here, and the multiple of it to try first."""
        raise NotImplementedError

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        """Take note of a step."""

    def _forget(self, state: MethodState) -> bool:
        """Forget what was learned; return whether the direction came from more than the gradient here."""
        raise NotImplementedError

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept."""
        if name in ("c1", "c2"):
            return positive(value, name, below=1.0)
        return super()._checked(name, value)

    def _check(self) -> None:
        """Refuse arguments that do not go together."""
        if self.c1 >= self.c2:
            raise ValueError(f"c1 must be less than c2, {self.c2:g}, not {self.c1:g}")


def norm(vector: Array) -> float:
    """Return the length of a vector."""
    return math.sqrt(_core.dot(vector, vector))


def cautious(steepness: float) -> float:
    """Return the multiple of a gradient of this length to try first while nothing is known of the curvature."""
    return min(1.0, 1.0 / steepness)


def halted(loss: float, steepness: float, min_grad: float) -> str:
    """Return why no step can be made where J and the length of its gradient are these, or ""."""
    if loss - loss != 0 or steepness - steepness != 0:
        return "J or its gradient is not finite"
    return "minimum gradient" if steepness <= min_grad else ""
