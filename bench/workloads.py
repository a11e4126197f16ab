"""What is measured: the workloads, and the sweeps that become curves. Each is a list of items; nothing is run here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from problems import Problem

ROWS = 12_800  # of the 784 inputs' data: 40 MB, more than most caches hold


@dataclasses.dataclass(frozen=True)
class Item:
    """One problem with one number of threads. In a sweep, `x` is its place on the axis, and `curve` names its line."""

    group: str
    name: str
    problem: Problem
    threads: int
    x: float = 0
    curve: str = ""


XOR = {"hidden": "sigmoid", "output": "sigmoid", "loss": "half_squared_error", "rate": 0.5}
ONLINE = XOR | {"rate": 0.1}
BINARY = {"output": "sigmoid", "loss": "binary_cross_entropy"}
ADAM = {"optimizer": "adam", "rate": 0.001}
REGRESSION = {"output": "identity", "loss": "half_squared_error"}

# name: problem, and whether more than one thread makes sense
WORKLOADS = {
    "xor-step": (Problem("step", (2, 3, 1), 256, **XOR), False),
    "xor": (Problem("train", (2, 3, 1), 2048, **XOR), False),
    "online": (Problem("train", (64, 32, 10), 2048, **ONLINE), False),
    "small-adam": (Problem("train", (30, 64, 32, 1), 2048, batch=32, **BINARY, **ADAM), True),
    "medium-sgd": (Problem("train", (784, 128, 10), ROWS, batch=128), True),
    "medium-adam": (Problem("train", (784, 128, 10), ROWS, batch=128, **ADAM), True),
    "large-sgd": (Problem("train", (784, 512, 256, 10), ROWS, batch=256), True),
    "huge-sgd": (Problem("train", (2048, 2048, 2048, 1000), 512, batch=512, rate=0.01), True),
    "one-row-small": (Problem("predict one", (8, 32, 32, 2), 256, hidden="tanh", **REGRESSION), False),
    "one-row": (Problem("predict one", (784, 128, 10), 256), False),
    "many-rows": (Problem("predict", (784, 128, 10), 10_000), True),
}


def workloads(names: list[str], threads: list[int]) -> list[Item]:
    """Return the named workloads for each number of threads that makes sense."""
    return [
        Item("workload", name, problem, n)
        for name in names
        for problem, parallel in [WORKLOADS[name]]
        for n in threads
        if n == 1 or parallel
    ]


# ---- sweeps: one thing varies, the rest stays ----

MANY, MUCH = 1024, 2e9  # rows and operations of a pass, about; but one batch at least


def training(*widths: int, batch: int = 128, **fields: str) -> Problem:
    one = Problem("train", widths, batch, batch=batch, rate=0.01, **fields)
    batches = min(MANY, MUCH / one.flops) // batch
    return dataclasses.replace(one, rows=batch * max(1, int(batches)))


BATCHES = (1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 512, 1000, 2048, 4096, 10_000)
WIDTHS = (8, 16, 32, 64, 100, 127, 128, 129, 200, 256, 512, 1000, 1024, 2048, 4096)
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 20)
ROW_COUNTS = (1, 2, 5, 10, 30, 100, 300, 1000, 3000, 10_000)
OUTPUTS = (1, 2, 3, 4, 8, 16)
FEW_WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
PARALLEL = {"784-128-10": (784, 128, 10), "784-512-256-10": (784, 512, 256, 10), "1024 × 4": (1024,) * 4}

Points = list[tuple[float, str, Problem]]


def batch() -> Points:
    return [(m, "", training(256, 256, 256, 10, batch=m)) for m in BATCHES]


def width() -> Points:
    return [(n, "", training(n, n, n, 10)) for n in WIDTHS]


def depth() -> Points:
    return [(layers, "", training(*[128] * layers, 10)) for layers in DEPTHS]


def rows() -> Points:
    return [(m, "", Problem("predict", (784, 128, 10), m)) for m in ROW_COUNTS]


def outputs() -> Points:
    return [(n, "", training(64, 128, n, batch=32, **REGRESSION)) for n in OUTPUTS]


def activation() -> Points:
    return [(n, name, training(n, n, n, 10, hidden=name)) for name in ("relu", "tanh", "sigmoid") for n in FEW_WIDTHS]


def precision() -> Points:
    return [(n, dtype, training(n, n, n, 10, dtype=dtype)) for dtype in ("float32", "float64") for n in FEW_WIDTHS]


def threads() -> Points:
    return [(0, name, training(*widths, batch=256)) for name, widths in PARALLEL.items()]


SWEEPS: dict[str, Callable[[], Points]] = {
    sweep.__name__: sweep for sweep in (batch, width, depth, rows, outputs, activation, precision, threads)
}
ONE_THREAD = {"outputs", "activation", "precision"}


def sweep(name: str, counts: list[int], cores: int) -> list[Item]:
    """Return the points of a sweep: for each of these numbers of threads, or for one where one tells it all."""
    if name == "threads":
        counts = sorted({n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n < cores} | {cores})
    if name in ONE_THREAD:
        counts = [1]
    return [
        Item(name, f"{name} {x or n:g} {curve}".strip(), problem, n, x or n, curve)
        for n in counts
        for x, curve, problem in SWEEPS[name]()
    ]
