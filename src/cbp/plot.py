"""Pictures. matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbp.errors import optional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbp._typing import ArrayLike

_NO_CURVES = ("learning_rate", "seconds")


def learning_curve(history: Mapping[str, Sequence[float]], ax: Any = None) -> Any:
    """Draw losses against epochs, and all metrics on an axis of their own, each in one colour.

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
    if ax is None:
        _, ax = optional("matplotlib.pyplot", "a picture", "plot").subplots(layout="constrained")
    for name in ("loss", "val_loss"):
        if name in history:
            ax.plot(_epochs(history[name]), history[name], label=_label(name))
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if all(value > 0 for name in ("loss", "val_loss") for value in history.get(name, ())):
        ax.set_yscale("log")
    measured = [name for name in history if name not in _NO_CURVES and _plain(name) != "loss"]
    top = _add_metrics(ax, {name: history[name] for name in measured}) if measured else ax
    handles = [line for axes in dict.fromkeys((ax, top)) for line in axes.get_lines()]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 3.5, "ncols": 2, "frameon": False}
    top.legend(handles=handles, **({} if top is ax else below))  # two axes leave no corner free that could be found
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
    import numpy as np

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


def _plain(name: str) -> str:
    return name.removeprefix("val_")


def _label(name: str) -> str:
    return ("training " if name == _plain(name) else "validation ") + _plain(name).replace("_", " ")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
