"""The trace in the notations of derivations A to E: every symbol and its value, against the derivations' own loops.

The loops are those of test_derivation_a.py to test_derivation_e.py. A test lists all symbols with what they should be,
so a number that is missing, has another name or is one too many fails it.
"""

import numpy as np
import pytest
import test_derivation_a as derivation_a
import test_derivation_b as derivation_b
import test_derivation_c as derivation_c
import test_derivation_d as derivation_d
import test_derivation_e as derivation_e
from cases import each_of

import cbp
from cbp.trace.dialects import DIALECTS, NAMES, NOTES

RATE = 0.5
PARTS = {"delta": ("output", "hidden"), "gradient": ("bias", "weight"), "update": ("bias", "weight")}


def compare(trace, wanted):
    """All records of a trace are those wanted: {(quantity, symbol): value}."""
    got = {(record["quantity"], record["symbol"]): record["value"] for record in trace.records()}
    assert len(got) == len(trace.records())
    assert set(got) == set(wanted)
    for key, value in wanted.items():
        assert got[key] == pytest.approx(value, rel=1e-12, abs=1e-15), key


def random_network(layers, seed=7, biases=True, **kwargs):
    rng = np.random.default_rng(seed)
    net = cbp.Network(layers, dtype="float64", seed=0, **kwargs)
    net.params[:] = rng.normal(0, 1, net.n_params)
    for layer in net.layers:
        layer.b[:] *= biases
    return net, rng


def test_derivation_a():
    net, rng = random_network([2, 3, 2], loss="half_squared_error")
    x, d = rng.normal(0, 1, 2), rng.uniform(0, 1, 2)
    Theta, a, delta, grad = derivation_a.book(net, x, d)
    wanted = {("input", f"a_{i}^(1)"): a[1][i] for i in (1, 2)} | {("target", f"d_{i}"): d[i - 1] for i in (1, 2)}
    wanted["cost", "J"] = sum((a[3][i] - d[i - 1]) ** 2 for i in (1, 2)) / 2
    for l in (1, 2):
        for i in range(1, len(a[l + 1])):
            wanted["net input", f"z_{i}^({l + 1})"] = sum(Theta[l][j][i - 1] * v for j, v in enumerate(a[l]))
            wanted["activation", f"a_{i}^({l + 1})"] = a[l + 1][i]
            wanted["delta", f"δ_{i}^({l + 1})"] = delta[l + 1][i]
            for j in range(len(a[l])):
                g = grad[l][j][i - 1]
                wanted["gradient", f"∂J/∂Θ_{j}{i}^({l})"] = g
                wanted["update", f"Θ_{j}{i}^({l})"] = Theta[l][j][i - 1] - RATE * g
    compare(net.trace(x, d, RATE, "A"), wanted)


@pytest.mark.parametrize("m", [1, 2])
def test_derivation_b(m):
    net, rng = random_network([2, 3, 3, 2])
    X, Y = rng.normal(0, 1, (m, 2)), rng.integers(0, 2, (m, 2)).astype(float)
    Theta, runs = derivation_b.book(net, X, Y)
    grads = derivation_b.gradients(Theta, runs)
    costs = [derivation_b.cost(a, y) for (a, _), y in zip(runs, Y.tolist(), strict=True)]
    wanted = {("cost", "J(Θ)"): sum(costs) / m}
    for r, (a, delta) in enumerate(runs):
        mark = f"[{r + 1}]" if m > 1 else ""
        if m > 1:
            wanted["cost", f"J^{mark}"] = costs[r]
        wanted |= {("input", f"a_{i}^(1){mark}"): a[1][i] for i in (1, 2)}
        wanted |= {("target", f"y_{i}^({r + 1})"): Y[r, i - 1] for i in (1, 2)}
        for l in (2, 3, 4):
            for i in range(1, len(a[l])):
                Z = sum(Theta[l - 1][i - 1][j] * v for j, v in enumerate(a[l - 1]))
                wanted["net input", f"Z_{i}^({l}){mark}"] = Z
                name = f"a_{i}^({l}){mark}" if l < 4 else f"h_Θ(x)_{i}" + (f"^{mark}" if mark else "")
                wanted["activation", name] = a[l][i]
                wanted["delta", f"δ_{i}^({l}){mark}"] = delta[l][i]
    for l in (1, 2, 3):
        for i, row in enumerate(grads[l - 1]):
            for j, g in enumerate(row):
                wanted["gradient", f"∂J(Θ)/∂Θ_{i + 1}{j}^({l})"] = g
                wanted["update", f"Θ_{i + 1}{j}^({l})"] = Theta[l][i][j] - RATE * g
    compare(net.trace(X, Y, RATE, "B"), wanted)


def test_derivation_c():
    net, rng = random_network([3, 2, 2, 2], activation="tanh", output="tanh", loss="half_squared_error")
    x, y = rng.normal(0, 1, 3), rng.normal(0, 1, 2)
    units = dict.fromkeys((2, 3, 4), ("tanh", 0.0))
    book = derivation_c.Book(net, x, y, units, "half_squared_error")
    wanted = {("input", f"a_{k + 1}^1"): v for k, v in enumerate(x)} | {("cost", "C"): book.C}
    wanted |= {("target", f"y_{j + 1}"): v for j, v in enumerate(y)}
    for l in (2, 3, 4):
        for j, delta in enumerate(book.delta[l]):
            wanted["net input", f"z_{j + 1}^{l}"] = book.z[l][j]
            wanted["activation", f"a_{j + 1}^{l}"] = book.a[l][j]
            wanted["delta", f"δ_{j + 1}^{l}"] = delta
            wanted["gradient", f"∂C/∂b_{j + 1}^{l}"] = delta
            wanted["update", f"b_{j + 1}^{l}"] = book.b[l][j] - RATE * delta
            for k, a in enumerate(book.a[l - 1]):
                wanted["gradient", f"∂C/∂w_{j + 1}{k + 1}^{l}"] = a * delta
                wanted["update", f"w_{j + 1}{k + 1}^{l}"] = book.w[l][j][k] - RATE * a * delta
    compare(net.trace(x, y, RATE, "C"), wanted)


def worked_example():
    """The network of 3, 3 and 2 units of the documentation's worked example."""
    layers = [3, cbp.Dense(3, ["sigmoid", "tanh", "relu"]), cbp.Dense(2, ["sigmoid", "identity"])]
    net = cbp.Network(layers, loss="half_squared_error", dtype="float64")
    net.layers[0].theta[:] = [[0.1, -0.2, 0.05], [0.2, -0.4, 0.1], [0.7, 0.1, -0.6], [-0.3, 0.5, 0.8]]
    net.layers[1].theta[:] = [[-0.1, 0.2], [0.3, -0.2], [-0.5, 0.4], [0.6, 0.9]]
    return net, [1.0, -0.5, 0.8], [1.0, 0.0]


def test_derivation_d():
    net, x, target = worked_example()
    units, outputs = derivation_d.UNITS, derivation_d.OUTPUTS
    theta = {k: net.layers[k - 1].theta.tolist() for k in (1, 2)}
    w = {k: {(i, j): theta[k][i][j - 1] for i in units for j in to} for k, to in derivation_d.WEIGHTS}
    b = {k + 1: derivation_d.first(theta[k][0]) for k in (1, 2)}
    f = {2: derivation_d.first(["sigmoid", "tanh", "relu"]), 3: derivation_d.first(["sigmoid", "identity"])}
    first = derivation_d.first
    book = derivation_d.work_through(w, b, f, {1: first(x)}, first(target))
    wanted = {("input", f"o_{i}^L1"): book.o[1][i] for i in units} | {("cost", "E_Total"): book.E}
    wanted |= {("target", f"o_{j}^T"): target[j - 1] for j in outputs}
    for k, to in derivation_d.WEIGHTS:
        for j in to:
            wanted["net input", f"net_{j}^L{k + 1}"] = book.net[k + 1][j]
            wanted["activation", f"o_{j}^L{k + 1}"] = book.o[k + 1][j]
            wanted["delta", f"δ_·{j}^L{k}"] = book.delta[k][j]
            wanted["gradient", f"∂E_Total/∂b_{j}^L{k + 1}"] = book.delta[k][j]
            wanted["update", f"b\u0302_{j}^L{k + 1}"] = book.new_b[k + 1][j]
        for i, j in book.w[k]:
            wanted["gradient", f"∂E_Total/∂ω_{i}{j}^L{k}"] = book.dw[k][i, j]
            wanted["update", f"ω\u0302_{i}{j}^L{k}"] = book.new_w[k][i, j]
    compare(net.trace(x, target, derivation_d.RATE, "D"), wanted)


def test_the_four_numbers_of_the_worked_example():
    net, x, target = worked_example()
    records = {record["symbol"]: record["value"] for record in net.trace(x, target, 0.5, "D").records()}
    hat = "\u0302"
    assert records[f"ω{hat}_11^L2"] == pytest.approx(0.314118, abs=5e-7)
    assert records[f"b{hat}_1^L3"] == pytest.approx(-0.067014, abs=5e-7)
    assert records[f"ω{hat}_23^L1"] == pytest.approx(-0.385474, abs=5e-7)
    assert records[f"b{hat}_3^L2"] == pytest.approx(-0.379052, abs=5e-7)


@pytest.mark.parametrize("m", [1, 3])
def test_derivation_e(m):
    net, rng = random_network([3, 2, 2], biases=False, loss="half_squared_error", reduction="sum")
    X, Y = rng.normal(0, 1, (m, 3)), rng.uniform(0, 1, (m, 2))
    W, runs, grads = derivation_e.book(net, X, Y)
    costs = [sum((o[3][j] - y[j]) ** 2 / 2 for j in (0, 1)) for (o, _), y in zip(runs, Y, strict=True)]
    wanted = {("cost", "L"): sum(costs)}
    for r, (o, dz) in enumerate(runs):

        def sub(j, r=r):
            return f"{{{r + 1},{j + 1}}}" if m > 1 else str(j + 1)

        if m > 1:
            wanted["cost", f"L_{r + 1}"] = costs[r]
        wanted |= {("input", f"o_{sub(i)}^1"): v for i, v in enumerate(o[1])}
        wanted |= {("target", f"y_{sub(j)}"): v for j, v in enumerate(Y[r])}
        for k in (2, 3):
            z = derivation_e.times(o[k - 1], W[k - 1])
            wanted |= {("net input", f"z_{sub(j)}^{k}"): v for j, v in enumerate(z)}
            wanted |= {("delta", f"∂L/∂z_{sub(j)}^{k}"): v for j, v in enumerate(dz[k])}
            out = "o_{}^2" if k == 2 else "ŷ_{}"
            wanted |= {("activation", out.format(sub(j))): v for j, v in enumerate(o[k])}
    for k in (1, 2):
        for i, row in enumerate(grads[k]):
            for j, g in enumerate(row):
                wanted["gradient", f"∂L/∂w_{i + 1}{j + 1}^{k}"] = g
                wanted["update", f"w_{i + 1}{j + 1}^{k}"] = W[k][i][j] - RATE * g
    trace = net.trace(X, Y, RATE, "E")
    compare(trace, wanted)
    net.gradient(X, Y)
    for layer in net.layers:
        layer.W[:] -= RATE * layer.grad_W
    assert trace.new_loss == pytest.approx(net.loss(X, Y), rel=1e-12)


FITTING = {
    "A": {"loss": "half_squared_error"},
    "B": {},
    "C": {},
    "D": {"loss": "half_squared_error"},
    "E": {"loss": "half_squared_error"},
}


@pytest.mark.parametrize("dialect", FITTING)
def test_corrections_are_noted_where_they_belong(dialect):
    net = cbp.Network([2, 2, 2], dtype="float64", seed=0, **FITTING[dialect])
    unwrapped = " ".join(str(net.trace([1, 2], [1, 0], dialect=dialect)).split())
    every = {f"({note})" for note in NOTES.values()} | {f"[{name}]" for name in NAMES.values()}
    own = {f"({note})" for (name, _), note in NOTES.items() if name == dialect}
    own |= {f"[{text}]" for (name, _), text in NAMES.items() if name == dialect}
    assert {text for text in every if text in unwrapped} == own


def test_notes_belong_to_parts_that_exist():
    parts = {"cost", "net input", *(f"{place} {quantity}" for quantity, places in PARTS.items() for place in places)}
    assert {part for table in (NOTES, NAMES) for _, part in table} <= parts


REFUSED = [
    ("A", {}, 1, {}, "derivation A is written for the loss half_squared_error, not binary_cross_entropy"),
    ("A", {"loss": "half_squared_error"}, 2, {}, "derivation A treats one sample at a time, 2 were given"),
    ("B", {"loss": "half_squared_error"}, 2, {}, "derivation B is written for the loss binary_cross_entropy"),
    ("B", {"reduction": "sum"}, 2, {}, "derivation B is written for reduction='mean'"),
    ("C", {"output": "softmax"}, 1, {}, "derivation C has activations of single units only, softmax is one of a whole"),
    ("C", {}, 2, {}, "derivation C treats one sample at a time"),
    ("D", {"output": "softmax", "loss": "half_squared_error"}, 2, {}, "softmax is one .* and it treats one sample"),
    ("E", {"loss": "half_squared_error"}, 2, {}, "derivation E is written for reduction='sum'"),
    ("B", {}, 1, {"sample_weight": [1]}, "derivation B has no sample weights"),
]
BEYOND_DERIVATIONS = {
    "steepness": ({"steepness": 2}, {}, [1, 0]),
    "skip connections": ({"skip": [0]}, {}, [1, 0]),
    "heads": ({}, {"heads": [cbp.Head(1), cbp.Head(1)], "loss": None}, [1, 0]),
    "penalties": ({"l1": 0.5}, {}, [1, 0]),
    "max_norm": ({"max_norm": 3}, {}, [1, 0]),
    "fixed parameters": ({"trainable": False}, {}, [1, 0]),
    "missing targets": ({}, {"missing_targets": True}, [1, np.nan]),
}


@pytest.mark.parametrize(("dialect", "network", "m", "options", "message"), REFUSED)
def test_what_does_not_fit_is_named(dialect, network, m, options, message):
    net = cbp.Network([2, 3, 2], dtype="float64", seed=0, **network)
    with pytest.raises(ValueError, match=message):
        net.trace(np.ones((m, 2)), [[1, 0]] * m, dialect=dialect, **options)


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"cbp"}))
@each_of("what", BEYOND_DERIVATIONS)
def test_what_no_derivation_has_is_named(what, dialect):
    layer, options, y = BEYOND_DERIVATIONS[what]
    net = cbp.Network([2, 3, cbp.Dense(2, **layer)], **{"dtype": "float64", "seed": 0} | FITTING[dialect] | options)
    with pytest.raises(ValueError, match=f"^derivation {dialect} has no {what} \\(dialect='cbp' expresses every"):
        net.trace([1, 2], y, dialect=dialect)


def test_biases_do_not_fit_e():
    net = cbp.Network([2, 2], loss="half_squared_error", seed=0)
    net.layers[0].b[1] = 0.5
    with pytest.raises(ValueError, match="derivation E has no biases, and some of this network's are not 0"):
        net.trace([1, 2], [1, 0], dialect="E")


def test_unknown_dialects_are_refused():
    net = cbp.Network([2, 1], seed=0)
    with pytest.raises(ValueError, match=r"no dialect is called 'F'.* there are: cbp, A, B, C, D, E"):
        net.trace([1, 2], 1, dialect="F")
    with pytest.raises(TypeError, match="dialect must be one of cbp, A, B, C, D, E, not 3"):
        net.trace([1, 2], 1, dialect=3)
    assert net.trace([1, 2], 1, dialect="b").dialect == "B"
