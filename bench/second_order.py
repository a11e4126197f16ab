"""Race the full-batch methods to given losses: cbp's, and others that happen to be installed.

Everybody begins at the same weights. CPU time on one core; the methods take turns, start after start.

examples:
    python bench/second_order.py                            all tasks: half an hour, most of it the large one
    python bench/second_order.py -t diabetes -w lm,br,numpy-lm -n 3
    python bench/second_order.py -o bench/results/second_order --publish
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before they are loaded
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "BLIS")}

import publish
import races
import report
from descents import TASKS, WAYS, Refusal, Task, prepare
from run import names_of, write
from stopwatch import clock

FORMAT = 1
RESULTS = publish.RESULTS / "second_order"
PAGE = publish.ROOT / "docs" / "guide" / "which_method.md"
WARM = 99  # the seed of a start that is not counted
LIBRARIES = {"cbp": "cbpnet", "NumPy": "numpy", "SciPy": "scipy", "PyTorch": "torch", "scikit-learn": "scikit-learn"}
REFERENCES = {"numpy-lm": "/ LM", "scipy-lbfgs": "/ L-BFGS-B"}  # to divide by: NumPy's, and SciPy's


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-t", "--tasks", type=names_of(TASKS), default=list(TASKS), metavar="NAMES", help="only these, by commas")
    add("-w", "--ways", type=names_of(WAYS), default=list(WAYS), metavar="NAMES", help="only these, by commas")
    add("-n", "--starts", type=int, default=7, help="how many start weights (default: 7)")
    add("-r", "--rounds", type=int, default=3, help="times from each start, of which the middle counts (default: 3)")
    add("-o", "--output", type=Path, metavar="PATH", help="JSON to write: a file, or a folder for DATE-MACHINE.json")
    text = "write the tables of this run, or of a report, into the documentation"
    add("--publish", nargs="?", const="", metavar="REPORT", help=text)
    add("-l", "--list", action="store_true", help="list tasks and methods")
    args = parser.parse_args(argv)
    if args.starts < 1 or args.rounds < 1:
        parser.error("at least one start and one round")
    return args


# ---- measuring ----


def race(task: Task, ways: list[str], starts: int, rounds: int) -> list[dict[str, Any]]:
    """Return a result for each way: seconds, steps and J at the end, for each goal a list over the starts."""
    results = {way: {"way": way, "runs": [[] for _ in task.goals]} for way in ways}
    for way in ways:
        with refusals(results[way]):
            for goal in task.goals:
                timed(way, task, WARM, goal)
    for seed in range(starts):
        taken: dict[tuple[str, int], list[Any]] = {}
        for turn in range(rounds):
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                for g, goal in enumerate(task.goals):
                    if "reason" not in results[way]:
                        with refusals(results[way]):
                            taken.setdefault((way, g), []).append(timed(way, task, seed, goal))
        for (way, g), runs in taken.items():
            seconds, steps, end = sorted(runs)[len(runs) // 2]
            results[way]["runs"][g].append({"seconds": seconds, "steps": steps, "end": end})
    return list(results.values())


@contextlib.contextmanager
def refusals(result: dict[str, Any]) -> Iterator[None]:
    """Note why a way cannot go to this task at all."""
    try:
        yield
    except (Refusal, ImportError) as reason:
        result["reason"] = str(reason)


def timed(way: str, task: Task, seed: int, goal: float) -> tuple[float, int, float]:
    """Return CPU seconds, steps, and J at the end."""
    now = clock(1)
    run = prepare(way, task, task.start(seed), goal)
    gc.collect()
    gc.disable()
    begin = now()
    steps, end = run()
    seconds = now() - begin
    gc.enable()
    return seconds, int(steps), float(end)


def new_document(args: argparse.Namespace) -> dict[str, Any]:
    settings = {"starts": args.starts, "rounds": args.rounds}
    return {**races.head(FORMAT, settings), "versions": races.installed(LIBRARIES.items()), "results": []}


# ---- tables ----


def arrived(result: dict[str, Any], g: int, goal: float) -> list[dict[str, Any]]:
    return [run for run in result["runs"][g] if run["end"] <= goal]


def middle(result: dict[str, Any], g: int, goal: float, what: str) -> float | None:
    """Return the median over the starts that arrived, or None."""
    found = arrived(result, g, goal)
    return statistics.median(run[what] for run in found) if found else None


def table(raced: dict[str, Any]) -> report.Table:
    """A row for each way that could go: for each goal time, steps, and the time over that of the references."""
    results = {result["way"]: result for result in raced["ways"] if "reason" not in result}
    goals = list(zip(raced["goals"], raced["shown"], strict=True))
    against = [name for name in REFERENCES if name in results]
    head = [column for _, shown in goals for column in (shown, "steps", *(REFERENCES[name] for name in against))]
    rows = [["", *head]]
    for name, result in results.items():
        row = [WAYS[name][0]]
        for g, (goal, _) in enumerate(goals):
            seconds = middle(result, g, goal, "seconds")
            row += [or_dash(seconds, report.duration), steps(result, g, goal)]
            for other in against:
                base = middle(results[other], g, goal, "seconds")
                row.append(or_dash(seconds / base if seconds and base else None, report.times))
        rows.append(row)
    return rows


def or_dash(value: float | None, words: Callable[[float], str]) -> str:
    return "–" if value is None else words(value)


def steps(result: dict[str, Any], g: int, goal: float) -> str:
    """Return the median of the steps, and where not all starts arrived, how many did."""
    count, of = len(arrived(result, g, goal)), len(result["runs"][g])
    text = or_dash(middle(result, g, goal, "steps"), lambda value: report.number(round(value)))
    return text if count == of else f"{text} ({count} of {of})"


def about(document: dict[str, Any]) -> str:
    """Say which machine and versions, and when."""
    starts, rounds = (document["settings"][name] for name in ("starts", "rounds"))
    return races.about(document, f"One core, CPU time; medians over {starts} starts of the middle of {rounds} rounds")


# ---- the documentation ----


def newest() -> Path:
    """Return the report that the page shows."""
    return max(RESULTS.glob("*.json"))


def fill(text: str, document: dict[str, Any]) -> str:
    """Return the page with the tables of a report between its marks: `machine`, and the name of each task."""
    made = {raced["task"]: report.as_markdown(table(raced)) for raced in document["results"]}
    made["machine"] = about(document)
    return races.filled(text, made)


def show_list() -> None:
    for name, make in TASKS.items():
        print(f"{name:13} {make().title}")
    print()
    for name, (label, *_) in WAYS.items():
        print(f"{name:13} {label}")


def measure(args: argparse.Namespace, document: dict[str, Any]) -> None:
    for name in args.tasks:
        task = TASKS[name]()
        shown = [task.goal(goal) for goal in task.goals]
        raced = {"task": name, "title": task.title, "parameters": task.n_params}
        raced |= {"goals": list(task.goals), "shown": shown}
        raced["ways"] = race(task, args.ways, args.starts, args.rounds)
        document["results"].append(raced)
        print(f"{task.title} ({task.n_params:,} parameters)\n\n{report.as_text(table(raced))}\n", flush=True)
        for result in raced["ways"]:
            if "reason" in result:
                print(f"without {WAYS[result['way']][0]}: {result['reason']}")
        print()


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    if args.list:
        show_list()
        return
    if args.publish:
        document = json.loads(Path(args.publish).read_text(encoding="utf-8"))
    else:
        document = new_document(args)
        measure(args, document)
        print(about(document))
        write(document, args.output)
    if args.publish is not None:
        PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")


if __name__ == "__main__":
    main()
