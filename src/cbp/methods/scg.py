"""Scaled conjugate gradients: conjugate gradients that need no line search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cbp import _core
from cbp._arguments import positive, real
from cbp.methods._method import Method
from cbp.methods.line_search import Point, along, halted, norm

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

HESSIANS = ("difference", "exact")
WORST = -98.0  # the least comparison that counts: the next step is then a hundredth as long
LEAST = 1e-30  # lambda, which keeps delta from being nothing on a plain
PATIENCE = 20  # steps in succession without a smaller J that are made before training stops


class SCG(Method):
    """Scaled conjugate gradients (Moller's SCG): the whole method as in his paper, and MATLAB's trainscg.

    No line search: the length of a step comes from the second derivative along it, and from a scale lambda that grows
    where that was no good guide. It keeps one vector as long as the parameters; a step takes two gradients. A step that
    would make J greater is not made, and counts as one.

    Parameters
    ----------
    sigma : float, default 5e-5
        Length of the step over which the gradients are compared.
    lambda_ : float, default 5e-7
        Lambda at the beginning.
    hessian : {"difference", "exact"}, default "difference"
        The second derivative from the difference of two gradients, as in the paper, or exact. Exact is better with
        float32.
    min_grad : float, default 1e-6
        Training stops where the gradient is no longer than that.

    Notes
    -----
    Steps 1 to 9 of the paper, with two additions: a comparison parameter below -98, or a J that is not finite, counts
    as -98, so that the next step is a hundredth as long and not nothing; and training stops when 20 steps in succession
    did not make J smaller ("no progress"), or one changes no parameter ("step too small").

    References
    ----------
    Moller, A scaled conjugate gradient algorithm for fast supervised learning, Neural Networks 6, 1993, 525-533.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.SCG(hessian="exact").sigma
    5e-05
    """

    name: ClassVar[str] = "scg"
    fields: ClassVar[dict[str, float | int | str | bool | None]] = {
        "sigma": 5e-5,
        "lambda_": 5e-7,
        "hessian": "difference",
        "min_grad": 1e-6,
    }
    sigma: float
    lambda_: float
    hessian: str
    min_grad: float

    def _checked(self, name: str, value: Any) -> Any:
        if name in ("sigma", "lambda_"):
            return positive(value, name)
        if name == "min_grad":
            return real(value, name, low=0.0)
        if name == "hessian" and value not in HESSIANS:
            raise ValueError(f"hessian must be one of {', '.join(HESSIANS)}, not {value!r}")
        return super()._checked(name, value)

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Evaluate J and its gradient at the network's parameters; return J."""
        theta = objective.theta
        loss, gradient = objective.gradient(theta)
        state.cache.update(
            here=Point(0.0, loss, 0.0, theta, gradient),
            norm=norm(gradient),
            trained=max(1, int(np.count_nonzero(objective.trained))),
        )
        if "direction" not in state.vectors:
            self._restart(state, gradient)
            state.numbers.update({"lambda": self.lambda_, "delta": 0.0, "count": 0.0, "futile": 0.0})
        return loss

    def step(self, objective: Objective, state: MethodState) -> float:
        """Make one iteration of the paper's algorithm; return J after it."""
        here: Point = state.cache["here"]
        numbers = state.numbers
        state.figures = {"gradient_norm": state.cache["norm"], "step_length": 0.0, "lambda": numbers["lambda"]}
        state.stop = halted(here.loss, state.cache["norm"], self.min_grad)
        if state.stop:
            return here.loss
        mu = -_core.dot(state.vectors["direction"], here.gradient)
        if not mu:
            self._restart(state, here.gradient)
            mu = _core.dot(here.gradient, here.gradient)
        numbers["count"] = (numbers["count"] + 1) % state.cache["trained"]
        direction = state.vectors["direction"]
        square = _core.dot(direction, direction)
        numbers["delta"] = self._delta(objective, state, here, square)
        length = mu / numbers["delta"]
        trial = along(objective, here, direction, length)
        promised = 0.5 * length * mu
        state.stop = self._halt(numbers, here, trial, promised)
        if state.stop:
            return here.loss
        comparison = max((here.loss - trial.loss) / promised, WORST) if trial.finite else WORST
        if comparison >= 0:
            state.figures["step_length"] = abs(length) * math.sqrt(square)
            here = self._accept(objective, state, trial, mu)
        self._rescale(numbers, comparison, square)
        state.figures["gradient_norm"], state.figures["lambda"] = state.cache["norm"], numbers["lambda"]
        state.stop = halted(here.loss, state.cache["norm"], self.min_grad)
        return here.loss

    def _delta(self, objective: Objective, state: MethodState, here: Point, square: float) -> float:
        """Return the second derivative along the direction, scaled until it is positive: steps 2 to 4."""
        numbers, direction = state.numbers, state.vectors["direction"]
        delta = numbers["delta"]
        if numbers["success"]:
            if self.hessian == "exact":
                delta = _core.dot(direction, objective.hessian_times(here.theta, direction))
            else:
                sigma = self.sigma / math.sqrt(square)
                _, there = objective.gradient(objective.moved(here.theta, direction * sigma))
                delta = _core.dot(direction, (there - here.gradient) / sigma)
        delta += (numbers["lambda"] - numbers["raised"]) * square
        if delta <= 0:
            numbers["raised"] = 2 * (numbers["lambda"] - delta / square)
            delta = -delta + numbers["lambda"] * square
            numbers["lambda"] = numbers["raised"]
        return delta

    def _halt(self, numbers: dict[str, float], here: Point, trial: Point, promised: float) -> str:
        """Return why no further step is worth making, or ""."""
        if trial.loss < here.loss:
            numbers["futile"] = 0.0
            return ""
        numbers["futile"] += 1
        if not promised > 0 or (trial.loss == here.loss and bool((trial.theta == here.theta).all())):
            return "step too small"
        return "no progress" if numbers["futile"] >= PATIENCE else ""

    def _accept(self, objective: Objective, state: MethodState, trial: Point, mu: float) -> Point:
        """Go to the point that was tried, and find the next direction: step 7."""
        numbers, before, gradient = state.numbers, state.cache["here"].gradient, trial.gradient
        objective.accept(trial.theta)
        state.cache["here"], state.cache["norm"] = trial, norm(gradient)
        if numbers["count"]:
            share = (_core.dot(gradient, gradient) - _core.dot(gradient, before)) / mu
            state.vectors["direction"] = state.vectors["direction"] * share - gradient
            numbers["raised"], numbers["success"] = 0.0, 1.0
        else:
            self._restart(state, gradient)
        return trial

    def _restart(self, state: MethodState, gradient: Array) -> None:
        """Begin again with the steepest descent."""
        state.vectors["direction"] = -gradient
        state.numbers["raised"], state.numbers["success"] = 0.0, 1.0

    def _rescale(self, numbers: dict[str, float], comparison: float, square: float) -> None:
        """Change lambda for the next step: steps 7 and 8."""
        if comparison < 0:
            numbers["raised"], numbers["success"] = numbers["lambda"], 0.0
        if comparison >= 0.75:
            numbers["lambda"] = max(numbers["lambda"] / 4, LEAST)
        if comparison < 0.25:
            numbers["lambda"] += numbers["delta"] * (1 - comparison) / square
