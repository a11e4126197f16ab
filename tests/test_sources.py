"""Memory maps, sparse matrices and batches train the network that the same rows in one array would, bit for bit."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import cbp
from cbp import _sources
from cbp._sources import is_mapped

N, N_IN = 203, 6


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Read 40 rows of float32 at a time, or one batch where that is more."""
    monkeypatch.setattr(_sources, "PIECE_BYTES", 40 * N_IN * 4)


def rows(dtype):
    """Data that every dtype can hold, half of it zeros."""
    rng = np.random.default_rng(70)
    X = rng.integers(0, 100, (N, N_IN)) * rng.integers(0, 2, (N, N_IN))
    return X.astype(dtype), rng.integers(0, 3, N)


def mapped(tmp_path, X):
    path = tmp_path / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def sparse(_, X):
    return pytest.importorskip("scipy.sparse", reason="needs scipy").csr_array(X)


def column_major(_, X):
    return pytest.importorskip("scipy.sparse", reason="needs scipy").csc_matrix(X)


def trained(X, y, epochs=3, **how):
    net = cbp.Network([N_IN, 8, 3], activation="tanh", output="softmax", seed=71)
    net.params[:] *= 0.01  # the inputs are up to 100
    history = net.fit(X, y, epochs=epochs, progress=False, **how)
    return net, history


WAYS = {
    "batches": {"batch_size": 16},
    "in order": {"batch_size": 16, "shuffle": False},
    "weights": {"batch_size": 50, "sample_weight": np.linspace(0.5, 2, N)},
    "classes": {"batch_size": 16, "class_weight": "balanced"},
    "classes and weights": {"batch_size": 16, "class_weight": {0: 2.0}, "sample_weight": np.linspace(0.5, 2, N)},
    "held out": {"batch_size": 16, "validation": 0.25},
    "held out, classes": {"batch_size": 16, "validation": 0.25, "class_weight": "balanced"},
    "one by one": {"batch_size": 1, "optimizer": cbp.optimizers.SGD(1e-4)},
    "all at once": {"batch_size": 1000},
    "scheduled": {"batch_size": 16, "schedule": lambda step: 1e-3 / (1 + step)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kept", "dtype"),
    [(mapped, "float32"), (mapped, "float64"), (mapped, "uint8"), (sparse, "float64"), (column_major, "int32")],
)
def test_rows_read_piece_by_piece_train_the_same_network(tmp_path, kept, dtype, way):
    X, y = rows(dtype)
    want, expected = trained(X, y, **WAYS[way])
    net, history = trained(kept(tmp_path, X), y, **WAYS[way])
    assert net.params.tobytes() == want.params.tobytes()
    assert {name: history[name] for name in history if name != "seconds"} == {
        name: expected[name] for name in expected if name != "seconds"
    }
    assert net.epoch == want.epoch == 3


def test_a_copy_of_mapped_rows_is_in_memory(tmp_path):
    X = mapped(tmp_path, np.arange(12.0).reshape(6, 2))
    assert all(is_mapped(part) for part in (X, X[2:], np.asarray(X), np.asarray(X)[:, 1]))
    assert not any(is_mapped(part) for part in (X[[0, 2]], np.asarray(X[[0, 2]]), np.array(X), X + 1))


@pytest.mark.parametrize("kept", [mapped, sparse])
def test_predict_reads_piece_by_piece(tmp_path, kept):
    X, y = rows("float64")
    net, _ = trained(X, y, epochs=1)
    here = kept(tmp_path, X)
    want, out = net.predict(X), np.empty((N, 3), np.float32)
    assert net.predict(here).tobytes() == want.tobytes()
    assert net.predict(here, out=out) is out
    assert out.tobytes() == want.tobytes()
    with pytest.raises(ValueError, match=r"out has shape \(3, 3\), the outputs have \(203, 3\)"):
        net.predict(here, out=np.empty((3, 3), np.float32))


def cut(X, y, weight, sizes):
    """Some batches of these sizes."""
    ends = np.cumsum(sizes)
    for start, end in zip(ends - sizes, ends, strict=True):
        yield (X[start:end], y[start:end]) if weight is None else (X[start:end], y[start:end], weight[start:end])


@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, N)], ids=["plain", "weighted"])
@pytest.mark.parametrize("given", ["list", "function", "array"])
def test_batches_train_as_one_array(given, weight):
    X, y = rows("float32")
    sizes = [20] * 10 + [3]
    want, expected = trained(X, y, batch_size=20, shuffle=False, sample_weight=weight)
    forms = {"list": lambda: list(cut(X, y, weight, sizes)), "function": lambda: lambda: cut(X, y, weight, sizes)}
    if given == "array":
        net, history = trained(X, y, batch_size=20, shuffle=False, sample_weight=weight, drop_last=False)
    else:
        net, history = trained(forms[given](), None)
    assert net.params.tobytes() == want.params.tobytes()
    assert history.loss == expected.loss


NOISY = [cbp.Dense(8, "tanh", dropout=0.5), cbp.Dense(5, "relu", dropout=0.25)]


def trained_with_noise(X, y, **how):
    net = cbp.Network([N_IN, *NOISY, 3], output="softmax", seed=74, input_noise=2.0, input_dropout=0.1)
    net.params[:] *= 0.01
    net.fit(X, y, epochs=3, progress=False, **how)
    return net.params.tobytes()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kept", [mapped, sparse])
def test_noise_is_that_of_one_array(tmp_path, kept, shuffle):
    X, y = rows("float32")
    for batch_size in (1, 16, 50):
        how = {"batch_size": batch_size, "shuffle": shuffle, "optimizer": cbp.optimizers.Adam(1e-3)}
        assert trained_with_noise(kept(tmp_path, X), y, **how) == trained_with_noise(X, y, **how)


def test_noise_is_that_of_one_array_in_batches_too():
    X, y = rows("float32")
    want = trained_with_noise(X, y, batch_size=20, shuffle=False)
    assert trained_with_noise(lambda: cut(X, y, None, [20] * 10 + [3]), None) == want
    assert trained_with_noise(list(cut(X, y, None, [20] * 10 + [3])), None) == want


def test_batches_may_differ_in_size_and_are_steps_of_their_own():
    X, y = rows("float32")
    net, _ = trained(lambda: cut(X, y, None, [100, 1, 50, 52]), None, epochs=2)
    again = trained(X, y, epochs=0)[0]
    for _ in range(2):
        for some, targets in cut(X, y, None, [100, 1, 50, 52]):
            again.partial_fit(some, targets, batch_size=len(some), shuffle=False)
    assert net.params.tobytes() == again.params.tobytes()
    assert net.epoch == 2


def test_a_pass_over_batches_is_an_epoch_of_partial_fit():
    X, y = rows("float32")
    batches = list(cut(X, y, None, [100, 103]))
    net, _ = trained(batches, None, epochs=3)
    again = trained(X, y, epochs=0)[0]
    for _ in range(3):
        again.partial_fit(batches)
    assert net.params.tobytes() == again.params.tobytes()


@pytest.mark.parametrize("shuffle", [False, True])
def test_drop_last_leaves_out_what_fills_no_batch(shuffle):
    X, y = rows("float32")
    net, _ = trained(X, y, epochs=1, batch_size=20, shuffle=shuffle, drop_last=True)
    order = cbp._core.permutation(net.seed, 0, N)[:200] if shuffle else slice(200)
    want, _ = trained(X[order], y[order], epochs=1, batch_size=20, shuffle=False)
    assert net.params.tobytes() == want.params.tobytes()
    assert net._memory.t == 10


def test_divergence_names_the_batch_of_the_pass():
    X, y = np.ones((20, N_IN), np.float32), np.ones(20, np.float32)
    batches = [(X, y)] * 7 + [(np.full((20, N_IN), 1e38, np.float32), y)]
    net = cbp.Network([N_IN, 1], output="identity", seed=73)
    with pytest.raises(cbp.DivergenceError) as error:
        net.fit(batches, epochs=1, progress=False, optimizer=cbp.optimizers.SGD(0.01))
    assert error.value.batch == 7
    assert net._memory.t == 7


NAN = np.where(np.arange(N)[:, None] == 150, np.nan, np.ones((N, N_IN)))
GENERATOR = (batch for batch in [])
REFUSED = {
    "nan in a map": (lambda path: (mapped(path, NAN), np.zeros(N, int)), {}, ValueError, r"X\[150, 0\] is nan"),
    "columns": (lambda path: (mapped(path, NAN[:, :2]), None), {"y": [0]}, ValueError, r"X has shape \(203, 2\)"),
    "targets": (lambda path: (mapped(path, NAN), [0, 1]), {"check_finite": False}, ValueError, "y has 2 labels"),
    "no rows": (lambda path: (sparse(path, NAN[:0]), np.zeros(0, int)), {}, ValueError, "X has no rows"),
    "y is missing": (lambda path: (NAN, None), {}, TypeError, "y is missing"),
    "no batches at all": (lambda path: (3, None), {}, TypeError, "an iterable of"),
    "lists": (lambda path: ([[0, 1], [1, 0]], None), {}, TypeError, "batch 0 is no tuple"),
    "too long": (lambda path: ([(1, 2, 3, 4)], None), {}, TypeError, "batch 0 is no tuple"),
    "batch": (lambda path: ([(np.ones((2, 5)), [0, 1])], None), {}, ValueError, "batch 0: X has 5 features"),
    "used up": (lambda path: (GENERATOR, None), {}, ValueError, "a generator can be read once"),
    "empty": (lambda path: ([], None), {}, ValueError, "^no batches$"),
    "weights": (lambda path: ([], None), {"sample_weight": [1]}, ValueError, "sample_weight does not go with batches"),
    "classes": (lambda path: ([], None), {"class_weight": "balanced"}, ValueError, "class_weight does not go"),
    "share": (lambda path: ([], None), {"validation": 0.2}, ValueError, "no share can be taken from batches"),
    "nothing left": (
        lambda path: (np.ones((5, N_IN)), np.zeros(5, int)),
        {"drop_last": True},
        ValueError,
        "drop_last leaves nothing: 5 rows are less than a batch of 64",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    make, how, error, message = REFUSED[case]
    net = cbp.Network([N_IN, 3], output="softmax", seed=72)
    before = net.params.tobytes()
    X, y = make(tmp_path)
    with pytest.raises(error, match=message):
        net.fit(X, **({"y": y} | how), epochs=1, progress=False)
    assert net.params.tobytes() == before


LIMITED = """
    import resource, sys
    import numpy as np, cbp
    n, n_in = 14_000, 4096
    X = np.memmap(sys.argv[1], sys.argv[2], "w+", shape=(n, n_in))
    X[:, :8] = np.arange(n)[:, None] % 7
    y = (np.arange(n) % 7 > 3).astype("float32")
    net = cbp.Network([n_in, 4, 1], activation="tanh", output="sigmoid", seed=0)
    net.fit(X[:100], y[:100], epochs=1, progress=False)
    used = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 120 * 2**20,) * 2)
    try:
        np.array(X, np.float32)
        print("no limit")
    except MemoryError:
        print("limited")
    history = net.fit(X, y, epochs=2, batch_size=256, progress=False)
    print(history.loss[1] < history.loss[0], net.predict(X).shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone limits and tells a process's data")
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_map_larger_than_the_memory_that_is_left(tmp_path, dtype):
    """219 MiB of float32, in a file or made from one, with room for 120."""
    code = textwrap.dedent(LIMITED)
    made = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "X.raw"), dtype], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == ["limited", "True (14000, 1)"]
