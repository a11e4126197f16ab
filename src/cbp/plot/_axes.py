"""What the pictures share: new axes, axes divided, colours that any kind of vision tells apart, words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbp._typing import Array

PURPOSE, EXTRA = "a picture", "plot"
BLUE, ORANGE, GREEN, RED, PINK, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, RED, PINK, SKY, "#6E5494", "#7F7F7F", "#8C6D1F", "#1B3A57")
"""The first six are those of Okabe and Ito; beyond ten they begin again, with other markers: there are nine."""
MARKERS = "osD^vP*Xp"
PLUS, MINUS = BLUE, RED
INK, FAINT = "#222222", "0.6"
DIVERGING = ("#7F2704", "#D55E00", "#FDD0A2", "#FFFFFF", "#9ECAE1", "#0072B2", "#08306B")
"""From negative to positive; blue and orange are told apart with any kind of vision."""


def module(name: str) -> Any:
    """Return a module of matplotlib's, or say what to install."""
    return optional(f"matplotlib.{name}", PURPOSE, EXTRA)


def new(width: float = 6.4, height: float = 4.8) -> Any:
    """Return the axes of a new figure, so large in inches."""
    return module("pyplot").subplots(figsize=(width, height), layout="constrained")[1]


def panels(n: int, columns: int, width: float, height: float, **kwargs: Any) -> Any:
    """Return n axes of a new figure, (n,), so many in a row, each so large in inches; rows are filled from the left."""
    rows = -(-n // columns)
    size = (width * columns, height * rows)
    _, axes = module("pyplot").subplots(rows, columns, squeeze=False, layout="constrained", figsize=size, **kwargs)
    for spare in axes.ravel()[n:]:
        spare.remove()
    return axes.ravel()[:n]


def given(axes: Any, names: Sequence[str]) -> Any:
    """Return the axes that a person has given for what is called so, (n,); ValueError where there are more or less."""
    found = np.ravel(np.asarray(axes, object))
    if len(found) != len(names):
        raise ValueError(f"{len(names)} figures want as many axes, not {len(found)}: {', '.join(names)}")
    return found


def divide(ax: Any, heights: Sequence[float]) -> list[Any]:
    """Return axes one above the other in the place of `ax`, itself the first, with a common x and these shares."""
    if len(heights) == 1:
        return [ax]
    figure, spec = ax.figure, ax.get_subplotspec()
    if spec is not None:
        grid = spec.subgridspec(len(heights), 1, height_ratios=list(heights))
        ax.set_subplotspec(grid[0])
        axes = [ax, *(figure.add_subplot(grid[place], sharex=ax) for place in range(1, len(heights)))]
    else:
        axes = [ax, *_stacked(ax, np.array(heights) / sum(heights))]
    for upper in axes[:-1]:
        upper.tick_params(labelbottom=False)
    return axes


def _stacked(ax: Any, shares: Array) -> list[Any]:
    """Return axes below `ax`, which is shortened to its share of where it is."""
    x0, y0, width, height = ax.get_position().bounds
    tops = y0 + height * (1 - np.concatenate([[0.0], np.cumsum(shares)]))
    gap = 0.04 * height
    boxes = [(x0, low + gap, width, high - low - gap) for high, low in pairwise(tops)]
    ax.set_position(boxes[0])
    return [ax.figure.add_axes(box, sharex=ax) for box in boxes[1:]]


def diverging() -> Any:
    """Return the colours from negative to positive as a map of matplotlib's."""
    return module("colors").LinearSegmentedColormap.from_list("cbp", DIVERGING)


def ink_on(colour: Any) -> str:
    """Return black or white, whichever can be read on a colour."""
    red, green, blue = module("colors").to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def bare(ax: Any) -> None:
    """Take the frame's upper and right side away."""
    ax.spines[["top", "right"]].set_visible(False)


def whole_numbers(axis: Any) -> None:
    """Put ticks at whole numbers alone."""
    axis.get_major_locator().set_params(integer=True)


def plain(name: str) -> str:
    """Return the name of a figure without what says that it is of the validation."""
    return name.removeprefix("val_")


def words(name: str) -> str:
    """Return the name of a figure as a person writes it."""
    return name.replace("_", " ")


def percent(share: float) -> str:
    """Return a share in words, without hiding that it is not 0, or not 1."""
    shown = f"{100 * share:.0f} %"
    if share > 0 and shown == "0 %":
        return "< 1 %"
    return "> 99 %" if share < 1 and shown == "100 %" else shown


def count(n: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
