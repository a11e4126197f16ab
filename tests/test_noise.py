"""Dropout and noise on the inputs, against NumPy: Philox, masks, normal numbers and a training loop written anew."""

from statistics import NormalDist

import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES, same_bytes

import cbp
from cbp import _core

SEED = 0xFEDCBA9876543210
DROPOUT, INPUT_DROPOUT, INPUT_NOISE = 3, 4, 5  # purposes, as net.h counts them
LOW, HIGH = np.uint64(2**32 - 1), np.uint64(32)
WIDTHS, SHARES = (5, 9, 6, 7, 2), (0.5, 0.0, 0.25, 0.0)


# ---- the oracle ----


def philox(counter, key):
    """Philox4x32-10 of arrays of counters, (4, n), and a key; words (4, n)."""
    c, k = [np.asarray(word, np.uint64) for word in counter], [np.uint64(word) for word in key]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> HIGH) ^ c[1] ^ k[0], p1 & LOW, (p0 >> HIGH) ^ c[3] ^ k[1], p0 & LOW]
        k = [k[0] + np.uint64(0x9E3779B9) & LOW, k[1] + np.uint64(0xBB67AE85) & LOW]
    return np.array(c)


def blocks(seed, draw, purpose, block):
    """The four words of each block of a stream, (4, n)."""
    block = np.asarray(block, np.uint64)
    stream = np.full_like(block, draw & 2**32 - 1), np.full_like(block, draw >> 32)
    counter = block & LOW, block >> HIGH | np.uint64(purpose << 16), *stream
    return philox(counter, (seed & 2**32 - 1, seed >> 32))


def kept(seed, draw, purpose, share, numbers):
    """Which of these numbers of a stream dropout keeps."""
    found = blocks(seed, draw, purpose, numbers.ravel() // 4)
    return (found[numbers.ravel() % 4, np.arange(numbers.size)] >= share * 2**32).reshape(numbers.shape)


def normal(seed, draw, numbers):
    """These normal numbers of a stream."""
    found, half = blocks(seed, draw, INPUT_NOISE, numbers.ravel() // 2), 2 * (numbers.ravel() % 2)
    at = np.arange(numbers.size)
    words = found[half + 1, at] << HIGH | found[half, at]
    uniform = ((words >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52
    return np.array([NormalDist().inv_cdf(u) for u in uniform]).reshape(numbers.shape)


class Noise:
    """What a draw does to m rows."""

    def __init__(self, net, draw, m, widths=WIDTHS, shares=SHARES):
        self.units, self.m, self.at = sum(widths[1:]), m, (net.seed, draw)
        self.widths, self.shares, self.spec = widths, shares, net.get_config()

    def inputs(self, X):
        numbers = np.arange(self.m * self.widths[0]).reshape(self.m, -1)
        share = self.spec.get("input_dropout", 0)
        X = X + self.spec.get("input_noise", 0) * normal(*self.at, numbers)
        return np.where(kept(*self.at, INPUT_DROPOUT, share, numbers), X / (1 - share), 0)

    def factors(self, l):
        """What the units of layer l count: 0 or 1 / (1 - p)."""
        before = sum(self.widths[1:l])
        numbers = np.arange(self.m)[:, None] * self.units + before + np.arange(self.widths[l])
        return kept(*self.at, DROPOUT, self.shares[l - 1], numbers) / (1 - self.shares[l - 1])


def gradient(net, X, y, noise):
    """Loss and gradient of half the squared error, tanh below an identity, by the book."""
    A, factors = [noise.inputs(X)], [noise.factors(l) for l in range(1, len(WIDTHS))]
    for layer, factor in zip(net.layers[:-1], factors, strict=False):
        A.append(np.tanh(A[-1] @ layer.W + layer.b) * factor)
    error = A[-1] @ net.layers[-1].W + net.layers[-1].b - y
    delta, found = error / len(X), []
    for l in reversed(range(len(net.layers))):
        found = [np.concatenate([delta.sum(0, keepdims=True), A[l].T @ delta]).ravel(), *found]
        if l:
            f = factors[l - 1]
            slope = np.where(f > 0, 1 - (A[l] / np.maximum(f, 1)) ** 2, 0) * f
            delta = delta @ net.layers[l].W.T * slope
    return (error**2).sum() / 2 / len(X), np.concatenate(found)


# ---- the subject ----

INPUTS = {
    "no input noise": {},
    "noise": {"input_noise": 0.3},
    "dropout": {"input_dropout": 0.4},
    "both": {"input_noise": 0.3, "input_dropout": 0.4},
}
inputs = pytest.mark.parametrize("how", INPUTS.values(), ids=INPUTS)


def network(dtype="float64", shares=SHARES, widths=WIDTHS, seed=SEED, activation="tanh", **how):
    hidden = [cbp.Dense(n, activation, dropout=p) for n, p in zip(widths[1:-1], shares, strict=False)]
    return cbp.Network([widths[0], *hidden, widths[-1]], output="identity", dtype=dtype, seed=seed, **how)


def data(m, dtype="float64", widths=WIDTHS):
    rng = np.random.default_rng(80)
    return rng.uniform(-1, 1, (m, widths[0])).astype(dtype), rng.uniform(-1, 1, (m, widths[-1])).astype(dtype)


def close(got, want, tolerance=1e-12):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


# ---- numbers ----


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_the_oracle_has_the_authors_vectors(counter, key, words):
    assert philox(counter, key).tolist() == words == list(_core.philox(counter, key))


@pytest.mark.parametrize("draw", [0, 7, 5 << 32 | 3, 2**64 - 1])
@each_of("dtype", DTYPES)
@each_of("m", [1, 2, 33])
def test_masks_are_the_predicted_ones(m, draw, dtype):
    net, (X, _) = network(dtype, activation="sigmoid"), data(m, dtype)
    net.forward(X, noise=draw)
    below = [None, *(A.copy() for A in net.activations[1:])]
    for l in (1, 2, 3):
        factors = Noise(net, draw, m).factors(l)
        assert ((below[l] > 0) == (factors > 0)).all()
        A = X if l == 1 else below[l - 1]
        alone = cbp.Network([WIDTHS[l - 1], WIDTHS[l]], dtype=dtype)
        alone.params[:] = net.layers[l - 1].theta.ravel()
        assert same_bytes(below[l], alone.predict(A) * factors.astype(dtype))
    assert 0 < sum((A > 0).mean() for A in below[1:]) / 3 < 1


@pytest.mark.parametrize("dtype", DTYPES)
@inputs
def test_noisy_inputs_are_the_predicted_ones(how, dtype):
    net, (X, _) = network(dtype, **how), data(40, dtype)
    net.forward(X, noise=9)
    want = Noise(net, 9, 40).inputs(X)
    assert ((net.activations[0] == 0) == (want == 0)).all()
    close(net.activations[0], want, 1e-14 if dtype == "float64" else 1e-6)
    net.forward(X)
    assert same_bytes(net.activations[0], X)


def test_shares_are_kept_and_normal_numbers_are_normal():
    n, m = 50, 400
    net = network(widths=(n, n, 1), shares=(0.3, 0), input_noise=2.0, activation="sigmoid")
    net.forward(np.zeros((m, n)), noise=1)
    noise, A = net.activations[:2]
    zero = (A == 0).astype(float)
    assert abs(zero.mean() - 0.3) < 4.5 * (0.3 * 0.7 / A.size) ** 0.5
    assert abs(noise.mean()) < 4.5 * 2 / noise.size**0.5
    assert abs(noise.var() / 4 - 1) < 4.5 * (2 / noise.size) ** 0.5
    for axis in (0, 1):  # neither rows nor columns are alike
        assert (np.ptp(zero, axis=axis) > 0).all()
    for one, other in ((zero[:, 1:], zero[:, :-1]), (zero[1:], zero[:-1])):  # neighbours do not know of each other
        assert abs((one * other).mean() - 0.3**2) < 0.01


def test_hardly_any_and_hardly_none():
    for share, zeros in ((1e-12, 0), (1 - 2**-40, 36)):
        net = network(widths=(2, 36, 1), shares=(share, 0), activation="sigmoid")
        net.forward([1, 2], noise=0)
        assert np.count_nonzero(net.activations[1] == 0) == zeros


# ---- passes ----


@inputs
@pytest.mark.parametrize("m", [1, 2, 13])
def test_loss_and_gradient_are_the_books(m, how):
    net, (X, y) = network(**how), data(m)
    loss, want = gradient(net, X, y, Noise(net, 17, m))
    assert abs(net.gradient(X, y, noise=17) - loss) < 1e-13
    close(net.grad, want)
    assert net.loss(X, y, noise=17) == pytest.approx(loss, rel=1e-13)


@inputs
@pytest.mark.parametrize(("batch", "shuffle"), [(1, True), (7, True), (7, False), (100, True)])
def test_fit_is_the_loop_of_the_book(batch, shuffle, how):
    net, (X, y) = network(**how), data(23)
    book = net.copy()
    net.fit(X, y, epochs=3, batch_size=batch, shuffle=shuffle, optimizer=cbp.optimizers.SGD(0.1), progress=False)
    for epoch in range(3):
        order = _core.permutation(SEED, epoch, 23) if shuffle else np.arange(23)
        for b, start in enumerate(range(0, 23, batch)):
            rows = order[start : start + batch]
            noise = Noise(book, (epoch << 32) + b, len(rows))
            book.params[:] -= 0.1 * gradient(book, X[rows], y[rows], noise)[1]
    close(net.params, book.params)


@inputs
def test_fit_is_the_users_own_loop(how):
    net, (X, y) = network("float32", **how), data(23, "float32")
    loop = net.copy()
    net.fit(X, y, epochs=1, batch_size=5, shuffle=False, optimizer=cbp.optimizers.SGD(0.1), progress=False)
    for b in range(5):
        loop.train_step(X[5 * b : 5 * b + 5], y[5 * b : 5 * b + 5], 0.1, noise=b)
    assert same_bytes(net.params, loop.params)


@inputs
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 6)], ids=["plain", "weighted"])
def test_gradcheck_goes_through_the_noise(how, weight):
    net, (X, y) = network(**how), data(6)
    report = cbp.gradcheck(net, X, y, weight, noise=7)
    assert report.ok
    assert report.max_error < 1e-9
    assert net.gradient(X, y, weight, noise=7) != net.gradient(X, y, weight)


@inputs
def test_gradcheck_goes_through_the_noise_of_all_that_layers_can_have(how):
    hidden = [
        cbp.Dense(9, "tanh", dropout=0.5, l1=0.01),
        cbp.Dense(7, "sigmoid", dropout=0.25, skip="all", steepness=2.0),
        cbp.Dense(5, "softplus", dropout=0.1, skip=[0, 1], l2=0.1),
    ]
    net = cbp.Network(
        [5, *hidden, cbp.Dense(2, "identity", skip="all")], dtype="float64", seed=3, scale_inputs=(0.5, 2), **how
    )
    X, y = data(6)
    assert cbp.gradcheck(net, X, y, noise=7).max_error < 1e-9
    assert net.loss(X, y, noise=7) == pytest.approx(net.gradient(X, y, noise=7), rel=1e-14)
    net.forward(X, noise=7)
    assert net.backward(y) == net.gradient(X, y, noise=7)


def test_gradcheck_below_heads_with_targets_that_are_missing():
    heads = [(slice(0, 3), "softmax", "categorical_cross_entropy", 1.0), (slice(3, 5), "identity", "huber", 0.5)]
    layers = [5, cbp.Dense(9, "tanh", dropout=0.5), 5]
    net = cbp.Network(layers, heads=heads, missing_targets=True, dtype="float64", seed=3, **INPUTS["both"])
    X, _ = data(6)
    y = np.hstack([np.eye(3)[[0, 1, 2, 2, 1, 0]], np.linspace(-1, 1, 12).reshape(6, 2)])
    y[1, 3] = y[2, 4] = np.nan
    assert cbp.gradcheck(net, X, y, noise=7).max_error < 1e-9


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_gradcheck_below_the_losses_with_an_output_of_their_own(output):
    net = cbp.Network([4, cbp.Dense(40, "tanh", dropout=0.5), 3], output=output, dtype="float64", seed=5)
    X = np.linspace(-1, 1, 24).reshape(6, 4)
    assert cbp.gradcheck(net, X, np.eye(3)[[0, 1, 2, 2, 1, 0]], noise=2, per_layer=60).max_error < 1e-9


@inputs
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_steps_are_the_pass(dtype, how):
    for m in (1, 30):
        X, y = data(m, dtype)
        at_once, steps, both = (network(dtype, **how) for _ in range(3))
        loss = at_once.gradient(X, y, noise=3)
        steps.forward(X, noise=3)
        assert steps.backward(y) == loss == both.train_step(X, y, 0.5, noise=3)
        assert same_bytes(steps.grad, at_once.grad)
        for one, other in zip(steps.deltas[1:], at_once.deltas[1:], strict=True):
            assert same_bytes(one, other)
        at_once.update(0.5)
        assert same_bytes(at_once.params, both.params)


# ---- what the noise depends on, and what depends on it ----


def left(net, X, draw=11):
    """Bytes of the inputs and activations of a noisy pass."""
    net.forward(X, noise=draw)
    return [A.tobytes() for A in net.activations]


def test_it_depends_on_seed_and_draw():
    X, _ = data(8)
    found = [left(network(seed=seed, **INPUTS["both"]), X, draw)[0] for seed in (0, 1, 2**40) for draw in (0, 1, 2**32)]
    assert len(set(found)) == 9
    assert left(network(**INPUTS["both"]), X) == left(network(**INPUTS["both"]), X)


def test_it_does_not_depend_on_the_rows_after():
    net, (X, _) = network(**INPUTS["both"]), data(300)
    net.forward(X, noise=11)
    first = [A[:1].tobytes() for A in net.activations]
    some = [A[:20].tobytes() for A in net.activations]
    assert left(net, X[:20]) == some
    assert left(net, X[:1]) == left(net, X[0]) == first


def test_it_does_not_depend_on_other_layers_that_have_some():
    X, _ = data(8)
    masks = []
    for shares in ((0, 0, 0.25), (0.5, 0, 0.25), (0.5, 0.75, 0.25)):
        net = network(shares=shares, activation="sigmoid")
        net.forward(X, noise=11)
        masks.append((net.activations[3] > 0).tobytes())
    assert len(set(masks)) == 1


WIDE = (70, 300, 260, 3)


def gradient_and_activations(dtype, m):
    net, (X, y) = network(dtype, (0.5, 0.2), WIDE, **INPUTS["both"]), data(m, dtype, WIDE)
    return net.gradient(X, y, noise=2), net.grad.tobytes(), *left(net, X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_does_not_depend_on_threads(dtype):
    before, found = cbp.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            cbp.set_num_threads(threads)
            found.append(gradient_and_activations(dtype, 280))
    finally:
        cbp.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_does_not_depend_on_the_instruction_set(monkeypatch, dtype):
    found = set()
    for isa in _core.isas():
        monkeypatch.setenv("CBP_ISA", isa)
        found.add(gradient_and_activations(dtype, 5))
    assert len(found) == 1


@inputs
def test_the_objective_of_many_rows_is_that_of_one_pass(how):
    net, (X, y) = network(**how), data(600)
    assert net.loss(X, y, noise=4) == pytest.approx(net.gradient(X, y, noise=4), rel=1e-14)


@inputs
def test_without_a_draw_there_is_no_noise(how):
    X, y = data(30)
    net, plain = network(**how), network(shares=(0, 0, 0))
    assert same_bytes(net.params, plain.params)
    assert same_bytes(net.predict(X), plain.predict(X))
    assert same_bytes(net.forward(X), plain.forward(X))
    assert net.backward(y) == plain.backward(y) == net.loss(X, y)
    net.gradient(X, y, noise=1)
    assert net.gradient(X, y) == plain.gradient(X, y)
    assert same_bytes(net.grad, plain.grad)
    assert net.train_step(X, y, 0.1) == plain.train_step(X, y, 0.1)
    assert same_bytes(net.params, plain.params)


def test_a_draw_without_noise_changes_nothing():
    net, (X, y) = network(shares=(0, 0, 0)), data(30)
    assert net.gradient(X, y, noise=1) == net.gradient(X, y) == net.loss(X, y, noise=1)


def test_validation_and_metrics_are_not_noisy():
    net, (X, y) = network(**INPUTS["both"]), data(30)
    history = net.fit(X, y, epochs=2, validation=(X, y), metrics="mean_squared_error", progress=False)
    assert history.val_loss[-1] == net.loss(X, y)
    assert history.mean_squared_error[-1] == history.val_mean_squared_error[-1]
    assert history.mean_squared_error[-1] == pytest.approx(((net.predict(X) - y) ** 2).mean())


def test_a_trace_is_one_without_noise():
    net, plain, (X, y) = network(**INPUTS["both"]), network(shares=(0, 0, 0)), data(2)
    assert net.trace(X, y).records() == plain.trace(X, y).records()
    assert "dropout=0.5" in str(net.trace(X, y))


def test_training_is_another_with_noise():
    (X, y), found = data(30), set()
    for shares, how in [((0, 0, 0), {}), (SHARES, {}), ((0, 0, 0), INPUTS["noise"]), ((0, 0, 0), INPUTS["dropout"])]:
        net = network(shares=shares, **how)
        net.partial_fit(X, y)
        found.add(net.params.tobytes())
    assert len(found) == 4


# ---- the description ----


def test_the_description_has_what_there_is():
    net = cbp.Network([4, cbp.Dense(8, "relu", dropout=0.25), 2], input_noise=0.5, input_dropout=0.125, seed=0)
    assert repr(net).splitlines() == [
        "Network(4 input_noise=0.5 input_dropout=0.125",
        "        > 8 relu dropout=0.25",
        "        > 2 sigmoid,",
        "        binary_cross_entropy, float32): 58 parameters",
    ]
    config = net.get_config()
    assert (config["input_noise"], config["input_dropout"]) == (0.5, 0.125)
    again = cbp.Network.from_config(config)
    assert again == net
    X = np.ones((3, 4), np.float32)
    assert left(again, X) == left(net, X)
    assert cbp.Network([4, 8, 2], seed=0).get_config().keys().isdisjoint({"input_noise", "input_dropout"})
    assert cbp.Network([4, 8, 2], seed=0) != cbp.Network([4, 8, 2], seed=0, input_noise=0.1)
