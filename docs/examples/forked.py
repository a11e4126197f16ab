"""Forks in the middle of a training, and a pool of processes."""

import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import cbp

# Python 3.12 and later warn of forks where there are threads: cbp's survive it
warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)

X = np.random.default_rng(0).normal(size=(256, 300)).astype("float32")
y = np.arange(256) % 10


class Fork(cbp.Callback):
    """After every epoch a child, which goes on with the training as its parent does."""

    children: tuple = ()
    is_child = False

    def on_epoch_end(self, state):
        if not self.is_child:
            child = os.fork()
            self.is_child = child == 0
            self.children += (child,)


def trained(seed, callbacks=()):
    net = cbp.Network([300, 100, 10], activation="relu", output="softmax", seed=seed)
    net.fit(X, y, epochs=3, callbacks=callbacks)
    return net


def fork_while_training():
    expected, fork = trained(0), Fork()
    net = trained(0, fork)
    if fork.is_child:
        os._exit(7 if net == expected else 1)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in fork.children]
    print(f"{len(ends)} children went on with the training, and {ends.count(7)} have the weights of their parent")


def train_in_a_pool():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=cbp.set_num_threads, initargs=(1,)) as pool:
        nets = list(pool.map(trained, range(4)))
    assert nets == [trained(seed) for seed in range(4)]
    print(f"2 workers have trained {len(nets)} networks to the bits of this process")


if __name__ == "__main__":
    cbp.set_num_threads(3)
    fork_while_training()
    train_in_a_pool()
