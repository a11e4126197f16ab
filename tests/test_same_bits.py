"""The same seed and data give the same weights, bit for bit, whatever the instruction set.

The scalar kernels are the reference; every other set this CPU has must equal them on bytes. The stored hashes of
c/bits.def tie this machine and compiler to all the others: they are compared with fixed training runs (bits.py).
"""

from functools import cache

import bits
import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES, core_plan, hidden_and_output, problem, uniform_layer, unit_activations
from reference import Oracle, rows

from cbp import _core

ISAS = [isa for isa in _core.isas() if isa != "scalar"] or [
    pytest.param("scalar", marks=pytest.mark.skip(reason="this CPU has the scalar instruction set only"))
]
UNIT_ACTIVATIONS = list(unit_activations())
SHAPES = [(1, 1, 1), (2, 3, 1), (3, 5, 7), (7, 8, 9), (9, 15, 17), (16, 31, 4), (33, 16, 23), (5, 64, 65), (67, 6, 13)]
ROWS = [1, 2, 3, 5, 7, 8, 9, 13, 31, 64]


def mixed(n):
    """Runs of one, two, three ... units of each activation in turn."""
    runs = [unit for i in range(n) for unit in [UNIT_ACTIVATIONS[i % len(UNIT_ACTIVATIONS)]] * (1 + i % 5)]
    return tuple(runs[:n])


def trace(oracle, dtype, isa, m, optimizer="sgd", args=(), rate=0.01, epochs=2):
    """Bytes of everything two epochs and a prediction leave behind."""
    theta, X, y, s = problem(oracle, m, 28, dtype)
    memory = _core.Memory(core_plan(oracle, dtype, isa=isa), theta.copy())
    assert memory.plan.isa == isa
    memory.set_optimizer(optimizer, list(args))
    losses = [memory.gradient(X, y, s)]
    parts = [*memory.activations(), *memory.deltas()[1:], memory.grad]
    found = [np.ascontiguousarray(part).tobytes() for part in parts]
    orders = [_core.permutation(29, epoch, m) for epoch in range(epochs)]
    losses += [memory.epoch(X, y, s, order, max(1, m // 3), rate) for order in orders]
    out = np.empty((m, oracle.widths[-1]), dtype)
    memory.plan.predict(memory.theta, X, out)
    return [*found, memory.theta.tobytes(), memory.slots.tobytes(), out.tobytes(), losses]


def agree(oracle, dtype, isa, m, *args):
    return trace(oracle, dtype, isa, m, *args) == trace(oracle, dtype, "scalar", m, *args)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("shape", SHAPES)
def test_odd_shapes(shape, dtype, isa):
    units = tuple(map(mixed, shape[1:]))
    for m in ROWS:
        assert agree(Oracle(shape, units, "half_squared_error"), dtype, isa, m), m


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("hidden, output", hidden_and_output())
def test_every_activation_and_loss(hidden, output, dtype, isa):
    name, arg, loss = output
    oracle = Oracle((5, 11, 7), (uniform_layer(11, *hidden), uniform_layer(7, name, arg)), loss, "sum")
    rate = 1e-6 if "exp" in (hidden[0], name) else 1e-4  # larger steps diverge
    assert agree(oracle, dtype, isa, 10, "sgd", [], rate)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("optimizer", rows("optimizers"))
def test_every_optimizer(optimizer, dtype, isa):
    row = rows("optimizers")[optimizer]
    oracle = Oracle((7, 13, 3), (mixed(13), mixed(3)), "half_squared_error")
    assert agree(oracle, dtype, isa, 40, optimizer, [value for _, value in row["args"]], row["learning_rate"], 10)


@cache
def of_long_sums(dtype, isa):
    oracle = Oracle((700, 9, 600, 3), (mixed(9), mixed(600), mixed(3)), "half_squared_error")
    return trace(oracle, dtype, isa, 530, "sgd", [], 1e-4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums(dtype, isa):
    assert of_long_sums(dtype, isa) == of_long_sums(dtype, "scalar")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("name, arg", UNIT_ACTIVATIONS)
def test_activations_over_the_whole_range(name, arg, dtype, isa):
    integers = np.random.default_rng(30).integers(0, 2**32, 40_000 * np.dtype(dtype).itemsize // 4, dtype=np.uint32)
    z = integers.view(dtype)
    z = np.ascontiguousarray(z[np.isfinite(z)][:, None])
    found = []
    for which in (isa, "scalar"):
        plan = core_plan(Oracle((1, 1), (uniform_layer(1, name, arg),), "half_squared_error"), dtype, isa=which)
        out = np.empty_like(z)
        plan.predict(np.array([-0.0, 1], dtype), z, out)
        found.append(out.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("rule", rows("initializers"))
def test_every_initializer(rule, dtype, isa):
    oracle = Oracle((13, 37, 5), (mixed(37), mixed(5)), "half_squared_error")
    args = [0.7, 1.5]  # ignored where a rule has none
    first, second = (core_plan(oracle, dtype, isa=which).init([rule, rule], args, 31) for which in (isa, "scalar"))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_equal_one_hot_rows(dtype, isa):
    oracle = Oracle((4, 9, 5), (mixed(9), uniform_layer(5, "softmax")), "categorical_cross_entropy")
    theta, X, _, _ = problem(oracle, 23, 32, dtype)
    labels = np.random.default_rng(33).integers(0, 5, 23)
    found = []
    for which, y in ((isa, labels), (isa, np.eye(5, dtype=dtype)[labels]), ("scalar", labels)):
        memory = _core.Memory(core_plan(oracle, dtype, isa=which), theta.copy())
        found.append((memory.gradient(X, y, None), memory.grad.tobytes()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_fixed_runs_have_the_stored_hash(dtype, isa, threads):
    assert bits.result(dtype, isa, threads) == bits.STORED[dtype]


def test_the_hash_is_fnv_1a():
    text = np.frombuffer(b"foobar", np.uint8)
    assert bits.fnv1a([text]) == bits.fnv1a([text[:3], text[3:]]) == 0x85944171F73967E8
    assert bits.fnv1a([np.array([1.0], ">f4")]) == bits.fnv1a([np.array([1.0], "<f4")]) != bits.fnv1a([text])
