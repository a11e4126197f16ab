"""The solver lbfgs: SciPy's L-BFGS-B on the objective of the network."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._sources import is_mapped, is_sparse
from cbp.callbacks import CallbackList, FitState
from cbp.errors import DivergenceError, optional
from cbp.history import History
from cbp.sklearn._scikit import ConvergenceWarning

if TYPE_CHECKING:
    from cbp.network import Network
    from cbp.sklearn._perceptron import Perceptron
    from cbp.sklearn._progress import Samples

CONVERGED, LIMIT, STUCK = 0, 1, 2
"""Why SciPy stopped, by its status: the iterations or evaluations are used up; the search found no better point."""


def minimize(estimator: Perceptron, net: Network, train: Samples, callbacks: list[Any]) -> None:
    """Train the network; the callbacks see every iteration as an epoch."""
    from cbp.methods import objective

    search = optional("scipy.optimize", "the solver lbfgs", "sklearn").minimize
    X = train.X.toarray() if is_sparse(train.X) else np.array(train.X) if is_mapped(train.X) else train.X
    if net._spec.scales and not net._reader.numbers():
        net.learn_scaling(X, train.targets)
    function = objective(net, X, train.targets, train.weight)
    state = FitState(net, estimator.max_iter, History())
    followers = CallbackList(callbacks, False)

    def after_iteration(intermediate_result: Any) -> None:
        function.accept(intermediate_result.x)
        state.epoch += 1
        state.logs = {"loss": float(intermediate_result.fun)}
        state.history.append(state.logs)
        followers.on_epoch_end(state)
        if state.stop:
            raise StopIteration

    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    followers.on_fit_begin(state)
    try:
        start = function.theta.astype(np.float64)
        if not math.isfinite(function(start)[0]):
            raise DivergenceError(len(net.layers), start=True)
        result = search(function, start, jac=True, method="L-BFGS-B", callback=after_iteration, options=options)
        function.accept(result.x)
    finally:
        followers.on_fit_end(state)
    if not np.isfinite(net.params).all():
        raise DivergenceError(len(net.layers))
    _note(estimator, result, followers.callbacks[0])


def _note(estimator: Perceptron, result: Any, progress: Any) -> None:
    """Note how the search ended."""
    estimator.n_iter_ = min(int(result.nit), estimator.max_iter)
    if not estimator.loss_curve_:
        estimator.loss_ = progress.shown(float(result.fun))
    if result.status in (LIMIT, STUCK):
        text = f"the solver lbfgs has not converged after {estimator.n_iter_} iterations: {result.message}"
        warnings.warn(text, ConvergenceWarning, stacklevel=7)
    elif not estimator.stopped_:
        estimator.stopped_ = "converged" if result.status == CONVERGED else "callback"
