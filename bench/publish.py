"""Write the tables of the newest report into README.md and docs/guide/speed.md, between the marks made for them.

    python bench/publish.py
    python bench/publish.py --check          say whether the pages show that report already

A mark is <!-- bench: NAME -->, and <!-- end --> closes it.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import report
from peers import PEERS
from problems import Problem
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "guide" / "speed.md")
MARK = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+\.svg)\)")
ISA = {"avx512": "AVX-512", "avx2": "AVX2", "neon": "NEON", "scalar": "plain C"}


def newest() -> Path:
    """Return the report that the pages show: the last one in bench/results."""
    return max(RESULTS.glob("*.json"))


def origin(path: Path) -> str:
    """Say which report, to the letter, a picture was made from."""
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def workloads(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the workloads that cbp did, in the order of workloads.py, one thread before more."""
    found = [r for r in document["results"] if r["group"] == "workload" and report.figures(r, "cbp")]
    return sorted(found, key=lambda result: (list(WORKLOADS).index(result["name"]), result["threads"]))


def measured(document: dict[str, Any]) -> list[str]:
    """Return the libraries that did at least one workload, in the order of the tables."""
    return [name for name in PEERS if any(report.figures(r, name) for r in workloads(document))]


def relative(document: dict[str, Any]) -> str:
    """Every workload: cbp's rows a second, and the time of each other library over that of cbp."""
    others = [name for name in measured(document) if name != "cbp"]
    table = [["task", "threads", "cbp, rows/s", *(PEERS[name][0] for name in others)]]
    for result in workloads(document):
        own = report.figures(result, "cbp")
        row = [*task(result), report.number(own.rows_per_second)]
        table.append(row + [cell(result, name) for name in others])
    return report.as_markdown(table)


def task(result: dict[str, Any]) -> list[str]:
    return [report.title(Problem.read(result["problem"])), str(result["threads"])]


def cell(result: dict[str, Any], name: str) -> str:
    """Return a ratio; bold where the library is faster than cbp, with a star where it did other work."""
    ratio = report.ratio(result, name)
    if ratio is None:
        return "–"
    text = report.times(ratio) + ("" if report.agrees(result, name) else " \\*")
    return f"**{text}**" if ratio < 1 else text


def absolute(document: dict[str, Any]) -> str:
    """What cbp does of every workload: time, rows, useful operations."""
    table = [["task", "threads", "one update or call", "rows/s", "useful GFLOP/s", "of the FMA peak", "±"]]
    for result in workloads(document):
        f = report.figures(result, "cbp")
        row = [*task(result), report.duration(f.update_seconds)]
        row += [report.number(f.rows_per_second), report.number(f.gflops), report.percent(f.of_peak)]
        table.append([*row, f"{100 * f.spread:.1f} %"])
    return report.as_markdown(table)


CEILINGS = {
    "fma_float32": "FMA peak, float32, GFLOP/s",
    "fma_float64": "FMA peak, float64, GFLOP/s",
    "read_L2": "reading from L2, GB/s",
    "triad_L2": "a = b + s c in L2, GB/s",
    "read_DRAM": "reading from memory, GB/s",
    "triad_DRAM": "a = b + s c in memory, GB/s",
}


def ceilings(document: dict[str, Any]) -> str:
    """What the machine can do at most, a column for each number of threads."""
    counts = [n for n, found in document["ceilings"].items() if "fma_float32" in found]
    table = [["", *(report.count(int(n)) for n in counts)]]
    for name, label in CEILINGS.items():
        table.append([label, *(report.number(document["ceilings"][n][name]) for n in counts)])
    return report.as_markdown(table)


def size(n: int) -> str:
    return f"{n >> 20} MiB" if n >= 1 << 20 else f"{n >> 10} KiB"


def versions(document: dict[str, Any]) -> str:
    found = {name: about["versions"] for name, about in document["libraries"].items() if "versions" in about}
    texts = []
    for name in measured(document):
        own = found[name].get({"sklearn": "scikit-learn"}.get(name, name), "")
        blas = f" ({found[name]['blas']})" if "blas" in found[name] else ""
        texts.append(f"{PEERS[name][0]} {own}{blas}".strip())
    return ", ".join(texts)


def machine(document: dict[str, Any]) -> str:
    """Say which machine, system and versions, and when."""
    about, settings = document["machine"], document["settings"]["workload"]
    day = datetime.date.fromisoformat(document["date"])
    isa = ISA.get(document["libraries"]["cbp"]["versions"]["isa"], "")
    caches = ", ".join(f"{level} {size(n)}" for level, n in about["caches"].items())
    hardware = f"{about['cpu']}, {about['cores']} cores, {isa}, {caches}"
    software = f"{about['system']}, {about['python']}, {about['compiler']}"
    rounds = f"Medians of {settings['rounds']} rounds."
    if about["load_before"] is not None:
        rounds += f" Load of the machine before the run: {about['load_before']:.1f}."
    return f"{day.day} {day:%B %Y}. {hardware}; {software}.\n{versions(document)}. {rounds}"


def best(document: dict[str, Any]) -> str:
    """Say how often cbp is the fastest, and by how much in the middle."""
    ratios = []
    for result in workloads(document):
        others = [name for name in result["libraries"] if name != "cbp" and report.agrees(result, name)]
        if found := [ratio for name in others if (ratio := report.ratio(result, name))]:
            ratios.append(min(found))
    wins = sum(ratio > 1 for ratio in ratios)
    return (
        f"cbp is the fastest in {wins} of {len(ratios)} rows. The fastest of the others needs "
        f"{report.times(statistics.median(ratios))} times as long as cbp in the middle of the rows, "
        f"{report.times(min(ratios))} at the least and {report.times(max(ratios))} at the most."
    )


MAKERS = {maker.__name__: maker for maker in (relative, absolute, ceilings, machine, best)}


def fill(text: str, document: dict[str, Any]) -> str:
    """Return a page with what belongs between its marks."""
    return MARK.sub(lambda found: f"{found[1]}\n{MAKERS[found[2]](document)}\n\n{found[3]}", text)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page shows something else")
    args = parser.parse_args(argv)
    document = json.loads(newest().read_text(encoding="utf-8"))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        filled = fill(text, document)
        if args.check and filled != text:
            sys.exit(f"{page.name} does not show {newest().name}: run python bench/publish.py")
        page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
