"""The numbers of a trace: against the oracle, for every output, and against its formulas; the network is left alone."""

import re

import numpy as np
import pytest
from cases import each_of
from helpers import activation, network, one_in, outputs, problem, uniform_layer, unit_activations
from reference import Oracle, activate, rows, slope

import cbp
from cbp.trace.symbols import with_symbols

WIDTHS = (3, 4, 2)
HIDDEN = (("tanh", 0.0), ("sigmoid", 0.0), ("leaky_relu", 0.01), ("identity", 0.0))
RATE = 0.25


def oracle(output, loss, reduction="mean"):
    return Oracle(WIDTHS, (HIDDEN, uniform_layer(WIDTHS[-1], *output)), loss, reduction)


def by_place(records, quantity, layer, shape):
    """The values of a quantity of a layer, as the array that cbp keeps them in; every place once."""
    found = np.full(shape, np.nan)
    for record in records:
        if (record["quantity"], record["layer"]) == (quantity, layer):
            assert np.isnan(found[record["indices"]])
            found[record["indices"]] = record["value"]
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize("m", [1, 3])
@each_of("output", list(outputs())[:: one_in(5)])
def test_every_number_is_the_oracles(output, m):
    book = oracle(output[:2], output[2])
    theta, X, y, _ = problem(book, m, seed=8)
    trace = network(book, theta).trace(X, y, RATE)
    records = trace.records()
    Z, A = book.forward(theta, X)
    J = book.numeric(theta, X, y)
    each = [book.blocks(book.numeric(theta, X[r : r + 1], y[r : r + 1])) if m > 1 else book.blocks(J) for r in range(m)]
    for l, (grad, old) in enumerate(zip(book.blocks(J), book.blocks(theta), strict=True), start=1):
        deltas = [row[l - 1][0] for row in each]
        new = old - RATE * grad
        wanted = {"net input": Z[l], "activation": A[l], "delta": deltas, "gradient": grad, "update": new}
        for quantity, want in wanted.items():
            got = by_place(records, quantity, l, np.shape(want))
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=f"{quantity} of layer {l}")
    np.testing.assert_array_equal(by_place(records, "input", 0, X.shape), X)
    np.testing.assert_array_equal(by_place(records, "target", 2, y.shape), y)
    assert trace.loss == pytest.approx(book.cost(theta, X, y), rel=1e-12)


def float32_bytes(*place):
    return by_place(*place).astype("float32").tobytes()


def value_of(numbers):
    """Evaluate a formula with numbers, without functions but log."""
    text = re.sub(r"log ([\d.e+-]+)", r"log(\1)", numbers)
    for sign, python in (("·", "*"), ("½", "0.5"), ("²", "**2"), ("[", "("), ("]", ")")):
        text = text.replace(sign, python)
    return eval(text, {"log": np.log, "__builtins__": {}})


CASES = [
    ("cbp", {}, 1, None),
    ("cbp", {"output": "softmax"}, 3, [1, 2, 0.5]),
    ("cbp", {"output": "softmax", "loss": "half_squared_error"}, 2, None),
    ("cbp", {"reduction": "sum", "loss": "half_squared_error"}, 2, [3, 1]),
    ("cbp", {"output": "identity"}, 1, [3]),
    ("A", {"loss": "half_squared_error"}, 1, None),
    ("B", {}, 3, None),
    ("C", {"activation": "tanh", "output": "sigmoid"}, 1, None),
    ("D", {"loss": "half_squared_error"}, 1, None),
    ("E", {"reduction": "sum", "loss": "half_squared_error"}, 3, None),
]


@pytest.mark.parametrize(("dialect", "options", "m", "weight"), CASES)
def test_formulas_with_numbers_give_the_values(dialect, options, m, weight):
    rng = np.random.default_rng(9)
    net = cbp.Network([2, 3, 2], dtype="float64", seed=3, **options)
    if dialect != "E":
        net.params[:] = rng.normal(0, 1, net.n_params)
    X, y = rng.normal(0, 1, (m, 2)), np.eye(2)[rng.integers(0, 2, m)]
    evaluated = 0
    for record in net.trace(X, y, RATE, dialect, sample_weight=weight).records():
        if record["quantity"] in ("input", "target", "activation"):
            continue
        evaluated += 1
        assert value_of(record["numbers"]) == pytest.approx(record["value"], rel=2e-3, abs=2e-3), record
    parameters = net.n_params - (5 if dialect == "E" else 0)
    one = 1 if m == 1 and weight is None else m + 1
    assert evaluated == 2 * 5 * m + 2 * parameters + one


@pytest.mark.parametrize(
    ("output", "loss", "m"),
    [("sigmoid", None, 1), ("softmax", None, 2), ("softmax", "half_squared_error", 1), ("sigmoid", "huber", 2)],
)
def test_formulas_of_skips_and_steepness_give_the_values(output, loss, m):
    layers = [2, cbp.Dense(2, "tanh", steepness=2), cbp.Dense(1, "sigmoid", skip=[0])]
    layers.append(cbp.Dense(2, output, skip="all", steepness=0.5))
    net = cbp.Network(layers, loss=loss, dtype="float64", seed=3)
    rng = np.random.default_rng(9)
    net.params[:] = rng.normal(0, 1, net.n_params)
    trace = net.trace(rng.normal(0, 1, (m, 2)), np.eye(2)[:m], RATE)
    for record in trace.records():
        if record["quantity"] in ("net input", "delta", "gradient", "update"):
            assert value_of(record["numbers"]) == pytest.approx(record["value"], rel=2e-3, abs=2e-3), record
            assert record["error"] is None or record["error"] < 1e-7
    n = trace.numbers
    for l, steepness in ((1, 2), (2, 1)):
        name = net.layers[l - 1].activation.name
        a = activate(name, steepness * n.Z[l])
        np.testing.assert_allclose(n.A[l], a, rtol=1e-13)
        np.testing.assert_allclose(n.slopes(l), steepness * slope(name, steepness * n.Z[l], a), atol=1e-14)


def test_formulas_of_skips_name_the_layer_of_an_input():
    net = cbp.Network([2, cbp.Dense(1, steepness=2), cbp.Dense(1, "softmax", skip=[0], steepness=0.5)], seed=0)
    records = net.trace([1, 2], [1]).records()
    formulas = {record["symbol"]: record["formula"] for record in records}
    assert formulas["z_1^2"] == "b_1^2 + w_11^2·a_1^0 + w_21^2·a_2^0 + w_31^2·a_1^1"
    assert formulas["a_1^1"] == "g(2·z_1^1)"
    assert formulas["δ_1^2"] == "0.5·(a_1^2 - y_1)"
    assert formulas["δ_1^1"] == "(δ_1^2·w_31^2)·2·g′(2·z_1^1)"
    assert formulas["∂J/∂w_31^2"] == "a_1^1·δ_1^2"
    general = [f"{section.symbol} = {with_symbols(section.formula)}" for section in net.trace([1, 2], [1]).sections()]
    assert "z_j^2 = b_j^2 + Σ_i w_ij^2·a_i^0 + Σ_i w_{i+2,j}^2·a_i^1" in general
    assert "δ_j^1 = (Σ_k δ_k^2·w_{j+2,k}^2)·2·g′(2·z_j^1)" in general


@each_of("unit", list(unit_activations()))
def test_slopes_are_the_oracles(unit):
    """The trace asks the core for g'(z) through an update with huge errors; nothing of them may be left in it."""
    net = cbp.Network([2, cbp.Dense(5, activation(*unit)), 1], output="identity", dtype="float64", seed=4)
    X = np.random.default_rng(4).normal(0, 2, (6, 2))
    numbers = net.trace(X, np.zeros((6, 1))).numbers
    want = slope(unit[0], numbers.Z[1], activate(unit[0], numbers.Z[1], unit[1]), unit[1])
    np.testing.assert_allclose(numbers.slopes(1), want, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name, row in rows("activations").items() if row["row_wise"]])
def test_slopes_of_rows_are_the_oracles(name, dtype):
    net = cbp.Network([2, 4], output=name, loss="half_squared_error", dtype=dtype, seed=4)
    numbers = net.trace([[0.5, -1], [2, 1]], np.eye(4)[:2]).numbers
    for r in (0, 1):
        z = numbers.Z[1][r].astype(float)
        np.testing.assert_allclose(numbers.slopes(1)[r], slope(name, z, activate(name, z)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_net_inputs_give_the_activations_bit_for_bit(dtype):
    net = cbp.Network([3, 7, 5, 2], activation="relu", output="identity", dtype=dtype, seed=1)
    X = np.random.default_rng(1).normal(0, 1, (4, 3))
    numbers = net.trace(X, np.zeros((4, 2))).numbers
    net.forward(X)
    for l in (1, 2):
        assert np.maximum(numbers.Z[l], 0).tobytes() == net.activations[l].tobytes()
    assert numbers.Z[3].tobytes() == net.activations[3].tobytes()


def test_values_are_those_of_a_training_step_bit_for_bit():
    net = cbp.Network([3, 4, 2], output="softmax", seed=1)
    X, y = np.random.default_rng(1).normal(0, 1, (4, 3)), [0, 1, 1, 0]
    trace = net.trace(X, y, 0.3)
    records = trace.records()
    net.train_step(X, y, 0.3)
    for l, layer in enumerate(net.layers, start=1):
        assert float32_bytes(records, "gradient", l, layer.theta.shape) == layer.grad_theta.tobytes()
        assert float32_bytes(records, "update", l, layer.theta.shape) == layer.theta.tobytes()
        assert float32_bytes(records, "delta", l, (4, layer.n_out)) == net.deltas[l].tobytes()
    assert trace.new_loss == net.loss(X, y)


@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
def test_deltas_and_gradients_are_checked(output, dtype, allowed):
    net = cbp.Network([3, 4, 2], activation="tanh", output=output, dtype=dtype, seed=1)
    X, y = np.random.default_rng(1).normal(0, 1, (3, 3)), np.eye(2)[[0, 1, 1]]
    for record in net.trace(X, y, sample_weight=[1, 2, 3]).records():
        checked = record["quantity"] in ("delta", "gradient")
        assert (
            checked == (record["error"] is not None) == (record["numeric"] is not None) == (record["step"] is not None)
        )
        if checked:
            assert record["error"] < allowed
            assert 1e-7 < record["step"] < 1e-2
            assert record["numeric"] == pytest.approx(record["value"], rel=allowed, abs=allowed)


def test_a_wrong_gradient_shows_in_its_check():
    net = cbp.Network([2, 2, 1], dtype="float64", seed=1)
    trace = net.trace([0.5, -1], 1)
    trace.numbers.grad[1][2, 1] *= 1.001
    trace.numbers.D[2][0, 0] *= 1.001
    wrong = [record["symbol"] for record in trace.records() if record["error"] is not None and record["error"] > 1e-6]
    assert wrong == ["δ_1^2", "∂J/∂w_22^1"]


def test_a_kink_within_the_step_does_no_harm():
    net = cbp.Network([1, 1, 1], activation="relu", output="identity", dtype="float64")
    net.params[:] = [1e-4, 1, 0, 1]
    assert all(record["error"] < 1e-8 for record in net.trace([0.0], 1).records() if record["error"] is not None)


@pytest.mark.parametrize("m", [1, 5])
def test_records_are_complete(m):
    net = cbp.Network([3, 6, 4, 2], seed=0)
    records = net.trace(np.ones((m, 3)), np.ones((m, 2))).records()
    units = 6 + 4 + 2
    assert len(records) == m * (3 + 2 + 3 * units) + 2 * net.n_params + (1 if m == 1 else 1 + m)
    assert len({(record["quantity"], record["symbol"]) for record in records}) == len(records)
    assert all(isinstance(record["value"], float) for record in records)


def state(net):
    """All that a network holds."""
    views = [net.params, net.grad, *net.activations, *net.deltas[1:], net._memory.slots]
    return [view.tobytes() for view in views], net._memory.t, net.epoch, net.optimizer


def test_the_network_is_left_as_it_is():
    net = cbp.Network([3, 4, 2], seed=0)
    X, y = np.ones((2, 3)), np.ones((2, 2))
    net.fit(X, y, epochs=2, optimizer="adam", progress=False)
    net.forward(X * 2)
    net.backward(y)
    before = state(net)
    trace = net.trace(X, y)
    str(trace), trace.records(), trace.to_html()
    assert state(net) == before


def test_a_trace_does_not_follow_the_network():
    net, X = cbp.Network([2, 1], seed=0), np.ones((1, 2))
    trace, twin = net.trace(X, [1]), net.trace([1, 1], 1)
    net.params[:], X[:] = 7, 8
    assert str(trace) == str(twin)


def test_class_labels():
    net = cbp.Network([2, 3, 3], output="softmax", dtype="float64", seed=0)
    labels, one_hot = (net.trace([[1, 2], [3, 4]], y) for y in ([2, 0], np.eye(3)[[2, 0]]))
    assert str(labels) == str(one_hot)


def test_data_are_checked():
    net = cbp.Network([2, 1], seed=0)
    with pytest.raises(ValueError, match="X has 3 features, the network expects 2"):
        net.trace([1, 2, 3], 1)
    with pytest.raises(ValueError, match="learning_rate must be finite"):
        net.trace([1, 2], 1, np.inf)
    net.params[:] = 1e38
    with pytest.raises(cbp.DivergenceError, match="layer 1"):
        net.trace([1e3, 1], 1)


def test_a_sum_of_many_terms_is_cut_in_the_middle():
    net = cbp.Network([20, 1], output="identity", seed=0)
    net.params[:] = 1
    z = next(record for record in net.trace(np.arange(20), 0).records() if record["quantity"] == "net input")
    assert z["formula"] == "b_1^1 + w_11^1·a_1^0 + w_21^1·a_2^0 + w_31^1·a_3^0 + … + w_{20,1}^1·a_20^0"
    assert z["numbers"] == "1 + 1·0 + 1·1 + 1·2 + … + 1·19"
