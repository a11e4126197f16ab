"""How does predicting scale with threads, while nobody trains and while one thread trains and swaps the network?

Threads of Python predict with one network, each rows of its own, for a while; cbp's own pool is left out (one thread).
The table has predictions a second of all threads together, the best of the rounds; how many times those of one thread
without training that is; and the processor time of a prediction, the least of the rounds, which tells what threads
cost each other even where other programs take the processors away. Where the interpreter has a global lock, small
predictions hold it: to let go of it would take as long. An interpreter without one runs everything side by side.

examples:
    python bench/serving.py                                 half a minute
    python bench/serving.py -t 1,2,4,8 -m 1,256 -r 9
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable

os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "CBP")}

import numpy as np

import cbp

LAYERS = [16, 32, 4]
TRAINED_ON = 2_000


class Served:
    """A network that one thread may train, and what the others have of it."""

    def __init__(self) -> None:
        self.net = cbp.Network(LAYERS, activation="tanh", output="identity", seed=0)
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(TRAINED_ON, LAYERS[0])).astype(np.float32)
        self.y = rng.normal(size=(TRAINED_ON, LAYERS[-1])).astype(np.float32)
        self.current = self.publish()

    def publish(self) -> cbp.Network:
        """Return what readers may have: a network that nobody trains."""
        return self.net.snapshot()

    def train(self, done: threading.Event) -> None:
        """Train, and swap after every epoch."""
        while not done.is_set():
            self.net.fit(self.X, self.y, epochs=1, progress=False)
            self.current = self.publish()

    def predict(self, rows: int, done: threading.Event) -> tuple[int, float]:
        """Predict some rows, or one as a vector, with the current network; return how often, and this thread's time."""
        X = self.X[0].copy() if rows == 1 else self.X[:rows].copy()
        out = self.current.predict(X)
        count, began = 0, time.thread_time()
        while not done.is_set():
            self.current.predict(X, out=out)
            count += 1
        return count, time.thread_time() - began


def measured(threads: int, rows: int, training: bool, seconds: float) -> tuple[float, float]:
    """Return predictions a second of so many threads together, and of processor time."""
    served, done, counts = Served(), threading.Event(), [(0, 0.0)] * threads
    start = threading.Barrier(threads + training + 1)

    def begin(work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=lambda: (start.wait(), work()))
        thread.start()
        return thread

    def count(number: int) -> None:
        counts[number] = served.predict(rows, done)

    team = [begin(lambda number=number: count(number)) for number in range(threads)]
    team += [begin(lambda: served.train(done))] if training else []
    start.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    done.set()
    for thread in team:
        thread.join()
    elapsed, total = time.perf_counter() - began, sum(count for count, _ in counts)
    return total / elapsed, total / sum(used for _, used in counts)


def numbers(text: str) -> list[int]:
    """Read "1,2,4"."""
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = [1 << i for i in range(processors.bit_length())]
    parser.add_argument("-t", "--threads", type=numbers, default=counts, help="how many predict: 1,2,4")
    parser.add_argument("-m", "--rows", type=numbers, default=[1, 16, 1000], help="rows of a prediction: 1,16,1000")
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("-s", "--seconds", type=float, default=0.2, help="of every measurement")
    return parser.parse_args()


def main() -> None:
    """Measure in rounds, every case once in each, and print a table."""
    wanted = arguments()
    cases = [(m, training, t) for m in wanted.rows for training in (False, True) for t in wanted.threads]
    best = dict.fromkeys(cases, (0.0, 0.0))
    for _ in range(wanted.rounds):
        for m, training, t in cases:
            found = measured(t, m, training, wanted.seconds)
            best[m, training, t] = max(best[m, training, t][0], found[0]), max(best[m, training, t][1], found[1])
    lock = "with" if getattr(sys, "_is_gil_enabled", lambda: True)() else "without"
    shape = "-".join(map(str, LAYERS))
    print(f"Python {sys.version.split()[0]} {lock} a global lock, {os.cpu_count()} processors, {shape}")
    print(f"{'rows':>6} {'training':>9} {'threads':>8} {'predictions/s':>14} {'ratio':>6} {'processor, us':>14}")
    for (m, training, t), (rate, of_processor) in best.items():
        ratio = rate / best[m, False, wanted.threads[0]][0]
        print(f"{m:6} {'yes' if training else 'no':>9} {t:8} {rate:14,.0f} {ratio:6.2f} {1e6 / of_processor:14.2f}")


if __name__ == "__main__":
    main()
