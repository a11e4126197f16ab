"""Training learns: XOR, real handwritten digits, a curve; and the same seed learns the same bits."""

import numpy as np
import pytest

import cbp

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
PARITY = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="the handwritten digits come with scikit-learn")
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y


def curve(m, seed):
    x = np.random.default_rng(seed).uniform(-3, 3, (m, 1))
    return x, np.sin(2 * x) + 0.25 * x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_xor_by_plain_gradient_descent(hidden, dtype):
    net = cbp.Network([2, 4, 1], activation=hidden, output="sigmoid", dtype=dtype, seed=1)
    net.fit(XOR, PARITY, epochs=3000, batch_size=4, optimizer=cbp.optimizers.SGD(1.0, momentum=0.5), progress=False)
    np.testing.assert_allclose(net.predict(XOR)[:, 0], PARITY, atol=0.05)


def test_xor_with_the_textbook_cost_step_by_step():
    net = cbp.Network([2, 4, 1], activation="sigmoid", loss="half_squared_error", dtype="float64", seed=3)
    losses = [net.train_step(XOR, PARITY, learning_rate=8.0) for _ in range(4000)]
    assert losses[-1] < 1e-3 < 0.1 < losses[0]
    np.testing.assert_allclose(net.predict(XOR)[:, 0], PARITY, atol=0.1)


def test_xor_as_two_classes():
    net = cbp.Network([2, 8, 2], activation="relu", output="softmax", seed=0)
    net.fit(XOR, PARITY, epochs=400, batch_size=4, optimizer=cbp.optimizers.Adam(0.03), progress=False)
    assert net.predict(XOR).argmax(axis=1).tolist() == PARITY.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits(digits, seed):
    X, y = digits
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:1437], order[1437:]
    net = cbp.Network([64, 64, 10], activation="relu", output="softmax", seed=seed)
    net.fit(X[train], y[train], epochs=25, batch_size=32, progress=False)
    assert (net.predict(X[test]).argmax(axis=1) == y[test]).mean() > 0.96


def test_digits_in_the_way_of_derivation_b(digits):
    X, y = digits
    net = cbp.Network([64, 32, 10], activation="sigmoid", dtype="float64", seed=4)
    history = net.fit(X, np.eye(10)[y], epochs=40, batch_size=32, optimizer=cbp.optimizers.SGD(1.0), progress=False)
    assert history.loss[-1] < 0.1 * history.loss[0]
    assert (net.predict(X).argmax(axis=1) == y).mean() > 0.97


@pytest.mark.parametrize(
    "optimizer", [cbp.optimizers.Adam(0.005), cbp.optimizers.SGD(0.05, momentum=0.9, nesterov=True)], ids=str
)
def test_a_curve(optimizer):
    x, y = curve(400, 5)
    net = cbp.Network([1, 32, 32, 1], activation="tanh", output="identity", seed=6)
    net.fit(x, y, epochs=250, batch_size=32, optimizer=optimizer, progress=False)
    new, true = curve(200, 7)
    residual = net.predict(new) - true
    assert 1 - (residual**2).sum() / ((true - true.mean()) ** 2).sum() > 0.99


def test_a_straight_line_is_found_exactly():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(50, 3))
    net = cbp.Network([3, 2], activation="identity", dtype="float64", seed=9)
    W, b = rng.normal(size=(3, 2)), rng.normal(size=2)
    net.fit(X, X @ W + b, epochs=1500, batch_size=50, optimizer=cbp.optimizers.SGD(0.5), progress=False)
    np.testing.assert_allclose(net.layers[0].W, W, atol=1e-12)
    np.testing.assert_allclose(net.layers[0].b, b, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_bits_twice(dtype):
    x, y = curve(300, 10)
    found = []
    for _ in range(2):
        net = cbp.Network([1, 16, 1], activation="tanh", output="identity", dtype=dtype, seed=11)
        history = net.fit(x, y, epochs=5, validation=0.2, progress=False)
        found.append((np.array(net.params).tobytes(), history.loss, history["val_loss"]))
    assert found[0] == found[1]


def test_another_seed_gives_other_bits():
    first, second = (cbp.Network([4, 5, 1], seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.layers[0].W, second.layers[0].W)
