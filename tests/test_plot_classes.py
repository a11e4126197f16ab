"""Pictures of classes: confusion, reliability, ROC, precision and recall have scikit-learn's numbers."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
from matplotlib.figure import Figure

from cbp.plot import confusion, precision_recall, reliability, roc

RNG = np.random.default_rng(1)
Y = RNG.integers(0, 3, 200)
OUT = RNG.dirichlet([1, 1, 1], 200) + 0.6 * np.eye(3)[Y]
OUT /= OUT.sum(axis=1, keepdims=True)
P = 1 / (1 + np.exp(-2 * (Y > 0) - RNG.normal(0, 1.5, 200) + 1))
NAMES = ["ant", "bee", "cow"]


@pytest.fixture
def ax():
    return Figure().subplots()


def cells(ax, k):
    """What is written into the cells, (k, k) of numbers and of shares."""
    numbers, shares = np.zeros((k, k), int), np.full((k, k), "", object)
    for text in ax.texts:
        column, row = map(int, text.get_position())
        number, _, share = text.get_text().partition("\n")
        numbers[row, column], shares[row, column] = int(number.replace(",", "")), share
    return numbers, shares


def ticks(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- confusion ----

WAYS = {
    "labels": (Y, OUT.argmax(axis=1)),
    "outputs": (Y, OUT),
    "one-hot": (np.eye(3)[Y], OUT),
    "columns": (Y[:, None], OUT.argmax(axis=1)[:, None].astype(float)),
    "words": (np.array(NAMES)[Y], np.array(NAMES)[OUT.argmax(axis=1)]),
    "words and outputs": (np.array(NAMES)[Y], OUT),
    "lists": ([NAMES[label] for label in Y], [NAMES[label] for label in OUT.argmax(axis=1)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_confusion_counts_as_scikit_learn_does(ax, way):
    assert confusion(*WAYS[way], ax) is ax
    expected = metrics.confusion_matrix(Y, OUT.argmax(axis=1))
    numbers, shares = cells(ax, 3)
    np.testing.assert_array_equal(numbers, expected)
    by_row = expected / expected.sum(axis=1, keepdims=True)
    assert shares[0, 0] == f"{100 * by_row[0, 0]:.0f} %"
    np.testing.assert_array_equal(ax.images[0].get_array(), by_row)
    right = int(np.trace(expected))
    assert ax.get_title() == f"{right} of 200 right: {100 * right / 200:.4g} %"
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == (NAMES if "words" in way or way == "lists" else ["0", "1", "2"])


def test_labels_give_names_and_an_order(ax):
    confusion(Y, OUT, ax, labels=NAMES)
    assert ticks(ax.yaxis) == NAMES
    other = Figure().subplots()
    confusion(np.array(NAMES)[Y], np.array(NAMES)[OUT.argmax(axis=1)], other, labels=NAMES[::-1])
    np.testing.assert_array_equal(cells(other, 3)[0], metrics.confusion_matrix(Y, OUT.argmax(axis=1))[::-1, ::-1])
    far = Figure().subplots()
    confusion([10, 30, 30], [30, 10, 30], far)
    assert ticks(far.xaxis) == ["10", "30"]
    np.testing.assert_array_equal(cells(far, 2)[0], [[0, 1], [1, 1]])


def test_one_output_is_a_class_from_one_half_on(ax):
    confusion([0, 0, 1, 1, 1], [0.1, 0.5, 0.49, 0.9, 0.6], ax, labels=["no", "yes"])
    np.testing.assert_array_equal(cells(ax, 2)[0], [[1, 1], [1, 2]])
    assert ax.get_title() == "3 of 5 right: 60 %"


def test_missing_targets_are_left_out(ax):
    confusion([0, 1, np.nan, 1], [0, 1, 1, 0], ax)
    assert cells(ax, 2)[0].sum() == 3
    other = Figure().subplots()
    confusion([[1, 0], [np.nan, np.nan], [0, 1]], [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], other)
    np.testing.assert_array_equal(cells(other, 2)[0], [[1, 0], [1, 0]])


def test_a_class_that_never_occurs_has_a_row_of_nothing(ax):
    confusion([0, 2, 2], np.eye(3)[[0, 2, 1]], ax)
    np.testing.assert_array_equal(cells(ax, 3)[0], [[1, 0, 0], [0, 0, 0], [0, 1, 1]])
    assert ax.images[0].get_array()[1].tolist() == [0, 0, 0]


def test_a_small_share_is_not_called_0(ax):
    confusion([0] * 1000 + [1], [0] * 999 + [1, 1], ax)
    assert cells(ax, 2)[1].tolist() == [["> 99 %", "< 1 %"], ["", "100 %"]]


@pytest.mark.parametrize(("k", "written"), [(12, "1\n100 %"), (20, "1"), (60, None)])
def test_many_classes_leave_room_for_less(ax, k, written):
    confusion(np.arange(k), np.arange(k), ax)
    assert {text.get_text() for text in ax.texts} == ({written} if written else set())
    assert len(ticks(ax.xaxis)) <= 40


# ---- reliability ----


def upper_and_lower(ax):
    return ax.figure.axes


def test_reliability_is_that_of_scikit_learn(ax):
    happened = (Y > 0).astype(int)
    assert reliability(happened, P, ax, bins=8) is ax
    share, mean = calibration_curve(happened, P, n_bins=8)
    points = ax.containers[0][0]
    np.testing.assert_allclose(points.get_xdata(), mean)
    np.testing.assert_allclose(points.get_ydata(), share)
    counts = [bar.get_height() for bar in upper_and_lower(ax)[1].patches]
    assert counts == list(np.histogram(P, np.linspace(0, 1, 9))[0])
    weights = np.array(counts)[np.array(counts) > 0] / 200
    assert ax.get_title() == f"expected calibration error {float(weights @ np.abs(share - mean)):.3g}"


def test_of_several_classes_the_most_probable_counts(ax):
    reliability(np.array(NAMES)[Y], OUT, ax, bins=5)
    sure, right = OUT.max(axis=1), OUT.argmax(axis=1) == Y
    share, mean = calibration_curve(right, sure, n_bins=5)
    np.testing.assert_allclose(ax.containers[0][0].get_ydata(), share)
    np.testing.assert_allclose(ax.containers[0][0].get_xdata(), mean)
    assert ax.get_ylabel() == "share of rows that are right"


def test_bars_are_wilson_s_intervals(ax):
    from scipy.stats import binomtest

    reliability([1, 0, 1, 1, 0, 0], [0.9] * 4 + [0.2] * 2, ax, bins=10)
    (segments,) = [found.get_segments() for found in ax.collections]
    for segment, (k, n) in zip(segments, [(0, 2), (3, 4)], strict=True):
        exact = binomtest(k, n).proportion_ci(method="wilson")
        assert segment[:, 1] == pytest.approx([exact.low, exact.high], abs=1e-9)


def test_a_probability_of_1_belongs_to_the_last_bin(ax):
    reliability([1, 1, 0], [1.0, 1.0, 0.0], ax, bins=4)
    assert [bar.get_height() for bar in upper_and_lower(ax)[1].patches] == [1, 0, 0, 2]
    assert ax.get_title() == "expected calibration error 0"


def test_of_two_labels_the_second_is_meant(ax):
    reliability(["no", "yes", "yes"], [0.1, 0.9, 0.9], ax)
    assert list(ax.containers[0][0].get_ydata()) == [0, 1]


# ---- ROC, precision and recall ----


def test_roc_is_that_of_scikit_learn(ax):
    rounded = P.round(1)  # many of the same score
    assert roc(Y > 0, rounded, ax) is ax
    x, up, _ = metrics.roc_curve(Y > 0, rounded, drop_intermediate=False)
    line = ax.get_lines()[1]
    np.testing.assert_allclose(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), up)
    assert legend(ax) == [f"area {metrics.roc_auc_score(Y > 0, rounded):.4g}"]


def test_roc_of_several_classes_has_a_curve_for_each(ax):
    roc(Y, OUT, ax, labels=NAMES)
    areas = [metrics.roc_auc_score(j == Y, OUT[:, j]) for j in range(3)]
    assert legend(ax) == [f"{name}: area {area:.4g}" for name, area in zip(NAMES, areas, strict=True)]


def test_average_precision_is_that_of_scikit_learn(ax):
    rounded = P.round(1)
    assert precision_recall((Y > 0).astype(float), rounded[:, None], ax) is ax
    assert legend(ax) == [f"average precision {metrics.average_precision_score(Y > 0, rounded):.4g}"]
    precision, recall, _ = metrics.precision_recall_curve(Y > 0, rounded)
    first = ax.get_lines()[0]
    ends = np.argmax(recall[::-1] == 1) + 1  # beyond the last row of the class scikit-learn draws nothing new
    np.testing.assert_allclose(first.get_xdata()[1 : ends + 0], recall[::-1][1:ends])
    np.testing.assert_allclose(first.get_ydata()[1 : ends + 0], precision[::-1][1:ends])
    assert list(ax.get_lines()[1].get_ydata()) == [(Y > 0).mean()] * 2


REFUSED = {
    "rows": (lambda: confusion([0, 1], [0]), "there are 2 classes and 1 predictions"),
    "nothing": (lambda: confusion([np.nan], [0]), "there are no rows to draw"),
    "neither": (lambda: confusion([0, 1], [0.3, 1.7]), "predicted has numbers that are neither labels nor probabil"),
    "unknown": (
        lambda: confusion(["a", "b"], ["a", "c"], labels="ab"),
        "the label 'c' is none of the classes",
    ),
    "too few": (
        lambda: confusion(["a", "b"], np.eye(3)[:2]),
        "2 labels occur for 3 outputs: name all of them, in order, in labels",
    ),
    "shape": (lambda: confusion(np.zeros((2, 2, 2)), [0, 1]), r"y must be labels, \(n,\), or rows of outputs"),
    "percent": (lambda: reliability([0, 1], [10, 90]), "probabilities must be numbers from 0 to 1"),
    "class": (lambda: reliability([0, 3], np.eye(3)[:2]), "the label 3 is none of the classes: 0, 1, 2"),
    "bins": (lambda: reliability([0, 1], [0.1, 0.9], bins=0), "bins must be at least 1, not 0"),
    "all": (lambda: roc([1, 1], [0.1, 0.2]), "class 1 has all rows"),
    "none": (lambda: precision_recall([0, 0], [0.1, 0.2]), "class 1 has no rows"),
    "NaN": (lambda: roc([0, 1], [0.1, np.nan]), "scores must be numbers"),
    "three": (
        lambda: roc(["a", "b", "c"], [0.1, 0.2, 0.3]),
        "2 classes are told apart, but 3 are named: 'a'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(name):
    from matplotlib import pyplot

    act, sentence = REFUSED[name]
    before = pyplot.get_fignums()
    with pytest.raises(ValueError, match=sentence):
        act()
    assert pyplot.get_fignums() == before
