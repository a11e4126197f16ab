"""The training runs of tests/c/bits.def through the public Python interface, and a hash of all that comes out.

`python tests/bits.py` prints the hash of every instruction set and precision. tests/c/test_bits.c makes the same runs
without Python: what is hashed, and how the data are made, stands there too. No floating-point arithmetic makes them.
"""

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

import cbp
from cbp import _core

TEXT = Path(__file__).with_name("c").joinpath("bits.def").read_text()
SEED = 2026
TURN = ("sigmoid", cbp.activations.leaky_relu(alpha=0.125), "relu", "identity", "tanh")


class Training(NamedTuple):
    """One RUN of bits.def."""

    rows: int
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    init: str
    loss: str
    reduction: str
    optimizer: str
    rate: float
    batch: int
    epochs: int
    weighted: int
    dropout: float
    input_noise: float
    input_dropout: float


def literals(macro):
    """Arguments of each line that begins with this macro."""
    return [ast.literal_eval(arguments) for arguments in re.findall(rf"^{macro}(\(.*\))$", TEXT, re.MULTILINE)]


TRAININGS = [Training(*arguments) for arguments in literals("RUN")]
STORED = dict(literals("HASH"))


@cache
def fnv1a_of(data: bytes) -> int:
    """FNV-1a, 64 bits. Bytes that have been seen before, as nearly all here, are not gone through again."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return digest


def fnv1a(parts: Iterable[np.ndarray]) -> int:
    """FNV-1a over the little-endian bytes of the arrays."""
    return fnv1a_of(b"".join(part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts))


def sixteenths(number, row, n):
    """Return n inputs of one row, -16 to 16 sixteenths."""
    words = [word for block in range(-(-n // 16)) for word in _core.philox([block, row, number, 0], [SEED, 0])]
    return np.frombuffer(np.array(words, "<u4").tobytes(), np.uint8)[:n].astype(np.int64) % 33 - 16


@cache
def data(number, dtype):
    """Inputs, targets and weights of a run. Targets: which of the first n_L inputs is the largest, or for each output
    whether two neighbouring inputs have a positive sum. Weights: the row's number modulo 5, in quarters.
    """
    run = TRAININGS[number]
    x = np.array([sixteenths(number, row, run.widths[0]) for row in range(run.rows)])
    n_out = run.widths[-1]
    classes = run.activations[-1] == "softmax"
    y = x[:, :n_out].argmax(axis=1) if classes else (x + np.roll(x, -1, axis=1))[:, :n_out] > 0
    weight = (np.arange(run.rows) % 5 / 4).astype(dtype) if run.weighted else None
    return (x / 16).astype(dtype), y if classes else y.astype(dtype), weight


def network(run, dtype):
    """Return the network of a run."""
    dropouts = [run.dropout] * (len(run.activations) - 1) + [0]
    layers = [
        cbp.Dense(units, [TURN[j % len(TURN)] for j in range(units)] if name == "mixed" else name, dropout=dropout)
        for units, name, dropout in zip(run.widths[1:], run.activations, dropouts, strict=True)
    ]
    return cbp.Network(
        [run.widths[0], *layers],
        loss=run.loss,
        init=run.init,
        reduction=run.reduction,
        dtype=dtype,
        seed=SEED,
        input_noise=run.input_noise,
        input_dropout=run.input_dropout,
    )


def optimizer(run):
    """Return the optimiser of a run."""
    if run.optimizer in ("momentum", "nesterov"):
        return cbp.optimizers.SGD(run.rate, 0.9, run.optimizer == "nesterov")
    return type(cbp.optimizers.get(run.optimizer))(run.rate)


def train(number, dtype) -> Iterator[np.ndarray]:
    """Yield the losses of the epochs, the parameters, loss and gradient over all rows, and the outputs."""
    run = TRAININGS[number]
    net = network(run, dtype)
    X, y, weight = data(number, dtype)
    history = net.fit(
        X, y, epochs=run.epochs, batch_size=run.batch, optimizer=optimizer(run), sample_weight=weight, progress=False
    )
    yield np.array(history.loss)
    yield net.params
    yield np.array([net.gradient(X, y, weight)])
    yield net.grad
    yield net.predict(X)


@contextmanager
def instruction_set(name):
    """Networks made inside use this one."""
    before = os.environ.get("CBP_ISA")
    os.environ["CBP_ISA"] = name
    try:
        assert cbp.isa() == name
        yield
    finally:
        if before is None:
            del os.environ["CBP_ISA"]
        else:
            os.environ["CBP_ISA"] = before


def result(dtype, isa, threads=1):
    """Return the hash of all runs."""
    before = cbp.get_num_threads()
    cbp.set_num_threads(threads)
    try:
        with instruction_set(isa):
            return fnv1a(part for number in range(len(TRAININGS)) for part in train(number, dtype))
    finally:
        cbp.set_num_threads(before)


def main():
    wrong = 0
    for isa, (dtype, stored), threads in product(_core.isas(), STORED.items(), range(1, 5)):
        digest = result(dtype, isa, threads)
        wrong += digest != stored
        verdict = "same" if digest == stored else "DIFFERS"
        print(f"{'Python':28} {isa:8} {dtype} threads {threads}  {digest:#018x}  {verdict}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main() > 0)
