"""Everything at once: skips, steepness, noise, heads, pairs, missing targets, penalties, limits, frozen layers, a mask,
averages, scaling and weights of zero, in one network. Its epochs are its steps, whatever the threads.
"""

import numpy as np
import pytest

import cbp

HEADS = [
    cbp.Head(3, "softmax"),
    cbp.Head(2, "sigmoid", "mean_squared_error", weight=0.5),
    cbp.Head(2, ["identity", "softplus"], "gaussian_nll"),
]
EPOCHS = 2


@pytest.fixture
def threads():
    before = cbp.get_num_threads()
    yield cbp.set_num_threads
    cbp.set_num_threads(before)


def network(dtype, reduction, width):
    layers = [
        5,
        cbp.Dense(width, "tanh", dropout=0.2, l2=0.01, max_norm=1.5),
        cbp.Dense(9, "relu", skip=[0], steepness=1.3, l1=0.002),
        cbp.Dense(6, "silu", skip="all", dropout=0.3, trainable=False),
        cbp.Dense(7, skip=[0, 1], l2=0.003),
    ]
    net = cbp.Network(
        layers,
        heads=HEADS,
        missing_targets=True,
        dtype=dtype,
        reduction=reduction,
        seed=4,
        scale_inputs="standard",
        input_noise=0.1,
        input_dropout=0.1,
    )
    net.mask = np.arange(net.n_params) % 7 != 0
    return net


def samples(n):
    """Rows of which the first batches count nothing at all."""
    rng = np.random.default_rng(n)
    X, Y = rng.normal(size=(n, 5)), rng.random((n, 6))
    Y[:, :3] = np.eye(3)[rng.integers(0, 3, n)]
    Y[rng.random(n) < 0.2, :3] = np.nan
    Y[:, 3:][rng.random((n, 3)) < 0.1] = np.nan
    weight = rng.random(n) * (rng.random(n) < 0.6)
    weight[:16], weight[-1] = 0, 1
    return X, Y, weight


def optimizer(kind, reduction):
    rate = 0.01 if reduction == "mean" else 0.0005
    return getattr(cbp.optimizers, kind)(rate, clip_value=0.5, clip_norm=1.0, average=0.9)


def state(net):
    return net.params.tobytes(), net._memory.slots.tobytes()


def by_hand(net, X, Y, weight, size, steps):
    """Return what the steps of the epochs make of the network, each with the draw of its batch."""
    net.learn_scaling(X, Y)
    for epoch in range(EPOCHS):
        for b in range(-(-len(X) // size)):
            rows = slice(b * size, (b + 1) * size)
            if weight[rows].any():
                net.gradient(X[rows], Y[rows], weight[rows], noise=(epoch << 32) + b)
            else:
                net.grad[:] = 0
            steps.step(net)
    return state(net)


@pytest.mark.parametrize(("n", "size"), [(17, 1), (17, 8), (17, 1000), (300, 8), (300, 290)])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("dtype", "reduction", "width"), [("float32", "mean", 7), ("float64", "sum", 1000)])
def test_epochs_are_their_steps_whatever_the_threads(threads, dtype, reduction, width, kind, n, size):
    X, Y, weight = samples(n)
    want = by_hand(network(dtype, reduction, width), X, Y, weight, size, optimizer(kind, reduction))
    for number in (1, 3):
        threads(number)
        net = network(dtype, reduction, width)
        how = {"optimizer": optimizer(kind, reduction), "sample_weight": weight, "shuffle": False}
        net.fit(X, Y, epochs=EPOCHS, batch_size=size, **how)
        assert state(net) == want
    assert np.isfinite(net.params).all()


@pytest.mark.parametrize("width", [7, 150])
def test_predictions_do_not_depend_on_threads_or_on_how_rows_are_taken(threads, width):
    net, X = network("float32", "mean", width), np.random.default_rng(0).normal(size=(3000, 5))
    net.learn_scaling(X)
    want = [net.predict(row).tobytes() for row in X]
    for number in (1, 2, 4):
        threads(number)
        for size in (255, 256, 257, 1024, 3000):
            found = np.concatenate([net.predict(X[start : start + size]) for start in range(0, len(X), size)])
            assert [row.tobytes() for row in found] == want
