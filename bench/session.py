"""Workers that take turns: one process for each library, one repetition each, round after round."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ceilings import VARIABLE
from machine import cores
from peers.numpy_loop import NumPy
from problems import Problem, data, loss, start
from workloads import Item

HERE = Path(__file__).parent
LIMITS = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "CBP")
CHOOSE_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE")
GAP = 0.01  # seconds before a repetition
LONG_GAP = 0.05  # with several threads: those of the library before may spin for 30 ms before they sleep
LOSS_TOLERANCE = 0.001  # of what the first pass gains or loses
OUTPUT_TOLERANCE = 1e-4


def environment(threads: int, peak: Path | None) -> dict[str, str]:
    """Return the environment of a worker: each library is told its number of threads, and left its own kernels."""
    env = {name: value for name, value in os.environ.items() if name not in CHOOSE_KERNELS}
    env |= {f"{name}_NUM_THREADS": str(threads) for name in LIMITS}
    env |= {"VECLIB_MAXIMUM_THREADS": str(threads), "NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if peak is not None:
        env[VARIABLE] = str(peak)
    return env


class Worker:
    """The asking end of worker.py."""

    def __init__(self, name: str, threads: int, python: str, peak: Path | None = None, verbose: bool = False) -> None:
        cpus = ",".join(str(cpu) for cpu in cores()[-threads:])
        self.name = name
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), name, str(threads), cpus],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
            env=environment(threads, peak),
        )
        self.greeted: dict[str, Any] | None = None

    def greeting(self) -> dict[str, Any]:
        """Return the versions of what it has imported, or the reason why it cannot work."""
        if self.greeted is None:
            self.greeted = self.listen()
        return self.greeted

    def listen(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"reason": f"failed: the process ended ({self.process.wait()})"}

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
        except OSError:
            return {"reason": "failed: the process had ended"}
        return self.listen()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


@dataclasses.dataclass
class Settings:
    """How much time is spent: rounds, and seconds of one repetition."""

    rounds: int
    seconds: float


class Session:
    """All libraries with one number of threads."""

    def __init__(
        self, names: list[str], threads: int, pythons: dict[str, str], peak: Path | None, verbose: bool
    ) -> None:
        self.make = lambda name: Worker(name, threads, pythons.get(name, sys.executable), peak, verbose)
        self.workers = {name: self.make(name) for name in ([*names, "ceiling"] if peak else names)}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def greetings(self) -> dict[str, dict[str, Any]]:
        return {name: worker.greeting() for name, worker in self.workers.items() if name != "ceiling"}

    def ceilings(self, seconds: float) -> dict[str, float]:
        """Measure peak and bandwidth in repetitions of so many seconds, if there is a compiler."""
        if "ceiling" not in self.workers:
            return {}
        self.workers["ceiling"].greeting()
        return self.workers["ceiling"].ask("measure", seconds=seconds)

    def measure(self, item: Item, names: list[str], settings: Settings) -> dict[str, Any]:
        """Measure one item with these libraries; return what the report keeps of it."""
        fields = dataclasses.asdict(item.problem)
        if "ceiling" in self.workers:
            names = [*names, "ceiling"]
        found = {name: self.load(name, fields) for name in names}
        reference = self.compare(found, item.problem)
        for name in fit(found):
            found[name] |= {**self.workers[name].ask("calibrate", target=settings.seconds), "seconds": []}
        for name in turns(fit(found), settings.rounds):
            time.sleep(GAP if item.threads == 1 else LONG_GAP)
            reply = self.workers[name].ask("run")
            if "reason" in reply:
                found[name] = reply
            elif "seconds" in found[name]:
                for_one = item.problem.flops if name != "ceiling" else 1  # a row, or an operation
                found[name]["seconds"].append(float(f"{reply['seconds'] / reply['flops'] * for_one:.5g}"))
        peak = found.pop("ceiling", {}).get("seconds", [])
        return {
            **{name: value for name, value in vars(item).items() if name != "problem"},
            "problem": fields,
            "flops": item.problem.flops,
            "reference": reference,
            "peak": [round(1e-9 / seconds, 2) for seconds in peak],
            "libraries": found,
        }

    @staticmethod
    def compare(found: dict[str, dict[str, Any]], problem: Problem) -> dict[str, float | None]:
        """Note which libraries did the work that was asked for; return what that comes to."""
        checks = [found[name]["check"] for name in fit(found) if name != "ceiling"]
        for check in checks:
            check["agrees"] = reference_of(problem).agrees(check)
        return vars(reference_of(problem)) if checks else {}

    def load(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Give a problem to a worker, a new one if the last problem was too much for the old."""
        worker = self.workers[name]
        if "reason" in worker.greeting():
            return worker.greeting()
        if not worker.alive:
            worker.close()
            worker = self.workers[name] = self.make(name)
            worker.greeting()
        return worker.ask("load", problem=fields)


def fit(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of those that have not given up."""
    return [name for name, about in found.items() if "reason" not in about]


def turns(names: list[str], rounds: int) -> Iterator[str]:
    """Yield every name once a round, beginning with another one each time."""
    for i in range(rounds):
        first = i % max(1, len(names))
        yield from names[first:] + names[:first]


@functools.lru_cache
def reference_of(problem: Problem) -> Reference:
    """Return the reference of a problem; the same one for every number of threads."""
    return Reference(problem)


class Reference:
    """What the first pass must come to: the same pass in float64, made here."""

    def __init__(self, problem: Problem) -> None:
        self.start: float | None = None
        self.loss: float | None = None
        if problem.trains:
            X, Y, labels = data(problem)
            plain = NumPy()
            plain.load(dataclasses.replace(problem, dtype="float64"), 1, np.float64(X), np.float64(Y), labels)
            plain.start = [(np.float64(W), np.float64(b)) for W, b in start(problem)]  # rounded as the others'
            plain.reset()
            self.start = loss(problem, plain.weights(), X, Y)
            plain.train(1)
            self.loss = loss(problem, plain.weights(), X, Y)

    def agrees(self, check: dict[str, float]) -> bool:
        """Whether a loss is that of the reference, by a small part of what the pass gained; or whether outputs are."""
        if self.loss is None or self.start is None:
            return check["error"] <= OUTPUT_TOLERANCE
        return abs(check["loss"] - self.loss) <= LOSS_TOLERANCE * abs(self.start - self.loss)
