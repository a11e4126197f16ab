"""Decision regions: colours, lines and heights are those of the predictions."""

import numpy as np
import pytest

import cbp

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cbp.plot import decision_regions
from cbp.plot._axes import COLOURS
from cbp.plot.regions import FULL, PALE

RNG = np.random.default_rng(2)
X = RNG.normal(size=(50, 2))
N = 25


def net_of(output="softmax", n_in=2, n_out=3, **kwargs):
    net = cbp.Network([n_in, 6, n_out], activation="tanh", output=output, dtype="float64", seed=4, **kwargs)
    net.params[:] *= 2
    return net


@pytest.fixture
def ax():
    return Figure().subplots()


def pixels(ax):
    """Colours (N, N, 3), and the places of their middles, (N * N, 2) row by row."""
    image = ax.images[0]
    colours = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    n = len(colours)
    x, y = (np.linspace(a, b, n + 1)[:-1] + (b - a) / (2 * n) for a, b in ((left, right), (low, high)))
    return colours, np.column_stack([np.tile(x, n), np.repeat(y, n)])


def mixed(winner, sure, k):
    """The colour of a region by its definition."""
    full = np.array([to_rgb(COLOURS[number]) for number in range(k)])[winner]
    strength = (PALE + (FULL - PALE) * (sure - 1 / k) / (1 - 1 / k))[:, None]
    return strength * full + (1 - strength)


@pytest.mark.parametrize("output", ["softmax", "log_softmax"])
def test_every_pixel_has_the_colour_of_its_class(ax, output):
    net = net_of(output)
    assert decision_regions(net, X, ax=ax, resolution=N) is ax
    colours, places = pixels(ax)
    p = net.predict(places)
    p = np.exp(p) if output == "log_softmax" else p
    np.testing.assert_allclose(colours.reshape(-1, 3), mixed(p.argmax(axis=1), p.max(axis=1), 3), atol=1e-9)
    assert len(set(p.argmax(axis=1))) == 3


def test_of_one_output_both_classes_are_shown(ax):
    net = net_of("sigmoid", n_out=1)
    decision_regions(net, X, ax=ax, resolution=N)
    colours, places = pixels(ax)
    p = net.predict(places)[:, 0]
    np.testing.assert_allclose(colours.reshape(-1, 3), mixed((p > 0.5).astype(int), np.maximum(p, 1 - p), 2), atol=1e-9)


def test_the_line_between_classes_is_where_they_are_as_probable(ax):
    net = net_of("sigmoid", n_out=1)
    decision_regions(net, X, ax=ax, resolution=120)
    (line,) = [path.vertices for found in ax.collections for path in found.get_paths() if len(path.vertices)]
    np.testing.assert_allclose(net.predict(line)[:, 0], 0.5, atol=5e-3)


def test_other_inputs_are_at_their_medians(ax):
    net, wide = net_of(n_in=4), RNG.normal(size=(31, 4))
    decision_regions(net, wide, ax=ax, features=(3, 1), resolution=N)
    colours, places = pixels(ax)
    rows = np.tile(np.median(wide, axis=0), (N * N, 1))
    rows[:, [3, 1]] = places
    p = net.predict(rows)
    np.testing.assert_allclose(colours.reshape(-1, 3), mixed(p.argmax(axis=1), p.max(axis=1), 3), atol=1e-9)
    assert ax.get_title(loc="left") == "2 other inputs at the median"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input 3", "input 1")


def test_inputs_are_found_by_name(ax):
    net = net_of(n_in=3)
    net.metadata["features"] = ["height", "width", "age"]
    decision_regions(net, RNG.normal(size=(9, 3)), ax=ax, features=("age", "height"), resolution=N)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "height")
    assert ax.get_title(loc="left") == "1 other input at the median"


@pytest.mark.parametrize("how", ["labels", "names", "one-hot", "missing"])
def test_points_have_the_colour_of_their_class(ax, how):
    net, y = net_of(), RNG.integers(0, 3, 50)
    net.metadata["classes"] = ["ant", "bee", "cow"]
    given = {"labels": y, "names": np.array(["ant", "bee", "cow"])[y], "one-hot": np.eye(3)[y],
             "missing": np.where(np.arange(50) < 5, np.nan, y)}[how]  # fmt: skip
    decision_regions(net, X, given, ax, resolution=N)
    points = {found.get_label(): found for found in ax.collections if found.get_label() in ("ant", "bee", "cow")}
    for number, name in enumerate(["ant", "bee", "cow"]):
        own = (y == number) & ((np.arange(50) >= 5) | (how != "missing"))
        np.testing.assert_array_equal(points[name].get_offsets(), X[own])
        assert tuple(points[name].get_facecolor()[0][:3]) == to_rgb(COLOURS[number])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ant", "bee", "cow"]
    assert len({found.get_paths()[0].vertices.tobytes() for found in points.values()}) == 3  # markers differ too


@pytest.mark.parametrize(("loss", "targets"), [("hinge", [-1, 1]), (None, [0, 1])])
def test_targets_of_one_output_are_classes(ax, loss, targets):
    net = net_of("identity" if loss else "sigmoid", n_out=1, loss=loss)
    y = RNG.integers(0, 2, 50)
    decision_regions(net, X, np.array(targets)[y], ax, classes=["no", "yes"], resolution=N)
    points = {found.get_label(): len(found.get_offsets()) for found in ax.collections}
    assert (points["no"], points["yes"]) == ((y == 0).sum(), (y == 1).sum())


def test_a_regression_is_drawn_by_its_heights(ax):
    net = net_of("identity", n_out=2)
    y = RNG.normal(size=(50, 2))
    y[3] = np.nan
    decision_regions(net, X, y, ax, output=1, resolution=40)
    filled, scatter = ax.collections[0], ax.collections[-1]
    low, high = filled.levels[0], filled.levels[-1]
    grid = np.linspace(X.min(axis=0), X.max(axis=0), 20)
    assert low <= net.predict(grid)[:, 1].min()
    assert net.predict(grid)[:, 1].max() <= high
    assert low <= np.nanmin(y[:, 1])
    known = ~np.isnan(y[:, 1])
    np.testing.assert_array_equal(scatter.get_offsets(), X[known])
    np.testing.assert_array_equal(scatter.get_array(), y[known, 1])
    assert scatter.norm is filled.norm
    for level, path in zip(ax.collections[1].levels, ax.collections[1].get_paths(), strict=True):
        inner = path.vertices[:: max(len(path.vertices) // 20, 1)] if len(path.vertices) else np.empty((0, 2))
        if len(inner):
            np.testing.assert_allclose(net.predict(inner)[:, 1], level, atol=0.05 * (high - low))


REFUSED = {
    "one input": (lambda: decision_regions(net_of(n_in=1), X[:, :1]), "the network has one input, a plane takes two"),
    "shape": (lambda: decision_regions(net_of(n_in=3), X), r"X must have at least one row of 3 numbers, not .*50, 2"),
    "rows": (lambda: decision_regions(net_of(), X[:0]), "X must have at least one row"),
    "feature": (lambda: decision_regions(net_of(), X, features=(0, 2)), "a number in features must be .*not 2"),
    "twice": (lambda: decision_regions(net_of(), X, features=(1, 1)), "features must be two different inputs"),
    "name": (lambda: decision_regions(net_of(), X, features=("a", 0)), "no input is called 'a'"),
    "classes": (lambda: decision_regions(net_of(), X, classes="ab"), "2 classes are named, the network tells 3 apart"),
    "output": (lambda: decision_regions(net_of("identity"), X, output=3), "the network has the outputs 0 to 2, not 3"),
    "y": (lambda: decision_regions(net_of(), X, [0, 1]), "X has 50 rows, y has 2"),
    "label": (lambda: decision_regions(net_of(), X, [7] * 50), "the label 7 is none of the classes"),
    "resolution": (lambda: decision_regions(net_of(), X, resolution=1), "resolution must be at least 2, not 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(name):
    from matplotlib import pyplot

    act, sentence = REFUSED[name]
    before = pyplot.get_fignums()
    with pytest.raises(ValueError, match=sentence):
        act()
    assert pyplot.get_fignums() == before
