"""How outputs and targets agree: regression, errors, the calibration of intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.plot._axes import BLUE, COLOURS, bare, new, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbp._typing import Array, ArrayLike

_BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 3.5, "ncols": 2, "frameon": False}


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
    ax = new() if ax is None else ax
    for place, (name, (t, a)) in enumerate(pairs.items()):
        look = {
            "s": 16,
            "alpha": 0.8 if len(t) <= 200 else 0.4,
            "linewidths": 0,
            "color": COLOURS[place % len(COLOURS)],
        }
        ax.scatter(t, a, label=_with_r(name, t, a, pairs), **look)
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
    ax = new() if ax is None else ax
    errors = [t - a for t, a in pairs.values()]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(pairs))]
    ax.hist(errors, bins=bins, stacked=True, rwidth=0.92, label=list(pairs), color=colours)
    ax.axvline(0.0, color="0.15", linestyle="--", linewidth=1)
    ax.set(xlabel="error: target - output", ylabel="how many")
    whole_numbers(ax.yaxis)
    if parts is not None:
        ax.legend(frameon=False)
    bare(ax)
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
    ax = new() if ax is None else ax
    low, high = np.maximum(levels - chance, 0), np.minimum(levels + chance, 1)
    ax.fill_between(levels, low, high, color="0.9", label="by chance alone, 95 %")
    ax.plot((0, 1), (0, 1), color="0.6", linewidth=1)
    ax.plot(levels, shares, color=BLUE, label=f"share of {n:,} targets")
    ax.set(xlabel="level of the interval", ylabel="share of targets inside", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper left", frameon=False)
    return ax


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
