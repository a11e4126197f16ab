"""Snapshots: a network between two updates, whoever takes it and whenever; copies and files take the same care."""

import _thread
import os
import pickle
import threading
import time
import warnings

import numpy as np
import pytest
from helpers import one_in

import cbp

STEP = 2.0**-10


class Counting:
    """A network all of whose parameters are t * STEP after t updates, so that every number tells when it was written.

    The cost is the mean of |y - a| over the outputs, and y is out of reach: the slope by every output is -1/n_L, and
    all inputs are 1.
    """

    def __init__(self, n_in, n_out, batch_size, rows, optimizer=cbp.optimizers.SGD):
        self.net = cbp.Network([n_in, n_out], output="identity", loss="mean_absolute_error", seed=0)
        self.net.params[:] = 0
        self.X, self.y = np.ones((rows, n_in), np.float32), np.full((rows, n_out), 1e9, np.float32)
        self.how = {"batch_size": batch_size, "optimizer": optimizer(STEP * n_out), "check_finite": False}

    def wait_for_the_first_update(self):
        end = time.monotonic() + 60
        while self.net.params[0] == 0:
            assert time.monotonic() < end, "no update"
            time.sleep(0.001)

    def train(self, ended):
        """Train until somebody says that it has ended."""
        while not ended.is_set():
            self.net.partial_fit(self.X, self.y, **self.how)

    def step(self, ended):
        """The same, call by call."""
        while not ended.is_set():
            self.net.train_step(self.X[:2], self.y[:2], self.how["optimizer"].learning_rate)


WIDE = {"n_in": 511, "n_out": 256, "batch_size": 2, "rows": 6000}
SINGLY = {"n_in": 63, "n_out": 64, "batch_size": 1, "rows": 120_000}  # by the routine for single rows


class Beside:
    """Runs a function of an event in another thread until the end of the block, and raises here what it raised."""

    def __init__(self, function):
        self.ended, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self._run, args=(function,))

    def _run(self, function):
        try:
            function(self.ended)
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        if self.error is not None:
            raise self.error


def updates(net):
    """How many updates the parameters say were made: all of them the same number."""
    numbers = np.unique(net.params)
    assert len(numbers) == 1, f"numbers of {len(numbers)} moments side by side"
    return float(numbers[0]) / STEP


# ---- what it is ----


def full_network():
    """A network with something of everything that belongs to it."""
    layers = [3, cbp.Dense(4, "tanh", trainable=False), 2]
    net = cbp.Network(
        layers, output="identity", dtype="float64", seed=3, scale_inputs="standard", scale_targets="minmax"
    )
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    net.fit(X, y, epochs=3, optimizer=cbp.optimizers.Adam(0.01))
    mask = np.ones(net.n_params)
    mask[-1] = 0
    net.mask = mask
    net.layers[0].trainable, net.layers[1].trainable = True, False
    net.metadata = {"classes": ["a", "b"]}
    return net, X, y


def test_it_has_all_but_the_optimiser():
    net, X, y = full_network()
    posterior = net.learn_uncertainty(X, y)
    other = net.snapshot()
    assert other == net
    assert type(other) is cbp.Network
    assert other.get_config() == net.get_config()
    assert repr(other) == repr(net)
    assert (other.epoch, other.metadata, other.optimizer) == (3, net.metadata, None)
    assert other.predict(X).tobytes() == net.predict(X).tobytes()
    assert other.predict(X, return_std=True)[1].tobytes() == posterior.predict(X)[1].tobytes()
    assert other.evaluate(X, y) == net.evaluate(X, y)
    assert other.jacobian(X).tobytes() == net.jacobian(X).tobytes()


def test_it_keeps_what_was_when_it_was_taken():
    net, X, y = full_network()
    other, before = net.snapshot(), net.predict(X)
    net.layers[1].trainable, net.mask = True, None
    net.metadata["classes"].append("c")
    net.fit(X, y, epochs=2)
    net.learn_scaling(X * 2, y)
    assert other.metadata == {"classes": ["a", "b"]}
    assert [layer.trainable for layer in other.layers] == [True, False]
    assert other.mask[-1] == 0
    assert other.epoch == 3
    assert other.predict(X).tobytes() == before.tobytes() != net.predict(X).tobytes()


def test_it_shares_what_never_changes():
    net, X, _ = full_network()
    other = net.snapshot()
    assert other._plan is net._plan
    assert net.copy()._plan is net._plan
    again = other.snapshot()
    del net, other
    assert np.isfinite(again.predict(X)).all()


def test_a_subclass_stays_one():
    class Mine(cbp.Network):
        pass

    assert type(Mine([1, 1]).snapshot()) is Mine


X2, Y2 = np.ones((2, 3)), np.ones((2, 2))
TRAINING = {
    "fit": lambda net: net.fit(X2, Y2),
    "fit by a method": lambda net: net.fit(X2, Y2, optimizer="bfgs"),
    "partial_fit": lambda net: net.partial_fit(X2, Y2),
    "train_step": lambda net: net.train_step(X2, Y2, 0.1),
    "gradient": lambda net: net.gradient(X2, Y2),
    "forward": lambda net: net.forward(X2),
    "update": lambda net: net.update(0.1),
    "learn_scaling": lambda net: net.learn_scaling(X2, Y2),
    "mask": lambda net: setattr(net, "mask", None),
    "trainable": lambda net: setattr(net.layers[0], "trainable", False),
}


@pytest.mark.parametrize("way", TRAINING)
def test_nobody_trains_it(way):
    net, X, _ = full_network()
    other = net.snapshot()
    with pytest.raises(RuntimeError, match=r"^this is a snapshot, which nobody trains: train a copy\(\) of it$"):
        TRAINING[way](other)
    assert other == net
    assert other.predict(X).tobytes() == net.predict(X).tobytes()


@pytest.mark.parametrize("write", [lambda net: net.params.fill(0), lambda net: net.layers[0].W.fill(0)])
def test_its_parameters_are_read_only(write):
    net, *_ = full_network()
    with pytest.raises(ValueError, match="read-only"):
        write(net.snapshot())


def saved(net, folder):
    net.save(folder / "net.npz")
    return cbp.load(folder / "net.npz")


AGAIN = {
    "copy": lambda net, _: net.copy(),
    "file": saved,
    "pickle": lambda net, _: pickle.loads(pickle.dumps(net)),
}


@pytest.mark.parametrize("way", AGAIN)
def test_what_is_made_of_it_trains(way, tmp_path):
    net, X, y = full_network()
    other = AGAIN[way](net.snapshot(), tmp_path)
    assert other == net
    other.fit(X, y, epochs=1)
    assert other != net


def test_metadata_that_no_file_can_keep_are_refused():
    net = cbp.Network([1, 1])
    net.metadata = {"when": object()}
    with pytest.raises(TypeError, match="metadata must be a dict of what JSON can hold"):
        net.snapshot()


# ---- whoever takes it ----


@pytest.mark.parametrize("size", [WIDE, SINGLY], ids=["batches", "rows"])
def test_within_an_epoch_of_another_thread_it_is_of_one_moment(size):
    task = Counting(**size)
    per_epoch, moments, found, end = size["rows"] / size["batch_size"], [], set(), time.monotonic() + 60
    with Beside(task.train):
        task.wait_for_the_first_update()
        while len(moments) < 40 // one_in(4) or len(found) < 5 or not any(count % per_epoch for count in found):
            moments.append((task.net.snapshot(), updates(task.net.snapshot())))
            found.add(updates(moments[-1][0]))
            assert time.monotonic() < end, "hardly ever, or never within an epoch"
    assert all(updates(net) <= later for net, later in moments)


def test_steps_of_another_thread_make_way():
    task = Counting(**WIDE)
    with Beside(task.step):
        task.wait_for_the_first_update()
        moments = [updates(task.net.snapshot())]
        while len(moments) < 20 or moments[-1] == moments[0]:
            moments.append(updates(task.net.snapshot()))
    assert moments == sorted(moments)


def test_many_guests_at_once_all_get_in():
    task, got = Counting(**WIDE), []

    def take():
        got.extend(updates(task.net.snapshot()) for _ in range(6))

    guests = [threading.Thread(target=take) for _ in range(4)]
    with Beside(task.train):
        task.wait_for_the_first_update()
        for guest in guests:
            guest.start()
        for guest in guests:
            guest.join()
    assert len(got) == 24


def momentum(learning_rate):
    return cbp.optimizers.SGD(learning_rate, average=0.5)


@pytest.mark.parametrize("way", AGAIN)
def test_copies_and_files_are_of_one_moment_too(way, tmp_path):
    task = Counting(**WIDE, optimizer=momentum)
    per_epoch = WIDE["rows"] // WIDE["batch_size"]
    with Beside(task.train):
        task.wait_for_the_first_update()
        for _ in range(6):
            other = AGAIN[way](task.net, tmp_path)
            assert updates(other) == other._memory.t == other.epoch * per_epoch + other.unfinished
            assert len(np.unique(other._memory.slots)) == 1


def test_training_does_not_notice():
    task, again = Counting(**WIDE), Counting(**WIDE)
    with Beside(lambda _: task.net.fit(task.X, task.y, epochs=2, **task.how)) as training:
        while training.thread.is_alive():
            task.net.snapshot()
            time.sleep(0.002)
    again.net.fit(again.X, again.y, epochs=2, **again.how)
    assert task.net == again.net


class Pausing(cbp.Callback):
    """Does something at the first pause within an epoch."""

    def __init__(self, function):
        self.function, self.result = function, None

    def on_pause(self, state):
        if self.result is None:
            self.result = self.function(state.network)


def test_in_callbacks_it_is_had_at_once():
    task = Counting(**WIDE)
    pausing = Pausing(lambda net: (net.snapshot(), net.copy(), net.params.copy()))
    ends = []
    task.net.fit(
        task.X, task.y, epochs=2, callbacks=[pausing, lambda state: ends.append(state.network.snapshot())], **task.how
    )
    snapshot, copied, params = pausing.result
    assert snapshot.params.tobytes() == copied.params.tobytes() == params.tobytes()
    assert [updates(net) for net in ends] == [3000, 6000]


def test_a_callback_may_wait_for_a_thread_that_takes_one():
    task, taken = Counting(**WIDE), []

    def wait(net):
        other = threading.Thread(target=lambda: taken.append(net.snapshot()))
        other.start()
        other.join(20)
        return other.is_alive()

    pausing = Pausing(wait)
    task.net.fit(task.X, task.y, epochs=1, callbacks=pausing, **task.how)
    assert pausing.result is False
    assert updates(taken[0]) > 0


def absolute(y, a):
    """A loss of one's own, which may do what it likes in the middle of an update."""
    absolute.hook()
    return np.abs(y - a).mean(axis=1), np.sign(a - y) / np.float32(a.shape[1])


def with_own_loss(hook):
    net = cbp.Network([2, 2], output="identity", loss=absolute, seed=0)
    net.params[:] = 0
    absolute.hook = hook
    return net


def test_in_the_middle_of_an_update_its_own_thread_takes_that_before_it():
    taken = []
    net = with_own_loss(lambda: taken.append(net.snapshot()))
    net.fit(np.ones((3, 2)), np.full((3, 2), 9.0), epochs=1, batch_size=1, optimizer=cbp.optimizers.SGD(2 * STEP))
    assert [updates(each) for each in taken] == [0, 1, 2]


def test_the_step_of_a_method_is_not_waited_for():
    taken = []

    def take():
        other = threading.Thread(target=lambda: taken.append((net.snapshot(), net.copy(), net == net)))
        other.start()
        other.join(20)
        assert not other.is_alive()

    net = with_own_loss(take)
    start = net.snapshot()
    ends = []
    net.fit(np.ones((3, 2)), [[9.0, 1]] * 3, epochs=3, optimizer="scg", callbacks=lambda state: ends.append(net.copy()))
    absolute.hook = lambda: None
    known = [start, *ends]
    assert len(taken) > len(known)
    for snapshot, copied, same in taken:
        assert same
        assert any(snapshot == each for each in known)
        assert copied == snapshot
        assert copied.method_state.iterations == copied.epoch == copied._memory.t == snapshot.epoch
    assert {snapshot.epoch for snapshot, *_ in taken} == {0, 1, 2}


def test_a_method_is_for_one_thread_too():
    refusals = []

    def step():
        with pytest.raises(RuntimeError, match="use a copy") as refusal:
            net.train_step([1, 1], [1, 1], 1)
        refusals.append(refusal)

    def attempt():
        if net._memory.before is not None:
            other = threading.Thread(target=step)
            other.start()
            other.join()

    net = with_own_loss(attempt)
    net.fit(np.ones((3, 2)), [[9.0, 1]] * 3, epochs=1, optimizer="scg")
    absolute.hook = lambda: None
    assert refusals


def test_who_is_interrupted_taking_one_may_take_another():
    net, *_ = full_network()
    with net._memory:  # as the handler of a signal would find it
        assert net.snapshot() == net.copy() == net
        assert pickle.loads(pickle.dumps(net)) == net
        with pytest.raises(RuntimeError, match="use a copy"):
            net.update(0.1)
    net.update(0.0)


# ---- when it cannot be had ----


class Stuck:
    """A network whose update waits for as long as the block lasts, in another thread."""

    def __enter__(self):
        self.there, self.go = threading.Event(), threading.Event()
        self.net = with_own_loss(self.wait)
        self.thread = threading.Thread(target=self.net.train_step, args=([1, 1], [9, 9], 1.0))
        self.thread.start()
        self.there.wait()
        return self.net

    def wait(self):
        self.there.set()
        self.go.wait()

    def __exit__(self, *_):
        self.go.set()
        self.thread.join()
        absolute.hook = lambda: None


@pytest.mark.usefixtures("ctrl_c")
def test_waiting_for_it_can_be_broken_off():
    with Stuck() as net:
        threading.Timer(0.05, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            net.snapshot()
    net.train_step([1, 1], [9, 9], 1.0)
    net.snapshot()


def in_a_child(check):
    """The exit status of a forked process that makes the check."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads: that is what this is about
        child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestAfterAFork:
    def test_an_update_that_nobody_will_end_is_told_of(self):
        def check():
            for way in (net.snapshot, net.copy, lambda: net.train_step([1, 1], [9, 9], 1.0)):
                with pytest.raises(
                    RuntimeError, match="when this process was forked, another thread was in the middle"
                ):
                    way()

        with Stuck() as net:
            assert in_a_child(check) == 0
        net.snapshot()

    def test_a_network_at_rest_is_free(self):
        task = Counting(**WIDE)
        task.net.snapshot()
        assert in_a_child(lambda: [task.net.snapshot(), task.net.train_step(task.X[:2], task.y[:2], 1.0)]) == 0

    def test_a_pause_of_a_thread_that_stayed_behind_is_an_end(self):
        def check(net):
            assert updates(net.snapshot()) > 0
            net.train_step(task.X[:2], task.y[:2], 1.0)

        task, results, paused, go = Counting(**WIDE), [], threading.Event(), threading.Event()
        pausing = Pausing(lambda _: (paused.set(), go.wait()))
        with Beside(lambda _: task.net.fit(task.X, task.y, epochs=1, callbacks=pausing, **task.how)):
            paused.wait()
            results.append(in_a_child(lambda: check(task.net)))
            go.set()
        assert results == [0]

    def test_training_goes_on_in_a_child_that_it_made(self):
        def fork(net):
            status.append(os.fork())
            return True

        task, status = Counting(**WIDE), []
        task.net.fit(task.X, task.y, epochs=1, callbacks=Pausing(fork), **task.how)
        if status == [0]:
            done = updates(task.net.snapshot()) == 3000 and updates(task.net.copy()) == 3000
            os._exit(0 if done else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(status[0], 0)[1]) == 0


# ---- published ----


def test_publish_hands_out_every_so_many_epochs():
    seen = []
    net = cbp.Network([1, 1], output="identity", seed=0)
    publish = cbp.Publish(lambda snapshot, state: seen.append((snapshot, state.epoch, state.logs["loss"])), every=3)
    history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=8, callbacks=publish)
    assert [(snapshot.epoch, epoch) for snapshot, epoch, _ in seen] == [(3, 2), (6, 5), (8, 7)]
    assert [loss for *_, loss in seen] == [history.loss[2], history.loss[5], history.loss[7]]
    assert publish.last is seen[-1][0]
    assert publish.last == net


def test_publish_hands_out_within_epochs():
    task, seen = Counting(**WIDE), []
    publish = cbp.Publish(lambda snapshot, _: seen.append(updates(snapshot)), seconds=0)
    task.net.fit(task.X, task.y, epochs=1, callbacks=publish, **task.how)
    assert seen == sorted(set(seen)), "at the end nothing is new"
    assert len(seen) > 1
    assert seen[-1] == 3000


def test_publish_ends_with_what_other_callbacks_bring_back():
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    net = cbp.Network([2, 8, 1], activation="tanh", output="identity", seed=6)
    stopping, seen = cbp.EarlyStopping(patience=3), []
    publish = cbp.Publish(lambda snapshot, _: seen.append(snapshot))
    net.fit(X, y, epochs=200, validation=0.3, optimizer=cbp.optimizers.Adam(0.05), callbacks=[stopping, publish])
    assert seen[-1] == net
    assert seen[-1] == seen[stopping.best_epoch]
    assert seen[-1] != seen[-2]


@pytest.mark.filterwarnings("ignore:overflow")
def test_publish_hands_out_nothing_that_is_not_finite():
    seen = []
    net = cbp.Network([1, 1], output="identity", seed=0)
    with pytest.raises(cbp.DivergenceError):
        net.fit(
            np.full((64, 1), 1e18),
            np.ones(64),
            epochs=50,
            batch_size=64,
            optimizer=cbp.optimizers.SGD(1e10),
            callbacks=cbp.Publish(lambda snapshot, _: seen.append(snapshot)),
        )
    assert not np.isfinite(net.params).all()
    assert all(np.isfinite(snapshot.params).all() for snapshot in seen)


def test_publish_follows_a_full_batch_method():
    seen = []
    net = cbp.Network([1, 3, 1], activation="tanh", output="identity", seed=0)
    X = np.linspace(-1, 1, 20)[:, None]
    net.fit(X, X**2, epochs=4, optimizer="scg", callbacks=cbp.Publish(lambda snapshot, _: seen.append(snapshot)))
    assert [snapshot.epoch for snapshot in seen] == [1, 2, 3, 4]
    assert seen[-1] == net


REFUSED = {
    "no function": (
        lambda: cbp.Publish(3),
        TypeError,
        "function must be called with a snapshot and the state, not be 3",
    ),
    "every": (lambda: cbp.Publish(print, every=0), ValueError, "every must be at least 1, not 0"),
    "seconds": (lambda: cbp.Publish(print, seconds=-1), ValueError, "seconds must be at least 0, not -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_publish_refuses(case):
    make, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        make()


def test_publish_says_what_it_is():
    assert repr(cbp.Publish(print, seconds=2)) == f"Publish({print!r}, every=None, seconds=2.0)"
