"""A trace as a picture of the network: activations in the units, weights old → new on the lines. matplotlib draws."""

from __future__ import annotations

from math import atan2, degrees, hypot
from typing import TYPE_CHECKING, Any

from cbp.errors import optional
from cbp.trace.symbols import short

if TYPE_CHECKING:
    from cbp.trace import Trace
    from cbp.trace.numbers import Numbers

MOST_UNITS, MOST_WEIGHTS = 6, 30
ACROSS, DOWN, RADIUS = 5.6, 1.9, 0.45
PLACES = [0.25 + 0.025 * step for step in range(21)]  # where along its line a label may stand
UP_COLOR, DOWN_COLOR, UNIT_COLOR, INK = "tab:blue", "tab:red", "#eef2f7", "#222222"
DIGITS, MOST_DIGITS = 3, 6
Point = tuple[float, float]


def draw(trace: Trace, ax: Any, sample: int) -> Any:
    """Draw the network into the axes, or into a new figure, and return the axes."""
    n = trace.numbers
    _require_readable(n)
    circle = optional("matplotlib.patches", "a picture", "plot").Circle
    if ax is None:
        size = (0.7 * (ACROSS * n.L + 3.1), 0.7 * DOWN * max(n.widths) + 1.0)
        _, ax = optional("matplotlib.pyplot", "a picture", "plot").subplots(figsize=size, layout="constrained")
    taken: list[Point] = []
    for l in range(1, n.L + 1):
        _weights(ax, n, l, taken)
    for l, units in enumerate(n.widths):
        for j in range(units):
            _unit(ax, circle, trace, sample, l, j)
    high = DOWN * (max(n.widths) - 1) / 2 + 2 * RADIUS + 0.25
    ax.set(xlim=(-1.2, ACROSS * n.L + 1.9), ylim=(-high, high), aspect="equal")
    ax.set_axis_off()
    row = "" if n.m == 1 else f", activations of sample {sample}"
    ax.set_title(f"learning rate {trace.learning_rate:g}: loss {short(trace.loss)} → {short(trace.new_loss)}{row}")
    return ax


def _require_readable(n: Numbers) -> None:
    if any(len(n.sources(l)) > 1 for l in range(1, n.L + 1)):
        raise ValueError(
            "a picture shows weights between neighbouring layers, this network has skip connections; "
            "print the trace, or see its records()"
        )
    weights = sum(theta[1:].size for theta in n.theta[1:])
    if max(n.widths) > MOST_UNITS or weights > MOST_WEIGHTS:
        raise ValueError(
            f"a picture of {max(n.widths)} units in a layer and {weights} weights cannot be read: "
            f"at most {MOST_UNITS} units and {MOST_WEIGHTS} weights can be drawn; print the trace, or see its records()"
        )


def _place(n: Numbers, l: int, j: int) -> Point:
    return ACROSS * l, DOWN * ((n.widths[l] - 1) / 2 - j)


def _weights(ax: Any, n: Numbers, l: int, taken: list[Point]) -> None:
    """Draw the lines into layer l: thick where the weight is large, blue where it grows, red where it falls."""
    largest = max(float(abs(n.theta[l][1:]).max()), 1e-30)
    for i in range(n.widths[l - 1]):
        for j in range(n.widths[l]):
            old, new = float(n.theta[l][i + 1, j]), float(n.new[l][i + 1, j])
            (x0, y0), (x1, y1) = _place(n, l - 1, i), _place(n, l, j)
            color = UP_COLOR if new > old else DOWN_COLOR if new < old else "0.5"
            ax.plot([x0, x1], [y0, y1], color=color, lw=0.6 + 2 * abs(old) / largest, alpha=0.55, zorder=1)
            x, y = _free(taken, (x0, y0), (x1, y1))
            taken.append((x, y))
            ax.text(
                x, y, _change(old, new), color=INK, fontsize=8, ha="center", va="center",
                rotation=degrees(atan2(y1 - y0, x1 - x0)), rotation_mode="anchor", transform_rotates_text=True,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}, zorder=2,
            )  # fmt: skip


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
        target = f"target {short(float(n.y[sample, j]), DIGITS)}"
        ax.text(x + RADIUS + 0.12, y, target, fontsize=8, **{**style, "ha": "left"})
