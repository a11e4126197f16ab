"""Ctrl-C in the middle of an epoch: the network is left between two updates, and goes on from there."""

import _thread
import threading

import numpy as np
import pytest

import cbp
from cbp import _core

EPOCHS = 300  # seconds of training, which never come to their end
pytestmark = pytest.mark.usefixtures("ctrl_c")


def batches_of_many_rows():
    """A network and rows enough for seconds of training, 64 at a time."""
    X = np.random.default_rng(60).uniform(-1, 1, (40_000, 32)).astype("float32")
    net = cbp.Network([32, 64, 1], activation="tanh", output="identity", seed=61)
    return net, X, X[:, :1] * X[:, 1:2], {"batch_size": 64, "optimizer": cbp.optimizers.Adam(0.001)}


def row_by_row():
    """The same for online training, whose routine makes many thousand updates at a time."""
    X = np.random.default_rng(62).integers(0, 2, (1_000_000, 2)).astype("float32")
    net = cbp.Network([2, 3, 1], activation="sigmoid", output="sigmoid", loss="half_squared_error", seed=63)
    return net, X, (X[:, :1] != X[:, 1:]).astype("float32"), {"batch_size": 1, "optimizer": cbp.optimizers.SGD(0.5)}


class Interrupt(cbp.Callback):
    """Sends Ctrl-C to the main thread, some time into the second epoch."""

    ended = False

    def on_epoch_end(self, state):
        if state.epoch == 0:
            threading.Timer(0.02, _thread.interrupt_main).start()

    def on_fit_end(self, state):
        self.ended = True


@pytest.mark.parametrize("task", [batches_of_many_rows, row_by_row])
def test_ctrl_c_leaves_the_network_between_two_updates(task):
    net, X, y, how = task()
    callback = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=EPOCHS, callbacks=callback, progress=False, **how)
    assert callback.ended
    size, t, epochs = how["batch_size"], net._memory.t, net.epoch
    per_epoch = -(-len(X) // size)
    assert epochs >= 1
    assert epochs * per_epoch <= t < (epochs + 1) * per_epoch

    again = task()[0]
    again.fit(X, y, epochs=epochs, progress=False, **how)
    rows = _core.permutation(again.seed, epochs, len(X))[: (t - epochs * per_epoch) * size]
    if len(rows):
        again._memory.epoch(X[rows], y[rows], None, None, size, again.optimizer.learning_rate)
    assert again._memory.t == t
    assert net.params.tobytes() == again.params.tobytes()


def test_training_goes_on_after_ctrl_c():
    net, X, y, how = batches_of_many_rows()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=EPOCHS, callbacks=Interrupt(), progress=False, **how)
    before = net._memory.t
    net.fit(X[:640], y[:640], epochs=1, progress=False, batch_size=64)
    assert net._memory.t == before + 10
    assert np.isfinite(net.predict(X[:10])).all()
