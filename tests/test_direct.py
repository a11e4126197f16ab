"""The short way from Python to C (`_core.direct`): the same bytes, the same checks and errors as the long way.

An argument that C cannot read as it is, such as an instance of a subclass of ndarray, takes the long way. A network
without its reader cannot go the long way: what still works on it went the short one.
"""

import contextlib
import pickle

import numpy as np
import pytest
from cases import each_of

import cbp

METHODS = ("predict", "forward", "backward", "gradient", "update", "train_step")
RNG = np.random.default_rng(20)


class Other(np.ndarray):
    """An array that C leaves to Python."""


def network(n_in=3, n_out=2, output="identity", dtype="float32", **kwargs):
    return cbp.Network([n_in, 4, n_out], activation="tanh", output=output, dtype=dtype, seed=1, **kwargs)


def numbers(*shape, dtype="float32"):
    return RNG.uniform(0.1, 0.9, shape).astype(dtype)


def shares(*shape, dtype="float32"):
    y = RNG.uniform(0.1, 0.9, shape)
    return (y / y.sum(axis=-1, keepdims=True)).astype(dtype)


def the_long_way(value):
    """The same data as something that C does not read."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.view(Other)
    return np.array(value).view(Other) if isinstance(value, np.ndarray | np.generic | int | float) else value


@contextlib.contextmanager
def the_short_way_only(net):
    reader, net._current_reader = net._current_reader, None
    try:
        yield net
    finally:
        net._current_reader = reader


def state(net):
    """All numbers that a step leaves behind."""
    passes = [*net.activations, *net.deltas[1:]] if net._memory.forwarded is None else net.activations
    return [(array.shape, array.tobytes()) for array in (net.params, net.grad, *passes)]


def step_by_step(net, X, y, **kwargs):
    outputs = net.forward(X, **kwargs)
    return outputs.shape, outputs.tobytes(), net.backward(y, **kwargs), net.update(0.25)


STEPS = {
    "train_step": lambda net, X, y, **kwargs: net.train_step(X, y, 0.25, **kwargs),
    "gradient": lambda net, X, y, **kwargs: net.gradient(X, y, **kwargs),
    "step by step": step_by_step,
}
SAMPLES = {
    "rows": (network, (5, 3), lambda dtype: numbers(5, 2, dtype=dtype)),
    "one": (network, (3,), lambda dtype: numbers(2, dtype=dtype)),
    "one as a row": (network, (3,), lambda dtype: numbers(1, 2, dtype=dtype)),
    "a row": (network, (1, 3), lambda dtype: numbers(1, 2, dtype=dtype)),
    "many rows": (network, (2000, 3), lambda dtype: numbers(2000, 2, dtype=dtype)),
    "one output, column": (lambda **kw: network(3, 1, **kw), (5, 3), lambda dtype: numbers(5, 1, dtype=dtype)),
    "one output, vector": (lambda **kw: network(3, 1, **kw), (5, 3), lambda dtype: numbers(5, dtype=dtype)),
    "one output, one": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: numbers(1, dtype=dtype)),
    "one output, no dimension": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: numbers(dtype=dtype)),
    "one output, number of a row": (lambda **kw: network(3, 1, **kw), (1, 3), lambda dtype: 0.3),
    "float": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: 0.3),
    "int": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: 1),
    "large int": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: 2**24 + 1),
    "numpy.float32": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: np.float32(0.3)),
    "numpy.float64": (lambda **kw: network(3, 1, **kw), (3,), lambda dtype: np.float64(0.3)),
    "one input, one": (lambda **kw: network(1, 1, **kw), (1,), lambda dtype: numbers(1, dtype=dtype)),
    "one input, rows": (lambda **kw: network(1, 1, **kw), (4, 1), lambda dtype: numbers(4, dtype=dtype)),
    "from 0 to 1": (lambda **kw: network(3, 2, "sigmoid", **kw), (5, 3), lambda dtype: numbers(5, 2, dtype=dtype)),
    "0 and 1": (lambda **kw: network(3, 1, "sigmoid", **kw), (2, 3), lambda dtype: np.array([0, 1], dtype)),
    "shares": (lambda **kw: network(3, 4, "softmax", **kw), (5, 3), lambda dtype: shares(5, 4, dtype=dtype)),
    "shares of one": (lambda **kw: network(3, 4, "softmax", **kw), (3,), lambda dtype: shares(4, dtype=dtype)),
    "labels": (lambda **kw: network(3, 4, "softmax", **kw), (5, 3), lambda dtype: np.array([0, 3, 1, 2, 0])),
    "label": (lambda **kw: network(3, 4, "softmax", **kw), (3,), lambda dtype: 3),
    "numpy.int64": (lambda **kw: network(3, 4, "softmax", **kw), (3,), lambda dtype: np.int64(3)),
    "numpy.uint8": (lambda **kw: network(3, 4, "softmax", **kw), (3,), lambda dtype: np.uint8(3)),
    "a single class": (lambda **kw: network(3, 1, "softmax", **kw), (3,), lambda dtype: 0),
}


@pytest.mark.parametrize("samples", SAMPLES)
@each_of("step", STEPS)
@each_of("dtype", ["float32", "float64"])
def test_a_step_is_the_same_both_ways(step, samples, dtype):
    make, shape, targets = SAMPLES[samples]
    X, y = numbers(*shape, dtype=dtype), targets(dtype)
    short, long = make(dtype=dtype), make(dtype=dtype)
    with the_short_way_only(short):
        result = STEPS[step](short, X, y)
    assert result == STEPS[step](long, the_long_way(X), the_long_way(y))
    assert state(short) == state(long)
    assert short.activations[0].shape == (np.atleast_2d(X).shape)
    unchecked = make(dtype=dtype)
    with the_short_way_only(unchecked):
        assert STEPS[step](unchecked, X, y, check_finite=False) == result


@pytest.mark.parametrize("rows", [None, 1, 7, 3000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_is_the_same_both_ways(rows, dtype):
    net = network(dtype=dtype)
    X = numbers(3, dtype=dtype) if rows is None else numbers(rows, 3, dtype=dtype)
    out = np.full((2,) if rows is None else (rows, 2), np.nan, dtype)
    with the_short_way_only(net):
        results = [net.predict(X), net.predict(X, None), net.predict(X, check_finite=False)]
        assert net.predict(X, out=out) is out
        assert net.predict(X, out) is out
    for result in (*results, out):
        assert type(result) is np.ndarray
        assert (result.dtype, result.shape, result.flags.carray) == (net.dtype, out.shape, True)
        assert result.tobytes() == net.predict(the_long_way(X)).tobytes()


def unusual(X):
    """The same numbers in arrays of every kind."""
    yield "strides", np.repeat(X, 2, axis=-1)[..., ::2]
    yield "order", np.asfortranarray(X)
    yield "float64", X.astype(np.float64)
    yield "big-endian", X.astype(">f4")
    yield "little-endian", X.astype("<f4")
    yield "subclass", X.view(Other)
    yield "list", X.tolist()
    moved = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    moved[...] = X
    yield "misaligned", moved
    fixed = X.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed
    yield "unpickled", pickle.loads(pickle.dumps(X))


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
def test_arrays_of_every_kind_give_the_same(shape):
    X, y = numbers(*shape), numbers(*shape[:-1], 2)
    expected = network()
    loss, outputs = expected.train_step(X, y, 0.25), expected.predict(X).tobytes()
    for (kind, inputs), (_, targets) in zip(unusual(X), unusual(y), strict=True):
        net = network()
        assert net.train_step(inputs, targets, 0.25) == loss, kind
        assert net.params.tobytes() == expected.params.tobytes(), kind
        assert net.predict(inputs).tobytes() == outputs, kind


def test_data_of_these_kinds_take_the_short_way():
    kinds = dict(unusual(numbers(4, 3)))
    with the_short_way_only(network()) as net:
        for kind in ("read-only", "unpickled", "little-endian", "float64"):
            net.predict(kinds[kind])


def test_outputs_over_the_inputs():
    net = cbp.Network([3, 3], output="tanh", seed=0)
    X = numbers(4, 3)
    expected = net.predict(X).tobytes()
    assert net.predict(X, out=X) is X
    assert X.tobytes() == expected
    room = np.concatenate([numbers(4, 3), numbers(2, 3)])
    expected = net.predict(room[:4].copy()).tobytes()
    assert net.predict(room[:4], out=room[2:]).tobytes() == expected
    apart = numbers(8, 3)
    expected = net.predict(apart[4:].copy()).tobytes()
    with the_short_way_only(net):
        assert net.predict(apart[4:], out=apart[:4]).tobytes() == expected


# ---- errors ----

X3, Y2 = numbers(3), numbers(2)


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def read_only(array):
    array.flags.writeable = False
    return array


nan, inf = np.nan, np.inf


def sigmoid(**kwargs):
    return network(3, 2, "sigmoid", **kwargs)


def softmax(**kwargs):
    return network(3, 2, "softmax", **kwargs)


WRONG = {
    "NaN in": (network, changed(X3, 1, nan), Y2),
    "infinity in": (network, changed(numbers(4, 3), (2, 1), -inf), numbers(4, 2)),
    "NaN in the last of many": (network, changed(numbers(2000, 3), (1999, 2), nan), numbers(2000, 2)),
    "NaN to hit": (network, X3, changed(Y2, 0, nan)),
    "infinity to hit": (network, numbers(9, 3), changed(numbers(9, 2), (8, 1), inf)),
    "NaN as a number": (lambda: network(3, 1), X3, nan),
    "too large for float32": (lambda: network(3, 1), X3, 1e300),
    "NaN in float64": (network, np.array([0, nan, 0]), Y2),
    "float64 too large for float32": (network, np.array([[0, 0, 0], [0, -1e39, 0]]), numbers(2, 2)),
    "float64 too large to hit": (network, X3, np.array([0, 1e39])),
    "float64 for many": (network, changed(np.zeros((9000, 3)), (8999, 1), 1e300), numbers(9000, 2)),
    "above 1": (sigmoid, X3, changed(Y2, 1, 1.0000001)),
    "below 0": (sigmoid, X3, changed(Y2, 1, -1e-30)),
    "NaN as a share of 1": (sigmoid, X3, changed(Y2, 1, nan)),
    "sum above 1": (softmax, X3, np.float32([0.5, 0.502])),
    "negative share": (softmax, X3, np.float32([-0.5, 1.5])),
    "share that is NaN": (softmax, X3, np.float32([nan, 1])),
    "share that is infinite": (softmax, X3, np.float32([inf, -inf])),
    "label too large": (softmax, X3, 2),
    "label too small": (softmax, X3, -1),
    "label beyond 64 bits": (softmax, X3, 2**70),
    "labels": (softmax, numbers(3, 3), np.array([0, 1, 2])),
    "too many labels": (softmax, numbers(2, 3), np.array([0, 1, 1])),
    "label for a row": (softmax, numbers(2, 3), 1),
    "a span of time": (softmax, X3, np.timedelta64(1, "s")),
    "width": (network, numbers(2), Y2),
    "width of rows": (network, numbers(4, 2), numbers(4, 2)),
    "dimensions": (network, numbers(1, 1, 3), Y2),
    "no rows": (network, numbers(0, 3), numbers(0, 2)),
    "fewer targets": (network, numbers(4, 3), numbers(3, 2)),
    "one target for two outputs": (network, X3, 0.5),
    "text": (network, X3, "0.5"),
    "nothing": (network, None, Y2),
}


def failure(net, act, *args, **kwargs):
    """What an act ends with: exception and sentence; and that it left the network alone."""
    before = net.params.tobytes(), net.grad.tobytes()
    with pytest.raises((ValueError, TypeError, OverflowError)) as caught:
        act(net, *args, **kwargs)
    assert (net.params.tobytes(), net.grad.tobytes()) == before
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("wrong", WRONG)
@each_of("step", STEPS)
def test_an_error_is_the_same_both_ways(step, wrong):
    make, X, y = WRONG[wrong]
    short = failure(make(), STEPS[step], X, y)
    assert short == failure(make(), STEPS[step], the_long_way(X), the_long_way(y))


@pytest.mark.parametrize(("rate", "fine"), [(0.5, True), (1, True), (np.float32(0.5), True), (np.float64(0.5), True)]
    + [(rate, False) for rate in (nan, inf, "0.5", None, np.ones(1), 1j)])  # fmt: skip
def test_a_learning_rate_is_a_finite_number(rate, fine):
    net = network()
    net.train_step(X3, Y2, 0.0)
    for step in (lambda net: net.update(rate), lambda net: net.train_step(X3, Y2, rate)):
        if fine:
            before = net.params.copy()
            step(net)
            assert (net.params != before).any()
        else:
            assert failure(net, step)[1].startswith("learning_rate must be ")


@pytest.mark.parametrize(
    "out",
    [
        read_only(numbers(2)), numbers(1, 2), numbers(3), numbers(4)[::2], np.zeros(2), [0, 0], 0,
        np.zeros(2, ">f4"), np.empty(9, np.uint8)[1:].view("f4"),
    ],
    ids=["read-only", "row", "long", "strides", "float64", "list", "number", "big-endian", "misaligned"],
)  # fmt: skip
def test_an_out_that_does_not_fit_is_refused_both_ways(out):
    short = failure(network(), lambda net: net.predict(X3, out=out))
    assert short == failure(network(), lambda net: net.predict(X3.view(Other), out=out))


@pytest.mark.parametrize("step", ["train_step", "gradient"])
def test_a_loss_that_is_not_finite_updates_nothing_and_leaves_the_network_usable(step):
    net = cbp.Network([1, 1], output="identity", seed=0)
    before = net.params.tobytes()
    with pytest.raises(cbp.DivergenceError) as caught:
        STEPS[step](net, np.float32([3e38]), np.float32([-3e38]))
    assert (caught.value.layer, caught.value.learning_rate) == (1, 0.25 if step == "train_step" else None)
    assert net.params.tobytes() == before
    assert np.isfinite(STEPS[step](net, np.float32([1]), np.float32([1])))


def test_unchecked_data_are_not_checked_either_way():
    for way in (np.asarray, the_long_way):
        assert np.isnan(network().predict(way(changed(X3, 0, nan)), check_finite=False)).all()
        assert network(output="sigmoid").gradient(way(X3), way(np.float32([7, -7])), check_finite=False)
        with pytest.raises(ValueError, match=r"y\[0\] is 5, but the network has 2 classes"):
            softmax().gradient(way(X3), 5, check_finite=False)
    for other in (0, None, np.False_):
        assert np.isnan(network().predict(changed(X3, 0, nan), check_finite=other)).all()
    with pytest.raises(ValueError, match=r"X\[0\] is nan"):
        network().predict(changed(X3, 0, nan), check_finite=1)


def test_sample_weights_take_the_long_way():
    for step in ("train_step", "gradient"):
        first, second = network(), network()
        X, y, s = numbers(4, 3), numbers(4, 2), np.float32([1, 2, 3, 0])
        STEPS[step](first, X, y, sample_weight=s)
        STEPS[step](second, the_long_way(X), y, sample_weight=s)
        assert state(first) == state(second)


def test_backward_belongs_to_the_last_forward():
    net, X = network(), numbers(4, 3)
    sentence = "backward needs a forward before it: call net.forward"
    for between in (
        lambda: net.gradient(X3, Y2),
        lambda: net.backward(Y2),
        lambda: net.fit(X, numbers(4, 2), epochs=1),
    ):
        net.forward(X3)
        between()
        with pytest.raises(RuntimeError, match=sentence):
            net.backward(Y2)
    net.forward(X)
    assert failure(net, lambda net: net.backward(Y2))[1] == "Y has shape (2,), the network expects (4, 2)"
    net.forward(X3)
    assert net.backward(Y2) == net.loss(X3, Y2)
