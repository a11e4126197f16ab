"""The page on curvature: its formulas, written out in NumPy, against complex steps of the formulas before them.

A chain of proofs: the gradient of the oracle is checked elsewhere; here R-operator and Jacobian are complex steps of
it and of the outputs, the Gauss-Newton matrix is made from the Jacobian, and cbp gives the same numbers as all three.
Levenberg and Marquardt's step and MacKay's evidence are checked by what they are meant to be.
"""

import numpy as np
import pytest
from helpers import network, problem, uniform_layer
from reference import Oracle, complex_step

import cbp

CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def sigma(z):
    return 1 / (1 + np.exp(-z))


# The page's table: g, g', g'' of z
ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: z**0, lambda z: 0 * z),
    "sigmoid": (sigma, lambda z: sigma(z) * (1 - sigma(z)), lambda z: sigma(z) * (1 - sigma(z)) * (1 - 2 * sigma(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2, lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2)),
    "softplus": (lambda z: np.log(1 + np.exp(z)), sigma, lambda z: sigma(z) * (1 - sigma(z))),
    "exp": (np.exp, np.exp, np.exp),
    "gaussian": (
        lambda z: np.exp(-(z**2)),
        lambda z: -2 * z * np.exp(-(z**2)),
        lambda z: (4 * z**2 - 2) * np.exp(-(z**2)),
    ),
}


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


# The page's table of costs that are cut at the net inputs: a(z), and the curvature of C by z
CANONICAL = {
    ("half_squared_error", "identity"): (lambda z: z, lambda a: np.eye(len(a))),
    ("binary_cross_entropy", "sigmoid"): (sigma, lambda a: np.diag(a * (1 - a))),
    ("categorical_cross_entropy", "softmax"): (softmax, lambda a: np.diag(a) - np.outer(a, a)),
    ("poisson", "exp"): (np.exp, np.diag),
}
HIDDEN = ("tanh", "sigmoid", "softplus", "gaussian")


def squared(hidden, output):
    """A network with two hidden layers and squared error, and data."""
    oracle = Oracle((3, 4, 3, 2), tuple(uniform_layer(n, f) for n, f in ((4, hidden), (3, hidden), (2, output))),
                    "half_squared_error")  # fmt: skip
    return oracle, *problem(oracle, 5, seed=11)


every_pair = pytest.mark.parametrize(("hidden", "output"), [(h, o) for h in HIDDEN for o in ("identity", "sigmoid")])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivatives_are_those_of_the_first(name):
    g, first, second = ACTIVATIONS[name]
    z = np.linspace(-3, 3, 31)
    np.testing.assert_allclose(first(z), g(z + 1e-40j).imag / 1e-40, **CLOSE)
    np.testing.assert_allclose(second(z), first(z + 1e-40j).imag / 1e-40, **CLOSE)


# ---- Jacobian ----


def jacobian(oracle, theta, X, hidden, output):
    """The page's first equations: unit vectors sent down, a row for each output, nothing summed over the samples."""
    Z, A = oracle.forward(theta, X)
    blocks = oracle.blocks(theta)
    slopes = [ACTIVATIONS[hidden][1]] * (len(blocks) - 1) + [ACTIVATIONS[output][1]]
    rows, inputs = [], []
    for k in range(A[-1].shape[1]):
        delta = np.eye(A[-1].shape[1])[k] * slopes[-1](Z[-1])
        parts = []
        for l in range(len(blocks), 0, -1):
            parts.insert(0, np.concatenate([delta[:, None], A[l - 1][:, :, None] * delta[:, None]], axis=1))
            back = delta @ blocks[l - 1][1:].T
            delta = back * slopes[l - 2](Z[l - 1]) if l > 1 else back
        rows.append(np.hstack([part.reshape(len(X), -1) for part in parts]))
        inputs.append(delta)
    return np.stack(rows, axis=1), np.stack(inputs, axis=1)


@every_pair
def test_unit_vectors_sent_down_are_the_jacobian(hidden, output):
    oracle, theta, X, _, _ = squared(hidden, output)
    by_params, by_inputs = jacobian(oracle, theta, X, hidden, output)
    for r, k in np.ndindex(len(X), 2):
        truth = complex_step(lambda t, r=r, k=k: oracle.forward(t, X[r : r + 1])[1][-1][0, k], theta)
        np.testing.assert_allclose(by_params[r, k], truth, **CLOSE)
        truth = complex_step(lambda x, k=k: oracle.forward(theta, x[None])[1][-1][0, k], X[r])
        np.testing.assert_allclose(by_inputs[r, k], truth, **CLOSE)
    net = network(oracle, theta)
    np.testing.assert_allclose(net.jacobian(X), by_params, **CLOSE)
    np.testing.assert_allclose(net.jacobian(X, wrt="inputs"), by_inputs, **CLOSE)


# ---- Hessian ----


def hessian_times(oracle, theta, v, X, y, s, hidden, output):
    """The R-operator as the page has it, for squared error."""
    blocks, moves = oracle.blocks(theta), oracle.blocks(v)
    kinds = [ACTIVATIONS[hidden]] * (len(blocks) - 1) + [ACTIVATIONS[output]]
    A, RA, Z, RZ = [X], [np.zeros_like(X)], [None], [None]
    for t, move, (g, first, _) in zip(blocks, moves, kinds, strict=True):
        Z.append(t[0] + A[-1] @ t[1:])
        RZ.append(move[0] + RA[-1] @ t[1:] + A[-1] @ move[1:])
        A.append(g(Z[-1]))
        RA.append(first(Z[-1]) * RZ[-1])
    _, first, second = kinds[-1]
    e = A[-1] - y
    delta, Rdelta = e * first(Z[-1]), (first(Z[-1]) ** 2 + e * second(Z[-1])) * RZ[-1]
    out = []
    for l in range(len(blocks), 0, -1):
        W_part = RA[l - 1].T @ (s[:, None] * delta) + A[l - 1].T @ (s[:, None] * Rdelta)
        out.insert(0, np.vstack([s @ Rdelta, W_part]))
        if l > 1:
            _, first, second = kinds[l - 2]
            e = delta @ blocks[l - 1][1:].T
            Re = Rdelta @ blocks[l - 1][1:].T + delta @ moves[l - 1][1:].T
            delta, Rdelta = e * first(Z[l - 1]), Re * first(Z[l - 1]) + e * second(Z[l - 1]) * RZ[l - 1]
    return np.concatenate([block.ravel() for block in out]) / s.sum()


@every_pair
def test_the_r_operator_is_how_the_gradient_changes(hidden, output):
    oracle, theta, X, y, s = squared(hidden, output)
    v = np.random.default_rng(2).normal(size=theta.size)
    truth = oracle.gradient(theta + 1e-40j * v, X, y, s).imag / 1e-40
    np.testing.assert_allclose(hessian_times(oracle, theta, v, X, y, s, hidden, output), truth, **CLOSE)
    np.testing.assert_allclose(network(oracle, theta).hvp(X, y, v, s), truth, **CLOSE)


@every_pair
def test_gauss_newton_is_the_hessian_without_the_curvature_of_the_network(hidden, output):
    oracle, theta, X, y, s = squared(hidden, output)
    J = jacobian(oracle, theta, X, hidden, output)[0]
    G = np.einsum("r,rkp,rkq->pq", s, J, J) / s.sum()
    net = network(oracle, theta)
    np.testing.assert_allclose(net.gauss_newton(X, y, sample_weight=s), G, **CLOSE)
    outputs = oracle.forward(theta, X)[1][-1]
    v = np.random.default_rng(3).normal(size=theta.size)  # without errors the second part vanishes, and G is H
    np.testing.assert_allclose(hessian_times(oracle, theta, v, X, outputs, s, hidden, output), G @ v, **CLOSE)
    np.testing.assert_allclose(net.gauss_newton(X, y, v, s), G @ v, **CLOSE)


@pytest.mark.parametrize(("loss", "output"), CANONICAL)
def test_canonical_pairs_have_the_slope_of_the_activation_as_their_curvature(loss, output):
    g, curvature = CANONICAL[loss, output]
    z = np.array([0.3, -0.8, 0.5])
    np.testing.assert_allclose(curvature(g(z)), jacobian_of(g, z), **CLOSE)
    oracle = Oracle((2, 4, 3), (uniform_layer(4, "tanh"), uniform_layer(3, output)), loss)
    theta, X, y, s = problem(oracle, 6, seed=4)
    last = Oracle((2, 4, 3), (uniform_layer(4, "tanh"), uniform_layer(3, "identity")), "half_squared_error")
    J = jacobian(last, theta, X, "tanh", "identity")[0]  # of the net inputs
    C = np.array([curvature(a) for a in g(last.forward(theta, X)[1][-1])])
    G = np.einsum("r,rkp,rkl,rlq->pq", s, J, C, J) / s.sum()
    net = network(oracle, theta)
    G /= 3 if loss == "poisson" else 1  # the one of the four that is a mean over the outputs
    np.testing.assert_allclose(net.gauss_newton(X, y, sample_weight=s), G, **CLOSE)
    assert np.linalg.eigvalsh(G).min() > -1e-12


def jacobian_of(function, point):
    """J[i, j] = d function_i / d point_j, by complex steps."""
    steps = point + 1e-40j * np.eye(point.size)
    return np.stack([function(step).imag / 1e-40 for step in steps], axis=1)


# ---- Levenberg and Marquardt ----


def test_the_damped_step_lies_between_descent_and_gauss_newton():
    oracle, theta, X, y, s = squared("tanh", "identity")
    net = network(oracle, theta)
    G, g = net.gauss_newton(X, y, sample_weight=s), oracle.gradient(theta, X, y, s)
    identity = np.eye(theta.size)
    for mu in (1e-6, 1e-2, 1.0, 1e6):
        p = np.linalg.solve(G + mu * identity, -g)
        assert g @ p < 0
        np.testing.assert_allclose(-g @ p - p @ G @ p / 2, p @ (mu * p - g) / 2, rtol=1e-6)
        radius = np.linalg.norm(p)
        for turn in np.random.default_rng(0).normal(size=(20, theta.size)):  # no other point of its ball is lower
            other = p + 0.1 * radius * turn / np.linalg.norm(turn)
            other *= min(1, radius / np.linalg.norm(other))
            assert g @ other + other @ G @ other / 2 > g @ p + p @ G @ p / 2
    np.testing.assert_allclose(1e8 * np.linalg.solve(G + 1e8 * identity, -g), -g, rtol=1e-6, atol=1e-9)


# ---- Bayesian regularisation ----


def linear(seed):
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(30, 6)) * 3.0 ** -np.arange(6)
    return J, J @ rng.normal(size=6) + 0.2 * rng.normal(size=30)


def evidence(alpha, beta, J, y):
    """The logarithm of the normal density of y, whose covariance is that of noise and prior together."""
    covariance = np.eye(len(y)) / beta + J @ J.T / alpha
    log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return -(log_det + y @ np.linalg.solve(covariance, y)) / 2


def parts(alpha, beta, J, y):
    """E_D and E_W at the most probable parameters, and A."""
    A = beta * J.T @ J + alpha * np.eye(J.shape[1])
    theta = np.linalg.solve(A, beta * J.T @ y)
    return ((J @ theta - y) ** 2).sum() / 2, (theta**2).sum() / 2, A


@pytest.mark.parametrize("seed", range(3))
def test_the_evidence_is_the_probability_of_the_targets(seed):
    J, y = linear(seed)
    N, n = J.shape
    alpha, beta = 0.7, 5.0
    E_D, E_W, A = parts(alpha, beta, J, y)
    page = -beta * E_D - alpha * E_W - np.linalg.slogdet(A)[1] / 2
    page += n / 2 * np.log(alpha) + N / 2 * np.log(beta) - N / 2 * np.log(2 * np.pi)
    assert page == pytest.approx(evidence(alpha, beta, J, y), rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_re_estimation_ends_where_the_evidence_is_largest(seed):
    J, y = linear(seed)
    alpha = beta = 1.0
    for _ in range(2000):
        E_D, E_W, A = parts(alpha, beta, J, y)
        gamma = 6 - alpha * np.trace(np.linalg.inv(A))
        alpha, beta = gamma / (2 * E_W), (30 - gamma) / (2 * E_D)
    eigenvalues = np.linalg.eigvalsh(beta * J.T @ J)
    assert gamma == pytest.approx((eigenvalues / (eigenvalues + alpha)).sum(), rel=1e-8)
    h = 1e-5
    by_alpha = evidence(alpha * (1 + h), beta, J, y) - evidence(alpha * (1 - h), beta, J, y)
    by_beta = evidence(alpha, beta * (1 + h), J, y) - evidence(alpha, beta * (1 - h), J, y)
    assert abs(by_alpha) / (2 * h) < 1e-5
    assert abs(by_beta) / (2 * h) < 1e-5
    assert evidence(1.2 * alpha, beta, J, y) < evidence(alpha, beta, J, y) > evidence(alpha, 0.8 * beta, J, y)


def test_a_steepness_multiplies_the_second_derivative_by_its_square():
    net = cbp.Network([1, cbp.Dense(1, "tanh", steepness=3.0)], loss="half_squared_error", dtype="float64", seed=0)
    net.params[:] = [0.1, 0.4]
    x, z = 0.5, 0.1 + 0.4 * 0.5
    g, first, second = (f(3 * z) for f in ACTIVATIONS["tanh"])
    want = (9 * first**2 + (g - 0.2) * 9 * second) * np.array([[1, x], [x, x * x]])
    found = [net.hvp([[x]], [[0.2]], v) for v in np.eye(2)]
    np.testing.assert_allclose(found, want, **CLOSE)
