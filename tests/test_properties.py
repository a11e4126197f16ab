"""What must hold for any network and any data: layouts, dtypes, shapes, and the ways to the same number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import rows

import cbp

NAMES = [name for name, row in rows("activations").items() if not row["row_wise"] and name != "exp"]  # overflows


@st.composite
def networks(draw, output=None, dtypes=DTYPES):
    """Networks of one to five layers, some with an activation per unit."""
    widths = draw(st.lists(st.integers(1, 20), min_size=2, max_size=6))
    layers = [widths[0]]
    for n in widths[1:]:
        name = st.sampled_from(NAMES)
        layers.append(cbp.Dense(n, draw(name | st.lists(name, min_size=n, max_size=n))))
    if output is not None:
        layers[-1] = cbp.Dense(widths[-1], output)
    loss = "half_squared_error" if output is None else None
    return cbp.Network(layers, loss=loss, dtype=draw(st.sampled_from(dtypes)), seed=draw(st.integers(0, 2**63 - 1)))


def for_all(examples=40, **strategies):
    """Run a test on so many examples."""
    return lambda test: settings(max_examples=examples)(given(**strategies)(test))


def data(net, m, seed):
    rng = np.random.default_rng(seed)
    n_in, n_out = net.layers[0].n_in, net.layers[-1].n_out
    return rng.normal(size=(m, n_in)).astype(net.dtype), rng.normal(size=(m, n_out)).astype(net.dtype)


def misaligned(a):
    """Return the same numbers at an address that is not a multiple of their size."""
    raw = np.zeros(a.nbytes + 1, np.uint8)
    moved = raw[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    assert a.size == 0 or not moved.flags.aligned
    return moved


class Subclass(np.ndarray):
    """An array of somebody else's type."""


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def every_other(a):
    wide = np.full((a.shape[0] * 2, a.shape[1] * 3), np.nan, a.dtype)
    wide[::2, 1::3] = a
    return wide[::2, 1::3]


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "upside down": lambda a: a[::-1].copy()[::-1],
    "mirrored": lambda a: a[:, ::-1].copy()[:, ::-1],
    "every other": every_other,
    "read-only": read_only,
    "misaligned": misaligned,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "list": lambda a: a.tolist(),
    "subclass": lambda a: a.view(Subclass),
}
ANY_NETWORK = {"net": networks(), "m": st.integers(1, 40), "seed": st.integers(0, 1000)}


def same(a, b):
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@for_all(15, **ANY_NETWORK)
def test_any_layout_predicts_the_same(layout, net, m, seed):
    X, _ = data(net, m, seed)
    before = X.copy()
    assert same(net.predict(layout(X)), net.predict(X))
    assert same(X, before)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@for_all(15, **ANY_NETWORK)
def test_any_layout_trains_the_same(layout, net, m, seed):
    X, y = data(net, m, seed)
    s = np.random.default_rng(seed).uniform(0.5, 2, m)
    other = net.copy()
    net.train_step(X, y, learning_rate=1e-3, sample_weight=s)
    other.train_step(layout(X), layout(y), learning_rate=1e-3, sample_weight=s)
    assert same(net.params, other.params)


@pytest.mark.parametrize("kind", ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64"])
@for_all(10, **ANY_NETWORK)
def test_any_numeric_dtype_predicts_the_same(kind, net, m, seed):
    X = np.random.default_rng(seed).integers(0, 2 if kind == "bool" else 100, (m, net.layers[0].n_in))
    assert same(net.predict(X.astype(kind)), net.predict(X.astype(net.dtype)))


@for_all(**ANY_NETWORK)
def test_predict_equals_forward(net, m, seed):
    X, _ = data(net, m, seed)
    assert same(net.predict(X), net.forward(X))


@for_all(**ANY_NETWORK)
def test_predict_into_out(net, m, seed):
    X, y = data(net, m, seed)
    out = np.full_like(y, np.nan)
    assert net.predict(X, out=out) is out
    assert same(out, net.predict(X))


@for_all(**ANY_NETWORK)
def test_a_batch_predicts_what_its_rows_do(net, m, seed):
    X, _ = data(net, m, seed)
    assert same(net.predict(X), [net.predict(row) for row in X])


@pytest.mark.parametrize("m", [255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_batch_predicts_what_its_rows_do(m, dtype):
    net = cbp.Network([5, 9, 4], activation="tanh", output="softmax", dtype=dtype, seed=34)
    X, _ = data(net, m, 35)
    assert same(net.predict(X), [net.predict(row) for row in X])


@for_all(**ANY_NETWORK)
def test_train_step_is_forward_backward_update(net, m, seed):
    X, y = data(net, m, seed)
    other = net.copy()
    loss = net.train_step(X, y, learning_rate=1e-3)
    other.forward(X)
    assert other.backward(y) == loss
    other.update(1e-3)
    assert same(net.params, other.params)
    assert same(net.grad, other.grad)


@for_all(**ANY_NETWORK)
def test_gradient_equals_backward_and_loss_equals_both(net, m, seed):
    X, y = data(net, m, seed)
    loss = net.gradient(X, y)
    grad = np.array(net.grad)
    net.forward(X)
    assert net.backward(y) == loss == net.loss(X, y)
    assert same(net.grad, grad)


@for_all(net=networks(output="softmax"), m=st.integers(1, 40), seed=st.integers(0, 1000))
def test_labels_equal_one_hot_rows(net, m, seed):
    X, _ = data(net, m, seed)
    n = net.layers[-1].n_out
    labels = np.random.default_rng(seed).integers(0, n, m)
    if n == 1:
        return
    loss = net.gradient(X, labels)
    grad = np.array(net.grad)
    assert net.gradient(X, np.eye(n)[labels]) == loss
    assert same(net.grad, grad)


@for_all(net=networks(dtypes=["float64"]), m=st.integers(2, 20), seed=st.integers(0, 1000))
def test_a_weight_of_two_is_a_row_twice(net, m, seed):
    X, y = data(net, m, seed)
    loss = net.gradient(X, y, sample_weight=[2] + [1] * (m - 1))
    grad = np.array(net.grad)
    assert net.gradient(np.vstack([X[:1], X]), np.vstack([y[:1], y])) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(net.grad, grad, rtol=1e-9, atol=1e-12 * np.abs(grad).max(initial=1))


@for_all(net=networks(dtypes=["float64"]), m=st.integers(2, 20), seed=st.integers(0, 1000))
def test_a_weight_of_zero_is_no_row(net, m, seed):
    X, y = data(net, m, seed)
    loss = net.gradient(X, y, sample_weight=[0] + [1] * (m - 1))
    grad = np.array(net.grad)
    assert net.gradient(X[1:], y[1:]) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(net.grad, grad, rtol=1e-9, atol=1e-12 * np.abs(grad).max(initial=1))


@for_all(net=networks())
def test_zero_rows_predict_zero_rows(net):
    assert net.predict(np.empty((0, net.layers[0].n_in))).shape == (0, net.layers[-1].n_out)


@for_all(net=networks(), seed=st.integers(0, 1000))
def test_one_sample_is_a_batch_of_one(net, seed):
    X, y = data(net, 1, seed)
    other = net.copy()
    assert same(net.predict(X[0]), net.predict(X)[0])
    assert net.train_step(X[0], y[0], learning_rate=1e-3) == other.train_step(X, y, learning_rate=1e-3)
    assert same(net.params, other.params)


@for_all(**ANY_NETWORK)
def test_views_see_what_is_trained(net, m, seed):
    X, y = data(net, m, seed)
    net.layers[0].b[:] = 0.25
    net.layers[-1].W[:] = 0.5
    net.train_step(X, y, learning_rate=1e-3)
    assert same(net.params, np.concatenate([layer.theta.ravel() for layer in net.layers]))
    assert same(net.grad, np.concatenate([np.vstack([layer.grad_b, layer.grad_W]).ravel() for layer in net.layers]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_thirty_layers_of_one_unit(dtype):
    net = cbp.Network([1] * 31, activation="tanh", output="identity", dtype=dtype, seed=36)
    net.params[:] = np.tile([0.125, 1.0], 30)
    x = [0.5]
    for _ in range(29):
        x = np.tanh(x[0] + 0.125, keepdims=True) if False else [np.tanh(x[0] + 0.125)]
    assert net.predict([0.5])[0] == pytest.approx(x[0] + 0.125, rel=1e-5 if dtype == "float32" else 1e-13)


def test_a_split_epoch_equals_a_whole_one():
    X, y = np.random.default_rng(37).normal(size=(2, 60, 4))
    first = cbp.Network([4, 7, 4], activation="tanh", output="identity", seed=38)
    second = first.copy()
    first.fit(X, y, epochs=4, batch_size=16, optimizer="adam", progress=False)
    second.fit(X, y, epochs=1, batch_size=16, optimizer="adam", progress=False)
    second.fit(X, y, epochs=2, batch_size=16, progress=False)
    second.partial_fit(X, y, batch_size=16)
    assert same(first.params, second.params)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_threads_predict_on_one_network(dtype):
    net = cbp.Network([30, 50, 20, 3], activation="sigmoid", output="softmax", dtype=dtype, seed=39)
    inputs = [np.random.default_rng(i).normal(size=(1 + 97 * (i % 7), 30)).astype(dtype) for i in range(64)]
    want = [net.predict(X) for X in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert all(map(same, pool.map(net.predict, inputs), want))


def test_threads_train_their_own_copies():
    X, y = np.random.default_rng(40).normal(size=(2, 200, 6))
    net = cbp.Network([6, 20, 6], activation="tanh", output="identity", seed=41)

    def train(_):
        other = net.copy()
        other.fit(X, y, epochs=5, progress=False)
        return np.array(other.params)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(train, range(8)))
    assert all(same(theta, found[0]) for theta in found)
