"""The training of `cbp train`: callbacks, Ctrl-C, and how it is told afterwards."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import numpy as np

import cbp
from cbp.cli import _build
from cbp.cli._data import Data
from cbp.cli._reply import Reply
from cbp.cli._words import count_of
from cbp.tabular import Coding, TableError

INTERRUPTED = ".interrupted"


class Best(cbp.EarlyStopping):
    """Early stopping that leaves it to others to put the best parameters back."""

    def __init__(self, monitor: str, patience: int, min_delta: float) -> None:
        super().__init__(monitor, patience=max(patience, 1), min_delta=min_delta)

    def on_fit_end(self, state: cbp.FitState) -> None:
        """Leave the network as it is."""

    def put_back(self, net: cbp.Network) -> None:
        """Give the network the best parameters, if there are any."""
        if self._params is not None:
            net.params[:] = self._params


class Training:
    """One training.

    Parameters
    ----------
    net : Network
    data : Data
    options : argparse.Namespace
        The words of `cbp train`.
    """

    def __init__(self, net: cbp.Network, data: Data, options: argparse.Namespace) -> None:
        self.net, self.data, self.options = net, data, options
        self.history = cbp.History()
        self._stopping = Best(options.monitor, options.patience, options.min_delta)
        self._begun = net.epoch
        self._seen: cbp.FitState | None = None

    def run(self, reply: Reply) -> None:
        """Train; after Ctrl-C keep the best network beside the place where the model was to go."""
        options, data, net = self.options, self.data, self.net
        targets = _build.targets_for(net, data)
        optimizer = net.optimizer if options.resume else _build.optimizer(options)
        callbacks: list[Any] = [self._see, *self._callbacks()]
        schedule = self._schedule(optimizer, callbacks)
        try:
            self.history = net.fit(
                data.X[data.train],
                _rows(targets, data.train),
                epochs=options.epochs - self._begun,
                batch_size=options.batch_size,
                optimizer=optimizer,
                schedule=schedule,
                sample_weight=None if data.weight is None else data.weight[data.train],
                class_weight=_build.class_weight(options.class_weight, data),
                validation=self._validation(targets),
                callbacks=callbacks,
                progress=False if options.quiet or options.json else None,
                resume=bool(options.resume),
            )
        except KeyboardInterrupt:
            self._interrupted(reply)
            raise
        if self._judges:
            self._stopping.put_back(net)

    @property
    def _judges(self) -> bool:
        """Whether the best epoch is kept, and not the last: patience waits for a better one."""
        return bool(self.options.patience)

    def _validation(self, targets: Any) -> tuple[Any, ...] | None:
        held, weight = self.data.held, self.data.weight
        if not len(held):
            return None
        return (self.data.X[held], _rows(targets, held), *([] if weight is None else [weight[held]]))

    def _see(self, state: cbp.FitState) -> None:
        """Know the history when training is broken off, too."""
        self._seen = state

    def _callbacks(self) -> list[Any]:
        options = self.options
        found: list[Any] = [self._stopping] if self._judges else []
        if options.time is not None:
            found.append(cbp.TimeBudget(options.time))
        if options.checkpoint:
            found.append(cbp.Checkpoint(options.checkpoint, every=1))
        if options.log:
            found.append(logger(options.log, append=bool(options.resume)))
        return found

    def _schedule(self, optimizer: Any, callbacks: list[Any]) -> Any:
        """The schedule, or None; a plateau becomes one of the callbacks."""
        given = self.options.schedule
        if given is None:
            return None
        if not isinstance(optimizer, cbp.optimizers.Optimizer):
            raise ValueError(f"--schedule changes a learning rate, which {type(optimizer).__name__} has not")
        if _build.is_plateau(given):
            callbacks.insert(1, _build.plateau(given))
            return None
        per_epoch = -(-len(self.data.train) // self.options.batch_size)
        return _build.schedule(given, optimizer.learning_rate, per_epoch, self.options.epochs)

    def _interrupted(self, reply: Reply) -> None:
        """Save the best network so far, if an epoch was finished, without touching an older model."""
        done = self.net.epoch - self._begun
        if not done:
            print("cbp: interrupted before the first epoch was over: nothing is saved", file=sys.stderr)
            return
        if self._judges:
            self._stopping.put_back(self.net)
            self.net._memory.batches = 0  # its epoch began with other parameters
        stem, ending = os.path.splitext(self.options.output)
        path = f"{stem}{INTERRUPTED}{ending}"
        self.net.save(path)
        reply.facts["model"] = path
        best = self._stopping.best_epoch
        which = ""
        if best is not None and self._judges:
            which = f", as it was at its best, after epoch {self._begun + best + 1},"
        print(f"cbp: interrupted after {count_of(done, 'epoch')}: the network{which} is {path}", file=sys.stderr)

    def told(self) -> str:
        """How far it went, in words."""
        history, best = self.history, self._stopping.best_epoch
        trained = f"Trained on {count_of(len(self.data.train), 'row')} for {count_of(history.epochs, 'epoch')}"
        if self._begun:
            trained += f", {self._begun + history.epochs:,} in all"
        why = ""
        if self._judges and self._stopping.stopped_epoch is not None:
            why = f"; the last {self.options.patience} brought nothing better"
        elif history.stopped:
            why = f"; stopped: {history.stopped}"
        elif history.epochs < self.options.epochs - self._begun:
            why = "; then the time was over"
        if not self._judges or best is None or history.stopped == "validation":
            return f"{trained}{why}."
        return f"{trained}{why}. Kept the best, epoch {self._begun + best + 1}."

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        best = self._stopping.best_epoch if self._judges else None
        return {
            "rows": {"train": len(self.data.train), "held_out": len(self.data.held)},
            "epochs": self.history.epochs,
            "best_epoch": None if best is None else self._begun + best + 1,
            "stopped": self.history.stopped or ("patience" if self._stopping.stopped_epoch is not None else ""),
            "history": dict(self.history),
        }


def logger(place: str, append: bool) -> cbp.Callback:
    """What writes the figures of every epoch: lines of CSV or JSON by the ending of the name, else for TensorBoard."""
    if place.endswith(".csv"):
        return cbp.CSVLogger(place, append)
    return cbp.JSONLogger(place, append) if place.endswith(".jsonl") else cbp.TensorBoard(place)


def _rows(targets: Any, rows: Any) -> Any:
    return tuple(part[rows] for part in targets) if isinstance(targets, tuple) else targets[rows]


# ---- numbers that are too far out ----


def learn_scaling(net: cbp.Network, data: Data) -> None:
    """Learn what the network scales by, as fit would, and name the cell that it then cannot hold; TableError."""
    numbers = None if data.coding.classifies else np.stack(data.y, axis=1)
    scalings = (net.input_scaling, net.target_scaling)
    if any(scaling is not None and not scaling.known for scaling in scalings):
        net.learn_scaling(data.X[data.train], None if net.target_scaling is None else numbers[data.train])  # type: ignore[index]
    refuse_far(net, data.X, data.coding, data.place)
    if net.target_scaling is not None:
        names = [target.name for target in data.coding.targets]
        _far(net.target_scaling, numbers, net.dtype, names, data.place)


def refuse_far(net: cbp.Network, X: Any, coding: Coding, place: Any) -> None:
    """Refuse a number that the network's precision cannot hold once it is scaled; TableError names its cell."""
    names = [column.name for column in coding.columns for _ in column.inputs]
    _far(net.input_scaling, X, net.dtype, names, place)


def _far(scaling: Any, X: Any, dtype: Any, names: list[str], place: Any) -> None:
    with np.errstate(over="ignore"):
        scaled = (X if scaling is None else scaling.transform(X)).astype(dtype)
    for row, column in np.argwhere(~np.isfinite(scaled)).tolist():
        where = "" if scaling is None else f" from {scaling.center[column]:g}, the middle of the training rows"
        raise TableError(f"{place(row, names[column])}: {X[row, column]:g} is too far{where or ' out'}")
