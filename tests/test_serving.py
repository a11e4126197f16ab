"""Eight threads predict with one network while another trains and swaps it: the bits of predictions made one by one.

What is served is a snapshot, behind a name that is bound anew.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cbp

READERS, VERSIONS = 8, 12
rng = np.random.default_rng(7)
X = rng.normal(size=(4000, 32)).astype(np.float32)
Y = rng.normal(size=(4000, 3)).astype(np.float32)
ROWS = {"single rows": 0, "some rows": 7, "rows worth threads": 4000}


@pytest.fixture(autouse=True)
def _number_of_threads():
    """Two threads for the pool, and what there was before afterwards."""
    before = cbp.get_num_threads()
    cbp.set_num_threads(2)
    yield
    cbp.set_num_threads(before)


def network():
    return cbp.Network([32, 48, 3], activation="tanh", output="identity", seed=0)


def some(rows, turn):
    """One row as a vector, or a few rows, another part of the data each turn; or all of them."""
    if rows == 0:
        return X[turn % len(X)]
    start = turn * rows % (len(X) - rows + 1)
    return X[start : start + rows]


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_threads_that_predict_with_one_network_get_what_one_alone_gets(rows):
    net = network()
    turns = range(16 if rows > 1000 else 400)
    alone = [net.predict(some(rows, turn)).tobytes() for turn in turns]
    start = threading.Barrier(READERS)

    def read(_):
        start.wait()
        return [net.predict(some(rows, turn)).tobytes() for turn in turns]

    with ThreadPoolExecutor(READERS) as pool:
        assert all(found == alone for found in pool.map(read, range(READERS)))


def versions():
    """Networks as they are after every epoch of a training that nobody disturbs."""
    net = network()
    for _ in range(VERSIONS):
        yield net.snapshot()
        net.fit(X, Y, epochs=1, progress=False)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_readers_see_whole_versions_while_another_thread_trains_and_swaps(rows):
    """A prediction is that of one version for all of its rows, and versions follow each other."""
    probe = some(rows, 0)
    number = {net.predict(probe).tobytes(): i for i, net in enumerate(versions())}
    assert len(number) == VERSIONS
    net = network()
    current, done, begun = net.snapshot(), threading.Event(), threading.Barrier(READERS + 1)

    def read():
        seen, out = [number[current.predict(probe).tobytes()]], np.empty((*probe.shape[:-1], 3), np.float32)
        begun.wait()
        while not done.is_set():
            seen.append(number[current.predict(probe, out=out).tobytes()])
        return [*seen, number[current.predict(probe).tobytes()]]

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read) for _ in range(READERS)]
        begun.wait()
        try:
            for _ in range(VERSIONS - 1):
                net.fit(X, Y, epochs=1, progress=False)
                current = net.snapshot()
        finally:
            done.set()
        for reader in readers:
            seen = reader.result()
            assert seen == sorted(seen)
            assert (seen[0], seen[-1]) == (0, VERSIONS - 1)


def test_readers_of_a_network_in_training_change_no_bit_of_it():
    *_, last = versions()
    net, done = network(), threading.Event()

    def read():
        while not done.is_set():
            assert np.isfinite(net.predict(X[:200])).all()

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read) for _ in range(READERS)]
        try:
            net.fit(X, Y, epochs=VERSIONS - 1, progress=False)
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert net == last


def test_several_networks_train_at_once_each_to_its_own_bits():
    def trained(seed):
        net = cbp.Network([32, 48, 3], activation="tanh", output="identity", seed=seed)
        net.fit(X, Y, epochs=2, progress=False)
        return net

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(trained, range(4))) == [trained(seed) for seed in range(4)]
