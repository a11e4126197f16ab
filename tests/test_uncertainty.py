"""predict(return_std=True): error bars that hold what they promise, for regression, classes and counts."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fitting import design, linear, marquardt, solve

import cbp
from cbp import diagnostics

RNG = np.random.default_rng(11)
X = RNG.normal(0, 1, (30, 2))
Y = X @ [1.0, -2.0] + 3 + RNG.normal(0, 0.3, 30)
A = design(X)


def learned(**options):
    net = solve(linear(2, **options), X, Y)
    net.learn_uncertainty(X, Y)
    return net


# ---- what is promised ----


def curve(x):
    return np.sin(x) + 0.3 * x


@pytest.mark.filterwarnings("ignore:the outputs of .* depend on . of 13 directions:RuntimeWarning")
@pytest.mark.parametrize(
    ("units", "l2", "prior", "n"), [(4, 0.0, None, 60), (6, 1e-4, None, 80), (6, 1e-4, "evidence", 80)]
)
def test_95_percent_intervals_hold_95_percent_of_what_was_held_out(units, l2, prior, n):
    inside, means, noise = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x, new = rng.uniform(-3, 3, (n, 1)), rng.uniform(-3, 3, (200, 1))
        y, observed = curve(x) + rng.normal(0, 0.2, x.shape), curve(new) + rng.normal(0, 0.2, new.shape)
        layers = [1, cbp.Dense(units, "tanh", l2=l2), cbp.Dense(1, "identity", l2=l2)]
        net = marquardt(cbp.Network(layers, dtype="float64", seed=seed), x, y)
        posterior = net.learn_uncertainty(x, y, prior=prior)
        inside.append(diagnostics.coverage(posterior, new, observed))
        low, high = posterior.interval(new, observation=False)
        means.append(((low < curve(new)) & (curve(new) < high)).mean())
        noise.append(posterior.noise[0])
    assert 0.92 <= np.mean(inside) <= 0.98
    assert 0.90 <= np.mean(means) <= 0.99
    assert np.mean(noise) == pytest.approx(0.2, rel=0.05)


def test_few_degrees_of_freedom_widen_the_interval():
    inside = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, new = rng.normal(0, 1, (6, 2)), rng.normal(0, 1, (5, 2))
        y, observed = x @ [1.0, 2.0] + rng.normal(0, 1, 6), new @ [1.0, 2.0] + rng.normal(0, 1, 5)
        posterior = diagnostics.laplace(solve(linear(2), x, y), x, y)
        inside.append(diagnostics.coverage(posterior, new, observed, [0.95, 0.5]))
    wide, half = np.mean(inside, axis=0)
    assert 0.92 <= wide <= 0.98  # 1.96 standard deviations hold about 0.85 with 3 degrees of freedom
    assert 0.45 <= half <= 0.55
    assert posterior.factor(0.95)[0] == pytest.approx(3.182, abs=1e-3)


def test_a_known_noise_needs_no_estimate():
    posterior = diagnostics.laplace(solve(linear(2), X, Y), X, Y, noise=0.5)
    std = posterior.predict(X)[1]
    expected = (0.25 * (1 + np.einsum("ri,ij,rj->r", A, np.linalg.inv(A.T @ A), A))) ** 0.5
    np.testing.assert_allclose(std[:, 0], expected, rtol=1e-9)
    low, high = posterior.interval(X, 0.95)
    np.testing.assert_allclose((high - low) / 2, 1.959963984540054 * std, rtol=1e-12)


def test_a_bayesian_training_has_found_the_prior_and_the_noise():
    net = cbp.Network(
        [2, 3, 1], activation="tanh", output="identity", scale_targets="standard", dtype="float64", seed=1
    )
    history = net.fit(X, Y, epochs=100, optimizer=cbp.methods.BayesianRegularization())
    posterior = net.learn_uncertainty(X, Y)
    assert posterior.effective_parameters == pytest.approx(history["gamma"][-1], rel=1e-6)
    found = (2 * history["beta"][-1]) ** -0.5 * net.target_scaling.scale  # its beta goes with squares, not half squares
    np.testing.assert_allclose(posterior.noise, found, rtol=1e-6)
    assert posterior.alpha == pytest.approx(2 * history["alpha"][-1], rel=1e-6)
    np.testing.assert_allclose(cbp.diagnostics.leverage(net, X, Y).sum(), history["gamma"][-1], rtol=1e-6)
    again = pickle.loads(pickle.dumps(net)).learn_uncertainty(X, Y)
    np.testing.assert_array_equal(again.covariance, posterior.covariance)
    net.fit(X, Y, epochs=1)  # goes on with the method
    assert net.learn_uncertainty(X, Y).alpha is not None
    net.fit(X, Y, epochs=1, optimizer="adam")
    assert diagnostics.laplace(net, X, Y).alpha is None


# ---- classes, counts, variances ----


def differences(function, theta):
    """The derivatives of a function (theta) -> (m, n) by theta, (m, n, n_params)."""
    step = 1e-5
    return np.stack([(function(theta + h) - function(theta - h)) / (2 * step) for h in step * np.eye(len(theta))], -1)


def at(net, X):
    def outputs(theta):
        other = net.copy()
        other.params[:] = theta
        return other.predict(X)

    return outputs


def expected_std(net, X, y, n, l2=0.0):
    """The delta method with the curvature of n times J's sum, both by differences."""
    theta, twin = net.params.copy(), net.copy()

    def slope(values):
        twin.params[:] = values
        twin.gradient(X, y)
        return twin.grad[None].copy()

    H = n * len(X) * differences(slope, theta)[0]
    J = differences(at(net, X), theta)
    return np.einsum("rki,ij,rkj->rk", J, np.linalg.inv(H), J) ** 0.5


COUNTS = np.random.default_rng(3).poisson(np.exp(0.5 * X[:, :1] + 1)).astype(float)
LABELS = np.random.default_rng(4).integers(0, 3, 30)
CASES = {
    "sigmoid": ("binary_cross_entropy", 1, (Y > 3).astype(float)[:, None], 1),
    "softmax": ("categorical_cross_entropy", 3, LABELS, 1),
    "log_softmax": ("negative_log_likelihood", 3, LABELS, 1),
    "exp": ("poisson", 2, np.hstack([COUNTS, COUNTS[::-1]]), 2),
    "identity": ("log_poisson", 2, np.hstack([COUNTS, COUNTS[::-1]]), 2),
}


@pytest.mark.parametrize("output", CASES)
def test_the_curvature_of_a_log_likelihood_gives_the_error_bars(output):
    """Linear models: their Gauss-Newton matrix is the Hessian."""
    loss, n_out, y, n = CASES[output]
    layers = [2, cbp.Dense(n_out, output, l2=0.02)]
    net = cbp.Network(layers, loss=loss, dtype="float64", seed=1)
    if n_out == 3:
        net.mask = [1, 1, 0] * 3  # else a number added to all of a row's net inputs changes nothing
    kept = np.flatnonzero(net._trained())
    posterior = net.learn_uncertainty(X, y)
    theta, twin = net.params.copy(), net.copy()

    def slope(values):
        twin.params[kept] = values
        twin.gradient(X, y)
        return twin.grad[None, kept].copy()

    def outputs(values):
        twin.params[kept] = values
        return twin.predict(X)

    H, J = n * len(X) * differences(slope, theta[kept])[0], differences(outputs, theta[kept])
    expected = np.einsum("rki,ij,rkj->rk", J, np.linalg.inv(H), J) ** 0.5
    mean, std = net.predict(X, return_std=True)
    np.testing.assert_allclose(std, expected, rtol=1e-6)
    np.testing.assert_array_equal(std, net.predict(X, return_std="mean")[1])
    assert posterior.noise is None
    low, high = posterior.interval(X, 0.999999)
    assert (low <= mean).all()
    assert (mean <= high).all()
    if output in ("sigmoid", "softmax"):
        assert low.min() == 0
        assert high.max() <= 1
    elif output == "exp":
        assert low.min() >= 0


def test_predicted_variances_are_the_noise_of_predicted_means():
    net = cbp.Network([2, cbp.Dense(2, l2=0.1)], loss="gaussian_nll", dtype="float64", seed=0)
    posterior = net.learn_uncertainty(X, Y[:, None])
    a, v = net.predict(X).T
    J = net.jacobian(X)
    H = J[:, 0].T / v @ J[:, 0] + J[:, 1].T / (2 * v**2) @ J[:, 1] + np.diag([0, 0, 3.0, 3, 3, 3])
    spread = np.einsum("rki,ij,rkj->rk", J, np.linalg.inv(H), J)
    std = net.predict(X, return_std=True)[1]
    np.testing.assert_allclose(std[:, 0], (spread[:, 0] + v) ** 0.5, rtol=1e-9)
    np.testing.assert_allclose(std[:, 1], spread[:, 1] ** 0.5, rtol=1e-9)
    np.testing.assert_allclose(posterior.predict(X, observation=False)[1], spread**0.5, rtol=1e-9)
    z = abs(Y - a) / std[:, 0]
    assert diagnostics.coverage(net, X, Y, 0.9) == (z <= 1.6448536269514722).mean()


# ---- the network ----


def test_a_network_that_has_learned_nothing_says_what_to_do():
    net = linear(2)
    with pytest.raises(
        RuntimeError, match=r"the network has learned no uncertainty: call net\.learn_uncertainty\(X, y\)"
    ):
        net.predict(X, return_std=True)
    out = np.full((30, 1), 7.0)
    with pytest.raises(RuntimeError):
        net.predict(X, out, return_std=True)
    assert (out == 7).all()
    with pytest.raises(RuntimeError):
        diagnostics.coverage(net, X, Y)


def change_parameters(net):
    net.params[1] += 1e-9


def change_scaling(net):
    net.learn_scaling(X, 2 * Y)


@pytest.mark.parametrize(
    ("options", "change"),
    [({}, change_parameters), ({"scale_inputs": ([0, 0], [1, 1]), "scale_targets": "standard"}, change_scaling)],
)
def test_a_network_that_has_changed_says_so(options, change):
    net = linear(2, **options)
    if options:
        net.learn_scaling(X, Y)
    net.learn_uncertainty(X, Y)
    before = net.predict(X, return_std=True)[1]
    change(net)
    with pytest.raises(RuntimeError, match="has changed since it learned its uncertainty"):
        net.predict(X, return_std=True)
    net.learn_uncertainty(X, Y)
    assert not np.array_equal(net.predict(X, return_std=True)[1], before)


@pytest.mark.parametrize(
    "make",
    [
        cbp.Network.copy,
        copy.deepcopy,
        lambda net: pickle.loads(pickle.dumps(net)),
        lambda net: through_a_file(net),
    ],
    ids=["copy", "deepcopy", "pickle", "file"],
)
def test_what_was_learned_stays_with_the_network_it_was_learned_for(make):
    net = learned()
    other = make(net)
    assert other == net
    with pytest.raises(RuntimeError, match="the network has learned no uncertainty"):
        other.predict(X, return_std=True)
    other.learn_uncertainty(X, Y)
    np.testing.assert_array_equal(other.predict(X, return_std=True)[1], net.predict(X, return_std=True)[1])


def through_a_file(net):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.npz")
        return cbp.load(Path(folder) / "net.npz")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_are_those_of_predict_and_deviations_of_their_shape_and_type(dtype):
    net = learned(dtype=dtype)
    plain = net.predict(X)
    for x, expected in [(X, plain), (X[4], plain[4]), (X[:0], plain[:0])]:
        mean, std = net.predict(x, return_std=True)
        np.testing.assert_array_equal(mean, expected)
        assert (std.shape, std.dtype) == (mean.shape, mean.dtype)
    out = np.empty_like(plain)
    mean, std = net.predict(X, out, return_std=True)
    assert mean is out
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(net.predict(X, return_std=False), plain)


def test_an_observation_varies_more_than_its_mean():
    net = learned()
    noise = net._learned_posterior().noise
    every = net.predict(X, return_std=True)[1]
    np.testing.assert_array_equal(net.predict(X, return_std="observation")[1], every)
    np.testing.assert_allclose(
        every**2 - net.predict(X, return_std="mean")[1] ** 2, np.full((30, 1), noise**2), rtol=1e-9
    )
    with pytest.raises(ValueError, match="return_std must be True, False, 'observation' or 'mean', not 'noise'"):
        net.predict(X, return_std="noise")


def test_rows_that_stay_where_they_are_get_the_same(tmp_path, monkeypatch):
    import cbp._sources

    monkeypatch.setattr(cbp._sources, "PIECE_BYTES", 7 * 16)
    net = learned()
    expected = net.predict(X, return_std=True)
    mapped = np.memmap(tmp_path / "X", np.float64, "w+", shape=X.shape)
    mapped[:] = X
    found = [net.predict(mapped, return_std=True)]
    sparse = pytest.importorskip("scipy.sparse", reason="sparse matrices are SciPy's")
    found += [net.predict(sparse.csr_array(X), return_std=True)]
    for mean, std in found:
        np.testing.assert_array_equal(mean, expected[0])
        np.testing.assert_allclose(std, expected[1], rtol=1e-12)
    assert net.predict(sparse.csr_array(X[:0].reshape(0, 2)), return_std=True)[1].shape == (0, 1)


def test_blocks_of_rows_give_what_all_rows_give(monkeypatch):
    from cbp.diagnostics import _twin

    two = np.column_stack([Y, Y**2])
    net = solve(linear(2, 2), X, two)
    whole, effect = diagnostics.laplace(net, X, two).predict(X), diagnostics.influence(net, X, two)
    monkeypatch.setattr(_twin, "BLOCK_BYTES", 8 * 2 * 6 * 7)
    parts, again = diagnostics.laplace(net, X, two).predict(X), diagnostics.influence(net, X, two)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_allclose(again.change, effect.change, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"scale_inputs": "standard", "scale_targets": "minmax", "dtype": "float32"}])
def test_the_posterior_itself_can_be_kept(options):
    net = linear(2, **options)
    net.fit(X, Y, epochs=3)
    posterior = net.learn_uncertainty(X, Y)
    mean, std = net.predict(X, return_std=True)
    for other in (pickle.loads(pickle.dumps(posterior)), copy.deepcopy(posterior)):
        np.testing.assert_allclose(other.predict(X)[0], mean, rtol=1e-6)
        np.testing.assert_allclose(other.predict(X)[1], std, rtol=1e-6)
        np.testing.assert_array_equal(other.predict(X), posterior.predict(X))


def test_threads_may_predict_at_once():
    net = learned()
    many = RNG.normal(0, 1, (20_000, 2))
    expected = net.predict(many, return_std=True)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: net.predict(many, return_std=True), range(8)):
            np.testing.assert_array_equal(found, expected)


# ---- the picture ----


def test_the_picture_of_the_calibration():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
    from matplotlib.figure import Figure

    from cbp.plot import calibration

    ax = Figure().subplots()
    net = learned()
    assert calibration(net, X, Y, ax) is ax
    shares = next(line for line in ax.get_lines() if line.get_label() == "share of 30 targets")
    np.testing.assert_array_equal(shares.get_ydata(), diagnostics.coverage(net, X, Y, shares.get_xdata()))
    assert ax.get_legend().get_texts()[0].get_text() == "by chance alone, 95 %"
