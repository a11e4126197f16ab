"""Pictures of a training: losses, metrics and learning rate by epoch, and what a method tells of itself."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from cbp.history import STATE
from cbp.plot._axes import (
    BLUE,
    COLOURS,
    FAINT,
    RED,
    bare,
    divide,
    given,
    module,
    new,
    plain,
    whole_numbers,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHARES = {"accuracy", "binary_accuracy", "sign_accuracy", "precision", "recall", "f1"}
"""Metrics from 0 to 1 that are better the larger they are: they share a panel."""
_LOGARITHMIC = {"learning_rate", "gradient", "mu", "lambda", "step"}
LABEL = 12  # letters of a scale's name that stand side by side
_WIDE = 10.0  # a curve is drawn on a logarithmic scale where its largest value is so many times its least


class Panel(NamedTuple):
    """Figures that are drawn on one scale: their names, what the scale is called, its share of the height."""

    names: list[str]
    label: str
    height: float


def learning_curve(
    history: Mapping[str, Sequence[float]], ax: Any = None, names: str | Iterable[str] | None = None
) -> Any:
    """Draw losses, metrics and a changing learning rate against epochs, in panels one above the other.

    Losses have the first panel, where a ring marks the epoch with the least validation loss; shares such as accuracy
    and recall have one together, every other metric has its own. Blue is training, orange validation, where a panel has
    no legend of its own. The learning rate is drawn where it changes. A scale
    is logarithmic where a loss or a rate falls below a tenth of what it was and stays positive. What a full-batch
    method tells of itself is left to `training_state`.

    Parameters
    ----------
    history : History, or mapping of name to numbers
        What `Network.fit` returned.
    ax : matplotlib Axes, optional
        Where to draw; divided where there are several panels. Default: a new figure of pyplot.
    names : str or iterable of str, optional
        Which figures; default: all losses and metrics, and a learning rate that changes.

    Returns
    -------
    matplotlib Axes
        The first panel; `ax.figure.savefig("curve.png")` keeps the picture.

    Raises
    ------
    ValueError
        The history has no such figure, or none.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> from cbp.plot import learning_curve
    >>> ax = learning_curve({"loss": [0.7, 0.5, 0.4]})  # doctest: +SKIP
    >>> ax.figure.savefig("curve.png")  # doctest: +SKIP
    """
    panels = _divided(_chosen(history, names))
    if ax is None:
        ax = new(6.4, 2.2 + 0.8 * sum(panel.height for panel in panels))
    axes = divide(ax, [panel.height for panel in panels])
    best = _best(history["val_loss"]) if "val_loss" in panels[0].names else None
    for place, panel in zip(axes, panels, strict=True):
        _draw_panel(place, panel, history, best)
        if panel is panels[0] or not _is_explained(panel, panels[0]):
            place.legend(frameon=False, fontsize="small")
    axes[-1].set_xlabel("epoch")
    whole_numbers(ax.xaxis)
    ax.figure.align_ylabels(axes)
    return ax


def training_state(history: Mapping[str, Sequence[float]], axes: Any = None, names: Iterable[str] | None = None) -> Any:
    """Draw what a method tells of itself, a panel for each figure, with its last value.

    Parameters
    ----------
    history : History, or mapping of name to numbers
        What `Network.fit` returned.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each figure; default: a new figure of pyplot.
    names : iterable of str, optional
        Which figures; default: learning rate, norm of the gradient, mu and the like, as far as they are there, and
        where rows are held out "failures": for how many epochs the validation loss has not been less than before.

    Returns
    -------
    ndarray of matplotlib Axes, shape (number of figures,)

    Raises
    ------
    ValueError
        There is no such figure, no figure at all, or not as many axes.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import training_state
    >>> axes = training_state({"loss": [3.0, 1.0], "gradient": [9.0, 0.2], "mu": [1e-3, 1e-4]})  # doctest: +SKIP
    >>> axes[0].figure.savefig("state.png")  # doctest: +SKIP
    """
    figures = dict(history)
    if "val_loss" in figures:
        figures["failures"] = _failures(figures["val_loss"])
    wanted = [name for name in (*STATE, "failures") if name in figures] if names is None else list(names)
    _require(figures, wanted)
    panels = _below_each_other(len(wanted)) if axes is None else given(axes, wanted)
    for ax, name in zip(panels, wanted, strict=True):
        _draw_state(ax, name, figures[name])
    panels[-1].set_xlabel("epoch")
    return panels


def _require(history: Mapping[str, Sequence[float]], wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in history]:
        raise ValueError(f"the history has no figure {missing[0]!r}; there are: {', '.join(history)}")
    if not wanted:
        raise ValueError("the history has no figure to draw")


# ---- learning curves ----


def _chosen(history: Mapping[str, Sequence[float]], names: str | Iterable[str] | None) -> list[str]:
    """Return the names of the figures to draw."""
    if names is not None:
        chosen = [names] if isinstance(names, str) else list(names)
    else:
        chosen = [name for name in history if name not in (*STATE, "seconds")]
        chosen += ["learning_rate"] if len(set(history.get("learning_rate", ()))) > 1 else []
    _require(history, chosen)
    return chosen


def _divided(names: Sequence[str]) -> list[Panel]:
    """Return the panels: losses, shares, every other metric, the learning rate."""
    losses = [name for name in ("loss", "val_loss") if name in names]
    shares = [name for name in names if plain(name) in _SHARES]
    others = [name for name in names if name not in (*losses, *shares, "learning_rate")]
    panels = [Panel(losses, "loss", 3.0)] if losses else []
    if shares:
        kinds = list(dict.fromkeys(map(plain, shares)))
        panels.append(Panel(shares, kinds[0] if len(kinds) == 1 else "share", 2.0))
    for kind in dict.fromkeys(map(plain, others)):
        panels += [Panel([name for name in others if plain(name) == kind], kind, 2.0)]
    return panels + ([Panel(["learning_rate"], "learning_rate", 1.0)] if "learning_rate" in names else [])


def _draw_panel(ax: Any, panel: Panel, history: Mapping[str, Sequence[float]], best: int | None) -> None:
    """Draw the figures of one panel; where they are of several kinds, a kind has a colour, and validation dashes."""
    kinds = list(dict.fromkeys(map(plain, panel.names)))
    for name in panel.names:
        held_out = name != plain(name)
        colour = COLOURS[kinds.index(plain(name)) % len(COLOURS)] if len(kinds) > 1 else RED if held_out else BLUE
        dashes = "--" if len(kinds) > 1 and held_out and plain(name) in panel.names else "-"
        steps = "steps-mid" if name == "learning_rate" else "default"
        ax.plot(
            _epochs(history[name]), history[name], dashes, color=colour, drawstyle=steps, label=_label(name), lw=1.6
        )
    if best is not None and "val_loss" in panel.names:
        look = {"s": 60, "facecolors": "none", "edgecolors": RED, "linewidths": 1.4, "zorder": 3}
        ax.scatter([best], [history["val_loss"][best - 1]], label=f"least: epoch {best}", **look)
    elif best is not None:
        ax.axvline(best, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
    if panel.label in ("loss", "learning_rate", "gradient") and _is_wide([history[name] for name in panel.names]):
        ax.set_yscale("log")
    ax.set_ylabel("\n".join(textwrap.wrap(words(panel.label), LABEL)))
    bare(ax)


def _is_explained(panel: Panel, first: Panel) -> bool:
    """Whether the legend of the first panel says what the colours of another one mean."""
    one_kind = all(len(set(map(plain, each.names))) == 1 for each in (panel, first))
    return panel.label == "learning_rate" or (one_kind and _sides(panel) <= _sides(first))


def _sides(panel: Panel) -> set[bool]:
    return {name != plain(name) for name in panel.names}


def _is_wide(curves: Sequence[Sequence[float]]) -> bool:
    """Whether the curves want a logarithmic scale: all positive, and from far above to far below."""
    values = [value for curve in curves for value in curve if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) >= _WIDE * min(values)


def _best(losses: Sequence[float]) -> int | None:
    """Return the epoch, from 1, of the least of the losses that are numbers; None where none is."""
    known = [(loss, epoch) for epoch, loss in enumerate(losses, 1) if not math.isnan(loss)]
    return min(known)[1] if known else None


# ---- the state of a method ----


def _failures(losses: Sequence[float]) -> list[float]:
    """Return for each epoch how many there were since the last one that was better than all before it."""
    counts: list[float] = []
    best = math.inf
    for loss in losses:
        counts.append(0.0 if loss < best else (counts[-1] if counts else 0.0) + 1)
        best = min(best, loss)
    return counts


def _below_each_other(n: int) -> Any:
    """Return the axes of n panels, one above the other."""
    size = (6.4, 1.2 + 1.5 * n)
    _, axes = module("pyplot").subplots(n, sharex=True, squeeze=False, layout="constrained", figsize=size)
    return axes[:, 0]


def _draw_state(ax: Any, name: str, values: Sequence[float]) -> None:
    """Draw one figure; that of a count as steps."""
    count = name == "failures"
    ax.plot(_epochs(values), values, drawstyle="steps-mid" if count else "default", color=BLUE)
    if name in _LOGARITHMIC and min(values, default=0) > 0:
        ax.set_yscale("log")
    title = "validation failures" if count else words(name)
    last = f"{values[-1]:.4g} at epoch {len(values)}" if len(values) else "none"
    ax.set_title(f"{title}: {last}", loc="left", fontsize="medium")
    bare(ax)
    whole_numbers(ax.xaxis)
    if count:
        whole_numbers(ax.yaxis)


def _label(name: str) -> str:
    return ("training " if name == plain(name) else "validation ") + words(plain(name))


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
