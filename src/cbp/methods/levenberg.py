"""The method of Levenberg and Marquardt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from cbp import _core
from cbp._arguments import positive, real
from cbp.methods._method import Method
from cbp.methods._system import System

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.methods._method import MethodState
    from cbp.methods._objective import Objective

LEAST_MU = 1e-20
"""The damping goes no lower."""


class Damped(Method):
    """What the methods have in common that damp a Gauss-Newton step by mu."""

    mu: float
    mu_dec: float
    mu_inc: float
    mu_max: float
    min_grad: float
    goal: float

    def _checked(self, name: str, value: Any) -> Any:
        """Return the value of an argument, within limits that let every step come to an end."""
        if name in ("mu", "mu_max"):
            return positive(value, name)
        if name == "mu_dec":
            return positive(value, name, below=1.0)
        if name == "mu_inc" and real(value, name) <= 1:
            raise ValueError(f"mu_inc must be greater than 1, not {float(value):g}")
        return super()._checked(name, value)

    def _damping(self, state: MethodState) -> float:
        """Return the damping to begin a step with: that of the step before, if there is one."""
        mu = state.numbers.get("mu", 0.0)
        return mu if mu > 0 else self.mu

    def _over(self, loss: float, norm: float) -> str:
        """Return why there is no point in a step from here, or ""."""
        if 0 <= loss <= self.goal:
            return "goal"
        return "minimum gradient" if norm <= self.min_grad else ""


class LevenbergMarquardt(Damped):
    """Levenberg-Marquardt: Gauss-Newton steps, as long as the objective falls.

    For networks of up to some thousand parameters, and smooth losses, the method that needs the fewest steps. A step
    solves one system of n_params equations, or several where the objective does not fall at once.

    Parameters
    ----------
    mu : float, default 0.001
        Damping of the first step.
    mu_dec, mu_inc : float, default 0.1, 10
        Its factors after a step that lowers the objective, and after a trial that does not.
    mu_max : float, default 1e10
        Training ends where a greater damping would be needed: "maximum mu".
    min_grad : float, default 1e-7
        Training ends where the gradient of the objective is no longer than this: "minimum gradient".
    goal : float, default 0
        Training ends where the objective is from 0 to this: "goal".
    damping : {"factor", "gain", "nielsen"}, default "factor"
        How mu changes after a step: by `mu_dec` always; or by how well the objective fell compared with its model,
        which saves many trials in vain: Fletcher's rule, or Nielsen's. For Nielsen's, mu is in units of the greatest
        entry of the diagonal of W G at the start, and the factors mean nothing.
    max_fail : int or None, default 6
        With validation, training ends after so many steps in a row without a new smallest val_loss; None: never.

    Raises
    ------
    ValueError
        In `fit`: the loss has no curvature (mean_absolute_error, quantile, hinge, a function of your own), or the
        network has dropout, noise or max_norm.
    MemoryError
        In `fit`: two matrices of n_params x n_params doubles cannot be had.

    Notes
    -----
    With the gradient g and the generalised Gauss-Newton matrix G of the objective J, and W, the sum of the sample
    weights where the reduction is "mean" and 1 where it is "sum"::

        (W G + mu I) p = -W g;    theta + p is taken if J falls, and mu = mu_dec mu
                                  else mu = mu_inc mu, and again from the same G

    For half_squared_error W G is the Jacobian's product with itself, as in the paper. Where G is not positive definite,
    mu rises as after a trial in vain. The other rules divide the fall by that of the model, rho = 2 W (J - J') /
    (p (mu p - W g)). Fletcher's: after a step mu = mu_dec mu if rho > 0.75, mu_inc mu if rho < 0.25, else as it was.
    Nielsen's: mu = mu max(1/3, 1 - (2 rho - 1)^3) after a step, else mu = nu mu, with nu = 2, 4, 8 ...

    The History has the columns mu, the damping for the next step, and gradient, the length of g after the step. The
    solve is in float64 for every network; a float32 network ends sooner, where rounding hides the fall: use
    ``dtype="float64"``.

    Hagan and Menhaj, IEEE Transactions on Neural Networks 5 (1994); Levenberg, Quarterly of Applied Mathematics 2
    (1944); Marquardt, SIAM Journal 11 (1963); Fletcher, report AERE-R 6799, Harwell (1971); Nielsen, report
    IMM-REP-1999-05, Technical University of Denmark.

    Examples
    --------
    >>> import cbp
    >>> X = [[-1.0], [-0.5], [0.0], [0.5], [1.0]]
    >>> y = [1.0, 0.25, 0.0, 0.25, 1.0]
    >>> net = cbp.Network([1, 3, 1], activation="tanh", output="identity", dtype="float64", seed=2)
    >>> history = net.fit(X, y, epochs=100, optimizer=cbp.methods.LevenbergMarquardt())
    >>> history.loss[-1] < 1e-12, history.stopped
    (True, 'minimum gradient')
    """

    name = "levenberg_marquardt"
    fields: ClassVar[dict[str, Any]] = {
        "mu": 1e-3,
        "mu_dec": 0.1,
        "mu_inc": 10.0,
        "mu_max": 1e10,
        "min_grad": 1e-7,
        "goal": 0.0,
        "damping": "factor",
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"damping": ("factor", "gain", "nielsen")}
    damping: str

    def begin(self, objective: Objective, state: MethodState) -> float:
        """Make G at the parameters as they are."""
        system = state.cache["system"] = System(objective, type(self).__name__)
        system.take(objective.theta)
        if self.damping == "nielsen" and "mu" not in state.numbers:
            greatest = max(system.G.diagonal().tolist(), default=0.0)
            state.numbers["mu"] = self.mu * objective.weight * greatest or self.mu
        return system.loss

    def step(self, objective: Objective, state: MethodState) -> float:
        """Lower the objective once."""
        system: System = state.cache["system"]
        mu, state.stop = self._damping(state), self._over(system.loss, system.norm)
        if not state.stop:
            mu, found = self._search(objective, system, mu)
            if found is None:
                state.stop = "maximum mu"
            else:
                objective.accept(found)
                state.stop = self._arrive(system, found)
                state.numbers["mu"] = mu
        state.figures = {"mu": mu, "gradient": system.norm}
        return system.loss

    def _arrive(self, system: System, theta: Array) -> str:
        """Be at theta; return why there is no point in a step from there, and make no G where there is none, or ""."""
        if 0 <= system.trial <= self.goal:
            system.glance(theta)
            if reason := self._over(system.loss, system.norm):
                return reason
        system.take(theta)
        return self._over(system.loss, system.norm)

    def _search(self, objective: Objective, system: System, mu: float) -> tuple[float, Array | None]:
        """Return the damping for the step after this, and the point where the objective is less; or none."""
        theta, weight, growth = objective.theta, objective.weight, self.mu_inc
        if self.damping == "nielsen":
            growth = 2.0
        while mu <= self.mu_max:
            p = system.solve(mu / weight, system.gradient)
            if p is not None:
                there = system.moved(theta, p)
                system.trial = objective.loss(there)
                fall = system.loss - system.trial
                if fall > 0:
                    return max(mu * self._factor(system, p, mu / weight, fall), LEAST_MU), there
            mu *= growth
            if self.damping == "nielsen":
                growth *= 2.0
        return mu, None

    def _factor(self, system: System, p: Array, shift: float, fall: float) -> float:
        """Return what the damping is multiplied by after a step -p by which the objective fell so much."""
        if self.damping == "factor":
            return self.mu_dec
        model = 0.5 * (shift * _core.dot(p, p) + _core.dot(p, system.gradient))
        rho = fall / model if model > 0 else math.inf
        if self.damping == "gain":
            return self.mu_dec if rho > 0.75 else self.mu_inc if rho < 0.25 else 1.0
        excess = 2 * min(rho, 1.0) - 1
        return max(1 / 3, 1 - excess * excess * excess)
