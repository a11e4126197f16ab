"""Every optimiser against an independent transcription of its paper (reference.OPTIMIZERS), over a hundred steps."""

import inspect

import numpy as np
import pytest
from cases import each_of
from reference import OPTIMIZERS, Oracle, rows

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


def started(name, args=None, dtype="float64", theta=None):
    """A memory with an optimiser, its default arguments unless others are given."""
    n = plan(dtype).n_params
    memory = _core.Memory(plan(dtype), np.ones(n, dtype) if theta is None else theta.copy())
    memory.set_optimizer(name, [value for _, value in rows("optimizers")[name]["args"]] if args is None else args)
    return memory


def gradients(n):
    rng = np.random.default_rng(20)
    return rng.normal(0, 1, (STEPS, n)) * 10.0 ** rng.uniform(-4, 1, n)


def with_losses(step, losses):
    """The losses, for a transcription that looks at them."""
    return {"losses": losses} if "losses" in inspect.signature(step).parameters else {}


def some_loss(memory, rng):
    """A loss that falls and rises: of one sample with a random target. It leaves a gradient behind."""
    X, y = np.zeros((1, N_IN), memory.plan.dtype), rng.normal(0, 10, (1, N_OUT)).astype(memory.plan.dtype)
    return memory.gradient(X, y)


@pytest.mark.parametrize(("name", "args"), CASES, ids=str)
@each_of("dtype", BOUND)
def test_first_hundred_steps(name, args, dtype):
    row = rows("optimizers")[name]
    step, losses = transcription(name), []
    rate = row["learning_rate"]
    rng = np.random.default_rng(21)
    theta = rng.normal(0, 1, plan(dtype).n_params).astype(dtype)
    grads = gradients(theta.size).astype(dtype)
    memory = started(name, args, dtype, theta)
    named = dict(zip((arg for arg, _ in row["args"]), args, strict=True)) | with_losses(step, losses)
    wanted = step(theta.astype("float64"), grads.astype("float64"), rate, **named)
    for g in grads:
        losses.append(some_loss(memory, rng))
        memory.grad[:] = g
        memory.update(rate)
        np.testing.assert_allclose(memory.theta, next(wanted), rtol=BOUND[dtype], atol=BOUND[dtype])
    assert memory.t == STEPS


@pytest.mark.parametrize("name", rows("optimizers"))
def test_the_formula_of_the_documentation_is_the_step(name):
    row = rows("optimizers")[name]
    rng = np.random.default_rng(25)
    theta = rng.normal(0, 1, plan("float64").n_params)
    memory = started(name, theta=theta)
    code = compile(row["formula"], name, "exec")
    values = {word: np.zeros_like(theta) for word in code.co_names} | dict(row["args"])
    values |= {"w": theta, "learning_rate": row["learning_rate"]}
    values |= {word: getattr(np, word) for word in ("abs", "maximum", "minimum", "sign", "sqrt", "where")}
    for t, g in enumerate(gradients(theta.size)[:50], start=1):
        values |= {"g": g, "t": t, "loss": some_loss(memory, rng)}
        memory.grad[:] = g
        memory.update(row["learning_rate"])
        with np.errstate(all="ignore"):
            exec(code, values)
        np.testing.assert_allclose(memory.theta, values["w"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", rows("optimizers"))
def test_slots_are_as_many_as_the_row_says_and_start_at_zero(name):
    memory = started(name)
    assert memory.slots.shape == (rows("optimizers")[name]["n_slots"], memory.theta.size)
    assert not memory.slots.any()
    assert memory.t == 0


@pytest.mark.parametrize("name", rows("optimizers"))
@each_of("dtype", BOUND)
def test_a_parameter_without_gradient_stays(name, dtype):
    row = rows("optimizers")[name]
    args = [0.0 if arg == "weight_decay" else value for arg, value in row["args"]]
    rng = np.random.default_rng(26)
    theta = rng.normal(0, 1, plan(dtype).n_params).astype(dtype)
    memory = started(name, args, dtype, theta)
    still = np.arange(theta.size) % 3 == 0
    for g in gradients(theta.size):
        some_loss(memory, rng)
        memory.grad[:] = np.where(still, 0, g)
        memory.update(row["learning_rate"])
    np.testing.assert_array_equal(memory.theta[still], theta[still])
    assert np.all(memory.theta[~still] != theta[~still])


@pytest.mark.parametrize("name", rows("optimizers"))
@each_of("dtype", BOUND)
def test_a_gradient_that_is_not_a_number_is_not_hidden(name, dtype):
    for before in (0, 1):
        memory = started(name, dtype=dtype)
        for g in [*[1, -1][:before], np.nan]:
            memory.grad[:] = g
            memory.update(0.01)
        assert np.isnan(memory.theta).all()


@pytest.mark.parametrize("name", [name for name, row in rows("optimizers").items() if row["n_slots"]])
@each_of("dtype", BOUND)
def test_state_whose_gradient_stays_zero_ends_at_zero(name, dtype):
    memory = started(name, dtype=dtype)
    smallest = np.finfo(dtype).smallest_normal
    memory.slots[:] = np.array([4, -4, 1.01, 0.5, -0.5, 0])[np.arange(memory.theta.size) % 6] * smallest
    memory.grad[:] = 0
    assert np.any((memory.slots != 0) & (np.abs(memory.slots) < smallest))
    for _ in range(200):
        memory.update(0.01)
        assert not np.any((memory.slots != 0) & (np.abs(memory.slots) < smallest))
    # Slot 0 of every row loses at least a hundredth a step, but for the sum of adagrad; variances take longer
    assert name == "adagrad" or not memory.slots[0].any()


# ---- Rprop, by hand ----

# A parameter that starts at 1 with steps of 0.1: gradients, whether the loss grew, and where it goes
HAND = {
    "rprop_minus": [
        (1, 0, 0.9),
        (2, 0, 0.78),
        (-1, 0, 0.84),
        (-1, 0, 0.912),
        (0, 0, 0.912),
        (3, 0, 0.84),
        (1, 0, 0.7536),
    ],
    "irprop_minus": [
        (1, 0, 0.9),
        (2, 0, 0.78),
        (-1, 0, 0.78),
        (-1, 0, 0.84),
        (0, 0, 0.84),
        (3, 0, 0.78),
        (1, 0, 0.708),
    ],
    "irprop_plus": [
        (1, 0, 0.9),
        (2, 0, 0.78),
        (-1, 1, 0.9),
        (-1, 0, 0.96),
        (-2, 1, 1.032),
        (1, 0, 1.032),
        (1, 0, 0.996),
    ],
}


@pytest.mark.parametrize("name", HAND)
def test_rprop_by_hand(name):
    net = cbp.Network([1, 1], output="identity", loss="half_squared_error", dtype="float64", seed=0)
    net.params[:] = 1
    optimizer, distance = type(cbp.optimizers.get(name))(0.1), 100.0
    for g, grew, want in HAND[name]:
        distance *= 1.5 if grew else 0.5
        net.gradient([[0.0]], [net.params[0] + distance])
        net.grad[:] = g
        optimizer.step(net)
        np.testing.assert_allclose(net.params, want, rtol=1e-14)


@pytest.mark.parametrize("name", HAND)
def test_rprop_looks_at_signs_that_no_product_has_left(name):
    memory = started(name, [0.5, 1.2, 0.0, 50.0], "float32")
    for g in (1e-30, 1e-30, -1e-30):
        memory.grad[:] = g
        memory.update(0.1)
    np.testing.assert_allclose(memory.slots[1], 0.06, rtol=1e-6)


@pytest.mark.parametrize("name", HAND)
def test_steps_of_rprop_have_bounds(name):
    memory = started(name, [0.5, 2.0, 0.05, 0.3])
    for g, want in [(1, 0.1), (1, 0.2), (1, 0.3), (1, 0.3), (-1, 0.15)]:
        memory.grad[:] = g
        memory.update(0.1)
        np.testing.assert_allclose(memory.slots[1], want, rtol=1e-14)
    for t in range(10):
        memory.grad[:] = (-1) ** t
        memory.update(0.1)
        assert np.all(memory.slots[1] >= 0.05)


def test_irprop_plus_goes_back_where_a_network_overshot():
    units = tuple([("tanh", 0.0)] * n for n in (5, 1))
    oracle = Oracle((2, 5, 1), units, "half_squared_error")
    rng = np.random.default_rng(27)
    X, y = rng.normal(size=(12, 2)), rng.uniform(-0.9, 0.9, (12, 1))
    net = cbp.Network([2, 5, 1], activation="tanh", output="tanh", loss="half_squared_error", dtype="float64", seed=3)
    w, losses = np.array(net.params), []

    def gradients_on_the_way():
        while True:
            losses.append(oracle.cost(w, X, y))
            yield oracle.gradient(w, X, y)

    wanted = OPTIMIZERS["irprop_plus"](w, gradients_on_the_way(), 0.1, 0.5, 1.2, 0.0, 50.0, losses=losses)
    for _ in range(40):
        net.fit(X, y, epochs=1, batch_size=12, shuffle=False, optimizer=net.optimizer or cbp.optimizers.IRpropPlus(0.1))
        w = next(wanted)
        np.testing.assert_allclose(net.params, w, rtol=1e-10, atol=1e-10)
    assert np.any(np.diff(losses) > 0)
    assert losses[-1] < 0.2 * losses[0]


# ---- as objects ----


def other(name):
    """An optimiser of a row, with arguments that are not the defaults."""
    row = rows("optimizers")[name]
    named = {arg: (1.5 if arg in ("eta_plus", "mu") else 0.8 * value) for arg, value in row["args"]}
    if name in ("sgd", "momentum", "nesterov"):
        return cbp.optimizers.SGD(0.05, nesterov=name == "nesterov", **named), named
    return type(cbp.optimizers.get(name))(0.05, **named), named


@pytest.mark.parametrize("name", rows("optimizers"))
def test_an_optimizer_object_steps_the_network(name):
    optimizer, named = other(name)
    step = OPTIMIZERS[name]
    net = cbp.Network([N_IN, N_OUT], activation="identity", dtype="float64", seed=22)
    theta, grads = np.array(net.params), gradients(net.n_params)[:30]
    for g, want in zip(grads, step(theta, grads, 0.05, **named, **with_losses(step, [0] * 30)), strict=True):
        net.grad[:] = g
        optimizer.step(net)
        np.testing.assert_allclose(net.params, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", rows("optimizers"))
def test_fit_makes_the_same_steps(name):
    optimizer, _ = other(name)
    rng = np.random.default_rng(23)
    X, y = rng.normal(size=(40, N_IN)), rng.normal(size=(40, N_OUT))
    by_fit = cbp.Network([N_IN, 5, N_OUT], output="identity", dtype="float64", seed=24)
    by_hand = by_fit.copy()
    by_fit.fit(X, y, epochs=5, batch_size=16, optimizer=optimizer, shuffle=False, progress=False)
    for _ in range(5):
        for start in range(0, 40, 16):
            by_hand.gradient(X[start : start + 16], y[start : start + 16])
            optimizer.step(by_hand)
    assert np.array(by_fit.params).tobytes() == np.array(by_hand.params).tobytes()
    assert by_fit._memory.slots.tobytes() == by_hand._memory.slots.tobytes()


@pytest.mark.parametrize("name", rows("optimizers"))
def test_every_optimiser_learns(name):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (60, 2))
    y = np.sin(X[:, 0]) * X[:, 1]
    optimizer = cbp.optimizers.get(name)
    if name != "adadelta":  # which makes its rate itself
        optimizer.learning_rate = 0.03
    net = cbp.Network([2, 16, 1], activation="tanh", output="identity", seed=0)
    history = net.fit(X, y, epochs=300, batch_size=60, optimizer=optimizer, progress=False)
    assert history.loss[-1] < 0.1 * history.loss[0]
