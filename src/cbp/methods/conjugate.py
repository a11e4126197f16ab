"""Conjugate gradients with a line search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cbp import _core
from cbp.methods.line_search import Descent, Point, cautious

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

ORTHOGONAL = 0.2  # share of |g|^2 that the product of two gradients in succession may have: Powell's


class ConjugateGradient(Descent):
    """Conjugate gradients: each direction is the steepest descent and a share of the direction before.

    It keeps one vector as long as the parameters, with powell_beale three; a step takes two or three gradients.

    Parameters
    ----------
    variant : {"polak_ribiere", "fletcher_reeves", "powell_beale"}, default "polak_ribiere"
        How the share is computed: MATLAB's traincgp, traincgf and traincgb.
    c1 : float, default 1e-4
        A step makes J smaller by at least this share of what the slope promises.
    c2 : float, default 0.1
        The slope after a step is at most this share of the one before it.
    min_grad : float, default 1e-10
        Training ends where the gradient of the objective is no longer than this: "minimum gradient".
    max_fail : int or None, default 6
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never.

    Notes
    -----
    With the gradient g, the one before h, the direction before d, and y = g - h, the next direction is -g + share * d::

        polak_ribiere    max(0, g y / h h)
        fletcher_reeves  g g / h h
        powell_beale     g y / d y

    The first two begin again with the steepest descent after as many steps as there are trained parameters.
    powell_beale adds a share of the direction t that the last restart began with, (g u / t u) t, u being the change of
    the gradient along it. It restarts after as many steps, where ``|g h| >= 0.2 g g``, and where a direction's slope is
    not between -1.2 and -0.8 times g g; a restart goes on in the direction -g + share * d and calls d the new t. All
    begin with the steepest descent again where a direction does not lead down. The line search looks for the strong
    Wolfe conditions, and tries first the length by which J would fall as far, to first order, as by the last step.

    The History has the columns gradient, the length of g after the step, step, its length, and evaluations, how many
    gradients it took.

    References
    ----------
    Fletcher and Reeves, The Computer Journal 7, 1964. Polak and Ribiere, Revue francaise d'informatique et de recherche
    operationnelle 3, 1969; without negative shares: Gilbert and Nocedal, SIAM Journal on Optimization 2, 1992. Powell,
    Restart procedures for the conjugate gradient method, Mathematical Programming 12, 1977.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.ConjugateGradient("powell_beale").variant
    'powell_beale'
    """

    name = "conjugate_gradient"
    fields: ClassVar[dict[str, Any]] = {
        "variant": "polak_ribiere",
        "c1": 1e-4,
        "c2": 0.1,
        "min_grad": 1e-10,
    }
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "direction": ("since", "reach"),
        "restart": ("restart_change",),
        "restart_change": ("restart",),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        "variant": ("polak_ribiere", "fletcher_reeves", "powell_beale"),
    }
    variant: str

    def _prepare(self, objective: Objective, state: MethodState) -> None:
        state.cache["trained"] = objective.n_trained
        if "direction" not in state.vectors:
            state.vectors["direction"] = np.zeros(objective.n)
            state.numbers.update(since=0.0, reach=0.0)

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        numbers = state.numbers
        direction = state.vectors["direction"]
        if numbers["since"]:
            slope = _core.dot(direction, here.gradient)
            if slope < 0:
                return direction, numbers["reach"] / -slope
            self._forget(state)
        norm = state.cache["norm"]
        return -here.gradient, numbers["reach"] / (norm * norm) or cautious(norm)

    def _learn(self, state: MethodState, start: Point, found: Point, direction: Array) -> None:
        """Find the next direction. `since` counts those since the restart, `reach` is how far J would have fallen."""
        numbers, vectors = state.numbers, state.vectors
        numbers["reach"] = -start.slope * found.length
        change = found.gradient - start.gradient
        if self.variant == "powell_beale":
            vectors["direction"] = self._beale(state, start, found, direction, change)
            return
        numbers["since"] += 1
        if numbers["since"] >= state.cache["trained"]:
            self._forget(state)
            return
        before = _core.dot(start.gradient, start.gradient)
        if self.variant == "fletcher_reeves":
            share = _core.dot(found.gradient, found.gradient) / before
        else:
            share = max(0.0, _core.dot(found.gradient, change) / before)
        vectors["direction"] = direction * share - found.gradient

    def _beale(self, state: MethodState, start: Point, found: Point, direction: Array, change: Array) -> Array:
        """Return the next direction of Beale's recurrence with Powell's restarts."""
        numbers, vectors, gradient = state.numbers, state.vectors, found.gradient
        square, bend = _core.dot(gradient, gradient), found.slope - start.slope
        if not bend > 0:
            self._forget(state)
            return -gradient
        two = direction * (_core.dot(gradient, change) / bend) - gradient
        numbers["since"] += 1
        far = numbers["since"] >= state.cache["trained"]
        if "restart" in vectors and not far and abs(_core.dot(start.gradient, gradient)) < ORTHOGONAL * square:
            restart, u = vectors["restart"], vectors["restart_change"]
            three = two + restart * (_core.dot(gradient, u) / _core.dot(restart, u))
            if -1.2 * square <= _core.dot(three, gradient) <= -0.8 * square:
                return three
        numbers["since"] = 1.0
        vectors["restart"], vectors["restart_change"] = direction.copy(), change
        return two

    def _forget(self, state: MethodState) -> bool:
        known = state.numbers["since"] > 0
        state.numbers["since"] = 0.0
        state.vectors.pop("restart", None)
        state.vectors.pop("restart_change", None)
        return known
