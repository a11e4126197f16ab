"""Parts of data: to train on, to stop by, to judge by.

The order that the rows are drawn in is the core's, so a split has the same bits on every machine, and that of two
shares is the one that `fit` makes for ``validation=``.
"""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._arguments import real, whole
from cbp._samples import SPLIT_STREAM
from cbp.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cbp._typing import Labels

__all__ = ["split"]


def split(
    *data: Any, shares: Iterable[float] = (0.7, 0.15, 0.15), how: str = "random", seed: int = 0
) -> tuple[Any, ...]:
    """Divide rows into parts: by default 70 % to train on, 15 % to validate with, 15 % to test with.

    Parameters
    ----------
    *data : array_like, shape (n, ...), or one int
        Arrays, data frames or sparse matrices with as many rows, which are divided alike; or the number of rows n.
    shares : iterable of float, default (0.7, 0.15, 0.15)
        What each part gets, in proportion: (70, 15, 15) means the same. A part gets its share rounded, and one row at
        least, or none where its share is 0; the first part gets all that is left.
    how : {"random", "block", "interleaved"}, default "random"
        "random" draws the rows of each part; "block" takes the parts one after the other, for rows that follow each
        other in time; "interleaved" spreads each part evenly over the rows. Within a part, rows keep their order.
    seed : int, default 0
        Of the random parts. Those of ``shares=(1 - f, f)`` are the rows that ``fit(validation=f)`` trains on and holds
        out where this is the seed of the network.

    Returns
    -------
    tuple
        A part for each share: the numbers of its rows (k,) if n was given, its rows if one array was given, a tuple
        with the rows of each array if several were.

    Raises
    ------
    ValueError
        The arrays differ in length, there are fewer rows than parts, or a share is negative.
    TypeError
        There is nothing to divide, or something is no number.

    See Also
    --------
    Network.fit : `validation` takes a part, or a share of the rows.

    Notes
    -----
    The three ways are dividerand, divideblock and divideint of MATLAB's networks; the name of the second argument
    and that rows are drawn without replacement are as in scikit-learn's train_test_split.

    Examples
    --------
    >>> import cbp
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    >>> train, validation, test = cbp.split(X, y, shares=(4, 1, 1))
    >>> net = cbp.Network([1, 1], output="identity", seed=0)
    >>> history = net.fit(*train, validation=validation, epochs=5)
    >>> sorted(net.evaluate(*test, metrics="r2"))
    ['loss', 'r2']
    >>> cbp.split(10, shares=(5, 3, 2), how="interleaved")
    (array([0, 3, 4, 6, 9]), array([1, 5, 8]), array([2, 7]))
    """
    if not data:
        raise TypeError("split needs the number of rows, or arrays to divide")
    if how not in _WAYS:
        raise unknown("way to split", how, _WAYS)
    if len(data) == 1 and hasattr(data[0], "__index__") and not hasattr(data[0], "__len__"):
        tables, n = None, whole(data[0], "the number of rows", 1)
    else:
        tables = [_table(one) for one in data]
        n = _rows(tables)
    parts = _WAYS[how](_sizes(n, shares), whole(seed, "seed", 0, 2**64 - 1))
    if tables is None:
        return tuple(parts)
    found = [tuple(_take(table, rows) for table in tables) for rows in parts]
    return tuple(part[0] if len(tables) == 1 else part for part in found)


def _sizes(n: int, shares: Iterable[float]) -> list[int]:
    """Return how many of n rows each part gets."""
    wanted = [real(share, "a share", low=0.0) for share in shares]
    total = fsum(wanted)
    if total <= 0 or wanted[0] == 0:
        raise ValueError("shares must be positive numbers, the first of them for the rows that are trained on")
    rest = [max(round(share / total * n), 1) if share else 0 for share in wanted[1:]]
    if n <= sum(rest):
        raise ValueError(f"{n} rows are too few for {1 + sum(map(bool, rest))} parts of these shares")
    return [n - sum(rest), *rest]


def _random(sizes: list[int], seed: int) -> list[Labels]:
    order = _core.permutation(seed, SPLIT_STREAM, sum(sizes))
    held = np.split(order, np.cumsum(sizes[1:]))  # the last is the first part's
    return [np.sort(part) for part in (held[-1], *held[:-1])]


def _block(sizes: list[int], _: int) -> list[Labels]:
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes[:-1]))


def _interleaved(sizes: list[int], _: int) -> list[Labels]:
    """Row j of k in a part stands at (j + 1/2) / k of the way; the earlier part comes first where two meet."""
    at = np.concatenate([(2.0 * np.arange(k) + 1) / k for k in sizes if k])
    owner = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(at, kind="stable")]
    return [np.flatnonzero(owner == part) for part in range(len(sizes))]


_WAYS: dict[str, Callable[[list[int], int], list[Any]]] = {
    "random": _random,
    "block": _block,
    "interleaved": _interleaved,
}


def _table(data: Any) -> Any:
    """Return what has rows that can be picked: data frames and sparse matrices as such, all else as an array."""
    if hasattr(data, "tocsr"):
        return data.tocsr()
    return data if hasattr(data, "iloc") else np.asanyarray(data)


def _rows(tables: list[Any]) -> int:
    if any(not table.shape for table in tables):
        raise TypeError("split needs the number of rows by itself, or arrays to divide")
    lengths = [table.shape[0] for table in tables]
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays have different numbers of rows: {', '.join(map(str, lengths))}")
    return int(lengths[0])


def _take(table: Any, rows: Labels) -> Any:
    return table.iloc[rows] if hasattr(table, "iloc") else table[rows]
