"""The regressor."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cbp import _core, tables
from cbp.errors import optional
from cbp.sklearn._documentation import documented
from cbp.sklearn._goals import Goal, regression
from cbp.sklearn._labels import flat
from cbp.sklearn._perceptron import Perceptron, _validation_of, can_go_on, keeps
from cbp.sklearn._scikit import RegressorMixin, StrOptions, available_if, checks_parameters
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike
    from cbp.sklearn._progress import Samples


def _explained(y: Array, errors: Array, weight: Array) -> float:
    """Return 1 - (squared errors) / (squared distances from the mean), in sums of fixed order: training stops by it."""
    distances = y - _core.dot(weight, y) / _core.dot(weight, np.ones(len(weight)))
    left, spread = _core.dot(weight, errors * errors), _core.dot(weight, distances * distances)
    return 1 - left / spread if spread else float(left == 0)


@documented(output="that which belongs to the loss")
class CBPRegressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """A multi-layer perceptron that predicts numbers: the parameters of scikit-learn's MLPRegressor, and more.

    Parameters
    ----------
    loss : str, row of `cbp.losses`, or function, default "squared_error"
        "squared_error" is (a - y)**2 / 2, summed over the outputs for the steps and their mean in `loss_`; "poisson"
        the deviance, with an exponential output. Any other loss of cbp serves: huber, ``cbp.losses.quantile(0.9)`` …
        gaussian_nll learns a variance for every prediction.
    hidden_layer_sizes : int, Dense, or sequence of them, default (100,)
        Units of every hidden layer. A `cbp.Dense` says more of its layer: skip connections, a limit of the weights …
    activation : str, row of `cbp.activations`, or a sequence with one for each hidden layer, default "relu"
        Any of cbp's; "logistic" is sigmoid.
    {parameters}
    {beyond}
    scale_targets : {"standard", "minmax", "robust"} or tuple, optional
        Scale the targets within the network; predictions come in their units, losses are those of the scaled ones.

    Attributes
    ----------
    {attributes}

    Notes
    -----
    The same seed and data give the same bits on every machine; they are not scikit-learn's, since weights start
    otherwise. From the same weights, all rows a batch, the losses are scikit-learn's to rounding.

    Examples
    --------
    >>> from cbp.sklearn import CBPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = CBPRegressor(
    ...     hidden_layer_sizes=20,
    ...     learning_rate_init=0.01,
    ...     early_stopping=True,
    ...     scale_inputs="standard",
    ...     scale_targets="standard",
    ...     random_state=0,
    ... )
    >>> model.fit(X, y).score(X, y) > 0.4
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Perceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", *tables.losses}), Row, dict, callable],
        "scale_targets": [StrOptions({"standard", "minmax", "robust"}), tuple, None],
    }
    scale_targets: Any

    def __init__(
        self,
        loss: Any = "squared_error",
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
        out_activation: Any = None,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        init: Any = "auto",
        scale_inputs: Any = None,
        scale_targets: Any = None,
        callbacks: Any = None,
        dtype: Any = None,
    ) -> None:
        keeps(self, locals())

    # ---- what is learned ----

    def _read_targets(self, y: Any, classes: Any, first: bool) -> tuple[Array, Goal]:
        y = flat(y)
        n = 1 if y.ndim == 1 else y.shape[1]
        if not first and n != self.n_outputs_:
            raise ValueError(f"y has {n} targets a row, {self.n_outputs_} were learned before")
        return y, regression(n, self.loss, self.out_activation)

    def _read_held_out(self, y: Any, goal: Goal) -> Array:
        y = flat(y)
        if (1 if y.ndim == 1 else y.shape[1]) != goal.n_targets:
            raise ValueError(f"y_val has the shape {y.shape}, y has {goal.n_targets} targets a row")
        return y

    def _targets(self, truth: Array, goal: Goal, dtype: Any) -> Array:
        return truth

    def _strata(self, truth: Array) -> Array | None:
        return None

    def _judged(self, outputs: Array, samples: Samples, goal: Goal) -> float:
        """Return the share of the variance that is explained."""
        y = samples.truth.reshape(len(samples.truth), -1).astype(np.float64)
        weight = np.ones(len(y)) if samples.weight is None else samples.weight.astype(np.float64)
        scores = [_explained(np.ascontiguousarray(t), t - outputs[:, j], weight) for j, t in enumerate(y.T)]
        return fsum(scores) / len(scores)

    def _offset(self, truth: Array, weight: Array | None, goal: Goal) -> float:
        """Return what the Poisson deviance has more than the loss: y log y - y, summed over the outputs."""
        if self.loss != "poisson" or self.scale_targets is not None:
            return 0.0
        y = truth.astype(np.float64).reshape(len(truth), -1)
        costs = (optional("scipy.special", "cbp.sklearn", "sklearn").xlogy(y, y) - y).sum(axis=1)
        weights = np.ones(len(y)) if weight is None else weight.astype(np.float64)
        mean = fsum((weights * costs).tolist()) / fsum(weights.tolist())
        return float(f"{mean:.13g}")  # the last bits of logarithms depend on the machine, and training stops by losses

    # ---- for users ----

    @available_if(can_go_on)
    @checks_parameters
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
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

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit` does.

        Notes
        -----
        With `early_stopping` the score of `X_val`, or of a share of the rows, is followed from call to call; the same
        rows give the same share. Once it has not become better for too long, the best weights are put back and
        `stopped_` says "validation score": ``while not model.stopped_: model.partial_fit(X, y)``.
        """
        validation = _validation_of(X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, piecewise=True)

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Return the predictions, and how sure they are where that is wanted.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        return_std : bool, default False
            Return standard deviations of new observations beside the predictions: with the loss gaussian_nll those that
            the network has learned; else those of ``model.network_.learn_uncertainty(X, y)``, which comes before.

        Returns
        -------
        y : ndarray, shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the same shape
            Only with `return_std`.

        Raises
        ------
        RuntimeError
            No uncertainty is learned, or the network has changed since.
        """
        outputs = self._outputs(X)
        n = self.n_outputs_
        if not return_std:
            return outputs.ravel() if outputs.shape[1] == 1 else self._shaped(outputs[:, :n])
        if outputs.shape[1] > n:
            return self._shaped(outputs[:, :n]), self._shaped(np.sqrt(outputs[:, n:]))
        std = self.network_.predict(np.asarray(X, self.network_.dtype), return_std=True)[1]
        return self._shaped(outputs), self._shaped(std)

    def _shaped(self, values: Array) -> Array:
        return np.ascontiguousarray(values[:, 0] if self.n_outputs_ == 1 else values)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
