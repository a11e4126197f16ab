"""Draw the pictures of a report: one of all workloads, and one for each sweep in it.

    python bench/plot.py report.json -o pictures

Without arguments: of the newest kept report, to where the documentation has them.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import publish
import report
from peers import PEERS
from problems import Problem

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "_static" / "speed"
# Okabe and Ito: told apart with any kind of colour vision
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
LOOKS = {  # colour and marker
    "cbp": (BLUE, "o"),
    "numpy": (ORANGE, "s"),
    "torch": (RED, "^"),
    "jax": (GREEN, "D"),
    "sklearn": (PURPLE, "v"),
    "onnxruntime": ("#222222", "P"),
    "fann": (SKY, "X"),
}
CURVES = (BLUE, RED, GREEN, PURPLE)
DASHES = ("-", "--", ":", "-.")
GREY = "#767676"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "cbp",
}
SWEEPS = {  # title, axis
    "batch": ("Training {network} with batches of different size", "rows in a batch"),
    "width": ("Training n-n-n-10, batch 128: wide and narrow layers", "n, units of a layer"),
    "depth": ("Training layers of 128 units, batch 128: deep and shallow", "number of layers"),
    "rows": ("Predicting with {network}: few rows and many", "rows in a call"),
    "outputs": ("Training 64-128-n, batch 32: few outputs", "n, outputs"),
    "activation": ("Training n-n-n-10, batch 128, one thread: activations", "n, units of a layer"),
    "precision": ("Training n-n-n-10, batch 128, one thread: float32 and float64", "n, units of a layer"),
    "threads": ("Training with more threads, batch 256", "threads"),
}
LINEAR = ("depth", "threads", "outputs")  # the others' axes are logarithmic


def plain(value: float, _position: int = 0) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def seconds(value: float, _position: int = 0) -> str:
    return report.duration(value)


# ---- all workloads ----


def overview(document: dict[str, Any]) -> plt.Figure:
    """Time of every library over that of cbp: a line for each workload, a panel for each number of threads."""
    results = [r for r in document["results"] if r["group"] == "workload" and report.figures(r, "cbp")]
    panels = {n: list(group) for n, group in itertools.groupby(results, key=lambda r: r["threads"])}
    heights = [len(group) for group in panels.values()]
    size = (8.2, 0.33 * sum(heights) + 0.75 * len(panels) + 0.5)
    figure, axes = plt.subplots(len(panels), 1, figsize=size, squeeze=False, sharex=True, height_ratios=heights)
    shown = {}
    for ax, (threads, group) in zip(axes[:, 0], panels.items(), strict=True):
        shown["cbp"] = ax.axvline(1, color=BLUE, linewidth=1.4)
        for place, result in enumerate(reversed(group)):
            others = [name for name in result["libraries"] if name != "cbp" and report.agrees(result, name)]
            for name in others:
                if ratio := report.ratio(result, name):
                    colour, marker = LOOKS[name]
                    style = {"color": colour, "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.5}
                    (shown[name],) = ax.plot(ratio, place, marker, zorder=3, **style)
        ax.set_yticks(range(len(group)), [report.title(Problem.read(r["problem"])) for r in reversed(group)])
        ax.set_ylim(-0.6, len(group) - 0.4)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_title(report.count(threads))
    axes[-1, 0].set_xlabel("time / time of cbp (left of the line: faster than cbp)")
    order = [name for name in PEERS if name in shown]
    axes[0, 0].legend(
        [shown[name] for name in order],
        [PEERS[name][0] for name in order],
        ncols=len(order),
        loc="lower right",
        bbox_to_anchor=(1, 1.06),
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    return figure


# ---- sweeps ----


def lines(results: list[dict[str, Any]]) -> dict[tuple[str, str, int], list[tuple[float, report.Figures]]]:
    """Return the points of each line: by library, curve and number of threads."""
    found: dict[tuple[str, str, int], list[tuple[float, report.Figures]]] = {}
    across_threads = results[0]["group"] == "threads"
    for result in results:
        for name in result["libraries"]:
            figures = report.figures(result, name)
            if figures and report.agrees(result, name):
                key = name, result["curve"], 0 if across_threads else result["threads"]
                found.setdefault(key, []).append((result["x"], figures))
    return {key: sorted(points, key=lambda point: point[0]) for key, points in found.items()}


def looks(keys: list[tuple[str, str, int]]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Colour tells the library and dashes more threads; or colour tells the curve, and dashes another library."""
    curves, libraries = [list(dict.fromkeys(key[i] for key in keys)) for i in (1, 0)]
    many, found = max(key[2] for key in keys), {}
    for name, curve, threads in keys:
        label = PEERS[name][0]
        if curve:
            style = {"color": CURVES[curves.index(curve) % 4], "linestyle": DASHES[libraries.index(name) % 4]}
            label = f"{label}, {curve}"
        else:
            style = {"color": LOOKS[name][0], "linestyle": DASHES[threads > 1]}
            label += f", {report.count(threads)}" if many > 1 else ""
        found[name, curve, threads] = style | {"label": label, "marker": LOOKS[name][1]}
    return found


def draw(ax: plt.Axes, points: list[tuple[float, float, float, float]], look: dict[str, Any]) -> None:
    """A line through the medians, and the middle half of the rounds as a band; points are (x, y, low, high)."""
    x, y, low, high = (list(column) for column in zip(*points, strict=True))
    ax.plot(x, y, markersize=3.2, linewidth=1.4, **look)
    ax.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def label_ends(ax: plt.Axes, gap: float = 11) -> None:
    """Write each line's name at its right end, moved up or down where names would touch."""
    ends = [(ax.transData.transform((line.get_xdata()[-1], line.get_ydata()[-1])), line) for line in ax.get_lines()]
    right = max(point[0] for point, _ in ends)
    ends.sort(key=lambda end: end[0][1])
    scale = ax.figure.dpi / 72
    heights = [point[1] / scale for point, _ in ends]
    for _ in range(50):  # push neighbours apart, a little at a time
        for i in range(len(heights) - 1):
            lack = gap - (heights[i + 1] - heights[i])
            if lack > 0:
                heights[i] -= lack / 2
                heights[i + 1] += lack / 2
    for (point, line), height in zip(ends, heights, strict=True):
        ax.annotate(
            line.get_label(),
            (line.get_xdata()[-1], line.get_ydata()[-1]),
            xytext=(7 + (right - point[0]) / scale, height - point[1] / scale),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            annotation_clip=False,
        )


def ticks(ax: plt.Axes, name: str, xs: list[float]) -> None:
    """Plain numbers, on an axis that suits the sweep."""
    ax.set_xlabel(SWEEPS[name][1])
    if name in LINEAR:
        ax.set_xticks(sorted(set(xs)))
        return
    ax.set_xscale("log")
    low, high = math.log10(min(xs)), math.log10(max(xs))
    if high - low < 2.5:
        ax.set_xticks([x for x in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096) if min(xs) <= x <= max(xs)])
    else:
        ax.xaxis.set_major_locator(LogLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)


def sweep(document: dict[str, Any], name: str) -> plt.Figure:
    """Two panels: the time for a row, and the useful operations as a part of the peak."""
    results = [r for r in document["results"] if r["group"] == name]
    found = lines(results)
    look = looks(list(found))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.5))
    for key, points in found.items():
        draw(left, [(x, f.seconds, f.low, f.high) for x, f in points], look[key])
        if all(f.of_peak is not None for _, f in points):
            percent = [(x, 100 * f.of_peak, f) for x, f in points]
            draw(right, [(x, y, y * f.seconds / f.high, y * f.seconds / f.low) for x, y, f in percent], look[key])
    ticks(left, name, [r["x"] for r in results])
    ticks(right, name, [r["x"] for r in results])
    left.set_yscale("log")
    low, high = left.get_ylim()
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    left.yaxis.set_major_formatter(FuncFormatter(seconds))
    left.yaxis.set_minor_formatter(NullFormatter())
    left.set_title("time for a row")
    right.set_title("useful operations, % of the FMA peak")
    right.set_ylim(0, max(100, right.get_ylim()[1]) if right.lines else 100)
    network = report.network(Problem.read(results[0]["problem"]))
    figure.suptitle(SWEEPS[name][0].format(network=network), x=0.02, ha="left", weight="bold", fontsize=10)
    longest = max(len(style["label"]) for style in look.values())
    figure.tight_layout(rect=(0, 0.03, 1 - 0.0085 * longest, 1))
    figure.canvas.draw()
    label_ends(right if right.lines else left)
    return figure


# ---- files ----


def save(figure: plt.Figure, path: Path, document: dict[str, Any], source: str) -> None:
    about = document["machine"]
    figure.text(0.02, 0.01, f"{document['date']}, {about['cpu']}, {about['cores']} cores", color=GREY, fontsize=7)
    metadata = {"Source": source, "Date": None} if path.suffix == ".svg" else {"Source": source}
    figure.savefig(path, metadata=metadata, dpi=150)
    plt.close(figure)


def pictures(document: dict[str, Any]) -> dict[str, Any]:
    """Name and maker of each picture that the document has figures for."""
    groups = {result["group"] for result in document["results"]}
    found = {"workloads": overview} if "workload" in groups else {}
    return found | {name: functools.partial(sweep, name=name) for name in SWEEPS if name in groups}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="a report of run.py")
    parser.add_argument("-o", "--output", type=Path, default=PICTURES, help="folder for the pictures")
    parser.add_argument("-f", "--format", choices=("svg", "png"), default="svg")
    args = parser.parse_args(argv)
    path = args.results or publish.newest()
    document = json.loads(path.read_text(encoding="utf-8"))
    args.output.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, make in pictures(document).items():
            figure = make(document)
            if name == "workloads":
                figure.tight_layout(rect=(0, 0.03, 1, 1))
            save(figure, args.output / f"{name}.{args.format}", document, publish.origin(path))
            print(args.output / f"{name}.{args.format}")


if __name__ == "__main__":
    main()
