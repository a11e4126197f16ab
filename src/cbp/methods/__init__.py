"""Full-batch methods: every step looks at all rows, and at the curvature of the objective.

Given to `fit` as ``optimizer=``, by name or as an object; an epoch is then one step. Method is the base of all,
Objective what they see of a network and its data, MethodState what they remember of a training. `objective` is for
minimisers that are not cbp's.
"""

from cbp.methods._method import Method, MethodState
from cbp.methods._objective import Objective
from cbp.methods.bayesian import BayesianRegularization
from cbp.methods.bridge import NetworkObjective, objective
from cbp.methods.conjugate import ConjugateGradient
from cbp.methods.levenberg import LevenbergMarquardt
from cbp.methods.newton import TruncatedNewton
from cbp.methods.quasi_newton import BFGS, LBFGS
from cbp.methods.scg import SCG

by_name: dict[str, type[Method]] = {
    cls.name: cls
    for cls in (
        LevenbergMarquardt,
        BayesianRegularization,
        SCG,
        ConjugateGradient,
        BFGS,
        LBFGS,
        TruncatedNewton,
    )
}
"""The methods by the names that `fit` knows them by."""

__all__ = [
    "BFGS",
    "LBFGS",
    "SCG",
    "BayesianRegularization",
    "ConjugateGradient",
    "LevenbergMarquardt",
    "Method",
    "MethodState",
    "NetworkObjective",
    "Objective",
    "TruncatedNewton",
    "by_name",
    "objective",
]
