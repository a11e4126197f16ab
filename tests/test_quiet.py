"""Inside an epoch no system is called: not by what the code could call, nor by what it does under strace."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import _c_programs as c
import pytest

# What the files that compute may take from outside the library: no allocation, no lock, no file, and of libm what
# rounds alike everywhere
ARITHMETIC = {"memcpy", "memmove", "memset", "memcmp", "fma", "fmaf", "sqrt", "sqrtf"}
BESIDES = {
    "plan.o": {"calloc", "free", "strcmp"},
    "heads.o": {"strcmp"},  # where it checks what plan.c asks it to
    "init.o": {"malloc", "free"},  # orthogonal weights, made in double before there is any training
    "cpu.o": {"getenv", "strcmp"},
}
OUTSIDE_AN_EPOCH = {"pool.o", "processors.o"}
THE_COMPILER_S_OWN = ("cbp_", "_GLOBAL_OFFSET_TABLE_", "__cpu_", "__stack_chk_fail")
HAND_OVER = {"futex", "sched_yield", "clock_gettime"}


@cache
def strace_works():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not strace_works(), reason="strace is missing, or may not look")


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("nm"), reason="needs nm, and knows its names on Linux")
def test_the_files_that_compute_call_nothing_of_the_system():
    objects = [Path(name) for name in c.library()[1]]
    assert {path.name for path in objects} > OUTSIDE_AN_EPOCH
    for path in objects:
        done = subprocess.run(["nm", "-u", path], capture_output=True, text=True, check=True)
        symbols = {line.split()[-1] for line in done.stdout.splitlines()}
        foreign = {symbol for symbol in symbols if not symbol.startswith(THE_COMPILER_S_OWN)}
        assert path.name in OUTSIDE_AN_EPOCH or foreign <= ARITHMETIC | BESIDES.get(path.name, set()), path


def calls_in_an_epoch(batches, threads, folder):
    """Names of the system calls that all threads make during one epoch."""
    log = folder / f"{batches}-{threads}"
    command = [
        "strace",
        "-f",
        "-o",
        str(log),
        str(c.program(Path(c.ROOT, "tests/c/epochs.c"))),
        str(batches),
        str(threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "done\n"
    lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    first, last = (number for number, line in enumerate(lines) if line.startswith("getppid("))
    inside = [line for line in lines[first + 1 : last] if not line.startswith("<...")]
    return [line.split("(")[0] for line in inside]


@needs_strace
def test_one_thread_makes_as_many_system_calls_in_1000_batches_as_in_10(tmp_path):
    assert calls_in_an_epoch(1000, 1, tmp_path) == calls_in_an_epoch(10, 1, tmp_path) == []


@needs_strace
@pytest.mark.parametrize("threads", [2, 4])
def test_many_threads_only_hand_over(threads, tmp_path):
    assert set(calls_in_an_epoch(100, threads, tmp_path)) <= HAND_OVER
