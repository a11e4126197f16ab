"""cbp.diagnostics against linear regression, brute force, and the formulas of the papers written down again."""

import math

import numpy as np
import pytest
from fitting import design, linear, marquardt, solve

import cbp
from cbp import diagnostics
from cbp.diagnostics._student import quantile
from cbp.methods import _memory

RNG = np.random.default_rng(5)
X = RNG.normal(0, 1, (25, 3))
Y = X @ [1.0, -2.0, 0.5] + 3 + RNG.normal(0, 0.3, 25)
Y2 = np.column_stack([Y, X @ [0.3, 0.1, 2.0] - 1 + RNG.normal(0, 2.0, 25)])
S = RNG.uniform(0.25, 3, 25)
A = design(X)


def residuals(y, s=None, rows=A):
    """Of a linear regression."""
    s = np.ones(len(rows)) if s is None else s
    return y - rows @ np.linalg.solve(rows.T * s @ rows, rows.T * s @ y)


# ---- the parameters ----


@pytest.mark.parametrize("options", [{}, {"loss": "mean_squared_error"}, {"reduction": "sum"}, {"dtype": "float32"}])
@pytest.mark.parametrize("s", [None, S], ids=["", "weighted"])
def test_the_covariance_is_that_of_linear_regression(options, s):
    net = solve(linear(**options), X, Y, s)
    weights = np.ones(25) if s is None else s
    variance = (weights * residuals(Y, s) ** 2).sum() / 21
    expected = variance * np.linalg.inv(A.T * weights @ A)
    rtol = 1e-9 if net.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(diagnostics.covariance(net, X, Y, s), expected, rtol=rtol, atol=rtol * 1e-3)
    np.testing.assert_allclose(diagnostics.standard_errors(net, X, Y, s), np.diag(expected) ** 0.5, rtol=rtol)
    posterior = diagnostics.laplace(net, X, Y, s)
    np.testing.assert_allclose(posterior.noise, [variance**0.5], rtol=rtol)
    np.testing.assert_allclose(posterior.dof, [21], rtol=1e-9)
    assert posterior.effective_parameters == pytest.approx(4, rel=1e-12)


@pytest.mark.parametrize("loss", ["half_squared_error", "mean_squared_error"])
def test_each_output_of_a_linear_network_has_a_regression_of_its_own(loss):
    net = solve(linear(n_out=2, loss=loss), X, Y2)
    found = diagnostics.covariance(net, X, Y2).reshape(4, 2, 4, 2)
    for k in range(2):
        variance = (residuals(Y2[:, k]) ** 2).sum() / 21
        np.testing.assert_allclose(found[:, k, :, k], variance * np.linalg.inv(A.T @ A), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[:, 0, :, 1], 0, atol=1e-12)


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
def test_error_bars_do_not_depend_on_how_a_linear_network_scales(scaling):
    far, y = 1000 + 50 * X, 1e4 * Y2
    net = linear(n_out=2, scale_inputs=scaling, scale_targets=scaling)
    net.learn_scaling(far, y)
    inside = (np.asarray(v) for v in (net.input_scaling.transform(far), net.target_scaling.transform(y)))
    solve(net, *inside)
    mean, std = diagnostics.laplace(net, far, y).predict(far[:5])
    for k in range(2):
        variance = (residuals(y[:, k]) ** 2).sum() / 21
        expected = variance * (1 + np.einsum("ri,ij,rj->r", A[:5], np.linalg.inv(A.T @ A), A[:5]))
        np.testing.assert_allclose(std[:, k], expected**0.5, rtol=1e-9)
    np.testing.assert_allclose(mean, net.predict(far[:5]), rtol=1e-12)


def test_fixed_parameters_are_known():
    net, rows = linear(), A[:, [0, 1, 3]]
    net.mask = [1, 1, 0, 1]
    net.params[[0, 1, 3]] = np.linalg.lstsq(rows, Y - A[:, 2] * net.params[2], rcond=None)[0]
    e = Y - A @ net.params
    expected = e @ e / 22 * np.linalg.inv(rows.T @ rows)
    found = diagnostics.covariance(net, X, Y)
    np.testing.assert_allclose(found[np.ix_([0, 1, 3], [0, 1, 3])], expected, rtol=1e-9)
    assert (found[2] == 0).all()
    assert (found[:, 2] == 0).all()
    assert diagnostics.curvature_eigenvalues(net, X, Y, matrix="hessian").shape == (3,)
    assert diagnostics.influence(net, X, Y).change[:, 2].tolist() == [0.0] * 25


def test_missing_targets_say_nothing():
    gaps = Y2.copy()
    gaps[3:9, 0], gaps[8:20, 1] = np.nan, np.nan
    net = linear(n_out=2, missing_targets=True)
    theta = net.params.reshape(4, 2)
    for k in range(2):
        known = ~np.isnan(gaps[:, k])
        theta[:, k] = np.linalg.lstsq(A[known], gaps[known, k], rcond=None)[0]
    found = diagnostics.covariance(net, X, gaps).reshape(4, 2, 4, 2)
    for k in range(2):
        known = ~np.isnan(gaps[:, k])
        e = gaps[known, k] - A[known] @ theta[:, k]
        expected = e @ e / (known.sum() - 4) * np.linalg.inv(A[known].T @ A[known])
        np.testing.assert_allclose(found[:, k, :, k], expected, rtol=1e-9, atol=1e-12)
    left_out = diagnostics.leave_one_out(net, X, gaps).residuals
    assert (np.isnan(left_out) == np.isnan(gaps)).all()
    assert diagnostics.leverage(net, X, gaps)[4, 0] == 0


# ---- priors ----


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_l2_is_a_prior(reduction):
    ridge = 0.1 * S.sum()
    net = solve(
        cbp.Network([3, cbp.Dense(1, "identity", l2=0.1)], dtype="float64", reduction=reduction), X, Y, S, ridge
    )
    H = A.T * S @ A + ridge * np.diag([0, 1, 1, 1])
    gamma = np.trace(np.linalg.inv(H) @ (A.T * S @ A))
    variance = (S * (Y - A @ net.params) ** 2).sum() / (25 - gamma)
    np.testing.assert_allclose(diagnostics.covariance(net, X, Y, S), variance * np.linalg.inv(H), rtol=1e-9)
    assert diagnostics.effective_parameters(net, X, Y, S) == pytest.approx(gamma, rel=1e-9)
    assert diagnostics.leverage(net, X, Y, S).sum() == pytest.approx(gamma, rel=1e-9)


def test_a_given_precision_takes_the_place_of_the_penalties():
    net = solve(cbp.Network([3, cbp.Dense(1, "identity", l2=0.1)], dtype="float64"), X, Y)
    expected = np.linalg.inv(A.T @ A / 0.3**2 + 7.0 * np.eye(4))
    np.testing.assert_allclose(diagnostics.covariance(net, X, Y, prior=7.0, noise=0.3), expected, rtol=1e-9)
    posterior = diagnostics.laplace(net, X, Y, prior=7.0)
    assert posterior.alpha == 7.0
    gamma = np.trace(np.linalg.inv(A.T @ A / posterior.noise**2 + 7.0 * np.eye(4)) @ A.T @ A / posterior.noise**2)
    assert posterior.effective_parameters == pytest.approx(gamma, rel=1e-9)
    assert posterior.noise[0] ** 2 == pytest.approx(((Y - A @ net.params) ** 2).sum() / (25 - gamma), rel=1e-9)


def test_the_evidence_is_mackays_fixed_point():
    net = marquardt(cbp.Network([3, 4, 1], activation="tanh", output="identity", dtype="float64", seed=1), X, Y)
    posterior = diagnostics.laplace(net, X, Y, prior="evidence")
    B, w = net.jacobian(X)[:, 0].T @ net.jacobian(X)[:, 0], net.params
    e = Y - net.predict(X)[:, 0]
    alpha = beta = 1.0
    for _ in range(3000):
        gamma = len(w) - alpha * np.trace(np.linalg.inv(beta * B + alpha * np.eye(len(w))))
        alpha, beta = gamma / (w @ w), (25 - gamma) / (e @ e)
    assert posterior.effective_parameters == pytest.approx(gamma, rel=1e-8)
    assert posterior.alpha == pytest.approx(alpha, rel=1e-8)
    assert posterior.noise[0] == pytest.approx(beta**-0.5, rel=1e-8)
    expected = np.linalg.inv(beta * B + alpha * np.eye(len(w)))
    np.testing.assert_allclose(posterior.covariance, expected, rtol=1e-6, atol=1e-9)


def test_a_linear_network_with_evidence_is_scikit_learns_bayesian_ridge():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="BayesianRidge is scikit-learn's")
    options = {f"{name}_{i}": 0.0 for name in ("alpha", "lambda") for i in (1, 2)}
    ridge = linear_model.BayesianRidge(fit_intercept=False, max_iter=10_000, tol=1e-14, **options).fit(X, Y - 3)
    net = linear()
    net.mask, net.params[:] = [0, 1, 1, 1], [0, *ridge.coef_]
    net.learn_uncertainty(X, Y - 3, prior="evidence")
    mean, std = net.predict(X, return_std=True)
    theirs = ridge.predict(X, return_std=True)
    np.testing.assert_allclose(mean[:, 0], theirs[0], rtol=1e-12)
    np.testing.assert_allclose(std[:, 0], theirs[1], rtol=1e-6)


# ---- rows ----


@pytest.mark.parametrize("s", [None, S], ids=["", "weighted"])
def test_leverage_is_the_diagonal_of_the_hat_matrix(s):
    weights = np.ones(25) if s is None else s
    hat = A @ np.linalg.inv(A.T * weights @ A) @ A.T * weights
    found = diagnostics.leverage(solve(linear(), X, Y, s), X, Y, s)
    np.testing.assert_allclose(found[:, 0], np.diag(hat), rtol=1e-9)


@pytest.mark.parametrize("s", [None, S], ids=["", "weighted"])
@pytest.mark.parametrize("y", [Y, Y2], ids=["one output", "two"])
def test_what_is_left_out_is_what_fitting_without_it_gives(y, s):
    n_out = y.reshape(25, -1).shape[1]
    net = solve(linear(n_out=n_out), X, y, s)
    found, effect = diagnostics.leave_one_out(net, X, y, s), diagnostics.influence(net, X, y, s)
    weights, expected, change = np.ones(25) if s is None else s, np.empty((25, n_out)), np.empty((25, 4 * n_out))
    for r in range(25):
        rest = np.arange(25) != r
        less = solve(linear(n_out=n_out), X[rest], y[rest], weights[rest])
        expected[r] = y[r] - less.predict(X[r])
        change[r] = less.params - net.params
    np.testing.assert_allclose(found.residuals, expected, rtol=1e-9)
    np.testing.assert_allclose(effect.change, change, rtol=1e-8, atol=1e-12)
    assert found.press == pytest.approx((weights[:, None] * expected**2).sum(), rel=1e-9)
    assert found.rms == pytest.approx((found.press / (n_out * weights.sum())) ** 0.5, rel=1e-9)


def test_cooks_distance():
    net = solve(linear(), X, Y)
    h, e = np.diag(A @ np.linalg.inv(A.T @ A) @ A.T), residuals(Y)
    expected = e**2 * h / (4 * (e @ e / 21) * (1 - h) ** 2)
    np.testing.assert_allclose(diagnostics.influence(net, X, Y).distance, expected, rtol=1e-9)


def test_a_row_that_stands_alone_has_no_residual_without_itself():
    alone = np.column_stack([X[:, :2], np.arange(25) == 7])
    net = solve(linear(), alone, Y)
    found = diagnostics.leave_one_out(net, alone, Y)
    assert diagnostics.leverage(net, alone, Y)[7, 0] == pytest.approx(1, abs=1e-9)
    assert np.flatnonzero(np.isinf(found.residuals[:, 0])).tolist() == [7]
    assert found.rms == math.inf


def bent(n=40, noise=0.1, l2=0.0):
    """The outputs of a small network with noise, and that network trained on them."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-3, 3, (n, 1)), axis=0)
    net = cbp.Network([1, cbp.Dense(2, "tanh", l2=l2), cbp.Dense(1, "identity", l2=l2)], dtype="float64", seed=0)
    net.params[:] = [2, -1, 2, 1.5, 0.2, 1.5, -1]
    y = net.predict(x) + noise * rng.normal(0, 1, (n, 1))
    return marquardt(net, x, y), x, y


@pytest.mark.parametrize(("noise", "share"), [(0.1, 0.15), (0.01, 0.015)])
def test_what_is_left_out_of_a_curve_is_to_first_order_what_training_without_it_gives(noise, share):
    """The error of the first order falls with the square of the residuals: a tenth of these, a tenth of its share."""
    net, x, y = bent(noise=noise)
    found, effect = diagnostics.leave_one_out(net, x, y).residuals[:, 0], diagnostics.influence(net, x, y)
    expected, change, n = [], [], len(x)
    for r in range(n):
        rest = np.arange(n) != r
        less = net.copy()
        marquardt(less, x[rest], y[rest])
        expected.append((y[r] - less.predict(x[r]))[0])
        change.append(less.params - net.params)
    assert abs(found - expected).max() < share / 4 * np.std(expected)
    error = np.linalg.norm(effect.change - change, axis=1) / np.linalg.norm(change, axis=1)
    assert np.median(error) < share


# ---- the curvature ----


def gradient_at(net, theta, x, y):
    net.params[:] = theta
    net.gradient(x, y)
    return net.grad.copy()


def test_eigenvalues_are_those_of_differences_of_the_gradient():
    net, x, y = bent(12, l2=1e-4)
    theta = net.params.copy() + 0.3
    net.params[:] = theta
    found = diagnostics.curvature_eigenvalues(net, x, y, matrix="hessian")
    steps = 1e-5 * np.eye(len(theta))
    twin = net.copy()
    H = np.array([gradient_at(twin, theta + h, x, y) - gradient_at(twin, theta - h, x, y) for h in steps]) / 2e-5
    np.testing.assert_allclose(found, np.linalg.eigvalsh((H + H.T) / 2)[::-1], atol=1e-8)
    assert found[-1] < 0 < found[0]
    J = net.jacobian(x)[:, 0]
    G = J.T @ J / 12 + 1e-4 * np.diag([0, 0, 1, 1, 0, 1, 1])
    values = np.linalg.eigvalsh(G)
    np.testing.assert_allclose(diagnostics.curvature_eigenvalues(net, x, y), values[::-1], rtol=1e-9, atol=1e-14)
    assert diagnostics.condition_number(net, x, y) == pytest.approx(values[-1] / values[0], rel=1e-6)


@pytest.mark.parametrize("matrix", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("k", [1, 4, 41])
def test_the_largest_eigenvalues_need_no_matrix(matrix, k):
    net = cbp.Network([3, 8, 1], activation="tanh", output="identity", seed=2)
    every = diagnostics.curvature_eigenvalues(net, X, Y, S, matrix=matrix)
    expected = np.sort(every[np.argsort(-abs(every))[:k]])[::-1]
    found = diagnostics.curvature_eigenvalues(net, X, Y, S, matrix=matrix, k=k)
    np.testing.assert_allclose(found, expected, atol=1e-9 * every[0])


def test_lanczos_method_begins_again_where_the_matrix_leaves_nothing_new():
    from cbp.diagnostics._spectrum import largest

    values = np.array([5.0, 5.0, 5.0, -3.0, 1.0])
    np.testing.assert_allclose(largest(lambda v: values * v, 5, 5), np.sort(values)[::-1], atol=1e-12)


# ---- what is not determined ----


OPEN = "1 of 5 directions of the parameters, which neither the data nor a prior determine"


def test_directions_that_the_data_do_not_determine_are_left_out_and_said():
    double = np.column_stack([X, X[:, 0] + X[:, 1]])
    net = linear(n_in=4)
    net.params[:] = np.linalg.lstsq(design(double), Y, rcond=None)[0]
    posterior = diagnostics.laplace(net, double, Y)
    assert (posterior.undetermined, posterior.dof[0]) == (1, pytest.approx(21))
    inside = posterior.predict(double)[1]
    np.testing.assert_allclose(inside, diagnostics.laplace(solve(linear(), X, Y), X, Y).predict(X)[1], rtol=1e-9)
    assert diagnostics.condition_number(net, double, Y) == math.inf
    outside = np.vstack([double[:2], [3.0, 0.0, 0.0, -3.0]])
    with pytest.warns(RuntimeWarning, match=f"^the outputs of 1 of 3 rows depend on {OPEN}") as seen:
        std = posterior.predict(outside)[1]
    assert seen[0].filename == __file__
    assert diagnostics.laplace(net, double, Y, prior="evidence").predict(outside)[1][2] > std[2]
    for function in (diagnostics.covariance, diagnostics.standard_errors):
        with pytest.warns(RuntimeWarning, match=f"^the parameters move along {OPEN}") as seen:
            function(net, double, Y)
        assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("layers", "options", "y", "n"),
    [
        ([3, cbp.Dense(3, "relu"), 1], {"output": "identity"}, Y, 3),
        ([3, 3], {"output": "softmax"}, np.arange(25) % 3, 4),
        ([3, 4], {"output": "log_softmax"}, np.arange(25) % 4, 4),
    ],
    ids=["relu", "softmax", "log_softmax"],
)
def test_what_changes_no_output_makes_none_unsure(layers, options, y, n):
    """A relu's weights times and those after it divided by a number; a number added to all net inputs of a softmax."""
    net = cbp.Network(layers, seed=5, **options)
    posterior = diagnostics.laplace(net, X, y)
    assert posterior.undetermined == n
    std = posterior.predict(np.random.default_rng(8).normal(0, 2, (100, 3)))[1]
    assert (np.isfinite(std) & (std > 0)).all()


def test_units_of_the_inputs_do_not_decide_what_is_determined():
    units = [1e-7, 1.0, 1e7]
    net = linear()
    net.params[:] = solve(linear(), X, Y).params / [1, *units]
    scaled = diagnostics.laplace(net, X * units, Y)
    assert scaled.undetermined == 0
    np.testing.assert_allclose(
        scaled.standard_errors[1:] * units, diagnostics.standard_errors(solve(linear(), X, Y), X, Y)[1:], rtol=1e-6
    )


# ---- memory, refusals, the table ----


def test_more_than_the_machine_has_is_refused_before(monkeypatch):
    left = [6 * 8 * 16 - 1]
    monkeypatch.setattr(_memory, "SMALL", 0)
    monkeypatch.setattr(_memory, "_limits", lambda: iter(left))
    with pytest.raises(MemoryError, match=r"the curvature needs 768 bytes for 6 matrices of 4 x 4, and 767 bytes can"):
        diagnostics.laplace(linear(), X, Y)
    assert diagnostics.curvature_eigenvalues(linear(), X, Y, k=1).shape == (1,)
    left[0] += 1
    diagnostics.laplace(linear(), X, Y)


CLASSES = (Y > 3).astype(float)
LOGISTIC = {"output": "sigmoid"}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: diagnostics.laplace(linear(loss="huber"), X, Y), "no error bars follow from huber: it is neither"),
        (lambda: diagnostics.laplace(linear(loss=lambda y, a: (a[:, 0], a)), X, Y), "no error bars follow from <lam"),
        (
            lambda: diagnostics.laplace(
                linear(n_out=2, output=None, heads=[(slice(0, 1), "identity"), (slice(1, 2), "sigmoid")]), X, Y2
            ),
            "no error bars follow from a loss for each head",
        ),
        (lambda: diagnostics.laplace(linear(), X[:4], Y[:4]), "4.0 effective parameters leave nothing of 4 targets"),
        (lambda: diagnostics.laplace(linear(), X, Y, prior="flat"), 'prior must be None, "evidence" or a positive'),
        (lambda: diagnostics.laplace(linear(), X, Y, prior=0), "prior must be greater than 0"),
        (lambda: diagnostics.laplace(linear(), X, Y, noise=-1), "noise must be a positive standard deviation"),
        (lambda: diagnostics.laplace(linear(), X, Y, noise=[1, 2]), "or one for each of 1 outputs"),
        (lambda: diagnostics.laplace(linear(**LOGISTIC), X, CLASSES, noise=1), "the loss is a log-likelihood"),
        (lambda: diagnostics.leverage(linear(**LOGISTIC), X, CLASSES), "leverage is that of least squares"),
        (lambda: diagnostics.laplace(linear(), X, Y).interval(X, 1), "level must be between 0 and 1"),
        (lambda: diagnostics.curvature_eigenvalues(linear(), X, Y, matrix="fisher"), "no curvature is called 'fish"),
        (lambda: diagnostics.curvature_eigenvalues(linear(), X, Y, k=5), "k must be from 1 to 4"),
        (
            lambda: diagnostics.coverage(diagnostics.laplace(linear(**LOGISTIC), X, CLASSES), X, CLASSES),
            "intervals for observations where these are normal",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_nothing_trained_nothing_known():
    net = linear()
    net.trainable = False
    with pytest.raises(ValueError, match="all parameters are fixed"):
        diagnostics.laplace(net, X, Y)
    net = linear()
    net.params[:] = 0
    with pytest.raises(ValueError, match="not all 0"):
        diagnostics.laplace(net, X, Y, prior="evidence")


@pytest.mark.parametrize("function", ["covariance", "leverage", "influence", "curvature_eigenvalues", "report"])
def test_the_network_is_left_as_it_is(function):
    net = solve(linear(dtype="float32"), X, Y)
    net.gradient(X, Y)
    before, grad = net.copy(), net.grad.copy()
    getattr(diagnostics, function)(net, X, Y)
    assert net == before
    assert (net.grad == grad).all()


def test_the_report_is_a_table_of_all_that():
    far = X.copy()
    far[17] = 9
    net = solve(linear(), far, Y)
    report = diagnostics.report(net, far, Y)
    lines = dict(line.split("  ", 1) for line in str(report).splitlines()[1:])
    lines = {name: text.strip() for name, text in lines.items()}
    assert str(report).splitlines()[0] == str(net)
    assert lines["effective parameters"] == "4.0"
    assert lines["largest leverages"].startswith(f"{report.leverage.max():.3g} (row 17), ")
    assert lines["noise"] == f"{report.posterior.noise[0]:.4g}"
    assert lines["condition number"] == f"{diagnostics.condition_number(net, far, Y):.3g}"
    assert report.left_out.press == diagnostics.leave_one_out(net, far, Y).press
    assert (report.distance == diagnostics.influence(net, far, Y).distance).all()


def test_the_report_of_a_classifier_has_no_leverages():
    report = diagnostics.report(linear(**LOGISTIC), X, CLASSES)
    assert (report.leverage, report.left_out, report.distance, report.posterior.noise) == (None, None, None, None)
    assert "leverage" not in str(report)
    assert "effective parameters" in str(report)


# ---- Student's t ----

# Two-sided 95 % and 99.9 % points as printed tables have them
TABLE = {1: (12.706, 636.619), 2: (4.303, 31.599), 3: (3.182, 12.924), 5: (2.571, 6.869), 10: (2.228, 4.587),
         30: (2.042, 3.646), 120: (1.980, 3.373), math.inf: (1.960, 3.291)}  # fmt: skip


@pytest.mark.parametrize("dof", TABLE)
def test_quantiles_are_those_of_the_tables(dof):
    found = quantile(0.975, dof), quantile(0.9995, dof)
    assert tuple(round(value, 3) for value in found) == TABLE[dof]
    assert quantile(0.025, dof) == pytest.approx(-found[0], rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.500001, 0.6, 0.9, 0.99, 1 - 1e-6])
def test_quantiles_with_a_distribution_in_closed_form(p):
    assert quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9, abs=1e-12)
    assert quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dof", [1.0, 1.37, 4.5, 17.25, 333.3, 1e5, 9e6])
def test_quantiles_are_scipys(dof):
    stats = pytest.importorskip("scipy.stats", reason="SciPy has the distribution")
    for p in (0.51, 0.75, 0.975, 0.9999):
        assert quantile(p, dof) == pytest.approx(stats.t.ppf(p, dof), rel=1e-8)
