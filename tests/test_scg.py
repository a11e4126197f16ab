"""Scaled conjugate gradients against the pseudo-code of the paper (Moller, Neural Networks 6, 1993), written out."""

import math
from itertools import pairwise

import numpy as np
import pytest
from searching import Function, drive, quadratic, rosenbrock

import cbp
from cbp.methods import SCG, objective


def moller(E, dE, w, iterations, sigma=5e-5, lam=5e-7, second=None):
    """Yield E, w, lambda and success after each iteration of the paper's algorithm.

    dE is E', second(w, p) the product of E'' and p where it is not to be a difference.
    """
    N = len(w)
    lam_bar, success, k = 0.0, True, 1
    p = r = -dE(w)
    for _ in range(iterations):
        if success:
            sigma_k = sigma / np.linalg.norm(p)
            s = second(w, p) if second else (dE(w + sigma_k * p) - dE(w)) / sigma_k
            delta = p @ s
        delta = delta + (lam - lam_bar) * (p @ p)
        if delta <= 0:
            lam_bar = 2 * (lam - delta / (p @ p))
            delta = -delta + lam * (p @ p)
            lam = lam_bar
        mu = p @ r
        alpha = mu / delta
        Delta = 2 * delta * (E(w) - E(w + alpha * p)) / mu**2
        p_k = p
        if Delta >= 0:
            w = w + alpha * p
            r_next = -dE(w)
            lam_bar, success = 0.0, True
            if k % N == 0:
                p = r_next
            else:
                beta = (r_next @ r_next - r_next @ r) / mu
                p = r_next + beta * p
            r = r_next
            if Delta >= 0.75:
                lam = lam / 4
        else:
            lam_bar, success = lam, False
        if Delta < 0.25:
            lam = lam + delta * (1 - Delta) / (p_k @ p_k)
        k += 1
        yield E(w), w, lam, success


def data(m=40, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 2))
    return X, np.sin(2 * X[:, :1]) * X[:, 1:]


def network(start, dtype="float64"):
    net = cbp.Network([2, 4, 1], activation="tanh", output="identity", dtype=dtype, seed=0)
    net.params[:] = start
    return net


@pytest.mark.parametrize("hessian", ["difference", "exact"])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_thirty_iterations_are_those_of_the_paper(scale, hessian):
    """From scale 3 on iterations fail and the matrix must be made positive.

    A last digit of a direction is four digits of a difference of gradients over 5e-5, and so on from step to step.
    """
    X, y = data()
    start = np.random.default_rng(5).normal(0, scale, 17)
    f = objective(network(start), X, y)
    second = f.hessp if hessian == "exact" else None
    wanted = list(moller(lambda w: f(w)[0], lambda w: f(w)[1], start, 30, second=second))
    state, losses, points = drive(SCG(hessian=hessian), f, 30)
    assert len(losses) == 31
    near = 1e-9 if hessian == "exact" else 1e-6
    for (E, w, _, _), loss, point in zip(wanted, losses[1:], points[1:], strict=True):
        assert loss == pytest.approx(E, rel=near)
        np.testing.assert_allclose(point, w, atol=near)
    assert state.numbers["lambda"] == pytest.approx(wanted[-1][2], rel=100 * near)
    if scale > 1:
        assert not all(success for *_, success in wanted)


def test_the_direction_starts_anew_after_as_many_iterations_as_parameters():
    f, _ = quadratic(5, seed=1)
    state, *_ = drive(SCG(min_grad=0.0), f, 4)
    assert not np.allclose(state.vectors["direction"], -f.gradient(f.theta)[1])
    drive(SCG(min_grad=0.0), f, 1, state)
    np.testing.assert_array_equal(state.vectors["direction"], -f.gradient(f.theta)[1])


def test_a_quadratic_takes_as_many_iterations_as_it_has_variables():
    f, minimum = quadratic(6, seed=2)
    drive(SCG(lambda_=1e-12, hessian="exact"), f, 6)
    np.testing.assert_allclose(f.theta, minimum, atol=1e-6)


def test_iterations_that_fail_change_nothing_and_raise_lambda():
    f = rosenbrock()
    state, losses, points = drive(SCG(), f, 400)
    failed = [i for i in range(len(points) - 1) if (points[i] == points[i + 1]).all()]
    assert failed
    assert all(losses[i] == losses[i + 1] for i in failed)
    assert all(after <= before for before, after in pairwise(losses))
    assert state.stop == "minimum gradient"
    np.testing.assert_allclose(f.theta, 1, atol=1e-4)


def test_figures_tell_of_the_step():
    f = rosenbrock()
    state, _, points = drive(SCG(), f, 1)
    assert state.figures["step"] == pytest.approx(np.linalg.norm(points[1] - points[0]))
    assert state.figures["gradient"] == pytest.approx(np.linalg.norm(f.gradient(f.theta)[1]))
    assert state.figures["lambda"] == state.numbers["lambda"]


def test_an_iteration_takes_two_gradients_or_one_and_a_product():
    for hessian, gradients, products in (("difference", 2, 0), ("exact", 1, 1)):
        f, _ = quadratic(8, seed=3)
        _, losses, _ = drive(SCG(hessian=hessian), f, 5)
        assert all(after < before for before, after in pairwise(losses))
        assert (f.evaluations, f.products) == (1 + 5 * gradients, 5 * products)


@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_shortens_the_next_steps(beyond):
    """The first step goes far beyond 3: the curvature at the start is nearly nothing."""
    f = Function(
        lambda x: beyond if abs(x[0]) > 3 else float(-math.cos(x[0])),
        lambda x: np.sin(x),
        [-3.0],
        lambda x: np.zeros((1, 1)),
    )
    state, losses, _ = drive(SCG(hessian="exact"), f, 60)
    assert state.stop == "minimum gradient"
    assert losses[1] == losses[0]
    assert f.theta == pytest.approx(0, abs=1e-4)


def test_a_flat_region_stops_the_training():
    f = Function(lambda x: 1.0, lambda x: np.ones(2), [0.0, 0.0])
    state, losses, _ = drive(SCG(), f, 100)
    assert state.stop == "no progress"
    assert len(losses) == 21


def test_steps_that_vanish_in_the_parameters_stop_the_training():
    f = Function(lambda x: float(abs(x[0])), np.sign, [1e-3], lambda x: np.array([[1e30]]))
    state, _, _ = drive(SCG(hessian="exact"), f, 100)
    assert state.stop == "step too small"
