"""Bayesian regularisation: Levenberg-Marquardt that finds the penalty on the weights by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from cbp import _core
from cbp.methods._system import System
from cbp.methods.levenberg import LEAST_MU, Damped

if TYPE_CHECKING:
    from cbp._spec import Spec
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective


class _Place(NamedTuple):
    """Parameters, those of them that are trained in float64, E_D and E_W."""

    theta: Array
    w: Array
    errors: float
    weights: float


class BayesianRegularization(Damped):
    """Bayesian regularisation: Levenberg-Marquardt with a penalty on the weights that the data themselves set.

    It needs no validation data, and tells how many parameters the data determine. For squared errors and networks of
    up to some thousand parameters; targets and inputs should be scaled.

    Parameters
    ----------
    mu : float, default 0.005
        Damping of the first step.
    mu_dec, mu_inc : float, default 0.1, 10
        Its factors after a step that lowers F, and after a trial that does not.
    mu_max : float, default 1e10
        Training ends where a greater damping would be needed: "maximum mu".
    min_grad : float, default 1e-7
        Training ends where the gradient of F is no longer than this: "minimum gradient".
    goal : float, default 0
        Training ends where the objective is from 0 to this: "goal".
    max_fail : int or None, default None
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never, for
        the penalty takes the place of a validation stop.

    Raises
    ------
    ValueError
        In `fit`: the loss is not half_squared_error or mean_squared_error; or the network has heads, penalties l1 or l2
        of its own, dropout, noise or max_norm.
    MemoryError
        In `fit`: three matrices of n_params x n_params doubles cannot be had.

    Notes
    -----
    With the errors e, the n of them that count (their sample weights s summed; missing targets are none), and the N
    trained parameters w, biases too::

        E_D = sum s e^2,   E_W = sum w^2,   F = beta E_D + alpha E_W,   J_e the Jacobian of e
        (beta J_e^T s J_e + (alpha + mu) I) p = -(beta J_e^T s e + alpha w)
                                         w + p is taken if F falls: see LevenbergMarquardt
        gamma = N - 2 alpha tr(H^-1),    H = 2 beta J_e^T s J_e + 2 alpha I, where w is now
        alpha = gamma / (2 E_W),         beta = (n - gamma) / (2 E_D)

    At the start gamma = N, and beta = 1 where that leaves nothing. The noise in the targets has the variance
    1 / (2 beta). Where H is not positive definite gamma stays what it is.

    The History has the columns mu; gradient, the length of that of F; gamma, the effective number of parameters; alpha;
    beta; and evidence, the logarithm of the probability of the targets given the alpha and beta that the step was made
    with, by which networks of different sizes can be compared (MacKay's, in the convention above)::

        log p = -F - log det(H) / 2 + N / 2 log(2 alpha) + n / 2 log(beta / pi)

    gamma, alpha and beta are kept with the network, in `Network.method_state`. `loss` is the objective J, without
    alpha E_W.

    Foresee and Hagan, ICNN 1997; MacKay, Neural Computation 4 (1992), 415 and 448.

    Examples
    --------
    >>> import cbp
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 21)[:, None]
    >>> y = np.sin(3 * X) + 0.1 * np.cos(40 * X)
    >>> net = cbp.Network([1, 8, 1], activation="tanh", output="identity", dtype="float64", seed=0)
    >>> history = net.fit(X, y, epochs=300, optimizer=cbp.methods.BayesianRegularization())
    >>> net.n_params, round(history.gamma[-1])
    (25, 7)
    """

    name = "bayesian_regularization"
    fields: ClassVar[dict[str, Any]] = {
        "mu": 5e-3,
        "mu_dec": 0.1,
        "mu_inc": 10.0,
        "mu_max": 1e10,
        "min_grad": 1e-7,
        "goal": 0.0,
        "max_fail": None,
    }

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Make G at the parameters as they are, and alpha and beta where there are none."""
        who = type(self).__name__
        squares = _squares(objective.net._spec, who)
        system = state.cache["system"] = System(objective, who, matrices=3)
        state.cache["scale"] = squares * objective.weight  # E_D is so many times J
        state.cache["count"] = _count(objective)
        self._move(objective, state, objective.theta)
        numbers = state.numbers
        if not all(numbers.get(name, -1.0) > 0 for name in ("alpha", "beta", "gamma")):
            numbers.update(gamma=float(system.n), alpha=1.0, beta=1.0)
            _estimate(state)
        state.cache["norm"] = _norm(state)
        return system.loss

    def step(self, objective: Objective, state: MethodState) -> float:
        """Lower F once, and estimate alpha and beta anew."""
        system: System = state.cache["system"]
        mu = self._damping(state)
        state.stop = self._over(system.loss, state.cache["norm"])
        if not state.stop:
            mu, found = self._search(objective, state, mu)
            if found is None:
                state.stop = "maximum mu"
            else:
                objective.accept(found.theta)
                self._move(objective, state, found.theta)
                state.numbers["mu"] = mu
        factor = system.factor(state.numbers["alpha"] / _times(state))
        evidence = _evidence(state, factor)
        if not state.stop:
            _effective(state, factor)
            _estimate(state)
            state.cache["norm"] = _norm(state)
            state.stop = self._over(system.loss, state.cache["norm"])
        shown = {name: state.numbers[name] for name in ("gamma", "alpha", "beta")}
        state.figures = {"mu": mu, "gradient": state.cache["norm"], **shown, "evidence": evidence}
        return system.loss

    def _move(self, objective: Objective, state: MethodState, theta: Array) -> None:
        """Be at theta: G and gradient of J, E_D and E_W there."""
        system: System = state.cache["system"]
        system.take(theta)
        state.cache["place"] = _place(state, theta, system.loss)

    def _search(self, objective: Objective, state: MethodState, mu: float) -> tuple[float, _Place | None]:
        """Return the damping for the step after this, and a place where F is less; or none."""
        system, here = state.cache["system"], state.cache["place"]
        alpha, times = state.numbers["alpha"], _times(state)
        right = system.gradient + here.w * (alpha / times)
        now = _F(state, here)
        while mu <= self.mu_max:
            p = system.solve((alpha + mu) / times, right)
            if p is not None:
                theta = system.moved(here.theta, p)
                there = _place(state, theta, objective.loss(theta))
                if _F(state, there) < now:
                    return max(mu * self.mu_dec, LEAST_MU), there
            mu *= self.mu_inc
        return mu, None


def _squares(spec: Spec, who: str) -> float:
    """Return how many times the cost of a sample its squared errors are."""
    squares = {"half_squared_error": 2.0, "mean_squared_error": float(spec.n_out)}
    if spec.heads is not None or spec.loss.name not in squares:
        raise ValueError(f"{who} is for the losses half_squared_error and mean_squared_error, not for {spec.loss}")
    if any(layer.l1 or layer.l2 for layer in spec.layers):
        raise ValueError(f"{who} finds the penalty on the weights by itself: leave l1 and l2 out")
    return squares[spec.loss.name]


def _count(objective: Objective) -> float:
    """Return how many errors count: the sum of the sample weights of all targets that are there."""
    _, y, weight = objective.samples
    known = np.count_nonzero(~np.isnan(y), axis=1).astype(np.float64)
    return _core.dot(known, np.ones(len(known)) if weight is None else weight.astype(np.float64))


def _place(state: MethodState, theta: Array, loss: float) -> _Place:
    system: System = state.cache["system"]
    w = theta if system.places is None else theta[system.places]
    w = w.astype(np.float64)
    return _Place(theta, w, state.cache["scale"] * loss, _core.dot(w, w))


def _F(state: MethodState, place: _Place) -> float:
    return state.numbers["beta"] * place.errors + state.numbers["alpha"] * place.weights


def _times(state: MethodState) -> float:
    """Return how many times J's G is beta J_e^T s J_e: half of what it is of the Hessian of beta E_D."""
    return float(0.5 * state.numbers["beta"] * state.cache["scale"])


def _norm(state: MethodState) -> float:
    """Return the length of the gradient of F."""
    system, place, times = state.cache["system"], state.cache["place"], 2 * _times(state)
    gradient = system.gradient * times + place.w * (2 * state.numbers["alpha"])
    return math.sqrt(_core.dot(gradient, gradient))


def _effective(state: MethodState, factor: Array | None) -> None:
    """Make gamma, with alpha and beta as they are, where H is positive definite."""
    if factor is not None:
        n, share = len(factor), state.numbers["alpha"] / _times(state)
        trace = _core.dot(_core.cholesky_inverse(factor).diagonal().copy(), np.ones(n))
        state.numbers["gamma"] = n - share * trace


def _evidence(state: MethodState, factor: Array | None) -> float:
    """Return the logarithm of the evidence for alpha and beta; NaN where H is not positive definite."""
    if factor is None:
        return math.nan
    alpha, beta, n = state.numbers["alpha"], state.numbers["beta"], state.cache["count"]
    # H is 2 times L L^T; the 2, as often as there are parameters, goes with that of 2 alpha
    determinant = 2 * sum(map(math.log, factor.diagonal().tolist())) + len(factor) * math.log(_times(state))
    prior = len(factor) * math.log(alpha) + n * math.log(beta / math.pi)
    return 0.5 * (prior - determinant) - _F(state, state.cache["place"])


def _estimate(state: MethodState) -> None:
    """Make alpha and beta from gamma; one that does not come out as a number greater than 0 stays what it is."""
    numbers, place = state.numbers, state.cache["place"]
    gamma, n = numbers["gamma"], state.cache["count"]
    for name, over, under in (("alpha", gamma, place.weights), ("beta", n - gamma, place.errors)):
        found = over / (2 * under) if under > 0 else 1.0
        if 0 < found < math.inf:
            numbers[name] = found
