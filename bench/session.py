"""Workers that take turns: one process for each library, one repetition each, round after round."""

from __future__ import annotations

import dataclasses
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
GAP = 0.02  # seconds before a repetition, in which the threads of the one before fall asleep
LOSS_TOLERANCE = 0.02  # of what the first pass gains or loses
OUTPUT_TOLERANCE = 1e-4


def environment(threads: int, peak: Path | None) -> dict[str, str]:
    """Return the environment of a worker: every library is told how many threads it may use, and left its own kernels."""
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

    def __init__(self, names: list[str], threads: int, pythons: dict[str, str], peak: Path | None, verbose: bool) -> None:
        self.threads, self.make = threads, lambda name: Worker(name, threads, pythons.get(name, sys.executable), peak, verbose)
        self.workers = {name: self.make(name) for name in ([*names, "ceiling"] if peak else names)}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def greetings(self) -> dict[str, dict[str, Any]]:
        return {name: worker.greeting() for name, worker in self.workers.items() if name != "ceiling"}

    def ceilings(self) -> dict[str, float]:
        """Measure peak and bandwidth, if there is a compiler."""
        if "ceiling" not in self.workers:
            return {}
        self.workers["ceiling"].greeting()
        return self.workers["ceiling"].ask("measure")

    def measure(self, item: Item, names: list[str], settings: Settings) -> dict[str, Any]:
        """Measure one item with these libraries; return what the report keeps of it."""
        fields = dataclasses.asdict(item.problem)
        reference, found = None, {}
        for name in [*names, *(["ceiling"] if "ceiling" in self.workers else [])]:
            found[name] = self.load(name, fields)
            if "check" in found[name] and name != "ceiling":
                reference = reference or Reference(item.problem)
                found[name]["check"]["agrees"] = reference.agrees(found[name]["check"])
        ready = [name for name in found if "reason" not in found[name]]
        for name in ready:
            found[name] |= self.workers[name].ask("calibrate", target=settings.seconds)
            found[name]["seconds"] = []
        for name in turns(ready, settings.rounds):
            time.sleep(GAP)
            reply = self.workers[name].ask("run")
            if "reason" in reply:
                found[name] = reply
            elif "seconds" in found[name]:
                scale = 1 if name == "ceiling" else item.problem.flops
                found[name]["seconds"].append(float(f"{reply['seconds'] / reply['flops'] * scale:.5g}"))
        peak = found.pop("ceiling", {}).get("seconds", [])
        return {
            **{field.name: getattr(item, field.name) for field in dataclasses.fields(item) if field.name != "problem"},
            "problem": fields,
            "flops": item.problem.flops,
            "reference": vars(reference) if reference else {},
            "peak": [round(1e-9 / seconds, 2) for seconds in peak],
            "libraries": found,
        }

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


def turns(names: list[str], rounds: int) -> Iterator[str]:
    """Yield every name once a round, beginning with another one each time."""
    for i in range(rounds):
        first = i % max(1, len(names))
        yield from names[first:] + names[:first]


class Reference:
    """What the first pass must come to: the same pass in float64, made here."""

    def __init__(self, problem: Problem) -> None:
        self.start: float | None = None
        self.loss: float | None = None
        if problem.trains:
            exact = dataclasses.replace(problem, kind="train", dtype="float64", batch=problem.batch)
            X, Y, labels = data(exact)
            X, Y = data(problem)[0].astype("float64"), Y
            plain = NumPy()
            plain.load(exact, 1, X, Y, labels)
            plain.start = [(np.float64(W), np.float64(b)) for W, b in start(problem)]
            plain.reset()
            self.start = loss(problem, plain.weights(), X, Y)
            plain.train(1)
            self.loss = loss(problem, plain.weights(), X, Y)

    def agrees(self, check: dict[str, float]) -> bool:
        """Whether a library's loss is the reference's, by a small part of the way from the start; or its outputs are."""
        if self.loss is None or self.start is None:
            return check["error"] <= OUTPUT_TOLERANCE
        return abs(check["loss"] - self.loss) <= LOSS_TOLERANCE * abs(self.start - self.loss)
