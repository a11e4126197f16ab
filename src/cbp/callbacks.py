"""What runs beside training: the base class, what steers it by a figure or the clock, and the progress bar.

`fit` calls the methods here through a CallbackList; they see and steer it through a FitState.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cbp._arguments import real, whole
from cbp.errors import optional, unknown

if TYPE_CHECKING:
    from cbp._typing import Array, CallbackLike, Schedule
    from cbp.history import History
    from cbp.network import Network


class FitState:
    """What callbacks see of a running `fit`.

    Attributes
    ----------
    network : Network
        The network in training.
    epoch : int
        Number of the epoch just done, from 0 within this `fit`; -1 before the first.
    epochs : int
        How many there will be at most.
    logs : dict of str to float
        Figures of the epoch just done: loss, learning_rate, or what one of `cbp.methods` tells, seconds; val_loss
        with validation, and val_accuracy where the loss is a cross-entropy.
    history : History
        The same for all epochs so far.
    stop : bool
        Set it to True to make this epoch the last.
    schedule : callable or None
        The schedule that `fit` was given: with one, the optimiser's learning rate is not used.
    """

    def __init__(self, network: Network, epochs: int, history: History, schedule: Schedule | None = None) -> None:
        self.network = network
        self.epochs = epochs
        self.history = history
        self.schedule = schedule
        self.epoch = -1
        self.logs: dict[str, float] = {}
        self.stop = False


class Callback:
    """Base of callbacks: override what you need. A plain function serves as `on_epoch_end`.

    Several are called in the order in which they are given, at the end as well. So one that writes or averages weights
    comes after those that change the learning rate, and one that puts weights back has the last word where it is last.

    Examples
    --------
    >>> import cbp
    >>> class Halve(cbp.Callback):
    ...     def on_epoch_end(self, state):
    ...         state.network.optimizer.learning_rate *= 0.5
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=3, optimizer=cbp.optimizers.SGD(0.1), callbacks=Halve())
    >>> history.learning_rate
    [0.1, 0.05, 0.025]
    """

    updates: int | None = None
    """After each so many updates of the optimiser `on_pause` runs too."""

    def on_fit_begin(self, state: FitState) -> None:
        """Run before the first epoch."""

    def on_pause(self, state: FitState) -> None:
        """Run between two updates, some thirty times a second; `state` is that after the epoch before.

        The network may be read and saved, but not trained.
        """

    def on_epoch_end(self, state: FitState) -> None:
        """Run after every epoch, and after its validation."""

    def on_fit_end(self, state: FitState) -> None:
        """Run once at the end, also when training was broken off by an error or by Ctrl-C."""


class Watcher(Callback):
    """Base of callbacks that ask whether a figure has become better; `best` and `best_epoch` are of the last `fit`."""

    def __init__(self, monitor: str, mode: str | None, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name like 'val_loss', not {monitor!r}")
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min', 'max' or None, not {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = real(min_delta, "min_delta", low=0.0)
        self._forget()

    def _forget(self) -> None:
        self.best = math.nan
        self.best_epoch: int | None = None

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`."""
        self._forget()

    def improved(self, state: FitState) -> bool:
        """Whether the figure is better than it ever was; if so it is the best one now. NaN is never better."""
        name = "loss" if self.monitor == "val_loss" and "val_loss" not in state.logs else self.monitor
        if name not in state.logs:
            raise unknown("figure of this training", name, state.logs)
        value = state.logs[name]
        rising = name.endswith("accuracy") if self.mode is None else self.mode == "max"
        if self.best_epoch is None:
            better = math.isfinite(value)
        else:
            better = value > self.best + self.min_delta if rising else value < self.best - self.min_delta
        if better:
            self.best, self.best_epoch = value, state.epoch
        return better


class EarlyStopping(Watcher):
    """Stop when a figure has not improved for some epochs, and go back to the best weights.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Which figure of `FitState.logs`. "val_loss" means "loss" in a `fit` without validation.
    patience : int, default 5
        How many epochs without improvement it waits for.
    min_delta : float, default 0
        By how much a figure has to be better than the best one to count.
    restore_best : bool, default True
        At the end, put back the parameters of the best epoch; the optimiser's state stays as it is.
    mode : "min" or "max", optional
        Whether the figure should fall or rise. Default: a name that ends in "accuracy" should rise, all others fall.

    Attributes
    ----------
    best : float
        The best figure of the last `fit`.
    best_epoch : int or None
        Its epoch, from 0.
    stopped_epoch : int or None
        The epoch after which it stopped training; None when it did not.

    Raises
    ------
    ValueError
        In `fit`: there is no such figure.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> stopping = cbp.EarlyStopping(patience=2, min_delta=1e-3)
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=500, optimizer=cbp.optimizers.SGD(0.5), callbacks=stopping)
    >>> stopping.best_epoch == stopping.stopped_epoch - 2
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = whole(patience, "patience", 1)
        self.restore_best = bool(restore_best)

    def _forget(self) -> None:
        super()._forget()
        self.stopped_epoch: int | None = None
        self._params: Array | None = None

    def on_epoch_end(self, state: FitState) -> None:
        """Compare, remember, perhaps stop."""
        if self.improved(state):
            if self.restore_best:
                self._params = state.network.params.copy()
        elif state.epoch - (-1 if self.best_epoch is None else self.best_epoch) >= self.patience:
            self.stopped_epoch = state.epoch
            state.stop = True

    def on_fit_end(self, state: FitState) -> None:
        """Put the best parameters back."""
        if self._params is not None:
            with state.network._memory:
                state.network.params[:] = self._params
            self._params = None

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"restore_best={self.restore_best}, mode={self.mode!r})"
        )


class ReduceOnPlateau(Watcher):
    """Make the optimiser's learning rate smaller when a figure has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Which figure of `FitState.logs`. "val_loss" means "loss" in a `fit` without validation.
    factor : float, default 0.1
        What the rate is multiplied by, between 0 and 1.
    patience : int, default 10
        How many epochs without improvement it waits for.
    min_delta : float, default 0
        By how much a figure has to be better than the best one to count.
    cooldown : int, default 0
        After a reduction, how many epochs it does not count.
    lowest : float, default 0
        The rate goes no lower than this.
    mode : "min" or "max", optional
        Whether the figure should fall or rise. Default: a name that ends in "accuracy" should rise, all others fall.

    Attributes
    ----------
    best : float
        The best figure of the last `fit`.
    best_epoch : int or None
        Its epoch, from 0.
    reductions : list of int
        The epochs of the last `fit` after which the rate was made smaller.

    Raises
    ------
    ValueError
        In `fit`: there is no such figure; or there is a schedule, which would take the place of the optimiser's rate.

    Notes
    -----
    The rate stays with the optimiser: the next `fit` with it goes on with the reduced one.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> plateau = cbp.ReduceOnPlateau(factor=0.5, patience=2, min_delta=10)
    >>> history = net.fit([[0.0], [1.0]], [0.1, 0.3], epochs=5, optimizer=cbp.optimizers.SGD(0.1), callbacks=plateau)
    >>> history.learning_rate
    [0.1, 0.1, 0.1, 0.05, 0.05]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        cooldown: int = 0,
        lowest: float = 0.0,
        mode: str | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = real(factor, "factor", low=0.0, below=1.0)
        if not self.factor:
            raise ValueError("factor must be greater than 0")
        self.patience = whole(patience, "patience", 1)
        self.cooldown = whole(cooldown, "cooldown", 0)
        self.lowest = real(lowest, "lowest", low=0.0)

    def _forget(self) -> None:
        super()._forget()
        self.reductions: list[int] = []
        self._waited = self._resting = 0

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`; refuse a schedule, and what has no learning rate."""
        super().on_fit_begin(state)
        if state.network._optimizer is None:
            raise ValueError(
                f"ReduceOnPlateau changes the learning rate, which {type(state.network.optimizer).__name__} has not"
            )
        if state.schedule is not None:
            raise ValueError(
                "ReduceOnPlateau changes the optimiser's learning rate, which a schedule takes the place of"
            )

    def on_epoch_end(self, state: FitState) -> None:
        """Compare, count, perhaps make the rate smaller."""
        counts = not self._resting
        self._resting = max(self._resting - 1, 0)
        if self.improved(state):
            self._waited = 0
        elif counts:
            self._waited += 1
            if self._waited >= self.patience:
                self._reduce(state)

    def _reduce(self, state: FitState) -> None:
        optimizer = state.network._optimizer
        assert optimizer is not None
        rate = max(optimizer.learning_rate * self.factor, self.lowest)
        if rate < optimizer.learning_rate:
            optimizer.learning_rate = rate
            self.reductions.append(state.epoch)
        self._waited, self._resting = 0, self.cooldown

    def __repr__(self) -> str:
        return (
            f"ReduceOnPlateau(monitor={self.monitor!r}, factor={self.factor}, patience={self.patience}, "
            f"min_delta={self.min_delta}, cooldown={self.cooldown}, lowest={self.lowest}, mode={self.mode!r})"
        )


class TimeBudget(Callback):
    """End training with the first epoch that ends later than so many seconds after the beginning of `fit`.

    How many epochs that are depends on the machine, and so do the weights.

    Parameters
    ----------
    seconds : float
        The budget. At least one epoch is trained.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=500, callbacks=cbp.TimeBudget(0)).epochs
    1
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = real(seconds, "seconds", low=0.0)
        self._begin = 0.0

    def on_fit_begin(self, state: FitState) -> None:
        """Start the clock."""
        self._begin = time.monotonic()

    def on_epoch_end(self, state: FitState) -> None:
        """Stop, if it is time."""
        if time.monotonic() - self._begin >= self.seconds:
            state.stop = True

    def __repr__(self) -> str:
        return f"TimeBudget({self.seconds})"


class ProgressBar(Callback):
    """A bar (tqdm) with the newest figures, on standard error or in a notebook; `fit(progress=True)` adds one."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._tqdm = optional("tqdm.auto", "a progress bar", "progress").tqdm

    def on_fit_begin(self, state: FitState) -> None:
        """Open the bar."""
        self._bar = self._tqdm(total=state.epochs, unit="epoch", file=sys.stderr, leave=True)

    def on_epoch_end(self, state: FitState) -> None:
        """Advance the bar by one epoch."""
        shown = {name: f"{value:.4g}" for name, value in state.logs.items() if name != "seconds"}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def on_fit_end(self, state: FitState) -> None:
        """Close the bar."""
        self._bar.close()


class CallbackList(Callback):
    """Several callbacks as one, called in their order."""

    def __init__(self, callbacks: CallbackLike | Iterable[CallbackLike], progress: bool | None) -> None:
        given = callbacks if isinstance(callbacks, Iterable) else [callbacks]
        self.callbacks = [_as_callback(callback) for callback in given]
        if progress or (progress is None and _somebody_watches()):
            self.callbacks.append(ProgressBar())

    def on_fit_begin(self, state: FitState) -> None:
        """Call all of them."""
        for callback in self.callbacks:
            callback.on_fit_begin(state)

    def on_epoch_end(self, state: FitState) -> None:
        """Call all of them."""
        for callback in self.callbacks:
            callback.on_epoch_end(state)

    def pauses(self, state: FitState) -> tuple[Callable[[], None] | None, tuple[int, ...]]:
        """Return what to call between updates, if there is anything, and after multiples of which numbers of them."""
        heard = [each for each in self.callbacks if type(each).on_pause is not Callback.on_pause]
        every = tuple(each.updates for each in heard if each.updates is not None)

        def pause() -> None:
            for each in heard:
                each.on_pause(state)

        return pause if heard else None, every

    def on_fit_end(self, state: FitState) -> None:
        """Call all of them."""
        for callback in self.callbacks:
            callback.on_fit_end(state)


class _Function(Callback):
    """A plain function in the place of a callback."""

    def __init__(self, function: Any) -> None:
        self.on_epoch_end = function  # type: ignore[method-assign]


def _as_callback(callback: Any) -> Callback:
    if isinstance(callback, type) and issubclass(callback, Callback):
        return callback()
    if isinstance(callback, Callback):
        return callback
    if callable(callback):
        return _Function(callback)
    raise TypeError(f"a callback must be a cbp.Callback or a function of the state, not {callback!r}")


def _somebody_watches() -> bool:
    """Whether standard error is a terminal, or this is a notebook; and tqdm is there."""
    is_notebook = "ipykernel" in sys.modules
    if not (is_notebook or (sys.stderr and sys.stderr.isatty())):
        return False
    from importlib.util import find_spec

    return find_spec("tqdm") is not None
