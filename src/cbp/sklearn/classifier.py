"""The classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cbp import _core, tables
from cbp.sklearn._documentation import documented
from cbp.sklearn._goals import Goal, classification
from cbp.sklearn._labels import Labels, flat
from cbp.sklearn._perceptron import Perceptron, _validation_of, can_go_on, keeps
from cbp.sklearn._scikit import ClassifierMixin, StrOptions, available_if, checks_parameters, compute_sample_weight
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike
    from cbp.sklearn._progress import Samples


def _gives_probabilities(estimator: CBPClassifier) -> bool:
    """Whether the outputs are probabilities."""
    goal = getattr(estimator, "_goal", None) or estimator._goal_for(2, False)
    return bool(goal.is_probable)


def _gives_no_probabilities(estimator: CBPClassifier) -> bool:
    return not _gives_probabilities(estimator)


@documented(
    output="sigmoid for two classes and for several labels a row, softmax for more classes, or that of the loss"
)
class CBPClassifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """A multi-layer perceptron that tells classes apart: the parameters of scikit-learn's MLPClassifier, and more.

    Parameters
    ----------
    hidden_layer_sizes : int, Dense, or sequence of them, default (100,)
        Units of every hidden layer. A `cbp.Dense` says more of its layer: skip connections, a limit of the weights …
    activation : str, row of `cbp.activations`, or a sequence with one for each hidden layer, default "relu"
        Any of cbp's; "logistic" is sigmoid.
    {parameters}
    loss : str, row of `cbp.losses`, or function, default "log_loss"
        "log_loss" is the cross-entropy that belongs to the output. Any other loss of cbp serves, with sigmoid or
        softmax outputs where it takes any; hinge learns -1 and 1, and gives no probabilities.
    class_weight : dict, "balanced" or None, default None
        Weight of every class, 1 where the dict has none; "balanced" is n / (k * count) for k classes. They multiply the
        weights of the training rows, not those of rows held out.
    {beyond}

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels.
    {attributes}

    Notes
    -----
    The same seed and data give the same bits on every machine; they are not scikit-learn's, since weights start
    otherwise. From the same weights, all rows a batch, the losses are scikit-learn's to rounding.

    Examples
    --------
    >>> from cbp.sklearn import CBPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = CBPClassifier(20, "tanh", solver="lbfgs", scale_inputs="standard", random_state=0).fit(X, y)
    >>> model.predict(X[:3]), model.score(X, y) > 0.95
    (array([0, 0, 0]), True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Perceptron._parameter_constraints,
        "loss": [StrOptions({"log_loss", "squared_error", *tables.losses}), Row, dict, callable],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }
    classes_: Array
    class_weight: Any
    _labels: Labels
    _goal: Goal

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        out_activation: Any = None,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        init: Any = "auto",
        scale_inputs: Any = None,
        callbacks: Any = None,
        dtype: Any = None,
    ) -> None:
        keeps(self, locals())

    # ---- what is learned ----

    def _goal_for(self, n_classes: int, is_multilabel: bool) -> Goal:
        return classification(n_classes, is_multilabel, self.loss, self.out_activation)

    def _read_targets(self, y: Any, classes: Any, first: bool) -> tuple[Array, Goal]:
        y = flat(y)
        if first:
            self._labels = Labels.of(y, classes)
            self.classes_ = self._labels.classes
        elif classes is not None or not self.warm_start:
            self._require_same(classes)
        elif not self._labels.is_multilabel and not np.array_equal(found := Labels.of(y).classes, self.classes_):
            raise ValueError(f"with warm_start the classes of y must be those of before, {self.classes_}, not {found}")
        self._goal = self._goal_for(len(self.classes_), self._labels.is_multilabel)
        return self._labels.numbers(y), self._goal

    def _read_held_out(self, y: Any, goal: Goal) -> Array:
        return self._labels.numbers(flat(y))

    def _require_same(self, classes: Any) -> None:
        if classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, not {classes}")

    def _targets(self, truth: Array, goal: Goal, dtype: Any) -> Array:
        return self._labels.targets(truth, goal, dtype)

    def _strata(self, truth: Array) -> Array | None:
        """Return the classes, where there are enough rows of each; two must have them."""
        if self._labels.is_multilabel:
            return None
        if len(self.classes_) <= 2:
            return truth.reshape(-1, 1) == 1
        counts = np.bincount(truth, minlength=len(self.classes_))
        held = int(np.ceil(len(truth) * self.validation_fraction))
        enough = counts[counts > 0].min() >= 2 and len(self.classes_) <= min(held, len(truth) - held)
        return truth if enough else None

    def _judged(self, outputs: Array, samples: Samples, goal: Goal) -> float:
        """Return the share of rows all of whose labels are found."""
        right = self._labels.found(outputs, goal) == samples.truth
        if right.ndim == 2:
            right = right.all(axis=1)
        if samples.weight is None:
            return int(np.count_nonzero(right)) / len(right)
        weight = samples.weight.astype(np.float64)
        return _core.dot(weight, right.astype(np.float64)) / _core.dot(weight, np.ones(len(weight)))

    def _class_weights(self, truth: Array) -> Array | None:
        if self.class_weight is None:
            return None
        labels = truth.astype(int) if self._labels.is_multilabel else self.classes_[truth]
        weights: Array = compute_sample_weight(self.class_weight, labels)
        return weights

    def _metadata(self) -> dict[str, Any]:
        plain = all(isinstance(name, bool | int | float | str) for name in self.classes_.tolist())
        names = self.classes_.tolist() if plain else list(map(str, self.classes_))
        return super()._metadata() | {"classes": names}

    # ---- for users ----

    @available_if(can_go_on)
    @checks_parameters
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Make one epoch over these rows with the network as it is, a new one at the first call.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val
            As for `fit`.
        classes : array-like of shape (n_classes,), optional
            All classes that will ever come; needed at the first call, unless rows have several labels.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit` does; or there are other classes than those of the first call.

        Notes
        -----
        With `early_stopping` the score of `X_val`, or of a share of the rows, is followed from call to call; the same
        rows give the same share. Once it has not become better for too long, the best weights are put back and
        `stopped_` says "validation score": ``while not model.stopped_: model.partial_fit(X, y, classes=classes)``.
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' needs all rows at once: give partial_fit a dict")
        if classes is None and "network_" not in self.__dict__ and np.ndim(y) < 2:
            raise ValueError("the first call of partial_fit needs classes: all labels that will come")
        validation = _validation_of(X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, piecewise=True, classes=classes)

    def predict(self, X: ArrayLike) -> Any:
        """Return the likeliest class of every row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_labels)
            Classes; of several labels a row, 0 and 1, sparse if those of `fit` were.
        """
        outputs = self._outputs(X)
        return self._labels.named(self._labels.found(outputs, self._goal))

    @available_if(_gives_probabilities)
    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of every class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        outputs = self._outputs(X)
        return self._labels.shares(outputs, self._goal)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Return the logarithm of the probability of every class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        outputs = self._outputs(X)
        if self._goal.rows[0].name == "log_softmax":
            return outputs
        with np.errstate(divide="ignore"):
            return np.log(self._labels.shares(outputs, self._goal))

    @available_if(_gives_no_probabilities)
    def decision_function(self, X: ArrayLike) -> Array:
        """Return the outputs, where they are no probabilities: the greater, the likelier the class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_classes)
            One output for two classes, that of the second.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._goal.units == 1 and not self._labels.is_multilabel else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
