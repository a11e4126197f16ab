"""Times a task: an object with `prepare()`, not timed, and `work(units)`."""

from __future__ import annotations

import gc
import math
import time
from typing import Any

FINE = 1e-5  # seconds: a clock of CPU time that ticks more coarsely is of no use
LONG = 0.03  # seconds: a unit of work that needs no warming up


def clock(threads: int) -> Any:
    """Return the CPU time of this process for one thread, wall time for more."""
    cpu = time.get_clock_info("process_time").resolution <= FINE
    return time.process_time if threads == 1 and cpu else time.perf_counter


class Stopwatch:
    """First finds how many units fill the time asked for, then times repetitions of that many."""

    def __init__(self, task: Any, threads: int) -> None:
        self.task, self.clock, self.units = task, clock(threads), 1
        self.seconds = 0.0  # that one unit takes, about

    def calibrate(self, target: float) -> int:
        seconds = self.once()
        while seconds < target / 2:
            self.units = math.ceil(self.units * min(16, target / max(seconds, 1e-9)))
            seconds = self.once()
        self.seconds = seconds / self.units
        return self.units

    def once(self) -> float:
        """Return how long a repetition took."""
        if self.seconds < LONG:
            self.task.work(max(1, self.units // 16))  # caches and the core's clock are as in the middle of a long run
        self.task.prepare()
        gc.collect()
        gc.disable()
        begin = self.clock()
        self.task.work(self.units)
        seconds = self.clock() - begin
        gc.enable()
        return seconds
