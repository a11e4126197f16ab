"""Metrics: against scikit-learn's and by hand, and as figures of a training."""

import numpy as np
import pytest

import cbp
from cbp import metrics

RNG = np.random.default_rng(80)
NUMBERS = RNG.normal(0, 3, (50, 2))
GUESSES = NUMBERS + RNG.normal(0, 1, (50, 2))
TRUTH = (RNG.uniform(size=(60, 3)) < 0.4).astype(float)
CHANCES = np.clip(0.6 * TRUTH + RNG.uniform(0, 0.6, (60, 3)), 0, 1)
LABELS = RNG.integers(0, 4, 70)
SCORES = np.eye(4)[LABELS] + RNG.uniform(0, 1.5, (70, 4))


def test_regression_figures_are_scikit_learns():
    sk = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    for name, theirs in [
        ("mean_squared_error", sk.mean_squared_error),
        ("root_mean_squared_error", sk.root_mean_squared_error),
        ("mean_absolute_error", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ]:
        assert getattr(metrics, name)(NUMBERS[:, :1], GUESSES[:, :1]) == pytest.approx(
            theirs(NUMBERS[:, 0], GUESSES[:, 0]), rel=1e-13
        )
    assert metrics.r2(NUMBERS, GUESSES) == pytest.approx(sk.r2_score(NUMBERS, GUESSES), rel=1e-13)
    assert metrics.mean_squared_error(NUMBERS, GUESSES) == pytest.approx(sk.mean_squared_error(NUMBERS, GUESSES))


def test_classification_figures_are_scikit_learns():
    sk = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    truth, said = TRUTH.ravel(), CHANCES.ravel() >= 0.5
    for name, theirs in [("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)]:
        assert getattr(metrics, name)(TRUTH, CHANCES) == pytest.approx(theirs(truth, said), rel=1e-15)
    assert metrics.binary_accuracy(TRUTH, CHANCES) == sk.accuracy_score(truth, said)
    assert metrics.accuracy(LABELS, SCORES) == sk.accuracy_score(LABELS, SCORES.argmax(axis=1))
    assert metrics.accuracy(np.eye(4)[LABELS], SCORES) == metrics.accuracy(LABELS, SCORES)


def test_by_hand():
    y, outputs = np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[0.9], [0.5], [0.2], [0.7]])
    assert metrics.accuracy(y, outputs) == 0.5
    assert metrics.precision(y, outputs) == 2 / 3
    assert metrics.recall(y, outputs) == 2 / 3
    assert metrics.f1(y, outputs) == 4 / 6
    assert metrics.mean_squared_error(np.array([1, 0]), np.array([[0.5, 0.5], [1.0, 0.0]])) == 0.125
    nothing = np.zeros((3, 1))
    assert metrics.precision(nothing, nothing) == metrics.recall(nothing, nothing) == metrics.f1(nothing, nothing) == 0
    assert metrics.r2(nothing, nothing) == 1
    assert metrics.r2(nothing, nothing + 1) == 0


def test_missing_targets_are_left_out():
    gone = np.zeros_like(TRUTH, bool)
    gone[::3] = True
    y = np.where(gone, np.nan, TRUTH)
    for name in ("binary_accuracy", "precision", "recall", "f1", "mean_squared_error", "mean_absolute_error", "r2"):
        assert getattr(metrics, name)(y, CHANCES) == getattr(metrics, name)(TRUTH[~gone[:, 0]], CHANCES[~gone[:, 0]])
    assert metrics.accuracy([[np.nan] * 2, [0, 1]], [[1.0, 0.0], [0.0, 1.0]]) == 1
    assert metrics.mean_squared_error([[np.nan, 1]], [[1, 3]]) == 4
    assert all(np.isnan(getattr(metrics, name)([[np.nan]], [[1.0]])) for name in ("accuracy", "r2", "sign_accuracy"))
    assert np.isnan(metrics.mean_squared_error([[1.0]], [[np.nan]]))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 1), (3, 1)), ((), (1, 1))], ids=str)
def test_shapes_that_metrics_refuse(shapes):
    for name in metrics.__all__:
        with pytest.raises(ValueError, match="metrics need the targets of n rows and the outputs that predict returns"):
            getattr(metrics, name)(*map(np.ones, shapes))


def spread(y, outputs):
    """Largest distance of a target from its output."""
    return np.abs(outputs - y).max()


def test_figures_of_a_training():
    X = RNG.uniform(-1, 1, (120, 3))
    y = X.sum(axis=1, keepdims=True)
    net = cbp.Network([3, 1], output="identity", seed=81)
    history = net.fit(X, y, epochs=4, validation=(X[:30], y[:30]), metrics=["r2", spread, ("worst", spread)])
    assert list(history) == [
        *("loss", "r2", "spread", "worst", "val_loss", "val_r2", "val_spread", "val_worst"),
        *("learning_rate", "seconds"),
    ]
    outputs = net.predict(X)
    assert history.r2[-1] == metrics.r2(y.astype(net.dtype), outputs)
    assert history.spread[-1] == pytest.approx(spread(y, outputs), rel=1e-6)
    assert history.val_worst[-1] == pytest.approx(spread(y[:30], outputs[:30]), rel=1e-6)


def test_rows_of_a_map_are_measured_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(cbp._sources, "PIECE_BYTES", 300)
    X, y = RNG.uniform(-1, 1, (100, 3)), RNG.integers(0, 2, 100)
    np.save(tmp_path / "X.npy", X)
    made = []
    for data in (X, np.load(tmp_path / "X.npy", mmap_mode="r")):
        net = cbp.Network([3, 2], output="softmax", seed=82)
        made.append(net.fit(data, y, epochs=3, validation=0.2, metrics="accuracy", progress=False))
    assert made[0].accuracy == made[1].accuracy
    assert made[0].val_accuracy == made[1].val_accuracy


def test_accuracy_of_a_cross_entropy_needs_no_asking():
    X, y = RNG.uniform(-1, 1, (50, 3)), RNG.integers(0, 2, 50)
    history = cbp.Network([3, 1], output="sigmoid", seed=83).fit(X, y, epochs=2, validation=0.2, progress=False)
    assert "val_accuracy" in history
    assert "accuracy" not in history


def test_batches_are_measured_on_the_validation_alone():
    X, y = RNG.uniform(-1, 1, (20, 3)), RNG.uniform(-1, 1, (20, 1))
    net = cbp.Network([3, 1], output="identity", seed=84)
    history = net.fit([(X, y)], epochs=1, metrics="r2", validation=(X, y), progress=False)
    assert "val_r2" in history
    assert "r2" not in history


REFUSED = {
    "name": ("acuracy", ValueError, "no metric is called 'acuracy', did you mean 'accuracy'\\? there are: accuracy"),
    "thing": ([3], TypeError, "a metric is a name, a function"),
    "twice": (["r2", "r2"], ValueError, "another figure with the name 'r2'"),
    "taken": (("loss", spread), ValueError, "another figure with the name 'loss'"),
    "nameless": (lambda y, outputs: 0.0, ValueError, r"has no name to note its figures by"),
    "no number": (("none", lambda y, outputs: None), TypeError, "the metric 'none' did not return a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    wanted, error, message = REFUSED[case]
    net = cbp.Network([3, 1], output="identity", seed=85)
    with pytest.raises(error, match=message):
        net.fit(np.ones((4, 3)), np.ones(4), epochs=1, metrics=wanted, progress=False)


def test_labels_have_no_positives():
    with pytest.raises(ValueError, match="not class labels"):
        metrics.f1(LABELS, SCORES)
