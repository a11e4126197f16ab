"""Derivation E: row vectors, z^(k+1) = o^k W^k without biases, the cost summed over samples.

W[k][i][j] leads from unit i of layer k to unit j of layer k + 1; a sample is a row. The error goes back through the
transposed forward matrix. cbp always has biases: here they start at zero, and the derivation says nothing of them.
"""

import math

import numpy as np
import pytest

import cbp

WIDTHS = (3, 4, 3, 2)
M = 6
RATE = 0.1
TOLERANCE = 1e-12


def sigma(z):
    return 1 / (1 + math.exp(-z))


def times(row, W):
    """Row vector times matrix: (n) (n, p) -> (p)."""
    return [sum(o * W[i][j] for i, o in enumerate(row)) for j in range(len(W[0]))]


def transpose(W):
    return [list(column) for column in zip(*W, strict=True)]


def outputs(W, x):
    """o[k] of layers k = 1 .. L."""
    o = {1: list(x)}
    for k in W:
        o[k + 1] = [sigma(z) for z in times(o[k], W[k])]
    return o


def errors(W, o, y):
    """dL/dz[k] of layers k = 2 .. L: (y_hat - y) sigma'(z) at the end, shared out by W transposed below."""
    last = max(o)
    back = [a - t for a, t in zip(o[last], y, strict=True)]
    dz = {}
    for k in range(last, 1, -1):
        dz[k] = [e * a * (1 - a) for e, a in zip(back, o[k], strict=True)]
        back = times(dz[k], transpose(W[k - 1]))
    return dz


def gradient(W, runs):
    """dL/dW[k] = sum over samples of the outer product of o[k] and dL/dz[k + 1]."""
    return {
        k: [[sum(o[k][i] * dz[k + 1][j] for o, dz in runs) for j in range(len(W[k][0]))] for i in range(len(W[k]))]
        for k in W
    }


@pytest.fixture
def case():
    rng = np.random.default_rng(5)
    kinds = {"activation": "sigmoid", "loss": "half_squared_error", "reduction": "sum", "dtype": "float64"}
    net = cbp.Network(list(WIDTHS), seed=5, **kinds)
    net.params[:] = rng.normal(0, 1, net.n_params)
    for layer in net.layers:
        layer.b[:] = 0
    return net, rng.normal(0, 1, (M, WIDTHS[0])), rng.uniform(0, 1, (M, WIDTHS[-1]))


def book(net, X, Y):
    W = {k: layer.W.tolist() for k, layer in enumerate(net.layers, start=1)}
    runs = []
    for x, y in zip(X.tolist(), Y.tolist(), strict=True):
        o = outputs(W, x)
        runs.append((o, errors(W, o, y)))
    return W, runs, gradient(W, runs)


def test_outputs(case):
    net, X, Y = case
    runs = book(net, X, Y)[1]
    net.forward(X)
    for k in range(1, 5):
        np.testing.assert_allclose(net.activations[k - 1], [o[k] for o, _ in runs], rtol=TOLERANCE)


def test_cost_is_summed_over_samples(case):
    net, X, Y = case
    runs = book(net, X, Y)[1]
    pairs = [pair for (o, _), y in zip(runs, Y.tolist(), strict=True) for pair in zip(o[4], y, strict=True)]
    want = sum((a - t) ** 2 / 2 for a, t in pairs)
    net.forward(X)
    assert net.backward(Y) == pytest.approx(want, rel=TOLERANCE)


def test_deltas(case):
    net, X, Y = case
    runs = book(net, X, Y)[1]
    net.forward(X)
    net.backward(Y)
    for l in range(1, 4):
        np.testing.assert_allclose(net.deltas[l], [dz[l + 1] for _, dz in runs], rtol=TOLERANCE)


def test_gradients_are_summed_over_samples(case):
    net, X, Y = case
    grads = book(net, X, Y)[2]
    net.forward(X)
    net.backward(Y)
    for k, layer in enumerate(net.layers, start=1):
        np.testing.assert_allclose(layer.grad_W, grads[k], rtol=TOLERANCE)


def test_updated_weights(case):
    net, X, Y = case
    W, _, grads = book(net, X, Y)
    net.train_step(X, Y, learning_rate=RATE)
    for k, layer in enumerate(net.layers, start=1):
        new = [[w - RATE * g for w, g in zip(*pair, strict=True)] for pair in zip(W[k], grads[k], strict=True)]
        np.testing.assert_allclose(layer.W, new, rtol=TOLERANCE)


def test_online_learning_is_a_batch_of_one(case):
    net, X, Y = case
    W, runs, _ = book(net, X[:1], Y[:1])
    o, dz = runs[0]
    net.train_step(X[0], Y[0], learning_rate=RATE)
    want = [[W[2][i][j] - RATE * o[2][i] * dz[3][j] for j in range(WIDTHS[2])] for i in range(WIDTHS[1])]
    np.testing.assert_allclose(net.layers[1].W, want, rtol=TOLERANCE)
