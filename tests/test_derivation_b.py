"""Derivation B: L layers of any width, multi-label cross-entropy averaged over m samples.

Theta[l][i][j] leads to unit i of layer l + 1 from unit j of layer l; j = 0 is the bias unit. The output delta is
a - y: the slope of the sigmoid has cancelled against the cost. The gradient is the mean of the samples' gradients.
"""

import math

import numpy as np
import pytest

import cbp

RATE = 0.3
TOLERANCE = 1e-12
SHAPES = {"L=2": (3, 2), "L=3": (2, 4, 3), "L=5": (3, 5, 2, 6, 4), "one unit each": (1, 1, 1, 1)}


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def forward(Theta, x):
    a = [None, [1.0, *x]]
    for l in range(1, len(Theta)):
        units = [sigmoid(sum(t * v for t, v in zip(to, a[l], strict=True))) for to in Theta[l]]
        a.append([1.0, *units])
    return a


def backward(Theta, a, y):
    """delta[l][i], i from 1; delta[l][0] is unused, for the bias unit has no incoming weight."""
    L = len(Theta)
    delta = [None] * (L + 1)
    delta[L] = [None, *(a[L][k] - y[k - 1] for k in range(1, len(a[L])))]
    for l in range(L - 1, 1, -1):
        S_above = len(a[l + 1]) - 1
        delta[l] = [None]
        for j in range(1, len(a[l])):
            total = sum(Theta[l][k - 1][j] * delta[l + 1][k] for k in range(1, S_above + 1))
            delta[l].append(total * a[l][j] * (1 - a[l][j]))
    return delta


def gradient(Theta, runs, l, i, j):
    """(1/m) sum over samples of delta_i^(l+1) a_j^(l)."""
    return sum(delta[l + 1][i + 1] * a[l][j] for a, delta in runs) / len(runs)


def cost(a, y):
    return -sum(t * math.log(o) + (1 - t) * math.log(1 - o) for o, t in zip(a[-1][1:], y, strict=True))


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def case(request):
    widths, m = request.param, 7
    rng = np.random.default_rng(2)
    net = cbp.Network(list(widths), activation="sigmoid", dtype="float64", seed=2)
    net.params[:] = rng.normal(0, 1, net.n_params)
    return net, rng.normal(0, 1, (m, widths[0])), (rng.random((m, widths[-1])) < 0.5).astype(float)


def book(net, X, Y):
    Theta = [None, *(layer.theta.T.tolist() for layer in net.layers)]
    runs = []
    for x, y in zip(X.tolist(), Y.tolist(), strict=True):
        a = forward(Theta, x)
        runs.append((a, backward(Theta, a, y)))
    return Theta, runs


def gradients(Theta, runs):
    return [
        [[gradient(Theta, runs, l, i, j) for j in range(len(Theta[l][0]))] for i in range(len(Theta[l]))]
        for l in range(1, len(Theta))
    ]


def test_cross_entropy_is_the_default_loss_of_sigmoid_outputs(case):
    assert case[0].get_config()["loss"] == "binary_cross_entropy"


def test_cost_is_summed_over_units_and_averaged_over_samples(case):
    net, X, Y = case
    runs = book(net, X, Y)[1]
    want = sum(cost(a, y) for (a, _), y in zip(runs, Y.tolist(), strict=True)) / len(X)
    net.forward(X)
    assert net.backward(Y) == pytest.approx(want, rel=TOLERANCE)


def test_deltas(case):
    net, X, Y = case
    runs = book(net, X, Y)[1]
    net.forward(X)
    net.backward(Y)
    for l in range(1, len(net.layers) + 1):
        want = [delta[l + 1][1:] for _, delta in runs]
        np.testing.assert_allclose(net.deltas[l], want, rtol=TOLERANCE)


def test_gradients(case):
    net, X, Y = case
    net.forward(X)
    net.backward(Y)
    for layer, want in zip(net.layers, gradients(*book(net, X, Y)), strict=True):
        np.testing.assert_allclose(layer.grad_W.T, np.array(want)[:, 1:], rtol=TOLERANCE, atol=1e-16)
        np.testing.assert_allclose(layer.grad_b, np.array(want)[:, 0], rtol=TOLERANCE, atol=1e-16)


def test_updated_parameters(case):
    net, X, Y = case
    Theta, runs = book(net, X, Y)
    grads = gradients(Theta, runs)
    net.train_step(X, Y, learning_rate=RATE)
    for layer, old, grad in zip(net.layers, Theta[1:], grads, strict=True):
        new = [[w - RATE * g for w, g in zip(*pair, strict=True)] for pair in zip(old, grad, strict=True)]
        np.testing.assert_allclose(layer.theta.T, new, rtol=TOLERANCE)
