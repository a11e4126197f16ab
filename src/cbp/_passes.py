"""The passes of a training over its rows: order, learning rates, parts. The step loops are in the core.

Used by training.py. What is not an array in memory comes from _sources.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._arguments import real, whole
from cbp._samples import Samples, shares, split, validation_samples
from cbp._sources import Batches, Piece, Rows, is_mapped, is_sparse
from cbp.errors import diverged
from cbp.optimizers import Optimizer

if TYPE_CHECKING:
    from cbp._typing import Array, Schedule
    from cbp.methods import Method
    from cbp.training import Trainer


class Passes:
    """What all passes have in common: a network, and learning rates."""

    def __init__(self, net: Trainer, schedule: Schedule | None) -> None:
        if schedule is not None and not callable(schedule):
            raise TypeError(f"schedule must be a function of the step, not {schedule!r}")
        self.net, self.schedule = net, schedule
        self.reader = net._reader  # or what training begins with, where that is still to be learned
        self.shape = [0, 0]  # rows and batch_size, where there are any: a pass goes on with the same alone
        self.pause: Callable[[], None] | None = None
        self.every: tuple[int, ...] = ()

    def rates(self, count: int, done: int) -> tuple[Any, float]:
        """Return the learning rate of every one of the `count` batches after `done` others, or of each; and the last.

        Those of batches that are made already are 0.
        """
        if self.schedule is None:
            optimizer = self.net._optimizer
            assert optimizer is not None
            return optimizer.learning_rate, optimizer.learning_rate
        made = self.net._memory.batches - done
        t = self.net._memory.t - made
        coming = [real(self.schedule(t + b), f"schedule({t + b})", low=0.0) for b in range(made, count)]
        return np.array([0.0] * made + coming), coming[-1]

    def begin(self, resume: bool) -> None:
        """Begin the next pass at its start; or, to resume, with the batch that the last one was left at."""
        memory = self.net._memory
        if not (resume and memory.batches):
            memory.batches, memory.cost, memory.weight = 0, 0.0, 0.0
        elif self.net._pass_shape != self.shape:
            raise ValueError(
                f"resume: the epoch to go on with has {_in_words(*self.net._pass_shape)}, not {_in_words(*self.shape)}"
            )
        self.net._pass_shape = self.shape

    def one(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Make one pass; return its loss and its other figures. `epoch` is for the error message."""
        raise NotImplementedError

    def over(self, logs: dict[str, float]) -> str:
        """Return why there is no point in another pass, or ""; `logs` has the figures of the last."""
        return ""

    def end(self, reason: str) -> None:
        """Do what remains to be done when training is over, for the reason that `over` gave, if it did."""

    def outputs(self) -> tuple[Any, Array] | None:
        """Return targets and outputs of all rows as the network is now; None where rows cannot be had again."""
        return None

    def piecewise(self, pieces: Iterable[Piece], epoch: int) -> tuple[float, dict[str, float]]:
        """Make one pass over these pieces."""
        memory, coming = self.net._memory, iter(pieces)
        piece: Piece | None = next(coming)
        done, loss, last = 0, 0.0, 0.0
        while piece is not None:
            following = next(coming, None)
            count = -(-len(piece.samples.X) // piece.batch_size)
            if done + count > memory.batches:
                loss, last = self.part(piece, count, done, following is None, epoch)
            piece, done = following, done + count
        return loss, {"learning_rate": last}

    def part(self, piece: Piece, count: int, done: int, ends: bool, epoch: int) -> tuple[float, float]:
        """Make the `count` batches of a piece, which come after `done` others, or those of them that are left."""
        rates, last = self.rates(count, done)
        (X, y, weight), batch_size, order = piece
        try:
            loss = self.net._memory.epoch(X, y, weight, order, batch_size, rates, done, ends, self.pause, self.every)
        except _core.Diverged as report:
            message, batch, layer = report.args
            raise diverged(_core.Diverged(message, batch + done, layer), epoch, last) from None
        return loss, last


def _in_words(rows: int, batch_size: int) -> str:
    return f"{rows} rows in batches of {batch_size}" if rows else "batches of somebody else's making"


class ArrayPasses(Passes):
    """Over samples in memory."""

    def __init__(
        self, net: Trainer, samples: Samples, batch_size: int, shuffle: bool, schedule: Schedule | None
    ) -> None:
        super().__init__(net, schedule)
        self.samples, self.shuffle = samples, shuffle
        self.n = len(samples.X)
        self.piece = Piece(samples, min(batch_size, self.n))
        self.count = -(-self.n // self.piece.batch_size)
        self.shape = [self.n, self.piece.batch_size]

    def one(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Make one pass: a single call of the core."""
        net, piece = self.net, self.piece
        if self.shuffle:
            piece = piece._replace(order=_core.permutation(net.seed, net.epoch, self.n))
        loss, last = self.part(piece, self.count, 0, True, epoch)
        return loss, {"learning_rate": last}

    def outputs(self) -> tuple[Any, Array]:
        """Return targets and outputs of all rows."""
        outputs = np.empty((self.n, self.net._spec.n_out), self.net.dtype)
        self.net._plan.predict(self.net.params, self.samples.X, outputs)
        self.net._reader.restore(outputs)
        return self.net._reader.restored(self.samples.y), outputs


class RowPasses(Passes):
    """Over rows that are read as they are needed, or over whole batches only."""

    def __init__(
        self, net: Trainer, rows: Rows, batch_size: int, shuffle: bool, schedule: Schedule | None, drop_last: bool
    ) -> None:
        super().__init__(net, schedule)
        self.rows, self.shuffle = rows, shuffle
        n = len(rows)
        self.batch_size = batch_size if drop_last else min(batch_size, n)
        self.n = n // batch_size * batch_size if drop_last else n
        self.shape = [self.n, self.batch_size]
        if self.n == 0:
            raise ValueError(f"drop_last leaves nothing: {n} rows are less than a batch of {batch_size}")

    def one(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Make one pass, some megabytes at a time."""
        net = self.net
        order = _core.permutation(net.seed, net.epoch, len(self.rows)) if self.shuffle else None
        return self.piecewise(self.rows.pieces(order, self.batch_size, self.n), epoch)

    def outputs(self) -> tuple[Any, Array]:
        """Return targets and outputs of all rows, some megabytes at a time."""
        net, done = self.net, 0
        outputs, targets = np.empty((len(self.rows), net._spec.n_out), net.dtype), []
        for piece in self.rows.pieces(None, self.batch_size, len(self.rows)):
            m = len(piece.samples.X)
            net._plan.predict(net.params, piece.samples.X, outputs[done : done + m])
            targets.append(piece.samples.y)
            done += m
        net._reader.restore(outputs)
        return net._reader.restored(np.concatenate(targets)), outputs


class BatchPasses(Passes):
    """Over batches that somebody else makes."""

    def __init__(self, net: Trainer, batches: Batches, schedule: Schedule | None) -> None:
        super().__init__(net, schedule)
        self.batches = batches

    def one(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Make one pass: a call of the core for each batch."""
        return self.piecewise(self.batches.pieces(), epoch)


def passes_over(
    net: Trainer,
    X: Any,
    y: Any,
    *,
    sample_weight: Any,
    class_weight: Any,
    batch_size: Any,
    shuffle: bool,
    drop_last: bool,
    check_finite: bool,
    optimizer: Optimizer | Method,
    validation: Any = None,
    schedule: Schedule | None = None,
) -> tuple[Passes, Samples | None]:
    """Return the passes that training with these arguments makes, and the samples held out for validation."""
    batch_size, reader = whole(batch_size, "batch_size", 1), net._reader
    if not isinstance(optimizer, Optimizer):
        from cbp.methods._passes import check_method, method_passes

        check_method(net._spec, optimizer, X, y, schedule, drop_last)
        return method_passes(net, optimizer, X, y, sample_weight, class_weight, validation, check_finite)
    if y is None:
        for name, value in (("sample_weight", sample_weight), ("class_weight", class_weight)):
            if value is not None:
                raise ValueError(f"{name} does not go with batches; a batch may be (X, y, sample_weight)")
        if validation is not None and not isinstance(validation, (tuple, list)):
            raise ValueError("no share can be taken from batches for validation: give (X, y)")
        batches = Batches(X, reader, check_finite)
        reader.need_no_rows()
        return BatchPasses(net, batches, schedule), validation_samples(validation, reader, check_finite)
    run: Passes
    reader = reader.prepared(X, y, validation, net.seed, check_finite)
    if is_sparse(X) or is_mapped(X) or drop_last:
        rows, held_out = Rows(X, y, sample_weight, reader, check_finite), None
        if validation is None or isinstance(validation, (tuple, list)):
            held_out = validation_samples(validation, reader, check_finite)
        else:
            train, held = shares(len(rows), validation, net.seed)
            rows, held_out = rows.only(train), rows.take(held)
        run = RowPasses(net, rows.weighted(class_weight), batch_size, shuffle, schedule, drop_last)
    else:
        samples = Samples(*reader.batch(X, y, sample_weight, check_finite))
        train_on, held_out = split(samples, validation, reader, net.seed, check_finite)
        run = ArrayPasses(net, train_on.weighted(class_weight, reader), batch_size, shuffle, schedule)
    run.reader = reader
    return run, held_out
