"""Pictures of a network: its weights, its activations and gradients. Every colour, width and number is checked."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import cbp

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from cbp.plot import activations, filters, gradients, network, weights
from cbp.plot._axes import MINUS, PLUS
from cbp.plot.insides import FLAT, is_flat

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 4))


def small(**kwargs):
    net = cbp.Network([4, 5, 3], activation="tanh", output="softmax", dtype="float64", seed=0, **kwargs)
    net.params[:] += RNG.normal(0, 0.3, net.n_params)
    return net


@pytest.fixture
def ax():
    return Figure().subplots()


def circles(ax):
    return [patch for patch in ax.patches if isinstance(patch, Circle)]


def lines(ax):
    """The collections of weights by their name."""
    return {found.get_gid(): found for found in ax.collections}


def texts(ax):
    return [text.get_text() for text in ax.texts]


# ---- the diagram ----


def test_every_weight_is_a_line_between_its_units(ax):
    net = small()
    assert network(net, ax=ax) is ax
    places = [np.array(circle.center) for circle in circles(ax)]
    assert len(places) == 4 + 5 + 3
    first = np.array(lines(ax)["weights 0 > 1"].get_segments())
    assert first.shape == (4 * 5, 2, 2)
    for i in range(4):
        for j in range(5):
            np.testing.assert_allclose(first[5 * i + j], [places[i], places[4 + j]])
    assert len(lines(ax)["weights 1 > 2"].get_segments()) == 15


@pytest.mark.parametrize("l", [1, 2])
def test_colour_is_the_sign_and_width_the_size(ax, l):
    net = small()
    network(net, ax=ax)
    W = net.layers[l - 1].W.ravel()
    drawn = lines(ax)[f"weights {l - 1} > {l}"]
    for w, colour in zip(W, drawn.get_colors(), strict=True):
        assert tuple(colour[:3]) == to_rgb(PLUS if w > 0 else MINUS)
    order = np.argsort(np.abs(W))
    widths, alphas = np.array(drawn.get_linewidths()), np.array(drawn.get_colors())[:, 3]
    assert (np.diff(widths[order]) >= 0).all()
    assert (np.diff(alphas[order]) >= 0).all()
    share = np.abs(W) / np.abs(W).max()
    np.testing.assert_allclose(widths, 0.4 + 2.0 * share)


def test_a_weight_of_0_has_no_line(ax):
    net = small()
    net.layers[0].W[1, 2] = 0
    net.layers[1].W[:] = 0
    network(net, ax=ax)
    assert len(lines(ax)["weights 0 > 1"].get_segments()) == 19
    assert len(lines(ax)["weights 1 > 2"].get_segments()) == 0


def test_the_ring_is_the_bias(ax):
    net = small()
    net.layers[0].b[:] = [0, 1, -2, 0.5, -0.1]
    network(net, ax=ax)
    rings = circles(ax)[4:9]
    assert [ring.get_edgecolor()[:3] for ring in rings[1:]] == [to_rgb(side) for side in (PLUS, MINUS, PLUS, MINUS)]
    assert [ring.get_linewidth() for ring in rings] == pytest.approx([0.8, 2.0, 3.0, 1.5, 1.1])


def test_a_large_layer_shows_its_ends_and_how_many_are_between(ax):
    net = cbp.Network([40, 7, 2], seed=0)
    network(net, ax=ax, max_units=6)
    assert [text for text in texts(ax) if text.endswith("more")] == ["34 more", "1 more"]
    assert len(circles(ax)) == 6 + 6 + 2
    drawn = np.array(lines(ax)["weights 0 > 1"].get_segments())
    assert len(drawn) == 36
    W = net.layers[0].W[[0, 1, 2, 37, 38, 39]][:, [0, 1, 2, 4, 5, 6]].ravel()
    signs = [tuple(colour[:3]) == to_rgb(PLUS) for colour in lines(ax)["weights 0 > 1"].get_colors()]
    np.testing.assert_array_equal(signs, W > 0)


def test_layers_say_what_they_are(ax):
    net = cbp.Network(
        [3, cbp.Dense(4, "relu", dropout=0.5), cbp.Dense(2, ["sigmoid", "tanh"], steepness=2.0)],
        scale_inputs=(0, 1),
        loss="half_squared_error",
        seed=0,
    )
    net.layers[0].trainable = False
    network(net, ax=ax)
    assert texts(ax) == ["inputs\n3\nscaled, given", "layer 1\n4\nrelu\ndropout=0.5\nfrozen",
                         "outputs\n2\nsigmoid, tanh\nsteepness=2"]  # fmt: skip


def test_heads_are_named(ax):
    network(cbp.Network([3, 4, 5], heads=[cbp.Head(3, "softmax"), cbp.Head(2, "identity")], seed=0), ax=ax)
    assert texts(ax)[-1] == "outputs\n5\n3 softmax + 2\nidentity"


def test_skip_connections_are_arcs_past_what_is_between(ax):
    net = cbp.Network([2, 5, cbp.Dense(1, "sigmoid", skip=[0])], seed=0)
    network(net, ax=ax)
    arcs = np.array(lines(ax)["weights 0 > 2"].get_segments())
    assert len(arcs) == 2
    top = max(abs(circle.center[1]) for circle in circles(ax))
    places = [circle.center for circle in circles(ax)]
    np.testing.assert_allclose(arcs[:, 0], places[:2])
    np.testing.assert_allclose(arcs[:, -1], [places[-1]] * 2)
    assert (np.abs(arcs[:, len(arcs[0]) // 2, 1]) > top + 0.36).all()  # a unit's radius
    W = net.layers[1].W[:2, 0]
    assert [tuple(colour[:3]) == to_rgb(PLUS) for colour in lines(ax)["weights 0 > 2"].get_colors()] == list(W > 0)
    assert len(lines(ax)["weights 1 > 2"].get_segments()) == 5


def test_the_rows_of_w_that_skip_are_the_first(ax):
    net = cbp.Network([2, 2, cbp.Dense(1, "sigmoid", skip=[0])], seed=0)
    net.layers[1].W[:] = [[1], [1], [-1], [-1]]
    network(net, ax=ax)
    assert {tuple(colour[:3]) for colour in lines(ax)["weights 0 > 2"].get_colors()} == {to_rgb(PLUS)}
    assert {tuple(colour[:3]) for colour in lines(ax)["weights 1 > 2"].get_colors()} == {to_rgb(MINUS)}


def test_the_activations_of_a_sample_are_in_the_units(ax):
    net = cbp.Network([2, 3, 1], activation="tanh", output="identity", dtype="float64", seed=0,
                      scale_inputs=([10.0, 100.0], [1.0, 10.0]), scale_targets=([5.0], [2.0]))  # fmt: skip
    x = np.array([11.0, 90.0])
    assert net.plot(x, ax) is ax
    hidden = np.tanh(net.layers[0].b + (x - [10, 100]) / [1, 10] @ net.layers[0].W)
    written = [*x, *hidden, net.predict(x)[0]]
    assert [float(text) for text in texts(ax) if "\n" not in text] == pytest.approx(written, abs=0.051)
    fills = np.array([circle.get_facecolor()[:3] for circle in circles(ax)])
    scaled = [1.0, -1.0, *hidden]
    for fill, value in zip(fills, scaled, strict=False):
        assert (fill[2] > fill[0]) == (value > 0)  # blue is positive, orange is not


@pytest.mark.parametrize("x", [[1.0, 2.0], np.zeros((2, 4)), 3.0])
def test_a_sample_that_does_not_fit_is_refused(x):
    with pytest.raises(ValueError, match="x must be one sample of 4 numbers, not an array of shape"):
        small().plot(x)


def test_names_come_from_the_metadata_or_from_arguments(ax):
    net = small()
    network(net, ax=ax)
    assert not any(text in texts(ax) for text in "abcd")
    net.metadata.update(features=list("abcd"), classes=["u", "v", "w"])
    for chosen, expected in (({}, "abcduvw"), ({"features": "efgh"}, "efghuvw"), ({"classes": "xyz"}, "abcdxyz")):
        other = Figure().subplots()
        network(net, ax=other, **chosen)
        assert [text for text in texts(other) if len(text) == 1] == list(expected)
    net.metadata["features"] = ["one name only"]
    network(net, ax=(other := Figure().subplots()))
    assert [text for text in texts(other) if len(text) == 1] == list("uvw")
    with pytest.raises(ValueError, match="2 features are named, the network has 4"):
        network(net, features="ab")


def test_one_output_has_the_name_of_the_second_class(ax):
    net = cbp.Network([2, 1], seed=0)
    net.metadata["classes"] = ["no", "yes"]
    network(net, ax=ax)
    assert "yes" in texts(ax)
    assert "no" not in texts(ax)


def test_nothing_is_written_over_anything_else():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    net = cbp.Network([4, 16, cbp.Dense(6, "leaky_relu", skip=[0]), 3], output="softmax", seed=0, scale_inputs=(0, 1))
    ax = network(
        net, np.ones(4), Figure(figsize=(7, 6), layout="constrained").subplots(), features=["sepal length"] * 4
    )
    FigureCanvasAgg(ax.figure).draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    whole = ax.figure.bbox
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k]), ax.texts[k]
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1


# ---- histograms ----


def counted(ax):
    return sum(bar.get_height() for bar in ax.patches)


def test_weights_are_counted_layer_by_layer():
    net = small()
    net.layers[0].W[0] = 0
    axes = weights(net, Figure().subplots(2))
    assert [counted(ax) for ax in axes] == [20, 15]
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles[0] == f"layer 1, 5 tanh; standard deviation {net.layers[0].W.std():.3g}; 25 % are 0"
    assert titles[1] == f"layer 2, 3 softmax; standard deviation {net.layers[1].W.std():.3g}"
    for ax, layer in zip(axes, net.layers, strict=True):
        np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), layer.b)
        heights, edges = np.histogram(layer.W, bins=40)
        assert [bar.get_height() for bar in ax.patches] == list(heights)
        assert ax.patches[0].get_x() == pytest.approx(edges[0])


def test_activations_are_those_of_forward():
    net = small()
    axes = activations(net, X, Figure().subplots(2))
    net.forward(X)
    for ax, A in zip(axes, net.activations[1:], strict=True):
        assert [bar.get_height() for bar in ax.patches] == list(np.histogram(A, bins=40)[0])


def test_saturated_and_dead_units_are_counted():
    net = cbp.Network([4, 6, cbp.Dense(2, "tanh")], activation="relu", output="tanh", dtype="float64", seed=1)
    net.layers[0].b[:2] = -100
    net.layers[1].b[0] = 9
    titles = [ax.get_title(loc="left") for ax in activations(net, X, Figure().subplots(2))]
    z = X @ net.layers[0].W + net.layers[0].b
    share = (z < 0).mean()
    assert (z < 0).all(axis=0).sum() == 2
    assert titles[0] == f"layer 1, 6 relu; {100 * share:.0f} % saturated; 2 units dead"
    slopes = 1 - np.tanh(np.maximum(z, 0) @ net.layers[1].W + net.layers[1].b) ** 2
    assert titles[1] == f"layer 2, 2 tanh; {100 * (slopes < 0.05).mean():.0f} % saturated; 1 unit dead"


def test_skips_and_steepness_count_in_what_is_saturated():
    net = cbp.Network([4, 3, cbp.Dense(2, "tanh", skip=[0], steepness=3.0)], activation="tanh", dtype="float64", seed=1,
                      loss="half_squared_error")  # fmt: skip
    title = activations(net, X, Figure().subplots(2))[1].get_title(loc="left")
    hidden = np.tanh(X @ net.layers[0].W + net.layers[0].b)
    a = np.tanh(3 * (np.hstack([X, hidden]) @ net.layers[1].W + net.layers[1].b))
    assert title == f"layer 2, 2 tanh; {100 * (1 - a * a < 0.05).mean():.0f} % saturated"


@pytest.mark.parametrize("name", [name for name, row in cbp.activations.items() if not row.row_wise])
def test_flat_is_where_the_slope_of_the_table_is_small(name):
    row = cbp.activations[name]
    z = np.linspace(-12, 12, 241)
    at = cbp.Network([1, cbp.Dense(1, row)], dtype="float64", loss="half_squared_error")
    at.params[:] = 0, 1
    h = 1e-6
    low, high = (at.predict((z + side).reshape(-1, 1))[:, 0] for side in (-h, h))
    slope = np.abs(high - low) / (2 * h)
    grid = np.linspace(-30, 30, 60001)
    largest = np.abs(np.diff(at.predict(grid.reshape(-1, 1))[:, 0]) / np.diff(grid)).max()
    sure = np.abs(slope / largest - FLAT) > 2e-3  # at a kink, and next to the limit, differences do not decide
    kinks = np.isin(z.round(3), [-3, -1, 0, 1, 3, 6]) | (np.abs(z - z.round()) < 1e-9)
    found = is_flat(row, z.reshape(-1, 1))[:, 0]
    np.testing.assert_array_equal(found[sure & ~kinks], (slope < FLAT * largest)[sure & ~kinks])


def test_gradients_are_those_of_the_objective():
    net, y = small(), RNG.integers(0, 3, 40)
    axes = gradients(net, X, y, Figure().subplots(2))
    net.gradient(X, y)
    for ax, layer in zip(axes, net.layers, strict=True):
        sizes = np.abs(layer.grad_theta)
        assert counted(ax) == sizes.size
        assert ax.get_title(loc="left").endswith(f"median {np.median(sizes):.1e}")
        assert list(ax.get_lines()[0].get_xdata()) == [np.median(sizes)] * 2
        assert ax.get_xscale() == "log"
    assert axes[0].get_xlim() == axes[1].get_xlim()


def test_gradients_of_frozen_layers_are_0():
    net, y = small(), RNG.integers(0, 3, 40)
    net.layers[0].trainable = False
    axes = gradients(net, X, y, Figure().subplots(2))
    assert axes[0].get_title(loc="left") == "layer 1, 5 tanh; 100 % are 0"
    assert counted(axes[0]) == 0
    assert counted(axes[1]) == 18


def test_a_network_that_diverged_can_be_looked_at(ax):
    net = small()
    net.layers[0].W[0, 0], net.layers[0].W[1, 1], net.layers[0].b[2] = np.nan, np.inf, np.nan
    network(net, X[0], ax)
    assert len(lines(ax)["weights 0 > 1"].get_segments()) == 18
    assert texts(ax).count("nan") == 2 + 3  # tanh of infinity is a number, softmax of NaN is none
    assert counted(weights(net, Figure().subplots(2))[0]) == 18
    activations(net, X, Figure().subplots(2))
    gradients(net, X, RNG.integers(0, 3, 40), Figure().subplots(2))
    ax.figure.savefig(io.BytesIO())


# ---- images ----


def test_filters_are_the_weights_of_the_units():
    net = cbp.Network([6, 5, 2], seed=0)
    axes = filters(net, (2, 3), Figure().subplots(5))
    limit = np.abs(net.layers[0].W).max()
    for unit, ax in enumerate(axes):
        image = ax.images[0]
        np.testing.assert_array_equal(image.get_array(), net.layers[0].W[:, unit].reshape(2, 3).astype(float))
        assert image.get_clim() == pytest.approx((-limit, limit))
        assert ax.get_title() == f"unit {unit}"


def test_filters_of_units_asked_for():
    net = cbp.Network([16, 5, 2], seed=0)
    axes = filters(net, axes=Figure().subplots(2), units=[4, 0])
    assert [ax.get_title() for ax in axes] == ["unit 4", "unit 0"]
    np.testing.assert_array_equal(axes[0].images[0].get_array().ravel(), net.layers[0].W[:, 4].astype(float))


def test_the_colour_of_a_filter_is_the_sign():
    net = cbp.Network([4, 1, 1], seed=0)
    net.layers[0].W[:, 0] = [1, -1, 0, 0.5]
    image = filters(net, axes=[Figure().subplots()])[0].images[0]
    red, green, blue, _ = np.moveaxis(image.cmap(image.norm(image.get_array())).reshape(4, 4), 1, 0)
    assert blue[0] > red[0]
    assert red[1] > blue[1]
    assert (red[2], green[2], blue[2]) == pytest.approx((1, 1, 1), abs=0.02)


REFUSED = {
    "axes": (lambda: weights(small(), Figure().subplots(3)), "2 figures want as many axes, not 3: layer 1, layer 2"),
    "no square": (lambda: filters(cbp.Network([6, 2], seed=0)), "6 inputs do not make a square"),
    "shape": (lambda: filters(small(), (3, 2)), "an image of 3 x 2 has 6 pixels, the network has 4 inputs"),
    "unit": (lambda: filters(small(), units=[5]), "layer 1 has the units 0 to 4, not 5"),
    "rows": (lambda: activations(small(), np.empty((0, 4))), "X has no rows"),
    "X": (lambda: activations(small(), np.ones((3, 2))), "X has 2 features, the network expects 4"),
    "y": (lambda: gradients(small(), X, np.zeros(3, int)), "y has 3 labels, but X has 40 rows"),
    "max_units": (lambda: network(small(), max_units=1), "max_units must be at least 2, not 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(name):
    from matplotlib import pyplot

    act, sentence = REFUSED[name]
    before = pyplot.get_fignums()
    with pytest.raises(ValueError, match=sentence):
        act()
    assert pyplot.get_fignums() == before


# ---- the network is only read ----

PICTURES = {
    "network": lambda net: network(net, X[0]),
    "weights": weights,
    "filters": lambda net: filters(net, (2, 2)),
    "activations": lambda net: activations(net, X),
    "gradients": lambda net: gradients(net, X, RNG.integers(0, 3, 40)),
    "decision_regions": lambda net: cbp.plot.decision_regions(net, X, RNG.integers(0, 3, 40), resolution=9),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_changes_nothing_and_makes_one_figure(name, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    net = small()
    net.fit(X, np.arange(40) % 3, epochs=2)
    net.forward(X)
    net.backward(np.arange(40) % 3)
    kept = [array.copy() for array in (*net.activations, *net.deltas[1:], net.grad)]
    pyplot.close("all")
    state, before = np.random.get_state()[1].copy(), net.__getstate__()  # noqa: NPY002
    drawn = PICTURES[name](net)
    assert len(pyplot.get_fignums()) == 1
    np.ravel(np.asarray(drawn, object))[0].figure.savefig(tmp_path / "picture.png", dpi=30)
    pyplot.close("all")
    after = net.__getstate__()
    assert {key: value.tobytes() for key, value in before.items()} == {k: value.tobytes() for k, value in after.items()}
    now = [*net.activations, *net.deltas[1:], net.grad]
    assert [array.tobytes() for array in kept] == [array.tobytes() for array in now]
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_with_axes_no_figure_of_pyplot_is_made(ax):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    network(small(), ax=ax)
    weights(small(), Figure().subplots(2))
    assert pyplot.get_fignums() == before


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'a picture needs matplotlib: pip install "cbpnet\[plot\]"'):
        small().plot()


@pytest.mark.parametrize("draw", ["network", "weights", "filters", "activations", "gradients", "decision_regions"])
def test_an_estimator_stands_for_its_network(draw):
    net = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
    rows = {"activations": ([[0, 1]],), "gradients": ([[0, 1]], [1]), "decision_regions": ([[0, 1], [1, 0]],)}
    options = {"shape": (1, 2)} if draw == "filters" else {}
    drawn = getattr(cbp.plot, draw)(SimpleNamespace(network_=net), *rows.get(draw, ()), **options)
    assert drawn.has_data() if draw in ("network", "decision_regions") else all(ax.has_data() for ax in drawn)
    with pytest.raises(TypeError, match="takes a network, or an estimator"):
        getattr(cbp.plot, draw)("net", *rows.get(draw, ()), **options)
