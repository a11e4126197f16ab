"""Training that stops and goes on is training that never stopped: the same bits, with every optimiser and with noise.

A network is compared by all that decides how it goes on: parameters, the optimiser's state, and both counters.
"""

import functools
import pickle

import numpy as np
import pytest

import cbp
from cbp import _core, optimizers

RNG = np.random.default_rng(90)
N, BATCH = 22, 5  # the last batch is shorter
X, Y = RNG.uniform(-1, 1, (N, 4)), RNG.uniform(0.1, 0.9, (N, 2))
PER_EPOCH = -(-N // BATCH)
OPTIMIZERS = {
    name: functools.partial(getattr(optimizers, name))
    for name in optimizers.__all__
    if name not in ("Optimizer", "get")
} | {
    "SGD with momentum": functools.partial(optimizers.SGD, momentum=0.9),
    "SGD with Nesterov's": functools.partial(optimizers.SGD, momentum=0.9, nesterov=True),
    "Adam that clips and averages": functools.partial(optimizers.Adam, 0.01, clip_norm=0.1, average=0.9),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def network(loss=None, dtype="float32"):
    hidden = [cbp.Dense(9, "tanh", dropout=0.3, l2=0.01, max_norm=2), cbp.Dense(6, "sigmoid", dropout=0.5, skip=[0])]
    return cbp.Network([4, *hidden, 2], loss=loss, dtype=dtype, seed=91, input_noise=0.1, input_dropout=0.2)


def fit(net, epochs, optimizer=None):
    net.fit(X, Y, epochs=epochs, batch_size=BATCH, optimizer=optimizer, progress=False)
    return net


def state(net):
    memory = net._memory
    return net.epoch, memory.t, net.optimizer, net.params.tobytes(), memory.slots.tobytes()


def saved_and_loaded(net, folder):
    net.save(folder / "half.npz")
    return cbp.load(folder / "half.npz")


WAYS = {
    "saved and loaded": saved_and_loaded,
    "copied": lambda net, _: net.copy(),
    "pickled": lambda net, _: pickle.loads(pickle.dumps(net)),
    "neither": lambda net, _: net,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@every_optimizer
def test_two_and_two_epochs_are_four(tmp_path, make, way):
    half = way(fit(network(), 2, make()), tmp_path)
    assert state(fit(half, 2)) == state(fit(network(), 4, make()))


@every_optimizer
def test_a_pass_four_times_is_four_epochs(make):
    net, optimizer = network(), make()
    for _ in range(4):
        net.partial_fit(X, Y, batch_size=BATCH, optimizer=optimizer)
    assert state(net) == state(fit(network(), 4, optimizer))


@every_optimizer
def test_updates_one_by_one_are_the_epochs(make):
    want = fit(network(), 2, make())
    assert by_hand(network(), make(), 2 * PER_EPOCH)[1:] == state(want)[1:]


def by_hand(net, optimizer, updates):
    """The state after so many updates in a loop of one's own, which counts no epochs."""
    for number in range(updates):
        epoch, batch = divmod(number, PER_EPOCH)
        rows = _core.permutation(net.seed, epoch, N)[batch * BATCH : (batch + 1) * BATCH]
        net.gradient(X[rows], Y[rows], noise=(epoch << 32) + batch)
        optimizer.step(net)
    return state(net)


class Stops:
    """Half the squared error, until Ctrl-C comes at the call with this number."""

    __name__ = "stops"

    def __init__(self, at):
        self.at, self.calls = at, 0

    def __call__(self, y, a):
        self.calls += 1
        if self.calls > self.at:
            raise KeyboardInterrupt
        return ((a - y) ** 2).sum(axis=1) / 2, a - y


@pytest.mark.parametrize("updates", [0, 3, 7, 10])
@every_optimizer
def test_an_interrupt_leaves_a_network_between_two_updates(make, updates):
    net = network(loss=Stops(updates))
    with pytest.raises(KeyboardInterrupt):
        fit(net, 4, make())
    assert net.epoch == updates // PER_EPOCH
    if updates:
        assert state(net)[1:] == by_hand(network(loss=Stops(updates)), make(), updates)[1:]
    else:
        assert net.params.tobytes() == network().params.tobytes()


@pytest.mark.parametrize("updates", [3, 5, 11])
@every_optimizer
def test_training_goes_on_in_the_middle_of_an_epoch(make, updates):
    stops = Stops(updates)
    net = network(loss=stops)
    with pytest.raises(KeyboardInterrupt):
        fit(net, 4, make())
    assert net.unfinished == updates % PER_EPOCH
    stops.at = stops.calls + 100
    net = net.copy()
    net.fit(X, Y, epochs=4 - net.epoch, batch_size=BATCH, resume=True, progress=False)
    assert state(net) == state(fit(network(loss=Stops(100)), 4, make()))
    assert net.unfinished == 0


def rows_in_memory(net, **how):
    return net.fit(X, Y, batch_size=BATCH, **how)


def whole_batches_alone(net, **how):
    return net.fit(X, Y, batch_size=BATCH, drop_last=True, **how)


def batches(net, **how):
    return net.fit([(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, N, BATCH)], **how)


@pytest.mark.parametrize("train", [rows_in_memory, whole_batches_alone, batches])
def test_checkpoints_between_updates(tmp_path, train):
    """Each file, written while training went on, leads to the same end: weights, state, and the losses of the rest."""
    how = {"optimizer": "adam", "schedule": cbp.schedules.ExponentialDecay(0.01, 0.9, 3)}
    names = []

    class Keep(cbp.Callback):
        updates = 3

        def on_pause(self, state):
            if state.network._memory.t % 3 == 0:
                names.append(str(tmp_path / f"{state.network._memory.t}.npz"))
                state.network.save(names[-1])

    net = network()
    history = train(net, epochs=3, callbacks=Keep(), **how)
    assert len(set(names)) >= 3
    for name in names:
        found = cbp.load(name)
        assert 0 < found.unfinished < PER_EPOCH
        rest = train(found, epochs=3 - found.epoch, resume=True, schedule=how["schedule"])
        assert state(found) == state(net)
        assert rest.loss == history.loss[-len(rest.loss) :]


def test_checkpoint_every_so_many_updates(tmp_path):
    checkpoint = cbp.Checkpoint(tmp_path / "{epoch}.npz", updates=4)
    net = network()
    net.fit(X, Y, epochs=2, batch_size=BATCH, callbacks=checkpoint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npz", "1.npz"]
    assert [cbp.load(tmp_path / name)._memory.t for name in ("0.npz", "1.npz")] == [4, 8]


def test_checkpoint_by_the_clock_is_written_within_an_epoch(tmp_path):
    class Pauses(cbp.Callback):
        updates = 3

        def on_pause(self, state):
            """Nothing: that there is a pause is what others use."""

    callbacks = [Pauses(), cbp.Checkpoint(tmp_path / "{epoch}.npz", seconds=0)]
    network().fit(X, Y, epochs=1, batch_size=BATCH, callbacks=callbacks, progress=False)
    found = [cbp.load(tmp_path / name) for name in ("0.npz", "1.npz")]
    assert 3 <= found[0].unfinished == found[0]._memory.t < PER_EPOCH
    assert (found[1].unfinished, found[1]._memory.t) == (0, PER_EPOCH)


def test_going_on_needs_the_same_batches_and_optimiser():
    stops = Stops(3)
    net = network(loss=stops)
    with pytest.raises(KeyboardInterrupt):
        fit(net, 1, "adam")
    stops.at = 100
    with pytest.raises(ValueError, match="has 22 rows in batches of 5, not 22 rows in batches of 4"):
        net.fit(X, Y, epochs=1, batch_size=4, resume=True)
    with pytest.raises(ValueError, match="not batches of somebody else's making"):
        net.fit([(X, Y)], epochs=1, resume=True)
    for other in ("sgd", optimizers.Adam()):  # an equal one would start anew as well
        with pytest.raises(ValueError, match="leave optimizer out"):
            net.fit(X, Y, epochs=1, batch_size=BATCH, optimizer=other, resume=True)
    with pytest.raises(ValueError, match="optimiser"):
        fit(net, 1, "adem")
    assert (net.unfinished, net._memory.t) == (3, 3)
    fit(net, 1)  # any other training begins the epoch again
    assert (net.unfinished, net._memory.t) == (0, 3 + PER_EPOCH)


def test_the_network_is_not_trained_while_it_pauses():
    class Meddles(cbp.Callback):
        updates = 1

        def on_pause(self, state):
            state.network.train_step(X, Y, learning_rate=0.1)

    with pytest.raises(RuntimeError, match="is being trained"):
        network().fit(X, Y, epochs=1, batch_size=BATCH, callbacks=Meddles())


@every_optimizer
def test_a_pass_in_pieces_is_one_pass(make):
    want, net, optimizer = fit(network(), 2, make()), network(), make()
    net._use(optimizer)
    X32, Y32 = X.astype("float32"), Y.astype("float32")
    for epoch in range(2):
        order = _core.permutation(net.seed, epoch, N)
        for start, end in ((0, BATCH), (BATCH, 3 * BATCH), (3 * BATCH, N)):
            rows = order[start:end]
            net._memory.epoch(
                X32[rows], Y32[rows], None, None, BATCH, optimizer.learning_rate, start // BATCH, end == N
            )
    assert state(net) == state(want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_schedule_goes_on_too(tmp_path, dtype):
    how = {"batch_size": BATCH, "schedule": cbp.schedules.ExponentialDecay(0.01, 0.9, 3), "progress": False}
    net, want = network(dtype=dtype), network(dtype=dtype)
    net.fit(X, Y, epochs=1, optimizer="adam", validation=0.2, **how)
    net = saved_and_loaded(net, tmp_path)
    net.fit(X, Y, epochs=2, validation=0.2, **how)
    want.fit(X, Y, epochs=3, optimizer="adam", validation=0.2, **how)
    assert state(net) == state(want)
