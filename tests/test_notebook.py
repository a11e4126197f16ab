"""What notebooks show of networks, histories and reports: well-formed, escaped, and with the right numbers."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import cbp
from cbp.notebook import HEIGHT, WIDTH, sparkline

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
MEAN = "root_mean_squared_error"


def read(thing):
    """The piece of HTML as a tree: it is XML too."""
    return ElementTree.fromstring(thing._repr_html_().replace("&ensp;", "\u2002"))


def rows(tree):
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def text(tree):
    return "".join("".join(part.itertext()) + (part.tail or "") for part in tree if part.tag != "style")


def test_a_network_is_a_table_of_its_layers():
    net = cbp.Network(
        [3, cbp.Dense(40, "relu", dropout=0.25, l2=0.001), cbp.Dense(20, "tanh", skip=[0], max_norm=2.0), 2],
        output="softmax",
        scale_inputs="standard",
        input_noise=0.1,
        dtype="float64",
        seed=7,
    )
    net.layers[0].trainable = False
    mask = np.ones((44, 20))
    mask[1, :3] = 0
    net.layers[1].mask = mask
    tree = read(net)
    assert rows(tree) == [
        ["layer", "units", "activation", "parameters", ""],
        ["inputs", "3", "", "", "scaled: standard, not learned yet, noise 0.1"],
        ["1", "40", "relu", "160", "dropout 0.25, l2 0.001, frozen"],
        ["2", "20", "tanh", "880", "from layers 0, 1, max norm 2, 3 fixed"],
        ["outputs", "2", "softmax", "42", ""],
        ["all", "", "", "1,082", "163 of them fixed"],
    ]
    assert "loss categorical_cross_entropy · float64, 8.66 kB · not trained · seed 7" in text(tree)


def test_it_says_what_it_was_trained_with():
    net = cbp.Network([3, 1], output="identity", scale_targets="minmax", seed=0)
    net.metadata.update(classes=["a"], features=[f"f{i}" for i in range(20)])
    net.fit(X, X[:, 0], epochs=3, optimizer=cbp.optimizers.SGD(0.01))
    tree = read(net)
    assert rows(tree)[2] == ["outputs", "1", "identity", "4", "targets scaled: minmax"]
    assert f"3 epochs of training · {net.optimizer} · seed 0 · classes: a · features: f0, " in text(tree)
    assert "f11, ..." in text(tree)
    assert "f12" not in text(tree)


def test_heads_and_activations_per_unit_are_named():
    heads = cbp.Network([3, 4], heads=[cbp.Head(3, "softmax"), cbp.Head(1, "identity")], reduction="sum", seed=0)
    assert rows(read(heads))[2][2] == "3 softmax + 1 identity"
    assert "loss categorical_cross_entropy + half_squared_error, sum" in text(read(heads))
    units = ["tanh", "sigmoid", "relu", "silu", "sin", "tanh"]
    assert rows(read(cbp.Network([3, cbp.Dense(6, units)])))[2][2] == "tanh, sigmoid, relu, ..."


def test_names_are_escaped_and_there_are_no_scripts():
    net = cbp.Network([3, 1], seed=0)
    net.metadata["classes"] = ["<script>alert(1)</script>", "a & b"]
    assert "<script>alert(1)</script>, a & b" in text(read(net))
    history = cbp.History()
    history.append({"<img src=x>": 1.0})
    history.stopped = "<b>"
    assert rows(read(history))[1][0] == "<img src=x>"
    for shown in (net, history):
        assert "<script" not in shown._repr_html_()
        assert "<img" not in shown._repr_html_()
        assert "://" not in shown._repr_html_().replace("http://www.w3.org/2000/svg", "")


def test_colours_are_those_of_the_page():
    net = cbp.Network([3, 1], seed=0)
    history = net.fit(X, X[:, 0] > 0, epochs=2)
    for shown in (net, history):
        found = re.findall(r"#[0-9a-f]{3,6}\b|rgba?\([^)]*\)|(?:color|stroke|fill)[:=][^;>]*", shown._repr_html_())
        assert {word.split(" ")[0] for word in found} <= {
            "rgba(128,", 'stroke="currentColor"', 'fill="currentColor"/', 'fill="none"',
        }  # fmt: skip


# ---- histories ----


def test_a_history_is_a_table_of_its_figures():
    history = cbp.History()
    for epoch in range(4):
        history.append(
            {
                "loss": [4.0, 1.0, 2.0, 3.0][epoch],
                "accuracy": [0.1, 0.9, 0.9, 0.5][epoch],
                "mine": float(epoch),
                "val_loss": [5.0, math.nan, 3.25, 4.0][epoch],
                f"val_{MEAN}": [1.0, 2.0, 3.0, 4.0][epoch],
                "learning_rate": 0.125,
                "seconds": 0.5,
            }
        )
    history.stopped = "minimum gradient"
    tree = read(history)
    assert rows(tree) == [
        ["figure", "", "first", "last", "best", "epoch"],
        ["loss", "", "4", "3", "1", "2"],
        ["accuracy", "", "0.1", "0.5", "0.9", "2"],
        ["mine", "", "0", "3", "", ""],
        ["validation loss", "", "5", "4", "3.25", "3"],
        ["validation root mean squared error", "", "1", "4", "1", "1"],
        ["learning rate", "", "0.125", "0.125", "", ""],
    ]
    assert text(tree).startswith("History 4 epochs, 2 s, stopped: minimum gradient")
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}svg"))) == 6


def test_a_history_of_nothing_is_shown_too():
    assert text(read(cbp.History())) == "History 0 epochs"


def curves(values):
    tree = ElementTree.fromstring(sparkline(values))
    lines = [line.get("points").split() for line in tree if line.tag.endswith("polyline")]
    return [[tuple(map(float, point.split(","))) for point in line] for line in lines], tree


@pytest.mark.parametrize(
    ("values", "heights"),
    [
        ([0, 1, 2], [1, 0.5, 0]),
        ([3, 3, 3], [0.5, 0.5, 0.5]),
        ([1, 10, 100], [1, 0.5, 0]),  # logarithmic
        ([-1, 10, 100], [1, 90 / 101, 0]),
        ([5], [0.5]),
    ],
)
def test_a_sparkline_has_the_heights_of_its_values(values, heights):
    (line,), tree = curves([float(value) for value in values])
    assert [(y - 3) / (HEIGHT - 6) for _, y in line] == pytest.approx(heights, abs=0.01)
    assert line[-1][0] == pytest.approx(WIDTH - 3)
    dot = tree[-1]
    assert (float(dot.get("cx")), float(dot.get("cy"))) == line[-1]


def test_a_sparkline_is_broken_where_nothing_is_known():
    lines, _ = curves([1.0, 2.0, math.nan, 3.0, math.inf, 4.0])
    assert [len(line) for line in lines] == [2, 1, 1]
    assert sparkline([math.nan]) == sparkline([]) == ""


def test_a_long_sparkline_keeps_its_extremes():
    values = [1.0] * 100_000
    values[777], values[50_001] = 9.0, 0.5
    (line,), _ = curves(values)
    assert len(line) <= 2 * WIDTH
    assert min(y for _, y in line) == 3
    assert max(y for _, y in line) == HEIGHT - 3


# ---- reports and traces ----


def test_a_report_is_the_table_that_is_printed():
    net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    net.params[:] = 1, 2
    report = cbp.diagnostics.report(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    title, *printed = repr(report).splitlines()
    assert [re.split(r" {2,}", line.strip(), maxsplit=1) for line in printed] == [
        [name.strip(), value] for name, value in rows(read(report))
    ]
    assert text(read(report)).startswith(title)


def test_a_trace_has_a_page_of_its_own():
    trace = cbp.Network([2, 1], seed=0).trace([0, 1], 1)
    assert trace._repr_html_() == trace.to_html()


def test_showing_changes_nothing():
    net = cbp.Network([3, 4, 1], output="identity", scale_inputs="standard", seed=0)
    history = net.fit(X, X[:, 0], epochs=2)
    before = {name: array.tobytes() for name, array in net.__getstate__().items()}
    net._repr_html_(), history._repr_html_()
    assert {name: array.tobytes() for name, array in net.__getstate__().items()} == before
