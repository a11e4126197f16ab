"""One network among threads: predicting is free for all, training is for one at a time, and says so."""

import contextlib
import threading
import time

import numpy as np
import pytest

import cbp
from cbp import _core

X = np.zeros((2_000, 64), np.float32)
Y = np.zeros((2_000, 32), np.float32)
ATTEMPTS = {
    "gradient": lambda memory: memory.gradient(X[:1], Y[:1]),
    "forward": lambda memory: memory.forward(X[:1]),
    "descend": lambda memory: memory.descend(0.0),
    "update": lambda memory: memory.update(0.0),
    "set_optimizer": lambda memory: memory.set_optimizer("adam", [0.9, 0.999, 1e-8]),
    "epoch": lambda memory: memory.epoch(X[:1], Y[:1], None, None, 1, 0.0),
}

REFUSAL = "this network is being trained in another thread; use a copy() per thread"


def refusals(train, done, attempt):
    """What an attempt is told while another thread runs `train` until it is done."""
    other = threading.Thread(target=train)
    other.start()
    told = []
    try:
        while not told:
            try:
                attempt()
            except RuntimeError as refusal:
                told.append(str(refusal))
            time.sleep(0.001)
    finally:
        done.set()
        other.join()
    return told


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_training_in_two_threads_is_refused(attempt):
    plan = _core.Plan("float32", 64, [(128, "tanh", 0.0), (32, "identity", 0.0)], "half_squared_error")
    memory = _core.Memory(plan, plan.init(["glorot_uniform", "glorot_uniform"], [0, 0], 0))
    memory.set_optimizer("momentum", [0.9])

    done = threading.Event()

    def train():
        while not done.is_set():
            with contextlib.suppress(RuntimeError):  # the attempt below came first
                memory.epoch(X, Y, None, None, 1, 0.0)

    assert refusals(train, done, lambda: ATTEMPTS[attempt](memory)) == [REFUSAL]
    memory.gradient(X[:2], Y[:2])


CALLS = {
    "train_step": lambda net: net.train_step(X[0], Y[0], 0.0),
    "gradient": lambda net: net.gradient(X[0], Y[0]),
    "forward": lambda net: net.forward(X[0]),
    "update": lambda net: net.update(0.0),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_single_call_while_another_thread_trains_is_refused(call):
    net = cbp.Network([64, 128, 32], output="identity", seed=0)
    done = threading.Event()

    def train():
        while not done.is_set():
            with contextlib.suppress(RuntimeError):  # the call below came first
                net.fit(X, Y, epochs=1)

    assert refusals(train, done, lambda: CALLS[call](net)) == [REFUSAL]
    CALLS[call](net)
