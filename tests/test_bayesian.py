"""Bayesian regularisation against the formulas of Foresee and Hagan and of MacKay, written out again."""

import numpy as np
import pytest
from small import net, outputs, teacher

import cbp
from cbp.methods import BayesianRegularization

RNG = np.random.default_rng(50)


def foresee_hagan(theta, X, y, s, hidden, steps, mu=5e-3, mu_dec=0.1, mu_inc=10.0, mu_max=1e10):
    """Steps 0 to 4 of the paper, started as MATLAB's trainbr; yields what is known after every step."""
    N, n = len(theta), s.sum()

    def errors(at):
        return s @ (outputs(at, X, hidden)[0] - y) ** 2

    gamma = float(N)
    beta = (n - gamma) / (2 * errors(theta))
    beta, alpha = 1.0 if beta <= 0 else beta, gamma / (2 * theta @ theta)
    for _ in range(steps):
        a, J = outputs(theta, X, hidden)
        hessian = 2 * beta * (J * s[:, None]).T @ J + 2 * alpha * np.eye(N)
        gradient = 2 * beta * J.T @ (s * (a - y)) + 2 * alpha * theta
        F = beta * errors(theta) + alpha * theta @ theta
        while mu <= mu_max:
            trial = theta - np.linalg.solve(hessian + 2 * mu * np.eye(N), gradient)
            if beta * errors(trial) + alpha * trial @ trial < F:
                theta, mu = trial, mu * mu_dec
                break
            mu *= mu_inc
        J = outputs(theta, X, hidden)[1]
        hessian = 2 * beta * (J * s[:, None]).T @ J + 2 * alpha * np.eye(N)
        evidence = mackay(alpha, beta, errors(theta), theta @ theta, hessian, n)
        gamma = N - 2 * alpha * np.trace(np.linalg.inv(hessian))
        alpha, beta = gamma / (2 * theta @ theta), (n - gamma) / (2 * errors(theta))
        gradient = 2 * beta * J.T @ (s * (outputs(theta, X, hidden)[0] - y)) + 2 * alpha * theta
        yield (
            theta,
            {
                "mu": mu,
                "gamma": gamma,
                "alpha": alpha,
                "beta": beta,
                "evidence": evidence,
                "gradient": np.linalg.norm(gradient),
            },
        )


def mackay(alpha, beta, E_D, E_W, hessian, n):
    """log of Z_F / (Z_W Z_D), MacKay's "Bayesian interpolation", with exp(-beta E_D - alpha E_W) for his halves."""
    N = len(hessian)
    log_Z_F = -beta * E_D - alpha * E_W + N / 2 * np.log(2 * np.pi) - np.linalg.slogdet(hessian)[1] / 2
    log_Z_W, log_Z_D = N / 2 * np.log(np.pi / alpha), n / 2 * np.log(np.pi / beta)
    return log_Z_F - log_Z_W - log_Z_D


@pytest.mark.parametrize(("reduction", "loss"), [("mean", "half_squared_error"), ("sum", "mean_squared_error")])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_steps_are_those_of_the_paper(reduction, loss, weighted):
    X, y, _ = teacher(noise=0.3)
    s = RNG.uniform(0.5, 2, 60) if weighted else np.ones(60)
    network, path = net(seed=5, reduction=reduction, loss=loss), []
    expected = list(foresee_hagan(network.params.copy(), X, y, s, 3, 20))
    history = network.fit(
        X,
        y,
        epochs=20,
        optimizer=BayesianRegularization(),
        sample_weight=s if weighted else None,
        callbacks=lambda state: path.append(state.network.params.copy()),
    )
    for step, (theta, figures) in enumerate(expected):
        np.testing.assert_allclose(path[step], theta, rtol=1e-9, atol=1e-9, err_msg=f"step {step}")
        for name, value in figures.items():
            assert history[name][step] == pytest.approx(value, rel=1e-7), f"{name} of step {step}"
    assert network._method_state.numbers["gamma"] == history.gamma[-1]


def test_at_the_end_the_estimates_agree_with_each_other():
    X, y, _ = teacher(noise=0.3)
    network = net(seed=0)
    history = network.fit(X, y, epochs=300, optimizer=BayesianRegularization())
    assert history.stopped in ("maximum mu", "minimum gradient")
    alpha, beta, gamma = (history[name][-1] for name in ("alpha", "beta", "gamma"))
    a, J = outputs(network.params, X, 3)
    hessian = 2 * beta * J.T @ J + 2 * alpha * np.eye(13)
    assert gamma == pytest.approx(13 - 2 * alpha * np.trace(np.linalg.inv(hessian)), rel=1e-4)
    assert alpha == pytest.approx(gamma / (2 * network.params @ network.params), rel=1e-9)
    assert beta == pytest.approx((60 - gamma) / (2 * ((a - y) ** 2).sum()), rel=1e-9)
    F = mackay(alpha, beta, ((a - y) ** 2).sum(), network.params @ network.params, hessian, 60)
    assert history.evidence[-1] == pytest.approx(F, rel=1e-6)


def test_the_noise_is_found():
    """1 / (2 beta) is the variance of the noise."""
    X, y, _ = teacher(m=400, noise=0.3, seed=1)
    history = net(hidden=6).fit(X, y, epochs=200, optimizer=BayesianRegularization())
    assert (0.5 / history.beta[-1]) ** 0.5 == pytest.approx(0.3, rel=0.1)


def test_a_linear_model_has_the_evidence_of_the_normal_distribution():
    """There the approximation is exact: targets are normal with the covariance X X^T / (2 alpha) + I / (2 beta)."""
    X = RNG.normal(size=(25, 2))
    y = X @ [1.0, -2.0] + 0.3 + 0.2 * RNG.normal(size=25)
    network = cbp.Network([2, 1], output="identity", dtype="float64", seed=0)
    history = network.fit(X, y, epochs=200, optimizer=BayesianRegularization(min_grad=1e-9))
    alpha, beta, A = history.alpha[-1], history.beta[-1], np.c_[np.ones(25), X]
    covariance = A @ A.T / (2 * alpha) + np.eye(25) / (2 * beta)
    expected = -(y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    assert history.evidence[-1] == pytest.approx(expected, rel=1e-9)

    def evidence(alpha, beta):
        covariance = A @ A.T / (2 * alpha) + np.eye(25) / (2 * beta)
        return -(y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2

    for near in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):  # the estimates are where it is greatest
        assert evidence(alpha * near[0], beta * near[1]) < expected


def test_needless_units_cost_nothing():
    X, y, _ = teacher(noise=0.2)
    gamma = [
        net(hidden=hidden).fit(X, y, epochs=150, optimizer=BayesianRegularization()).gamma[-1] for hidden in (6, 16)
    ]
    assert max(gamma) < 20  # of 25 and 65 parameters
    assert gamma[1] < gamma[0] + 4


def test_more_parameters_than_rows():
    X, y, _ = teacher(m=10, noise=0.1)
    history = net(hidden=12).fit(X, y, epochs=60, optimizer=BayesianRegularization())
    assert np.isfinite([history[name] for name in history]).all()
    assert 0 < history.gamma[-1] < 10


def test_weights_are_repeated_rows():
    X, y, _ = teacher(noise=0.2)
    s = RNG.integers(0, 4, 60)
    weighted, repeated = net(), net()
    one = weighted.fit(X, y, epochs=12, optimizer=BayesianRegularization(), sample_weight=s)
    other = repeated.fit(np.repeat(X, s, axis=0), np.repeat(y, s), epochs=12, optimizer=BayesianRegularization())
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-7)
    for name in ("gamma", "alpha", "beta", "evidence"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-7)


def test_missing_targets_do_not_count():
    X, y, _ = teacher(noise=0.2)
    gone = np.where(np.arange(60) % 4 == 0, np.nan, y)
    full, part = net(missing_targets=True, reduction="sum"), net(reduction="sum")
    one = full.fit(X, gone, epochs=12, optimizer=BayesianRegularization())
    other = part.fit(
        X[np.arange(60) % 4 != 0], y[np.arange(60) % 4 != 0], epochs=12, optimizer=BayesianRegularization()
    )
    np.testing.assert_allclose(full.params, part.params, rtol=1e-7)
    np.testing.assert_allclose(one.evidence, other.evidence, rtol=1e-7)


def test_fixed_parameters_are_no_parameters():
    X, y, _ = teacher(noise=0.2)
    network = net()
    network.layers[0].trainable = False
    before = network.params.copy()
    history = network.fit(X, y, epochs=50, optimizer=BayesianRegularization())
    assert network.params[:9].tobytes() == before[:9].tobytes()
    assert 3 < history.gamma[-1] <= 4
    w = network.params[9:]
    assert history.alpha[-1] == pytest.approx(history.gamma[-1] / (2 * w @ w))


def test_parameters_of_zero_and_single_precision():
    X, y, _ = teacher(noise=0.2)
    network = net(dtype="float32")
    network.params[:] = 0
    history = network.fit(X, y, epochs=20, optimizer=BayesianRegularization())
    assert np.isfinite([history[name] for name in history]).all()
    again = net(dtype="float32", seed=5)
    history = again.fit(X, y, epochs=200, optimizer=BayesianRegularization())
    assert history.stopped
    double = net(seed=5).fit(X, y, epochs=200, optimizer=BayesianRegularization())
    assert history.gamma[-1] == pytest.approx(double.gamma[-1], rel=0.05)


def test_both_squared_errors_are_one_method():
    """E_D is the sum of the squares, whatever a loss divides it by."""
    X, y, _ = teacher(noise=0.2)
    Y = np.c_[y, np.cos(y)]
    paths = []
    for loss in ("half_squared_error", "mean_squared_error"):
        network = net(layers=[3, 2], loss=loss)
        history = network.fit(X, Y, epochs=10, optimizer=BayesianRegularization())
        paths.append([network.params, *(history[name] for name in ("mu", "gamma", "alpha", "beta", "evidence"))])
    for one, other in zip(*paths, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


REFUSED = {
    "another loss": ({"output": "sigmoid"}, "half_squared_error and mean_squared_error, not for binary_cross_entropy"),
    "a penalty": ({"layers": [cbp.Dense(3, "tanh", l2=0.1), 1]}, "finds the penalty on the weights by itself"),
    "heads": (
        {"heads": [(slice(0, 1), "identity", "half_squared_error")]},
        "half_squared_error and mean_squared_error",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        net(**arguments).fit(np.zeros((4, 2)), np.zeros((4, 1)), optimizer=BayesianRegularization())
