"""The record of a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cbp.errors import optional

STATE = (
    *("learning_rate", "gradient", "mu", "lambda", "step", "evaluations", "products"),
    *("gamma", "alpha", "beta", "evidence"),
)
"""What an optimiser or a full-batch method tells of itself; the rest of a history is losses, metrics and seconds."""


class History(Mapping[str, list[float]]):
    """What `fit` returns: for every figure a list with one entry per epoch, as an item or as an attribute.

    The figures are loss, learning_rate and seconds; with validation also val_loss, and val_accuracy where the loss
    is a cross-entropy. `loss` is the mean over the samples of an epoch, each taken by the weights before the update
    that its batch made. Losses are those of scaled targets where the network scales; metrics are not.

    One of `cbp.methods` gives figures of its own (mu, gradient ...) in the place of learning_rate, and an epoch is one
    of its steps: `loss` is the objective after it.

    Attributes
    ----------
    stopped : str
        Why a method ended the training before the epochs were used up: "minimum gradient", "maximum mu", "goal", "no
        progress" ..., or "validation" where its `max_fail` did. Else "".

    Examples
    --------
    >>> import cbp
    >>> history = cbp.Network([1, 1], output="identity", seed=0).fit([[0.0], [1.0]], [1.0, 3.0], epochs=3)
    >>> len(history.loss), history["loss"] == history.loss, list(history)
    (3, True, ['loss', 'learning_rate', 'seconds'])
    """

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = {}
        self.stopped = ""

    def append(self, logs: Mapping[str, float]) -> None:
        """Add the figures of one epoch."""
        for name, value in logs.items():
            try:
                self._figures[name].append(value)
            except KeyError:
                self._figures[name] = [value]

    @property
    def epochs(self) -> int:
        """How many epochs were recorded."""
        return max(map(len, self._figures.values()), default=0)

    def plot(self, ax: Any = None, names: str | Iterable[str] | None = None) -> Any:
        """Draw losses, metrics and a learning rate that changes: see `cbp.plot.learning_curve`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: new axes.
        names : str or iterable of str, optional
            Which figures, as "loss" or ["val_loss", "learning_rate"].

        Returns
        -------
        matplotlib Axes
            The first panel.

        Raises
        ------
        ValueError
            There is no such figure.
        ImportError
            matplotlib is not installed.
        """
        from cbp.plot import learning_curve

        return learning_curve(self, ax, names)

    def to_dataframe(self) -> Any:
        """Return the figures as a pandas DataFrame: a column for each, a row for every epoch, counted from 0.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import cbp
        >>> history = cbp.Network([1, 1], output="identity", seed=0).fit([[0.0], [1.0]], [1.0, 3.0], epochs=3)
        >>> history.to_dataframe()["loss"].idxmin()  # doctest: +SKIP
        2
        """
        pandas = optional("pandas", "a data frame", "pandas")
        return pandas.DataFrame(self._figures, index=pandas.RangeIndex(self.epochs, name="epoch"))

    def __getitem__(self, name: str) -> list[float]:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __getattr__(self, name: str) -> list[float]:
        if name.startswith("_") or name not in self._figures:
            raise AttributeError(f"no figure {name!r}; there are: {', '.join(self.__dict__.get('_figures', ()))}")
        return self._figures[name]

    def _repr_html_(self) -> str:
        from cbp import notebook

        return notebook.history(self)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.6g}" for name, values in self._figures.items())
        return f"History({self.epochs} epochs{': ' + last if last else ''})"
