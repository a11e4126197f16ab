"""Every optimiser against an independent transcription of its paper (reference.OPTIMIZERS), over a hundred steps."""

import numpy as np
import pytest
from reference import OPTIMIZERS, rows

import cbp
from cbp import _core

STEPS = 100
N_IN, N_OUT = 6, 7
BOUND = {"float64": 1e-10, "float32": 1e-3}


def arguments(row):
    """The default arguments of a row, and others not far from them."""
    defaults = [value for _, value in row["args"]]
    return [defaults, [0.75 * value for value in defaults]] if defaults else [defaults]


CASES = [(name, args) for name, row in rows("optimizers").items() for args in arguments(row)]


def transcription(name):
    if name not in OPTIMIZERS:
        pytest.fail(f"the optimiser {name!r} has no transcription: add one to OPTIMIZERS in tests/reference.py")
    return OPTIMIZERS[name]


def plan(dtype):
    return _core.Plan(dtype, N_IN, [(N_OUT, "identity", 0.0)], "half_squared_error")


def gradients(n):
    rng = np.random.default_rng(20)
    return rng.normal(0, 1, (STEPS, n)) * 10.0 ** rng.uniform(-4, 1, n)


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize(("name", "args"), CASES, ids=str)
def test_first_hundred_steps(name, args, dtype):
    row = rows("optimizers")[name]
    step = transcription(name)
    rate = row["learning_rate"]
    theta = np.random.default_rng(21).normal(0, 1, plan(dtype).n_params).astype(dtype)
    grads = gradients(theta.size).astype(dtype)
    memory = _core.Memory(plan(dtype), theta.copy())
    memory.set_optimizer(name, args)
    named = dict(zip((arg for arg, _ in row["args"]), args, strict=True))
    for g, want in zip(grads, step(theta.astype("float64"), grads.astype("float64"), rate, **named), strict=True):
        memory.grad[:] = g
        memory.update(rate)
        np.testing.assert_allclose(memory.theta, want, rtol=BOUND[dtype], atol=BOUND[dtype])
    assert memory.t == STEPS


@pytest.mark.parametrize("name", rows("optimizers"))
def test_slots_are_as_many_as_the_row_says_and_start_at_zero(name):
    memory = _core.Memory(plan("float64"), np.ones(plan("float64").n_params))
    memory.set_optimizer(name, [value for _, value in rows("optimizers")[name]["args"]])
    assert memory.slots.shape == (rows("optimizers")[name]["n_slots"], memory.theta.size)
    assert not memory.slots.any()
    assert memory.t == 0


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("name", [name for name, row in rows("optimizers").items() if row["n_slots"]])
def test_state_whose_gradient_stays_zero_ends_at_zero(name, dtype):
    memory = _core.Memory(plan(dtype), np.ones(plan(dtype).n_params, dtype))
    memory.set_optimizer(name, [value for _, value in rows("optimizers")[name]["args"]])
    smallest = np.finfo(dtype).smallest_normal
    memory.slots[:] = np.array([4, -4, 1.01, 0.5, -0.5, 0])[np.arange(memory.theta.size) % 6] * smallest
    memory.grad[:] = 0
    assert np.any((memory.slots != 0) & (np.abs(memory.slots) < smallest))
    for _ in range(30):
        memory.update(0.01)
        assert not np.any((memory.slots != 0) & (np.abs(memory.slots) < smallest))
    assert not memory.slots[0].any()  # slot 0 of every row loses a tenth a step; variances take longer


OBJECTS = {
    "sgd": (cbp.optimizers.SGD(0.05), {}),
    "momentum": (cbp.optimizers.SGD(0.05, momentum=0.8), {"momentum": 0.8}),
    "nesterov": (cbp.optimizers.SGD(0.05, momentum=0.8, nesterov=True), {"momentum": 0.8}),
    "adam": (cbp.optimizers.Adam(0.05, beta1=0.8), {"beta1": 0.8, "beta2": 0.999, "eps": 1e-8}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_optimizer_object_steps_the_network(name):
    optimizer, named = OBJECTS[name]
    net = cbp.Network([N_IN, N_OUT], activation="identity", dtype="float64", seed=22)
    theta, grads = np.array(net.params), gradients(net.n_params)[:30]
    for g, want in zip(grads, OPTIMIZERS[name](theta, grads, 0.05, **named), strict=True):
        net.grad[:] = g
        optimizer.step(net)
        np.testing.assert_allclose(net.params, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", OBJECTS)
def test_fit_makes_the_same_steps(name):
    optimizer = OBJECTS[name][0]
    rng = np.random.default_rng(23)
    X, y = rng.normal(size=(40, N_IN)), rng.normal(size=(40, N_OUT))
    by_fit = cbp.Network([N_IN, 5, N_OUT], output="identity", dtype="float64", seed=24)
    by_hand = by_fit.copy()
    by_fit.fit(X, y, epochs=3, batch_size=16, optimizer=optimizer, shuffle=False, progress=False)
    for _ in range(3):
        for start in range(0, 40, 16):
            by_hand.gradient(X[start : start + 16], y[start : start + 16])
            optimizer.step(by_hand)
    assert np.array(by_fit.params).tobytes() == np.array(by_hand.params).tobytes()
