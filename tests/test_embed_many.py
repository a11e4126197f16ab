"""Thousands of small networks in one process: what each takes, and that nothing stays when they are gone."""

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_embed_control import child

import cbp

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cost(make, kept, n=4000):
    """Bytes that each of n networks takes; they are kept, so that the next ones cannot have their memory."""
    gc.collect()
    before = resident()
    kept.append([make(i) for i in range(n)])
    return (resident() - before) / n


def figures():
    """Bytes of a network of 13 parameters: made anew, a copy, a snapshot; one that has made a step, and by Adam."""

    def stepped(i):
        net = first.copy()
        net.train_step(X[0], Y[0], 0.1)
        return net

    def trained(i):
        net = first.copy()
        net.partial_fit(X, Y, optimizer="adam")
        return net

    first = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
    for make in (stepped, trained):
        make(0)
    kept, made = [], [lambda i: cbp.Network([2, 3, 1], seed=i), lambda i: first.copy(), lambda i: first.snapshot()]
    return [cost(make, kept) for make in [*made, stepped, trained]]


MOST = {"new": 5000, "copy": 2500, "snapshot": 2500, "after a step": 4500, "after an epoch of Adam": 6500}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_small_network_takes():
    found = map(float, child("from test_embed_many import figures; print(*figures())").split())
    for (what, most), each in zip(MOST.items(), found, strict=True):
        assert 100 < each < most, f"{what}: {each:.0f} bytes"


def rounds():
    """Memory after each of some rounds of making, training and forgetting."""
    first = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
    after = []
    for _ in range(8):
        nets = [first.copy() for _ in range(3000)]
        for net in nets:
            net.partial_fit(X, Y, optimizer="adam")
            net.snapshot()
        del nets, net
        gc.collect()
        after.append(resident())
    return after


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_stays_when_they_are_gone():
    after = [*map(int, child("from test_embed_many import rounds; print(*rounds())").split())]
    assert max(after[3:]) - max(after[:3]) < 2_200_000  # two arenas of Python come and go; 15,000 for a byte lost


def test_all_of_them_are_trained_in_threads():
    first = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
    targets = np.random.default_rng(0).uniform(0, 1, (500, 4, 1)).astype("float32")

    def train(net, y):
        return net.fit(X, y, epochs=5, batch_size=2).loss[-1]

    nets, again = ([first.copy() for _ in targets] for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        losses = list(pool.map(train, nets, targets))
    assert losses == [train(net, y) for net, y in zip(again, targets, strict=True)]
    assert nets == again
    assert len({net.params.tobytes() for net in nets}) == len(nets)
    assert len({id(net._plan) for net in nets}) == 1


def test_they_go_when_the_last_of_them_goes():
    net = cbp.Network([2, 3, 1], seed=0)
    copies = [net.copy() for _ in range(3)]
    expected = net.predict(X).tobytes()
    del net, copies[:2]
    gc.collect()
    assert copies[0].predict(X).tobytes() == expected
