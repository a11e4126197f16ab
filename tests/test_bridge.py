"""The objective of a network for SciPy's minimisers and other people's."""

import numpy as np
import pytest
from helpers import same_bytes

import cbp
from cbp import _core
from cbp.methods import objective


def problem(dtype="float64", **kwargs):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = np.sin(X[:, :1]) * X[:, 1:]
    layers = [2, cbp.Dense(4, "tanh", l2=1e-3), cbp.Dense(1, "identity", l2=1e-3)]
    return cbp.Network(layers, dtype=dtype, seed=1, **kwargs), X, y


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "Newton-CG", "trust-krylov"])
def test_scipy_minimises_a_network(method):
    optimize = pytest.importorskip("scipy.optimize")
    net, X, y = problem()
    f = objective(net, X, y)
    second = {"hessp": f.hessp} if method in ("Newton-CG", "trust-krylov") else {}
    found = optimize.minimize(f, f.theta, jac=True, method=method, options={"maxiter": 2000}, **second)
    f.accept(found.x)
    assert net.loss(X, y) < 0.2 * cbp.Network.from_config(net.get_config()).loss(X, y)
    assert np.abs(f(net.params)[1]).max() < 1e-3


def test_it_is_loss_gradient_and_product_of_the_network():
    net, X, y = problem()
    weight = np.random.default_rng(1).uniform(0, 2, len(X))
    f = objective(net, X, y, weight)
    theta, v = np.random.default_rng(2).normal(size=(2, net.n_params))
    other = net.copy()
    other.params[:] = theta
    J, gradient = f(list(theta))
    assert pytest.approx(other.gradient(X, y, sample_weight=weight), rel=1e-14) == J
    np.testing.assert_allclose(gradient, other.grad, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(f.hessp(theta, v), other.hvp(X, y, v, sample_weight=weight), rtol=1e-12, atol=1e-15)


def test_asking_changes_nothing():
    net, X, y = problem()
    before = net.params.copy()
    f = objective(net, X, y)
    f(before + 1)
    f.hessp(before + 1, before)
    assert same_bytes(net.params, before)
    assert same_bytes(f.theta, before)
    f.theta[:] = 0
    assert same_bytes(net.params, before)


def test_accept_leaves_what_is_fixed():
    net, X, y = problem()
    mask = np.ones(net.n_params)
    mask[::3] = 0
    net.mask = mask
    f, before = objective(net, X, y), net.params.copy()
    assert (f(before)[1][mask == 0] == 0).all()
    f.accept(before + 1)
    np.testing.assert_array_equal(net.params, np.where(mask, before + 1, before))


def test_single_precision_is_asked_and_answered_in_double():
    net, X, y = problem("float32")
    f = objective(net, X, y)
    _, gradient = f(np.zeros(net.n_params))
    assert gradient.dtype == f.hessp(net.params, gradient).dtype == np.float64


@pytest.mark.parametrize("ask", [lambda f: f([1.0]), lambda f: f.hessp(f.theta, [1.0]), lambda f: f.accept([1.0])])
def test_vectors_of_another_length_are_refused(ask):
    net, X, y = problem()
    with pytest.raises(ValueError, match=r"must have shape \(17,\), not \(1,\)"):
        ask(objective(net, X, y))


def test_data_are_scaled_as_the_network_has_learned():
    net, X, y = problem(scale_inputs="standard", scale_targets="standard")
    net.learn_scaling(X, y)
    J, _ = objective(net, X, y)(net.params)
    assert pytest.approx(net.loss(X, y)) == J


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_point_on_a_line_is_where_moved_and_gradient_say(dtype, weighted):
    net, X, y = problem(dtype)
    weight = np.linspace(0.5, 2, len(X)) if weighted else None
    f = objective(net, X, y, weight)
    direction = np.random.default_rng(3).normal(size=f.n)
    loss, slope, there, gradient = f.along(f.theta, direction, 0.3)
    expected = f.moved(f.theta, direction * 0.3)
    assert (there.dtype, gradient.dtype) == (dtype, np.float64)
    assert there.tobytes() == expected.tobytes() != f.theta.tobytes()
    assert (loss, gradient.tobytes()) == (f.gradient(expected)[0], f.gradient(expected)[1].tobytes())
    assert slope == _core.dot(direction, gradient)
    f.accept(there)
    assert net.gradient(X, y, weight) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(gradient, net.grad, rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-6)
