"""Training: `fit` and `partial_fit`. The epoch loops here, the step loops in the core."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._arguments import real, whole
from cbp._samples import Samples, split
from cbp._state import State
from cbp.callbacks import CallbackList, FitState
from cbp.errors import diverged
from cbp.history import History

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike, CallbackLike, ClassWeight, OptimizerLike, Schedule

MAX_COUNT = 2**62


class Trainer(State):
    """A network that can train itself."""

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 50,
        batch_size: int = 64,
        optimizer: OptimizerLike | None = None,
        schedule: Schedule | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        validation: float | tuple[Any, ...] | None = None,
        shuffle: bool = True,
        callbacks: CallbackLike | Iterable[CallbackLike] = (),
        progress: bool | None = None,
        check_finite: bool = True,
    ) -> History:
        """Train the network.

        The same seed and data give the same weights, bit for bit, on every machine. A `fit` after a `fit` goes on
        where the first one stopped, optimiser state and order of the rows included.

        Parameters
        ----------
        X : array_like, shape (n, n_0)
            Inputs.
        y : array_like, shape (n, n_L), (n,) if n_L = 1, or (n,) class labels for a softmax output
            Targets.
        epochs : int, default 50
            Passes over the data.
        batch_size : int, default 64
            Rows per update; the last batch of a pass may be smaller.
        optimizer : str, Optimizer or class, optional
            A name or another object than the one in use starts anew; the same object, or None, continues. None at
            the first training means Adam.
        schedule : callable, optional
            From the number of updates made so far with this optimiser to the learning rate of the next; the
            optimiser's own learning rate is not used then. `cbp.schedules` has the usual ones.
        sample_weight : array_like, shape (n,), optional
            Weights of the samples, not negative.
        class_weight : dict or "balanced", optional
            Weight of every class, 1 where the dict has none; "balanced" is n / (k * count) for k classes. They
            multiply the sample weights of the training rows, not those of the validation.
        validation : float or tuple (X, y) or (X, y, sample_weight), optional
            A share of the rows, between 0 and 1, taken away by the seed before training; or data of its own.
        shuffle : bool, default True
            Take the rows in a new random order in every epoch, by the network's seed and epoch counter.
        callbacks : Callback, function, or iterable of them
            Called at the end of every epoch: see `Callback`.
        progress : bool, optional
            Show a bar (tqdm). None shows one if standard error is a terminal and tqdm is installed.
        check_finite : bool, default True
            Look for NaN, infinity and impossible targets first. Turned off, nothing promises a clear error.

        Returns
        -------
        History
            Figures of every epoch.

        Raises
        ------
        ValueError, TypeError
            The data or an argument does not fit the network.
        DivergenceError
            A loss or a parameter left the finite range.
        ImportError
            ``progress=True`` without tqdm.

        Examples
        --------
        >>> import cbp
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> net = cbp.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=1)
        >>> history = net.fit(X, y, epochs=200, batch_size=4, optimizer=cbp.optimizers.Adam(0.05))
        >>> net.predict(X).round().ravel()
        array([0., 1., 1., 0.], dtype=float32)
        """
        epochs = whole(epochs, "epochs", 0, MAX_COUNT)
        samples = Samples(*self._reader.batch(X, y, sample_weight, check_finite))
        train, held_out = split(samples, validation, self._reader, self.seed, check_finite)
        run = _Passes(self, train.weighted(class_weight, self._reader), batch_size, shuffle, schedule)
        followers = CallbackList(callbacks, progress)
        self._use(optimizer)
        state = FitState(self, epochs, History(), schedule)  # type: ignore[arg-type]
        followers.on_fit_begin(state)
        try:
            while state.epoch + 1 < epochs and not state.stop:
                _one_epoch(state, run, held_out)
                followers.on_epoch_end(state)
        finally:
            followers.on_fit_end(state)
        return state.history

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        batch_size: int = 64,
        optimizer: OptimizerLike | None = None,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        check_finite: bool = True,
    ) -> float:
        """Make one pass over the data, bit for bit what one epoch of `fit` does, and keep the optimiser's state.

        Parameters
        ----------
        X, y, batch_size, optimizer, shuffle, sample_weight, class_weight, check_finite
            As for `fit`.

        Returns
        -------
        float
            Loss over the pass, each sample taken by the weights before its batch's update.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            As for `fit`.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", seed=0)
        >>> first = net.partial_fit([[0.0], [1.0]], [1.0, 3.0], optimizer="sgd")
        >>> net.partial_fit([[0.0], [1.0]], [1.0, 3.0]) < first
        True
        """
        samples = Samples(*self._reader.batch(X, y, sample_weight, check_finite))
        run = _Passes(self, samples.weighted(class_weight, self._reader), batch_size, shuffle, None)
        self._use(optimizer)
        return run.one(0)[0]


class _Passes:
    """The passes over one set of samples."""

    def __init__(
        self, net: Trainer, samples: Samples, batch_size: int, shuffle: bool, schedule: Schedule | None
    ) -> None:
        self.net, self.samples, self.shuffle = net, samples, shuffle
        self.n = len(samples.X)
        self.batch_size = min(whole(batch_size, "batch_size", 1), self.n)
        if schedule is not None and not callable(schedule):
            raise TypeError(f"schedule must be a function of the step, not {schedule!r}")
        self.schedule = schedule

    def rates(self) -> Any:
        """Return the learning rate of the coming pass, or that of every batch of it."""
        if self.schedule is None:
            optimizer = self.net._optimizer
            assert optimizer is not None
            return optimizer.learning_rate
        t = self.net._memory.t
        steps = range(t, t - (-self.n // self.batch_size))
        return np.array([real(self.schedule(step), f"schedule({step})", low=0.0) for step in steps])

    def one(self, epoch: int) -> tuple[float, float]:
        """Make one pass; return its loss and the last learning rate. `epoch` is for the error message."""
        net, rates = self.net, self.rates()
        order = _core.permutation(net.seed, net._epoch, self.n) if self.shuffle else None
        last = float(rates if self.schedule is None else rates[-1])
        try:
            loss = net._memory.epoch(*self.samples, order, self.batch_size, rates)
        except _core.Diverged as report:
            raise diverged(report, epoch, last) from None
        net._epoch += 1
        return loss, last


def _one_epoch(state: FitState, run: _Passes, held_out: Samples | None) -> None:
    """Train for one epoch, validate, and note the figures in `state`."""
    begin = time.perf_counter()
    loss, rate = run.one(state.epoch + 1)
    logs = {"loss": loss}
    if held_out is not None:
        logs.update(_validate(run.net, held_out))
    logs["learning_rate"] = rate
    logs["seconds"] = time.perf_counter() - begin
    state.epoch += 1
    state.logs = logs
    state.history.append(logs)


def _validate(net: Trainer, held_out: Samples) -> dict[str, float]:
    """Return the loss of the held-out samples, and their accuracy where the loss is a cross-entropy."""
    figures = {"val_loss": net._plan.evaluate(net.params, *held_out)}
    measure = ACCURACY.get(net._spec.loss.name)
    if measure is not None:
        outputs = np.empty((len(held_out.X), net._spec.n_out), net.dtype)
        net._plan.predict(net.params, held_out.X, outputs)
        right = measure(outputs, held_out.y)
        figures["val_accuracy"] = int(np.count_nonzero(right)) / right.size
    return figures


def _same_class(outputs: Array, y: Array) -> Array:
    """Whether the largest output is at the label, or at the largest target (n,)."""
    return np.argmax(outputs, axis=1) == (y if y.ndim == 1 else np.argmax(y, axis=1))


def _same_side(outputs: Array, y: Array) -> Array:
    """Whether an output lies on its target's side of one half (n, n_L)."""
    return (outputs >= 0.5) == (y >= 0.5)


ACCURACY = {"binary_cross_entropy": _same_side, "categorical_cross_entropy": _same_class}
