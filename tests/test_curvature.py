"""Jacobian, Hessian and Gauss-Newton products against complex steps of the oracle, for everything in the tables.

The oracle's gradient is differentiated by a complex step along a direction, its outputs by one for each parameter; the
Gauss-Newton matrix is put together from that Jacobian and a complex step of the loss alone. None of it knows the
second derivatives that the tables hold.
"""

from concurrent.futures import ThreadPoolExecutor

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
    pairs_layer,
    problem,
    relative,
    same_bytes,
    uniform_layer,
    unit_activations,
)
from reference import Oracle, rows

import cbp
from cbp import _core

BOUND = {"float32": 2e-3, "float64": 1e-9}
STEP = 1e-40
UNIT_ACTIVATIONS = list(unit_activations())


def mixed(n, shift=0):
    return tuple(UNIT_ACTIVATIONS[(i + shift) % len(UNIT_ACTIVATIONS)] for i in range(n))


# ---- the definition ----


def along(function, point, direction):
    """Derivative of a function of a vector along a direction."""
    return np.imag(function(point + 1j * STEP * direction)) / STEP


def by_theta(oracle, theta, X, which):
    """Derivatives (m, n_L, P) of the output layer's net inputs (which = 0) or activations (1) by the parameters."""
    points = theta + 1j * STEP * np.eye(theta.size)
    return np.moveaxis(oracle.forward(points, X)[which][-1].imag / STEP, 0, -1)


def by_inputs(oracle, theta, X):
    """Derivatives (m, n_L, n_0) of the outputs."""
    moved = X[:, None, :] + 1j * STEP * np.eye(X.shape[1])
    return np.swapaxes(oracle.forward(theta, moved)[1][-1].imag / STEP, 1, 2)


def hessian_times(oracle, theta, X, y, s, v):
    return along(lambda point: oracle.gradient(point, X, y, s), theta, v)


def sees_net_input(oracle):
    """Whether the loss counts as a function of z: it is computed with its output, or belongs to a row-wise one."""
    row, output = rows("losses")[oracle.loss], oracle.units[-1][0][0]
    return row["head"] or (row["partner"] == output and rows("activations")[output]["row_wise"])


def edge(oracle):
    """The output layer alone: a network from its net inputs, or, for a loss of a, from its activations."""
    n = oracle.widths[-1]
    units = oracle.units[-1] if sees_net_input(oracle) else uniform_layer(n, "identity")
    return Oracle((n, n), (units,), oracle.loss, "sum", oracle.loss_arg)


def loss_hessian(oracle, seen, y):
    """Second derivatives (n, n) of the cost of one sample by what the loss sees (n,)."""
    top, n = edge(oracle), seen.size
    theta = np.concatenate([np.zeros((1, n)), np.eye(n)]).ravel()
    moved = seen + 1j * STEP * np.eye(n)
    return top.deltas(theta, moved, np.broadcast_to(y, (n, y.size)))[1].imag / STEP


def gauss_newton(oracle, theta, X, y, s):
    """sum s J^T H J, divided as the objective is."""
    which = 0 if sees_net_input(oracle) else 1
    J, seen = by_theta(oracle, theta, X, which), oracle.forward(theta, X)[which][-1]
    weights = np.ones(len(X)) if s is None else s
    total = sum(w * j.T @ loss_hessian(oracle, *row) @ j for w, j, *row in zip(weights, J, seen, y, strict=True))
    return total / weights.sum() if oracle.reduction == "mean" else total


def check(oracle, dtype, seed, weighted, m=5):
    theta, X, y, s = problem(oracle, m, seed, dtype)
    s = s if weighted else None
    v = np.random.default_rng(seed).normal(0, 1, theta.size).astype(dtype)
    net = network(oracle, theta, dtype)
    exact = [value if value is None else value.astype("float64") for value in (theta, X, y, s)]
    want = hessian_times(oracle, *exact, v.astype("float64"))
    assert relative(net.hvp(X, y, v, s), want) < BOUND[dtype]
    G = gauss_newton(oracle, *exact)
    got = net.gauss_newton(X, y, sample_weight=s)
    assert relative(got, G) < BOUND[dtype]
    assert same_bytes(got, np.ascontiguousarray(got.T))
    assert relative(net.gauss_newton(X, y, v, s), G @ v) < BOUND[dtype]
    assert relative(net.jacobian(X), by_theta(oracle, *exact[:2], 1)) < BOUND[dtype]
    assert relative(net.jacobian(X, "inputs"), by_inputs(oracle, *exact[:2])) < BOUND[dtype]


@pytest.mark.parametrize("name", rows("activations"))
def test_every_activation_with_every_output(name):
    @each_of("hidden, output, dtype, weighted", by_activation()[name][:: one_in(3)])
    def right(hidden, output, dtype, weighted):
        *unit, loss = output
        oracle = Oracle((2, 3, 2), (uniform_layer(3, *hidden), uniform_layer(2, *unit)), loss)
        check(oracle, dtype, 22, weighted)

    right()


@pytest.mark.parametrize("loss", [name for name in SINGLE_LOSSES if not rows("losses")[name]["head"]])
@each_of("reduction", ["mean", "sum"])
def test_mixed_units_in_every_layer(loss, reduction):
    n = len(UNIT_ACTIVATIONS)
    oracle = Oracle((2, 3, n), (mixed(3), mixed(n)), loss, reduction)
    check(oracle, "float64", 23, weighted=reduction == "sum", m=3)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize("n", [1, 3])
def test_outputs_in_pairs(loss, n):
    check(Oracle((3, 4, 2 * n), (uniform_layer(4, "tanh"), pairs_layer(loss, n)), loss), "float64", 24, weighted=True)


# ---- what the tables do not have: networks with everything, against differences of the gradient ----

D = cbp.Dense
SPECIAL = {
    "skips": ([3, D(4, "tanh"), D(3, "sigmoid", skip=[0]), D(2, "tanh", skip="all")], {}),
    "steepness": ([3, D(4, "silu", steepness=1.5), D(2, "sigmoid", steepness=0.5)], {}),
    "steep softmax": ([3, D(4, "gelu"), D(3, "softmax", steepness=2)], {}),
    "steep row-wise": ([3, D(4, "gelu"), D(3, "softmax", steepness=2)], {"loss": "half_squared_error"}),
    "penalties": ([3, D(4, "tanh", l1=0.01, l2=0.1), D(2, "identity", l2=1.0)], {}),
    "sum": ([3, D(4, "tanh", l2=0.1), 2], {"output": "identity", "reduction": "sum"}),
    "missing": ([3, 4, 2], {"output": "identity", "missing_targets": True}),
    "missing head": ([3, 4, 2], {"output": "sigmoid", "missing_targets": True}),
    "heads": (
        [3, D(4, "tanh"), 6],
        {
            "heads": [
                cbp.Head(3, "softmax"),
                cbp.Head(2, "tanh", "log_cosh", weight=0.5),
                cbp.Head(1, "sigmoid", weight=2.0),
            ]
        },
    ),
    "scaled": ([3, 4, 2], {"output": "identity", "scale_inputs": "standard", "scale_targets": "minmax"}),
}


def special(name, m=9, **more):
    """A network of the list with parameters, data and weights."""
    layers, named = SPECIAL[name]
    net = cbp.Network(layers, seed=5, dtype="float64", **(named | more))
    rng = np.random.default_rng(6)
    net.params[:] = rng.normal(0, 0.7, net.n_params)
    X, s = rng.normal(0, 1, (m, 3)), rng.uniform(0.5, 2, m)
    y = rng.uniform(0.1, 0.9, (m, net.widths[-1]))
    if name == "heads":
        y = (rng.integers(0, 3, m), y[:, :2], y[:, 2:3])
    elif name == "steep softmax":
        y = rng.integers(0, 3, m)
    elif name.startswith("missing"):
        y[rng.random(y.shape) < 0.3] = np.nan
    if name == "scaled":
        net.learn_scaling(X, y)
    return net, X, y, s, rng.normal(0, 1, net.n_params)


def differences(function, point, direction, h=2e-3):
    """Derivative of sixth order of a function along a direction."""
    f = [function(point + k * h * direction) for k in (1, 2, 3, -1, -2, -3)]
    return (45 * (f[0] - f[3]) - 9 * (f[1] - f[4]) + f[2] - f[5]) / (60 * h)


def gradient_at(net, X, y, s):
    other = net.copy()

    def gradient(theta):
        other.params[:] = theta
        other.gradient(X, y, s)
        return np.array(other.grad)

    return gradient


@pytest.mark.parametrize("name", SPECIAL)
def test_the_hessian_of_networks_with_more(name):
    net, X, y, s, v = special(name)
    v /= np.abs(v).max()
    want = differences(gradient_at(net, X, y, s), np.array(net.params), v)
    assert relative(net.hvp(X, y, v, s), want) < 1e-8


@pytest.mark.parametrize("name", SPECIAL)
def test_the_jacobian_of_networks_with_more(name):
    net, X, _, _, v = special(name)
    other, theta = net.copy(), np.array(net.params)

    def outputs(theta):
        other.params[:] = theta
        return other.predict(X)

    v /= np.abs(v).max()
    assert relative(net.jacobian(X) @ v, differences(outputs, theta, v)) < 1e-8
    u = np.random.default_rng(7).normal(0, 0.5, X.shape)
    want = differences(net.predict, X, u)
    assert relative(np.einsum("rji,ri->rj", net.jacobian(X, "inputs"), u), want) < 1e-8


@pytest.mark.parametrize("name", SPECIAL)
def test_the_product_is_that_of_the_matrix(name):
    net, X, y, s, v = special(name)
    G = net.gauss_newton(X, y, sample_weight=s)
    assert relative(net.gauss_newton(X, y, v, s), G @ v) < 1e-12


@pytest.mark.parametrize("name", ["skips", "steepness", "missing"])
def test_the_matrix_of_squared_errors_is_that_of_the_jacobian(name):
    net, X, y, s, _ = special(name)
    net = cbp.Network.from_config(net.get_config() | {"loss": "half_squared_error"})
    J = net.jacobian(X) * np.where(np.isnan(y), 0, 1)[:, :, None]
    want = np.einsum("r,rki,rkj->ij", s, J, J) / s.sum()
    assert relative(net.gauss_newton(X, y, sample_weight=s), want) < 1e-12


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_penalties_stand_on_the_diagonal(reduction):
    net, X, y, s, _ = special("penalties", reduction=reduction)
    plain = cbp.Network([3, 4, 2], activation="tanh", output="identity", dtype="float64", reduction=reduction)
    plain.params[:] = net.params
    added = net.gauss_newton(X, y, sample_weight=s) - plain.gauss_newton(X, y, sample_weight=s)
    weights = [[0.0] * 4, [0.1] * 12, [0.0] * 2, [1.0] * 8]
    factor = 1 if reduction == "mean" else s.sum()
    np.testing.assert_allclose(added, factor * np.diag(np.concatenate(weights)), atol=1e-14 * factor)


# ---- the same bits ----


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_instruction_sets_do_not_matter(name, dtype, monkeypatch):
    net, X, y, s, v = special(name, m=700)
    found = []
    before = cbp.get_num_threads()
    try:
        for isa in _core.isas():
            monkeypatch.setenv("CBP_ISA", isa)
            twin = cbp.Network.from_config(net.get_config() | {"dtype": dtype})
            twin.params[:] = net.params
            if name == "scaled":
                twin.learn_scaling(X, y)
            for threads in (1, 2, 3):
                cbp.set_num_threads(threads)
                found.append(
                    (
                        twin.hvp(X, y, v, s),
                        twin.gauss_newton(X, y, v, s),
                        twin.gauss_newton(X, y, sample_weight=s),
                        twin.jacobian(X),
                        twin.jacobian(X, "inputs"),
                    )
                )
    finally:
        cbp.set_num_threads(before)
    for others in found[1:]:
        assert all(same_bytes(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize("name", SPECIAL)
@each_of("weighted", [True, False])
@each_of("m", [1, 8, 512])
def test_the_gradient_of_one_block_is_that_of_training(name, weighted, m):
    net, X, y, s, _ = special(name, m=m)
    s = s if weighted else None
    got = np.empty(net.n_params)
    loss = _core.curve(net._memory, net.params, *net._reader.batch(X, y, s), gradient=got)
    assert loss == net.gradient(X, y, s)
    assert np.array_equal(got, net.grad)


def test_many_outputs_are_taken_in_groups():
    net = cbp.Network([1, 530], output="softmax", loss="half_squared_error", dtype="float64", seed=3)
    rng = np.random.default_rng(3)
    X, y = rng.normal(0, 1, (3, 1)), rng.random((3, 530))
    J = net.jacobian(X).reshape(-1, net.n_params)
    assert relative(net.gauss_newton(X, y), J.T @ J / 3) < 1e-9
    v = rng.normal(0, 1, net.n_params)
    assert relative(net.gauss_newton(X, y, v), J.T @ (J @ v) / 3) < 1e-9


def test_any_number_of_threads_may_ask_one_network():
    net, X, y, s, v = special("skips", m=600)
    want = [net.hvp(X[:n], y[:n], v, s[:n]) for n in (600, 17)]

    def ask(i):
        n = (600, 17)[i % 2]
        return same_bytes(net.hvp(X[:n], y[:n], v, s[:n]), want[i % 2])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


# ---- fixed parameters, calls, errors ----


def test_fixed_parameters_have_no_derivatives():
    net, X, y, s, v = special("skips")
    whole = net.gauss_newton(X, y, sample_weight=s)
    net.layers[0].trainable = False
    net.mask = np.arange(net.n_params) % 3 > 0
    free = net._trained()
    G = net.gauss_newton(X, y, sample_weight=s)
    assert np.array_equal(G[np.ix_(free, free)], whole[np.ix_(free, free)])
    assert not G[~free].any()
    assert not G[:, ~free].any()
    assert not net.jacobian(X)[..., ~free].any()
    for product in (net.hvp, net.gauss_newton):
        assert not product(X, y, v, s)[~free].any()
        assert np.array_equal(product(X, y, v, s), product(X, y, v * free, s))


def test_penalties_of_fixed_parameters_do_not_count():
    net, X, y, _, v = special("penalties")
    net.mask = np.arange(net.n_params) % 2 > 0
    G = net.gauss_newton(X, y)
    assert not np.diag(G)[net.mask == 0].any()
    assert relative(net.gauss_newton(X, y, v), G @ v) < 1e-12


def test_results_go_where_they_are_wanted():
    net, X, y, s, v = special("skips")
    for call, shape in (
        (lambda out: net.jacobian(X, out=out), (9, 2, net.n_params)),
        (lambda out: net.jacobian(X, "inputs", out), (9, 2, 3)),
        (lambda out: net.jacobian(X[0], out=out), (2, net.n_params)),
        (lambda out: net.hvp(X, y, v, s, out), (net.n_params,)),
        (lambda out: net.gauss_newton(X, y, v, s, out), (net.n_params,)),
        (lambda out: net.gauss_newton(X, y, None, s, out), (net.n_params, net.n_params)),
    ):
        out = np.full(shape, np.nan)
        assert call(out) is out
        assert np.array_equal(out, call(None))
        with pytest.raises(ValueError, match="out has shape"):
            call(np.empty((*shape, 1)))
        with pytest.raises(TypeError, match="out has dtype float32, the network computes in float64"):
            call(np.empty(shape, "float32"))
        with pytest.raises(ValueError, match="C-contiguous"):
            call(np.empty((*shape, 2))[..., 0])
        with pytest.raises(TypeError, match="out must be an ndarray"):
            call([0.0])
    with pytest.raises(ValueError, match="shares memory"):
        net.hvp(X, y, v, s, v)


def test_a_single_row_and_none():
    net, X, _, _, _ = special("steepness")
    assert np.array_equal(net.jacobian(X[0]), net.jacobian(X)[0])
    assert np.array_equal(net.jacobian(X[0], "inputs"), net.jacobian(X, "inputs")[0])
    assert net.jacobian(X[:0]).shape == (0, 2, net.n_params)


def test_what_does_not_fit_is_named():
    net, X, y, _, v = special("steepness")
    with pytest.raises(ValueError, match="wrt must be 'params' or 'inputs', not 'weights'"):
        net.jacobian(X, "weights")
    with pytest.raises(ValueError, match=f"v has shape \\(3,\\), the network has {net.n_params} parameters"):
        net.hvp(X, y, v[:3])
    v[4] = np.inf
    with pytest.raises(ValueError, match=r"v\[4\] is not finite"):
        net.gauss_newton(X, y, v)
    with pytest.raises(ValueError, match="X has 2 features"):
        net.jacobian(X[:, :2])


def test_a_loss_of_your_own_has_a_gradient_alone():
    net = cbp.Network([2, 1], loss=lambda y, a: ((a - y)[:, 0] ** 2, 2 * (a - y)), seed=0)
    X, y = [[1, 2], [3, 4]], [0.5, 0.25]
    assert net.jacobian(X).shape == (2, 1, 3)
    for call in (lambda: net.hvp(X, y, [1, 2, 3]), lambda: net.gauss_newton(X, y)):
        with pytest.raises(ValueError, match="a loss of your own has no second derivatives"):
            call()
    out = np.empty(3, "float32")
    data = net._reader.batch(X, y, None)
    assert _core.curve(net._memory, net.params, *data, gradient=out) == net.gradient(X, y)
    assert np.array_equal(out, net.grad)


def test_neither_parameters_nor_gradient_are_touched():
    net, X, y, s, v = special("penalties")
    net.gradient(X, y, s)
    before = np.array(net.params), np.array(net.grad)
    net.hvp(X, y, v, s)
    net.gauss_newton(X, y, v, s)
    net.gauss_newton(X, y)
    net.jacobian(X)
    assert same_bytes(before[0], np.array(net.params))
    assert same_bytes(before[1], np.array(net.grad))
