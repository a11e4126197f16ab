"""Truncated Newton: directions from the Newton equations, solved as far as it pays by conjugate gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cbp import _core
from cbp._arguments import whole
from cbp.methods.line_search import Descent, Point

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective


class TruncatedNewton(Descent):
    """Newton's method without its matrix: products of the matrix with vectors are all it needs.

    A step solves H d = -g by conjugate gradients until the rest is shorter than ``min(0.5, sqrt(|g|)) |g|``, and
    searches along d. Near a minimum that converges faster than linearly. It keeps some vectors as long as the
    parameters; each product costs about as much as two gradients.

    Parameters
    ----------
    matrix : {"hessian", "gauss_newton"}, default "hessian"
        H: the second derivatives of J, or the generalised Gauss-Newton matrix, whose curvature is never negative.
    max_inner : int, default 100
        The most products in a step.
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
    Where conjugate gradients meet a direction p without positive curvature, what they have so far is the direction of
    the search (Nocedal and Wright, algorithm 7.1); at the first product that is the steepest descent, p = -g, as long
    as a Newton step would be if the curvature had the other sign. The forcing term is that of Dembo and Steihaug.

    The History has the columns gradient, the length of g after the step, step, its length, evaluations, how many
    gradients it took, and products, how many products of the matrix.

    References
    ----------
    Dembo and Steihaug, Truncated-Newton algorithms for large-scale unconstrained optimization, Mathematical Programming
    26, 1983. Nash, A survey of truncated-Newton methods, Journal of Computational and Applied Mathematics 124, 2000.

    Examples
    --------
    >>> import cbp
    >>> cbp.methods.TruncatedNewton(matrix="gauss_newton").matrix
    'gauss_newton'
    """

    name = "truncated_newton"
    fields: ClassVar[dict[str, Any]] = {
        "matrix": "hessian",
        "max_inner": 100,
        "c1": 1e-4,
        "c2": 0.9,
        "min_grad": 1e-7,
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"matrix": ("hessian", "gauss_newton")}
    matrix: str
    max_inner: int

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument as it is kept."""
        return whole(value, name, 1) if name == "max_inner" else super()._checked(name, value)

    def _direction(self, objective: Objective, state: MethodState, here: Point) -> tuple[Array, float]:
        times = objective.hessian_times if self.matrix == "hessian" else objective.gauss_newton_times
        steepness = state.cache["norm"]
        enough = min(0.5, math.sqrt(steepness)) * steepness
        direction, rest = np.zeros(objective.n), here.gradient.copy()  # rest = H direction + g
        towards = -rest
        square = _core.dot(rest, rest)
        count = 0.0
        while count < self.max_inner and math.sqrt(square) > enough:
            product = times(here.theta, towards)
            bend = _core.dot(towards, product)
            count += 1
            if not bend > 0:
                if count == 1:
                    direction = towards * (square / -bend if bend < 0 else 1.0)
                break
            share = square / bend
            direction += towards * share
            rest += product * share
            before, square = square, _core.dot(rest, rest)
            towards *= square / before
            towards -= rest
        state.figures["products"] = count
        return direction, 1.0

    def _forget(self, state: MethodState) -> bool:
        return True
