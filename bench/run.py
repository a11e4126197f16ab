"""Measure cbp and the other libraries that are installed, in one run.

examples:
    python bench/run.py                      the workloads, in a few minutes
    python bench/run.py full                 more rounds, and the sweeps that become pictures
    python bench/run.py -w xor,medium-sgd -p cbp,numpy -t 1
    python bench/run.py --python numpy,torch,jax=/path/to/python
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ceilings
import machine
import races
import report
from peers import PEERS
from session import Session, Settings, Worker
from workloads import SWEEPS, WORKLOADS, Item, sweep, workloads

FORMAT = 1
WORKLOAD_SETTINGS = {"quick": Settings(5, 0.1), "full": Settings(7, 0.15)}
SWEEP_SETTINGS = {"quick": Settings(3, 0.03), "full": Settings(5, 0.04)}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("amount", nargs="?", choices=("quick", "full"), default="quick", help="how much is measured (default: quick)")
    add("-w", "--workloads", type=names_of(WORKLOADS), metavar="NAMES", help="only these, separated by commas, or none")
    add("-s", "--sweeps", type=names_of(SWEEPS), metavar="NAMES", help="these sweeps, or none, or all")
    add("-p", "--peers", type=names_of(PEERS), default=list(PEERS), metavar="NAMES", help="only these libraries")
    add("--sweep-peers", type=names_of(PEERS), default=["cbp", "numpy"], metavar="NAMES", help="default: cbp,numpy")
    add("-t", "--threads", type=counts, metavar="N,N", help="numbers of threads (default: 1 and the number of cores)")
    add("-r", "--rounds", type=int, help="rounds in which each library has its turn")
    add("--seconds", type=float, help="of work in one repetition, about")
    add("--python", action="append", default=[], metavar="NAMES=PATH", help="the interpreter that has these libraries")
    add("-o", "--output", type=Path, metavar="PATH", help="JSON to write: a file, or a folder for DATE-MACHINE.json")
    add("-l", "--list", action="store_true", help="list workloads, sweeps and libraries")
    add("-v", "--verbose", action="store_true", help="show what the libraries print on standard error")
    args = parser.parse_args(argv)
    full = args.amount == "full"
    args.workloads = list(WORKLOADS) if args.workloads is None else args.workloads
    args.sweeps = (list(SWEEPS) if full else []) if args.sweeps is None else args.sweeps
    args.threads = args.threads or sorted({1, len(machine.cores())})
    return args


def names_of(known: Any) -> Any:
    """Return a parser of lists of names."""

    def read(text: str) -> list[str]:
        names = {"all": list(known), "none": []}.get(text, text.split(","))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
        return names

    return read


def counts(text: str) -> list[int]:
    found = sorted({int(part) for part in text.split(",")})
    if found[0] < 1 or found[-1] > len(machine.cores()):
        raise argparse.ArgumentTypeError(f"this machine has {len(machine.cores())} cores")
    return found


def interpreters(texts: list[str]) -> dict[str, str]:
    """Read NAMES=PATH; "others" are all but cbp."""
    chosen = {}
    for text in texts:
        names, _, path = text.partition("=")
        for name in [n for n in PEERS if n != "cbp"] if names == "others" else names.split(","):
            chosen[name] = path
    return chosen


def show_list() -> None:
    for name, (problem, parallel) in WORKLOADS.items():
        print(f"{name:15} {report.title(problem)}{', also with more threads' if parallel else ''}")
    print(f"\nsweeps: {', '.join(SWEEPS)}\nlibraries: {', '.join(PEERS)}")


def plan(args: argparse.Namespace) -> dict[int, list[Item]]:
    """Return what is to be measured with each number of threads."""
    items = workloads(args.workloads, args.threads)
    for name in args.sweeps:
        items += sweep(name, args.threads, len(machine.cores()))
    return {n: [item for item in items if item.threads == n] for n in sorted({item.threads for item in items})}


def settings(args: argparse.Namespace, group: str) -> Settings:
    chosen = (WORKLOAD_SETTINGS if group == "workload" else SWEEP_SETTINGS)[args.amount]
    return Settings(args.rounds or chosen.rounds, args.seconds or chosen.seconds)


def peak_of(args: argparse.Namespace, pythons: dict[str, str], folder: Path) -> Path | None:
    """Compile the probe of the peak for the instruction set of cbp, or say why not."""
    worker = Worker("cbp", 1, pythons.get("cbp", sys.executable), verbose=args.verbose)
    isa = worker.greeting().get("versions", {}).get("isa", "")
    worker.close()
    try:
        return ceilings.build(isa, folder)
    except (RuntimeError, OSError) as reason:
        print(f"no percentages of the peak: {reason}\n")
        return None


def measure(args: argparse.Namespace, document: dict[str, Any], folder: Path) -> None:
    """Measure everything; the document grows, and is written after every number of threads."""
    pythons = interpreters(args.python)
    peak = peak_of(args, pythons, folder)
    for threads, items in plan(args).items():
        wanted = [name for name in PEERS if any(name in of(args, item) for item in items)]
        with Session(wanted, threads, pythons, peak, args.verbose) as session:
            document["libraries"] |= session.greetings()
            document["ceilings"][str(threads)] = session.ceilings(settings(args, "sweep").seconds)
            for item in items:
                result = session.measure(item, of(args, item), settings(args, item.group))
                document["results"].append(result)
                print(report.one_result(result), flush=True)
        write(document, args.output)


def of(args: argparse.Namespace, item: Item) -> list[str]:
    """Return the libraries that an item is measured with."""
    return args.peers if item.group == "workload" else [name for name in args.sweep_peers if name in args.peers]


def new_document(args: argparse.Namespace) -> dict[str, Any]:
    chosen = {group: vars(settings(args, group)) for group in ("workload", "sweep")}
    return {**races.head(FORMAT, chosen), "libraries": {}, "ceilings": {}, "results": []}


def write(document: dict[str, Any], output: Path | None) -> None:
    if output is None:
        return
    if output.suffix != ".json":
        slug = re.sub(r"[^a-z0-9]+", "-", document["machine"]["cpu"].lower()).strip("-")
        output = output / f"{document['date']}-{slug}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json_lines(document), encoding="utf-8")


def json_lines(document: dict[str, Any]) -> str:
    """JSON with one result a line, so that a difference between two files can be read."""
    head = json.dumps({**document, "results": []}, indent=1, ensure_ascii=False)
    results = ",\n".join("  " + json.dumps(result, ensure_ascii=False) for result in document["results"])
    return head.replace('"results": []', f'"results": [\n{results}\n ]') + "\n"


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    if args.list:
        show_list()
        return
    begin = time.monotonic()
    document = new_document(args)
    about = document["machine"]
    print(f"{about['cpu']}, {about['cores']} cores, {about['system']}, {about['python']}\n")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            measure(args, document, Path(folder))
        except (KeyboardInterrupt, subprocess.SubprocessError):
            print("stopped")
    print(report.summary([r for r in document["results"] if r["group"] == "workload"]))
    write(document, args.output)
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")
    own = [result for result in document["results"] if "cbp" in result["libraries"]]
    if failed := [r["name"] for r in own if not (report.figures(r, "cbp") and report.agrees(r, "cbp"))]:
        sys.exit(f"cbp has failed, or done other work than the reference, in {', '.join(failed)}")


if __name__ == "__main__":
    main()
