"""The threads of cbp beside others who start threads and processes: threadpoolctl, joblib, multiprocessing, xdist."""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from sharing import trained
from test_pool import run_python

import cbp

WIDE = {"CBP_NUM_THREADS": "", "OMP_NUM_THREADS": ""}


@pytest.fixture(scope="module")
def expected():
    return [trained(seed)[0] for seed in range(4)]


# ---- what the environment says ----


@cache
def number_at_the_start(own, shared):
    """How many threads there are where CBP_NUM_THREADS and OMP_NUM_THREADS are these."""
    program = "import cbp; print(cbp.get_num_threads())"
    return run_python(program, CBP_NUM_THREADS=own, OMP_NUM_THREADS=shared)


@pytest.mark.parametrize(
    ("own", "shared", "number"),
    [("3", "1", "3"), ("", "1", "1"), ("", "1,4", "1"), ("", "0", None), ("", "many", None), ("", "100000", None)],
)
def test_the_number_of_threads_at_the_start(own, shared, number):
    assert number_at_the_start(own, shared) == (number or number_at_the_start(*WIDE.values()))


# ---- threadpoolctl ----

LIMITED = """
{imports}
cbp.set_num_threads(3)
net = cbp.Network([2, 1], seed=0)
with threadpoolctl.threadpool_limits({arguments}):
    inside = cbp.get_num_threads()
(own,) = [found for found in threadpoolctl.threadpool_info() if found["user_api"] == "cbp"]
print(inside, cbp.get_num_threads(), own["num_threads"], own["version"] == cbp.__version__, own["prefix"])
"""


@pytest.mark.parametrize("imports", ["import cbp, threadpoolctl", "import threadpoolctl, cbp"])
@pytest.mark.parametrize("arguments", ["1", "1, user_api='cbp'", "{'cbp': 1}"])
def test_threadpoolctl_limits_cbp(imports, arguments):
    pytest.importorskip("threadpoolctl")
    assert run_python(LIMITED.format(imports=imports, arguments=arguments)) == "1 3 3 True _core"


def test_a_library_of_the_same_name_is_not_taken_for_ours(tmp_path):
    pytest.importorskip("threadpoolctl")
    program = f"""
import ctypes, shutil
import threadpoolctl, cbp
other = {str(tmp_path / "_core.so")!r}
shutil.copy(cbp._core.__file__, other)
library = ctypes.CDLL(other)
ours = [found["filepath"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "cbp"]
print(ours == [cbp._core.__file__])
"""
    assert run_python(program) == "True"


def test_importing_cbp_does_not_import_threadpoolctl():
    program = "import sys, cbp; cbp.Network([2, 1]); print('threadpoolctl' in sys.modules, 'ctypes' in sys.modules)"
    assert run_python(program).startswith("False")


# ---- several processes ----

METHODS = multiprocessing.get_all_start_methods()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_processes_train_alike(method, expected):
    """Forks of a process whose pool of threads is at work, and processes that start anew."""
    cbp.set_num_threads(3)
    trained(0)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert [weights for weights, _ in pool.map(trained, range(4))] == expected


JOBLIB = """
import os
del os.environ["OMP_NUM_THREADS"], os.environ["CBP_NUM_THREADS"]
import joblib, cbp
from sharing import trained
found = joblib.Parallel(n_jobs=2)(joblib.delayed(trained)(seed) for seed in range(4))
print(all(weights == trained(seed)[0] for seed, (weights, _) in enumerate(found)),
      max(n for _, n in found) <= max(joblib.cpu_count() // 2, 1))
with joblib.parallel_config("loky", inner_max_num_threads=3):
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(trained)(seed) for seed in range(4))
processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(max(n for _, n in found) <= min(3, processors))
"""


def test_jobs_share_the_processors():
    pytest.importorskip("joblib")
    tests = os.path.dirname(__file__)
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    assert run_python(JOBLIB, PYTHONPATH=path, **WIDE).split() == ["True"] * 3


XDIST = """
import pytest
from sharing import trained
@pytest.mark.parametrize("seed", range(4))
def test_it(seed):
    assert trained(seed)[0] == trained(seed)[0]
"""


@pytest.mark.skipif(sys.platform == "emscripten", reason="needs processes")
def test_workers_of_pytest_train(tmp_path):
    pytest.importorskip("xdist")
    (tmp_path / "test_it.py").write_text(XDIST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # and not what stands in a folder above
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    arguments = ["-q", "-p", "xdist", "-n", "2", "-p", "no:cacheprovider"]
    program = f"import os, pytest; os.chdir({str(tmp_path)!r}); print(pytest.main({arguments!r}))"
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # and no other plugin
    said = run_python(program, PYTHONPATH=path, PYTEST_XDIST_WORKER="", PYTEST_ADDOPTS="", **alone)
    assert "4 passed" in said


# ---- several threads ----


def test_threads_of_others_train_alike(expected):
    with ThreadPoolExecutor(4) as pool:
        assert [weights for weights, _ in pool.map(trained, range(4))] == expected
