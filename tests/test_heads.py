"""Output layers in parts, and missing targets: against the mathematics written out here, and plain networks."""

import copy
import json
import pickle

import numpy as np
import pytest
from helpers import DTYPES
from reference import complex_step
from refusals import every, inf, nan, refuses, zeros

import cbp
from cbp import Head

PARTS = [
    Head(3, "softmax"),
    Head(2, "identity", "huber", weight=0.5),
    Head(4, loss=cbp.losses.gaussian_nll(eps=1e-3), weight=0.25),
    Head(1, "sigmoid"),
    Head(2, "log_softmax", weight=3),
]


def network(heads=PARTS, dtype="float64", **kwargs):
    units = sum(head.units for head in heads)
    return cbp.Network([4, 6, units], activation="tanh", heads=heads, dtype=dtype, seed=3, **kwargs)


def data(m=9, dtype="float64"):
    """Inputs, and the targets of PARTS one by one."""
    rng = np.random.default_rng(50)
    parts = (
        rng.integers(0, 3, m),
        rng.normal(0, 2, (m, 2)).astype(dtype),
        rng.normal(0, 1, (m, 2)).astype(dtype),
        rng.integers(0, 2, m).astype(dtype),
        rng.integers(0, 2, m),
    )
    return rng.normal(0, 1, (m, 4)).astype(dtype), parts


def side_by_side(parts, dtype="float64"):
    labels, numbers, means, bits, others = parts
    return np.hstack([np.eye(3)[labels], numbers, means, bits[:, None], np.eye(2)[others]]).astype(dtype)


# ---- the definition, in NumPy that knows nothing of cbp; fit for complex steps ----


def log_softmax(z):
    shifted = z - z.real.max()
    return shifted - np.log(np.exp(shifted).sum())


def huber_terms(a, y):
    size = np.where((a - y).real > 0, a - y, y - a)
    return np.where(size.real < 1, size**2 / 2, size - 0.5)


def gaussian_terms(mean, spread, y, eps):
    variance = np.log(1 + np.exp(spread))
    variance = np.where(variance.real < eps, eps, variance)
    return (np.log(variance) + (mean - y) ** 2 / variance) / 2


def sigmoid_terms(z, y):
    return np.log(1 + np.exp(z)) - y * z


def cost_of_row(z, y):
    """C of one row of net inputs (12,) and targets (10,) of PARTS; NaN targets are left out, n stays."""
    terms = (
        (1, -y[:3] * log_softmax(z[:3])),
        (0.5, huber_terms(z[3:5], y[3:5]) / 2),
        (0.25, gaussian_terms(z[5:7], z[7:9], y[5:7], 1e-3) / 2),
        (1, sigmoid_terms(z[9:10], y[7:8])),
        (3, -y[8:] * log_softmax(z[10:])),
    )
    return sum(weight * np.where(np.isnan(part), 0, part).sum() for weight, part in terms)


def objective(theta, X, y):
    first, last = theta[: 5 * 6].reshape(5, 6), theta[5 * 6 :].reshape(7, 12)
    z = last[0] + np.tanh(first[0] + X @ first[1:]) @ last[1:]
    return sum(cost_of_row(*row) for row in zip(z, y, strict=True)) / len(X)


def agrees(made, X, parts, y):
    loss = made.gradient(X, parts)
    assert loss == pytest.approx(objective(made.params, X, y), rel=1e-13)
    want = complex_step(lambda theta: objective(theta, X, y), made.params.copy())
    np.testing.assert_allclose(made.grad, want, rtol=1e-9, atol=1e-12)


def test_cost_and_gradient_are_the_weighted_sum_of_the_heads():
    X, parts = data()
    made = network()
    agrees(made, X, parts, side_by_side(parts))
    assert cbp.gradcheck(made, X, parts).max_error < 1e-9


def test_outputs_are_those_of_each_head():
    X, _ = data()
    made = network()
    z = np.tanh(made.layers[0].b + X @ made.layers[0].W) @ made.layers[1].W + made.layers[1].b
    outputs = made.predict(X)
    np.testing.assert_allclose(outputs[:, :3], np.exp([log_softmax(row) for row in z[:, :3]]), rtol=1e-12)
    np.testing.assert_allclose(outputs[:, 3:7], z[:, 3:7], rtol=1e-12)
    np.testing.assert_allclose(outputs[:, 7:9], np.log1p(np.exp(z[:, 7:9])), rtol=1e-12)
    np.testing.assert_allclose(outputs[:, 9], 1 / (1 + np.exp(-z[:, 9])), rtol=1e-12)
    np.testing.assert_allclose(outputs[:, 10:], [log_softmax(row) for row in z[:, 10:]], rtol=1e-12)
    assert outputs[0].tobytes() == made.predict(X[0]).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("output", "loss"),
    [("softmax", None), ("identity", "huber"), ("sigmoid", "focal"), (["tanh", "relu", "tanh"], None)],
    ids=str,
)
def test_one_head_is_the_plain_network(output, loss, dtype):
    X, y = data(dtype=dtype)[0], np.eye(3, dtype=dtype)[np.arange(9) % 3]
    plain = cbp.Network([4, 6, cbp.Dense(3, output)], loss=loss, dtype=dtype, seed=3)
    one = cbp.Network([4, 6, 3], heads=[Head(3, output, loss)], dtype=dtype, seed=3)
    for made in (plain, one):
        made.fit(X, y, epochs=3, batch_size=4, progress=False)
        made.fit(X, y, epochs=2, batch_size=1, optimizer="sgd", progress=False)
    assert plain.params.tobytes() == one.params.tobytes()
    assert plain.loss(X, y) == one.loss(X, y)


def test_two_heads_with_one_loss_of_sums_are_the_plain_network():
    X, y = data()[0], data()[1][1]
    plain = cbp.Network([4, 6, 2], output="identity", dtype="float64", seed=3)
    two = cbp.Network([4, 6, 2], heads=[Head(1, "identity"), Head(1, "identity")], dtype="float64", seed=3)
    assert plain.gradient(X, y) == pytest.approx(two.gradient(X, y), rel=1e-15)
    assert plain.grad.tobytes() == two.grad.tobytes()


# ---- targets in parts, labels ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_in_parts_are_the_matrix(dtype):
    X, parts = data(dtype=dtype)
    y = side_by_side(parts, dtype)
    made = network(dtype=dtype)
    losses = {
        made.loss(X, given) for given in (y, y.tolist(), parts, list(parts), tuple(map(np.ndarray.tolist, parts)))
    }
    assert len(losses) == 1
    one = tuple(part[0] for part in parts)
    assert made.train_step(X[0], one, 0) == made.train_step(X[:1], y[:1], 0) == made.loss(X[0], y[0])


def test_it_is_trained_with_targets_in_parts():
    X, parts = data(40)
    made, same = network(), network()
    history = made.fit(X, parts, epochs=20, batch_size=8, validation=0.25, progress=False)
    assert history.loss[-1] < history.loss[0]
    assert {"val_loss"} == {name for name in history if name.startswith("val_")}
    same.fit(X, side_by_side(parts), epochs=20, batch_size=8, validation=(X, parts), progress=False)
    assert made.epoch == same.epoch == 20
    assert made.partial_fit([(X[:8], tuple(part[:8] for part in parts))]) > 0


def test_a_metric_of_ones_own_sees_all_heads():
    X, parts = data()

    def shapes(y, outputs):
        return 1000 * y.shape[1] + outputs.shape[1]

    assert network().fit(X, parts, epochs=1, metrics=shapes, progress=False).shapes == [10012]


# ---- description, copies, files ----


def test_tuples_of_slices_are_heads():
    by_slice = cbp.Network(
        [4, 6, 5], heads=[(slice(0, 3), "softmax"), ((3, 5), "identity", "huber", 0.5)], dtype="float64", seed=3
    )
    by_name = cbp.Network([4, 6, 5], heads=PARTS[:2], dtype="float64", seed=3)
    assert by_slice == by_name
    assert str(by_slice) == (
        "Network(4 > 6 sigmoid > 3 softmax + 2 identity, categorical_cross_entropy + 0.5 huber, float64): 65 parameters"
    )


def test_it_is_kept_whole(tmp_path):
    X, parts = data()
    made = network(missing_targets=True)
    made.fit(X, parts, epochs=1, progress=False)
    made.save(tmp_path / "heads.npz")
    config = json.loads(json.dumps(made.get_config()))
    again = cbp.Network.from_config(config)
    again.params[:] = made.params
    for other in (made.copy(), pickle.loads(pickle.dumps(made)), copy.deepcopy(made), again):
        assert other == made
        assert other.loss(X, parts) == made.loss(X, parts)
    assert cbp.load(tmp_path / "heads.npz") == made
    assert made != network()


def test_description_of_a_head():
    head = Head(4, loss="gaussian_nll", weight=2)
    assert repr(head) == "Head(4, loss='gaussian_nll', weight=2)"
    assert repr(Head(2, "tanh")) == "Head(2, 'tanh')"
    assert Head(**head.config()) == head
    assert len({head, Head(**head.config()), Head(4)}) == 2


def test_the_network_s_output_is_the_default_of_a_head():
    made = cbp.Network([2, 3], output="softplus", heads=[Head(1), Head(2, "tanh")], seed=0)
    assert str(made).startswith("Network(2 > 1 softplus + 2 tanh, half_squared_error + half_squared_error")


# ---- missing targets ----


def test_missing_targets_are_left_out_of_cost_and_gradient():
    X, parts = data()
    y = side_by_side(parts)
    rows, columns = [0, 1, 2, 2, 4, 5, 5], [3, 5, 6, 4, 7, 3, 4]
    y[rows, columns] = nan
    y[1, :3] = y[7, :3] = y[8, 8:] = nan
    y[6] = nan
    made = network(missing_targets=True)
    agrees(made, X, y, y)
    assert not made.deltas[2][6].any()
    assert not made.deltas[2][1, [0, 1, 2, 5, 7]].any()
    assert made.deltas[2][1, [3, 4, 6, 8]].all()
    assert cbp.gradcheck(made, X, y).max_error < 1e-9


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["half_squared_error", "mean_absolute_error", "quantile"])
def test_the_gradient_is_that_of_the_targets_that_are_there(loss, dtype):
    """Two outputs that share no weight: each learns as if its own samples were all there are."""
    X, y = data(dtype=dtype)[0], data(dtype=dtype)[1][1]
    there = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1], [0, 1], [1, 0], [1, 1], [0, 1]], bool)
    made = cbp.Network([4, 2], output="identity", loss=loss, dtype=dtype, reduction="sum", missing_targets=True, seed=0)
    made.gradient(X, np.where(there, y, nan))
    complete = cbp.Network([4, 2], output="identity", loss=loss, dtype=dtype, reduction="sum", seed=0)
    complete.params[:] = made.params
    for j in range(2):
        known = there[:, j]
        complete.gradient(X[known], y[known])
        assert made.layers[0].grad_theta[:, j].tobytes() == complete.layers[0].grad_theta[:, j].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_missing_changes_nothing(dtype):
    X, parts = data(dtype=dtype)
    plain, careful = network(dtype=dtype), network(dtype=dtype, missing_targets=True)
    assert plain.gradient(X, parts) == careful.gradient(X, parts)
    assert plain.grad.tobytes() == careful.grad.tobytes()


def test_missing_targets_on_every_way():
    rng = np.random.default_rng(51)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    y[rng.random(y.shape) < 0.3] = nan
    made = cbp.Network([3, 5, 2], output="identity", dtype="float64", missing_targets=True, seed=0)
    same = made.copy()
    assert made.train_step(X, y, 0.1) == same.train_step(X.tolist(), y.tolist(), 0.1)  # the short way, and the friendly
    assert made == same
    history = made.fit(X, y, epochs=5, batch_size=1, optimizer="sgd", validation=(X, y), progress=False)
    assert history.loss[-1] < history.loss[0]
    assert np.isfinite(history.val_loss).all()
    one = cbp.Network([3, 1], output="sigmoid", missing_targets=True, seed=0)
    assert one.train_step(X[0], nan, 0.1) == 0
    history = one.fit(X, np.where(y[:, :1] > 0, 1, nan), epochs=1, validation=0.5, progress=False)
    assert set(history) == {"loss", "val_loss", "val_accuracy", "learning_rate", "seconds"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", ["softmax", "log_softmax"])
def test_a_missing_label_is_a_missing_row(output, dtype):
    X, labels = np.random.default_rng(52).normal(size=(4, 2)), np.array([2, nan, 0, nan], dtype)
    rows = np.where(np.isnan(labels)[:, None], nan, np.eye(3)[[2, 0, 0, 0]])
    net = cbp.Network([2, 3], output=output, missing_targets=True, dtype=dtype, seed=0)
    heads = cbp.Network([2, 5], heads=[Head(3, output), Head(2, "tanh")], missing_targets=True, dtype=dtype, seed=0)
    numbers = np.full((4, 2), 0.5)
    assert net.loss(X, labels) == net.loss(X, list(labels)) == net.loss(X, rows) < net.loss(X[::2], labels[::2])
    assert heads.loss(X, (labels, numbers)) == heads.loss(X, np.hstack([rows, numbers]))
    assert net.loss(X[1], nan) == 0


def test_a_loss_of_ones_own_gets_nan():
    seen = []

    def squares(y, a):
        seen.append(np.isnan(y).tolist())
        error = np.where(np.isnan(y), 0, a - y)
        return (error**2).sum(axis=1), 2 * error

    made = cbp.Network([1, 2], output="identity", loss=squares, missing_targets=True, dtype="float64", seed=0)
    made.gradient([[1.0], [2.0]], [[nan, 1], [0, nan]])
    assert seen == [[[True, False], [False, True]]]


# ---- what is refused ----


def soft(heads=None, units=5, **kwargs):
    """A network of these heads."""
    return lambda: cbp.Network([2, units], heads=heads, seed=0, **kwargs)


def loss(y, **kwargs):
    """The loss of a head for classes and a head for counts."""
    heads = [Head(3, "softmax"), Head(2, "identity", "log_poisson")]
    return lambda: cbp.Network([2, 5], heads=heads, seed=0, **kwargs).loss(zeros(2, 2), y)


def classes(y, output="softmax"):
    return lambda: cbp.Network([2, 3], output=output, missing_targets=True, seed=0).loss(zeros(2, 2), y)


GOOD = [Head(3, "softmax"), Head(2, "identity")]
SOFT_ROW = [1.0, 0.0, 0.0]
HEADS = {
    "too few": (soft(GOOD[:1]), ValueError, "the heads have 3 units together, the output layer has 5"),
    "no list": (
        soft("softmax"),
        TypeError,
        "heads must be a list like [cbp.Head(3, 'softmax'), cbp.Head(2, 'identity')], not 'softmax'",
    ),
    "none": (
        soft([]),
        TypeError,
        "heads must be a list like [cbp.Head(3, 'softmax'), cbp.Head(2, 'identity')], not []",
    ),
    "no head": (
        soft([GOOD[0], "tanh"]),
        TypeError,
        "head 1 must be a Head, or a tuple (slice, activation, loss, weight), not 'tanh'",
    ),
    "no slice": (
        soft([(3, "softmax")]),
        TypeError,
        "head 0 must begin with a slice like slice(0, 3), not 3",
    ),
    "gap": (
        soft([(slice(0, 2), "tanh"), (slice(3, 5), "tanh")]),
        ValueError,
        "head 1 must begin at unit 2, where the one before ends, and have units: slice(3, 5, None)",
    ),
    "a loss beside": (soft(GOOD, loss="huber"), ValueError, "the heads have losses of their own: leave loss out"),
    "an activation beside": (
        lambda: cbp.Network([2, cbp.Dense(5, "tanh")], heads=GOOD),
        ValueError,
        "the heads have the activations of the output layer: Dense(5, 'tanh') must leave its own out",
    ),
    "needs its output": (
        soft([Head(3, "softmax"), Head(2, "identity", "focal")]),
        ValueError,
        "the loss focal needs the output activation sigmoid; head 1 is 2 identity",
    ),
    "odd": (
        soft([Head(3, loss="gaussian_nll"), Head(2)]),
        ValueError,
        "the loss gaussian_nll needs an even number of outputs, means and then variances; "
        "head 0 is 3 [identity, identity, softplus]",
    ),
    "weight": (lambda: Head(1, weight=0), ValueError, "the weight of a head must be greater than 0, not 0"),
    "no weight": (lambda: Head(1, weight="2"), TypeError, "the weight of a head must be a number, not '2'"),
    "a function": (
        lambda: Head(1, loss=max),
        TypeError,
        f"a head takes a loss of the table: one of your own, {max!r}, is for networks without heads",
    ),
    "units": (lambda: Head(0), ValueError, "the number of units must be from 1 to 2147483647, not 0"),
}
TARGETS = {
    "shape": (
        loss(zeros(2, 4)),
        ValueError,
        "y has shape (2, 4), the network expects (2, 5); or a tuple with the targets of each head",
    ),
    "parts": (loss(([0, 1],)), ValueError, "y has targets for 1 heads, the network has 2"),
    "label": (
        loss(([0, 3], zeros(2, 2))),
        ValueError,
        "y[0][1] is 3, but the head has 3 classes (0 to 2)",
    ),
    "part's shape": (loss(([0, 1], zeros(2, 3))), ValueError, "y[1] has shape (2, 3), the head expects (2, 2)"),
    "part's range": (
        loss(([0, 1], [[0, 1], [2, -1]])),
        ValueError,
        "y[1][1, 1] is -1, but log_poisson needs targets of at least 0",
    ),
    "range": (
        loss([[*SOFT_ROW, 0, 1], [*SOFT_ROW, -2, 1]]),
        ValueError,
        "y[:, 3:5][1, 0] is -2, but log_poisson needs targets of at least 0",
    ),
    "distribution": (
        loss([[*SOFT_ROW, 0, 1], [1.0, 1, 0, 2, 1]]),
        ValueError,
        "row 1 of y[:, 0:3] is no distribution over the classes: it needs values from 0 that sum to 1",
    ),
    "nan": (loss([[*SOFT_ROW, 0, nan]] * 2), ValueError, "y[0, 4] is nan"),
}
MISSING = {
    "inf": (loss([[*SOFT_ROW, nan, inf]] * 2, missing_targets=True), ValueError, "y[0, 4] is inf"),
    "range": (
        loss([[*SOFT_ROW, nan, 1], [nan, nan, nan, 1, -1]], missing_targets=True),
        ValueError,
        "y[:, 3:5][1, 1] is -1, but log_poisson needs targets of at least 0",
    ),
    "half a row": (
        classes([SOFT_ROW, [0, nan, 1]]),
        ValueError,
        "row 1 of y is missing in part: a distribution is there or not",
    ),
    "half a row of logarithms": (
        classes([[nan, 1, 0], SOFT_ROW], "log_softmax"),
        ValueError,
        "row 0 of y is missing in part: a distribution is there or not",
    ),
    "negative": (
        classes([[nan] * 3, [2, -1, 0]]),
        ValueError,
        "row 1 of y is no distribution over the classes: it needs values from 0 that sum to 1",
    ),
    "a label that is none": (
        classes([nan, 0.5]),
        ValueError,
        "y must have whole numbers as class labels, and NaN where one is missing",
    ),
    "a label out of range": (classes([nan, 3]), ValueError, "y[1] is 3, but the network has 3 classes (0 to 2)"),
    "class_weight": (
        lambda: cbp.Network([2, 3], output="softmax", missing_targets=True).fit(
            zeros(2, 2), [1, nan], class_weight="balanced"
        ),
        ValueError,
        "class_weight needs the class of every row, that of row 1 is missing",
    ),
    "not asked for": (
        lambda: cbp.Network([2, 1], seed=0).loss(zeros(2, 2), [nan, 1]),
        ValueError,
        "y[0] is nan",
    ),
    "inputs": (
        lambda: cbp.Network([2, 1], missing_targets=True, seed=0).loss([[0, nan]], [nan]),
        ValueError,
        "X[0, 1] is nan",
    ),
}
OTHERS = {
    "class_weight": (
        lambda: network().fit(*data(), class_weight="balanced"),
        ValueError,
        "class_weight needs an output of one part, the network has 5 heads",
    ),
    "metric": (
        lambda: network().fit(*data(), metrics="accuracy"),
        ValueError,
        "the metric 'accuracy' knows nothing of heads, or of variances: give a function of your own",
    ),
    "metric of pairs": (
        lambda: cbp.Network([2, 2], loss="gaussian_nll", seed=0).fit(zeros(3, 2), zeros(3), metrics="r2"),
        ValueError,
        "the metric 'r2' knows nothing of heads, or of variances: give a function of your own",
    ),
}


@every({"heads": HEADS, "targets": TARGETS, "missing": MISSING, "elsewhere": OTHERS})
def test_refusal(act, error, sentence):
    refuses(act, error, sentence)
