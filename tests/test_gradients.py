"""Back-propagation against numeric derivatives, for everything that stands in the tables.

The numeric derivative is the complex step of the oracle's cost: no formula of back-propagation takes part in it. The
cases come from the tables, so a new activation or loss is tested by being there.
"""

import numpy as np
import pytest
from cases import each_of
from helpers import (
    DTYPES,
    PAIR_LOSSES,
    SINGLE_LOSSES,
    by_activation,
    network,
    one_in,
    outputs,
    pairs_layer,
    problem,
    relative,
    uniform_layer,
    unit_activations,
)
from reference import Oracle, rows

import cbp

BOUND = {"float32": 4e-4, "float64": 1e-9}  # against a thousandth of the largest entry: see helpers.relative
UNIT_ACTIVATIONS = list(unit_activations())
OUTPUTS = list(outputs())
OWN_OUTPUTS = [output for output in OUTPUTS if output[0] == rows("losses")[output[2]]["partner"]]


def mixed(n, shift=0):
    """n units that take turns through all the activations."""
    return tuple(UNIT_ACTIVATIONS[(i + shift) % len(UNIT_ACTIVATIONS)] for i in range(n))


def check(oracle, dtype, seed, weighted, m=5):
    """Compare loss, deltas and gradient with the numeric gradient and the oracle."""
    theta, X, y, s = problem(oracle, m, seed, dtype)
    s = s if weighted else None
    net = network(oracle, theta, dtype)
    loss = net.gradient(X, y, sample_weight=s)
    exact = [v if v is None else v.astype("float64") for v in (theta, X, y, s)]
    assert loss == pytest.approx(oracle.cost(*exact), rel=BOUND[dtype])
    for got, want in zip(oracle.blocks(np.array(net.grad)), oracle.blocks(oracle.numeric(*exact)), strict=True):
        assert relative(got, want) < BOUND[dtype]
    for got, want in zip(net.deltas[1:], oracle.deltas(*exact[:3])[1:], strict=True):
        assert relative(got, want) < BOUND[dtype]


@pytest.mark.parametrize("name", rows("activations"))
def test_every_activation_with_every_output(name):
    @each_of("hidden, output, dtype, weighted", by_activation()[name][:: one_in(3)])
    def right(hidden, output, dtype, weighted):
        *unit, loss = output
        oracle = Oracle((3, 4, 3), (uniform_layer(4, *hidden), uniform_layer(3, *unit)), loss)
        check(oracle, dtype, 12, weighted)

    right()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@each_of("output", OWN_OUTPUTS)
def test_hidden_layers_of_mixed_units(output, dtype, reduction):
    name, arg, loss = output
    n = len(UNIT_ACTIVATIONS) + 1
    units = (mixed(n), mixed(3, shift=2), uniform_layer(2, name, arg))
    check(Oracle((3, n, 3, 2), units, loss, reduction), dtype, 13, weighted=reduction == "sum")


@each_of("dtype", DTYPES)
@each_of("loss", [name for name in SINGLE_LOSSES if not rows("losses")[name]["head"]])
def test_output_layer_of_mixed_units(loss, dtype):
    n = len(UNIT_ACTIVATIONS) + 2
    check(Oracle((2, 3, n), (mixed(3), mixed(n)), loss), dtype, 14, weighted=True)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@each_of("dtype", DTYPES)
@each_of("n", [1, 3])
def test_outputs_in_pairs(loss, n, dtype):
    layers = (uniform_layer(4, "tanh"), pairs_layer(loss, n))
    for reduction in ("mean", "sum"):
        check(Oracle((3, 4, 2 * n), layers, loss, reduction), dtype, 16, weighted=reduction == "sum")


@each_of("output", OUTPUTS)
def test_one_unit_one_row_online(output):
    name, arg, loss = output
    check(Oracle((1, 1, 1), (uniform_layer(1, "tanh"), uniform_layer(1, name, arg)), loss), "float64", 15, False, m=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_thirty_layers(dtype):
    widths = (3,) + (4,) * 29 + (2,)
    units = tuple(mixed(n, shift=i) for i, n in enumerate(widths[1:]))
    oracle = Oracle(widths, units, "half_squared_error")
    theta, X, y, _ = problem(oracle, 4, 16, dtype)
    net = network(oracle, theta, dtype)
    net.gradient(X, y)
    want = oracle.gradient(*(v.astype("float64") for v in (theta, X, y)))
    for got, block in zip(oracle.blocks(np.array(net.grad)), oracle.blocks(want), strict=True):
        assert relative(got, block) < 50 * BOUND[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@each_of("output", OUTPUTS)
def test_gradcheck_finds_the_gradient_right(output, dtype):
    name, arg, loss = output
    oracle = Oracle((3, 4, 2), (mixed(4), uniform_layer(2, name, arg)), loss)
    theta, X, y, s = problem(oracle, 5, 17, dtype)
    assert cbp.gradcheck(network(oracle, theta, dtype), X, y, sample_weight=s).ok


def test_gradcheck_leaves_the_network_alone():
    oracle = Oracle((3, 4, 2), (mixed(4), uniform_layer(2, "identity")), "half_squared_error")
    theta, X, y, _ = problem(oracle, 5, 18)
    net = network(oracle, theta)
    cbp.gradcheck(net, X, y)
    assert np.array(net.params).tobytes() == theta.tobytes()


@each_of("output", OUTPUTS)
def test_oracle_agrees_with_itself(output):
    name, arg, loss = output
    oracle = Oracle((3, 4, 3), (mixed(4), uniform_layer(3, name, arg)), loss)
    theta, X, y, s = problem(oracle, 5, 19)
    assert relative(oracle.gradient(theta, X, y, s), oracle.numeric(theta, X, y, s)) < 1e-9
