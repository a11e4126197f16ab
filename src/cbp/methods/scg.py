"""Scaled conjugate gradients: conjugate gradients that need no line search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cbp import _core
from cbp._arguments import positive
from cbp.methods._method import Method
from cbp.methods.line_search import halted

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

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
        Training ends where the gradient of the objective is no longer than this: "minimum gradient".
    max_fail : int or None, default 6
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never.

    Notes
    -----
    Steps 1 to 9 of the paper, with two additions: a comparison parameter below -98, or a J that is not finite, counts
    as -98, so that the next step is a hundredth as long and not nothing; and training stops when 20 steps in succession
    did not make J smaller ("no progress"), or one changes no parameter ("step too small").

    The History has the columns gradient, the length of the gradient after the step, step, its length, 0 where none was
    made, and lambda, for the next step.

    References
    ----------
    Moller, A scaled conjugate gradient algorithm for fast supervised learning, Neural Networks 6, 1993, 525-533.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.SCG(hessian="exact").sigma
    5e-05
    """

    name = "scg"
    fields: ClassVar[dict[str, Any]] = {
        "sigma": 5e-5,
        "lambda_": 5e-7,
        "hessian": "difference",
        "min_grad": 1e-6,
    }
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "direction": ("lambda", "delta", "count", "futile", "raised", "success")
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"hessian": ("difference", "exact")}
    sigma: float
    lambda_: float
    hessian: str
    min_grad: float

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept."""
        return positive(value, name) if name in ("sigma", "lambda_") else super()._checked(name, value)

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Evaluate J and its gradient at the network's parameters; return J."""
        theta = objective.theta
        loss, gradient = objective.gradient(theta)
        here = _Place(theta, loss, gradient, _core.dot(gradient, gradient))
        state.cache.update(here=here, trained=max(1, objective.n_trained))
        if "direction" not in state.vectors:
            _restart(state, here.gradient)
            state.numbers.update({"lambda": self.lambda_, "delta": 0.0, "count": 0.0, "futile": 0.0})
        return here.loss

    def step(self, objective: Objective, state: MethodState) -> float:
        """Make one iteration of the paper's algorithm; return J after it."""
        here: _Place = state.cache["here"]
        numbers = state.numbers
        state.figures = {"gradient": math.sqrt(here.square), "step": 0.0, "lambda": numbers["lambda"]}
        state.stop = halted(here.loss, math.sqrt(here.square), self.min_grad)
        if state.stop:
            return here.loss
        numbers["count"] = (numbers["count"] + 1) % state.cache["trained"]
        mu = -_core.dot(state.vectors["direction"], here.gradient)
        if not mu:
            _restart(state, here.gradient)
            mu = here.square
        direction = state.vectors["direction"]
        square = _core.dot(direction, direction)
        self._scale(objective, state, here, square)
        length = mu / numbers["delta"]
        loss, _, theta, gradient = objective.along(here.theta, direction, length)
        trial = _Place(theta, loss, gradient, _core.dot(gradient, gradient))
        state.stop = _futile(numbers, here, trial)
        if state.stop:
            return here.loss
        comparison = max(2 * (here.loss - trial.loss) / (length * mu), WORST) if trial.finite else WORST
        if comparison >= 0:
            objective.accept(trial.theta)
            _turn(state, here, trial, mu)
            state.figures["step"] = abs(length) * math.sqrt(square)
            state.figures["gradient"] = math.sqrt(trial.square)
            state.stop = halted(trial.loss, math.sqrt(trial.square), self.min_grad)
        _rescale(numbers, comparison, square)
        state.figures["lambda"] = numbers["lambda"]
        here = state.cache["here"]
        return here.loss

    def _scale(self, objective: Objective, state: MethodState, here: _Place, square: float) -> None:
        """Make delta, the second derivative along the direction, and scale it until it is positive: steps 2 to 4."""
        numbers, direction = state.numbers, state.vectors["direction"]
        delta, scale = numbers["delta"], numbers["lambda"]
        if numbers["success"]:
            if self.hessian == "exact":
                delta = _core.dot(direction, objective.hessian_times(here.theta, direction))
            else:
                sigma = self.sigma / math.sqrt(square)
                there = objective.along(here.theta, direction, sigma)[-1]
                delta = _core.dot(direction, (there - here.gradient) / sigma)
        delta += (scale - numbers["raised"]) * square
        if not delta > 0:
            if delta - delta != 0:  # the gradient is not finite so near
                delta = 0.0
            numbers["raised"] = 2 * (scale - delta / square)
            delta = -delta + scale * square
            numbers["lambda"] = numbers["raised"]
        numbers["delta"] = delta


class _Place(NamedTuple):
    """Parameters, J, its gradient, and the square of the gradient's length."""

    theta: Array
    loss: float
    gradient: Array
    square: float

    @property
    def finite(self) -> bool:
        return self.loss - self.loss == 0 and self.square - self.square == 0


def _restart(state: MethodState, gradient: Array) -> None:
    """Take the steepest descent as the next direction."""
    state.vectors["direction"] = -gradient
    state.numbers.update(raised=0.0, success=1.0)


def _futile(numbers: dict[str, float], here: _Place, trial: _Place) -> str:
    """Return why there is no point in going on, or ""; count the steps that did not make J smaller."""
    if trial.loss < here.loss:
        numbers["futile"] = 0.0
        return ""
    numbers["futile"] += 1
    if trial.loss == here.loss and bool((trial.theta == here.theta).all()):
        return "step too small"
    return "no progress" if numbers["futile"] >= PATIENCE else ""


def _turn(state: MethodState, before: _Place, here: _Place, mu: float) -> None:
    """Take the next direction, and the place it begins from: step 7."""
    state.cache["here"] = here
    if not state.numbers["count"]:
        _restart(state, here.gradient)
        return
    share = (here.square - _core.dot(here.gradient, before.gradient)) / mu
    state.vectors["direction"] = state.vectors["direction"] * share - here.gradient
    state.numbers["raised"], state.numbers["success"] = 0.0, 1.0


def _rescale(numbers: dict[str, float], comparison: float, square: float) -> None:
    """Change lambda for the next step: steps 7 and 8."""
    if comparison < 0:
        numbers["raised"], numbers["success"] = numbers["lambda"], 0.0
    elif comparison >= 0.75:
        numbers["lambda"] = max(numbers["lambda"] / 4, LEAST)
    if comparison < 0.25:
        numbers["lambda"] += numbers["delta"] * (1 - comparison) / square
