"""Derivation D: unit by unit, each unit with an activation of its own; a 3-3-2 network worked through by hand.

w[k][i, j] leads from unit i of layer k to unit j of layer k + 1 (k = 1, 2), b[k][j] is the bias of unit j of layer k
(k = 2, 3), f[k][j] that unit's activation, net[k][j] its input and o[k][j] its output. The delta carries the layer of
the weights below it: delta[k][j] belongs to unit j of layer k + 1. All units count from 1.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import cbp

RATE = 0.5
TOLERANCE = 1e-12
UNITS = range(1, 4)
OUTPUTS = range(1, 3)
WEIGHTS = ((1, UNITS), (2, OUTPUTS))


def sigmoid(net):
    return 1 / (1 + math.exp(-net))


# name: f(net), f'(net)
F = {
    "sigmoid": (sigmoid, lambda net: sigmoid(net) * (1 - sigmoid(net))),
    "tanh": (math.tanh, lambda net: 1 - math.tanh(net) ** 2),
    "relu": (lambda net: max(net, 0.0), lambda net: float(net > 0)),
    "identity": (lambda net: net, lambda net: 1.0),
}
CASES = {
    "all sigmoid": (["sigmoid"] * 3, ["sigmoid"] * 2),
    "one each": (["sigmoid", "tanh", "relu"], ["identity", "sigmoid"]),
    "another order": (["relu", "identity", "tanh"], ["tanh", "relu"]),
    "alternating": (["tanh", "sigmoid", "tanh"], ["sigmoid", "identity"]),
}


def first(values):
    """Number a list from 1."""
    return dict(enumerate(values, start=1))


def work_through(w, b, f, o, target):
    """Fill in net, o, E, delta, the gradients and the new parameters, one formula a line."""
    net, E, delta = {}, {}, {1: {}, 2: {}}
    net[2] = {j: sum(w[1][i, j] * o[1][i] for i in UNITS) + b[2][j] for j in UNITS}
    o[2] = {j: F[f[2][j]][0](net[2][j]) for j in UNITS}
    net[3] = {j: sum(w[2][i, j] * o[2][i] for i in UNITS) + b[3][j] for j in OUTPUTS}
    o[3] = {j: F[f[3][j]][0](net[3][j]) for j in OUTPUTS}
    E = sum((o[3][j] - target[j]) ** 2 / 2 for j in OUTPUTS)
    delta[2] = {j: (o[3][j] - target[j]) * F[f[3][j]][1](net[3][j]) for j in OUTPUTS}
    delta[1] = {j: sum(delta[2][k] * w[2][j, k] for k in OUTPUTS) * F[f[2][j]][1](net[2][j]) for j in UNITS}
    dw = {k: {(i, j): delta[k][j] * o[k][i] for i, j in w[k]} for k in (1, 2)}
    new_w = {k: {ij: w[k][ij] - RATE * dw[k][ij] for ij in w[k]} for k in (1, 2)}
    new_b = {k: {j: b[k][j] - RATE * delta[k - 1][j] for j in b[k]} for k in (2, 3)}
    return SimpleNamespace(w=w, b=b, f=f, o=o, net=net, E=E, delta=delta, dw=dw, new_w=new_w, new_b=new_b)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    hidden, output = request.param
    rng = np.random.default_rng(4)
    layers = [3, cbp.Dense(3, hidden), cbp.Dense(2, output)]
    net = cbp.Network(layers, loss="half_squared_error", dtype="float64", seed=4)
    net.params[:] = rng.uniform(0.1, 1, net.n_params)
    x, target = rng.uniform(0.1, 1, 3), rng.uniform(0, 1, 2)
    W = {k: net.layers[k - 1].W.tolist() for k in (1, 2)}
    w = {k: {(i, j): W[k][i - 1][j - 1] for i in UNITS for j in columns} for k, columns in WEIGHTS}
    b = {k: first(net.layers[k - 2].b.tolist()) for k in (2, 3)}
    f = {2: first(hidden), 3: first(output)}
    return net, x, target, work_through(w, b, f, {1: first(x.tolist())}, first(target.tolist()))


def close(got, want):
    return got == pytest.approx(want, rel=TOLERANCE, abs=1e-15)


def test_outputs_and_total_error(case):
    net, x, target, book = case
    net.forward(x)
    for k in (1, 2, 3):
        assert close(net.activations[k - 1][0].tolist(), list(book.o[k].values()))
    assert close(net.backward(target), book.E)


def test_deltas(case):
    net, x, target, book = case
    net.forward(x)
    net.backward(target)
    for k in (1, 2):
        assert close(net.deltas[k][0].tolist(), list(book.delta[k].values()))


def test_gradients(case):
    net, x, target, book = case
    net.forward(x)
    net.backward(target)
    for k, columns in WEIGHTS:
        assert close(net.layers[k - 1].grad_b.tolist(), list(book.delta[k].values()))
        for i in UNITS:
            assert close(net.layers[k - 1].grad_W[i - 1].tolist(), [book.dw[k][i, j] for j in columns])


def test_all_new_parameters(case):
    net, x, target, book = case
    net.train_step(x, target, learning_rate=RATE)
    for k, columns in WEIGHTS:
        assert close(net.layers[k - 1].b.tolist(), list(book.new_b[k + 1].values()))
        for i in UNITS:
            assert close(net.layers[k - 1].W[i - 1].tolist(), [book.new_w[k][i, j] for j in columns])


def test_worked_example_of_the_output_weight_w_11(case):
    net, x, target, book = case
    net.train_step(x, target, learning_rate=RATE)
    delta = (book.o[3][1] - target[0]) * F[book.f[3][1]][1](book.net[3][1])
    assert close(net.layers[1].W[0, 0], book.w[2][1, 1] - RATE * delta * book.o[2][1])


def test_worked_example_of_the_hidden_weight_w_23(case):
    net, x, target, book = case
    net.train_step(x, target, learning_rate=RATE)
    assert close(net.layers[0].W[1, 2], book.w[1][2, 3] - RATE * delta_of_hidden_unit_3(book, target) * x[1])


def test_worked_example_of_the_output_bias_b_1(case):
    net, x, target, book = case
    net.train_step(x, target, learning_rate=RATE)
    delta = (book.o[3][1] - target[0]) * F[book.f[3][1]][1](book.net[3][1])
    assert close(net.layers[1].b[0], book.b[3][1] - RATE * delta)


def test_worked_example_of_the_hidden_bias_b_3(case):
    net, x, target, book = case
    net.train_step(x, target, learning_rate=RATE)
    assert close(net.layers[0].b[2], book.b[2][3] - RATE * delta_of_hidden_unit_3(book, target))


def delta_of_hidden_unit_3(book, target):
    """Both output units send their error back to hidden unit 3."""
    by_1 = (book.o[3][1] - target[0]) * F[book.f[3][1]][1](book.net[3][1]) * book.w[2][3, 1]
    by_2 = (book.o[3][2] - target[1]) * F[book.f[3][2]][1](book.net[3][2]) * book.w[2][3, 2]
    return (by_1 + by_2) * F[book.f[2][3]][1](book.net[2][3])
