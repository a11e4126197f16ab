"""All that can go together, in one network: what each feature's own tests say of it must hold in company.

Heads, missing targets, skips, steepness, an activation for every unit, penalties, max_norm, dropout, noise, scaling of
inputs, a frozen layer, a mask; trained with clipping, an average and sample weights.
"""

import copy
import json
import pickle

import numpy as np
import pytest
from helpers import DTYPES

import cbp
from cbp import _core

N, BATCH, EPOCHS = 46, 8, 3  # the last batch is shorter
RNG = np.random.default_rng(110)
X = RNG.normal([0, 10, -3, 100, 0.1], [1, 2, 0.5, 30, 0.01], (N, 5))
LABELS = np.where(RNG.random(N) < 0.2, np.nan, RNG.integers(0, 3, N))
NUMBERS = np.where(RNG.random((N, 3)) < 0.2, np.nan, RNG.normal(size=(N, 3)))
Y = LABELS, NUMBERS[:, :2], NUMBERS[:, 2:]
WEIGHTS = RNG.uniform(0.5, 2, N)
PER_EPOCH = -(-N // BATCH)


def network(dtype="float64", wide=0):
    """The network; `wide` more units make its products large enough to be cut for threads."""
    smooth = cbp.losses.categorical_cross_entropy(label_smoothing=0.1)
    net = cbp.Network(
        [
            5,
            cbp.Dense(8 + wide, "tanh", l2=1e-2, max_norm=0.5, dropout=0.25),
            cbp.Dense(6, ["sigmoid", "tanh", "relu", "silu", "sin", "gelu"], skip=[0], steepness=1.5, l1=1e-3),
            cbp.Dense(5, "silu", skip="all", trainable=False),
            cbp.Dense(7, skip=[0], l2=1e-3),
        ],
        heads=[cbp.Head(3, "softmax", smooth), cbp.Head(2, "identity", "huber", 0.5), cbp.Head(2, loss="gaussian_nll")],
        missing_targets=True,
        scale_inputs="robust",
        input_noise=0.05,
        input_dropout=0.1,
        init="glorot_normal",
        seed=111,
        dtype=dtype,
    )
    mask = np.ones(net.layers[1].theta.shape)
    mask[2, 3] = mask[0, 1] = 0
    mask[4] = 0
    net.layers[1].mask = mask
    return net


def adam():
    return cbp.optimizers.Adam(0.01, clip_value=0.2, clip_norm=0.5, average=0.9)


def fit(net, epochs=EPOCHS, **kwargs):
    return net.fit(X, Y, epochs=epochs, batch_size=BATCH, sample_weight=WEIGHTS, progress=False, **kwargs)


def state(net):
    memory = net._memory
    return net.epoch, memory.t, net.params.tobytes(), memory.slots.tobytes(), net.averaged().params.tobytes()


@pytest.fixture(scope="module", params=DTYPES)
def trained(request):
    net = network(request.param)
    fit(net, optimizer=adam())
    return net


@pytest.mark.parametrize("noise", [None, 7])
def test_the_gradient_is_the_objectives(noise):
    net = network()
    net.learn_scaling(X)
    some = slice(0, 12)
    report = cbp.gradcheck(net, X[some], tuple(y[some] for y in Y), WEIGHTS[some], noise=noise)
    assert report.max_error < 1e-9
    assert [layer.checked == layer.parameters for layer in report.layers] == [True, False, False, True]


def test_fit_is_a_loop_of_gradients_and_steps(trained):
    net, optimizer = network(trained.dtype), adam()
    net.learn_scaling(X)
    for epoch in range(EPOCHS):
        order = _core.permutation(net.seed, epoch, N)
        for batch in range(PER_EPOCH):
            rows = order[batch * BATCH : (batch + 1) * BATCH]
            net.gradient(X[rows], tuple(y[rows] for y in Y), WEIGHTS[rows], noise=epoch * 2**32 + batch)
            optimizer.step(net)
    assert state(net)[1:] == state(trained)[1:]


def test_what_is_bounded_is(trained):
    fresh = network(trained.dtype)
    assert trained.layers[2].theta.tobytes() == fresh.layers[2].theta.tobytes()
    fixed = fresh.layers[1].mask == 0
    assert (trained.layers[1].theta[fixed] == fresh.layers[1].theta[fixed]).all()
    assert (trained.layers[1].theta[~fixed] != fresh.layers[1].theta[~fixed]).any()
    lengths = np.linalg.norm(trained.layers[0].W, axis=0)
    assert lengths.max() == pytest.approx(0.5, rel=1e-6)


class Stop(cbp.Callback):
    """Ctrl-C in the second epoch."""

    updates = PER_EPOCH + 3

    def on_pause(self, state):
        if state.network.epoch == 1 and state.network.unfinished == 3:
            raise KeyboardInterrupt


def test_stopping_is_forgotten_on_every_way_back(trained, tmp_path):
    net = network(trained.dtype)
    with pytest.raises(KeyboardInterrupt):
        fit(net, optimizer=adam(), callbacks=Stop())
    net.save(tmp_path / "half.npz")
    for other in (
        cbp.load(tmp_path / "half.npz"),
        net.copy(),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        net,
    ):
        assert (other.epoch, other.unfinished) == (1, 3)
        fit(other, EPOCHS - other.epoch, resume=True)
        assert state(other) == state(trained)


def test_rows_from_a_file_and_passes_one_by_one(trained, tmp_path):
    np.save(tmp_path / "X.npy", X)
    net = network(trained.dtype)
    for _ in range(EPOCHS):
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        net.partial_fit(mapped, Y, batch_size=BATCH, sample_weight=WEIGHTS, optimizer=net.optimizer or adam())
    assert state(net) == state(trained)


def left(dtype, isa, threads, copies=8, wide=424):
    """All that a training leaves behind, with this instruction set and so many threads."""
    net, before = network(dtype, wide), cbp.get_num_threads()
    mask = net.mask
    net._setup(net._spec, net._spec.plan(isa), net.params)
    net.mask = mask
    cbp.set_num_threads(threads)
    try:
        rows, y, weights = np.tile(X, (copies, 1)), tuple(np.tile(y.T, copies).T for y in Y), np.tile(WEIGHTS, copies)
        options = {"batch_size": len(rows), "sample_weight": weights, "optimizer": adam(), "progress": False}
        losses = net.fit(rows, y, epochs=1, **options).loss
    finally:
        cbp.set_num_threads(before)
    return losses, state(net), net.predict(X).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_neither_threads_nor_the_instruction_set_matter(dtype):
    plain = left(dtype, "scalar", 1)
    assert all(left(dtype, isa, 1) == plain for isa in _core.isas())
    assert all(left(dtype, None, threads) == plain for threads in (2, 3, 4))


@pytest.mark.parametrize("name", ["irprop_minus", "irprop_plus", "quickprop", "rprop_minus"])
def test_whole_batch_optimizers_leave_what_is_fixed(name):
    net, loop = network(), network()
    loop.learn_scaling(X)
    fixed, before = ~net._trained(), net.params.copy()
    net.fit(X, Y, epochs=4, batch_size=N, shuffle=False, optimizer=name, progress=False)
    optimizer = cbp.optimizers.get(name)
    for epoch in range(4):
        loop.gradient(X, Y, noise=epoch * 2**32)
        optimizer.step(loop)
    assert net == loop
    assert (net.params[fixed] == before[fixed]).all()
    assert (net.params[~fixed] != before[~fixed]).any()


def test_the_configuration_makes_it_again(trained):
    again = cbp.Network.from_config(json.loads(json.dumps(trained.get_config())))
    assert again.get_config() == trained.get_config()
    again.mask = trained.mask
    fit(again, optimizer=adam())
    assert state(again) == state(trained)


def test_it_can_be_read():
    lines = str(network()).splitlines()
    assert max(map(len, lines)) < 150
    assert lines[1:5] == [
        "        > 8 tanh dropout=0.25 l2=0.01 max_norm=0.5",
        "        > 6 [sigmoid, tanh, relu, ...] steepness=1.5 skip=[0] l1=0.001",
        "        > 5 silu skip=[0, 1]",
        "        > 3 softmax + 2 identity + 2 [identity, softplus] skip=[0] l2=0.001,",
    ]
    assert lines[5].endswith("float64, inputs robust): 309 parameters, 108 of them fixed")
