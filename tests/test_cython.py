"""`cimport cbp` from other packages: built against the cbp that is installed, equal to what Python calls, bit for bit.

The example of the documentation is built as a wheel, a probe of all that _core.pxd declares under the limited API.
"""

import contextlib
import importlib
import itertools
import re
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest
from _cython_modules import ROOT, build
from helpers import DTYPES
from pages import prepare, run_page

import cbp
from cbp import _core

pytest.importorskip("Cython")
RNG = np.random.default_rng(70)
ROWS = 9


@contextlib.contextmanager
def on_the_path(folder):
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the unpacked example, the names of the files of its wheel, the folder of the probe."""
    limited = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    return build(tmp_path_factory.mktemp("built"), limited)


@pytest.fixture(scope="module")
def swing(built):
    with on_the_path(built[0]):
        return importlib.import_module("swing")


@pytest.fixture(scope="module")
def probe(built):
    with on_the_path(built[2]):
        return importlib.import_module("probe")


# ---- networks of every kind ----


def scaled(**kwargs):
    net = cbp.Network([3, 5, 2], activation="tanh", output="identity", seed=5, **kwargs)
    rng = np.random.default_rng(74)
    if net.input_scaling:
        net.learn_scaling(rng.normal(4, 3, (40, 3)), rng.normal(-2, 5, (40, 2)))
    return net


def fixed(**kwargs):
    net = cbp.Network([3, cbp.Dense(4, "tanh", trainable=False), 3, cbp.Dense(2, "identity")], seed=3, **kwargs)
    mask = np.ones(net.layers[1].theta.shape)
    mask[1, 2] = 0
    net.layers[1].mask = mask
    return net


KINDS = {
    "plain": lambda **kwargs: cbp.Network([3, 8, 2], output="identity", seed=1, **kwargs),
    "skips, dropout, penalties": lambda **kwargs: cbp.Network(
        [3, cbp.Dense(6, "relu", dropout=0.5, l2=0.1), cbp.Dense(4, skip=[0], max_norm=0.5), cbp.Dense(2, "tanh")],
        input_noise=0.1,
        seed=2,
        **kwargs,
    ),
    "fixed": fixed,
    "heads": lambda **kwargs: cbp.Network(
        [3, 6, 2],
        heads=[(slice(0, 1), "identity", "huber", 0.5), (slice(1, 2), "tanh", "half_squared_error", 2)],
        seed=4,
        **kwargs,
    ),
    "scaled": lambda **kwargs: scaled(scale_inputs="standard", scale_targets="minmax", **kwargs),
    "scaled inputs": lambda **kwargs: scaled(scale_inputs="robust", **kwargs),
    "scaled targets": lambda **kwargs: scaled(scale_targets=([1, 2], 3), **kwargs),
    "wide": lambda **kwargs: cbp.Network([3, 3000, 2], output="identity", seed=6, **kwargs),
}


def data(dtype):
    rng = np.random.default_rng(71)
    return rng.normal(3, 2, (ROWS, 3)).astype(dtype), rng.normal(0, 1, (ROWS, 2)).astype(dtype)


def for_python(net, y):
    return (y[:, :1], y[:, 1:]) if net.get_config().get("heads") else y


every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@every_kind
@every_dtype
def test_predictions_are_those_of_python(probe, kind, dtype):
    net, (x, _) = KINDS[kind](dtype=dtype), data(dtype)
    out, row = np.full((ROWS, 2), np.nan, dtype), np.full(2, np.nan, dtype)
    probe.predict_rows(net, x, out)
    probe.predict_row(net, x[4], row)
    assert out.tobytes() == net.predict(x).tobytes()
    assert row.tobytes() == out[4].tobytes()


@every_kind
@every_dtype
def test_gradients_and_steps_are_those_of_python(probe, kind, dtype):
    c, python, (x, y) = KINDS[kind](dtype=dtype), KINDS[kind](dtype=dtype), data(dtype)
    for n in (ROWS, 2, ROWS):
        assert probe.gradient_rows(c, x[:n], y[:n]) == python.gradient(x[:n], for_python(python, y[:n]))
        assert c.grad.tobytes() == python.grad.tobytes()
        assert probe.step_rows(c, x[:n], y[:n], 0.05) == python.train_step(x[:n], for_python(python, y[:n]), 0.05)
        assert c.params.tobytes() == python.params.tobytes()
    one = for_python(python, y[:1])
    assert probe.gradient_row(c, x[0], y[0]) == python.gradient(x[:1], one)
    assert probe.step_row(c, x[0], y[0], 0.05) == python.train_step(x[:1], one, 0.05)
    assert (c.params.tobytes(), c.grad.tobytes()) == (python.params.tobytes(), python.grad.tobytes())


@every_dtype
def test_labels_and_weights(probe, dtype):
    net = cbp.Network([3, 5, 4], output="softmax", seed=7, dtype=dtype)
    x, labels, weight = data(dtype)[0], np.arange(ROWS) % 4, RNG.uniform(0.5, 2, ROWS).astype(dtype)
    loss = probe.gradient(net, x, labels, weight)
    gradient = net.grad.copy()
    assert loss == net.gradient(x, labels, weight)
    assert gradient.tobytes() == net.grad.tobytes()
    with pytest.raises(ValueError, match="a class label is out of range"):
        probe.gradient(net, x, labels + 1, weight)
    with pytest.raises(ValueError, match="the sample weights sum to zero"):
        probe.gradient(net, x, labels, weight * 0)


def test_activations_and_deltas_stay_those_of_the_last_call_from_python(probe):
    net, (x, y) = KINDS["plain"](), data("float32")
    net.gradient(x, y)
    before = [array.copy() for array in [*net.activations, *net.deltas[1:]]]
    probe.step_rows(net, x[:3], y[:3], 0.5)
    assert all(np.array_equal(a, b) for a, b in zip(before, [*net.activations, *net.deltas[1:]], strict=True))


def test_a_scaling_that_is_learned_anew_holds_at_once(probe):
    net, (x, _) = KINDS["scaled"](), data("float32")
    out = np.empty((ROWS, 2), np.float32)
    for n in (5, 10, 20):
        net.learn_scaling(RNG.normal(n, n, (n, 3)), RNG.normal(n, n, (n, 2)))
        probe.predict_rows(net, x, out)
        assert out.tobytes() == net.predict(x).tobytes()


# ---- refusals ----


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), "the network is of float32, but the arrays are of float64"),
        (np.zeros((2, 4), "f4"), np.zeros((2, 2), "f4"), "x has 4 columns, expected 3"),
        (np.zeros((2, 3), "f4"), np.zeros((1, 2), "f4"), "x has 2 rows, but the outputs have 1"),
        (np.zeros((2, 3), "f4"), np.zeros((2, 3), "f4"), "the outputs have 3 columns, expected 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(probe, x, out, message):
    net = KINDS["plain"]()
    with pytest.raises(ValueError, match=message):
        probe.predict_rows(net, x, out)
    with pytest.raises(ValueError, match=message.replace("outputs", "targets")):
        probe.step_rows(net, x, out, 0.1)
    assert net == KINDS["plain"]()


def test_targets_may_be_fewer_than_outputs(probe):
    net = cbp.Network([3, 4], loss="gaussian_nll", seed=0)
    x, y = data("float32")
    assert probe.gradient_rows(net, x, y) == net.gradient(x, y)
    with pytest.raises(ValueError, match="the targets have 4 columns, expected 2"):
        probe.gradient_rows(net, x, np.zeros((ROWS, 4), "f4"))


def test_no_rows(probe):
    net = KINDS["plain"]()
    probe.predict_rows(net, np.empty((0, 3), "f4"), np.empty((0, 2), "f4"))
    with pytest.raises(ValueError, match="the number of rows"):
        probe.step_rows(net, np.empty((0, 3), "f4"), np.empty((0, 2), "f4"), 0.1)


def test_statuses_of_calls_without_arrays(probe):
    codes = probe.codes()
    null, count = codes["NULL_ARGUMENT"], codes["BAD_COUNT"]
    net = KINDS["plain"]()
    assert probe.nothing(net) == [null, null, null, count, True, True]
    x, out = np.zeros((1, 3), "f4"), np.zeros((1, 2), "f4")
    assert probe.predict(net, -1, x, out) == count
    assert probe.predict(KINDS["scaled"](), -1, x, out) == count
    assert probe.nothing(_core.Network.__new__(_core.Network)) == [null, null, null, null, False, False]
    with pytest.raises(ValueError, match="a required pointer is NULL"):
        probe.predict_rows(_core.Network.__new__(_core.Network), x, out)


def test_a_loss_of_ones_own_predicts_but_does_not_train(probe):
    net = cbp.Network([3, 2], loss=lambda y, a: (((a - y) ** 2).sum(1), 2 * (a - y)), seed=0)
    x, y = data("float32")
    out = np.empty_like(y)
    probe.predict_rows(net, x, out)
    assert out.tobytes() == net.predict(x).tobytes()
    with pytest.raises(RuntimeError, match="a loss that is a Python function"):
        probe.step_rows(net, x, y, 0.1)


def test_a_scaling_that_is_not_learned_yet(probe):
    net = cbp.Network([3, 2], output="identity", scale_inputs="standard", seed=0)
    x, y = data("float32")
    for call in (lambda: probe.predict_rows(net, x, y), lambda: probe.step_rows(net, x, y, 0.1)):
        with pytest.raises(RuntimeError, match="the scaling is not learned yet"):
            call()


def test_a_step_that_diverges_is_not_made(probe):
    net, (x, y) = KINDS["plain"](), data("float32")
    before = net.params.copy()
    with pytest.raises(ArithmeticError, match="no longer finite"):
        probe.step_rows(net, x, np.full_like(y, np.inf), 0.1)
    assert net.params.tobytes() == before.tobytes()
    assert np.isfinite(probe.step_rows(net, x, y, 0.1))  # and the network is free again


def test_a_network_that_is_being_trained_is_refused_but_predicts(probe):
    net, (x, y) = KINDS["plain"](), data("float32")
    out, refusals = np.empty_like(y), []

    def pause():  # called in the middle of an epoch
        probe.predict_rows(net, x, out)
        with pytest.raises(RuntimeError) as refusal:
            probe.step_rows(net, x, y, 0.1)
        refusals.append(str(refusal.value))

    net._memory.set_optimizer("sgd", [])
    net._memory.epoch(x, y, None, None, ROWS, 0.1, last=False, pause=pause)
    assert refusals == ["this network is being trained in another thread; use a copy() per thread"]
    assert out.tobytes() == net.predict(x).tobytes()
    probe.step_rows(net, x, y, 0.1)


def test_the_extension_type_makes_no_networks(probe):
    with pytest.raises(TypeError, match="from cbp import Network as make_network"):
        probe.make()
    with pytest.raises(TypeError, match=r"expected cbp\._core\.Network, got list"):
        probe.predict_rows([1], *data("float32"))


# ---- threads ----


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("kind", ["plain", "scaled", "wide"])
def test_more_threads_than_workspaces_predict_as_one(probe, kind):
    net = KINDS[kind](dtype="float64")
    x = np.random.default_rng(72).normal(size=(300, 3))
    wanted, outs = net.predict(x).tobytes(), np.empty((40, 300, 2))
    in_threads(40, lambda i: [probe.predict_rows(net, x, outs[i]) for _ in range(3)])
    assert all(out.tobytes() == wanted for out in outs)


# ---- the C library ----


def test_every_function_of_the_header_is_in_the_table():
    header, names = Path(cbp.get_include(), "cbp.h").read_text(), r"\b(cbp_\w+)\("
    functions = {name for name in re.findall(r"^[\w ]+[ *]" + names, header, re.MULTILINE) if name != "cbp_own_loss"}
    package = Path(_core.__file__).parent
    declared = set(re.findall(r"^    [\w ]+[ *]" + names, (package / "_c.pxd").read_text(), re.MULTILINE))
    table = set(re.findall(r"^    [\w ]+[ *]\(\*(\w+)\)\(", (package / "_core.pxd").read_text(), re.MULTILINE))
    assert len(functions) > 40
    assert declared - {"cbp_own_loss"} == functions
    assert {f"cbp_{name}" for name in table} == functions


def test_a_network_made_and_trained_by_the_library_of_the_extension(probe):
    x, y = (array.astype(np.float64) for array in data("float64"))
    net = cbp.Network([3, 7, 2], activation="tanh", output="identity", init="glorot_uniform", seed=9, dtype="float64")
    theta = probe.train_in_c(x, y, 7, 20, 0.05, 9)
    for _ in range(20):
        net.train_step(x, y, 0.05)
    assert np.array(theta).tobytes() == net.params.tobytes()


# ---- the example ----


def test_the_wheel_of_the_example_has_its_module_alone(built):
    names = [name for name in built[1] if not name.partition("/")[0].endswith(".dist-info")]
    assert sorted(re.sub(r"\.[^/]*$", "", name) for name in names) == ["swing/__init__", "swing/pendulum"]


def forecaster(seed):
    return cbp.Network([2, 16, 2], activation="tanh", output="identity", seed=seed, dtype="float64")


def test_learning_beside_the_pendulum_is_train_step(swing):
    net, other = forecaster(0), forecaster(0)
    state, states = np.array([2.0, 0.0]), np.empty((51, 2))
    states[0] = state
    swing.swing(state.copy(), states[1:])
    total = 0.0
    for before, after in itertools.pairwise(states):
        total += other.train_step(before, (after - before) / 0.05, 0.1)
    assert swing.learn(net, state, 50, 0.1) == total / 50
    assert net.params.tobytes() == other.params.tobytes()
    assert state.tobytes() == states[-1].tobytes()


def test_threads_that_learn_beside_each_other_get_the_bits_of_one(swing):
    nets = [forecaster(seed) for seed in range(4)]
    in_threads(4, lambda i: swing.learn(nets[i], np.array([1.0 + i / 4, 0.0]), 2000, 0.1))
    for i, net in enumerate(nets):
        alone = forecaster(i)
        swing.learn(alone, np.array([1.0 + i / 4, 0.0]), 2000, 0.1)
        assert net.params.tobytes() == alone.params.tobytes()


def test_a_workspace_of_ones_own(swing):
    net, x = forecaster(1), np.random.default_rng(73).normal(size=(30, 2))
    out = np.empty((30, 2))
    swing.rows_of(net, x, out)
    assert out.tobytes() == net.predict(x).tobytes()


def test_the_page_runs(built, tmp_path, monkeypatch):
    prepare(tmp_path, monkeypatch)
    with on_the_path(built[0]):
        run_page(ROOT / "docs/embed/cython.md", {})
