"""Does this build compute correctly on this machine? Gradients of everything, instruction sets compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core, optimizers, tables
from cbp._spec import DTYPES, Spec
from cbp.gradcheck import gradcheck
from cbp.heads import output_of
from cbp.layers import Dense
from cbp.network import Network

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array
    from cbp.tables import Row

ROWS, INPUTS, UNITS, OUTPUTS = 5, 3, 4, 3
EPOCHS, BATCH, STEPS = 20, 3, 5


class SelfTest:
    """What `selftest` found; print it to read it.

    Attributes
    ----------
    lines : tuple of (str, bool)
        Every check and whether it passed.
    ok : bool
        Whether all of them did.
    """

    def __init__(self, lines: tuple[tuple[str, bool], ...]) -> None:
        self.lines = lines
        self.ok = all(passed for _, passed in lines)

    def __repr__(self) -> str:
        failed = [_show(line) for line in self.lines if not line[1]]
        verdict = "all passed" if self.ok else f"{len(failed)} FAILED"
        return "\n".join([*failed, f"cbp {_core.version()} on {_core.isa()}: {len(self.lines)} checks, {verdict}"])


def selftest(verbose: bool = False) -> SelfTest:
    """Check gradients of every activation with every loss, every optimiser, full-batch method and initialiser.

    The gradients are compared with numeric ones; of the rest, that all instruction sets give the same bits.

    Parameters
    ----------
    verbose : bool, default False
        Print every check as it is made.

    Returns
    -------
    SelfTest
        With `ok`; its text lists what failed.

    Examples
    --------
    >>> import cbp
    >>> cbp.selftest().ok
    True
    """
    lines = []
    for line in _checks():
        lines.append(line)
        if verbose:
            print(_show(line))
    return SelfTest(tuple(lines))


def _checks() -> Iterator[tuple[str, bool]]:
    from cbp.methods import by_name as methods

    for dtype in DTYPES:
        for layers, loss in combinations():
            net = Network([INPUTS, *layers], loss=loss, dtype=dtype, seed=1)
            X, y = samples(OUTPUTS)
            yield f"gradient, {net._spec}", gradcheck(net, X, y).ok
        net = Network(_joined("tanh"), dtype=dtype, seed=1)
        yield f"gradient, {net._spec}", gradcheck(net, *samples(OUTPUTS)).ok
        for optimizer in [*tables.optimizers, *methods]:
            train = _stepped if optimizer in methods else _trained
            wanted, falls = train(dtype, "scalar", optimizer)
            yield f"training lowers the loss, {optimizer}, {dtype}", falls
            for isa in _core.isas():
                same = train(dtype, isa, optimizer)[0] == wanted
                yield f"{isa} gives the bits of scalar, {optimizer}, {dtype}", same
        for init in tables.initializers:
            start = _initial(dtype, "scalar", init)
            for isa in _core.isas():
                yield f"{isa} gives the bits of scalar, {init}, {dtype}", _initial(dtype, isa, init) == start


def combinations() -> Iterator[tuple[list[Dense], Row]]:
    """Yield hidden and output layer for every activation, at each place that it is allowed, with every loss."""
    hidden = [row for row in tables.activations.values() if not row.row_wise]
    for loss in tables.losses.values():
        for output in tables.activations.values():
            if (loss.head or loss.pair) and output.name != loss.partner:
                continue
            last = Dense(OUTPUTS, output) if not loss.pair else Dense(2 * OUTPUTS, output_of(2 * OUTPUTS, loss, output))
            for row in hidden if output.name == loss.partner else [output if not output.row_wise else hidden[0]]:
                yield [Dense(UNITS, row), last], loss


def _joined(hidden: ActivationLike | list[Row]) -> list[int | Dense]:
    """Return layers that have skip connections and steepness, the second of them with `hidden`."""
    units = len(hidden) if isinstance(hidden, list) else UNITS
    steep = Dense(13, "tanh", steepness=0.75)
    return [INPUTS, steep, Dense(units, hidden, skip=[0]), Dense(OUTPUTS, "softmax", steepness=1.5, skip="all")]


def samples(classes: int) -> tuple[Array, Array]:
    """Return inputs in (-1, 1) and rows with a 1 for one of the classes: arithmetic that is exact everywhere."""
    count = np.arange(ROWS * INPUTS).reshape(ROWS, INPUTS)
    X = (count * 37 % 101 - 50) / 64
    return X, np.eye(classes)[np.arange(ROWS) % classes]


def _spec(dtype: str, init: str | None = None) -> Spec:
    """Return a network that has every activation, and weights by one initialiser."""
    hidden = [row for row in tables.activations.values() if not row.row_wise]
    return Spec(_joined(hidden), init=init, dtype=dtype, seed=1)


def _initial(dtype: str, isa: str, name: str) -> bytes:
    """Return the first parameters, made with this instruction set."""
    spec = _spec(dtype, name)
    return bytes(spec.initial(spec.plan(isa)).tobytes())


def _trained(dtype: str, isa: str, name: str) -> tuple[bytes, bool]:
    """Return the parameters after a short training with this instruction set, and whether the loss fell."""
    spec = _spec(dtype)
    plan = spec.plan(isa)
    memory = _core.Memory(plan, spec.initial(plan))
    optimizer = optimizers.get(name)
    assert isinstance(optimizer, optimizers.Optimizer)
    memory.set_optimizer(optimizer.row, optimizer.args)
    X, y = (np.ascontiguousarray(array, dtype) for array in samples(OUTPUTS))
    losses = [
        memory.epoch(X, y, None, _core.permutation(1, epoch, ROWS), BATCH, optimizer.learning_rate)
        for epoch in range(EPOCHS)
    ]
    return bytes(memory.theta.tobytes()), losses[-1] < losses[0]


def _stepped(dtype: str, isa: str, name: str) -> tuple[bytes, bool]:
    """Return the parameters after some steps of a full-batch method, and whether the loss fell."""
    net = Network([INPUTS, UNITS, OUTPUTS], activation="tanh", output="identity", dtype=dtype, seed=1)
    plan = net._spec.plan(isa)
    net._setup(net._spec, plan, net._spec.initial(plan))
    X, y = samples(OUTPUTS)
    before = net.loss(X, y)
    losses = net.fit(X, y, epochs=STEPS, optimizer=name, progress=False).loss
    return bytes(net.params.tobytes()), losses[-1] < before


def _show(line: tuple[str, Any]) -> str:
    return f"{'ok    ' if line[1] else 'FAILED'} {line[0]}"
