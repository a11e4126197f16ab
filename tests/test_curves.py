"""Learning curves: every figure on a panel that suits it, the best epoch marked, the learning rate where it changes."""

from itertools import pairwise

import numpy as np
import pytest

import cbp

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cbp.plot import learning_curve

LINES = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "mean_squared_error": "training mean squared error",
    "val_mean_squared_error": "validation mean squared error",
}
NAMES = list(LINES)
FALLING = [2.0, 0.5, 0.1]


@pytest.fixture
def ax():
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def drawn(ax):
    """Names and numbers of every line of every panel that is not a mark."""
    found = {}
    for panel in ax.figure.axes:
        for line in panel.get_lines():
            if not line.get_label().startswith("_"):
                found[line.get_label()] = list(line.get_ydata())
    return found


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[:2], NAMES[:3], NAMES], ids="-".join)
def test_every_line_is_named_and_there_is_room_for_a_title(ax, names):
    figures = {name: [0.9, 0.5, 0.4 + place] for place, name in enumerate(names)}
    assert learning_curve({**figures, "learning_rate": [0.1] * 3, "seconds": [1.0] * 3}, ax) is ax
    ax.set_title("A title of its own")
    ax.figure.canvas.draw()
    assert drawn(ax) == {LINES[name]: values for name, values in figures.items()}
    for panel in ax.figure.axes:
        legend = panel.get_legend()
        if legend is None:
            continue
        named = {line.get_label() for line in panel.get_lines()} & {*LINES.values()}
        assert {text.get_text() for text in legend.get_texts()} >= named
        assert not legend.get_window_extent().overlaps(ax.title.get_window_extent())


def test_losses_shares_and_other_metrics_have_panels_of_their_own(ax):
    names = ["loss", "val_loss", "accuracy", "val_accuracy", "recall", "mean_absolute_error", "val_mean_absolute_error"]
    learning_curve(dict.fromkeys(names, FALLING), ax)
    assert [panel.get_ylabel().replace("\n", " ") for panel in ax.figure.axes] == [
        "loss",
        "share",
        "mean absolute error",
    ]
    shares = {line.get_label(): line for line in ax.figure.axes[1].get_lines() if "ing" in line.get_label()[:9]}
    assert list(shares) == ["training accuracy", "training recall"]
    both = {line.get_label(): line for line in ax.figure.axes[1].get_lines()}
    assert both["training accuracy"].get_color() == both["validation accuracy"].get_color()
    assert both["training accuracy"].get_color() != both["training recall"].get_color()
    assert both["validation accuracy"].get_linestyle() == "--"
    assert both["training accuracy"].get_linestyle() == "-"


def test_panels_are_below_each_other_and_do_not_touch(ax):
    learning_curve({**dict.fromkeys(NAMES, FALLING), "learning_rate": [0.3, 0.2, 0.1]}, ax)
    ax.figure.canvas.draw()
    boxes = [panel.get_tightbbox() for panel in ax.figure.axes]
    assert len(boxes) == 4
    for upper, lower in pairwise(boxes):
        assert upper.y0 >= lower.y1 - 6  # the highest number of a scale reaches a little above its panel
    assert len({panel.get_position().x0 for panel in ax.figure.axes}) == 1
    assert [panel.get_xlabel() for panel in ax.figure.axes] == ["", "", "", "epoch"]


def test_axes_without_a_grid_are_divided_too():
    figure = Figure()
    ax = figure.add_axes((0.1, 0.2, 0.8, 0.7))
    learning_curve({"loss": FALLING, "accuracy": FALLING}, ax)
    first, second = (panel.get_position() for panel in figure.axes)
    assert 0.2 <= second.y0 < second.y1 < first.y0 < first.y1 <= 0.9 + 1e-9


@pytest.mark.parametrize(
    ("names", "legends"),
    [
        (["loss", "val_loss", "val_accuracy", "r2", "val_r2"], [True, False, False]),
        (["loss", "val_accuracy"], [True, True]),
        (["loss", "val_loss", "accuracy", "recall"], [True, True]),
        (["accuracy", "learning_rate"], [True, False]),
    ],
)
def test_a_legend_is_where_colours_do_not_say_it(ax, names, legends):
    learning_curve(dict.fromkeys(names, FALLING), ax, names=names)
    assert [panel.get_legend() is not None for panel in ax.figure.axes] == legends
    colours = {line.get_label(): line.get_color() for panel in ax.figure.axes for line in panel.get_lines()}
    told = {(label.split()[0], colour) for label, colour in colours.items() if " loss" in label or " r2" in label}
    assert len(told) == len({side for side, _ in told})  # training has one colour, validation another


@pytest.mark.parametrize(("rates", "panels"), [([0.1, 0.1, 0.1], 1), ([0.1, 0.05, 0.025], 2)])
def test_the_learning_rate_is_drawn_where_it_changes(ax, rates, panels):
    learning_curve({"loss": FALLING, "learning_rate": rates}, ax)
    assert len(ax.figure.axes) == panels
    if panels == 2:
        assert list(ax.figure.axes[1].get_lines()[0].get_ydata()) == rates


def test_it_is_drawn_for_a_schedule(ax):
    X, y = np.linspace(-1, 1, 8)[:, None], np.linspace(0, 1, 8)
    net = cbp.Network([1, 2, 1], output="identity", seed=0)
    history = net.fit(X, y, epochs=4, schedule=cbp.schedules.ExponentialDecay(0.1, 0.5))
    assert history.plot(ax) is ax
    assert drawn(ax) == {"training loss": history.loss, "training learning rate": history.learning_rate}


@pytest.mark.parametrize(
    ("loss", "scale"),
    [
        ([2.0, 1.0, 0.1], "log"),
        ([2.0, 1.0, 0.5], "linear"),
        ([2.0, 0.0, 1.0], "linear"),
        ([2.0, -1.0], "linear"),
        ([2.0, np.nan, 0.1], "log"),
        ([np.nan], "linear"),
    ],
)
def test_the_scale_is_logarithmic_where_the_loss_falls_far(ax, loss, scale):
    learning_curve({"loss": loss}, ax)
    assert ax.get_yscale() == scale


def test_the_best_epoch_is_marked_on_all_panels(ax):
    learning_curve({"loss": FALLING, "val_loss": [2.0, 0.3, 0.4], "val_accuracy": [0.1, 0.2, 0.3]}, ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[2, 0.3]])
    marks = [line for line in ax.figure.axes[1].get_lines() if line.get_linestyle() == ":"]
    assert [list(mark.get_xdata()) for mark in marks] == [[2, 2]]


def test_figures_can_be_chosen(ax):
    history = {"loss": FALLING, "val_loss": FALLING, "mu": [1.0, 2.0, 3.0], "learning_rate": [0.1] * 3}
    learning_curve(history, ax, names=["mu", "learning_rate"])
    assert [panel.get_ylabel().replace("\n", " ") for panel in ax.figure.axes] == ["mu", "learning rate"]
    other = Figure().subplots()
    learning_curve(history, other, names="val_loss")
    assert list(drawn(other)) == ["validation loss"]


@pytest.mark.parametrize(
    ("history", "names", "sentence"),
    [
        ({"loss": FALLING}, "val_loss", "the history has no figure 'val_loss'; there are: loss"),
        ({}, None, "the history has no figure to draw"),
        ({"loss": FALLING}, [], "the history has no figure to draw"),
    ],
)
def test_what_cannot_be_drawn_is_refused(history, names, sentence):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with pytest.raises(ValueError, match=sentence):
        learning_curve(history, names=names)
    assert pyplot.get_fignums() == before
