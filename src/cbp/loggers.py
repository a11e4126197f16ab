"""Callbacks that write the figures of every epoch to files: CSV, lines of JSON, TensorBoard.

Every line, or event, is in its file before the next epoch begins: whenever training breaks off, all that was known is
there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cbp._arguments import whole
from cbp.callbacks import Callback, FitState
from cbp.errors import optional
from cbp.history import STATE

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike, Path
    from cbp.network import Network


BINS = 30  # of a histogram


class _Lines(Callback):
    """Base of callbacks that write a line for each epoch."""

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path = os.fspath(path)
        self.append = bool(append)
        self._first = 0

    def _line(self, number: int, logs: Mapping[str, float]) -> str:
        """Return the line of an epoch, with all that comes before it."""
        raise NotImplementedError

    def _number(self, line: str) -> int | None:
        """Return the epoch that a line of a file is of; None for a head."""
        raise NotImplementedError

    def _go_on(self, head: str) -> None:
        """Begin below a head that is there already; "" where there is none."""

    def on_fit_begin(self, state: FitState) -> None:
        """Begin the file, or find the place where it goes on."""
        self._first = state.network.epoch if self.append else 0
        kept = list(self._kept()) if self._first and os.path.exists(self.path) else []
        self._go_on(kept[0] if kept and self._number(kept[0]) is None else "")
        if kept:
            from cbp.io import replacing

            with replacing(self.path) as file:
                file.write("".join(kept).encode())
            return
        with open(self.path, "w", encoding="utf-8"):
            pass

    def _kept(self) -> Iterator[str]:
        """Yield the complete lines of the file that are of epochs which the network has behind it, and the head."""
        with open(self.path, encoding="utf-8", newline="") as file:
            for place, line in enumerate(file, 1):
                if not line.endswith("\n"):  # training was killed while it was written
                    return
                try:
                    number = self._number(line)
                    if number is None and place > 1:
                        raise ValueError
                except (ValueError, TypeError, KeyError):
                    wrong = f"{self.path} cannot be gone on with: line {place} is not that of an epoch"
                    raise ValueError(wrong) from None
                if number is None or number < self._first:
                    yield line

    def on_epoch_end(self, state: FitState) -> None:
        """Add a line."""
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(self._line(self._first + state.epoch, state.logs))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}{', append=True' if self.append else ''})"


class CSVLogger(_Lines):
    """Write the figures of every epoch to a file, one line each, as soon as they are known.

    Parameters
    ----------
    path : str or path-like
        Of the file. The first line has the names: epoch, loss, ... They are those of the first epoch; a figure that
        comes later has no column.
    append : bool, default False
        Go on with the file that is there: lines of epochs that the network has behind it (`Network.epoch`) stay, later
        ones go, and epochs are numbered over all its training. After a checkpoint was loaded, the file is as if
        training had never stopped. False: every `fit` begins the file anew, and its epochs at 0.

    Raises
    ------
    OSError
        In `fit`: the file cannot be written.
    ValueError
        In `fit`, with `append`: the file is no such table, or has no column for a figure.

    Notes
    -----
    What is not a number is written as nan, inf or -inf, which float() and pandas read.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "figures.csv")
    ...     history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=2, callbacks=cbp.CSVLogger(path))
    ...     with open(path) as file:
    ...         print(file.readline(), end="")
    epoch,loss,learning_rate,seconds
    """

    def __init__(self, path: Path, append: bool = False) -> None:
        super().__init__(path, append)
        self._names: list[str] = []
        self._is_given = False

    def _go_on(self, head: str) -> None:
        import csv

        self._names = next(csv.reader([head]))[1:] if head else []
        self._is_given = bool(head)

    def _number(self, line: str) -> int | None:
        first = line.partition(",")[0].strip()
        return None if first == "epoch" else int(first)

    def _line(self, number: int, logs: Mapping[str, float]) -> str:
        import csv
        import io

        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if not self._names:
            self._names = list(logs)
            writer.writerow(["epoch", *self._names])
        elif self._is_given and (missing := [name for name in logs if name not in self._names]):
            raise ValueError(f"{self.path} has no column for {missing[0]!r}: it has {', '.join(self._names)}")
        self._is_given = False
        writer.writerow([number, *(logs.get(name) for name in self._names)])
        return text.getvalue()


class JSONLogger(_Lines):
    """Write the figures of every epoch to a file as a line of JSON, as soon as they are known.

    Parameters
    ----------
    path : str or path-like
        Of the file. A line is an object with "epoch" and all figures of that epoch.
    append : bool, default False
        Go on with the file that is there, as `CSVLogger` does.

    Raises
    ------
    OSError
        In `fit`: the file cannot be written.
    ValueError
        In `fit`, with `append`: the file has no such lines.

    Notes
    -----
    JSON has no NaN and no infinity: both are written as null. ``pandas.read_json(path, lines=True)`` reads the file.

    Examples
    --------
    >>> import cbp, json, os, tempfile
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "figures.jsonl")
    ...     history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=2, callbacks=cbp.JSONLogger(path))
    ...     with open(path) as file:
    ...         [json.loads(line)["epoch"] for line in file]
    [0, 1]
    """

    def _number(self, line: str) -> int | None:
        import json

        return whole(json.loads(line)["epoch"], "epoch", 0)

    def _line(self, number: int, logs: Mapping[str, float]) -> str:
        import json
        from math import isfinite

        figures = {name: float(value) for name, value in logs.items()}
        known = {name: value if isfinite(value) else None for name, value in figures.items()}
        return json.dumps({"epoch": number, **known}, allow_nan=False) + "\n"


class TensorBoard(Callback):
    """Write the figures of every epoch for TensorBoard, and now and then histograms of what is inside the network.

    A figure and that of the validation stand side by side, as loss/training and loss/validation; what an optimiser or
    a method tells of itself is in the group state. The network's configuration is there as text.

    Parameters
    ----------
    folder : str or path-like
        Where to: made if it is not there. One folder is one run; `tensorboard --logdir` takes the folder above.
    histograms : int, optional
        After every so many epochs, write histograms of weights and biases, layer by layer. Default: never.
    batch : tuple (X, y), optional
        Some rows, whose gradients and activations get histograms too.

    Raises
    ------
    ImportError
        tensorboardX is not installed.
    OSError, ValueError, TypeError
        In `fit`: the folder cannot be made; the batch does not fit the network.

    Notes
    -----
    The step is the number of the epoch, from 0, over all training of the network: one that was loaded from a checkpoint
    goes on in the same folder where the checkpoint was, and what had been written beyond that TensorBoard leaves out.

    Examples
    --------
    >>> import cbp
    >>> board = cbp.TensorBoard("runs/first", histograms=10)  # doctest: +SKIP
    >>> history = net.fit(X, y, callbacks=board)  # doctest: +SKIP
    """

    def __init__(
        self, folder: Path, *, histograms: int | None = None, batch: tuple[ArrayLike, ArrayLike] | None = None
    ) -> None:
        self.folder = os.fspath(folder)
        self.histograms = None if histograms is None else whole(histograms, "histograms", 1)
        if batch is not None and self.histograms is None:
            raise ValueError("a batch is for histograms: say after how many epochs, histograms=10")
        self.batch = batch
        self._path = ""
        _board("summary")  # absent, it is missed now

    def on_fit_begin(self, state: FitState) -> None:
        """Begin a file in the folder."""
        net, protocol = state.network, _board("proto.event_pb2")
        if self.batch is not None:
            net._reader.batch(*self.batch)  # what does not fit is an error now
        os.makedirs(self.folder, exist_ok=True)
        now = time.time_ns()  # TensorBoard takes files in the order of their names
        self._path = os.path.join(self.folder, f"events.out.tfevents.{now // 10**9}.{os.getpid()}.{now}")
        start = protocol.SessionLog(status=protocol.SessionLog.START)  # what is there from this step on is out of date
        text = _board("summary").text("network", _described(net))
        self._write(protocol.Event(file_version="brain.Event:2"))
        self._write(protocol.Event(step=net.epoch, session_log=start), protocol.Event(step=net.epoch, summary=text))

    def on_epoch_end(self, state: FitState) -> None:
        """Write the figures, perhaps histograms."""
        step, kinds, event = state.network.epoch - 1, _board("summary"), _board("proto.event_pb2").Event
        found = [kinds.scalar(_tag(name), float(value)) for name, value in state.logs.items()]
        if self.histograms is not None and (step + 1) % self.histograms == 0:
            found += [kinds.histogram(tag, values, BINS) for tag, values in _insides(state.network, self.batch)]
        self._write(*(event(step=step, summary=summary) for summary in found))

    def _write(self, *events: Any) -> None:
        """Add events to the file, which is complete then."""
        now = time.time()
        with open(self._path, "ab") as file:
            for event in events:
                event.wall_time = now
                file.write(_record(event.SerializeToString()))

    def __repr__(self) -> str:
        batch = "" if self.batch is None else ", batch=..."
        return f"TensorBoard({self.folder!r}, histograms={self.histograms}{batch})"


def _tag(name: str) -> str:
    """Return the tag of a figure: its group, and which of the group it is."""
    if name in (*STATE, "seconds"):
        return f"state/{name}"
    return f"{name.removeprefix('val_')}/validation" if name.startswith("val_") else f"{name}/training"


def _board(module: str) -> Any:
    """Return a module of tensorboardX's. Its writer is not taken: it writes by and by, in a thread of its own."""
    return optional(f"tensorboardX.{module}", "a log for TensorBoard", "tensorboard")


def _record(data: bytes) -> bytes:
    """Return data as a record of TensorFlow's files: length, check of it, data, check of them."""
    from struct import pack

    check = _board("record_writer").masked_crc32c
    length = pack("<Q", len(data))
    return length + pack("<I", check(length)) + data + pack("<I", check(data))


def _described(net: Network) -> str:
    """Return the network in Markdown: in words, and as its configuration."""
    import json

    config = json.dumps(net.get_config(), indent=2, default=repr)
    return f"{net!r}\n\n" + "\n".join(f"    {line}" for line in config.splitlines())


def _insides(net: Network, batch: tuple[ArrayLike, ArrayLike] | None) -> Iterator[tuple[str, Array]]:
    """Yield the tags of all histograms and the numbers that are finite, float64, where there are any."""
    import numpy as np

    memory, found = net._scratch(), {}
    if batch is not None:
        memory.gradient(*net._reader.batch(*batch))
    A = memory.activations() if batch is not None else []
    for l, layer in enumerate(net.layers, 1):
        found[f"layer_{l}/weights"], found[f"layer_{l}/biases"] = layer.W, layer.b
        if batch is not None:
            found[f"layer_{l}/gradients"], found[f"layer_{l}/activations"] = memory.grad[layer._part], A[l]
    for tag, values in found.items():
        finite = values[np.isfinite(values)].astype(np.float64)
        if finite.size:
            yield tag, finite
