"""A trace as text, as HTML, as a picture and as a data frame."""

import re
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

import cbp
from cbp.trace.picture import _change

DIALECTS = ["cbp", "A", "B", "C", "D", "E"]
SIGNS = {"mo", "mi", "mn", "mspace", "mrow", "msub", "msup", "msubsup", "munder", "mover", "mfrac"}
CHILDREN = {"msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "mfrac": 2}


def traced(dialect="cbp", layers=(2, 3, 1), **kwargs):
    loss = "binary_cross_entropy" if dialect == "B" else "half_squared_error"
    net = cbp.Network(list(layers), loss=loss, dtype="float64", seed=6, **kwargs)
    return net.trace(np.linspace(-1, 0.5, layers[0]), np.ones(layers[-1]), dialect=dialect)


# ---- text ----


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("layers", [(2, 3, 1), (12, 11, 10, 3)])
def test_text_fits_100_columns(dialect, layers):
    assert max(map(len, str(traced(dialect, layers)).splitlines())) <= 100


def test_columns_of_a_section_are_aligned():
    lines = traced("A").to_text().splitlines()
    start = lines.index("Layer 2: net inputs")
    rows = lines[start + 2 : start + 5]
    assert [row.split()[0] for row in rows] == ["z_1^(2)", "z_2^(2)", "z_3^(2)"]
    assert len({row.rindex(" = ") for row in rows}) == 1


def test_long_sections_are_cut_with_a_note():
    trace = traced(layers=(30, 20, 10))
    text = trace.to_text(max_rows=3)
    assert "    ... and 597 more: see max_rows, or records()" in text.splitlines()
    assert len(text.splitlines()) < 120
    assert "more: see" not in trace.to_text(max_rows=600)
    with pytest.raises(ValueError, match="max_rows must be at least 1, not 0"):
        trace.to_text(0)


def test_the_step_of_the_differences_is_stated():
    assert "Layer 1: deltas  (value; by central differences, h = 0.001; relative error)" in str(traced())


def test_head_says_what_was_done():
    first, second, *_ = str(traced("D")).splitlines()
    assert first == "Network(2 > 3 sigmoid > 1 sigmoid, half_squared_error, float64)"
    assert re.fullmatch(r"one update in derivation D: 1 sample, learning rate 0.5, loss 0.1\d+ -> 0.\d+", second)


# ---- HTML ----


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("layers", [(2, 3, 2), (12, 11, 3)])
def test_html_is_well_formed_and_its_mathematics_complete(dialect, layers):
    root = ElementTree.fromstring(traced(dialect, layers)._repr_html_())
    assert root.tag == "div"
    formulas = list(root.iter("math"))
    assert len(formulas) > 20
    for element in (element for formula in formulas for element in formula.iter()):
        assert element.tag in SIGNS | {"math"}
        if element.tag in CHILDREN:
            assert len(element) == CHILDREN[element.tag]
        if element.tag in ("mo", "mi", "mn"):
            assert element.text
            assert not {"_", "^", "{", "}"} & set(element.text)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_html_has_the_rows_of_the_text(dialect):
    trace = traced(dialect)
    root = ElementTree.fromstring(trace.to_html())
    assert len(list(root.iter("tr"))) == len(trace.records())
    values = [cell.text for row in root.iter("tr") for cell in row if cell.get("class") == "number"]
    want = [f"{record['value'] + 0.0:.6g}".replace("-", "\u2212") for record in trace.records()]
    assert values == want


def test_mathematics_of_one_symbol():
    html = traced("D").to_html()
    assert "<msubsup><mi>o</mi><mn>1</mn><mrow><msub><mi>L</mi><mn>1</mn></msub></mrow></msubsup>" in html
    assert '<mover accent="true"><mi>b</mi><mo>ˆ</mo></mover>' in html
    assert "<mfrac><mrow><mo>∂</mo><mrow><msub><mi>E</mi><mi>Total</mi></msub></mrow></mrow>" in html


def test_html_needs_no_network_and_no_script():
    html = traced().to_html()
    assert not re.search(r"https?:|<script|<link|@import|url\(", html)


def test_html_is_escaped():
    trace = traced()
    trace.network = 'a < b & "c"'
    root = ElementTree.fromstring(trace.to_html())
    assert root.find("p/b").text == 'a < b & "c"'


def test_html_is_cut_with_a_note():
    html = traced(layers=(30, 20, 10)).to_html(max_rows=3)
    assert "... and 597 more: see max_rows, or records()" in html


# ---- picture ----


def draw(trace, **kwargs):
    figure = pytest.importorskip("matplotlib.figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    page = figure.Figure()
    canvas = FigureCanvasAgg(page)
    ax = trace.plot(page.subplots(), **kwargs)
    canvas.draw()
    return [text.get_text() for text in ax.texts], ax


def test_picture_shows_activations_and_weights():
    net = cbp.Network([2, 1], output="identity", dtype="float64")
    net.params[:] = [0.5, 1, -2]
    texts, ax = draw(net.trace([3, 4], 0, learning_rate=0.1))
    assert sorted(texts) == sorted(
        ["3", "4", "-4.5", "identity", "target 0", "bias 0.5 → 0.95", "1 → 2.35", "-2 → -0.2"]
    )
    assert len(ax.lines) == 2
    assert len(ax.patches) == 3
    assert ax.get_title().startswith("learning rate 0.1: loss 10.12 → ")


def test_picture_shows_small_changes():
    net = cbp.Network([1, 1], output="identity", dtype="float64")
    net.params[:] = [0, 0.25]
    assert "0.25 → 0.2496" in draw(net.trace([1], 0, learning_rate=0.0016))[0]


def test_picture_of_one_of_several_samples():
    net = cbp.Network([1, 1], output="identity", dtype="float64")
    net.params[:] = [0, 1]
    trace = net.trace([[5], [7]], [1, 2])
    assert {"7", "target 2"} < set(draw(trace, sample=1)[0])
    with pytest.raises(ValueError, match="sample must be from 0 to 1, not 2"):
        trace.plot(sample=2)


def test_picture_of_e_has_no_biases():
    assert not any("bias" in text for text in draw(traced("E"))[0])


@pytest.mark.parametrize("layers", [(7, 1), (6, 5, 1)])
def test_large_networks_are_not_drawn(layers):
    with pytest.raises(ValueError, match="cannot be read: at most 6 units and 30 weights can be drawn"):
        traced(layers=layers).plot()


def test_labels_lie_on_their_lines_and_apart():
    _, ax = draw(traced(layers=(3, 3, 2)))
    labels = [text for text in ax.texts if "→" in text.get_text() and "bias" not in text.get_text()]
    places = np.array([text.get_position() for text in labels])
    assert len(places) == 15
    apart = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(15, dtype=bool)]
    assert apart.min() > 0.3


def test_skip_connections_go_around_the_units_between():
    layers = [2, 2, cbp.Dense(1, skip=[0]), cbp.Dense(2, "identity", skip="all")]
    net = cbp.Network(layers, dtype="float64", seed=1)
    trace = net.trace([1, 0.5], [1, 0])
    texts, ax = draw(trace)
    curves = [patch for patch in ax.patches if type(patch).__name__ == "PathPatch"]
    skips = [(3, 1), (3, 2), (3, 3), (3, 4), (2, 1), (2, 2)]
    assert len(curves) == 4 + 4 + 2
    for l, row in skips:
        assert _change(float(trace.numbers.theta[l][row, 0]), float(trace.numbers.new[l][row, 0])) in texts
    circles = [patch for patch in ax.patches if type(patch).__name__ == "Circle"]
    high = max(circle.center[1] + circle.radius for circle in circles)
    for curve in curves:
        low, up = (curve.get_path().vertices[:, 1].min(), curve.get_path().vertices[:, 1].max())
        assert max(-low, up) > high
    places = np.array([text.get_position() for text in ax.texts if "→" in text.get_text()])
    apart = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(len(places), dtype=bool)]
    assert apart.min() > 0.3
    assert (np.abs(places[:, 1]) < ax.get_ylim()[1]).all()


def test_targets_stand_at_the_outputs_they_belong_to():
    parts = [cbp.Head(2, loss="gaussian_nll"), cbp.Head(2, "identity")]
    net = cbp.Network([1, 4], heads=parts, missing_targets=True, dtype="float64", seed=1)
    _, ax = draw(net.trace([1], [0.5, 2, np.nan]))
    beside = [text.get_text() for text in ax.texts if text.get_ha() == "left"]
    assert beside == ["target 0.5", "", "target 2", "target missing"]


@pytest.mark.parametrize(("module", "extra", "use"), [
    ("matplotlib.patches", "plot", lambda trace: trace.plot()),
    ("pandas", "pandas", lambda trace: trace.to_dataframe()),
])  # fmt: skip
def test_absent_packages_are_named(monkeypatch, module, extra, use):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'needs {module.split(".")[0]}: pip install "cbpnet\[{extra}\]"'):
        use(traced())


def test_data_frame(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda records: ("frame", records)))
    trace = traced()
    assert trace.to_dataframe() == ("frame", trace.records())
