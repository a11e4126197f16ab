"""What an estimator notes after every epoch, and when it stops: the rules of scikit-learn's multi-layer perceptrons."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp.callbacks import Callback, FitState
from cbp.errors import DivergenceError
from cbp.sklearn._scikit import ConvergenceWarning

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.network import Network
    from cbp.sklearn._goals import Goal
    from cbp.sklearn._perceptron import Perceptron
    from cbp.sklearn._solvers import Rate


@dataclass(frozen=True)
class Samples:
    """Inputs (m, n_0); targets as the network learns them, and as scores look at them; weights (m,) or None."""

    X: Any
    targets: Array
    truth: Array
    weight: Array | None

    def take(self, rows: Any) -> Samples:
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        return Samples(self.X[rows], self.targets[rows], self.truth[rows], weight)


class Progress(Callback):
    """Notes what an estimator shows of its training, and stops it.

    Parameters
    ----------
    estimator : Perceptron
    goal : Goal
    n : int
        Samples of an epoch.
    held_out : Samples or None
        What to validate with.
    rate : Rate or None
        Of an optimiser; a method, which has none, stops by rules of its own.
    offset : float
        What the estimator's losses have more than the network's.
    piecewise : bool
        Whether this epoch is one of many that the user asks for one by one.
    """

    def __init__(
        self,
        estimator: Perceptron,
        goal: Goal,
        n: int,
        held_out: Samples | None,
        rate: Rate | None,
        offset: float,
        piecewise: bool,
    ) -> None:
        self.estimator, self.goal, self.n, self.held_out, self.rate = estimator, goal, n, held_out, rate
        self.offset, self.piecewise = offset, piecewise
        self.stops_early = estimator.early_stopping and held_out is not None

    def on_fit_begin(self, state: FitState) -> None:
        """Look at the penalties, which are part of the losses, and at the parameters, which may stay the best."""
        self.penalty = self._penalty(state.network)
        self.estimator._best_params = getattr(self.estimator, "_best_params", None)
        if self.stops_early and self.estimator._best_params is None:
            self.estimator._best_params = state.network.params.copy()

    def on_epoch_end(self, state: FitState) -> None:
        """Note, validate, count, perhaps stop."""
        own = self.estimator
        if self.rate is None:
            self.penalty = self._penalty(state.network)  # a method tells the loss after its step
        own.loss_ = self.shown(state.logs["loss"])
        self.penalty = self._penalty(state.network)
        own.n_iter_ += 1
        own.t_ += self.n
        own.loss_curve_.append(own.loss_)
        if own.verbose:
            print(f"Iteration {own.n_iter_}, loss = {own.loss_:.8f}")
        if self.held_out is not None:
            self._validate(state, self.held_out)
        self._count(state)
        if self.rate is not None:
            self.rate.after_epoch(own.t_)
        if self._is_tired():
            self._stop(state)

    def on_fit_end(self, state: FitState) -> None:
        """Put the best parameters back, where training is over."""
        if self.stops_early and not self.piecewise:
            self._restore(state.network)

    def _restore(self, net: Network) -> None:
        if self.estimator._best_params is not None:
            net.params[:] = self.estimator._best_params
        self.estimator._best_params = None

    def diverged(self, error: DivergenceError) -> None:
        """Take note of a training that left the finite range: an error, unless there are parameters to go back to."""
        own = self.estimator
        if not self.stops_early:
            raise ValueError(
                f"the weights left the finite range: {error}. Large values in the data need to be scaled first"
            ) from error
        own.n_iter_ += 1
        own.loss_ = math.nan
        own.loss_curve_.append(math.nan)
        for curve in (own.validation_scores_, own.validation_loss_curve_):
            curve.append(math.nan)
        own.stopped_ = "divergence"
        warnings.warn(f"{error}; the best weights before are kept", ConvergenceWarning, stacklevel=2)

    def shown(self, loss: float) -> float:
        """Return the loss as the estimator shows it, for that of the network."""
        if self.goal.share != 1:
            loss = (loss - self.penalty) * self.goal.share + self.penalty
        return loss + self.offset

    def _penalty(self, net: Network) -> float:
        """Return what the weights cost, where it has to be known apart."""
        if self.goal.share == 1:
            return 0.0
        total = 0.0
        for layer, dense in zip(net.layers, net._spec.layers, strict=True):
            w = layer.W.astype(np.float64).ravel()
            total += dense.l2 / 2 * _core.dot(w, w) + (dense.l1 * math.fsum(np.abs(w).tolist()) if dense.l1 else 0.0)
        return total

    def _validate(self, state: FitState, held_out: Samples) -> None:
        own, net = self.estimator, state.network
        outputs = net.predict(held_out.X, check_finite=False)
        finite = bool(np.isfinite(outputs).all())
        score = own._judged(outputs, held_out, self.goal) if finite else math.nan
        loss = net.loss(held_out.X, held_out.targets, held_out.weight, check_finite=False)
        figures = {"val_loss": self.shown(loss), "val_score": score}
        state.logs.update(figures)
        state.history.append(figures)
        own.validation_loss_curve_.append(figures["val_loss"])
        own.validation_scores_.append(score)
        if own.verbose:
            print(f"Validation score: {score:f}")

    def _count(self, state: FitState) -> None:
        """Count the epochs in a row that brought nothing."""
        own = self.estimator
        if self.stops_early:
            score = own.validation_scores_[-1]
            tired = score < own.best_validation_score_ + own.tol
            if score > own.best_validation_score_:
                own.best_validation_score_ = score
                own._best_params = state.network.params.copy()
        else:
            tired = own.loss_ > own.best_loss_ - own.tol
            own.best_loss_ = min(own.best_loss_, own.loss_)
        own._no_improvement_count = own._no_improvement_count + 1 if tired else 0

    def _is_tired(self) -> bool:
        """Whether that is more than enough; a method goes on until it is over itself, or the validation says so."""
        applies = self.stops_early or self.rate is not None
        return applies and self.estimator._no_improvement_count > self.estimator.n_iter_no_change

    def _stop(self, state: FitState) -> None:
        """Stop, or go on with a smaller learning rate."""
        own = self.estimator
        what = "validation score" if self.stops_early else "training loss"
        smaller = self.rate is not None and self.rate.gives_way()
        if own.verbose:
            then = f"learning rate {self.rate.optimizer.learning_rate:g}" if smaller and self.rate else "stopping"
            print(f"No better {what} by {own.tol:g} in {own.n_iter_no_change} epochs: {then}.")
        if smaller:
            own._no_improvement_count = 0
            return
        own.stopped_, state.stop = what, True
        if self.piecewise:
            own._no_improvement_count = 0
            if self.stops_early:
                self._restore(state.network)
