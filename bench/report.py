"""From measured seconds to figures, and to tables for people."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from peers import PEERS
from problems import Problem

Table = list[list[str]]
UNBROKEN = "\u00a0"  # a space where no line ends
LEFT = 1  # columns that are words, not numbers


@dataclasses.dataclass
class Figures:
    """What one library did with one item; seconds are for a row."""

    seconds: float  # the median of the rounds
    low: float  # and the quartiles
    high: float
    rows_per_second: float
    update_seconds: float  # for one batch, or one call
    gflops: float
    of_peak: float | None

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.seconds


def figures(result: dict[str, Any], name: str) -> Figures | None:
    """Return the figures of a library, or None if it has none."""
    times = result["libraries"].get(name, {}).get("seconds")
    if not times:
        return None
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else (median,) * 3
    problem = Problem.read(result["problem"])
    rows = problem.rows if problem.kind == "predict" else problem.batch
    gflops = result["flops"] / median / 1e9
    peak = peak_of(result)
    return Figures(
        seconds=median,
        low=low,
        high=high,
        rows_per_second=1 / median,
        update_seconds=median * rows,
        gflops=gflops,
        of_peak=gflops / peak if peak else None,
    )


def peak_of(result: dict[str, Any]) -> float | None:
    """Return the FMA peak in GFLOP/s: the most that the cores did in the rounds of this item."""
    return max(result["peak"], default=None)


def ratio(result: dict[str, Any], name: str, to: str = "cbp") -> float | None:
    """Return the time of a library over the time of another."""
    own, other = figures(result, name), figures(result, to)
    return own.seconds / other.seconds if own and other else None


def agrees(result: dict[str, Any], name: str) -> bool:
    return result["libraries"].get(name, {}).get("check", {}).get("agrees", True)


# ---- words ----


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value == 0:
        return "0"
    if value >= 1000:
        digits = max(0, len(str(int(value))) - 3)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds / 1e-9)} ns"


def percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"


def times(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def network(problem: Problem) -> str:
    return "-".join(str(n) for n in problem.widths)


def title(problem: Problem) -> str:
    """What a problem is, in a few words."""
    if problem.kind == "predict one":
        return f"predict one row, {network(problem)} {problem.hidden}"
    if problem.kind == "predict":
        return f"predict {problem.rows:,} rows, {network(problem)}"
    optimizer = {"sgd": "SGD", "adam": "Adam"}[problem.optimizer]
    if problem.kind == "step":
        return f"train {network(problem)}, one row a call"
    if problem.batch == 1:
        return f"train {network(problem)}, online"
    return f"train {network(problem)}, batch {problem.batch}, {optimizer}"


def count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


# ---- tables ----


def as_text(table: Table) -> str:
    """Lay out a table in columns; the first row is the head."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < LEFT else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def as_markdown(table: Table, left: int = LEFT) -> str:
    head, *body = table
    rule = ["---" if i < left else "--:" for i in range(len(head))]
    lines = ["| " + " | ".join(row) + " |" for row in [head, rule, *body]]
    return "\n".join(lines).replace(" %", f"{UNBROKEN}%")


def by_speed(result: dict[str, Any]) -> list[tuple[str, Figures]]:
    found = [(name, figures(result, name)) for name in result["libraries"]]
    return sorted(((name, f) for name, f in found if f), key=lambda pair: pair[1].seconds)


def one_result(result: dict[str, Any]) -> str:
    """Show an item: a line for each library, the fastest first; then what was left out, and why."""
    problem = Problem.read(result["problem"])
    of_call = "update" if problem.trains else "call"
    table = [["", f"1 {of_call}", "rows/s", "GFLOP/s", "of peak", "±", "time/cbp"]]
    for name, f in by_speed(result):
        relative = ratio(result, name)
        table.append(
            [
                PEERS[name][0] + ("" if agrees(result, name) else " *"),
                duration(f.update_seconds),
                number(f.rows_per_second),
                number(f.gflops),
                percent(f.of_peak),
                f"{100 * f.spread:.1f} %",
                "–" if relative is None else times(relative),
            ]
        )
    peak = peak_of(result)
    of = f", FMA peak {number(peak)} GFLOP/s" if peak else ""
    lines = [f"{result['name']}: {title(problem)}, {count(result['threads'])}{of}", as_text(table)]
    if "*" in lines[-1]:
        lines.append("  * did other work: its loss or its outputs are not those of the reference")
    left_out = [f"{PEERS[name][0]} ({got['reason']})" for name, got in result["libraries"].items() if "reason" in got]
    return "\n".join([*lines, *(["  without " + ", ".join(left_out)] if left_out else []), ""])


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Show cbp in all workloads: a line each."""
    table = [["", "threads", "rows/s", "GFLOP/s", "of peak", "time/best other", ""]]
    for result in results:
        own = figures(result, "cbp")
        others = [(name, f) for name, f in by_speed(result) if name != "cbp" and agrees(result, name)]
        if own:
            best = [times(own.seconds / others[0][1].seconds), PEERS[others[0][0]][0]] if others else ["–", ""]
            row = [result["name"], str(result["threads"]), number(own.rows_per_second), number(own.gflops)]
            table.append([*row, percent(own.of_peak), *best])
    return as_text(table)
