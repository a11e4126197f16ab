"""Proof that an exported file is the network: it is compiled and run, and what it computes compared as bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp.errors import DivergenceError, ExportError
from cbp.heads import Heads
from cbp.io.c._eight import quantized
from cbp.io.c._program import Compiler, Header, run, words_of
from cbp.network import network_of
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike, Path
    from cbp.network import Network
    from cbp.scaling import Scaling

BATCHES = (16, 1, 7)
"""Rows of the batches that training steps take in turn."""


@dataclass(frozen=True)
class Report:
    """What `verify_export` found: no difference.

    Attributes
    ----------
    rows, outputs : int
        How many rows were predicted, and how many numbers that makes.
    steps : int
        Training steps after which objective and all parameters were compared, those not counted that were not made
        because the objective was not finite.
    compiler : str
        The command and its flags.
    flash : int or None
        Bytes of code and constants of the exported file; None where there is no program ``size`` beside the compiler.
    workspace : int
        Bytes that the caller provides: the workspace of predict, one row of inputs, one of outputs; parameters, where
        they are the caller's.
    stack : int or None
        Bytes of stack, at most: of all functions of the file together. None where the compiler does not tell.
    """

    rows: int
    outputs: int
    steps: int
    compiler: str
    flash: int | None
    workspace: int
    stack: int | None

    def __str__(self) -> str:
        steps = f" and {self.steps} training steps" if self.steps else ""
        lines = [f"the same bytes in {self.rows:,} rows{steps}", f"compiler   {self.compiler}"]
        if self.flash is not None:
            lines.append(f"flash      {self.flash:,} bytes of code and constants")
        stack = "" if self.stack is None else f", at most {self.stack:,} of stack"
        return "\n".join([*lines, f"RAM        {self.workspace:,} bytes of workspace, input and output{stack}"])


def verify_export(
    net: Network,
    path: Path,
    *,
    rows: int | ArrayLike = 2000,
    steps: int = 12,
    compiler: str | None = None,
    flags: str | Sequence[str] = "-O2",
    wrapper: str | Sequence[str] = (),
    seed: int = 0,
) -> Report:
    """Compile what `Network.export` wrote as C, and show that it computes what the network does, byte for byte.

    Parameters
    ----------
    net : Network
        As it was when it was exported. It is not changed. Where the file has weights of 8 bits it is compared with
        what `cbp.io.c.quantized` makes of the network.
    path : str or path-like
        The C file; its header is beside it.
    rows : int or array_like, shape (m, n_0), default 2000
        How many rows to predict, of all magnitudes and with the ends of the range among them; or rows of your own.
    steps : int, default 12
        How many training steps to make, on batches of several sizes, where the file has `train_step`.
    compiler : str, optional
        Its command, like "clang" or "aarch64-linux-gnu-gcc". Default: the environment's CC, Python's, cc, gcc, clang or
        cl, whichever there is.
    flags : str or list of str, default "-O2"
        What the compiler gets beside the files.
    wrapper : str or list of str, optional
        What goes before the program to run it, like "qemu-aarch64 -L /usr/aarch64-linux-gnu".
    seed : int, default 0
        Of rows and targets.

    Returns
    -------
    Report
        Print it: rows, compiler, flash and RAM.

    Raises
    ------
    ValueError, TypeError
        An argument is not what it should be.
    ExportError
        There is no compiler, the file does not compile or run, or a number differs: the message has the first row.
    OSError
        A file cannot be read.

    Notes
    -----
    NaN equals NaN whatever its payload. Everything is made in a temporary folder.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.c")
    ...     net.export(path)
    ...     print(cbp.verify_export(net, path, compiler="gcc"))  # doctest: +SKIP
    the same bytes in 2,000 rows
    compiler   gcc -O2
    flash      1,669 bytes of code and constants
    RAM        60 bytes of workspace, input and output, at most 32 of stack
    """
    net = network_of(net)
    file = os.path.abspath(os.fspath(path))
    if not file.endswith(".c"):
        raise ValueError(f"what can be verified is C, a file that ends in .c: {os.fspath(path)}")
    header = _header_of(net, file)
    X = _sample(net, whole(rows, "rows", 1), seed) if np.ndim(rows) == 0 else _rows_of_yours(net, rows)
    batches = list(_batches(net, whole(steps, "steps", 0), seed)) if header.trains else []
    messages = b"".join([_predictions(X), *(batch.message() for batch in batches)])
    made = Compiler.find(compiler, flags)
    with tempfile.TemporaryDirectory(prefix="cbp-") as folder:
        program, flash, stack = _build(made, header, file, folder)
        answer = run([*words_of(wrapper), program], messages)
    if header.sizes.get("WEIGHT_BITS") == 8:
        net = quantized(net)
    wanted = net.predict(X, check_finite=False)
    _compare(file, X, wanted, answer[: wanted.nbytes])
    made_steps = _compare_steps(file, net, batches, answer[wanted.nbytes :])
    numbers = sum(header.sizes.get(name, 0) for name in ("OUTPUTS", "WORK", "PARAMS"))
    memory = numbers * wanted.itemsize + X.shape[1] * X.itemsize
    return Report(len(X), wanted.size, made_steps, str(made), flash, memory, stack)


def _header_of(net: Network, file: str) -> Header:
    """Return the header of a file, which must be of a network with as many inputs and outputs as this one."""
    header = Header.of(file)
    sizes = [header.sizes.get(name) for name in ("INPUTS", "OUTPUTS")]
    if sizes != [net.widths[0], net.widths[-1]]:
        raise ExportError(
            f"{file} is of another network: it has {sizes[0]} inputs and {sizes[1]} outputs, "
            f"not {net.widths[0]} and {net.widths[-1]}"
        )
    return header


def _build(compiler: Compiler, header: Header, file: str, folder: str) -> tuple[str, int | None, int | None]:
    """Compile the file and the program that runs it; return the program, and bytes of flash and stack."""
    places = {name: os.path.join(folder, name) for name in ("main.c", "main.o", "model.o", "program.exe")}
    with open(places["main.c"], "w", encoding="utf-8") as text:
        text.write(header.main(max(BATCHES)))
    compiler.compile(file, places["model.o"], os.path.dirname(file))
    compiler.compile(places["main.c"], places["main.o"], os.path.dirname(file))
    compiler.link([places["main.o"], places["model.o"]], places["program.exe"])
    sizes = compiler.sizes(places["model.o"])
    if sizes is not None and sizes[1]:
        raise ExportError(f"{file} has {sizes[1]} bytes of variables, where it should have none")
    return places["program.exe"], None if sizes is None else sizes[0], compiler.stack(places["model.o"])


# ---- what is sent ----


def _predictions(X: Array) -> bytes:
    """Return the messages that ask for predictions."""
    kind = np.dtype([("tag", "S1"), ("x", X.dtype.newbyteorder("<"), X.shape[1])])
    messages = np.empty(len(X), kind)
    messages["tag"], messages["x"] = b"p", X
    return messages.tobytes()


@dataclass(frozen=True)
class Batch:
    """One training step: inputs (m, n_0), targets (m, n), learning rate."""

    X: Array
    y: Array
    rate: float

    def message(self) -> bytes:
        """Return what asks for it."""
        return (
            b"t"
            + len(self.X).to_bytes(4, "little")
            + b"".join(_little(part) for part in (np.float64(self.rate), self.X, self.y))
        )


def _little(values: Array | np.generic) -> bytes:
    """Return the bytes of numbers, the little end first."""
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _rows_of_yours(net: Network, rows: Any) -> Array:
    """Return given rows as the program takes them."""
    X = np.asarray(rows, _taken(net))
    if X.ndim != 2 or X.shape[1] != net.widths[0] or not len(X):
        raise ValueError(f"rows must be a number, or an array of the shape (rows, {net.widths[0]}), not {X.shape}")
    return X


def _taken(net: Network) -> np.dtype[Any]:
    """Return the type of the inputs in C."""
    return net.dtype if net.input_scaling is None else np.dtype(np.float64)


def _in_units(values: Array, scaling: Scaling | None) -> Array:
    return values if scaling is None else scaling.inverse(values)


def _sample(net: Network, rows: int, seed: int) -> Array:
    """Return rows to predict: normal numbers of many sizes, the ends of the range, and what is no number."""
    rng, limits = np.random.default_rng(seed), np.finfo(net.dtype)
    n = net._spec.n_in
    X = rng.normal(0, 1, (rows, n)) * 10.0 ** rng.uniform(-3, 3, (rows, 1))
    X[: rows // 8] *= 10.0 ** rng.uniform(-30, 30, (rows // 8, 1))
    edges = np.array([0.0, -0.0, limits.smallest_subnormal, -limits.tiny, limits.eps, limits.max / 4, -limits.max / 4])
    share = rng.choice([0, 0, 0, 0.3, 1], (rows, 1))
    place = rng.random((rows, n)) < share
    X[place] = rng.choice(edges, int(place.sum()))
    with np.errstate(over="ignore", invalid="ignore"):
        X = _in_units(X, net.input_scaling)
        for row, edge in enumerate([*edges, np.inf, -np.inf, np.nan][:rows]):
            X[row] = edge
        return _within_range(X, net).astype(_taken(net))


def _within_range(X: Array, net: Network) -> Array:
    """Return rows with ±∞ for finite numbers that, scaled, the network's dtype cannot hold: `predict` refuses those."""
    if net.input_scaling is None:
        return X
    lost = np.isfinite(X) & ~np.isfinite(net.input_scaling.transform(X).astype(net.dtype))
    return np.where(lost, np.copysign(np.inf, X), X)


def _batches(net: Network, steps: int, seed: int) -> Iterator[Batch]:
    """Yield batches of several sizes, with targets that suit the loss."""
    rng, spec = np.random.default_rng(seed), net._spec
    for step in range(steps):
        m = BATCHES[step % len(BATCHES)]
        X = _in_units(rng.normal(0, 1, (m, spec.n_in)), net.input_scaling).astype(_taken(net))
        losses = [head.loss for head in spec.loss.all] if isinstance(spec.loss, Heads) else [spec.loss]
        counts = [head.n_targets for head in spec.loss.all] if isinstance(spec.loss, Heads) else [spec.n_targets]
        parts = [_targets(rng, loss, (m, n), spec.missing_targets) for loss, n in zip(losses, counts, strict=True)]
        y = _in_units(np.concatenate(parts, axis=1), net.target_scaling)
        kind = net.dtype if net.target_scaling is None else np.float64
        yield Batch(X, y.astype(kind), float(rng.uniform(0.001, 0.02)))


def _targets(rng: np.random.Generator, loss: Any, shape: tuple[int, int], missing: bool) -> Array:
    """Return targets that a loss can take."""
    low, high = loss.targets
    if loss.partner in activations and activations[loss.partner].row_wise:
        y = rng.uniform(0.1, 1, shape)
        y /= y.sum(axis=1, keepdims=True)
    elif (low, high) == (-1, 1):
        y = rng.choice([-1.0, 1.0], shape)
    else:
        y = rng.normal(0, 1, shape) if low == -np.inf else rng.uniform(low, min(high, low + 3), shape)
    if missing:
        y[rng.random(len(y)) < 0.2] = np.nan
    return y


# ---- what comes back ----


def _numbers(answer: bytes, dtype: np.dtype[Any], count: int, file: str) -> Array:
    """Return so many numbers of the program's answer."""
    if len(answer) != count * dtype.itemsize:
        raise ExportError(f"{file}: the program answered {len(answer)} bytes, not {count * dtype.itemsize}")
    return np.frombuffer(answer, dtype.newbyteorder("<")).astype(dtype)


def _differ(wanted: Array, found: Array) -> Array:
    """Return where bits differ; NaN equals NaN."""
    bits = f"u{wanted.dtype.itemsize}"
    return (wanted.view(bits) != found.view(bits)) & ~(np.isnan(wanted) & np.isnan(found))


def _compare(file: str, X: Array, wanted: Array, answer: bytes) -> None:
    """Raise `ExportError` for the first row of outputs that differs."""
    found = _numbers(answer, wanted.dtype, wanted.size, file).reshape(wanted.shape)
    wrong = _differ(wanted, found)
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ExportError(
            f"{file} differs from the network in {int(wrong.any(axis=1).sum()):,} of {len(X):,} rows, first in row "
            f"{row}, output {column}: {found[row, column]!s} instead of {wanted[row, column]!s}, inputs "
            f"{X[row].tolist()}"
        )


def _compare_steps(file: str, net: Network, batches: Sequence[Batch], answer: bytes) -> int:
    """Return how many steps were made; raise `ExportError` for the first after which a number differs."""
    other, made = net.copy(), 0
    size = 8 + other.params.nbytes
    _numbers(answer, np.dtype(np.uint8), size * len(batches), file)
    for number, batch in enumerate(batches):
        answered = answer[number * size : (number + 1) * size]
        try:
            loss = other.train_step(batch.X, batch.y, batch.rate)
            made += 1
        except DivergenceError:
            loss = np.nan
        found = _numbers(answered[:8], np.dtype(np.float64), 1, file)
        where = f"{file} differs from the network after training step {number} on {len(batch.X)} rows"
        if not (loss == found[0] or (np.isnan(loss) and not np.isfinite(found[0]))):
            raise ExportError(f"{where}: the objective is {float(found[0])!r} instead of {loss!r}")
        wrong = _differ(other.params, _numbers(answered[8:], other.params.dtype, other.params.size, file))
        if wrong.any():
            raise ExportError(
                f"{where}: in {int(wrong.sum()):,} of {wrong.size:,} parameters, first {int(np.argmax(wrong))}"
            )
    return made
