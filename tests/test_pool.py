"""The pool from Python: the same bits with any number of threads, over forks, and nothing of it to be seen at rest."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cbp

X = np.random.default_rng(1).normal(size=(200, 300)).astype(np.float32)
Y = np.eye(10, dtype=np.float32)[np.arange(200) % 10]


@pytest.fixture(autouse=True)
def _number_of_threads():
    """Put the number of threads back afterwards."""
    before = cbp.get_num_threads()
    yield
    cbp.set_num_threads(before)


def run_python(program, **environment):
    """Output of a program of its own process, whose only threads beside the main one are cbp's."""
    quiet = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    env = {**os.environ, **quiet, "CBP_NUM_THREADS": "3", **environment}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


NETWORK = """
import os, signal, threading, time
import numpy as np
import cbp
X = np.random.default_rng(1).normal(size=(200, 300)).astype(np.float32)
Y = np.eye(10, dtype=np.float32)[np.arange(200) % 10]
net = cbp.Network([300, 200, 10], activation="relu", output="softmax", seed=0)
"""


def trained(threads, dtype):
    """Bytes of weights and outputs after training with so many threads."""
    cbp.set_num_threads(threads)
    net = cbp.Network([300, 200, 10], activation="tanh", output="softmax", seed=0, dtype=dtype)
    net.fit(X, Y, epochs=2, batch_size=64, optimizer="adam")
    return net.params.tobytes() + net.predict(X).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_changes_no_bit(dtype):
    assert len({trained(threads, dtype) for threads in (1, 2, 3, 4, 7)}) == 1


def test_the_number_may_change_while_others_train():
    wanted = trained(1, "float32")
    found = []

    def train():
        net = cbp.Network([300, 200, 10], activation="tanh", output="softmax", seed=0)
        net.fit(X, Y, epochs=2, batch_size=64, optimizer="adam")
        found.append(net.params.tobytes() + net.predict(X).tobytes())

    trainers = [threading.Thread(target=train) for _ in range(3)]
    for trainer in trainers:
        trainer.start()
    n = 0
    while any(trainer.is_alive() for trainer in trainers):
        n = n % 6 + 1
        cbp.set_num_threads(n)
        assert cbp.get_num_threads() == n
    assert found == [wanted] * 3


# ---- at rest ----

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

IMPORT_ALONE = """
import os
import numpy
before = len(os.listdir("/proc/self/task"))
import cbp
cbp.Network([2, 3, 1], seed=0).predict(numpy.zeros((1, 2)))
print(len(os.listdir("/proc/self/task")) - before)
"""


@linux_only
def test_importing_and_small_work_start_no_thread():
    assert run_python(IMPORT_ALONE) == "0"


ONE_AGAIN = """
net.fit(X, Y, epochs=1, batch_size=200)
cbp.set_num_threads(1)
deadline = time.monotonic() + 30
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
    time.sleep(0.001)  # the system takes a thread that has ended from its list a moment later
print(len(os.listdir("/proc/self/task")))
"""


@linux_only
def test_threads_end_when_the_number_falls():
    assert run_python(NETWORK + ONE_AGAIN) == "1"


SLEEP = """
net.fit(X, Y, epochs=1, batch_size=200)
before = time.process_time()
time.sleep(0.3)
print(time.process_time() - before)
"""


def test_idle_threads_use_no_processor():
    assert float(run_python(NETWORK + SLEEP)) < 0.03


# ---- the default number ----


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_the_default_is_the_processors_this_process_may_use():
    one = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    program = "import cbp; print(cbp.get_num_threads())"
    assert run_python(one + program, CBP_NUM_THREADS="") == "1"
    every = int(run_python(program, CBP_NUM_THREADS="", OMP_NUM_THREADS=""))
    assert 1 <= every <= len(os.sched_getaffinity(0))


def test_more_threads_than_processors_are_honoured():
    assert run_python("import cbp; print(cbp.get_num_threads())", CBP_NUM_THREADS="1024") == "1024"
    cbp.set_num_threads(1024)
    assert cbp.get_num_threads() == 1024
