"""Callbacks that keep something of the network while it trains: averaged weights, checkpoints, snapshots for others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cbp._arguments import real, whole
from cbp.callbacks import Callback, FitState, Watcher

if TYPE_CHECKING:
    from cbp._typing import Array, Path
    from cbp.network import Network


class WeightAverage(Callback):
    """Average the weights over the epochs, and put the average in the network's place at the end.

    The average of weights along the way often generalises better than the last ones. While training goes on the
    network has its ordinary weights, by which it is validated as well.

    Parameters
    ----------
    decay : float or None, default 0.9
        Share of the average that an epoch leaves: average += (1 - decay) * (weights - average), from 0 to less than 1.
        None is the mean of all epochs alike (SWA).
    start : int, default 0
        The first epoch of the `fit` that is averaged.

    Attributes
    ----------
    average : ndarray, shape (n_params,), or None
        The average so far, flat like `Network.params`; None before epoch `start` has ended.
    last : ndarray, shape (n_params,), or None
        After `fit`: the ordinary weights of its last epoch. ``net.params[:] = callback.last`` brings them back.

    Notes
    -----
    An optimiser's ``average=`` does the same after every update, and its average is saved with the network: see
    `Network.averaged`.

    Polyak and Juditsky, SIAM Journal on Control and Optimization 30 (1992); Izmailov et al., "Averaging weights leads
    to wider optima and better generalization", UAI 2018. Made in the network's dtype of products and sums, element by
    element, so it has the same bits everywhere. The optimiser's state stays as it is.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> mean = cbp.WeightAverage(decay=None, start=10)
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=20, callbacks=mean)
    >>> (net.params == mean.average).all(), (net.params == mean.last).any()
    (np.True_, np.False_)
    """

    def __init__(self, decay: float | None = 0.9, start: int = 0) -> None:
        self.decay = None if decay is None else real(decay, "decay", low=0.0, below=1.0)
        self.start = whole(start, "start", 0)
        self._forget()

    def _forget(self) -> None:
        self.average: Array | None = None
        self.last: Array | None = None
        self._count = 0

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`."""
        self._forget()

    def on_epoch_end(self, state: FitState) -> None:
        """Add the epoch's weights to the average."""
        if state.epoch < self.start:
            return
        params = state.network.params
        self._count += 1
        if self.average is None:
            self.average = params.copy()
            return
        share = 1.0 / self._count if self.decay is None else 1.0 - self.decay
        step = params - self.average
        step *= params.dtype.type(share)
        self.average += step

    def on_fit_end(self, state: FitState) -> None:
        """Give the network the average."""
        if self.average is not None:
            self.last = state.network.params.copy()
            with state.network._memory:
                state.network.params[:] = self.average

    def __repr__(self) -> str:
        return f"WeightAverage(decay={self.decay}, start={self.start})"


class Checkpoint(Watcher):
    """Save the network now and then while it trains.

    A file is complete or not there, whatever happens: see `cbp.io.save`. It has the optimiser's state and the place in
    the epoch, so training can go on from it with the same bits, as if it had never stopped: load it, and call `fit`
    with ``resume=True`` and the epochs that are left, ``epochs - net.epoch``.

    Parameters
    ----------
    path : str or path-like
        Where to: a name that ends in .npz or .safetensors. "{epoch}" in it becomes the network's epoch counter,
        `Network.epoch`; without it every file replaces the one before.
    every : int, optional
        Save after every so many epochs of the `fit`. Default: 1, unless `updates` or `seconds` is given.
    updates : int, optional
        Save after every so many updates of the optimiser, within epochs too.
    seconds : float, optional
        Save when so many seconds have gone since the last file, or the beginning; within epochs too.
    monitor : str, optional
        Save only at the end of epochs, if this figure of `FitState.logs` is better than in all files before. "val_loss"
        means "loss" in a `fit` without validation.
    mode : "min" or "max", optional
        Whether the figure should fall or rise. Default: a name that ends in "accuracy" should rise, all others fall.

    Attributes
    ----------
    saved : str or None
        The last file of this `fit`.

    Raises
    ------
    ValueError
        The ending is not that of a known format; in `fit`: there is no such figure.
    OSError
        In `fit`: the folder is not there, or a file cannot be written.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = cbp.Checkpoint(os.path.join(folder, "net-{epoch}.npz"), every=10)
    ...     history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=20, callbacks=checkpoint)
    ...     sorted(os.listdir(folder)), cbp.load(checkpoint.saved) == net
    (['net-10.npz', 'net-20.npz'], True)
    """

    def __init__(
        self,
        path: Path,
        every: int | None = None,
        *,
        updates: int | None = None,
        seconds: float | None = None,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> None:
        from cbp import io

        super().__init__("loss" if monitor is None else monitor, mode)
        self.path = os.fspath(path)
        io._module(self.path, io.FORMATS)  # a wrong ending is an error now, not after hours of training
        self.every = 1 if every is None and seconds is None and updates is None else every
        if self.every is not None:
            self.every = whole(self.every, "every", 1)
        self.updates = None if updates is None else whole(updates, "updates", 1)
        self.seconds = None if seconds is None else real(seconds, "seconds", low=0.0)
        self.selects = monitor is not None
        self.saved: str | None = None
        self._begin, self._done = 0.0, 0

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`, start the clock, look for the folder."""
        super().on_fit_begin(state)
        self.saved, self._begin, self._done = None, time.monotonic(), self._intervals(state)
        folder = os.path.dirname(self._target(state)) or os.curdir
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no folder {folder!r} to save the network in")

    def _target(self, state: FitState) -> str:
        return self.path.replace("{epoch}", str(state.network.epoch))

    def _intervals(self, state: FitState) -> int:
        """Return how many times `updates` the optimiser has made."""
        return 0 if self.updates is None else state.network._memory.t // self.updates

    def _due(self, state: FitState) -> bool:
        late = self.seconds is not None and time.monotonic() - self._begin >= self.seconds
        return late or self._intervals(state) > self._done

    def on_pause(self, state: FitState) -> None:
        """Save, if it is time."""
        if not self.selects and self._due(state):
            self._save(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Save, if it is time."""
        due = self._due(state) or (self.every is not None and (state.epoch + 1) % self.every == 0)
        if due and (not self.selects or self.improved(state)):
            self._save(state)

    def _save(self, state: FitState) -> None:
        target = self._target(state)
        state.network.save(target)
        self.saved, self._begin, self._done = target, time.monotonic(), self._intervals(state)

    def __repr__(self) -> str:
        monitor = self.monitor if self.selects else None
        return (
            f"Checkpoint({self.path!r}, every={self.every}, updates={self.updates}, seconds={self.seconds}, "
            f"monitor={monitor!r}, mode={self.mode!r})"
        )


class Publish(Callback):
    """Hand snapshots of the network to a function while it trains, for other threads to predict with.

    What the function keeps is what they serve: one assignment to a name or an attribute is seen whole by every thread,
    so nobody waits for anybody. See `Network.snapshot`.

    Parameters
    ----------
    function : callable
        Called from the thread that trains, with a snapshot and the `FitState`, whose `logs` are the figures of the last
        epoch; empty before the end of the first.
    every : int, optional
        After every so many epochs of the `fit`. Default: 1, unless `seconds` is given.
    seconds : float, optional
        When so many seconds have gone since the last snapshot, or the beginning; within epochs too, but for those of
        `cbp.methods`.

    Attributes
    ----------
    last : Network or None
        The last snapshot of this `fit`.

    Notes
    -----
    At the end of `fit` it publishes what is different from the last snapshot, such as the best weights that
    `EarlyStopping` brings back: give it after the callbacks that do so. Parameters that are not finite are never
    published.

    Examples
    --------
    >>> import cbp
    >>> served = {}
    >>> publish = cbp.Publish(lambda net, state: served.update(net=net, loss=state.logs["loss"]), every=10)
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=25, callbacks=publish)
    >>> served["net"] == net, served["net"].epoch, served["loss"] == history.loss[-1]
    (True, 25, True)
    """

    def __init__(
        self, function: Callable[[Network, FitState], object], every: int | None = None, *, seconds: float | None = None
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be called with a snapshot and the state, not be {function!r:.200}")
        self.function = function
        self.every = 1 if every is None and seconds is None else every
        if self.every is not None:
            self.every = whole(self.every, "every", 1)
        self.seconds = None if seconds is None else real(seconds, "seconds", low=0.0)
        self.last: Network | None = None
        self._begin = 0.0

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`, start the clock."""
        self.last, self._begin = None, time.monotonic()
        self._before = state.network.params.copy()

    def _late(self) -> bool:
        return self.seconds is not None and time.monotonic() - self._begin >= self.seconds

    def on_pause(self, state: FitState) -> None:
        """Publish, if it is time."""
        if self._late():
            self._publish(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Publish, if it is time."""
        if self._late() or (self.every is not None and (state.epoch + 1) % self.every == 0):
            self._publish(state)

    def on_fit_end(self, state: FitState) -> None:
        """Publish what is new."""
        if not np.array_equal(state.network.params, self._before if self.last is None else self.last.params):
            self._publish(state)

    def _publish(self, state: FitState) -> None:
        if state.network._plan.first_nonfinite(state.network.params) >= 0:
            return
        self.last, self._begin = state.network.snapshot(), time.monotonic()
        self.function(self.last, state)

    def __repr__(self) -> str:
        return f"Publish({self.function!r}, every={self.every}, seconds={self.seconds})"
