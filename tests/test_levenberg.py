"""Levenberg-Marquardt against a straight transcription of the papers, at known minimisers, and where G is difficult."""

from itertools import pairwise

import numpy as np
import pytest
from cases import each_of
from small import net, outputs, teacher

import cbp
from cbp import _core
from cbp.methods import LevenbergMarquardt, Objective

RNG = np.random.default_rng(40)


def hagan_menhaj(theta, X, y, s, hidden, steps, mu=1e-3, mu_dec=0.1, mu_inc=10.0, mu_max=1e10):
    """Their algorithm with NumPy, on the sum of s e^2 / 2; returns (theta, mu) after every step."""
    path = []
    for _ in range(steps):
        a, J = outputs(theta, X, hidden)
        e = a - y
        A, g, cost = (J * s[:, None]).T @ J, J.T @ (s * e), s @ e**2 / 2
        while mu <= mu_max:
            trial = theta - np.linalg.solve(A + mu * np.eye(len(theta)), g)
            if s @ (outputs(trial, X, hidden)[0] - y) ** 2 / 2 < cost:
                theta, mu = trial, max(mu * mu_dec, 1e-20)
                break
            mu *= mu_inc
        path.append((theta, mu))
    return path


def nielsen(theta, X, y, s, hidden, steps, tau=1e-3):
    """Algorithm 3.16 of Madsen, Nielsen and Tingleff, "Methods for non-linear least squares problems", 2004."""
    path, mu, nu = [], None, 2.0
    while len(path) < steps:
        a, J = outputs(theta, X, hidden)
        A, g, cost = (J * s[:, None]).T @ J, J.T @ (s * (a - y)), s @ (a - y) ** 2 / 2
        mu = tau * A.diagonal().max() if mu is None else mu
        h = np.linalg.solve(A + mu * np.eye(len(theta)), -g)
        rho = (cost - s @ (outputs(theta + h, X, hidden)[0] - y) ** 2 / 2) / (h @ (mu * h - g) / 2)
        if rho > 0:
            theta, mu, nu = theta + h, mu * max(1 / 3, 1 - (2 * rho - 1) ** 3), 2.0
            path.append((theta, mu))
        else:
            mu, nu = mu * nu, 2 * nu
    return path


def fletcher(theta, X, y, s, hidden, steps, mu=1e-3, mu_dec=0.1, mu_inc=10.0):
    """Fletcher's rule, AERE-R 6799, 1971, for the damping of Hagan and Menhaj: by quarters of the gain."""
    path = []
    while len(path) < steps:
        a, J = outputs(theta, X, hidden)
        A, g, cost = (J * s[:, None]).T @ J, J.T @ (s * (a - y)), s @ (a - y) ** 2 / 2
        h = np.linalg.solve(A + mu * np.eye(len(theta)), -g)
        model = -(g @ h + h @ A @ h / 2)
        gain = (cost - s @ (outputs(theta + h, X, hidden)[0] - y) ** 2 / 2) / model
        if gain <= 0:
            mu *= mu_inc
            continue
        mu *= mu_dec if gain > 0.75 else mu_inc if gain < 0.25 else 1
        theta, mu = theta + h, max(mu, 1e-20)
        path.append((theta, mu))
    return path


PAPERS = {"factor": hagan_menhaj, "gain": fletcher, "nielsen": nielsen}


def steps_of(network, X, y, steps, optimizer, **kwargs):
    """Train; returns (theta, mu) after every step."""
    path = []
    history = network.fit(
        X, y, epochs=steps, optimizer=optimizer, callbacks=lambda s: path.append(s.network.params.copy()), **kwargs
    )
    return list(zip(path, history.mu, strict=True))


def assert_same_path(found, expected):
    assert len(found) == len(expected)
    for step, ((theta, mu), (theta_expected, mu_expected)) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(theta, theta_expected, rtol=1e-9, atol=1e-9, err_msg=f"step {step}")
        assert mu == pytest.approx(mu_expected, rel=1e-7)


@pytest.mark.parametrize("damping", PAPERS)
@each_of("reduction", ["mean", "sum"])
@each_of("weighted", [False, True])
def test_the_first_twenty_steps_are_those_of_the_papers(damping, weighted, reduction):
    X, y, _ = teacher(noise=0.3)
    s = RNG.uniform(0.5, 2, 60) if weighted else np.ones(60)
    network = net(seed=5, reduction=reduction)
    expected = PAPERS[damping](network.params.copy(), X, y, s, 3, 20)
    optimizer = LevenbergMarquardt(damping=damping, min_grad=0.0)
    found = steps_of(network, X, y, 20, optimizer, sample_weight=s if weighted else None)
    assert_same_path(found, expected)


def test_trials_in_vain_are_made_from_the_same_matrix():
    X, y, _ = teacher(noise=0.3)
    network = net(seed=5, scale=2)
    expected = hagan_menhaj(network.params.copy(), X, y, np.ones(60), 3, 15, mu=1e-6, mu_dec=0.01, mu_inc=3.0)
    assert any(later > before for (_, before), (_, later) in pairwise(expected))
    found = steps_of(network, X, y, 15, LevenbergMarquardt(1e-6, 0.01, 3.0, min_grad=0.0))
    assert_same_path(found, expected)


@pytest.mark.parametrize("damping", ["factor", "gain", "nielsen"])
@each_of("seed", range(4))
def test_a_known_minimiser_is_found(seed, damping):
    X, y, theta = teacher(seed=seed)
    network = net()
    network.params[:] = theta + np.random.default_rng(seed).normal(0, 0.1, len(theta))
    history = network.fit(X, y, epochs=200, optimizer=LevenbergMarquardt(damping=damping, min_grad=0.0))
    assert history.loss[-1] < 1e-20
    assert abs(outputs(network.params, X, 3)[0] - y).max() < 1e-9


def test_a_linear_model_takes_two_steps():
    X, y = RNG.normal(size=(30, 3)), RNG.normal(size=30)
    network = cbp.Network([3, 1], output="identity", dtype="float64", seed=0)
    network.fit(X, y, epochs=3, optimizer=LevenbergMarquardt(1e-8, min_grad=0.0))
    expected = np.linalg.lstsq(np.c_[np.ones(30), X], y, rcond=None)[0]
    np.testing.assert_allclose(network.params, expected, rtol=1e-8)


# ---- difficult matrices ----


def test_inputs_that_are_there_twice():
    X, y, theta = teacher()
    network = net(n_in=4)
    network.params[:3], network.params[-4:] = theta[:3], theta[-4:]
    history = network.fit(np.c_[X, X], y, epochs=60, optimizer=LevenbergMarquardt(min_grad=0.0))
    assert history.loss[-1] < 1e-20


def test_dead_units():
    X, y = np.linspace(-1, 1, 30)[:, None], np.abs(np.linspace(-1, 1, 30))
    network = net(hidden=5, n_in=1, activation="relu")
    network.params[:10] = [-10, -10, -10, 0, 0.1, 1, 1, 1, -1, 1]  # biases of -10: these units are 0 on every row
    before = network.params.copy()
    history = network.fit(X, y, epochs=40, optimizer=LevenbergMarquardt(min_grad=0.0))
    assert history.loss[-1] < 1e-20
    dead = [0, 1, 2, 5, 6, 7]
    assert (network.params[dead] == before[dead]).all()


def test_more_parameters_than_rows():
    X, y, _ = teacher(m=5)
    network = net(hidden=12)
    assert network.n_params > 5
    history = network.fit(X, y, epochs=50, optimizer=LevenbergMarquardt(min_grad=0.0))
    assert history.loss[-1] < 1e-20


def test_a_matrix_without_a_factor_is_damped_more(monkeypatch):
    X, y, _ = teacher()
    tried, solve = [], _core.damped_solve

    def fails_at_first(a, shift, *rest):
        tried.append(shift)
        return None if len(tried) < 3 else solve(a, shift, *rest)

    monkeypatch.setattr(_core, "damped_solve", fails_at_first)
    history = net().fit(X, y, epochs=1, optimizer=LevenbergMarquardt(mu=0.5))
    assert len(tried) == 3
    assert history.mu == [5.0]  # 0.5, 5 in vain; 50, which is then divided by 10
    np.testing.assert_allclose(np.diff(tried), [4.5 / 60, 45 / 60], rtol=1e-10)  # of the mean over 60 rows


# ---- weights, fixed parameters, penalties, losses ----


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_are_repeated_rows(reduction):
    X, y, _ = teacher(noise=0.2)
    s = RNG.integers(0, 4, 60)
    weighted, repeated = net(reduction=reduction), net(reduction=reduction)
    weighted.fit(X, y, epochs=12, optimizer=LevenbergMarquardt(), sample_weight=s)
    repeated.fit(np.repeat(X, s, axis=0), np.repeat(y, s), epochs=12, optimizer=LevenbergMarquardt())
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("damping", ["factor", "gain", "nielsen"])
def test_fixed_parameters_stay_and_the_others_go_as_if_they_were_no_parameters(damping, dtype):
    X, y, _ = teacher(noise=0.2)
    network = net(dtype=dtype)
    mask = np.arange(network.n_params) % 3 != 0
    network.mask = mask
    theta, chosen = network.params.astype(float), np.flatnonzero(mask)
    before = network.params.copy()
    network.fit(X, y, epochs=1, optimizer=LevenbergMarquardt(mu=2.0, damping=damping))
    assert network.params[~mask].tobytes() == before[~mask].tobytes()
    a, J = outputs(theta, X, 3)
    A = J[:, chosen].T @ J[:, chosen]
    mu = 2.0 * (A.diagonal().max() if damping == "nielsen" else 1)
    theta[chosen] -= np.linalg.solve(A + mu * np.eye(len(chosen)), J[:, chosen].T @ (a - y))
    np.testing.assert_allclose(network.params, theta, rtol=1e-9 if dtype == "float64" else 1e-3)


def test_a_layer_that_is_frozen_stays():
    X, y, _ = teacher(noise=0.2)
    network = net()
    network.layers[0].trainable = False
    before = network.params.copy()
    history = network.fit(X, y, epochs=20, optimizer=LevenbergMarquardt(1e-8))
    assert network.params[:9].tobytes() == before[:9].tobytes()
    H = np.tanh(X @ before[3:9].reshape(2, 3) + before[:3])
    expected = np.linalg.lstsq(np.c_[np.ones(60), H], y, rcond=None)[0]  # the output layer alone is linear
    np.testing.assert_allclose(network.params[9:], expected, rtol=1e-6)
    assert history.stopped == "minimum gradient"


def test_nothing_to_train_ends_at_once():
    X, y, _ = teacher()
    network = net()
    network.trainable = False
    before = network.params.copy()
    history = network.fit(X, y, epochs=9, optimizer=LevenbergMarquardt())
    assert (history.epochs, history.stopped) == (1, "minimum gradient")
    assert network.params.tobytes() == before.tobytes()


def test_penalties_are_part_of_the_objective():
    X, y, _ = teacher(noise=0.2)
    network = net(layers=[cbp.Dense(3, "tanh", l2=0.05), cbp.Dense(1, "identity", l2=0.02)])
    history = network.fit(X, y, epochs=300, optimizer=LevenbergMarquardt())
    assert history.stopped == "minimum gradient"
    assert history.loss[-1] == network.loss(X, y)
    network.gradient(X, y)
    assert np.linalg.norm(network.grad) == pytest.approx(history.gradient[-1], rel=1e-6)


SMOOTH = {
    "binary_cross_entropy": ("sigmoid", lambda y: (y > 0).astype(float)),
    "mean_squared_error": ("identity", lambda y: y),
    "huber": ("identity", lambda y: y),
    "log_cosh": ("identity", lambda y: y),
    "poisson": ("exp", lambda y: np.floor(np.abs(2 * y))),
    "log_poisson": ("identity", lambda y: np.floor(np.abs(2 * y))),
    "focal": ("sigmoid", lambda y: (y > 0).astype(float)),
}


@pytest.mark.parametrize("loss", SMOOTH)
def test_other_losses_go_through_the_generalised_matrix(loss):
    output, targets = SMOOTH[loss]
    X, y, _ = teacher(m=80, noise=0.5)
    network = net(hidden=2, output=output, loss=loss)
    before = network.loss(X, targets(y))
    history = network.fit(X, targets(y), epochs=200, optimizer=LevenbergMarquardt())
    assert history.gradient[-1] < 1e-2 * history.gradient[0]
    assert (np.diff([before, *history.loss]) <= 0).all()


def test_class_probabilities_and_pairs_of_outputs():
    X = RNG.normal(size=(60, 2))
    labels = (X[:, 0] > X[:, 1]).astype(int) + (X[:, 0] > 1)
    network = cbp.Network([2, 4, 3], activation="tanh", output="softmax", dtype="float64", seed=1)
    history = network.fit(X, labels, epochs=30, optimizer=LevenbergMarquardt())
    assert network.evaluate(X, labels)["accuracy"] > 0.95
    assert history.loss[-1] < 0.1
    pairs = cbp.Network([2, 4, 2], activation="tanh", loss="gaussian_nll", dtype="float64", seed=1)
    history = pairs.fit(X, X[:, 0] ** 2 + 0.1 * X[:, 1], epochs=40, optimizer=LevenbergMarquardt())
    assert history.loss[-1] < 0 < history.loss[0]  # a loss below 0 has not reached the goal


def test_several_outputs_and_missing_targets():
    X, y, _ = teacher(m=50, noise=0.1)
    Y = np.c_[y, y**2]
    Y[::3, 1] = np.nan
    network = cbp.Network(
        [2, 3, 2], activation="tanh", output="identity", dtype="float64", seed=1, missing_targets=True
    )
    history = network.fit(X, Y, epochs=200, optimizer=LevenbergMarquardt(min_grad=1e-6))
    network.gradient(X, Y)
    assert np.linalg.norm(network.grad) < 1e-4
    assert history.loss[-1] < history.loss[0] / 10


STRAIGHT = {
    "mean_absolute_error": {"loss": "mean_absolute_error"},
    "quantile": {"loss": "quantile"},
    "hinge": {"loss": "hinge"},
    "heads of such": {
        "heads": [(slice(0, 1), "identity", "hinge"), (slice(1, 2), "identity", "quantile")],
        "layers": [3, 2],
    },
}


@pytest.mark.parametrize("name", STRAIGHT)
def test_losses_of_straight_lines_are_refused(name):
    X, y = np.zeros((4, 2)), np.zeros((4, 2 if "heads" in name else 1))
    with pytest.raises(ValueError, match=r"LevenbergMarquardt needs the curvature of the loss, and .* straight lines"):
        net(**STRAIGHT[name]).fit(X, y, optimizer=LevenbergMarquardt())


def test_one_curved_head_is_enough():
    X, y, _ = teacher()
    network = net(
        heads=[(slice(0, 1), "identity", "hinge"), (slice(1, 2), "identity", "half_squared_error")], layers=[3, 2]
    )
    history = network.fit(X, np.c_[np.sign(y), y], epochs=10, optimizer=LevenbergMarquardt())
    assert history.loss[-1] < history.loss[0]


def test_a_loss_of_your_own_is_refused():
    def mine(y, a):
        return ((a - y) ** 2).sum(axis=1), 2 * (a - y)

    with pytest.raises(ValueError, match=r"a function of your own does not tell: LBFGS\(\) and SCG\(\)"):
        net(loss=mine).fit([[0.0, 0.0]], [0.0], optimizer=LevenbergMarquardt())


# ---- ends ----


def test_why_it_ends():
    X, y, theta = teacher()
    near = theta + 0.05
    cases = [
        (LevenbergMarquardt(), 200, "minimum gradient"),
        (LevenbergMarquardt(goal=1e-3), 200, "goal"),
        (LevenbergMarquardt(min_grad=0.0), 200, "maximum mu"),
        (LevenbergMarquardt(), 2, ""),
    ]
    for optimizer, epochs, reason in cases:
        network = net()
        network.params[:] = near
        history = network.fit(X, y, epochs=epochs, optimizer=optimizer)
        assert history.stopped == reason
        assert (history.epochs == epochs) == (reason == "")


def test_the_step_that_reaches_the_goal_makes_no_matrix(monkeypatch):
    X, y, theta = teacher()
    whole, short = net(), net()
    whole.params[:] = short.params[:] = theta + 0.05
    expected = whole.fit(X, y, epochs=9, optimizer=LevenbergMarquardt(min_grad=0.0))
    made, work = [], Objective.gauss_newton
    monkeypatch.setattr(Objective, "gauss_newton", lambda self, *args: made.append(1) or work(self, *args))
    history = short.fit(X, y, epochs=9, optimizer=LevenbergMarquardt(min_grad=0.0, goal=1e-6))
    n = history.epochs
    assert (history.stopped, len(made)) == ("goal", n)  # one at the start, and one after every step but the last
    assert 1 < n < 9
    assert (history.loss, history.gradient) == (expected.loss[:n], expected.gradient[:n])
    short.fit(X, y, epochs=9 - n, optimizer=LevenbergMarquardt(min_grad=0.0, mu=history.mu[-1]))
    assert short.params.tobytes() == whole.params.tobytes()


def test_a_greatest_damping_ends_without_a_step_and_leaves_what_was():
    X, y, _ = teacher(noise=0.2)
    network = net()
    network.fit(X, y, epochs=400, optimizer=LevenbergMarquardt(min_grad=0.0))
    before, numbers = network.params.copy(), dict(network._method_state.numbers)
    history = network.fit(X, y, epochs=400)
    assert (history.stopped, history.epochs) == ("maximum mu", 1)
    assert history.mu[-1] >= 1e10
    assert network.params.tobytes() == before.tobytes()
    assert network._method_state.numbers == numbers


def test_single_precision_ends_by_itself():
    X, y, _ = teacher(noise=0.1)
    network = net(dtype="float32")
    history = network.fit(X, y, epochs=500, optimizer=LevenbergMarquardt())
    assert history.stopped
    double = net()
    double.fit(X, y, epochs=500, optimizer=LevenbergMarquardt())
    assert history.loss[-1] == pytest.approx(double.loss(X, y), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mu": 0}, "mu must be greater than 0"),
        ({"mu_dec": 1.0}, "mu_dec must be less than 1"),
        ({"mu_inc": 1}, "mu_inc must be greater than 1, not 1"),
        ({"mu_max": -1}, "mu_max must be greater than 0"),
        ({"min_grad": -1}, "min_grad must be at least 0"),
        ({"goal": np.nan}, "goal must be finite"),
        ({"damping": "gian"}, "no damping is called 'gian', did you mean 'gain'?"),
        ({"max_fail": 0}, "max_fail must be at least 1"),
    ],
)
def test_arguments_that_no_step_could_end_with_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LevenbergMarquardt(**arguments)
