"""Pictures of a training, and of how outputs and targets agree. matplotlib is imported when one is drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cbp._typing import Array, ArrayLike

__all__ = ["calibration", "error_histogram", "learning_curve", "regression", "training_state"]

STATE = (
    *("learning_rate", "gradient", "mu", "lambda", "step", "evaluations", "products"),
    *("gamma", "alpha", "beta", "evidence"),
)
"""What an optimiser or a full-batch method tells of itself; the rest of a history is losses, metrics and seconds."""

_BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 3.5, "ncols": 2, "frameon": False}
_LOGARITHMIC = {"learning_rate", "gradient", "mu", "lambda", "step"}


def learning_curve(history: Mapping[str, Sequence[float]], ax: Any = None) -> Any:
    """Draw losses against epochs, and all metrics on an axis of their own, each in one colour.

    A ring marks the epoch with the least validation loss. What a full-batch method tells of itself is left to
    `training_state`.

    Parameters
    ----------
    history : History, or mapping of name to numbers
        What `Network.fit` returned.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.

    Returns
    -------
    matplotlib Axes
        The axes with the losses; `ax.figure.savefig("curve.png")` keeps the picture.

    Raises
    ------
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> from cbp.plot import learning_curve
    >>> ax = learning_curve({"loss": [0.7, 0.5, 0.4]})  # doctest: +SKIP
    >>> ax.figure.savefig("curve.png")  # doctest: +SKIP
    """
    ax = _axes() if ax is None else ax
    for name in ("loss", "val_loss"):
        if name in history:
            ax.plot(_epochs(history[name]), history[name], label=_label(name))
    ax.set(xlabel="epoch", ylabel="loss")
    ring = _mark_best(ax, history["val_loss"]) if "val_loss" in history else []
    ax.xaxis.get_major_locator().set_params(integer=True)
    if all(value > 0 for name in ("loss", "val_loss") for value in history.get(name, ())):
        ax.set_yscale("log")
    measured = [name for name in history if name not in (*STATE, "seconds") and _plain(name) != "loss"]
    top = _add_metrics(ax, {name: history[name] for name in measured}) if measured else ax
    handles = [*ax.get_lines(), *ring, *([] if top is ax else top.get_lines())]
    top.legend(handles=handles, **({} if top is ax else _BELOW))  # two axes leave no corner free that could be found
    return ax


def calibration(model: Any, X: ArrayLike, y: ArrayLike, ax: Any = None) -> Any:
    """Draw the share of targets inside intervals of every level against that level: the diagonal is as it should be.

    Below it the intervals are too narrow, above it too wide. The band is where 95 of 100 honest models would be, by
    chance alone, at each level.

    Parameters
    ----------
    model : `cbp.diagnostics.Laplace`, or Network that has learned its uncertainty
    X, y : array_like
        Data that the network was not trained on, as for `Network.fit`.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As for `cbp.diagnostics.coverage`.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> from cbp.plot import calibration
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> posterior = net.learn_uncertainty([[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    >>> ax = calibration(net, [[0], [1]], [1.1, 2.2])  # doctest: +SKIP
    """
    from cbp.diagnostics import coverage

    levels = np.linspace(0.01, 0.99, 99)
    shares = coverage(model, X, y, levels)
    n = np.count_nonzero(~np.isnan(np.asarray(y, np.float64)))
    chance = 1.96 * np.sqrt(levels * (1 - levels) / n)
    if ax is None:
        _, ax = optional("matplotlib.pyplot", "a picture", "plot").subplots(layout="constrained")
    low, high = np.maximum(levels - chance, 0), np.minimum(levels + chance, 1)
    ax.fill_between(levels, low, high, color="0.9", label="by chance alone, 95 %")
    ax.plot((0, 1), (0, 1), color="0.6", linewidth=1)
    ax.plot(levels, shares, label=f"share of {n:,} targets")
    ax.set(xlabel="level of the interval", ylabel="share of targets inside", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper left", frameon=False)
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
    if missing := [name for name in wanted if name not in figures]:
        raise ValueError(f"the history has no figure {missing[0]!r}; there are: {', '.join(figures)}")
    if not wanted:
        raise ValueError("the history has no figure to draw")
    panels = _panels(len(wanted)) if axes is None else np.ravel(axes)
    if len(panels) != len(wanted):
        raise ValueError(f"{len(wanted)} figures want as many axes, not {len(panels)}: {', '.join(wanted)}")
    for ax, name in zip(panels, wanted, strict=True):
        _draw_state(ax, name, figures[name])
    panels[-1].set_xlabel("epoch")
    return panels


def regression(
    y: ArrayLike, outputs: ArrayLike, ax: Any = None, *, parts: Mapping[str, ArrayLike] | None = None
) -> Any:
    """Draw outputs against targets, with the line of least squares through them and the correlation R.

    Parameters
    ----------
    y, outputs : array_like, shape (n, n_L) or (n,)
        Targets and what `Network.predict` says; all columns go into one picture, targets that are NaN into none.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.
    parts : mapping of str to array_like of int, optional
        Rows that are drawn apart, each with a colour and an R of its own: ``{"training": rows, "test": others}``, the
        rows as `cbp.split` gives them.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Targets and outputs differ in shape, or there are none.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import regression
    >>> ax = regression([1.0, 2.0, 4.0], [1.1, 1.9, 4.2])  # doctest: +SKIP
    >>> ax.get_title()  # doctest: +SKIP
    'R = 0.9976'
    """
    pairs = _pairs(y, outputs, parts)
    ax = _axes() if ax is None else ax
    for name, (t, a) in pairs.items():
        ax.scatter(t, a, s=16, alpha=0.8 if len(t) <= 200 else 0.4, linewidths=0, label=_with_r(name, t, a, pairs))
    t, a = (np.concatenate(column) for column in zip(*pairs.values(), strict=True))
    ends = np.array([min(t.min(), a.min()), max(t.max(), a.max())])
    ax.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, zorder=0, label="output = target")
    r = _correlation(t, a)
    if r is not None:
        slope = r * a.std() / t.std()
        constant = a.mean() - slope * t.mean()
        sign = "-" if constant < 0 else "+"
        line = f"output = {slope:.3g} target {sign} {abs(constant):.3g}"
        ax.plot(ends, constant + slope * ends, color="0.15", linewidth=1.2, label=line)
    ax.set(xlabel="target", ylabel="output", title="R is not defined" if r is None else f"R = {r:.4f}")
    ax.axis("square")
    for handle in ax.legend(**_BELOW).legend_handles:
        handle.set_alpha(1.0)
    return ax


def error_histogram(
    y: ArrayLike,
    outputs: ArrayLike,
    ax: Any = None,
    *,
    parts: Mapping[str, ArrayLike] | None = None,
    bins: int = 20,
) -> Any:
    """Draw how often errors, target - output, of each size occur.

    Parameters
    ----------
    y, outputs : array_like, shape (n, n_L) or (n,)
        Targets and what `Network.predict` says; all columns count alike, targets that are NaN not at all.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.
    parts : mapping of str to array_like of int, optional
        Rows that are drawn apart, one on top of the other: see `regression`.
    bins : int, default 20
        Number of intervals between the least error and the largest.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Targets and outputs differ in shape, or there are none.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import error_histogram
    >>> ax = error_histogram([1.0, 2.0, 4.0], [1.1, 1.9, 4.2], bins=5)  # doctest: +SKIP
    """
    pairs = _pairs(y, outputs, parts)
    ax = _axes() if ax is None else ax
    errors = [t - a for t, a in pairs.values()]
    ax.hist(errors, bins=bins, stacked=True, rwidth=0.92, label=list(pairs))
    ax.axvline(0.0, color="0.15", linestyle="--", linewidth=1)
    ax.set(xlabel="error: target - output", ylabel="how many")
    ax.yaxis.get_major_locator().set_params(integer=True)
    if parts is not None:
        ax.legend()
    return ax


# ---- histories ----


def _mark_best(ax: Any, losses: Sequence[float]) -> list[Any]:
    """Put a ring around the least of the losses that are numbers, and return it for the legend."""
    known = [(loss, epoch) for epoch, loss in enumerate(losses, 1) if not math.isnan(loss)]
    if not known:
        return []
    loss, epoch = min(known)
    look = {"s": 60, "facecolors": "none", "edgecolors": "C1", "zorder": 3}
    return [ax.scatter([epoch], [loss], label=f"least: epoch {epoch}", **look)]


def _failures(losses: Sequence[float]) -> list[float]:
    """Return for each epoch how many there were since the last one that was better than all before it."""
    counts: list[float] = []
    best = math.inf
    for loss in losses:
        counts.append(0.0 if loss < best else (counts[-1] if counts else 0.0) + 1)
        best = min(best, loss)
    return counts


def _panels(n: int) -> Any:
    """Return the axes of n panels, one above the other."""
    pyplot = optional("matplotlib.pyplot", "a picture", "plot")
    _, axes = pyplot.subplots(n, sharex=True, squeeze=False, layout="constrained", figsize=(6.4, 1.2 + 1.5 * n))
    return axes[:, 0]


def _draw_state(ax: Any, name: str, values: Sequence[float]) -> None:
    """Draw one figure; that of a count as steps."""
    count = name == "failures"
    ax.plot(_epochs(values), values, drawstyle="steps-mid" if count else "default")
    if name in _LOGARITHMIC and min(values, default=0) > 0:
        ax.set_yscale("log")
    title = "validation failures" if count else name.replace("_", " ")
    last = f"{values[-1]:.4g} at epoch {len(values)}" if len(values) else "none"
    ax.set_title(f"{title}: {last}", loc="left", fontsize="medium")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if count:
        ax.yaxis.get_major_locator().set_params(integer=True)


def _add_metrics(ax: Any, figures: Mapping[str, Sequence[float]]) -> Any:
    """Draw metrics on axes with a scale of their own; where both are there, that of the validation is dashed."""
    other = ax.twinx()
    names = list(dict.fromkeys(map(_plain, figures)))
    for name, values in figures.items():
        colour = f"C{2 + names.index(_plain(name))}"  # the first two are those of the losses
        dashed = name != _plain(name) and _plain(name) in figures
        other.plot(_epochs(values), values, color=colour, linestyle="--" if dashed else "-", label=_label(name))
    other.set_ylabel(_label(*figures) if len(figures) == 1 else ", ".join(name.replace("_", " ") for name in names))
    return other


# ---- targets and outputs ----


def _pairs(y: ArrayLike, outputs: ArrayLike, parts: Mapping[str, ArrayLike] | None) -> dict[str, tuple[Array, Array]]:
    """Return targets (k,) and outputs (k,) of each part, without those that are missing."""
    t, a = np.asarray(y, np.float64), np.asarray(outputs, np.float64)
    if t.shape != a.shape and t.size == a.size and {t.ndim, a.ndim} == {1, 2}:
        t, a = t.reshape(len(t), -1), a.reshape(len(a), -1)
    if t.shape != a.shape:
        raise ValueError(f"targets and outputs differ in shape: {t.shape} and {a.shape}")
    chosen = {"all": slice(None)} if parts is None else {name: np.asarray(rows) for name, rows in parts.items()}
    found = {name: (t[rows].ravel(), a[rows].ravel()) for name, rows in chosen.items()}
    known = {name: ~np.isnan(own) for name, (own, _) in found.items()}
    pairs = {name: (own[known[name]], its[known[name]]) for name, (own, its) in found.items()}
    if not sum(len(own) for own, _ in pairs.values()):
        raise ValueError("there are no targets to draw")
    return pairs


def _correlation(t: Array, a: Array) -> float | None:
    """Return Pearson's R, or None where one of the two has no spread."""
    if len(t) < 2 or not t.std() or not a.std():
        return None
    return float(np.corrcoef(t, a)[0, 1])


def _with_r(name: str, t: Array, a: Array, pairs: Mapping[str, Any]) -> str | None:
    """Return what the legend says of a part: nothing where there is one part only."""
    r = _correlation(t, a)
    return None if len(pairs) == 1 else name if r is None else f"{name}, R = {r:.4f}"


# ---- words and axes ----


def _axes() -> Any:
    """Return the axes of a new figure."""
    return optional("matplotlib.pyplot", "a picture", "plot").subplots(layout="constrained")[1]


def _plain(name: str) -> str:
    return name.removeprefix("val_")


def _label(name: str) -> str:
    return ("training " if name == _plain(name) else "validation ") + _plain(name).replace("_", " ")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
