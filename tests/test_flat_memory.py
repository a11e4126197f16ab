"""Memory that stays where it is: the resident size of a process over a million calls, and over all that comes and goes.

Each program is a process of its own. It warms up, notes its resident size, works, and prints by how many bytes it grew.
"""

import json
import sys

import pytest
from helpers import one_in
from test_pool import run_python

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MEGABYTE = 1 << 20

HEAD = """
import gc, json, os, pickle, sys, tempfile
import numpy as np
import cbp

X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([[0], [1], [1], [0]], np.float32)
x, y, out = X[1].copy(), Y[1].copy(), np.empty(1, np.float32)
net = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
linear = cbp.Network([2, 1], output="identity", seed=0)
wide = cbp.Network([40, 60, 3], activation="relu", output="identity", seed=0)
many = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
path = os.path.join(tempfile.mkdtemp(), "model")


def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(work, times):
    for _ in range(max(10, times // 20)):
        work()
    before = resident()
    for _ in range(times):
        work()
    return resident() - before
"""

CALLS = {
    "predict": "net.predict(x)",
    "predict into an array": "net.predict(x, out=out)",
    "train_step": "net.train_step(x, y, 0.1)",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_million_calls_take_no_memory(call):
    """Also where arguments have to be converted first, or are refused: every hundredth call."""
    program = f"""
def refused(work):
    try:
        work()
    except ValueError:
        return
    sys.exit("this should have been refused")

def hundred():
    for _ in range(98):
        {CALLS[call]}
    {CALLS[call].replace("x,", "[0, 1],").replace("(x)", "([0, 1])")}
    refused(lambda: {CALLS[call].replace("x", "X[:, :1]", 1)})

print(grown(hundred, {1_000_000 // 100 // one_in(10)}))
"""
    assert int(run_python(HEAD + program)) <= MEGABYTE  # an object a call would be more, of a tenth of the calls too


WORK = {
    "predict many rows": (300, "wide.predict(many)"),
    "train_step of many rows": (300, "wide.train_step(many, many[:, :3], 1e-3)"),
    "fit": (60, "net.fit(X, Y, epochs=3, optimizer='adam', progress=False, validation=(X, Y))"),
    "a callback that fails": (60, "failing()"),
    "a training that diverges": (60, "diverging()"),
    "save and load": (60, "net.save(path + '.npz')", "cbp.load(path + '.npz')"),
    "pickle": (100, "pickle.loads(pickle.dumps(net))"),
    "export": (30, "net.export(path + '.c')"),
    "create, copy, forget": (100, "cbp.Network([2, 3, 1], seed=0).copy()"),
    "create a large one": (60, "cbp.Network([200, 300, 10], seed=0).predict(np.zeros((1, 200)))"),
    "change the number of threads": (60, "threads()"),
    "a loss of one's own": (60, "own.train_step(X, Y, 0.1)"),
    "curvature": (60, "net.jacobian(X)", "net.hvp(X, Y, net.params)"),
    "a method": (60, "net.fit(X, Y, epochs=2, optimizer='levenberg_marquardt', progress=False)"),
}
"""How many times which calls are made."""

PARTS = """
def fails(state):
    raise KeyError("a callback of the user's")

def failing():
    try:
        net.fit(X, Y, epochs=1, callbacks=fails, progress=False)
    except KeyError:
        return
    sys.exit("nothing failed")

def diverging():
    broken = linear.copy()
    try:
        broken.fit(X, Y, epochs=5, optimizer=cbp.optimizers.SGD(1e30), progress=False)
    except cbp.DivergenceError:
        return
    sys.exit("nothing diverged")

def threads():
    for n in (3, 1, 2):
        cbp.set_num_threads(n)
        wide.predict(many)

def squared(y, a):
    return ((a - y) ** 2).sum(axis=1) / 2, a - y

own = cbp.Network([2, 3, 1], output="identity", loss=squared, seed=0)
"""


def test_what_comes_and_goes_takes_no_memory():
    """One process for all kinds of work, one after the other: each alone grows by no megabyte, nor do all together."""
    works = [f"found[{name!r}] = grown(lambda: [{', '.join(calls)}], {n})" for name, (n, *calls) in WORK.items()]
    found = json.loads(run_python("\n".join([HEAD, PARTS, "found = {}", *works, "print(json.dumps(found))"])))
    assert found.keys() == WORK.keys()
    assert {name: grown for name, grown in found.items() if grown > MEGABYTE} == {}
    assert sum(grown for grown in found.values()) <= 2 * MEGABYTE, found
