"""Full-batch methods: every step looks at all rows, and at the curvature of the objective.

Given to `fit` as ``optimizer=``, by name or as an object; an epoch is then one step. Method is the base of all,
Objective what they see of a network and its data, MethodState what they remember of a training.
"""

from cbp.methods._method import Method, MethodState
from cbp.methods._objective import Objective
from cbp.methods.bayesian import BayesianRegularization
from cbp.methods.levenberg import LevenbergMarquardt

by_name: dict[str, type[Method]] = {cls.name: cls for cls in (LevenbergMarquardt, BayesianRegularization)}
"""The methods by the names that `fit` knows them by."""

__all__ = ["BayesianRegularization", "LevenbergMarquardt", "Method", "MethodState", "Objective", "by_name"]
