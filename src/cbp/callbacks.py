"""What runs beside training: the base class, early stopping, and the progress bar.

`fit` calls the methods here through a CallbackList; they see and steer it through a FitState.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cbp._arguments import real, whole
from cbp.errors import optional, unknown

if TYPE_CHECKING:
    from cbp._typing import Array, CallbackLike
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
        Figures of the epoch just done: loss, learning_rate, seconds; val_loss with validation, and val_accuracy
        where the loss is a cross-entropy.
    history : History
        The same for all epochs so far.
    stop : bool
        Set it to True to make this epoch the last.
    """

    def __init__(self, network: Network, epochs: int, history: History) -> None:
        self.network = network
        self.epochs = epochs
        self.history = history
        self.epoch = -1
        self.logs: dict[str, float] = {}
        self.stop = False


class Callback:
    """Base of callbacks: override what you need. A plain function serves as `on_epoch_end`.

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

    def on_fit_begin(self, state: FitState) -> None:
        """Run before the first epoch."""

    def on_epoch_end(self, state: FitState) -> None:
        """Run after every epoch, and after its validation."""

    def on_fit_end(self, state: FitState) -> None:
        """Run once at the end, also when training was broken off by an error or by Ctrl-C."""


class EarlyStopping(Callback):
    """Stop when a figure has not improved for some epochs, and go back to the best weights.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Which figure of `FitState.logs`. "val_loss" means "loss" in a `fit` without validation. A name that ends in
        "accuracy" should rise, all others fall.
    patience : int, default 5
        How many epochs without improvement it waits for.
    min_delta : float, default 0
        By how much a figure has to be better than the best one to count.
    restore_best : bool, default True
        At the end, put back the parameters of the best epoch; the optimiser's state stays as it is.

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
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name like 'val_loss', not {monitor!r}")
        self.monitor = monitor
        self.patience = whole(patience, "patience", 1)
        self.min_delta = real(min_delta, "min_delta", low=0.0)
        self.restore_best = bool(restore_best)
        self._reset()

    def _reset(self) -> None:
        self.best = math.nan
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._params: Array | None = None

    def on_fit_begin(self, state: FitState) -> None:
        """Forget the last `fit`."""
        self._reset()

    def on_epoch_end(self, state: FitState) -> None:
        """Compare, remember, perhaps stop."""
        name = "loss" if self.monitor == "val_loss" and "val_loss" not in state.logs else self.monitor
        if name not in state.logs:
            raise unknown("figure of this training", name, state.logs)
        value = state.logs[name]
        if self._better(value, rising=name.endswith("accuracy")):
            self.best, self.best_epoch = value, state.epoch
            if self.restore_best:
                self._params = state.network.params.copy()
        elif state.epoch - (-1 if self.best_epoch is None else self.best_epoch) >= self.patience:
            self.stopped_epoch = state.epoch
            state.stop = True

    def _better(self, value: float, rising: bool) -> bool:
        if self.best_epoch is None:
            return math.isfinite(value)
        return value > self.best + self.min_delta if rising else value < self.best - self.min_delta

    def on_fit_end(self, state: FitState) -> None:
        """Put the best parameters back."""
        if self._params is not None:
            state.network.params[:] = self._params
            self._params = None

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"restore_best={self.restore_best})"
        )


class ProgressBar(Callback):
    """A bar on standard error (tqdm) with the newest figures; `fit(progress=True)` adds one."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._tqdm = optional("tqdm", "a progress bar", "progress").tqdm

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
    """Whether standard error is a terminal and tqdm is there."""
    if not (sys.stderr and sys.stderr.isatty()):
        return False
    from importlib.util import find_spec

    return find_spec("tqdm") is not None
