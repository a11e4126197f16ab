"""The control loop of docs/examples: it learns, and neither it nor the calls it is made of allocate anything.

Counted in three ways: by Python's own allocator, by a library before the C library's (count_allocations.c), with
Python's allocator switched off, and by a debugger that would stop at the first instruction of one.
"""

import ctypes
import itertools
import os
import re
import runpy
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import cbp

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs/examples/control_loop.py"
TURNS = 10_000
WIDTHS = ([2, 3, 1], TURNS), ([64, 1500, 10], 100)  # the second with a workspace that is not on the stack
MARK = "sched_yield"  # a call that allocates nothing: the debugger waits for it


def example():
    return runpy.run_path(str(SCRIPT), run_name="control_loop")


def calls():
    """Calls that are promised to allocate nothing, by name, and how often to try."""
    made = {"turn of the loop": (example()["Loop"]().turn, TURNS)}
    for dtype, (widths, turns) in itertools.product(("float32", "float64"), WIDTHS):
        net = cbp.Network(widths, output="identity", dtype=dtype, seed=0)
        for rows in ((), (16,)):
            x, y, out = (np.zeros((*rows, n), dtype) for n in (widths[0], widths[-1], widths[-1]))
            name = f"{dtype} {widths} {rows}"
            made[f"predict {name}"] = (lambda net=net, x=x, out=out: net.predict(x, out=out)), turns
            made[f"train_step {name}"] = (lambda net=net, x=x, y=y: net.train_step(x, y, 0.01)), turns
            made[f"gradient {name}"] = (lambda net=net, x=x, y=y: net.gradient(x, y)), turns
            made[f"update {name}"] = (lambda net=net: net.update(0.01)), turns
    labelled = cbp.Network([2, 3, 4], output="softmax", dtype="float64", seed=0)
    x, out = np.zeros(2), np.zeros(4)
    made["label"] = (lambda: labelled.train_step(x, 2, 0.01)), TURNS
    served = labelled.snapshot()
    made["snapshot"] = (lambda: served.predict(x, out=out)), TURNS
    return made


def repeat(call, turns):
    """Call so many times. What counts is made before, and what is counted with it."""
    for _ in itertools.repeat(None, turns):
        call()


def test_the_network_takes_over_from_the_controller():
    loop = example()["Loop"]()
    run = example()["run"]
    first, later = run(loop, 500), [run(loop, 5000) for _ in range(5)][-1]
    assert later < first / 10


def test_it_runs_alone(tmp_path):
    script = tmp_path / "loop.py"
    shutil.copy(SCRIPT, script)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "6000"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, last = map(float, re.findall(r"([\d.]+) rad", done.stdout))
    assert last < first


def test_pythons_allocator_is_not_asked():
    tracemalloc.start()
    try:
        for name, (call, turns) in calls().items():
            repeat(call, 10)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            repeat(call, turns // 10)
            current, peak = tracemalloc.get_traced_memory()
            assert peak - before < 1000, f"{name}: {peak - before} bytes at a time"  # the loop itself
            assert current - before < 1000, f"{name}: {current - before} bytes stayed"
    finally:
        tracemalloc.stop()


def test_tracing_would_have_shown_an_allocation():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        repeat(lambda: bytearray(1000), 10)
        assert tracemalloc.get_traced_memory()[1] - before > 1000
    finally:
        tracemalloc.stop()


def counted(call, most):
    """How much more the C library is asked for by so many calls than by none."""
    count = ctypes.CDLL(None).cbp_allocations
    count.restype = ctypes.c_long
    repeat(call, 10)
    found = []
    for turns in (0, most):
        before = count()
        repeat(call, turns)
        found.append(count() - before)
    return found[1] - found[0]


def child(code, *before, **environment):
    """Run some lines of this file in a process of its own; return what it prints."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*before, sys.executable, "-c", f"from test_embed_control import *\n{code}"],
        env={**os.environ, "PYTHONPATH": path, "CBP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and cc")
def test_the_c_library_is_asked_for_nothing(tmp_path):
    counter = tmp_path / "count_allocations.so"
    source = ROOT / "tests/count_allocations.c"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", counter, "-ldl"], check=True)
    code = "for name, how in {**calls(), 'other': (lambda: bytearray(9), TURNS)}.items(): print(counted(*how), name)"
    lines = child(code, LD_PRELOAD=str(counter), PYTHONMALLOC="malloc").splitlines()
    found = {name: int(number) for number, _, name in (line.partition(" ") for line in lines)}
    assert found.pop("other") >= TURNS, "the counter does not count"
    assert len(found) == len(calls())
    assert {name: number for name, number in found.items() if number} == {}


MARKED = f"""
turn, turns = example()["Loop"]().turn, itertools.repeat(None, {TURNS})
repeat(turn, 100)
os.sched_yield()
for _ in turns:
    turn()
os.sched_yield()
bytearray(9)
"""
ALLOCATORS = [
    *("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "mmap", "brk"),
    *("PyMem_RawMalloc", "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc"),
    *("PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc"),
]
DEBUGGER = [
    *("set pagination off", "set confirm off", "set breakpoint pending on", "set disable-randomization off"),
    *(f"break {MARK}", "run"),
    *(f"break {name}" for name in ALLOCATORS),
    *("echo \\nFIRST\\n", "continue", "backtrace 1", "echo \\nSECOND\\n", "continue", "backtrace 1", "kill"),
]


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_no_instruction_of_an_allocator_is_reached():
    options = itertools.chain.from_iterable(("-ex", command) for command in DEBUGGER)
    out = child(MARKED, "gdb", "-q", "-nx", "-batch", *options, "--args")
    loop, _, after = out.partition("\nFIRST\n")[2].partition("\nSECOND\n")
    assert re.search(rf"#0 .*{MARK}", loop), f"{TURNS} turns did not end where they should:\n{out}"
    assert re.search(r"#0 .*alloc", after), f"an allocation was not seen:\n{out}"
