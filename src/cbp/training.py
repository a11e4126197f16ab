"""Training: `fit` and `partial_fit`. The epoch loops here, the step loops in the core."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp._passes import Passes, passes_over
from cbp._samples import Samples
from cbp._state import State
from cbp.callbacks import CallbackList, FitState
from cbp.history import History
from cbp.metrics import ACCURACIES, Metric, by_name, measure, require_own

if TYPE_CHECKING:
    from cbp._typing import (
        ArrayLike,
        BatchesLike,
        CallbackLike,
        ClassWeight,
        MetricLike,
        OptimizerLike,
        Schedule,
    )

MAX_COUNT = 2**62


class Trainer(State):
    """A network that can train itself."""

    def fit(
        self,
        X: ArrayLike | BatchesLike,
        y: ArrayLike | None = None,
        *,
        epochs: int = 50,
        batch_size: int = 64,
        optimizer: OptimizerLike | None = None,
        schedule: Schedule | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        validation: float | tuple[Any, ...] | None = None,
        metrics: MetricLike | Iterable[MetricLike] = (),
        shuffle: bool = True,
        drop_last: bool = False,
        callbacks: CallbackLike | Iterable[CallbackLike] = (),
        progress: bool | None = None,
        resume: bool = False,
        check_finite: bool = True,
    ) -> History:
        """Train the network.

        The same seed and data give the same weights, bit for bit, on every machine. A `fit` after a `fit` goes on
        where the first one stopped, optimiser state and order of the rows included.

        Parameters
        ----------
        X : array_like, shape (n, n_0); or batches
            Inputs. A memory map or a sparse matrix of SciPy's stays where it is: some megabytes of its rows are read at
            a time. Without `y`: an iterable of (X, y) or (X, y, sample_weight), each of them one batch, or a function
            that returns one; it is iterated, or called, once an epoch.
        y : array_like, shape (n, n_L), (n,) if n_L = 1, or (n,) class labels for a softmax or log_softmax output
            Targets. With heads also a tuple with those of each; with the loss gaussian_nll shape (n, n_L / 2).
        epochs : int, default 50
            Passes over the data.
        batch_size : int, default 64
            Rows per update; the last batch of a pass may be smaller. Of no effect where batches are given, and with
            `cbp.methods`.
        optimizer : str, Optimizer, Method or class, optional
            A name or another object than the one in use starts anew; the same object, or None, continues. None at
            the first training means Adam. With one of `cbp.methods` an epoch is one step on all rows.
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
        metrics : str, callable, (str, callable) or iterable of them, optional
            What to measure after every epoch, on the rows trained on (an extra prediction of them all; not with
            batches) and on those of the validation: a name of `cbp.metrics`, or a function of targets (n, n_L), or
            labels (n,), and outputs (n, n_L). The figures go by the metric's name, those of the validation by
            ``val_<name>``. Functions only with heads or gaussian_nll. Missing targets do not count; functions
            of your own get the NaN.
        shuffle : bool, default True
            Take the rows in a new random order in every epoch, by the network's seed and epoch counter. Batches stay
            in the order that they come in.
        drop_last : bool, default False
            Leave out the rows at the end of an epoch that do not fill a batch.
        callbacks : Callback, function, or iterable of them
            Called at the end of every epoch: see `Callback`.
        progress : bool, optional
            Show a bar (tqdm). None shows one in a terminal and in a notebook, if tqdm is installed.
        resume : bool, default False
            Go on within the epoch that Ctrl-C broke off, or that a checkpoint was written in, with the first batch that
            is not made; it is the first of the `epochs`. Data, order and sizes of the batches must be the same, and the
            bits are those of never having stopped. Without such an epoch it is of no effect.
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
        RuntimeError
            Another thread is training this network.
        MemoryError
            One of `cbp.methods` needs more than can be had.
        ImportError
            ``progress=True`` without tqdm.
        KeyboardInterrupt
            Ctrl-C, heard between two updates some hundredths of a second later. The network keeps those that were made,
            and `resume` goes on with the next.

        Examples
        --------
        >>> import cbp
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> net = cbp.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=1)
        >>> history = net.fit(X, y, epochs=200, batch_size=4, optimizer=cbp.optimizers.Adam(0.05))
        >>> net.predict(X).round().ravel()
        array([0., 1., 1., 0.], dtype=float32)
        """
        epochs, chosen = whole(epochs, "epochs", 0, MAX_COUNT), self._chosen(optimizer)
        run, held_out = passes_over(
            self,
            X,
            y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            validation=validation,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            optimizer=chosen,
            schedule=schedule,
            check_finite=check_finite,
        )
        wanted = self._metrics(metrics)
        followers = CallbackList(callbacks, progress)
        if resume and self.unfinished and chosen is not self.optimizer:
            raise ValueError("resume: an epoch goes on with the optimiser that it began with: leave optimizer out")
        state = FitState(self, epochs, History(), schedule)  # type: ignore[arg-type]
        with self._alone():
            self._use(chosen)
            run.begin(resume)
            self._reader = run.reader
            run.pause, run.every = followers.pauses(state)
            followers.on_fit_begin(state)
            try:
                while state.epoch + 1 < epochs and not state.stop:
                    _one_epoch(state, run, held_out, wanted)
                    followers.on_epoch_end(state)
                run.end(state.history.stopped)
            finally:
                followers.on_fit_end(state)
        return state.history

    def partial_fit(
        self,
        X: ArrayLike | BatchesLike,
        y: ArrayLike | None = None,
        *,
        batch_size: int = 64,
        optimizer: OptimizerLike | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        check_finite: bool = True,
    ) -> float:
        """Make one pass over the data, bit for bit what one epoch of `fit` does, and keep the optimiser's state.

        Parameters
        ----------
        X, y, batch_size, optimizer, shuffle, drop_last, sample_weight, class_weight, check_finite
            As for `fit`.

        Returns
        -------
        float
            Loss over the pass, each sample taken by the weights before its batch's update; with one of `cbp.methods`
            the objective after the step.

        Raises
        ------
        ValueError, TypeError, RuntimeError, DivergenceError
            As for `fit`.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", seed=0)
        >>> first = net.partial_fit([[0.0], [1.0]], [1.0, 3.0], optimizer="sgd")
        >>> net.partial_fit([[0.0], [1.0]], [1.0, 3.0]) < first
        True
        """
        chosen = self._chosen(optimizer)
        run, _ = passes_over(
            self,
            X,
            y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            optimizer=chosen,
            check_finite=check_finite,
        )
        with self._alone():
            self._use(chosen)
            run.begin(resume=False)
            self._reader = run.reader
            return run.one(0)[0]

    def learn_scaling(self, X: ArrayLike, y: ArrayLike | None = None, *, check_finite: bool = True) -> None:
        """Learn `scale_inputs` and `scale_targets` from these rows, as the first `fit` does by itself.

        For training on batches, and for the textbook's steps one by one. What was learned before is replaced, and the
        weights stay what they are, so a network that was trained already gives other predictions.

        Parameters
        ----------
        X : array_like, shape (n, n_0)
            Inputs; also a memory map or a sparse matrix, some megabytes of which are read at a time. "robust" holds
            one column at least.
        y : array_like, shape (n, n_L) or (n,) if n_L = 1, optional
            Targets: only needed for `scale_targets`.
        check_finite : bool, default True
            Refuse NaN and infinity.

        Raises
        ------
        ValueError, TypeError
            The data do not fit, or there is nothing to learn.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", scale_inputs=("minmax", -1, 1), scale_targets="standard")
        >>> net.learn_scaling([[0], [10], [40]], [1, 2, 3])
        >>> net.input_scaling.transform([[0], [10], [40]]).ravel()
        array([-1. , -0.5,  1. ])
        >>> net.target_scaling.center
        array([2.])
        """
        with self._alone():
            self._reader = self._reader.learned(X, y, check_finite)

    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        metrics: MetricLike | Iterable[MetricLike] = (),
        check_finite: bool = True,
    ) -> dict[str, float]:
        """Measure the network as `fit` measures validation data.

        Parameters
        ----------
        X, y, sample_weight, metrics, check_finite
            As for `fit`; X and y are arrays. The weights count in the loss alone.

        Returns
        -------
        dict of str to float
            The loss, the accuracy where the loss is a cross-entropy, and the metrics, by their names.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network, or there is no such metric.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", seed=0)
        >>> net.params[:] = 0
        >>> net.evaluate([[1, 2], [3, 4]], [2, 4], metrics="mean_absolute_error")
        {'loss': 5.0, 'mean_absolute_error': 3.0}
        """
        samples = Samples(*self._reader.batch(X, y, sample_weight, check_finite))
        return _figures(self, samples, self._metrics(metrics), "")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse to train while another thread does, and keep others from it to the end, between two epochs too.

        A thread may train in a callback of its own training.
        """
        began = self._memory.begin_training()
        try:
            yield
        finally:
            if began:
                self._memory.end_training()

    def _metrics(self, metrics: MetricLike | Iterable[MetricLike]) -> dict[str, Metric]:
        """Return the metrics that are meant, by their names."""
        wanted = by_name(metrics, self._spec.loss.name)
        if self._spec.heads is not None or self._spec.n_targets != self._spec.n_out:
            require_own(wanted)
        return wanted


def _one_epoch(state: FitState, run: Passes, held_out: Samples | None, wanted: dict[str, Metric]) -> None:
    """Train for one epoch, measure, and note the figures in `state`."""
    begin = time.perf_counter()
    loss, figures = run.one(state.epoch + 1)
    logs = {"loss": loss}
    made = run.outputs() if wanted else None
    if made is not None:
        logs.update(measure(wanted, *made))
    if held_out is not None:
        logs.update(_figures(run.net, held_out, wanted, "val_"))
    logs.update(figures)
    logs["seconds"] = time.perf_counter() - begin
    state.epoch += 1
    state.logs = logs
    state.history.append(logs)
    if reason := run.over(logs):
        state.history.stopped, state.stop = reason, True


def _figures(net: Trainer, samples: Samples, wanted: dict[str, Metric], prefix: str) -> dict[str, float]:
    """Return loss and metrics of some samples, and their accuracy where the loss tells classes apart."""
    figures = {f"{prefix}loss": net._plan.evaluate(net.params, *samples)}
    loss = net._spec.loss.name
    if loss in ACCURACIES and "accuracy" not in wanted:
        wanted = by_name("accuracy", loss) | wanted
    if wanted:
        outputs = np.empty((len(samples.X), net._spec.n_out), net.dtype)
        net._plan.predict(net.params, samples.X, outputs)
        net._reader.restore(outputs)
        figures.update(measure(wanted, net._reader.restored(samples.y), outputs, prefix))
    return figures
