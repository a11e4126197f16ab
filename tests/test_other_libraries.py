"""cbp in one process with other native libraries, imported in any order: nothing that they or cbp compute changes.

A program of its own for every order: it imports the libraries, has each of them work, and then each once more in the
opposite order, and prints what came out, byte for byte, and what of the process an import or the work could have
changed. What a library gives in a process that has no other is what it must give in all.
"""

import importlib.util
import itertools
import json
import sys
from functools import cache

import numpy as np
import pytest
from helpers import one_in
from test_pool import run_python

import cbp

PROGRAM = '''
import hashlib, json, locale, os, random, signal, sys
import numpy as np

rng = np.random.default_rng(5)
X = rng.normal(size=(300, 20)).astype(np.float32)
y = (X[:, :3].sum(axis=1) > 0).astype(np.int64)


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def by_cbp():
    import cbp
    net = cbp.Network([20, 128, 2], activation="tanh", output="softmax", seed=0)
    history = net.fit(X, y, epochs=3, optimizer="adam", progress=False)
    return digest(net.params, net.predict(X), np.array(history.loss))


def by_sklearn():
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression
    means = KMeans(4, n_init=1, random_state=0).fit(X[:256].astype(float))  # more rows: sums in any order
    line = LogisticRegression().fit(X.astype(float), y)
    return digest(means.cluster_centers_, line.coef_)


def by_onnxruntime():
    import onnxruntime
    session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
    return digest(*session.run(None, {session.get_inputs()[0].name: X}))


def by_jax():
    import jax
    work = jax.jit(lambda a: jax.numpy.tanh(a @ a.T).sum(axis=0))
    return digest(np.asarray(work(X)))


def by_torch():
    import torch
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    descent = torch.optim.Adam(net.parameters())
    for _ in range(3):
        descent.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        descent.step()
    return digest(net(torch.from_numpy(X)).detach().numpy())


def pools():
    """Threads that other libraries have."""
    if "threadpoolctl" not in sys.modules:
        return []
    found = sys.modules["threadpoolctl"].threadpool_info()
    return sorted((one["user_api"], one["filepath"], one["num_threads"]) for one in found if one["user_api"] != "cbp")


def surroundings():
    """What of the process is not a library's own."""
    tiny = np.float32(1e-38)
    return {
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])) if hasattr(signal, "pthread_sigmask") else [],
        "locale": locale.setlocale(locale.LC_ALL),
        "random": hashlib.sha256(repr((random.getstate(), np.random.get_state()[1].tolist())).encode()).hexdigest(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "errors": np.geterr(),
        "subnormals": float(tiny * np.float32(1e-3)) > 0,
        "rounding": [float(np.float64(1) / 3), float(np.float64(-1) / 3)],
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "recursion": sys.getrecursionlimit(),
        "hooks": [str(sys.excepthook), str(sys.displayhook), len(sys.meta_path), len(sys.path_hooks)],
        "pools": pools(),
    }


changed = []


def watched(library, work):
    """What the work returns; whatever cbp changes of the process goes to `changed`."""
    before = surroundings()
    result = work()
    after = surroundings()
    if library == "cbp":
        changed.extend(name for name in before if before[name] != after[name])
    return result


libraries = sys.argv[1:]
for library in libraries:
    watched(library, lambda: __import__(library))
work = {library: globals()["by_" + library] for library in libraries}
found = {library: [watched(library, work[library])] for library in libraries}
for library in reversed(libraries):
    found[library].append(watched(library, work[library]))
loaded = open("/proc/self/maps").read() if sys.platform == "linux" else ""
openmp = [name for name in ("libgomp", "libiomp", "libomp") if name in loaded]
print(json.dumps({"found": found, "changed": changed, "openmp": openmp}))
'''

ORDERS = list(itertools.permutations(("cbp", "sklearn", "onnxruntime")))[:: one_in(5)]
"""All of them; the first and the last with cbp first and last. PyTorch and JAX are in test_other_libraries_peers.py."""


def needed(libraries):
    """Skip the test where a library is not installed."""
    for library in libraries:
        if not importlib.util.find_spec(library):
            pytest.skip(f"no {library}")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file for ONNX Runtime, of cbp's making."""
    needed(["onnx"])
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    cbp.Network([20, 32, 2], activation="relu", output="softmax", seed=3).export(path)
    return path


@cache
def run(libraries, model):
    """What the libraries give that are imported in this order."""
    program = f"import sys; sys.argv[1:] = {list(libraries)!r}\n{PROGRAM}"
    quiet = {"MODEL": str(model), "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "CBP_NUM_THREADS": "2"}
    return json.loads(run_python(program, **quiet).splitlines()[-1])


def check_order(libraries, model):
    """Each gives what it gives alone, the second time too, and cbp has left the process as it was."""
    needed(libraries)
    together = run(libraries, model)
    for library in libraries:
        (alone,) = set(run((library,), model)["found"][library])
        assert together["found"][library] == [alone, alone], library
    assert together["changed"] == []


@pytest.mark.parametrize("libraries", ORDERS, ids=" ".join)
def test_libraries_imported_in_any_order_compute_what_they_compute_alone(libraries, model):
    check_order(libraries, model)


def test_cbp_alone_loads_no_openmp_and_changes_nothing(model):
    alone = run(("cbp",), model)
    assert (alone["openmp"], alone["changed"]) == ([], [])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_look_for_openmp_can_see_it(model):
    needed(["sklearn"])
    assert run(("sklearn",), model)["openmp"] == ["libgomp"]


def test_bits_do_not_depend_on_what_is_installed(model):
    """The same training in this process, in which tests have imported much else."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 20)).astype(np.float32)
    y = (X[:, :3].sum(axis=1) > 0).astype(np.int64)
    net = cbp.Network([20, 128, 2], activation="tanh", output="softmax", seed=0)
    history = net.fit(X, y, epochs=3, optimizer="adam", progress=False)
    names = {"np": np, "net": net, "history": history, "X": X}
    digest = PROGRAM[PROGRAM.index("def digest") : PROGRAM.index("def by_cbp")]
    exec("import hashlib\n" + digest + "found = digest(net.params, net.predict(X), np.array(history.loss))", names)
    assert run(("cbp",), model)["found"]["cbp"][0] == names["found"]
