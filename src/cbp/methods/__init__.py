"""Full-batch methods: every step looks at all rows, and at the curvature of the objective.

Given to `fit` as ``optimizer=``. Method is the base of all, Objective what they see of a network and its data.
"""

from cbp.methods._method import Method, MethodState
from cbp.methods._objective import Objective
from cbp.methods.bridge import NetworkObjective, objective
from cbp.methods.conjugate import ConjugateGradient
from cbp.methods.newton import TruncatedNewton
from cbp.methods.quasi_newton import BFGS, LBFGS
from cbp.methods.scg import SCG

__all__ = [
    "BFGS",
    "LBFGS",
    "SCG",
    "ConjugateGradient",
    "Method",
    "MethodState",
    "NetworkObjective",
    "Objective",
    "TruncatedNewton",
    "objective",
]
