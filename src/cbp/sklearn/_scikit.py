"""All that this package uses of scikit-learn, which is imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cbp.errors import optional

Function = TypeVar("Function", bound=Callable[..., Any])


def _part(name: str) -> Any:
    """Return a module of scikit-learn, or say how to get it."""
    return optional(name, "cbp.sklearn", "sklearn")


_base, _multiclass = _part("sklearn.base"), _part("sklearn.utils.multiclass")
_constraints, _validation = _part("sklearn.utils._param_validation"), _part("sklearn.utils.validation")

BaseEstimator, ClassifierMixin, RegressorMixin = _base.BaseEstimator, _base.ClassifierMixin, _base.RegressorMixin
Interval, Options, StrOptions = _constraints.Interval, _constraints.Options, _constraints.StrOptions

ConvergenceWarning = _part("sklearn.exceptions").ConvergenceWarning
NotFittedError = _part("sklearn.exceptions").NotFittedError
check_random_state = _part("sklearn.utils").check_random_state
compute_sample_weight = _part("sklearn.utils.class_weight").compute_sample_weight
train_test_split = _part("sklearn.model_selection").train_test_split
check_classification_targets, type_of_target = _multiclass.check_classification_targets, _multiclass.type_of_target
check_is_fitted, column_or_1d = _validation.check_is_fitted, _validation.column_or_1d
validate_data = _validation.validate_data
csr_matrix = _part("scipy.sparse").csr_matrix


def checks_parameters(method: Function) -> Function:
    """Let a method check the estimator's parameters first."""
    checked: Function = _base._fit_context(prefer_skip_nested_validation=True)(method)
    return checked


def available_if(condition: Callable[[Any], bool]) -> Callable[[Function], Function]:
    """Let an estimator have a method only if the condition holds for it."""
    decorate: Callable[[Function], Function] = _part("sklearn.utils.metaestimators").available_if(condition)
    return decorate
