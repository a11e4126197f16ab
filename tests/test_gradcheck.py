"""gradcheck and selftest: they pass what is right and find what is wrong."""

import contextlib
import io
import sys

import numpy as np
import pytest

import cbp

X = np.linspace(-1, 1, 12).reshape(4, 3)
Y = np.linspace(0, 1, 8).reshape(4, 2)


def net(**kwargs):
    return cbp.Network(
        [3, 5, 2], **{"activation": "tanh", "output": "sigmoid", "dtype": "float64", "seed": 0, **kwargs}
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, [1, 0, 2, 0.5]])
def test_a_right_gradient_passes(reduction, weight):
    report = cbp.gradcheck(net(reduction=reduction), X, Y, sample_weight=weight)
    assert report.ok
    assert report.max_error < 1e-9


def test_float32_and_labels():
    report = cbp.gradcheck(net(output="softmax", dtype="float32"), X, [0, 1, 1, 0])
    assert report.ok
    assert report.tolerance == 1e-3


def test_the_network_is_left_as_it_is():
    network = net()
    network.gradient(X, Y)
    before = network.params.tobytes(), network.grad.tobytes(), [D.copy() for D in network.deltas[1:]]
    cbp.gradcheck(network, X[:2], Y[:2])
    assert (network.params.tobytes(), network.grad.tobytes()) == before[:2]
    for one, other in zip(network.deltas[1:], before[2], strict=True):
        np.testing.assert_array_equal(one, other)


class WrongMemory:
    """A core whose gradient is off in one place."""

    def __init__(self, plan, theta):
        self.memory = cbp._core.Memory(plan, theta)

    def gradient(self, *data):
        loss = self.memory.gradient(*data)
        self.grad = self.memory.grad.copy()
        self.grad[-1] *= 1.001
        return loss


def test_a_wrong_gradient_is_found_in_its_layer(monkeypatch):
    module = sys.modules["cbp.gradcheck"]
    monkeypatch.setattr(
        module, "_core", type("core", (), {"Memory": WrongMemory, "permutation": cbp._core.permutation})
    )
    report = cbp.gradcheck(net(), X, Y)
    assert not report.ok
    assert report.layers[0].error < 1e-9
    assert report.layers[1].error > 1e-5
    assert "WRONG" in str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distance", [1e-4, 1e-5, 1e-6, 1e-7])
def test_a_kink_within_the_step_does_no_harm(distance, dtype):
    network = cbp.Network([1, 1, 1], activation="relu", output="identity", dtype=dtype)
    network.params[:] = [distance, 1, 0, 1]
    assert cbp.gradcheck(network, [[0.0]], [1.0]).ok


def test_a_zero_gradient_passes():
    network = cbp.Network([2, 1], output="identity", dtype="float64")
    network.params[:] = 0
    assert cbp.gradcheck(network, [[1, 2]], [0]).max_error == 0


def test_large_layers_are_sampled():
    report = cbp.gradcheck(net(), X, Y, per_layer=7)
    assert [(layer.parameters, layer.checked) for layer in report.layers] == [(20, 7), (12, 7)]


def test_the_report_is_a_table():
    title, head, first, second = str(cbp.gradcheck(net(), X, Y)).splitlines()
    assert title.startswith("gradient check, 4 rows, float64: ok (largest relative error ")
    assert head.split() == ["layer", "parameters", "checked", "error"]
    assert first.split()[:5] == ["1", "5", "tanh", "20", "20"]
    assert second.split()[:5] == ["2", "2", "sigmoid", "12", "12"]


# ---- selftest ----


@pytest.fixture(scope="module")
def told():
    """The report of a self-test, and what it said meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        return cbp.selftest(verbose=True), out.getvalue()


def test_selftest_covers_every_row_dtype_and_instruction_set(told):
    report, _ = told
    texts = [text for text, _ in report.lines]
    for dtype in ("float32", "float64"):
        for name in [*cbp.activations, *cbp.losses]:
            assert any(name in text and dtype in text for text in texts)
        for name in [*cbp.tables.optimizers, *cbp.methods.by_name, *cbp.initializers]:
            for isa in cbp._core.isas():
                assert f"{isa} gives the bits of scalar, {name}, {dtype}" in texts
    assert report.ok
    assert str(report).endswith(f"{len(texts)} checks, all passed")


def test_selftest_talks_if_asked(told):
    report, out = told
    assert len(out.splitlines()) == len(report.lines)


def test_selftest_names_what_failed(monkeypatch):
    module = sys.modules["cbp.selftest"]
    monkeypatch.setattr(module, "_trained", lambda dtype, isa, name: (isa, name != "sgd"))
    monkeypatch.setattr(module, "_stepped", lambda dtype, isa, name: (isa, name != "scg"))
    monkeypatch.setattr(module, "_initial", lambda dtype, isa, name: isa)
    monkeypatch.setattr(module, "combinations", lambda: iter(()))  # their gradients are right
    monkeypatch.setattr(module._core, "isas", lambda: ["quantum", "scalar"])
    report = cbp.selftest()
    assert not report.ok
    assert "FAILED quantum gives the bits of scalar, adam, float32" in str(report)
    assert "FAILED quantum gives the bits of scalar, he_uniform, float64" in str(report)
    assert "FAILED quantum gives the bits of scalar, lbfgs, float64" in str(report)
    assert "FAILED training lowers the loss, sgd, float32" in str(report)
    assert "FAILED training lowers the loss, scg, float64" in str(report)
    rows = [*cbp.tables.optimizers, *cbp.methods.by_name, *cbp.initializers]
    assert str(report).endswith(f"{2 * (len(rows) + 2)} FAILED")
