"""Networks of scikit-learn, both ways: its multi-layer perceptrons and linear models, in pipelines with scalers.

`HIDDEN` and `OUTPUTS` say what the activations are called there; `READERS` how a scaler is read. What is found becomes
steps (_steps.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional
from cbp.io._mlp import HIDDEN, OUTPUTS, PURPOSE, to_estimator
from cbp.io._steps import Activation, Affine, Step, Weights, assemble
from cbp.network import Network
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import Array, DTypeLike

__all__ = ["from_estimator", "to_estimator"]

LINEAR = {
    **dict.fromkeys(("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV"), "identity"),
    **dict.fromkeys(("ElasticNet", "ElasticNetCV"), "identity"),
    **dict.fromkeys(("SGDRegressor", "HuberRegressor", "BayesianRidge", "ARDRegression", "LinearSVR"), "identity"),
    **dict.fromkeys(("MultiTaskLasso", "MultiTaskElasticNet"), "identity"),
    "PoissonRegressor": "exp",
    "LogisticRegression": "softmax",
    "LogisticRegressionCV": "softmax",
}
"""Linear models: networks of one layer with this activation, sigmoid in the place of softmax for two classes."""


def _standard(scaler: Any) -> Affine:
    center = scaler.mean_ if scaler.with_mean else 0.0
    return Affine("StandardScaler", center, scaler.scale_ if scaler.with_std else 1.0)


def _minmax(scaler: Any) -> Affine:
    return Affine("MinMaxScaler", factor=scaler.scale_, shift=scaler.min_)


def _maxabs(scaler: Any) -> Affine:
    return Affine("MaxAbsScaler", scale=scaler.scale_)


def _robust(scaler: Any) -> Affine:
    center = scaler.center_ if scaler.with_centering else 0.0
    return Affine("RobustScaler", center, scaler.scale_ if scaler.with_scaling else 1.0)


READERS: dict[str, Callable[[Any], Affine]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _minmax,
    "MaxAbsScaler": _maxabs,
    "RobustScaler": _robust,
}


def from_estimator(estimator: Any, *, dtype: DTypeLike | None = None) -> Network:
    """Make a network that predicts what an estimator of scikit-learn does.

    Parameters
    ----------
    estimator : fitted estimator
        MLPClassifier, MLPRegressor, a linear model (LogisticRegression, LinearRegression, Ridge, Lasso, ElasticNet,
        PoissonRegressor and their like), or one of cbp.sklearn; alone, at the end of a Pipeline of StandardScaler,
        MinMaxScaler, MaxAbsScaler and RobustScaler, within a TransformedTargetRegressor with these, or found by a
        search such as GridSearchCV. It is not changed.
    dtype : "float32" or "float64", optional
        Default: that of the coefficients.

    Returns
    -------
    Network
        Its outputs are those of ``predict_proba``, with two classes the column of the second alone, or those of
        ``predict`` of a regressor, (m, 1) where that is (m,). Scalers are the scaling of its inputs and targets. The
        classes are in ``metadata["classes"]``, the names of the columns, if there are any, in ``metadata["features"]``.

    Raises
    ------
    ValueError
        There is something that no network of cbp has: the message names it.
    TypeError
        It is no estimator.
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    ImportError
        scikit-learn is not installed.

    Examples
    --------
    >>> import cbp
    >>> from sklearn.linear_model import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0]], ["no", "yes", "yes"])
    >>> net = cbp.io.sklearn.from_estimator(model)
    >>> print(net, net.metadata)
    Network(1 > 1 sigmoid, binary_cross_entropy, float64): 2 parameters {'classes': ['no', 'yes']}
    """
    validation = optional("sklearn.utils.validation", PURPOSE, "sklearn")
    if isinstance(estimator, Network):
        raise TypeError("this is a network of cbp already, no estimator; cbp.io.sklearn.to_estimator makes one of it")
    validation.check_is_fitted(estimator)
    found = _Found()
    found.open(estimator)
    net = found.network(dtype)
    if found.classes is not None:
        net.metadata["classes"] = np.asarray(found.classes).tolist()
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        net.metadata["features"] = [str(name) for name in names]
    return net


@dataclass
class _Found:
    """What has been found on the way into an estimator."""

    inputs: list[Step] = field(default_factory=list)
    targets: list[Step] = field(default_factory=list)  # what is done to the outputs, in order
    model: list[Step] = field(default_factory=list)
    own: Network | None = None  # that of an estimator of cbp.sklearn
    classes: Any = None

    def open(self, estimator: Any) -> None:
        """Look into an estimator, and those within it."""
        name = _name(estimator)
        if hasattr(estimator, "network_"):
            self.own, self.classes = estimator.network_, getattr(estimator, "classes_", None)
        elif name == "Pipeline":
            self.inputs += [step for _, scaler in estimator.steps[:-1] for step in _scaler(scaler)]
            self.open(estimator.steps[-1][1])
        elif name == "TransformedTargetRegressor":
            self.open(estimator.regressor_)
            self.targets += [_inverse(step) for step in reversed(_scaler(estimator.transformer_))]
        elif hasattr(estimator, "best_estimator_"):
            self.open(estimator.best_estimator_)
        elif name in ("MLPClassifier", "MLPRegressor"):
            self.model, self.classes = _perceptron(estimator), getattr(estimator, "classes_", None)
        elif name in LINEAR:
            self.model, self.classes = _linear(estimator, name), getattr(estimator, "classes_", None)
        else:
            raise ValueError(
                f"{type(estimator).__name__} is no network; cbp reads MLPClassifier, MLPRegressor, "
                f"{', '.join(LINEAR)}, alone, in a Pipeline with scalers, or in a TransformedTargetRegressor"
            )

    def network(self, dtype: DTypeLike | None) -> Network:
        """Return the network."""
        if self.own is None:
            return assemble([*self.inputs, *self.model, *self.targets], "the estimator", dtype=dtype)
        return _rescaled(self.own, self.inputs, self.targets, dtype)


def _name(estimator: Any) -> str:
    """Return the class of scikit-learn that an estimator is, or inherits from; else nothing."""
    for cls in type(estimator).__mro__:
        if cls.__module__.partition(".")[0] == "sklearn":
            return cls.__name__
    return ""


def _scaler(scaler: Any) -> list[Affine]:
    """Return what a scaler does, as steps."""
    if scaler is None or scaler == "passthrough":
        return []
    name = _name(scaler)
    if name == "Pipeline":
        return [step for _, one in scaler.steps for step in _scaler(one)]
    if name == "FunctionTransformer" and scaler.func is None and scaler.inverse_func is None:
        return []
    if name not in READERS:
        raise ValueError(
            f"{type(scaler).__name__} has no counterpart in cbp, which scales every column by itself; it reads "
            f"{', '.join(READERS)}: apply others to the data before"
        )
    if getattr(scaler, "clip", False):
        raise ValueError(f"{name}(clip=True) has no counterpart in cbp, which does not clip")
    return [READERS[name](scaler)]


def _inverse(step: Affine) -> Affine:
    """Return the step that undoes one."""
    return Affine(step.name, step.shift, step.factor, step.scale, step.center)


def _perceptron(estimator: Any) -> list[Step]:
    """Return the layers of a multi-layer perceptron as steps."""
    names = {theirs: row for row, theirs in {**HIDDEN, **OUTPUTS}.items()}
    n = len(estimator.coefs_)
    wanted = [estimator.activation] * (n - 1) + [estimator.out_activation_]
    steps: list[Step] = []
    for number, (W, b, name) in enumerate(zip(estimator.coefs_, estimator.intercepts_, wanted, strict=True), 1):
        steps += [Weights(f"layer {number}", W, b), Activation(f"activation {number}", activations[names[name]])]
    return steps


def _linear(estimator: Any, name: str) -> list[Step]:
    """Return a linear model as steps."""
    output = LINEAR[name]
    W = np.atleast_2d(estimator.coef_).T
    if output == "softmax":
        scheme = getattr(estimator, "multi_class", "auto")
        binary = W.shape[1] == 1
        if (binary and scheme == "multinomial") or (not binary and "ovr" in (scheme, _scheme(estimator))):
            raise ValueError(
                f"{name} with multi_class={scheme!r}, solver={estimator.solver!r} is no softmax of its scores"
            )
        output = "sigmoid" if binary else "softmax"
    b = np.broadcast_to(np.asarray(estimator.intercept_, W.dtype), W.shape[1:])
    return [Weights(name, W, b), Activation(name, activations[output])]


def _scheme(estimator: Any) -> str:
    """Return how the solver of a LogisticRegression tells more than two classes apart."""
    return "ovr" if estimator.solver == "liblinear" else "multinomial"


def _rescaled(net: Network, inputs: Sequence[Step], targets: Sequence[Step], dtype: DTypeLike | None) -> Network:
    """Return a network of cbp that does these steps before and after."""
    if not inputs and not targets and dtype in (None, net.dtype, net.dtype.name):
        return net.copy()
    config = {**net.get_config(), "dtype": net.dtype.name if dtype is None else np.dtype(dtype).name}
    before = _pair(inputs)
    after = _pair([_inverse(step) for step in reversed(targets) if isinstance(step, Affine)])
    for name, known, extra in (
        ("scale_inputs", net.input_scaling, before),
        ("scale_targets", net.target_scaling, after),
    ):
        pairs = [pair for pair in (extra, None if known is None else tuple(known.as_array())) if pair is not None]
        if pairs:
            config[name] = _together(pairs)
    made = Network.from_config(config)
    made.params[:] = net.params
    made.mask = None if net.mask is None else net.mask
    made.metadata.update(net.metadata)
    return made


def _pair(steps: Sequence[Step]) -> tuple[Array, Array] | None:
    """Return center and scale of scalers, one after the other."""
    pairs = [step.as_scaling() for step in steps if isinstance(step, Affine)]
    return _together(pairs) if pairs else None


def _together(pairs: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return center and scale of several scalings, one after the other."""
    center, scale = pairs[0]
    for inner, factor in pairs[1:]:
        center, scale = center + scale * inner, scale * factor
    return center, scale
