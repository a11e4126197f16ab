"""One process: one library with one number of threads. run.py asks in lines of JSON on standard input, this answers.

    python bench/worker.py LIBRARY THREADS CPU,CPU,...

The environment variables that limit threads are set by session.py. The library "ceiling" is the probe of the FMA peak.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import numpy as np

from problems import Problem, data, loss, outputs
from stopwatch import Stopwatch

CHECKED = 512  # rows whose outputs are compared


class Task:
    """A problem in the hands of a library. A unit of work is a pass over the rows, in one call or in a call per row."""

    def __init__(self, peer: Any, problem: Problem, threads: int) -> None:
        self.peer, self.problem = peer, problem
        self.X, self.Y, labels = data(problem)
        peer.load(problem, threads, self.X, self.Y, labels)
        self.work = getattr(self, problem.kind.replace(" ", "_"))

    def train(self, units: int) -> None:
        self.peer.train(units)

    def step(self, units: int) -> None:
        step, pairs = self.peer.step, self.peer.pairs
        for _ in range(units):
            for x, y in pairs:
                step(x, y)

    def predict(self, units: int) -> None:
        for _ in range(units):
            self.peer.predict(self.peer.X)

    def predict_one(self, units: int) -> None:
        predict, pairs = self.peer.predict_one, self.peer.pairs
        for _ in range(units):
            for x, _y in pairs:
                predict(x)

    def prepare(self) -> None:
        if self.problem.trains:
            self.peer.reset()

    def check(self) -> dict[str, float]:
        """Do one unit; training tells its loss in float64, predicting how far the outputs are from those in float64."""
        if self.problem.trains:
            self.work(1)
            return {"loss": loss(self.problem, self.peer.weights(), self.X, self.Y)}
        X = self.X[:CHECKED]
        if self.problem.single:
            got = np.array([self.peer.predict_one(x) for x, _ in self.peer.pairs[:CHECKED]])
        else:
            got = np.asarray(self.peer.predict(self.peer.X))[:CHECKED]
        return {"error": float(np.abs(got - outputs(self.problem, self.peer.start, X)).max())}

    def flops(self, units: int) -> int:
        return units * self.problem.rows * self.problem.flops


class Worker:
    """Answers to what run.py asks."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = threads
        if name == "ceiling":
            from ceilings import Ceiling

            self.peer: Any = Ceiling(threads)
        else:
            import peers

            self.peer = peers.load(name)

    def load(self, problem: dict[str, Any]) -> dict[str, Any]:
        self.stopwatch: Stopwatch | None = None  # what was there before goes first
        task = getattr(self.peer, "task", Task)(self.peer, Problem.read(problem), self.threads)
        self.stopwatch = Stopwatch(task, self.threads)
        return {"check": task.check()}

    def calibrate(self, target: float) -> dict[str, Any]:
        assert self.stopwatch
        return {"units": self.stopwatch.calibrate(target)}

    def run(self) -> dict[str, Any]:
        """Return the seconds of a repetition, and how many useful operations it had."""
        assert self.stopwatch
        return {"seconds": self.stopwatch.once(), "flops": self.stopwatch.task.flops(self.stopwatch.units)}

    def measure(self, **request: Any) -> dict[str, Any]:
        return self.peer.measure(**request)


def answer(worker: Worker, do: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request; whatever goes wrong becomes a reason."""
    try:
        return getattr(worker, do)(**request)
    except Exception as error:
        if type(error).__name__ != "Refusal":
            traceback.print_exc()
            return {"reason": f"failed: {type(error).__name__}: {error}"}
        return {"reason": str(error)}


def main() -> None:
    name, threads, cpus = sys.argv[1], int(sys.argv[2]), [int(cpu) for cpu in sys.argv[3].split(",") if cpu]
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints does not get between the answers

    def say(reply: dict[str, Any]) -> None:
        print(json.dumps(reply), file=out, flush=True)

    try:
        worker = Worker(name, threads)
        say({"versions": {"python": sys.version.split()[0], **worker.peer.versions()}})
    except Exception as error:
        say({"reason": f"{type(error).__name__}: {error}"})
        return
    for line in sys.stdin:
        request = json.loads(line)
        say(answer(worker, request.pop("do"), request))
    out.flush()
    os._exit(0)  # some libraries take seconds to leave, or crash in it


if __name__ == "__main__":
    main()
