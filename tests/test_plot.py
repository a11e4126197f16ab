"""Pictures show the numbers that they should: lines, correlations, counts, and what is left out of them."""

import sys

import numpy as np
import pytest

import cbp

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
import matplotlib as mpl
from matplotlib.figure import Figure

from cbp.plot import STATE as STATE_NAMES
from cbp.plot import error_histogram, learning_curve, regression, training_state

RNG = np.random.default_rng(5)
Y = RNG.normal(size=60)
OUT = 0.7 * Y + 0.3 + 0.2 * RNG.normal(size=60)
PARTS = dict(zip(("training", "validation", "test"), cbp.split(60), strict=True))


@pytest.fixture
def ax():
    return Figure().subplots()


def pearson(t, a):
    """R by its definition."""
    n, st, sa = len(t), sum(t), sum(a)
    up = n * sum(t * a) - st * sa
    return up / ((n * sum(t * t) - st**2) * (n * sum(a * a) - sa**2)) ** 0.5


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax):
    return [np.asarray(found.get_offsets()) for found in ax.collections]


def test_regression_draws_every_pair_and_the_line_of_least_squares(ax):
    assert regression(Y, OUT[:, None], ax) is ax
    np.testing.assert_array_equal(points(ax)[0], np.column_stack([Y, OUT]))
    diagonal, fitted = ax.get_lines()
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    A = np.column_stack([Y, np.ones(60)])
    slope, constant = np.linalg.solve(A.T @ A, A.T @ OUT)
    np.testing.assert_allclose(fitted.get_ydata(), slope * np.asarray(fitted.get_xdata()) + constant)
    assert labels(ax) == ["output = target", f"output = {slope:.3g} target + {constant:.3g}"]
    assert ax.get_title() == f"R = {pearson(Y, OUT):.4f}"


def test_regression_names_the_correlation_of_each_part(ax):
    regression(Y, OUT, ax, parts=PARTS)
    assert labels(ax)[:3] == [f"{name}, R = {pearson(Y[rows], OUT[rows]):.4f}" for name, rows in PARTS.items()]
    assert [len(part) for part in points(ax)] == [42, 9, 9]
    assert ax.get_title() == f"R = {pearson(Y, OUT):.4f}"


def test_a_negative_constant_has_its_sign(ax):
    regression(Y, Y - 2, ax)
    assert labels(ax)[1] == "output = 1 target - 2"


def test_missing_targets_are_not_drawn():
    y = np.where(np.arange(60) % 7 == 0, np.nan, Y)
    known = ~np.isnan(y)
    with_gaps, without = Figure().subplots(), Figure().subplots()
    regression(y, OUT, with_gaps)
    regression(Y[known], OUT[known], without)
    np.testing.assert_array_equal(points(with_gaps)[0], points(without)[0])
    assert with_gaps.get_title() == without.get_title()


def test_without_spread_there_is_no_line(ax):
    regression([1.0, 1.0, 1.0], [0.5, 1.0, 1.5], ax)
    assert ax.get_title() == "R is not defined"
    assert labels(ax) == ["output = target"]


def test_all_columns_count(ax):
    regression(Y.reshape(20, 3), OUT.reshape(20, 3), ax)
    assert len(points(ax)[0]) == 60


def test_the_histogram_counts_every_error_once(ax):
    assert error_histogram(Y, OUT, ax, bins=12) is ax
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_array_equal(heights, np.histogram(Y - OUT, bins=12)[0])
    assert ax.get_legend() is None


def test_the_histogram_puts_parts_on_top_of_each_other(ax):
    error_histogram(Y, OUT, ax, bins=12, parts=PARTS)
    assert labels(ax) == list(PARTS)
    tops = [max(bar.get_y() + bar.get_height() for bar in ax.patches[i::12]) for i in range(12)]
    np.testing.assert_array_equal(tops, np.histogram(Y - OUT, bins=12)[0])
    assert [sum(bar.get_height() for bar in bars) for bars in ax.containers] == [42, 9, 9]


STATE = {
    "loss": [3.0, 2.0, 1.0, 0.5],
    "gradient": [9.0, 1.0, 0.3, 0.02],
    "mu": [1e-3, 1e-3, 1e-3, 1e-3],
    "val_loss": [2.0, 1.0, 1.0, 1.5],
    "seconds": [1.0, 1.0, 1.0, 1.0],
}


def test_the_state_has_a_panel_for_each_figure_with_its_last_value():
    axes = training_state(STATE, Figure().subplots(3))
    titles = ["gradient: 0.02 at epoch 4", "mu: 0.001 at epoch 4", "validation failures: 2 at epoch 4"]
    assert [ax.get_title(loc="left") for ax in axes] == titles
    assert [ax.get_yscale() for ax in axes] == ["log", "log", "linear"]
    assert list(axes[2].get_lines()[0].get_ydata()) == [0, 0, 1, 2]
    assert axes[2].get_xlabel() == "epoch"


def test_the_state_of_figures_asked_for(ax):
    (drawn,) = training_state(STATE, ax, names=["seconds"])
    assert drawn.get_title(loc="left") == "seconds: 1 at epoch 4"


@pytest.mark.parametrize("name", cbp.methods.by_name)
def test_what_a_method_tells_of_itself_is_state(name):
    net = cbp.Network([1, 2, 1], activation="tanh", output="identity", dtype="float64", seed=0)
    history = net.fit(Y[:, None], OUT, epochs=2, optimizer=name)
    assert set(history) - {"loss", "seconds"} <= set(STATE_NAMES)
    titles = [ax.get_title(loc="left") for ax in training_state(history, Figure().subplots(len(history) - 2))]
    assert titles[0].startswith("gradient: ")


def test_the_learning_curve_leaves_the_state_out(ax):
    learning_curve(STATE, ax)
    assert ax.figure.axes == [ax]
    assert labels(ax) == ["training loss", "validation loss", "least: epoch 2"]
    np.testing.assert_array_equal(points(ax)[0], [[2, 1.0]])


def test_a_validation_loss_that_is_no_number_is_not_the_least(ax):
    learning_curve({"loss": [1.0, 2.0], "val_loss": [np.nan, 3.0]}, ax)
    np.testing.assert_array_equal(points(ax)[0], [[2, 3.0]])


def test_without_axes_there_is_a_new_figure():
    mpl.use("Agg")
    from matplotlib import pyplot

    drawn = [regression(Y, OUT), error_histogram(Y, OUT), training_state(STATE)[0], learning_curve(STATE)]
    assert len({id(ax.figure) for ax in drawn}) == 4
    for ax in drawn:
        ax.figure.canvas.draw()
    pyplot.close("all")


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: regression(Y, OUT[:9]), r"targets and outputs differ in shape: \(60,\) and \(9,\)"),
        (lambda: error_histogram([np.nan], [1.0]), "there are no targets to draw"),
        (lambda: training_state({"loss": [1.0]}), "the history has no figure to draw"),
        (lambda: training_state(STATE, names=["nu"]), "the history has no figure 'nu'; there are: loss, gradient"),
        (lambda: training_state(STATE, Figure().subplots(2)), "3 figures want as many axes, not 2: gradient, mu"),
    ],
)
def test_what_cannot_be_drawn_is_refused(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act()


@pytest.mark.parametrize("draw", [lambda: regression(Y, OUT), lambda: training_state(STATE)])
def test_without_matplotlib_the_extra_is_named(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'a picture needs matplotlib: pip install "cbpnet\[plot\]"'):
        draw()


def test_pictures_come_with_the_package():
    assert cbp.plot.regression is regression
