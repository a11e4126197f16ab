"""A trace as a picture of the network: activations in the units, weights old → new on the lines. matplotlib draws."""

from __future__ import annotations

from math import atan2, degrees, hypot
from typing import TYPE_CHECKING, Any, NamedTuple

from cbp.errors import optional
from cbp.trace.symbols import short

if TYPE_CHECKING:
    from cbp.trace import Trace
    from cbp.trace.numbers import Numbers

MOST_UNITS, MOST_WEIGHTS = 6, 30
ACROSS, DOWN, RADIUS = 5.6, 1.9, 0.45
LANE, BEND = 0.5, 2.2  # how far apart skip connections run, and how soon after a unit
PLACES = [0.25 + 0.025 * step for step in range(21)]  # where along its line a label may stand
UP_COLOR, DOWN_COLOR, UNIT_COLOR, INK = "tab:blue", "tab:red", "#eef2f7", "#222222"
DIGITS, MOST_DIGITS = 3, 6
Point = tuple[float, float]


class Skip(NamedTuple):
    """A weight that goes past layers: unit i of layer k, row i of W; unit j of layer l; 1 or -1, which side; lane."""

    k: int
    i: int
    row: int
    l: int
    j: int
    side: int
    lane: int


def draw(trace: Trace, ax: Any, sample: int) -> Any:
    """Draw the network into the axes, or into a new figure, and return the axes."""
    n = trace.numbers
    _require_readable(n)
    patches = optional("matplotlib.patches", "a picture", "plot")
    skips = _skips(n)
    above, below = (max((s.lane + 1 for s in skips if s.side == side), default=0) for side in (1, -1))
    if ax is None:
        size = (0.7 * (ACROSS * n.L + 3.1), 0.7 * (DOWN * max(n.widths) + LANE * (above + below)) + 1.0)
        _, ax = optional("matplotlib.pyplot", "a picture", "plot").subplots(figsize=size, layout="constrained")
    curve = (patches.PathPatch, optional("matplotlib.path", "a picture", "plot").Path)
    for skip in skips:
        _skip(ax, curve, n, skip)
    taken: list[Point] = []
    for l in range(1, n.L + 1):
        _weights(ax, n, l, taken)
    for l, units in enumerate(n.widths):
        for j in range(units):
            _unit(ax, patches.Circle, trace, sample, l, j)
    high = _edge(n) + 0.25
    ax.set(xlim=(-1.2, ACROSS * n.L + 1.9), ylim=(-high - LANE * below, high + LANE * above), aspect="equal")
    ax.set_axis_off()
    row = "" if n.m == 1 else f", activations of sample {sample}"
    ax.set_title(f"learning rate {trace.learning_rate:g}: loss {short(trace.loss)} → {short(trace.new_loss)}{row}")
    return ax


def _require_readable(n: Numbers) -> None:
    weights = sum(theta[1:].size for theta in n.theta[1:])
    if max(n.widths) > MOST_UNITS or weights > MOST_WEIGHTS:
        raise ValueError(
            f"a picture of {max(n.widths)} units in a layer and {weights} weights cannot be read: "
            f"at most {MOST_UNITS} units and {MOST_WEIGHTS} weights can be drawn; print the trace, or see its records()"
        )


def _place(n: Numbers, l: int, j: int) -> Point:
    return ACROSS * l, DOWN * ((n.widths[l] - 1) / 2 - j)


def _weights(ax: Any, n: Numbers, l: int, taken: list[Point]) -> None:
    """Draw the lines into layer l from the one before."""
    row = n.sources(l)[-1][1] + 1
    for i in range(n.widths[l - 1]):
        for j in range(n.widths[l]):
            (x0, y0), (x1, y1) = _place(n, l - 1, i), _place(n, l, j)
            ax.plot([x0, x1], [y0, y1], **_line(n, l, row + i, j))
            x, y = _free(taken, (x0, y0), (x1, y1))
            taken.append((x, y))
            _label(ax, n, l, (row + i, j), (x, y), degrees(atan2(y1 - y0, x1 - x0)))


def _line(n: Numbers, l: int, i: int, j: int) -> dict[str, Any]:
    """Return how a weight is drawn: thick where it is large, blue where it grows, red where it falls."""
    largest = max(float(abs(n.theta[l][1:]).max()), 1e-30)
    old, new = float(n.theta[l][i, j]), float(n.new[l][i, j])
    color = UP_COLOR if new > old else DOWN_COLOR if new < old else "0.5"
    return {"color": color, "lw": 0.6 + 2 * abs(old) / largest, "alpha": 0.55, "zorder": 1}


def _label(ax: Any, n: Numbers, l: int, index: tuple[int, int], at: Point, rotation: float) -> None:
    ax.text(
        *at, _change(float(n.theta[l][index]), float(n.new[l][index])), color=INK, fontsize=8, ha="center", va="center",
        rotation=rotation, rotation_mode="anchor", transform_rotates_text=True,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}, zorder=2,
    )  # fmt: skip


def _edge(n: Numbers) -> float:
    """Return how far from the middle the highest unit reaches, with what is written at it."""
    return DOWN * (max(n.widths) - 1) / 2 + 2 * RADIUS


def _skips(n: Numbers) -> list[Skip]:
    """Return the weights that go past layers, short ones inside; those from upper units above all, the others below."""
    found: list[Skip] = []
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for l, k, row in sorted(_sources(n), key=lambda source: source[0] - source[1]):
        for i in range(n.widths[k]):
            side = 1 if 2 * i < n.widths[k] else -1
            for j in range(n.widths[l]):
                lane = 0
                while any(first < l and k < last for first, last in taken.get((side, lane), [])):
                    lane += 1
                taken.setdefault((side, lane), []).append((k, l))
                found.append(Skip(k, i, row + i + 1, l, j, side, lane))
    return found


def _sources(n: Numbers) -> list[tuple[int, int, int]]:
    """Return (l, k, row) for all layers k that feed layer l past others, row that of W from which they do."""
    return [(l, k, row) for l in range(1, n.L + 1) for k, row in n.sources(l)[:-1]]


def _skip(ax: Any, curve: tuple[Any, Any], n: Numbers, skip: Skip) -> None:
    """Draw a weight that goes past layers: out to its lane, along it, and back."""
    patch, path = curve
    (x0, y0), (x1, y1) = _place(n, skip.k, skip.i), _place(n, skip.l, skip.j)
    y, half = skip.side * (_edge(n) + LANE * (skip.lane + 0.4)), BEND / 2
    points = [(x0, y0), (x0 + half, y0), (x0 + half, y), (x0 + BEND, y),
              (x1 - BEND, y), (x1 - half, y), (x1 - half, y1), (x1, y1)]  # fmt: skip
    codes = [path.MOVETO, *[path.CURVE4] * 3, path.LINETO, *[path.CURVE4] * 3]
    ax.add_patch(patch(path(points, codes), fill=False, **_line(n, skip.l, skip.row, skip.j)))
    _label(ax, n, skip.l, (skip.row, skip.j), ((x0 + x1) / 2, y), 0.0)


def _target(n: Numbers, sample: int, j: int) -> str:
    """Return the target of output j in words; nothing for a variance, which has none."""
    part = next(part for part in n.parts if j in part.units)
    at = part.targets.start + j - part.units.start
    return f"target {short(float(n.y[sample, at]), DIGITS)}" if at < part.targets.stop else ""


def _change(old: float, new: float) -> str:
    """Return old → new, with as many digits as it takes to see a difference, if six can show it."""
    digits = DIGITS
    while old != new and short(old, digits) == short(new, digits) and digits < MOST_DIGITS:
        digits += 1
    return f"{short(old, digits)} → {short(new, digits)}"


def _free(taken: list[Point], start: Point, end: Point) -> Point:
    """Return the point of the line that is farthest from the labels there are; of equal ones the middle one."""

    def at(share: float) -> Point:
        return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])

    def room(share: float) -> tuple[float, float]:
        x, y = at(share)  # labels are wider than high
        nearest = min((hypot((x - p) / 2.2, y - q) for p, q in taken), default=1.0)
        return min(nearest, 0.6), -abs(share - 0.5)

    return at(max(PLACES, key=room))


def _unit(ax: Any, circle: Any, trace: Trace, sample: int, l: int, j: int) -> None:
    """Draw one unit: its activation in it, its function or its target beside it, its bias old → new below."""
    n = trace.numbers
    x, y = _place(n, l, j)
    ax.add_patch(circle((x, y), RADIUS, facecolor=UNIT_COLOR, edgecolor=INK, lw=1.0, zorder=3))
    style = {"color": INK, "ha": "center", "va": "center", "zorder": 4}
    ax.text(x, y, short(float(n.A[l][sample, j]), DIGITS), fontsize=9, **style)
    if l == 0:
        return
    if trace.has_biases:
        old, new = float(n.theta[l][0, j]), float(n.new[l][0, j])
        ax.text(x, y - RADIUS - 0.16, f"bias {_change(old, new)}", fontsize=7, **style)
    ax.text(x, y + RADIUS + 0.14, str(n.activation(l, j)), fontsize=7, style="italic", **style)
    if l == n.L:
        ax.text(x + RADIUS + 0.12, y, _target(n, sample, j), fontsize=8, **{**style, "ha": "left"})
