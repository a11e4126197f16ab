"""A loss that is a function of the user's: the numbers of the row it imitates, clear words for its faults."""

import functools
import json
import pickle
import threading

import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES
from reference import complex_step
from refusals import every, inf, nan, refuses

import cbp


def squares(y, a):
    """mean_squared_error."""
    return ((a - y) ** 2).mean(axis=1), 2 * (a - y) / a.dtype.type(a.shape[1])


def quartic(y, a):
    return ((a - y) ** 4).sum(axis=1), 4 * (a - y) ** 3


def network(loss=squares, output="tanh", dtype="float64", n_out=2):
    return cbp.Network([3, 4, n_out], output=output, loss=loss, dtype=dtype, seed=5)


rng = np.random.default_rng(60)
X, Y, S = rng.normal(size=(600, 3)), rng.uniform(0, 1, (600, 2)), rng.uniform(0.5, 2, 600)


@pytest.mark.parametrize("output", cbp.activations)
@each_of("dtype", DTYPES)
def test_gradient_is_that_of_the_row(output, dtype):
    own, row = network(squares, output, dtype), network("mean_squared_error", output, dtype)
    for weight in (None, S):
        assert own.gradient(X, Y, weight) == pytest.approx(row.gradient(X, Y, weight), rel=1e-6)
        np.testing.assert_allclose(own.grad, row.grad, rtol=1e-5, atol=1e-6 * abs(row.grad).max())
    assert own.loss(X, Y, S) == pytest.approx(row.loss(X, Y, S), rel=1e-6)


def test_gradient_is_the_numeric_one():
    net = network(quartic)
    (first, second), x, y = net.layers, X[:5], Y[:5]

    def objective(point):
        cut = first.theta.size
        theta1, theta2 = point[:cut].reshape(first.theta.shape), point[cut:].reshape(second.theta.shape)
        hidden = 1 / (1 + np.exp(-(theta1[0] + x @ theta1[1:])))
        return ((np.tanh(theta2[0] + hidden @ theta2[1:]) - y) ** 4).sum(axis=1).mean()

    assert net.gradient(x, y) == pytest.approx(objective(net.params), rel=1e-13)
    np.testing.assert_allclose(net.grad, complex_step(objective, np.array(net.params)), rtol=1e-9, atol=1e-14)
    assert cbp.gradcheck(net, x, y).ok


@pytest.mark.parametrize("batch_size", [1, 7, 600])
def test_training_follows_the_row(batch_size):
    own, row = network(squares), network("mean_squared_error")
    kinds = {"epochs": 3, "batch_size": batch_size, "optimizer": "sgd", "validation": (X, Y), "progress": False}
    histories = [net.fit(X, Y, **kinds) for net in (own, row)]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-10)
    np.testing.assert_allclose(histories[0].val_loss, histories[1].val_loss, rtol=1e-10)
    np.testing.assert_allclose(own.params, row.params, rtol=1e-9, atol=1e-12)


def test_step_by_step_and_single_samples():
    own, row = network(squares), network("mean_squared_error")
    for net in (own, row):
        net.forward(X[0])
        net.backward(Y[0])
        net.update(0.5)
        net.train_step(X[:9], Y[:9], 0.5)
    np.testing.assert_allclose(own.params, row.params, rtol=1e-12)


def test_labels_come_as_rows_with_a_one():
    seen = []

    def kept(y, a):
        seen.append((y, a))
        return squares(y, a)

    net = network(kept, "softmax", "float32", n_out=3)
    net.gradient(X[:4], [2, 0, 1, 2])
    ((y, a),) = seen
    assert y.tolist() == np.eye(3)[[2, 0, 1, 2]].tolist()
    assert a.tobytes() == net.activations[-1].tobytes()
    assert (y.dtype, a.dtype) == (np.float32, np.float32)


def test_threads_of_the_pool_change_nothing():
    before, found = cbp.get_num_threads(), []
    try:
        for threads in (1, 3):
            cbp.set_num_threads(threads)
            net = network(squares)
            net.gradient(np.tile(X, (20, 1)), np.tile(Y, (20, 1)))
            found.append(net.grad.tobytes())
    finally:
        cbp.set_num_threads(before)
    assert found[0] == found[1]


def test_threads_of_python_evaluate_at_once():
    net, found = network(squares), []
    threads = [threading.Thread(target=lambda: found.append(net.loss(X, Y))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [net.loss(X, Y)] * 4


# ---- what it raises, what it returns ----


def raises(y, a):
    raise KeyError("my own error")


USES = {
    "loss": lambda net: net.loss(X, Y),
    "gradient": lambda net: net.gradient(X, Y),
    "train_step": lambda net: net.train_step(X, Y, 0.1),
    "backward": lambda net: (net.forward(X), net.backward(Y)),
    "fit": lambda net: net.fit(X, Y, epochs=2, batch_size=10, progress=False),
    "partial_fit": lambda net: net.partial_fit(X, Y, batch_size=1),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_it_raises_comes_through_and_nothing_is_updated(use):
    net = network(raises)
    before = net.params.tobytes()
    for _ in range(2):
        with pytest.raises(KeyError, match="my own error"):
            use(net)
    assert net.params.tobytes() == before


def test_an_interruption_comes_through():
    def interrupted(y, a):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        network(interrupted).fit(X, Y, progress=False)


@pytest.mark.parametrize("value", [nan, inf])
def test_a_cost_that_is_not_finite_is_a_divergence(value):
    net = network(lambda y, a: (np.full(len(a), value), np.zeros_like(a)))
    with pytest.raises(cbp.DivergenceError):
        net.fit(X, Y, progress=False)


def returned(value):
    def mine(y, a):
        return value

    return lambda: network(mine).loss(X[:4], Y[:4])


zeros = np.zeros
RETURNS = {
    "nothing": (returned(None), TypeError, "mine must return two arrays, the costs and dC/da, not NoneType"),
    "one": (returned(zeros(4)), TypeError, "mine must return two arrays, the costs and dC/da, not ndarray"),
    "three": (returned((1, 2, 3)), TypeError, "mine must return two arrays, the costs and dC/da, not tuple"),
    "a mean": (
        returned((0.5, zeros((4, 2)))),
        ValueError,
        "mine returned costs of shape (), expected (4,): one for each row",
    ),
    "costs of outputs": (
        returned((zeros((4, 2)), zeros((4, 2)))),
        ValueError,
        "mine returned costs of shape (4, 2), expected (4,): one for each row",
    ),
    "slope of rows": (
        returned((zeros(4), zeros(4))),
        ValueError,
        "mine returned dC/da of shape (4,), expected (4, 2), as the outputs have",
    ),
    "words": (
        returned((["a"] * 4, zeros((4, 2)))),
        TypeError,
        "the cost that mine returned has dtype <U1, expected real numbers; turn names into numbers first, as "
        "np.unique(the cost that mine returned, return_inverse=True) does",
    ),
}


def huber(y, a):
    return squares(y, a)


NAMES = {
    "of a row": (
        lambda: network(huber),
        ValueError,
        "huber is one of cbp.losses; a loss of your own needs another name",
    ),
    "no loss": (lambda: network(3), TypeError, "loss must be a name or one of cbp.losses, not 3"),
    "class": (lambda: network(dict), TypeError, "loss must be a name or one of cbp.losses, not <class 'dict'>"),
}


@every({"returns": RETURNS, "name": NAMES})
def test_refusal(act, error, sentence):
    refuses(act, error, sentence)


# ---- what becomes of it ----


class Power:
    """A loss with a state of its own."""

    def __init__(self, power):
        self.power = power

    def __call__(self, y, a):
        return (abs(a - y) ** self.power).sum(axis=1), self.power * abs(a - y) ** (self.power - 1) * np.sign(a - y)


def test_objects_and_partials_are_functions_too():
    assert str(network(Power(2))).startswith("Network(3 > 4 sigmoid > 2 tanh, Power, float64)")
    assert network(functools.partial(squares)).loss(X, Y) == network(squares).loss(X, Y)


def test_it_is_copied_and_pickled_with_the_network():
    net = network(squares)
    net.fit(X, Y, epochs=1, progress=False)
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin == net
        assert twin.fit(X, Y, epochs=1, progress=False).loss == net.copy().fit(X, Y, epochs=1, progress=False).loss
    assert net != network(quartic)


def test_configuration_holds_the_function():
    net = network(squares)
    config = net.get_config()
    assert config["loss"] is squares
    assert cbp.Network.from_config(config) == net
    with pytest.raises(TypeError):
        json.dumps(config)


def test_a_file_cannot_keep_it(tmp_path):
    refuses(
        lambda: network(squares).save(tmp_path / "mine.npz"),
        TypeError,
        "a file cannot keep the loss squares, which is a function of yours; pickle the network, or save net.params and "
        "make the network anew from net.get_config()",
    )
    assert not list(tmp_path.iterdir())
