"""`cbp bench`: how fast this machine is with cbp, and with what else is installed. A first impression, in a minute.

Every contender trains the same network on the same rows with the same optimiser, by the calls that its users write.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp.cli._options import JSON, QUIET, THREADS, Command, count, option
from cbp.cli._reply import Reply
from cbp.cli._words import count_of, table_of

MORE = """\
Networks of relu units with a softmax output in float32, trained by Adam on random rows. Times are medians. Each
library uses as many threads as it likes, or --threads. It is indicative: other work on the machine, sizes and versions
change it. The repository's benchmarks look more closely.

examples:
  cbp bench
  cbp bench --threads 1 --only cbp,sklearn
"""

RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Size:
    """A network and the rows it is trained on."""

    name: str
    widths: tuple[int, ...]
    rows: int
    batch: int


SIZES = (
    Size("small", (4, 16, 3), 150, 16),
    Size("medium", (64, 128, 10), 1800, 32),
    Size("large", (256, 512, 256, 10), 4000, 128),
)


@dataclass
class Contender:
    """What can be timed: one pass over the rows, and an answer for one row."""

    epoch: Callable[[], object]
    one_row: Callable[[], object]


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Time what is installed; returns the exit status."""
    if options.threads:
        cbp.set_num_threads(options.threads)
    names = [name for name in MAKERS if importlib.util.find_spec(name) is not None]
    if options.only:
        names = _chosen(options.only.split(","), names)
    versions = {name: _version(name) for name in names}
    reply.facts |= {"machine": _machine(), "versions": versions, "threads": cbp.get_num_threads(), "sizes": []}
    reply.say(f"{_machine()}, cbp with {count_of(cbp.get_num_threads(), 'thread')}; {_listed(versions)}")
    with _limited(options.threads):
        for size in SIZES:
            X, y = _samples(size)
            found = dict(_timed(size, X, y, names, options))
            reply.facts["sizes"].append({"size": size.name, "widths": size.widths, "rows": size.rows, "seconds": found})
            reply.say(_table(size, found))
    reply.say("\nIndicative only: medians of a few runs on this machine as it was just now.")
    return 0


def _limited(threads: int | None) -> contextlib.AbstractContextManager[Any]:
    """Let the others have as many threads too, as far as threadpoolctl, if it is installed, knows them."""
    if threads is None or importlib.util.find_spec("threadpoolctl") is None:
        return contextlib.nullcontext()
    import threadpoolctl

    limits: contextlib.AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads)
    return limits


def _chosen(wanted: list[str], names: list[str]) -> list[str]:
    for name in wanted:
        if name not in MAKERS:
            raise ValueError(f"--only: there is no {name!r}; there are: {', '.join(MAKERS)}")
        if name not in names:
            raise ValueError(f"--only: {name} is not installed")
    return [name for name in names if name in wanted]


def _machine() -> str:
    return f"{platform.machine()} with {cbp.isa()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def _version(name: str) -> str:
    from importlib import metadata

    return cbp.__version__ if name == "cbp" else metadata.version("scikit-learn" if name == "sklearn" else name)


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{TITLES[name]} {version}" for name, version in versions.items())


def _samples(size: Size) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(0)
    X = random.standard_normal((size.rows, size.widths[0])).astype(np.float32)
    return X, random.integers(0, size.widths[-1], size.rows)


def _timed(size: Size, X: Any, y: Any, names: list[str], options: Any) -> Iterator[tuple[str, dict[str, float]]]:
    for name in names:
        contender = MAKERS[name](size, X, y, options.threads)
        yield (
            name,
            {
                "epoch": median(contender.epoch, options.repeats, options.seconds),
                "one_row": median(contender.one_row, 20 * options.repeats, options.seconds),
            },
        )


def median(call: Callable[[], object], repeats: int, seconds: float) -> float:
    """The median time of a call, after one that is not counted; fewer calls where the time runs out."""
    call()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < repeats and (not times or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _table(size: Size, found: dict[str, dict[str, float]]) -> str:
    widths = "-".join(map(str, size.widths))
    rows = [["", "epoch", "", "one row", ""]]
    best = found.get("cbp")
    for name, times in found.items():
        row = [f"  {TITLES[name]}"]
        for key in ("epoch", "one_row"):
            ratio = "" if best is None or name == "cbp" else f"{times[key] / best[key]:.1f} x"
            row += [_shown(times[key]), ratio]
        rows.append(row)
    return f"\n{widths}, {size.rows:,} rows, batches of {size.batch}\n{table_of(rows)}"


def _shown(seconds: float) -> str:
    """A time in three figures.

    >>> _shown(0.0123), _shown(4.567e-6)
    ('12.3 ms', '4.57 us')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError


# ---- contenders ----


def _cbp(size: Size, X: Any, y: Any, threads: int | None) -> Contender:
    net = cbp.Network(list(size.widths), activation="relu", output="softmax", seed=0)
    return Contender(
        lambda: net.partial_fit(X, y, batch_size=size.batch, optimizer=net.optimizer or "adam"),
        lambda: net.predict(X[0]),
    )


def _numpy(size: Size, X: Any, y: Any, threads: int | None) -> Contender:
    net = NumPyNetwork(size.widths, seed=0)
    return Contender(lambda: net.epoch(X, y, size.batch), lambda: net.outputs(X[:1])[-1])


class NumPyNetwork:
    """The plain loop over the equations, as one writes it with NumPy: relu, softmax, cross-entropy, Adam."""

    def __init__(self, widths: tuple[int, ...], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.theta = []
        for n_in, n_out in pairwise(widths):
            limit = np.sqrt(6 / n_in)
            self.theta.append(self.random.uniform(-limit, limit, (n_in, n_out)).astype(np.float32))
            self.theta.append(np.zeros(n_out, np.float32))
        self.m = [np.zeros_like(theta) for theta in self.theta]
        self.v = [np.zeros_like(theta) for theta in self.theta]
        self.t = 0

    def outputs(self, X: NDArray[Any]) -> list[NDArray[Any]]:
        """The activations of all layers, X first."""
        A = [X]
        for W, b in zip(self.theta[0::2], self.theta[1::2], strict=True):
            A.append(np.maximum(A[-1] @ W + b, 0))
        z = A[-2] @ self.theta[-2] + self.theta[-1]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        A[-1] = e / e.sum(axis=1, keepdims=True)
        return A

    def gradient(self, X: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
        """The gradient of the mean cross-entropy by W and b of every layer."""
        A = self.outputs(X)
        delta = A[-1].copy()
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        grad: list[NDArray[Any]] = []
        for l in range(len(A) - 2, -1, -1):
            grad = [A[l].T @ delta, delta.sum(axis=0), *grad]
            if l:
                delta = (delta @ self.theta[2 * l].T) * (A[l] > 0)
        return grad

    def epoch(self, X: NDArray[Any], y: NDArray[Any], batch: int) -> None:
        """One pass over the rows in a random order."""
        order = self.random.permutation(len(X))
        for start in range(0, len(X), batch):
            rows = order[start : start + batch]
            self.update(self.gradient(X[rows], y[rows]))

    def update(self, grad: list[NDArray[Any]]) -> None:
        """One step of Adam."""
        self.t += 1
        rate, root = RATE / (1 - BETA1**self.t), (1 - BETA2**self.t) ** 0.5
        for theta, g, m, v in zip(self.theta, grad, self.m, self.v, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            theta -= rate * m / (np.sqrt(v) / root + EPS)


def _sklearn(size: Size, X: Any, y: Any, threads: int | None) -> Contender:
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(size.widths[1:-1], batch_size=size.batch, random_state=0, alpha=0.0)
    classes = np.arange(size.widths[-1])
    return Contender(lambda: net.partial_fit(X, y, classes=classes), lambda: net.predict_proba(X[:1]))


def _torch(size: Size, X: Any, y: Any, threads: int | None) -> Contender:
    import torch

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers: list[Any] = []
    for n_in, n_out in pairwise(size.widths):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimizer, cost = torch.optim.Adam(net.parameters(), lr=RATE), torch.nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(X), torch.from_numpy(y)

    def epoch() -> None:
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), size.batch):
            rows = order[start : start + size.batch]
            optimizer.zero_grad()
            cost(net(inputs[rows]), labels[rows]).backward()
            optimizer.step()

    def one_row() -> Any:
        with torch.inference_mode():
            return torch.softmax(net(inputs[:1]), dim=1).numpy()

    return Contender(epoch, one_row)


MAKERS = {"cbp": _cbp, "numpy": _numpy, "sklearn": _sklearn, "torch": _torch}
TITLES = {"cbp": "cbp", "numpy": "NumPy", "sklearn": "scikit-learn", "torch": "PyTorch"}

# fmt: off
GROUPS = {
    "": [
        option("--only", metavar="NAME,..", help=f"of {', '.join(MAKERS)} (default: all that are installed)"),
        option("--repeats", type=count, default=5, metavar="N", help="times an epoch is run, at most (default: 5)"),
        option("--seconds", type=float, default=2.0, metavar="S", help="time for each figure, about (default: 2)"),
        THREADS, JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "time this machine: cbp, and what else is installed", GROUPS, MORE)
