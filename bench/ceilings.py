"""The ceilings: FMA peak and memory bandwidth of the cores in use, by peak.c, which is compiled when it is needed.

In the rounds it takes its turn like a library, so that the peak is that of the same seconds and of the same cores.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from machine import cache_sizes
from problems import Problem
from stopwatch import Stopwatch

HERE = Path(__file__).parent
VARIABLE = "CBP_BENCH_PEAK"  # tells the worker where the compiled peak.c is
FLAGS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "scalar": ["-DSCALAR", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"],
    "neon": [],
    "": ["-march=native"],
}
TRIES = 5


def compiler() -> list[str]:
    return os.environ.get("CC", "cc").split()


def build(isa: str, folder: Path) -> Path:
    """Compile peak.c for an instruction set; RuntimeError tells why it cannot be done."""
    cc = compiler()
    if not shutil.which(cc[0]):
        raise RuntimeError(f"no C compiler called {cc[0]}")
    out = folder / "peak.so"
    flags = ["-O3", "-ffp-contract=fast", *FLAGS.get(isa, FLAGS[""])]
    command = [*cc, *flags, "-shared", "-fPIC", str(HERE / "peak.c"), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{cc[0]} cannot compile bench/peak.c: {done.stderr.strip().splitlines()[0]}")
    return out


def aligned(floats: int) -> np.ndarray:
    """Return so many ones that begin at a multiple of 64 bytes."""
    block = np.ones(floats + 16, "float32")
    skip = -block.ctypes.data % 64 // 4
    return block[skip : skip + floats]


def together(functions: list[Callable[[], Any]]) -> None:
    """Call all at the same time; ctypes lets go of the GIL."""
    others = [threading.Thread(target=function) for function in functions[1:]]
    for thread in others:
        thread.start()
    functions[0]()
    for thread in others:
        thread.join()


class Task:
    """Multiply-adds in the precision of a problem."""

    ROUNDS = 10_000

    def __init__(self, peer: Ceiling, problem: Problem, threads: int) -> None:
        self.threads = threads
        self.fma = getattr(peer.lib, f"fma_{problem.dtype}")
        self.per_round = getattr(peer.lib, f"flops_{problem.dtype}")()

    def prepare(self) -> None:
        pass

    def check(self) -> dict[str, float]:
        return {}

    def work(self, units: int) -> None:
        together([lambda: self.fma(units * self.ROUNDS)] * self.threads)

    def flops(self, units: int) -> int:
        return units * self.ROUNDS * self.per_round * self.threads


class Moving:
    """Bytes moved by several threads at once."""

    def __init__(self, moves: list[Callable[[int], Any]]) -> None:
        self.moves = moves

    def prepare(self) -> None:
        pass

    def work(self, units: int) -> None:
        together([lambda move=move: move(units) for move in self.moves])


class Ceiling:
    """What the worker called "ceiling" has in the place of a library."""

    task = Task

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.lib = lib = ctypes.CDLL(os.environ[VARIABLE])
        pointer, number = ctypes.c_void_p, ctypes.c_long
        for name, arguments in {
            "fma_float32": [number],
            "fma_float64": [number],
            "read_floats": [pointer, number, number],
            "triad_floats": [pointer, pointer, pointer, number, number],
        }.items():
            getattr(lib, name).restype, getattr(lib, name).argtypes = ctypes.c_double, arguments
        lib.flops_float32.restype = lib.flops_float64.restype = number

    def versions(self) -> dict[str, Any]:
        return {"numpy": np.__version__}

    def measure(self, seconds: float) -> dict[str, float]:
        """Return GFLOP/s in both precisions; and GB/s of reading and of a triad, in half of L2 and far beyond L3."""
        found = {}
        for dtype in ("float32", "float64"):
            task = Task(self, Problem("train", (1, 1), 1, dtype=dtype), self.threads)
            found[f"fma_{dtype}"] = self.rate(task, seconds, task.flops(1))
        caches = cache_sizes()
        l2, last = caches.get("L2", 512 << 10), max(caches.get("L3", 0), 32 << 20)
        for name, size in (("L2", l2 // 2), ("DRAM", 4 * last)):
            for kind in (self.read, self.triad):
                jobs = [kind(size) for _ in range(self.threads)]
                moving = Moving([move for _, move in jobs])
                found[f"{kind.__name__}_{name}"] = self.rate(moving, seconds, sum(moved for moved, _ in jobs))
        return found

    def rate(self, task: Any, seconds: float, of_unit: int) -> float:
        """Return how many billions a second, from what a unit of work has."""
        watch = Stopwatch(task, self.threads)
        units = watch.calibrate(seconds)
        return of_unit * units / statistics.median(watch.once() for _ in range(TRIES)) / 1e9

    def read(self, size: int) -> tuple[int, Callable[[int], Any]]:
        x = aligned(size // 4)
        return 4 * len(x), lambda n: self.lib.read_floats(x.ctypes.data, len(x), n)

    def triad(self, size: int) -> tuple[int, Callable[[int], Any]]:
        a, b, c = (aligned(size // 12) for _ in range(3))
        return 12 * len(a), lambda n: self.lib.triad_floats(a.ctypes.data, b.ctypes.data, c.ctypes.data, len(a), n)
