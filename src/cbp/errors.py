"""The errors cbp raises beside ValueError and TypeError, and the sentences that several modules share."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from cbp import _core


class FormatError(ValueError):
    """A file is not a model that this version of cbp can read.

    Examples
    --------
    >>> import cbp, tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "notes.npz")
    ...     with open(path, "w") as file:
    ...         _ = file.write("not a model")
    ...     try:
    ...         cbp.load(path)
    ...     except cbp.FormatError as error:
    ...         print(os.path.basename(str(error)))
    notes.npz is not a model that cbp can read: it is no .npz file, or a truncated one
    """


class ExportError(RuntimeError):
    """An exported file does not compile, does not run, or does not compute what the network does.

    Examples
    --------
    >>> import cbp
    >>> issubclass(cbp.ExportError, RuntimeError)
    True
    """


class DivergenceError(ArithmeticError):
    """A loss or a parameter left the finite range while training.

    The update of the offending batch is not made, unless it was the update itself that overflowed.

    Parameters
    ----------
    layer : int
        First layer, 1 to L, that was not finite.
    epoch, batch : int or None
        Where `fit` was, both counted from 0 within that call; `batch` equals the number of batches when it was
        the last update of the epoch that overflowed. None outside `fit`.
    learning_rate : float or None
        The learning rate in use, for the message only.
    start : bool, default False
        Whether it was so before the first step, for the message only.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> try:
    ...     net.fit([[1.0], [2.0]], [1e9, -1e9], optimizer=cbp.optimizers.SGD(1e6), batch_size=1)
    ... except cbp.DivergenceError as error:
    ...     print(error.layer)
    1
    """

    layer: int
    epoch: int | None
    batch: int | None
    learning_rate: float | None

    start: bool

    def __init__(
        self,
        layer: int,
        epoch: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        start: bool = False,
    ) -> None:
        super().__init__(layer, epoch, batch, learning_rate, start)
        self.layer, self.epoch, self.batch, self.learning_rate = layer, epoch, batch, learning_rate
        self.start = start

    def __str__(self) -> str:
        if self.start:
            return (
                f"the loss is not finite where training would begin, from layer {self.layer} on; "
                "begin with smaller weights, or scale the inputs and targets"
            )
        where = "" if self.epoch is None else f" in epoch {self.epoch}, batch {self.batch} (counted from 0)"
        rate = "" if self.learning_rate is None else f" than {self.learning_rate:g}"
        return (
            f"training diverged{where}: layer {self.layer} is no longer finite; "
            f"use a smaller learning rate{rate}, or scale the inputs and targets"
        )


def diverged(report: _core.Diverged, epoch: int | None = None, learning_rate: float | None = None) -> DivergenceError:
    """Return the public error for what the core reported; `epoch` is given inside `fit` only."""
    _, batch, layer = report.args
    return DivergenceError(layer, epoch, None if epoch is None else batch, learning_rate)


def unknown(what: str, name: object, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> ValueError:
    """Return the error for a name that is in no table: it lists the names and guesses what was meant.

    `elsewhere` has names that other software has for them.
    """
    import difflib

    names, wanted = list(known), str(name).lower()
    same = (elsewhere or {}).get(wanted)
    close = [same] if same else difflib.get_close_matches(wanted, names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ";"
    return ValueError(f"no {what} is called {name!r}{hint} there are: {', '.join(names)}")


def optional(module: str, purpose: str, extra: str) -> ModuleType:
    """Import a package that cbp can do without, or say how to get it."""
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {package}: pip install "cbpnet[{extra}]"', name=package) from error
