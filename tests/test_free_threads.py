"""Many threads at one network, at many, and at cbp itself: with the interpreter's lock, and above all without it.

Where Python has no global lock these run side by side on all processors: `make test-free-threaded` has such an
interpreter. Elsewhere they take turns, and the same must come out.
"""

import os
import pickle
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from helpers import one_in
from test_pool import run_python
from test_threads import REFUSAL

import cbp

THREADS = 8
FREE = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
MANY = 10 if FREE else 1
"""How much more there is to do where threads run at the same time."""

rng = np.random.default_rng(11)
X = rng.normal(size=(256, 16)).astype(np.float32)
Y = rng.normal(size=(256, 2)).astype(np.float32)


def network(seed=0):
    return cbp.Network([16, 24, 2], activation="tanh", output="identity", seed=seed)


def at_once(work, threads=THREADS):
    """What work(0), work(1), ... return, each in a thread of its own, all begun together."""
    start = threading.Barrier(threads)

    def begin(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


# ---- the module ----


@pytest.mark.skipif(not FREE, reason="needs an interpreter without a global lock")
def test_importing_and_using_cbp_leaves_the_lock_off():
    program = """
import sys, warnings
warnings.simplefilter("error")
import cbp, cbp.io, cbp.methods, cbp.plot, cbp.trace
cbp.Network([2, 1], seed=0).fit([[0, 1]], [1], epochs=1, progress=False)
print(sys._is_gil_enabled())
"""
    assert run_python(program, PYTHON_GIL="") == "False"


IMPORTS = """
import threading
start, found = threading.Barrier(8), []

def work():
    start.wait()
    import cbp
    net = cbp.Network([2, 3, 1], seed=0)
    net.fit([[0, 1], [1, 0]], [0, 1], epochs=2, optimizer="adam", progress=False)
    found.append(net.params.tobytes())

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(found)))
"""


def test_threads_may_import_cbp_at_the_same_moment():
    assert run_python(IMPORTS) == "8 1"


# ---- one network: one trains, or is refused ----


def made(train, times):
    """How many of so many trainings were not refused because another thread was training."""
    done = 0
    for _ in range(times):
        try:
            train()
        except RuntimeError as refusal:
            if str(refusal) != REFUSAL:
                raise
        else:
            done += 1
    return done


def test_steps_of_many_threads_are_made_whole_or_refused():
    """All take the same step: as many as were not refused lead from the first weights to the last."""
    net, alone = network(), network()
    steps = at_once(lambda _: made(lambda: net.train_step(X, Y, 0.01), 40 * MANY))
    for _ in range(sum(steps)):
        alone.train_step(X, Y, 0.01)
    assert net == alone


def test_trainings_of_many_threads_are_made_whole_or_refused():
    """A fit has its network to itself from its beginning to its end, also between two epochs, and its optimiser too."""
    net, alone = network(), network()

    def fit(model):
        model.fit(X, Y, epochs=3, batch_size=64, optimizer=cbp.optimizers.Adam(1e-3), progress=False)

    for _ in range(sum(at_once(lambda _: made(lambda: fit(net), 4 * MANY)))):
        fit(alone)
    assert net.epoch == alone.epoch > 0
    assert net == alone


CHANGES = {
    "fit": lambda net: net.fit(X, Y, optimizer="sgd"),
    "partial_fit": lambda net: net.partial_fit(X, Y, optimizer="sgd"),
    "train_step": lambda net: net.train_step(X, Y, 0.1),
    "forward": lambda net: net.forward(X),
    "gradient": lambda net: net.gradient(X, Y),
    "update": lambda net: net.update(0.1),
    "learn_scaling": lambda net: net.learn_scaling(X),
    "trainable": lambda net: setattr(net.layers[0], "trainable", False),
    "mask": lambda net: setattr(net, "mask", np.zeros(net.n_params)),
}


def test_what_is_refused_while_another_thread_trains_changes_nothing():
    """The training is in a callback, between two of its epochs, all the time."""
    net, alone, inside, done = network(), network(), threading.Event(), threading.Event()

    def hold(state):
        inside.set()
        done.wait()

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(net.fit, X, Y, epochs=4, optimizer="adam", callbacks=hold, progress=False)
        inside.wait()
        try:
            for change in CHANGES.values():
                with pytest.raises(RuntimeError) as refusal:
                    change(net)
                assert str(refusal.value) == REFUSAL
        finally:
            done.set()
        training.result()
    alone.fit(X, Y, epochs=4, optimizer="adam", progress=False)
    assert net == alone
    assert net.optimizer == alone.optimizer


def test_a_callback_may_train_the_network_of_its_own_training():
    net = network()
    net.fit(X, Y, epochs=2, callbacks=lambda state: net.partial_fit(X, Y), progress=False)
    assert net.epoch == 4


# ---- one network: one trains, others look ----

LOOKS = {
    "predict": lambda net: net.predict(X),
    "predict one": lambda net: net.predict(X[0]),
    "loss": lambda net: net.loss(X, Y),
    "copy": lambda net: net.copy().predict(X),
    "snapshot": lambda net: net.snapshot().predict(X),
    "==": lambda net: net == net.copy() or True,
    "get_config": lambda net: cbp.Network.from_config(net.get_config()),
    "repr": repr,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)).predict(X),
    "optimizer": lambda net: repr(net.optimizer),
    "params": lambda net: net.params.copy(),
    "jacobian": lambda net: net.jacobian(X[:4]),
    "trace": lambda net: net.trace(X[0], Y[0]).records(),
}


def test_threads_may_look_while_one_trains():
    """A thread for each way to look; the training changes its optimiser, and so its state, all the time."""
    net, done, looks = network(), threading.Event(), [*LOOKS.values()]

    def look(number):
        if number == 0:
            try:
                for turn in range(10 * MANY // one_in(4)):
                    optimizer = cbp.optimizers.Adam(1e-4) if turn % 2 else cbp.optimizers.SGD(1e-4)
                    net.fit(X, Y, epochs=2, batch_size=32, optimizer=optimizer, progress=False)
            finally:
                done.set()
        while not done.is_set():
            found = looks[number % len(looks)](net)
            assert not isinstance(found, np.ndarray) or np.isfinite(found).all()
        return True

    assert all(at_once(look, 1 + len(LOOKS)))


def test_the_old_optimiser_is_there_until_the_new_one_is():
    """A copy made while one takes the place of the other, here by the new one itself, has the old one and its state."""
    net, copies = network(), []
    net.fit(X, Y, epochs=1, optimizer="adam", progress=False)

    class Copying(cbp.optimizers.SGD):
        @property
        def limits(self):
            copies.append(net.copy())
            return super().limits

    before = net.copy()
    net.fit(X, Y, epochs=1, optimizer=Copying(0.1), progress=False)
    for model in (before, copies[0]):
        model.fit(X, Y, epochs=1, progress=False)
    assert copies[0].optimizer == before.optimizer
    assert copies[0] == before


def test_activations_and_deltas_of_a_network_in_training_can_be_looked_at():
    """All of a list are of one batch; the workspace that holds them grows all the time."""
    current, done = network(), threading.Event()

    def train():
        nonlocal current
        for turn in range(400 * MANY // one_in(4)):
            rows = 1 + turn % len(X)
            if rows == 1:
                current = network()
            current.train_step(X[:rows], Y[:rows], 1e-4)
        done.set()

    def look():
        while not done.is_set():
            with suppress(RuntimeError):  # there are none yet
                assert len({len(a) for a in current.activations}) == 1
                assert len({len(d) for d in current.deltas[1:]}) == 1

    at_once(lambda number: look() if number else train(), 4)


def test_files_written_while_another_thread_trains_can_be_read(tmp_path):
    net, done = network(), threading.Event()

    def work(number):
        if number == 0:
            with suppress(RuntimeError):
                net.fit(X, Y, epochs=60 * MANY, batch_size=32, progress=False)
            done.set()
        while not done.is_set():
            path = tmp_path / f"{number}.npz"
            net.save(path)
            assert np.isfinite(cbp.load(path).params).all()

    at_once(work, 4)


def test_parameters_may_be_written_while_others_predict():
    """A write is not one with an update: readers may see half of it, but nothing else than what was written."""
    net, done = network(), threading.Event()
    net.params[:] = 0

    def work(number):
        if number == 0:
            for turn in range(100 * MANY):
                net.params[:] = turn % 2 * 1e-3
            done.set()
        while not done.is_set():
            assert (np.abs(net.predict(X)) <= 0.1).all()

    at_once(work)


# ---- many networks ----


def test_threads_make_train_and_drop_networks_of_their_own():
    def trained(seed):
        made = []
        for turn in range(10 * MANY):
            net = network(seed)
            net.fit(X, Y, epochs=1, batch_size=64, optimizer="adam" if turn % 2 else "rmsprop", progress=False)
            made.append(net.copy().predict(X).tobytes())
        return set(made)

    assert at_once(trained) == [trained(seed) for seed in range(THREADS)]


def test_losses_and_callbacks_of_ones_own_run_in_the_thread_that_trains():
    def squared(y, a):
        return ((a - y) ** 2).sum(axis=1) / 2, a - y

    plain = network()
    plain.fit(X, Y, epochs=3, progress=False)

    def trained(number):
        threads = []
        net = cbp.Network([16, 24, 2], activation="tanh", output="identity", loss=squared, seed=0)
        net.fit(X, Y, epochs=3, callbacks=lambda state: threads.append(threading.get_ident()), progress=False)
        return set(threads) == {threading.get_ident()} and np.array_equal(net.params, plain.params)

    assert all(at_once(trained))


def test_a_loss_shared_by_threads_fails_in_the_thread_that_it_failed_in():
    """A network for each thread, one function for all: every second one fails, each with its own number."""
    failing = threading.local()

    def loss(y, a):
        if failing.number % 2:
            raise KeyError(failing.number)
        return ((a - y) ** 2).sum(axis=1) / 2, a - y

    shared = cbp.Network([16, 2], output="identity", loss=loss, seed=0)

    def work(number):
        failing.number = number
        for _ in range(20 * MANY):
            try:
                shared.loss(X, Y)
            except KeyError as failure:
                if failure.args != (number,):
                    return False
            else:
                if number % 2:
                    return False
        return True

    assert all(at_once(work))


def test_the_number_of_threads_may_change_under_everybody():
    before, done = cbp.get_num_threads(), threading.Event()
    big = np.tile(X, (8, 1))
    wanted = network().predict(big).tobytes()

    def work(number):
        if number == 0:
            for turn in range(30 * MANY):
                cbp.set_num_threads(1 + turn % 4)
            done.set()
        while not done.is_set():
            assert network().predict(big).tobytes() == wanted

    try:
        at_once(work)
    finally:
        cbp.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_may_train_what_another_thread_was_fitting_between_two_epochs():
    net, inside, done = network(), threading.Event(), threading.Event()

    def hold(state):
        inside.set()
        done.wait()

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(net.fit, X, Y, epochs=2, callbacks=hold, progress=False)
        inside.wait()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                net.fit(X, Y, epochs=1, progress=False)
                status = 7
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        done.set()
        training.result()
    assert status == 7


if sys.version_info >= (3, 13):

    def test_the_tests_know_whether_the_lock_is_off():
        assert FREE or sys._is_gil_enabled()
