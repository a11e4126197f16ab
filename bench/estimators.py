"""How long do cbp's estimators take, and scikit-learn's own? The same parameters, data, epochs; both in one run.

Fits of handwritten digits and of 20,000 rows with 100 columns, predictions of one row and of 10,000. The two take
turns; each fit has another seed. CPU time on one core, or wall time on more.

examples:
    python bench/estimators.py                              two minutes
    python bench/estimators.py -i digits-adam,one-row -r 3
    python bench/estimators.py -o bench/results/estimators --publish
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before they are loaded
    wanted = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    wanted.add_argument("-t", "--threads", default="1")
    count = wanted.parse_known_args()[0].threads
    os.environ |= {f"{library}_NUM_THREADS": count for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "CBP")}

import numpy as np

import publish
import races
import report
from run import names_of, write
from stopwatch import Stopwatch, clock

FORMAT = 1
RESULTS = publish.RESULTS / "estimators"
PAGE = publish.ROOT / "docs" / "bridges" / "sklearn.md"
LIBRARIES = {"cbp": "cbp", "sklearn": "scikit-learn"}
VERSIONS = {"cbp": "cbpnet", "NumPy": "numpy", "SciPy": "scipy", "scikit-learn": "scikit-learn"}
TARGET = 0.2  # seconds of predictions in a round


@dataclasses.dataclass(frozen=True)
class Item:
    """What is measured: a fit, or predictions after it."""

    title: str
    data: Callable[[], tuple[Any, ...]]  # rows to train on, rows to judge by
    kind: str  # classifier or regressor
    solver: str
    epochs: int
    dtype: str = "float64"
    rows: int = 0  # of a prediction; 0 where the fit is what counts


def digits() -> tuple[Any, ...]:
    """Return 1,347 handwritten digits to learn from, and 450 to judge by."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, random_state=0, stratify=y)


def tabular() -> tuple[Any, ...]:
    """Return 20,000 rows of 100 numbers, of which ten make the target, and 10,000 more to judge by."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 100))
    y = np.sin(X[:, 0] * 2) + X[:, 1] * X[:, 2] + X[:, 3:10].sum(axis=1) / 3 + 0.1 * rng.normal(size=30_000)
    return X[:20_000], X[20_000:], y[:20_000], y[20_000:]


ITEMS = {
    "digits-sgd": Item("fit of 1,347 digits, sgd", digits, "classifier", "sgd", 20),
    "digits-adam": Item("fit of 1,347 digits, adam", digits, "classifier", "adam", 20),
    "digits-adam-32": Item("the same in float32", digits, "classifier", "adam", 20, "float32"),
    "rows-sgd": Item("fit of 20,000 × 100 rows, sgd", tabular, "regressor", "sgd", 5),
    "rows-adam": Item("fit of 20,000 × 100 rows, adam", tabular, "regressor", "adam", 5),
    "rows-adam-32": Item("the same in float32", tabular, "regressor", "adam", 5, "float32"),
    "one-digit": Item("predict one digit", digits, "classifier", "adam", 5, rows=1),
    "one-row": Item("predict one row of 100", tabular, "regressor", "adam", 2, rows=1),
    "many-rows": Item("predict 10,000 rows of 100", tabular, "regressor", "adam", 2, rows=10_000),
    "many-rows-32": Item("the same in float32", tabular, "regressor", "adam", 2, "float32", rows=10_000),
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-i", "--items", type=names_of(ITEMS), default=list(ITEMS), metavar="NAMES", help="only these, by commas")
    add("-r", "--rounds", type=int, default=7, help="how many rounds, of which the median counts (default: 7)")
    add("-t", "--threads", type=int, default=1, help="threads of cbp, and of NumPy's products (default: 1)")
    add("-o", "--output", type=Path, metavar="PATH", help="JSON to write: a file, or a folder for DATE-MACHINE.json")
    text = "write the table of this run, or of a report, into the documentation"
    add("--publish", nargs="?", const="", metavar="REPORT", help=text)
    add("-l", "--list", action="store_true", help="list what there is to measure")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.threads < 1:
        parser.error("at least one round and one thread")
    return args


# ---- measuring ----


def estimator(library: str, item: Item, seed: int) -> Any:
    """Return an estimator that makes exactly the epochs of the item."""
    if library == "cbp":
        from cbp import sklearn as estimators

        cls = {"classifier": estimators.CBPClassifier, "regressor": estimators.CBPRegressor}[item.kind]
    else:
        from sklearn import neural_network as estimators

        cls = {"classifier": estimators.MLPClassifier, "regressor": estimators.MLPRegressor}[item.kind]
    rate = 0.1 if item.solver == "sgd" and item.kind == "classifier" else 0.01 if item.solver == "sgd" else 0.001
    return cls(
        solver=item.solver, max_iter=item.epochs, learning_rate_init=rate, n_iter_no_change=np.inf, random_state=seed
    )


def fitted(library: str, item: Item, data: tuple[Any, ...], seed: int, now: Callable[[], float]) -> tuple[Any, float]:
    """Return a fitted estimator, and the seconds that took."""
    model = estimator(library, item, seed)
    gc.collect()
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs are used up
        begin = now()
        model.fit(data[0], data[2])
        seconds = now() - begin
    gc.enable()
    return model, seconds


class Predicting:
    """Predictions of so many rows, other ones each time: a task of a stopwatch."""

    def __init__(self, model: Any, X: Any, rows: int) -> None:
        self.predict = model.predict
        self.parts = [X[start : start + rows] for start in range(0, min(len(X), 100 * rows) - rows + 1, rows)]

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    def work(self, units: int) -> None:
        predict, parts = self.predict, self.parts
        for unit in range(units):
            predict(parts[unit % len(parts)])


def measure(item: Item, rounds: int, threads: int) -> dict[str, Any]:
    """Return seconds, scores and epochs of both libraries, a list over the rounds each."""
    X, X_test, y, y_test = item.data()
    data = (X.astype(item.dtype), X_test.astype(item.dtype), y, y_test)
    found: dict[str, Any] = {name: {"seconds": [], "score": [], "epochs": []} for name in LIBRARIES}
    now = clock(threads)
    for name in LIBRARIES:
        fitted(name, item, data, 99, now)  # which is not counted
    models = {}
    for turn in range(1 if item.rows else rounds):
        for name in list(LIBRARIES)[:: 1 if turn % 2 else -1]:
            models[name], seconds = fitted(name, item, data, turn, now)
            found[name]["seconds"].append(seconds)
            found[name]["score"].append(float(models[name].score(data[1], y_test)))
            found[name]["epochs"].append(int(models[name].n_iter_))
    if item.rows:
        watches = {name: Stopwatch(Predicting(model, data[1], item.rows), threads) for name, model in models.items()}
        for name, watch in watches.items():
            found[name]["seconds"] = []
            watch.calibrate(TARGET)
        for turn in range(rounds):
            for name in list(LIBRARIES)[:: 1 if turn % 2 else -1]:
                found[name]["seconds"].append(watches[name].once() / watches[name].units)
    return found


def new_document(args: argparse.Namespace) -> dict[str, Any]:
    settings = {"rounds": args.rounds, "threads": args.threads}
    return {**races.head(FORMAT, settings), "versions": races.installed(VERSIONS.items()), "results": []}


# ---- tables ----


def table(results: list[dict[str, Any]]) -> report.Table:
    """A row for each item: time of both, how many times scikit-learn's is cbp's, epochs, and what both have learned."""
    rows = [["", "cbp", "scikit-learn", "ratio", "epochs", "score, cbp", "score, scikit-learn"]]
    for result in results:
        own, other = (statistics.median(result[name]["seconds"]) for name in LIBRARIES)
        scores = [f"{statistics.median(result[name]['score']):.3f}" for name in LIBRARIES]
        epochs = sorted({epoch for name in LIBRARIES for epoch in result[name]["epochs"]})
        title = ITEMS[result["item"]].title
        row = [title, report.duration(own), report.duration(other), report.times(other / own)]
        rows.append([*row, " or ".join(map(str, epochs)), *scores])
    return rows


def about(document: dict[str, Any]) -> str:
    """Say which machine and versions, and when."""
    settings = document["settings"]
    clocked = "One core, CPU time" if settings["threads"] == 1 else f"{settings['threads']} threads, wall time"
    return races.about(document, f"{clocked}; medians of {settings['rounds']} rounds")


# ---- the documentation ----


def newest() -> Path:
    """Return the report that the page shows."""
    return max(RESULTS.glob("*.json"))


def fill(text: str, document: dict[str, Any]) -> str:
    """Return the page with the table of a report between its marks, `machine` and `estimators`."""
    made = {"machine": about(document), "estimators": report.as_markdown(table(document["results"]))}
    return races.filled(text, made)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    if args.list:
        for name, item in ITEMS.items():
            print(f"{name:15} {item.title}")
        return
    if args.publish:
        document = json.loads(Path(args.publish).read_text(encoding="utf-8"))
    else:
        document = new_document(args)
        for name in args.items:
            document["results"].append({"item": name, **measure(ITEMS[name], args.rounds, args.threads)})
            print(f"{name}: done", file=sys.stderr)
        write(document, args.output)
    print(f"{report.as_markdown(table(document['results']))}\n\n{about(document)}")
    if args.publish is not None:
        PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")


if __name__ == "__main__":
    main()
