"""Pictures. matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbp.errors import optional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LABELS = {"loss": "training loss", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}


def learning_curve(history: Mapping[str, Sequence[float]], ax: Any = None) -> Any:
    """Draw losses against epochs, and the validation accuracy on an axis of its own.

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
            ax.plot(_epochs(history[name]), history[name], label=_LABELS[name])
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if all(value > 0 for name in ("loss", "val_loss") for value in history.get(name, ())):
        ax.set_yscale("log")
    top = _add_accuracy(ax, history["val_accuracy"]) if "val_accuracy" in history else ax
    handles = [line for axes in dict.fromkeys((ax, top)) for line in axes.get_lines()]
    top.legend(handles=handles, loc="best" if top is ax else "center right")  # the top axes hide no line behind it
    return ax


def _add_accuracy(ax: Any, values: Sequence[float]) -> Any:
    other = ax.twinx()
    other.set_ylabel(_LABELS["val_accuracy"])
    other.plot(_epochs(values), values, color="tab:green", label=_LABELS["val_accuracy"])
    return other


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
