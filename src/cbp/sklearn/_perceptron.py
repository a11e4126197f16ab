"""What classifier and regressor have in common: the parameters, and the way from data to a trained network.

The parts: what is learned is in _goals.py and _labels.py, the network in _networks.py, what trains it in _solvers.py
and _scipy.py, what is noted and when it ends in _progress.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cbp import _core, tables
from cbp._sources import is_mapped, is_sparse
from cbp.callbacks import Callback
from cbp.errors import DivergenceError
from cbp.layers import Dense
from cbp.methods import Method
from cbp.network import Network
from cbp.optimizers import Optimizer
from cbp.sklearn import _scipy
from cbp.sklearn._held_out import part, to_hold_out
from cbp.sklearn._networks import adapted, describe
from cbp.sklearn._progress import Progress, Samples
from cbp.sklearn._scikit import (
    BaseEstimator,
    ConvergenceWarning,
    Interval,
    NotFittedError,
    Options,
    StrOptions,
    check_random_state,
    checks_parameters,
    validate_data,
)
from cbp.sklearn._solvers import NAMES, SCIPY, Rate, is_gradual, solver_of
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike
    from cbp.sklearn._goals import Goal

FLOATS = (np.float64, np.float32)
AUTO_BATCH = 200
HIDDEN = {"logistic", *(row.name for row in tables.activations.values() if not row.row_wise)}
OUTPUTS = {"logistic", *tables.activations}


class Perceptron(BaseEstimator):  # type: ignore[misc]
    """Base of both estimators; not for use by itself."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left"), Dense],
        "activation": [StrOptions(HIDDEN), Row, dict, "array-like"],
        "solver": [StrOptions(NAMES), Optimizer, Method, type],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "out_activation": [StrOptions(OUTPUTS), Row, dict, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "init": [StrOptions({"auto", *tables.initializers}), Row, dict, callable, None],
        "scale_inputs": [StrOptions({"standard", "minmax", "robust"}), tuple, None],
        "callbacks": [Callback, callable, "array-like", None],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: float
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    loss: Any
    out_activation: Any
    dropout: Any
    input_dropout: float
    input_noise: float
    init: Any
    scale_inputs: Any
    callbacks: Any
    dtype: Any

    network_: Network
    loss_: float
    best_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    validation_loss_curve_: Any
    best_validation_score_: Any
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    stopped_: str
    n_features_in_: int
    _no_improvement_count: int
    _best_params: Array | None
    _start: dict[str, Any]

    # ---- what classifier and regressor say ----

    def _read_targets(self, y: Any, classes: Any, first: bool) -> tuple[Array, Goal]:
        """Return targets as scores look at them, and what is to be learned."""
        raise NotImplementedError

    def _read_held_out(self, y: Any, goal: Goal) -> Array:
        """Return targets of rows to validate with, as scores look at them."""
        raise NotImplementedError

    def _targets(self, truth: Array, goal: Goal, dtype: Any) -> Array:
        """Return targets as the network learns them."""
        raise NotImplementedError

    def _strata(self, truth: Array) -> Array | None:
        """Return what a split keeps the proportions of, if anything."""
        raise NotImplementedError

    def _judged(self, outputs: Array, samples: Samples, goal: Goal) -> float:
        """Return the score of some outputs."""
        raise NotImplementedError

    def _class_weights(self, truth: Array) -> Array | None:
        """Return the weight of the class of each row, if there are any."""
        return None

    def _offset(self, truth: Array, weight: Array | None, goal: Goal) -> float:
        """Return what the losses of scikit-learn have more than those of the network."""
        return 0.0

    # ---- training ----

    @checks_parameters
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train a network on the rows, a new one unless `warm_start` is set.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs: arrays, data frames of pandas and Polars, sparse matrices, which stay sparse with every solver that
            takes batches.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: numbers, or classes of any kind, or for several labels a row a matrix of 0 and 1.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, not negative.
        X_val, y_val, sample_weight_val : array-like, optional
            Rows to validate with. Scores and losses of them are noted after every epoch; with `early_stopping` they
            take the place of the share of the training rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            The data or a parameter does not fit, or the training diverged.
        """
        validation = _validation_of(X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, piecewise=False)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation: Any, *, piecewise: bool, classes: Any = None
    ) -> Self:
        goes_on = piecewise or self.warm_start
        first = not (goes_on and "network_" in self.__dict__)
        dtype: Any = FLOATS if self.dtype is None else np.dtype(self.dtype)
        X, y = self._validated(X, y, dtype if first else self.network_.dtype, first)
        truth, goal = self._read_targets(y, classes, first)
        samples = Samples(X, self._targets(truth, goal, X.dtype), truth, self._weights_of(sample_weight, y, X.dtype))
        seed = self._seed() if first else self.network_.seed
        train, held_out = self._divided(samples, goal, validation, seed)
        train = self._weighted(train)
        batch_size = self._batch_size(X.shape[0] if held_out is None else train.X.shape[0], piecewise)
        arguments = describe(self, X.shape[1], goal, X.dtype, seed, self._penalty(train, batch_size))
        if first:
            self._begin(Network(**arguments), goal, goes_on)
        else:
            self.network_ = adapted(self.network_, arguments)
        self._start_record(held_out, first)
        self._train(train, held_out, goal, batch_size, piecewise)
        return self

    def _validated(self, X: Any, y: Any, dtype: Any, first: bool) -> tuple[Any, Any]:
        """Return data as scikit-learn checks them."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=self.__sklearn_tags__().estimator_type == "regressor",
            dtype=dtype,
            order="C",
            reset=first,
        )
        return X, y

    def _weights_of(self, sample_weight: Any, y: Any, dtype: Any) -> Array | None:
        """Return the weights of the samples as an array; one number is that of each."""
        if sample_weight is None:
            return None
        weight, n = np.asarray(sample_weight, dtype), y.shape[0]
        if weight.ndim == 0:
            weight = np.full(n, weight)
        if weight.shape != (n,):
            raise ValueError(f"sample_weight has shape {weight.shape}, expected ({n},): one weight per row")
        return weight

    def _weighted(self, train: Samples) -> Samples:
        """Return rows to train on with the weights of their classes."""
        by_class = self._class_weights(train.truth)
        if by_class is None:
            return train
        weight = by_class if train.weight is None else by_class * train.weight
        return replace(train, weight=weight.astype(train.X.dtype))

    def _seed(self) -> int:
        """Return the seed of the network: `random_state` itself where it is a number."""
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _divided(self, samples: Samples, goal: Goal, validation: Any, seed: int) -> tuple[Samples, Samples | None]:
        """Return the rows to train on, and those to validate with, if there are any."""
        if validation is not None:
            X, y, weight = validation
            X, y = self._validated(X, y, samples.X.dtype, False)
            truth = self._read_held_out(y, goal)
            held_out = Samples(X, self._targets(truth, goal, X.dtype), truth, self._weights_of(weight, y, X.dtype))
            return samples, part(held_out, slice(None), dense=True)
        if not self.early_stopping or self.solver == SCIPY:
            return samples, None
        rows = to_hold_out(len(samples.truth), self.validation_fraction, self._strata(samples.truth), seed)
        return part(samples, rows[0]), part(samples, rows[1], dense=True)

    def _batch_size(self, n: int, piecewise: bool) -> int:
        """Return how many of n rows make a batch."""
        if not is_gradual(self.solver):
            return n
        if self.batch_size == "auto":
            return min(AUTO_BATCH, n)
        if self.batch_size > n and not piecewise:
            warnings.warn(f"batch_size is {self.batch_size}, there are {n} rows: all are one batch", stacklevel=4)
        return min(int(self.batch_size), n)

    def _penalty(self, train: Samples, batch_size: int) -> float:
        """Return alpha as the core wants it: for a sample, where it is meant for a batch of samples of weight 1."""
        if train.weight is None:
            return self.alpha / batch_size
        weight = train.weight.astype(np.float64)
        mean = _core.dot(weight, np.ones(len(weight))) / len(weight)
        return self.alpha / (batch_size * mean) if mean > 0 else 0.0

    def _begin(self, net: Network, goal: Goal, goes_on: bool) -> None:
        """Take a new network, and weights for it that were assigned before, if training is to go on with them."""
        given = self.__dict__.pop("_given", {}) if goes_on else {}
        self.__dict__.pop("_given", None)
        self.network_ = net
        for name, values in given.items():
            setattr(self, name, values)
        self.n_layers_, self.n_outputs_ = len(net.widths), goal.n_targets
        self.out_activation_ = goal.name
        self.t_, self.loss_curve_, self._no_improvement_count = 0, [], 0
        net.metadata |= self._metadata()

    def _metadata(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        return {} if names is None else {"features": names.tolist()}

    def _start_record(self, held_out: Samples | None, first: bool) -> None:
        """Prepare the figures of this training."""
        self.n_iter_, self.stopped_ = 0, ""
        if first:
            self.best_loss_ = self.best_validation_score_ = None
            self.validation_scores_ = self.validation_loss_curve_ = None
            self._best_params = None
        if self.early_stopping and held_out is not None:
            self.best_loss_ = None
            if self.best_validation_score_ is None:
                self.best_validation_score_ = -math.inf
        elif self.best_loss_ is None:
            self.best_loss_, self.best_validation_score_ = math.inf, None
        if held_out is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []

    def _train(self, train: Samples, held_out: Samples | None, goal: Goal, batch_size: int, piecewise: bool) -> None:
        """Run the solver."""
        net, offset = self.network_, self._offset(train.truth, train.weight, goal)
        solver, rate = None, None
        if self.solver != SCIPY:
            goes_on = piecewise and isinstance(net.optimizer, Optimizer)
            solver = net.optimizer if goes_on else solver_of(self)
            if isinstance(solver, Optimizer):
                if not (goes_on and hasattr(self, "_rate_init")):
                    self._rate_init = solver.learning_rate
                rate = Rate(self, solver, self._rate_init)
        progress = Progress(self, goal, len(train.truth), held_out, rate, offset, piecewise)
        callbacks = [progress, *_as_list(self.callbacks)]
        try:
            if solver is None:
                _scipy.minimize(self, net, train, callbacks)
            else:
                self._run(net, train, solver, callbacks, batch_size, piecewise)
        except DivergenceError as error:
            progress.diverged(error)
        except KeyboardInterrupt:
            self.stopped_ = "interrupt"
            warnings.warn("training was interrupted; the weights are those of the last update", stacklevel=4)

    def _run(
        self, net: Network, train: Samples, solver: Any, callbacks: list[Any], batch_size: int, piecewise: bool
    ) -> None:
        X = train.X
        if not is_gradual(self.solver):
            X = X.toarray() if is_sparse(X) else np.array(X) if is_mapped(X) else X
        history = net.fit(
            X,
            train.targets,
            epochs=1 if piecewise else self.max_iter,
            batch_size=batch_size,
            optimizer=solver,
            schedule=self.learning_rate if callable(self.learning_rate) else None,
            sample_weight=train.weight,
            shuffle=self.shuffle,
            callbacks=callbacks,
            progress=False,
        )
        if piecewise or self.stopped_:
            return
        self.stopped_ = history.stopped or ("callback" if self.n_iter_ < self.max_iter else "")
        if not self.stopped_:
            text = f"training made max_iter={self.max_iter} iterations and has not converged yet"
            warnings.warn(text, ConvergenceWarning, stacklevel=6)

    # ---- what is there afterwards ----

    @property
    def _optimizer(self) -> Any:
        """What trains the network."""
        return self.network_.optimizer

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (n_in, n_out): views of the network's, which writing into them changes."""
        return self._views("coefs_")

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        self._assign("coefs_", values)

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer, (n_out,): views of the network's."""
        return self._views("intercepts_")

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        self._assign("intercepts_", values)

    def _views(self, name: str) -> Any:
        own = self.__dict__
        if "network_" in own:
            return [layer.W if name == "coefs_" else layer.b for layer in self.network_.layers]
        if name in own.get("_given", {}):
            return own["_given"][name]
        raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted")

    def _assign(self, name: str, values: Any) -> None:
        """Write weights into the network; or keep them for one to come, where training goes on with them."""
        if "network_" not in self.__dict__:
            self.__dict__.setdefault("_given", {})[name] = values
            return
        views = self._views(name)
        if [np.shape(value) for value in values] != [view.shape for view in views]:
            raise ValueError(f"{name} must have the shapes {[view.shape for view in views]}")
        for view, value in zip(views, values, strict=True):
            view[:] = value

    def _outputs(self, X: Any) -> Array:
        """Return the network's outputs, (m, units)."""
        own = self.__dict__
        try:
            net: Network = own["network_"]
        except KeyError:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first") from None
        if (
            type(X) is np.ndarray
            and X.dtype is net._spec.dtype
            and X.ndim == 2
            and X.shape[1] == own["n_features_in_"]
            and len(X)
            and "feature_names_in_" not in own
        ):
            try:
                return net.predict(X)
            except ValueError:  # NaN or infinity, which scikit-learn has words for
                pass
        X = validate_data(self, X, accept_sparse="csr", dtype=net.dtype, order="C", reset=False)
        return net.predict(X, check_finite=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _validation_of(X: Any, y: Any, weight: Any) -> Any:
    """Return what to validate with, or None."""
    if (X is None) != (y is None):
        raise ValueError("X_val and y_val belong together")
    if X is None and weight is not None:
        raise ValueError("sample_weight_val needs X_val and y_val")
    return None if X is None else (X, y, weight)


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]


def keeps(estimator: Perceptron, arguments: dict[str, Any]) -> None:
    """Make the arguments of a constructor, its `locals()`, the parameters of the estimator."""
    estimator.__dict__.update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})


def can_go_on(estimator: Perceptron) -> bool:
    """Whether `partial_fit` makes sense: with an optimiser, which takes rows as they come."""
    return is_gradual(estimator.solver)
