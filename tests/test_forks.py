"""Forks in the middle of a training, a thousand of them: every child trains, to the bits of a training with one thread.

The threads of the pool, and those of the parent that train, are not there in a child. Each program here is a process of
its own; a child that hangs is ended by its alarm, and counts as a failure.
"""

import os

import pytest
from helpers import one_in
from test_pool import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

HEAD = """
import os, pickle, signal, threading
import numpy as np
import cbp

X = np.random.default_rng(1).normal(size=(256, 300)).astype(np.float32)
Y = np.eye(10, dtype=np.float32)[np.arange(256) % 10]
done = threading.Event()


def trained(threads, callbacks=(), epochs=1):
    cbp.set_num_threads(threads)
    net = cbp.Network([300, 100, 10], activation="relu", output="softmax", seed=0)
    net.fit(X, Y, epochs=epochs, batch_size=64, optimizer="adam", callbacks=callbacks, progress=False)
    return net


def forked():
    \"\"\"Fork; in the child return None, within a minute of its life.\"\"\"
    child = os.fork()
    if child == 0:
        signal.alarm(60)
    return child or None


def leave(good):
    os._exit(7 if good else 1)


def well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def train_until_done():
    while not done.is_set():
        trained(2, epochs=50)


serial = trained(1)
assert trained(2) == serial
assert not os.path.isdir("/proc/self/task") or len(os.listdir("/proc/self/task")) == 2  # the pool is at work
other = threading.Thread(target=train_until_done)
"""

WHILE_ANOTHER_THREAD_TRAINS = """
other.start()
found = 0
for _ in range({count}):
    child = forked()
    if child is None:
        try:
            good = trained(2) == serial and cbp.get_num_threads() == 2
        finally:
            leave(good)
    found += well(child)
done.set()
other.join()
print(found)
"""


def test_children_of_a_process_whose_other_threads_train():
    count = 150 // one_in(5)
    assert run_python(HEAD + WHILE_ANOTHER_THREAD_TRAINS.replace("{count}", str(count))) == str(count)


BY_THE_TRAINING_ITSELF = """
class Fork(cbp.Callback):
    \"\"\"Forks after every update; parent and child both go on with the training.\"\"\"

    updates = 1

    def __init__(self):
        self.children = []

    def on_pause(self, state):
        if self.children is not None:
            child = forked()
            self.children = None if child is None else [*self.children, child]


if {among_threads}:
    other.start()
forks = good = 0
while forks < {count}:
    fork = Fork()
    net = trained(2, fork)
    if fork.children is None:
        leave(net == serial)
    forks += len(fork.children)
    good += sum(well(child) for child in fork.children) if net == serial else 0
done.set()
print(forks >= {count}, good == forks)
"""


@pytest.mark.parametrize(("count", "among_threads"), [(550, False), (300, True)])
def test_children_of_the_training_itself_go_on_with_it(count, among_threads):
    program = BY_THE_TRAINING_ITSELF.replace("{count}", str(count // one_in(5)))
    program = program.replace("{among_threads}", str(among_threads))
    assert run_python(HEAD + program) == "True True"


CHILD_EQUALS_PARENT = """
net = trained(2)
read, write = os.pipe()
if forked() is None:
    net.fit(X, Y, epochs=2)
    with os.fdopen(write, "wb") as pipe:
        pickle.dump(net, pipe)
    os._exit(0)
os.close(write)
net.fit(X, Y, epochs=2)
with os.fdopen(read, "rb") as pipe:
    print(pickle.load(pipe) == net)
"""


def test_training_goes_on_alike_in_parent_and_child():
    assert run_python(HEAD + CHILD_EQUALS_PARENT) == "True"


GRANDCHILDREN = """
def descendants(generations):
    child = forked()
    if child is not None:
        return well(child)
    good = trained(2) == serial
    leave(good and (generations == 0 or descendants(generations - 1)))


print(trained(2) == serial and descendants(4))
"""


def test_children_of_children_train():
    assert run_python(HEAD + GRANDCHILDREN) == "True"
