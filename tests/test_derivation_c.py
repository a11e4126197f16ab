"""Derivation C: the four equations BP1 to BP4 for any cost and any activation, weights and biases apart.

w[l][j][k] leads to unit j of layer l from unit k of layer l - 1 and belongs, with b[l][j], to layer l = 2 .. L.

    BP1  delta_j^L = dC/da_j^L  sigma'(z_j^L)
    BP2  delta_j^l = sum_k w_kj^(l+1) delta_k^(l+1)  sigma'(z_j^l)
    BP3  dC/dw_jk^l = a_k^(l-1) delta_j^l
    BP4  dC/db_j^l = delta_j^l
"""

import math

import numpy as np
import pytest
from helpers import activation, hidden_and_output, targets
from reference import activate, rows, slope

import cbp

WIDTHS = (3, 4, 5, 2)
RATE = 0.25
TOLERANCE = 1e-12


def half_squared_error(a, y):
    return (a - y) ** 2 / 2, a - y


def cross_entropy(a, y):
    return -y * math.log(a) - (1 - y) * math.log(1 - a), (a - y) / (a * (1 - a))


COSTS = {"half_squared_error": half_squared_error, "binary_cross_entropy": cross_entropy}
CASES = [
    (hidden, (name, arg), cost)
    for hidden, (name, arg, cost) in hidden_and_output()
    if cost in COSTS and not rows("activations")[name]["row_wise"] and hidden[0] != "exp"  # saturates: log 0
]


class Book:
    """One sample through the four equations, by loops over single units."""

    def __init__(self, net, x, y, units, cost):
        L = len(net.layers) + 1
        self.w = {l: net.layers[l - 2].W.T.tolist() for l in range(2, L + 1)}
        self.b = {l: net.layers[l - 2].b.tolist() for l in range(2, L + 1)}
        self.z, self.a = {}, {1: x.tolist()}
        for l in range(2, L + 1):
            self.z[l] = [self.net_input(l, j) for j in range(len(self.b[l]))]
            self.a[l] = [float(activate(units[l][0], z, units[l][1])) for z in self.z[l]]
        both = [COSTS[cost](a, t) for a, t in zip(self.a[L], y.tolist(), strict=True)]
        self.C = sum(c for c, _ in both)
        self.delta = {L: [s * self.prime(units, L, j) for j, (_, s) in enumerate(both)]}
        for l in range(L - 1, 1, -1):
            self.delta[l] = [self.error(l, j) * self.prime(units, l, j) for j in range(len(self.b[l]))]

    def net_input(self, l, j):
        return sum(self.w[l][j][k] * a for k, a in enumerate(self.a[l - 1])) + self.b[l][j]

    def prime(self, units, l, j):
        name, arg = units[l]
        return float(slope(name, np.float64(self.z[l][j]), self.a[l][j], arg))

    def error(self, l, j):
        return sum(self.w[l + 1][k][j] * d for k, d in enumerate(self.delta[l + 1]))


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, (*case[0], *case[1], case[2]))))
def case(request):
    hidden, output, cost = request.param
    rng = np.random.default_rng(3)
    dense = [cbp.Dense(n, activation(*unit)) for n, unit in zip(WIDTHS[1:], (hidden, hidden, output), strict=True)]
    net = cbp.Network([WIDTHS[0], *dense], loss=cost, dtype="float64", seed=3)
    net.params[:] = rng.normal(0, 0.8, net.n_params)
    x, y = rng.normal(0, 1, WIDTHS[0]), targets(rng, cost, WIDTHS[-1])
    return net, x, y, Book(net, x, y, {2: hidden, 3: hidden, 4: output}, cost)


def test_bp1_and_bp2_deltas(case):
    net, x, y, book = case
    net.forward(x)
    assert net.backward(y) == pytest.approx(book.C, rel=TOLERANCE)
    for l in range(2, 5):
        np.testing.assert_allclose(net.deltas[l - 1], [book.delta[l]], rtol=TOLERANCE, atol=1e-15)


def test_bp3_and_bp4_gradients(case):
    net, x, y, book = case
    net.forward(x)
    net.backward(y)
    for l, layer in enumerate(net.layers, start=2):
        bp3 = [[a * delta for a in book.a[l - 1]] for delta in book.delta[l]]
        np.testing.assert_allclose(layer.grad_W.T, bp3, rtol=TOLERANCE, atol=1e-15)
        np.testing.assert_allclose(layer.grad_b, book.delta[l], rtol=TOLERANCE, atol=1e-15)


def test_update_of_weights_and_biases(case):
    net, x, y, book = case
    net.train_step(x, y, learning_rate=RATE)
    for l, layer in enumerate(net.layers, start=2):
        for j, delta in enumerate(book.delta[l]):
            w = [book.w[l][j][k] - RATE * a * delta for k, a in enumerate(book.a[l - 1])]
            np.testing.assert_allclose(layer.W[:, j], w, rtol=TOLERANCE)
            assert layer.b[j] == pytest.approx(book.b[l][j] - RATE * delta, rel=TOLERANCE)
