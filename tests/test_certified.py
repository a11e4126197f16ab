"""Minima that are known beforehand, or found by others, are reached to the digits stated.

Problems of two kinds. A small network makes the targets, and what is added to them is orthogonal to all the derivatives
of its outputs: its parameters remain the minimiser, and half the mean square of what was added is the minimum. And data
that no network made, with a penalty that keeps the minima finite: there SciPy's MINPACK, on formulas of NumPy, says
where they are.
"""

from functools import cache

import numpy as np
import pytest
from cases import each_of
from small import net, outputs, teacher

import cbp
from cbp.methods import BFGS, LBFGS, SCG, BayesianRegularization, LevenbergMarquardt, TruncatedNewton

# hidden units, inputs, rows, seed
PROBLEMS = {"1-1-1": (1, 1, 40, 0), "2-2-1": (2, 2, 80, 2), "2-3-1": (3, 2, 120, 3)}
NOISES = (0.0, 1e-3, 0.05)
STARTS = (0.3, 0.1, -0.2)  # relative distance of the parameters, of normal distribution

# method, steps, relative deviation of J where there is noise, J where there is none, deviation of a parameter
METHODS = {
    "levenberg_marquardt": (LevenbergMarquardt(min_grad=0), 100, 1e-12, 1e-30, 1e-6),
    "with Nielsen's rule": (LevenbergMarquardt(min_grad=0, damping="gain"), 100, 1e-12, 1e-30, 1e-6),
    "truncated_newton": (TruncatedNewton(min_grad=0), 100, 1e-12, 1e-30, 1e-6),
    "bfgs": (BFGS(min_grad=0), 300, 1e-12, 1e-30, 1e-6),
    "lbfgs": (LBFGS(min_grad=0), 300, 1e-12, 1e-30, 1e-6),
    "scg": (SCG(min_grad=0), 3000, 1e-6, 1e-12, 1e-3),
}
REGULARISED = {0.0: 1e-30, 1e-3: 1e-4, 0.05: 2e-2}


@cache
def problem(name, noise):
    """Return inputs, targets, minimiser and minimum."""
    hidden, n_in, m, seed = PROBLEMS[name]
    X, _, theta = teacher(hidden, n_in, m, seed)
    a, J = outputs(theta, X, hidden)
    Q = np.linalg.qr(J)[0]
    rest = np.random.default_rng(seed + 100).normal(size=m)
    for _ in range(2):
        rest -= Q @ (Q.T @ rest)
    rest *= noise / np.sqrt(rest @ rest / m)
    return X, a + rest, theta, rest @ rest / (2 * m)


def begun(name, start):
    """Return a network at some distance from the minimiser."""
    hidden, n_in, _, _ = PROBLEMS[name]
    theta = problem(name, 0.0)[2]
    network = net(hidden=hidden, n_in=n_in)
    network.params[:] = theta * (1 + STARTS[start] * np.random.default_rng(start).normal(size=len(theta)))
    return network


def slope(name, noise, theta):
    """The gradient, with NumPy."""
    X, y, _, _ = problem(name, noise)
    a, J = outputs(theta, X, PROBLEMS[name][0])
    return J.T @ (a - y) / len(y)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_minimisers_are_minimisers(name, noise):
    theta = problem(name, noise)[2]
    h = 1e-5
    H = [(slope(name, noise, theta + h * e) - slope(name, noise, theta - h * e)) / (2 * h) for e in np.eye(len(theta))]
    assert np.abs(slope(name, noise, theta)).max() < 1e-15
    assert np.linalg.eigvalsh((np.array(H) + np.transpose(H)) / 2)[0] > 1e-6


@pytest.mark.parametrize("which", METHODS)
@each_of("start", range(len(STARTS)))
@each_of("noise", NOISES)
@each_of("name", PROBLEMS)
def test_the_minimum_is_reached(which, name, noise, start):
    method, steps, relative, absolute, near = METHODS[which]
    X, y, theta, minimum = problem(name, noise)
    network = begun(name, start)
    assert network.loss(X, y) > 1.1 * minimum + 1e-4
    J = network.fit(X, y, epochs=steps, optimizer=method).loss[-1]
    assert abs(J / minimum - 1) < relative if noise else absolute > J
    assert np.abs(network.params - theta).max() < near


@pytest.mark.parametrize("name", PROBLEMS)
@each_of("start", range(len(STARTS)))
@each_of("noise", NOISES)
def test_bayesian_regularisation_ends_as_far_above_as_the_noise_tells(name, noise, start):
    X, y, _, minimum = problem(name, noise)
    network = begun(name, start)
    J = network.fit(X, y, epochs=300, optimizer=BayesianRegularization()).loss[-1]
    assert minimum < J < minimum * (1 + REGULARISED[noise]) if noise else REGULARISED[noise] > J
    numbers = network.method_state.numbers
    if noise:
        assert numbers["gamma"] == pytest.approx(len(network.params), rel=0.25)
        variance = 2 * minimum * len(y) / (len(y) - len(network.params))
        assert 0.5 / numbers["beta"] == pytest.approx(variance, rel=0.05)


# ---- data that no network made ----


def standard(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def friedman():
    """Friedman's first function (The Annals of Statistics 19, 1991): five of ten inputs, noise of deviation 1."""
    rng = np.random.default_rng(1)
    U = rng.uniform(size=(400, 10))
    y = 10 * np.sin(np.pi * U[:, 0] * U[:, 1]) + 20 * (U[:, 2] - 0.5) ** 2 + 10 * U[:, 3] + 5 * U[:, 4]
    return 2 * U - 1, standard(y + rng.normal(size=400))


def diabetes():
    """442 patients, 10 measurements each."""
    X, y = pytest.importorskip("sklearn.datasets").load_diabetes(return_X_y=True)
    return standard(X), standard(y)


DATA = {"friedman": friedman, "diabetes": diabetes}
UNITS, L2 = 2, 0.05


class Penalised:
    """The residuals of 10-2-1 on data, and those that the penalties of the weights add; and their derivatives."""

    def __init__(self, X, y):
        layers = [cbp.Dense(UNITS, "tanh", l2=L2), cbp.Dense(1, "identity", l2=L2)]
        self.X, self.y = X, y
        self.starts = [net(layers=layers, n_in=10, seed=seed) for seed in range(7)]
        self.shrink = np.full(12 * UNITS + 1, np.sqrt(L2 * len(y)))
        self.shrink[[*range(UNITS), 11 * UNITS]] = 0  # biases

    def residuals(self, theta):
        return np.concatenate([outputs(theta, self.X, UNITS)[0] - self.y, self.shrink * theta])

    def jacobian(self, theta):
        return np.concatenate([outputs(theta, self.X, UNITS)[1], np.diag(self.shrink)])

    def gradient(self, theta):
        return self.jacobian(theta).T @ self.residuals(theta) / len(self.y)

    def minimum(self, theta):
        """Return the minimum that MINPACK finds from there."""
        optimize = pytest.importorskip("scipy.optimize")
        tight = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
        return optimize.least_squares(self.residuals, theta, self.jacobian, method="lm", **tight).cost / len(self.y)


@cache
def penalised(data):
    """Return the problem and the least of the minima that SciPy finds."""
    found = Penalised(*DATA[data]())
    return found, min(found.minimum(network.params) for network in found.starts)


@pytest.mark.parametrize("optimizer", [LevenbergMarquardt(), LBFGS(), SCG()], ids=lambda method: method.name)
@pytest.mark.parametrize("data", DATA)
def test_every_start_ends_at_a_minimum_and_most_at_the_least(data, optimizer):
    problem, least = penalised(data)
    reached = 0
    for start in problem.starts:
        network = start.copy()
        J = network.fit(problem.X, problem.y, epochs=500, optimizer=optimizer).loss[-1]
        assert np.linalg.norm(problem.gradient(network.params)) < 2e-6
        assert problem.minimum(network.params) == pytest.approx(J, rel=1e-10)
        reached += abs(J / least - 1) < 1e-10
    assert reached >= 4
