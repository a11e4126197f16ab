"""Every loss against formulas written out here: published definitions, exact arithmetic, kinks, ends of the range.

The tables' own texts take no part. What is measured is the kernel, through one layer whose net input is its input.
"""

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES
from reference import complex_step
from refusals import every, inf, nan, refuses, zeros

import cbp


def net(n=1, output="identity", dtype="float64", loss="mean_squared_error"):
    """n outputs, each the activation of its own input."""
    made = cbp.Network([n, cbp.Dense(n, output)], loss=loss, dtype=dtype, seed=0)
    made.layers[0].W[:] = np.eye(n)
    made.layers[0].b[:] = -0.0
    return made


def cost_and_slope(loss, z, y, dtype="float64", output="identity"):
    """C and dC/dz of every row of z (m, n) for targets y."""
    made = net(np.shape(z)[1], output, dtype, loss)
    z, y = np.array(z, dtype), np.array(y, dtype)
    costs = [made.loss(row, target) for row, target in zip(z, y, strict=True)]
    made.forward(z)
    made.backward(y)
    return np.array(costs), np.array(made.deltas[1])


# ---- definitions: C of one sample (n,), as Keras 3, PyTorch 2 and scikit-learn define the mean over the outputs ----


def log_cosh(a, y):
    return np.log(np.cosh(a - y)).mean()


def huber(a, y, delta=1.0):
    """torch.nn.functional.huber_loss."""
    e = a - y
    size = np.where(e > 0, e, -e)
    return np.where(size < delta, e * e / 2, delta * (size - delta / 2)).mean()


def pinball(a, y, tau=0.5):
    """sklearn.metrics.mean_pinball_loss: tau of what the target is above, 1 - tau of what it is below."""
    above = y - a
    return np.where(above > 0, tau * above, (tau - 1) * above).mean()


def smoothed(z, y, label_smoothing=0.0):
    """torch.nn.functional.cross_entropy with label_smoothing."""
    soft = (1 - label_smoothing) * y + label_smoothing / len(y)
    return -(soft * (z - np.log(np.exp(z).sum()))).sum()


def focal(z, y, gamma=2.0):
    """torchvision.ops.sigmoid_focal_loss without alpha, for targets 0 and 1, summed."""
    p_t = np.where(y == 1, 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z)))
    return (-((1 - p_t) ** gamma) * np.log(p_t)).sum()


def hinge(a, y):
    """keras.losses.hinge."""
    margin = 1 - y * a
    return np.where(margin > 0, margin, 0).mean()


def log_poisson(a, y):
    """torch.nn.functional.poisson_nll_loss with log_input."""
    return (np.exp(a) - y * a).mean()


def poisson(z, y):
    """torch.nn.functional.poisson_nll_loss of e^z without log_input, its eps 0."""
    a = np.exp(z)
    return (a - y * np.log(a)).mean()


def log_likelihood(z, y):
    """torch.nn.functional.nll_loss after log_softmax, for one row."""
    return -(y * (z - np.log(np.exp(z).sum()))).sum()


def gaussian(z, y, eps=1e-6):
    """torch.nn.functional.gaussian_nll_loss, the mean over the targets; n means, then n variances."""
    mean, variance = z[: len(y)], np.log(1 + np.exp(z[len(y) :]))
    variance = np.where(variance < eps, eps, variance)
    return ((np.log(variance) + (mean - y) ** 2 / variance) / 2).mean()


ANY, COUNTS, SIGNS, BITS = [-1.7, 0.3, 2.2], [0.0, 1.0, 7.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 1.0]
DEFINITIONS = {
    "mean_squared_error": (lambda a, y: ((a - y) ** 2).mean(), ANY, {}, "identity"),
    "mean_absolute_error": (lambda a, y: np.where(a > y, a - y, y - a).mean(), ANY, {}, "identity"),
    "huber": (huber, ANY, {"delta": 0.75}, "identity"),
    "log_cosh": (log_cosh, ANY, {}, "identity"),
    "quantile": (pinball, ANY, {"tau": 0.9}, "identity"),
    "log_poisson": (log_poisson, COUNTS, {}, "identity"),
    "poisson": (poisson, COUNTS, {}, "exp"),
    "gaussian_nll": (gaussian, ANY, {"eps": 0.25}, ["identity"] * 3 + ["softplus"] * 3),
    "negative_log_likelihood": (log_likelihood, [0.0, 1.0, 0.0], {}, "log_softmax"),
    "hinge": (hinge, SIGNS, {}, "identity"),
    "focal": (focal, BITS, {"gamma": 1.5}, "sigmoid"),
    "categorical_cross_entropy": (smoothed, [0.0, 1.0, 0.0], {"label_smoothing": 0.1}, "softmax"),
}


def test_every_loss_but_the_book_s_is_defined_here():
    assert set(cbp.losses) - set(DEFINITIONS) == {"half_squared_error", "binary_cross_entropy"}


@pytest.mark.parametrize("default", [True, False], ids=["default", "argument"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_cost_and_slope_are_the_definition_s(name, default):
    formula, y, args, output = DEFINITIONS[name]
    args = {} if default else args
    z, y = np.random.default_rng(40).normal(0, 2, (200, 3 if isinstance(output, str) else len(output))), np.array(y)
    costs, slopes = cost_and_slope(cbp.losses[name](**args), z, np.tile(y, (200, 1)), output=output)
    np.testing.assert_allclose(costs, [formula(row, y, **args) for row in z], rtol=1e-12, atol=1e-14)
    want = [complex_step(lambda point: formula(point, y, **args), row) for row in z]
    np.testing.assert_allclose(slopes, want, rtol=1e-9, atol=1e-12)


# ---- digits: against exact arithmetic, over the whole range ----


def exact_log_cosh(e):
    """log cosh e and tanh e, e >= 0 a Decimal."""
    if e > 1000:
        return e - Decimal(2).ln(), Decimal(1)
    up, down = e.exp(), (-e).exp()
    return ((up + down) / 2).ln(), (up - down) / (up + down)


@cache
def exact_logarithms(z):
    """a = 1 / (1 + exp(-z)), b = 1 - a and the logarithms of both, all Decimals."""
    a, b = 1 / (1 + (-z).exp()), 1 / (1 + z.exp())
    return a, b, a.ln(), b.ln()


@cache
def exact_focal_by_target(z, gamma):
    """C and its derivative by z for the target 1, and for 0, all Decimals."""
    a, b, log_a, log_b = exact_logarithms(z)
    hard_a, hard_b = (gamma * log_b).exp(), (gamma * log_a).exp()
    up, down = hard_b * (a - gamma * b * log_b), hard_a * (b - gamma * a * log_a)
    return (-hard_a * log_a, -down), (-hard_b * log_b, up)


def exact_focal(z, y, gamma):
    """C and its derivative by z, all Decimals."""
    one, zero = exact_focal_by_target(z, gamma)
    return [y * at_one + (1 - y) * at_zero for at_one, at_zero in zip(one, zero, strict=True)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_cosh_keeps_its_digits(dtype):
    e = np.concatenate([10.0 ** np.arange(-15, 30, 0.25), np.linspace(0.5, 1.5, 101)]).astype(dtype)
    e = np.concatenate([e, -e])[:, None]
    costs, slopes = cost_and_slope("log_cosh", e, np.zeros_like(e), dtype)
    with localcontext(prec=80):
        want = np.array([exact_log_cosh(abs(Decimal(float(x)))) for x in e[:, 0]], float)
    want[:, 1] *= np.sign(e[:, 0])
    bound = {"rtol": 8 * np.finfo(dtype).eps, "atol": np.finfo(dtype).tiny}
    np.testing.assert_allclose(np.column_stack([costs, slopes]), want, **bound)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_focal_keeps_its_digits(dtype, gamma):
    z = np.concatenate([np.linspace(-80, 80, 81), [1e-20, -1e-20]]).astype(dtype)
    z, y = np.tile(z, 3)[:, None], np.repeat([0, 0.25, 1], len(z))[:, None]
    costs, slopes = cost_and_slope(cbp.losses.focal(gamma), z, y, dtype, "sigmoid")
    with localcontext(prec=160):
        rows = zip(*(map(Decimal, column[:, 0].tolist()) for column in (z, y)), strict=True)
        want = np.array([exact_focal(*row, Decimal(gamma)) for row in rows], float)
    bound = {"rtol": (8 + 80 * gamma) * np.finfo(dtype).eps, "atol": np.finfo(dtype).tiny}
    np.testing.assert_allclose(np.column_stack([costs, slopes]), want, **bound)


@pytest.mark.parametrize("dtype", DTYPES)
def test_focal_is_stable_out_to_the_largest_number(dtype):
    largest = float(np.finfo(dtype).max) / 4
    costs, slopes = cost_and_slope(
        "focal", [[z] for z in (largest, largest, -largest, -largest)], [[0], [1]] * 2, dtype, "sigmoid"
    )
    assert costs.tolist() == [largest, 0, 0, largest]
    assert slopes.ravel().tolist() == [1, 0, 0, -1]


def test_focal_without_focus_is_binary_cross_entropy():
    z, y = np.linspace(-30, 30, 121)[:, None], np.repeat([[0.0], [0.4], [1.0]], 121, axis=0)[::3]
    focused = cost_and_slope(cbp.losses.focal(gamma=0), z, y, output="sigmoid")
    plain = cost_and_slope("binary_cross_entropy", z, y, output="sigmoid")
    np.testing.assert_allclose(np.column_stack(focused), np.column_stack(plain), rtol=1e-13, atol=1e-15)


# ---- kinks, signs, ends of the range ----

KINKS = {
    "mean_absolute_error": ("mean_absolute_error", [[1.0, 1.0]], [[1.0, 0.0]], [0, 0.5]),
    "quantile": (cbp.losses.quantile(0.25), [[1.0, 0.0]], [[1.0, 1.0]], [0, -0.125]),
    "huber": ("huber", [[1.0, -1.0]], [[0.0, 0.0]], [0.5, -0.5]),
    "hinge": ("hinge", [[1.0, -1.0]], [[1.0, -1.0]], [0, 0]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "a", "y", "slope"), KINKS.values(), ids=KINKS)
def test_slope_at_a_kink(loss, a, y, slope, dtype):
    assert cost_and_slope(loss, a, y, dtype)[1].tolist() == [slope]


def test_hinge_counts_zero_as_minus_one():
    a = np.random.default_rng(41).normal(size=(9, 2))
    y = np.random.default_rng(42).choice([0.0, 1.0], (9, 2))
    zeros_and_ones, signs = cost_and_slope("hinge", a, y), cost_and_slope("hinge", a, 2 * y - 1)
    assert [part.tobytes() for part in zeros_and_ones] == [part.tobytes() for part in signs]


BOUNDED = ["mean_absolute_error", "huber", "log_cosh", "quantile", "hinge"]


@pytest.mark.parametrize("name", BOUNDED)
@each_of("dtype", DTYPES)
def test_no_overflow_before_the_cost_itself(name, dtype):
    largest = float(np.finfo(dtype).max) / 4
    costs, slopes = cost_and_slope(name, [[largest], [-largest]], [[1.0], [1.0]], dtype)
    assert np.isfinite(costs).all()
    assert (np.abs(slopes) <= 1).all()


@pytest.mark.parametrize("name", [name for name, row in cbp.losses.items() if not row.head])
def test_nan_costs_nan(name):
    made = net(2, loss=name)
    made.layers[0].b[:] = nan
    y = [1.0, 0.0][: made._spec.n_targets]
    assert math.isnan(made.loss([0.0, 0.0], y))
    made.layers[0].b[:] = [0, nan]
    assert math.isnan(made.loss([0.0, 0.0], [1.0] if len(y) == 1 else [0.0, 1.0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_label_smoothing_of_labels_and_of_rows_is_the_same(dtype):
    made = net(4, "softmax", dtype, cbp.losses.categorical_cross_entropy(label_smoothing=0.2))
    X, labels = np.random.default_rng(43).normal(size=(6, 4)).astype(dtype), np.arange(6) % 4
    assert made.gradient(X, labels) == made.gradient(X, np.eye(4)[labels])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_smoothing_leaves_every_bit(dtype):
    z, y = np.random.default_rng(44).normal(0, 3, (50, 5)).astype(dtype), np.eye(5, dtype=dtype)[np.arange(50) % 5]
    y[3] = [-0.0, 1, 0, -0.0, 0]
    made = net(5, "softmax", dtype, "categorical_cross_entropy")
    a = made.forward(z)
    made.backward(y)
    assert np.array(made.deltas[1]).tobytes() == (a - y).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_likelihood_of_log_softmax_is_the_cross_entropy(dtype):
    z, labels = np.random.default_rng(45).normal(0, 4, (300, 5)).astype(dtype), np.arange(300) % 5
    likelihood = net(5, "log_softmax", dtype, "negative_log_likelihood")
    entropy = net(5, "softmax", dtype, "categorical_cross_entropy")
    assert likelihood.gradient(z, labels) == entropy.gradient(z, labels)
    bound = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(likelihood.deltas[1], entropy.deltas[1], rtol=0, atol=bound)
    np.testing.assert_array_equal(likelihood.predict(z).argmax(axis=1), z.argmax(axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_variance_below_the_least_counts_as_that_and_has_no_slope(dtype):
    made = net(2, "identity", dtype, cbp.losses.gaussian_nll(eps=0.5))
    for variance in (0.5, 0.25, 0.0, -3.0):
        assert made.gradient([1.0, variance], 3.0) == pytest.approx((math.log(0.5) + 4 / 0.5) / 2, rel=1e-6)
        assert made.deltas[1].tolist() == [[-2 / 0.5, 0]]
    made.gradient([1.0, 0.75], 3.0)
    np.testing.assert_allclose(made.deltas[1], [[-2 / 0.75, (1 / 0.75 - 4 / 0.75**2) / 2]], rtol=1e-6)


def test_mean_and_variance_are_found():
    y = np.random.default_rng(46).normal(3, 0.5, 500)
    made = cbp.Network([1, 2], loss="gaussian_nll", dtype="float64", seed=0)
    made.fit(np.zeros((500, 1)), y, epochs=800, batch_size=500, optimizer=cbp.optimizers.Adam(0.05), progress=False)
    np.testing.assert_allclose(made.predict([0.0]), [y.mean(), y.var()], rtol=1e-5)


def test_pairs_have_identity_and_then_softplus():
    rows = cbp.Network([3, 4, 6], activation="tanh", loss="gaussian_nll", seed=0).layers[1].activation
    assert list(map(str, rows)) == ["identity"] * 3 + ["softplus"] * 3
    given = cbp.Network([3, cbp.Dense(2, ["identity", "exp"])], loss="gaussian_nll", seed=0)
    assert str(given) == "Network(3 > 2 [identity, exp], gaussian_nll, float32): 8 parameters"


# ---- arguments and targets: what is refused, in which words ----


def targets(loss, y, output="identity"):
    return lambda: cbp.Network([2, 1], output=output, loss=loss, seed=0).loss(zeros(2, 2), y)


ARGUMENTS = {
    "huber": (
        lambda: cbp.losses.huber(delta=0),
        ValueError,
        "huber's delta must be at least 1.17549e-38, not 0",
    ),
    "quantile": (lambda: cbp.losses.quantile(1.5), ValueError, "quantile's tau must be from 0 to 1, not 1.5"),
    "quantile below": (lambda: cbp.losses.quantile(-1), ValueError, "quantile's tau must be from 0 to 1, not -1"),
    "gaussian_nll": (
        lambda: cbp.losses.gaussian_nll(eps=0),
        ValueError,
        "gaussian_nll's eps must be at least 1.17549e-38, not 0",
    ),
    "focal": (lambda: cbp.losses.focal(gamma=-2), ValueError, "focal's gamma must be at least 0, not -2"),
    "smoothing": (
        lambda: cbp.losses.categorical_cross_entropy(label_smoothing=2),
        ValueError,
        "categorical_cross_entropy's label_smoothing must be from 0 to 1, not 2",
    ),
    "no number": (lambda: cbp.losses.huber("wide"), TypeError, "huber's delta must be a number, not 'wide'"),
    "not finite": (lambda: cbp.losses.focal(inf), ValueError, "focal's gamma must be finite, not inf"),
    "none to give": (
        lambda: cbp.losses.log_cosh(2),
        TypeError,
        "log_cosh takes 0 arguments, 1 were given",
    ),
    "in C": (
        lambda: cbp._core.Plan("float32", 1, [(1, "identity", 0.0)], "huber", -1.0),
        ValueError,
        "the argument of the loss is out of its range",
    ),
    "nan in C": (
        lambda: cbp._core.Plan("float32", 1, [(1, "identity", 0.0)], "quantile", nan),
        ValueError,
        "the argument of the loss is out of its range",
    ),
}
TARGETS = {
    "log_poisson": (
        targets("log_poisson", [3, -1]),
        ValueError,
        "y[1] is -1, but log_poisson needs targets of at least 0",
    ),
    "hinge": (targets("hinge", [1, 2]), ValueError, "y[1] is 2, but hinge needs targets from -1 to 1"),
    "focal": (targets("focal", [-1, 1], "sigmoid"), ValueError, "y[0] is -1, but focal needs targets from 0 to 1"),
    "focal without its output": (
        targets("focal", [0, 1]),
        ValueError,
        "the loss focal needs the output activation sigmoid; the output is 1 identity",
    ),
    "poisson": (targets("poisson", [3, -1], "exp"), ValueError, "y[1] is -1, but poisson needs targets of at least 0"),
    "poisson without its output": (
        targets("poisson", [0, 1]),
        ValueError,
        "the loss poisson needs the output activation exp; the output is 1 identity",
    ),
    "no distribution": (
        lambda: cbp.Network([2, 2], output="log_softmax", seed=0).loss(zeros(2, 2), [[0, 1], [1.0, 0.5]]),
        ValueError,
        "row 1 of y is no distribution over the classes: it needs values from 0 that sum to 1",
    ),
    "odd": (
        targets("gaussian_nll", [0, 1]),
        ValueError,
        "the loss gaussian_nll needs an even number of outputs, means and then variances; the output is 1 identity",
    ),
    "as many as outputs": (
        lambda: cbp.Network([2, 4], loss="gaussian_nll", seed=0).loss(zeros(2, 2), zeros(2, 4)),
        ValueError,
        "y has shape (2, 4), the network expects (2, 2)",
    ),
    "nan": (targets("log_poisson", [0, nan]), ValueError, "y[1] is nan"),
    "inf": (targets("log_poisson", [0, inf]), ValueError, "y[1] is inf"),
}


@every({"argument": ARGUMENTS, "targets": TARGETS})
def test_refusal(act, error, sentence):
    refuses(act, error, sentence)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "good", "bad"), [("log_poisson", 3, -1), ("hinge", -1, -1.5), ("hinge", 1, 7)])
def test_the_short_way_refuses_the_same_targets(loss, good, bad, dtype):
    made = cbp.Network([2, 1], output="identity", loss=loss, dtype=dtype, seed=0)
    X, y = np.zeros((3, 2), dtype), np.full((3, 1), good, dtype)
    made.train_step(X, y, 0.1)
    y[1] = bad
    with pytest.raises(ValueError, match=f"is {bad:g}, but {loss} needs targets"):
        made.train_step(X, y, 0.1)


# ---- they are learned with, kept and described ----


@pytest.mark.parametrize("name", [name for name, row in cbp.losses.items() if not row.head])
def test_it_is_learned_with(name):
    row, x = cbp.losses[name], np.linspace(-1, 1, 40)[:, None]
    y = np.round(2 + 2 * x) if row.targets[0] == 0 else np.sign(x + 0.01)
    output, units = "identity", 2 if row.pair else 1
    if cbp.activations[row.partner].row_wise:
        y, output, units = np.hstack([x > 0, x <= 0]), row.partner, 2
    output = None if row.pair else output
    last = cbp.Dense(units, output)
    made = cbp.Network([1, 8, last], activation="tanh", loss=name, dtype="float64", seed=1)
    history = made.fit(x, y, epochs=60, batch_size=8, optimizer="adam", progress=False)
    assert history.loss[-1] < history.loss[0]


def test_quantiles_are_found():
    y = np.arange(1, 101.0)
    made = net(loss=cbp.losses.quantile(0.8))
    made.params[:] = 0
    made.fit(np.zeros((100, 1)), y, epochs=400, batch_size=100, optimizer=cbp.optimizers.SGD(1.0), progress=False)
    assert made.predict([0.0])[0] == pytest.approx(80, abs=1.5)


def test_argument_is_kept(tmp_path):
    made = cbp.Network([2, 1], output="identity", loss=cbp.losses.huber(delta=0.5), seed=0)
    assert made.get_config()["loss"] == {"name": "huber", "delta": 0.5}
    made.save(tmp_path / "huber.npz")
    assert cbp.load(tmp_path / "huber.npz") == made
    assert "huber(delta=0.5)" in str(made)


@pytest.mark.parametrize("loss", ["focal", "hinge"])
def test_accuracy_is_validated(loss):
    x = np.linspace(-1, 1, 30)[:, None]
    made = cbp.Network([1, 1], output="sigmoid" if loss == "focal" else "identity", loss=loss, seed=0)
    history = made.fit(x, x > 0, epochs=200, optimizer=cbp.optimizers.Adam(0.1), validation=(x, x > 0), progress=False)
    assert history.val_accuracy[-1] > 0.9
