"""What only cbp's own notation shows: heads, missing targets, penalties, fixed parameters, weights of limited length.

Formulas are evaluated with all digits of their numbers, so that a factor that is missing in one shows.
"""

import re

import numpy as np
import pytest
from cases import each_of
from helpers import PAIR_LOSSES, SINGLE_LOSSES, targets
from reference import evaluate, rows

import cbp
from cbp.trace import symbols
from cbp.trace.symbols import with_symbols

RATE = 0.25
NAN = np.nan
X2 = [[1.0, 0.5], [-0.25, 2.0]]
NAMED = re.compile(r"(?P<name>[a-z]\w+)(?:\((?P<arg>\w+=[\d.e+-]+)\))?(?P<prime>′?)\((?P<values>[^()]*[;,][^()]*)\)")


def asymmetric(y, a):
    """A loss of one's own that knows of missing targets."""
    error = np.nan_to_num(a - y)
    return (3 * error**2).sum(axis=1), 6 * error


def named(match):
    """The value of a cost that is not spelt out, or of its slope by z, from the table of losses."""
    if match["name"] == "max":
        return match[0]
    values = [eval(text) for text in re.split("[;,] ", match["values"].replace("missing", "NAN").replace("·", "*"))]
    if match["name"] == "asymmetric":
        a, y = np.array(values).reshape(2, 1, -1)
        return repr(float(asymmetric(y, a)[0][0]))
    args = {name: float(value) for name, value in [match["arg"].split("=")]} if match["arg"] else {}
    row = rows("losses")[match["name"]]
    args = dict(row["args"]) | args
    if match["prime"]:
        z, y = values
        return repr(float(evaluate(row["slope"], z=z, a=1 / (1 + np.exp(-z)), y=y, n=1, **args)))
    a, y = np.array(values).reshape(2, -1)
    return repr(float(np.nansum(evaluate(row["formula"], a=a, y=y, n=len(y), **args))))


def value_of(numbers):
    """Evaluate any formula with numbers but those of activations."""
    text = NAMED.sub(named, numbers)
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = re.sub(r"log (max\([^)]*\)|[\d.e+-]+)", r"log(\1)", text)
    for sign, python in (("·", "*"), ("½", "0.5"), ("²", "**2"), ("[", "("), ("]", ")"), ("√", "sqrt")):
        text = text.replace(sign, python)
    return eval(text, {"log": np.log, "exp": np.exp, "sqrt": np.sqrt, "max": max, "abs": abs, "__builtins__": {}})


@pytest.fixture
def all_digits(monkeypatch):
    """Formulas with numbers that lose nothing, sums that lose no terms."""
    monkeypatch.setattr(symbols, "TERMS", 99)
    monkeypatch.setattr(symbols, "short", lambda value, digits=17: "missing" if value != value else f"{value:.17g}")


def network(*layers, params=None, masked=(), **kwargs):
    net = cbp.Network([2, *layers], **{"dtype": "float64", "seed": 3} | kwargs)
    net.params[:] = np.random.default_rng(9).normal(0, 1, net.n_params) if params is None else params
    if masked:
        mask = np.ones(net.n_params)
        mask[list(masked)] = 0
        net.mask = mask
    return net


def heads(**kwargs):
    parts = [cbp.Head(2, "softmax", weight=0.5), cbp.Head(2, loss="gaussian_nll"), cbp.Head(1, "sigmoid", "focal")]
    parts += [
        cbp.Head(2, "softmax", "half_squared_error", weight=2),
        cbp.Head(2, "identity", "huber", weight=0.5),
    ]
    return network(2, sum(part.units for part in parts), heads=parts, **kwargs)


TARGETS = [[1, 0, 0.5, 1, 0.25, 0.75, 2, 0.5], [0, 1, -1, 0, 0.5, 0.5, -1, 0.25]]
GAPS = [[1, 0, NAN, 1, NAN, 0.75, 2, NAN], [NAN, NAN, -1, NAN, NAN, NAN, NAN, 0.25]]
FROZEN = cbp.Dense(2, "tanh", trainable=False, l2=0.5, max_norm=0.01)
CASES = {
    "l2": lambda: (network(2, cbp.Dense(1, l2=0.5)), X2[0], [1], None),
    "l1 and l2": lambda: (network(cbp.Dense(2, l1=0.25, l2=0.5), cbp.Dense(1, l1=0.125)), X2, [1, 0], None),
    "penalties of a sum": lambda: (network(cbp.Dense(2, l1=0.25, l2=0.5), reduction="sum"), X2, np.eye(2), None),
    "of a weighted sum": lambda: (network(cbp.Dense(2, l1=0.25), reduction="sum"), X2, np.eye(2), [3, 0.5]),
    "of a weighted mean": lambda: (network(cbp.Dense(2, l2=0.25)), X2, np.eye(2), [3, 0.5]),
    "fixed": lambda: (network(2, 2, masked=(0, 3, 7)), X2, np.eye(2), None),
    "all of a section fixed": lambda: (network(cbp.Dense(2, l2=0.5), 1, masked=(2, 3, 4, 5)), X2, [0, 1], None),
    "frozen": lambda: (network(FROZEN, 2), X2, np.eye(2), None),
    "max_norm": lambda: (network(cbp.Dense(3, max_norm=0.9), cbp.Dense(2, max_norm=0.5)), X2, np.eye(2), None),
    "max_norm with fixed": lambda: (network(cbp.Dense(2, max_norm=0.2), masked=(3,)), X2[0], [1, 0], None),
    "max_norm of skips": lambda: (network(2, cbp.Dense(1, skip=[0], max_norm=0.5, l2=0.5)), X2, [0, 1], None),
    "heads": lambda: (heads(), X2, TARGETS, None),
    "heads, one sample": lambda: (heads(), X2[1], TARGETS[1], None),
    "heads, weights, a sum": lambda: (heads(reduction="sum"), X2, TARGETS, [3, 0.5]),
    "heads with gaps": lambda: (heads(missing_targets=True), X2, GAPS, None),
    "gaps": lambda: (network(3, output="identity", missing_targets=True), X2, [[NAN] * 3, [1, NAN, 2]], None),
    "gaps in a row": lambda: (
        network(2, output="softmax", loss="mean_squared_error", missing_targets=True), X2[0], [NAN, 1], None
    ),
    "steep heads": lambda: (
        network(cbp.Dense(3, steepness=2), heads=[cbp.Head(2, "softmax", weight=3), cbp.Head(1, "tanh", "huber")]),
        X2, [[1, 0, 0.5], [0, 1, 1]], None,
    ),
    "own": lambda: (network(2, output="tanh", loss=asymmetric, missing_targets=True), X2, [[1, NAN], [0, 2]], None),
    "own of a row": lambda: (network(2, output="softmax", loss=asymmetric), X2[0], [1, 0.5], None),
    "smoothing": lambda: (
        network(3, output="softmax", loss=cbp.losses.categorical_cross_entropy(0.1)), X2, [2, 0], None
    ),
}  # fmt: skip


def traced(case, **kwargs):
    net, X, y, weight = CASES[case]()
    return net, net.trace(X, y, RATE, sample_weight=weight, **kwargs), (X, y, weight)


@pytest.mark.parametrize("case", CASES)
def test_every_formula_gives_its_value(case, all_digits):
    _, trace, _ = traced(case)
    seen = set()
    for record in trace.records():
        seen.add(record["quantity"])
        if record["quantity"] in ("input", "target", "activation"):
            continue
        assert "…" not in record["numbers"]
        assert value_of(record["numbers"]) == pytest.approx(record["value"], rel=1e-9, abs=1e-12), record
    assert {"cost", "delta", "gradient", "update"} < seen
    assert ("penalty" in seen) == ("P^" in str(trace))


@pytest.mark.parametrize("loss", SINGLE_LOSSES + PAIR_LOSSES)
def test_the_cost_and_delta_of_every_loss_give_their_values(loss, all_digits):
    net = network(4, loss=loss, output=None if loss in PAIR_LOSSES else rows("losses")[loss]["partner"])
    y = targets(np.random.default_rng(2), loss, (1, net._plan.n_targets))
    for record in net.trace(X2[0], y, RATE).records():
        if record["quantity"] in ("cost", "delta"):
            assert value_of(record["numbers"]) == pytest.approx(record["value"], rel=1e-9, abs=1e-12), record


def test_a_variance_below_the_least_one_is_held():
    net = network(2, output="identity", loss=cbp.losses.gaussian_nll(eps=0.5), params=[1, 0.25, 0, 0, 0, 0])
    records = {record["symbol"]: record for record in net.trace(X2[0], [0.5]).records()}
    assert records["J"]["formula"] == "½·[log max(a_2^1, eps) + (a_1^1 - y_1)²/max(a_2^1, eps)]"
    assert records["J"]["numbers"] == "½·[log 0.5 + (1 - 0.5)²/0.5]"
    assert records["δ_2^1"]["value"] == 0


@pytest.mark.parametrize("case", CASES)
def test_deltas_and_gradients_are_checked_but_where_they_are_fixed(case):
    net, trace, _ = traced(case)
    for record in trace.records():
        checked = record["quantity"] in ("delta", "gradient")
        fixed = record["remark"] == "fixed"
        assert (record["error"] is not None) == (checked and not fixed)
        assert record["error"] is None or record["error"] < 1e-8, record
        if record["quantity"] in ("gradient", "update"):
            l, at = record["layer"] - 1, record["indices"]
            trained = net.layers[l].trainable and (net.mask is None or net.layers[l].mask[at] != 0)
            assert fixed == (not trained)
        if fixed:
            assert record["value"] == (0 if checked else net.layers[record["layer"] - 1].theta[record["indices"]])


@pytest.mark.parametrize("case", CASES)
@each_of("dtype", ["float32", "float64"])
def test_numbers_are_those_of_a_training_step_bit_for_bit(case, dtype):
    net, X, y, weight = CASES[case]()
    kwargs = {**net.get_config(), "dtype": dtype}
    twin = cbp.Network.from_config(kwargs)
    twin.params[:], twin.mask = net.params, net.mask
    trace = twin.trace(X, y, RATE, sample_weight=weight)
    assert twin.train_step(X, y, RATE, sample_weight=weight) == trace.loss
    assert twin.loss(X, y, sample_weight=weight) == trace.new_loss
    new = [layer.theta.astype(float) for layer in twin.layers]
    found = [np.full(theta.shape, NAN) for theta in new]
    for record in trace.records():
        l = record["layer"]
        if record["quantity"] in ("update", "shortening"):
            found[l - 1][record["indices"]] = record["value"]
        if record["quantity"] in ("delta", "gradient"):
            array = twin.deltas[l] if record["quantity"] == "delta" else twin.layers[l - 1].grad_theta
            assert record["value"] == float(array[record["indices"]])
    for got, want in zip(found, new, strict=True):
        np.testing.assert_array_equal(got, want)


def formulas(case):
    """Formulas of numbers by symbol, and the general ones of the sections."""
    _, trace, _ = traced(case)
    one = {record["symbol"]: record["formula"] for record in trace.records() if record["quantity"] != "update"}
    return one, [f"{s.symbol} {s.sign} {with_symbols(s.formula)}" for s in trace.sections()], str(trace)


def test_penalties_read_as_they_are_written():
    one, general, _ = formulas("l1 and l2")
    assert "C_r = -[y_r·log a_r^2 + (1 - y_r)·log(1 - a_r^2)]" not in general
    assert "P^1 = l1·Σ_ij |w_ij^1| + ½·l2·Σ_ij (w_ij^1)²" in general
    assert "P^2 = l1·Σ_ij |w_ij^2|" in general
    assert "J = (Σ_r C_r)/m + P^1 + P^2" in general
    assert "∂J/∂w_ij^1 = (Σ_r a_{r,i}^0·δ_{r,j}^1)/m + l2·w_ij^1 + l1·sign(w_ij^1)" in general
    assert "∂J/∂b_j^1 = (Σ_r δ_{r,j}^1)/m" in general
    assert one["P^2"] == "l1·(|w_11^2| + |w_21^2|)"
    assert one["∂J/∂w_11^2"] == "(a_{1,1}^1·δ_{1,1}^2 + a_{2,1}^1·δ_{2,1}^2)/m + l1·sign(w_11^2)"
    assert "J = Σ_r C_r + m·P^1" in formulas("penalties of a sum")[1]
    assert "J = Σ_r s_r·C_r + Σ_r s_r·P^1" in formulas("of a weighted sum")[1]


def test_the_penalty_is_what_the_loss_has_more():
    _, trace, _ = traced("l1 and l2")
    values = {record["symbol"]: record["value"] for record in trace.records()}
    W1, W2 = (block[1:] for block in trace.numbers.theta[1:])
    assert values["P^1"] == pytest.approx(0.25 * abs(W1).sum() + 0.25 * (W1**2).sum())
    assert values["P^2"] == pytest.approx(0.125 * abs(W2).sum())
    assert trace.loss == pytest.approx((values["C_1"] + values["C_2"]) / 2 + values["P^1"] + values["P^2"])


def test_heads_read_as_they_are_written():
    one, general, text = formulas("heads, one sample")
    assert general.count("a_j^2 = g_j(z_1^2, z_2^2)") == 1
    assert "a_j^2 = g_j(z_6^2, z_7^2)" in general
    assert "C^(1) = -Σ_j y_j·log a_j^2" in general
    assert "C^(4) = ½·Σ_j (a_j^2 - y_{j-1})²" in general
    assert one["C^(2)"] == "½·[log max(a_4^2, eps) + (a_3^2 - y_3)²/max(a_4^2, eps)]"
    assert one["C^(5)"] == "huber(a_8^2, a_9^2; y_7, y_8)"
    assert one["C"] == "0.5·C^(1) + C^(2) + C^(3) + 2·C^(4) + 0.5·C^(5)"
    assert one["J"] == "C"
    assert one["δ_1^2"] == "0.5·(a_1^2 - y_1)"
    assert one["δ_3^2"] == "∂C^(2)/∂a_3^2·g′(z_3^2)"
    assert one["δ_5^2"] == "focal′(z_5^2, y_4)"
    assert one["δ_6^2"] == "2·((a_6^2 - y_5)·∂a_6^2/∂z_6^2 + (a_7^2 - y_6)·∂a_7^2/∂z_6^2)"
    assert one["δ_9^2"] == "0.5·∂C^(5)/∂a_9^2·g′(z_9^2)"
    assert "[head 1, units 1 to 2]" in text
    assert "[head 3, unit 5]" in text


def test_missing_targets_are_named():
    _, trace, _ = traced("heads with gaps")
    records = {record["symbol"]: record for record in trace.records()}
    assert np.isnan(records["y_{1,3}"]["value"])
    for symbol in ("C_1^(2)", "C_2^(1)", "δ_{2,1}^2", "δ_{1,3}^2", "δ_{1,4}^2", "δ_{2,6}^2", "δ_{1,9}^2"):
        assert (records[symbol]["value"], records[symbol]["remark"]) == (0, "missing target"), symbol
    assert records["C_1^(4)"]["formula"] == "½·(a_{1,7}^2 - y_{1,6})²"
    assert records["δ_{1,6}^2"]["formula"] == "2·((a_{1,7}^2 - y_{1,6})·∂a_{1,7}^2/∂z_{1,6}^2)"
    assert records["C_1^(5)"]["numbers"].endswith("; 2, missing)")
    assert "y_{1,3} = missing" in str(trace)


def test_weights_that_are_too_long():
    one, general, text = formulas("max_norm with fixed")
    assert "‖w‖_j^1 = √(Σ_i (w_ij^1)²)" in general
    assert "f_j^1 = max_norm/‖w‖_j^1" in general
    assert "w_ij^1 ← f_j^1·w_ij^1" in general
    assert one["w_12^1"] == "w_12^1"
    assert one["w_22^1"] == "f_2^1·w_22^1"
    assert "(max_norm = 0.2)" in text


def test_weights_that_are_not_too_long_get_one_sentence():
    net = network(cbp.Dense(3, max_norm=1), output="tanh", params=[0, 0, 0, 0.1, 5, 0.2, 0.1, 5, 0.2])
    text = str(net.trace(X2[0], np.zeros(3), 1e-3))
    assert "(max_norm = 1; not shortened: units 1, 3)" in text
    assert text.count("‖w‖_2^1 =") == 1
    net.layers[0].W[:] /= 10
    trace = net.trace(X2[0], np.zeros(3), 1e-3)
    assert str(trace).splitlines()[-1] == "  (max_norm = 1; not shortened: units 1, 2, 3)"
    assert "shortening" not in {record["quantity"] for record in trace.records()}
    assert "not shortened: units 1, 2, 3" in trace.to_html()


def test_what_is_fixed_is_said_once_where_all_of_a_section_is():
    text = formulas("frozen")[2]
    assert text.count("(all are fixed)") == 4
    assert "    ∂J/∂w_11^1 = 0            fixed" in text.splitlines()
    assert "max_norm" not in text.split("\n", 1)[1]  # nothing is shortened in a frozen layer


@pytest.mark.parametrize("case", CASES)
def test_views_show_it(case):
    from xml.etree import ElementTree

    _, trace, _ = traced(case)
    assert max(map(len, str(trace).splitlines())) <= 100
    root = ElementTree.fromstring(trace.to_html(max_rows=100))
    assert len(list(root.iter("tr"))) == len(trace.records())
    for element in root.iter():
        if element.tag in ("mo", "mi", "mn"):
            assert not {"_", "^", "{", "}"} & set(element.text)
