"""Derivation A: the bias is unit 0 of every layer, the cost is half the squared error, learning is online.

Theta[l][j][i] leads from unit j of layer l to unit i of layer l + 1, j = 0 being the unit whose activation is 1. Every
delta is the product of two factors and every gradient of three: (1) what the error would change by with the unit's
activation, (2) the activation's slope, (3) what came in over the weight. Layers count from 1, as the derivation does.
"""

import math

import numpy as np
import pytest

import cbp

WIDTHS = (4, 5, 3, 2)
RATE = 0.5
TOLERANCE = 1e-12


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def forward(Theta, x):
    """a[l][i] for layers l = 1 .. L; a[l][0] = 1 is the bias unit."""
    a = {1: [1.0, *x]}
    for l in range(1, len(Theta) + 1):
        n = len(Theta[l][0])
        z = [sum(Theta[l][j][i] * a[l][j] for j in range(len(a[l]))) for i in range(n)]
        a[l + 1] = [1.0, *(sigmoid(v) for v in z)]
    return a


def backward(Theta, a, d):
    """delta[l][i] = (1) * (2) of layers l = 2 .. L; i counts from 1, entry 0 is unused."""
    last = len(Theta) + 1
    delta = {last: [None]}
    for i in range(1, len(a[last])):
        delta[last].append((a[last][i] - d[i - 1]) * a[last][i] * (1 - a[last][i]))
    for l in range(last - 1, 1, -1):
        delta[l] = [None]
        for i in range(1, len(a[l])):
            propagated = sum(delta[l + 1][k] * Theta[l][i][k - 1] for k in range(1, len(a[l + 1])))
            delta[l].append(propagated * a[l][i] * (1 - a[l][i]))
    return delta


def gradient(Theta, a, delta):
    """dJ/dTheta[l][j][i] = (1) * (2) * (3)."""
    return {
        l: [[delta[l + 1][i + 1] * a[l][j] for i in range(len(Theta[l][0]))] for j in range(len(a[l]))] for l in Theta
    }


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    net = cbp.Network(list(WIDTHS), activation="sigmoid", loss="half_squared_error", dtype="float64", seed=1)
    net.params[:] = rng.normal(0, 1, net.n_params)
    return net, rng.normal(0, 1, WIDTHS[0]), rng.uniform(0, 1, WIDTHS[-1])


def book(net, x, d):
    Theta = {l + 1: layer.theta.tolist() for l, layer in enumerate(net.layers)}
    a = forward(Theta, x.tolist())
    delta = backward(Theta, a, d.tolist())
    return Theta, a, delta, gradient(Theta, a, delta)


def test_activations(case):
    net, x, d = case
    a = book(net, x, d)[1]
    net.forward(x)
    for l in range(len(WIDTHS)):
        np.testing.assert_allclose(net.activations[l], [a[l + 1][1:]], rtol=TOLERANCE)


def test_cost_is_half_the_squared_error(case):
    net, x, d = case
    a = book(net, x, d)[1]
    net.forward(x)
    J = sum((o - t) ** 2 for o, t in zip(a[4][1:], d, strict=True)) / 2
    assert net.backward(d) == pytest.approx(J, rel=TOLERANCE)


def test_deltas(case):
    net, x, d = case
    delta = book(net, x, d)[2]
    net.forward(x)
    net.backward(d)
    for l in range(1, len(WIDTHS)):
        np.testing.assert_allclose(net.deltas[l], [delta[l + 1][1:]], rtol=TOLERANCE)


def test_gradients(case):
    net, x, d = case
    grad = book(net, x, d)[3]
    net.forward(x)
    net.backward(d)
    for l, layer in enumerate(net.layers):
        np.testing.assert_allclose(layer.grad_b, grad[l + 1][0], rtol=TOLERANCE)
        np.testing.assert_allclose(layer.grad_W, grad[l + 1][1:], rtol=TOLERANCE)


def test_updated_parameters(case):
    net, x, d = case
    Theta, _, _, grad = book(net, x, d)
    net.train_step(x, d, learning_rate=RATE)
    for l, layer in enumerate(net.layers, start=1):
        new = [[w - RATE * g for w, g in zip(*pair, strict=True)] for pair in zip(Theta[l], grad[l], strict=True)]
        np.testing.assert_allclose(layer.theta, new, rtol=TOLERANCE)
