"""From the parameters of an estimator to what trains its network, and how the learning rate goes on."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

from cbp import methods, optimizers, tables
from cbp.optimizers import Optimizer
from cbp.schedules import _power

if TYPE_CHECKING:
    from cbp.methods import Method
    from cbp.sklearn._perceptron import Perceptron

SCIPY = "lbfgs"
"""The solver that is SciPy's."""
NAMES = {*tables.optimizers, *methods.by_name}
LEAST_RATE = 1e-6
"""An adaptive learning rate that is no larger is not made smaller any more."""
BELOW_ONE = math.nextafter(1.0, 0.0)


def is_gradual(solver: object) -> bool:
    """Whether a solver can be fed piece by piece: an optimiser, not a method for all rows at once."""
    if isinstance(solver, str):
        return solver in tables.optimizers
    return isinstance(solver, Optimizer) or (isinstance(solver, type) and issubclass(solver, Optimizer))


def solver_of(estimator: Perceptron) -> Optimizer | Method:
    """Return a new optimiser, or the method, that the parameters describe."""
    solver, rate = estimator.solver, estimator.learning_rate_init
    if solver == "sgd":
        momentum = min(estimator.momentum, BELOW_ONE)
        return optimizers.SGD(rate, momentum=momentum, nesterov=estimator.nesterovs_momentum and momentum > 0)
    if solver == "adam":
        return optimizers.AdamHat(rate, estimator.beta_1, estimator.beta_2, estimator.epsilon)
    found = optimizers.get(solver)
    if not isinstance(found, Optimizer):
        return found
    if isinstance(solver, str):
        found.learning_rate = rate
    return copy.copy(found)  # training changes its learning rate


class Rate:
    """How the learning rate of an estimator's optimiser follows the parameter `learning_rate`."""

    def __init__(self, estimator: Perceptron, optimizer: Optimizer, initial: float) -> None:
        self.optimizer, self.initial, self.power = optimizer, initial, estimator.power_t
        self.kind = estimator.learning_rate if estimator.solver != "adam" else "constant"

    def after_epoch(self, seen: int) -> None:
        """Go on to the next epoch, so many samples having been seen."""
        if self.kind == "invscaling":
            self.optimizer.learning_rate = self.initial / _power(seen + 1.0, self.power)

    def gives_way(self) -> bool:
        """Whether a smaller rate may help where the loss falls no more; if so the rate is smaller now."""
        if self.kind != "adaptive" or self.optimizer.learning_rate <= LEAST_RATE:
            return False
        self.optimizer.learning_rate /= 5.0
        return True
