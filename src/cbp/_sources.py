"""Rows that are not one array in memory: memory maps, sparse matrices, iterables of batches.

A source hands the rows of a pass to the core piece by piece, each piece some whole batches. The updates are those that
the same rows in one array would make, bit for bit. Used by training.py and network.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cbp._samples import Samples, class_weights, classes_of

if TYPE_CHECKING:
    from cbp._data import Reader
    from cbp._typing import Array, ClassWeight, Labels

PIECE_BYTES = 2**24
"""About as much of the inputs is in memory at once."""


class Piece(NamedTuple):
    """Samples that the core reads, how many make a batch, and their order where it is not as they are."""

    samples: Samples
    batch_size: int
    order: Labels | None = None


def is_sparse(X: Any) -> bool:
    """Whether `X` is a sparse matrix or array of SciPy's."""
    return hasattr(X, "tocsr") and hasattr(X, "toarray")


def is_mapped(X: Any) -> bool:
    """Whether `X` is an array in a memory-mapped file, or a view of one."""
    while isinstance(X, np.ndarray):
        if getattr(X, "_mmap", None) is not None:  # a copy of mapped rows is a memmap too, but has no file
            return True
        X = X.base
    return False


class Inputs:
    """Inputs that stay where they are: a memory map or a sparse matrix, or any other array."""

    def __init__(self, X: Any, reader: Reader, check_finite: bool) -> None:
        self.X = X.tocsr() if is_sparse(X) else X if is_mapped(X) else np.asarray(X)
        self.reader = reader
        if self.X.ndim != 2 or self.X.shape[1] != reader.n_in:
            raise ValueError(f"X has shape {self.X.shape}, the network expects (rows, {reader.n_in})")
        if check_finite:
            for start, end in self.spans():
                self.read(slice(start, end), check=True, first=start)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def most(self, batch_size: int = 1) -> int:
        """Return how many rows, in whole batches, are read at a time."""
        rows = PIECE_BYTES // (self.reader.n_in * self.reader.dtype.itemsize)
        return max(rows // batch_size, 1) * batch_size

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield beginnings and ends of what is read at a time."""
        for start in range(0, len(self), self.most()):
            yield start, min(start + self.most(), len(self))

    def read(self, rows: Any, check: bool = False, first: int = 0) -> Array:
        """Return some rows as the core reads them; errors count them from `first`."""
        part = self.X[rows]
        return self.reader.inputs(part.toarray() if is_sparse(part) else np.asarray(part), check, "X", first)[0]


class Rows:
    """Inputs that stay where they are, targets and weights in memory.

    Parameters
    ----------
    X : memmap, sparse matrix or array_like, shape (n, n_0)
    y, weight
        As for `fit`.
    reader : Reader
    check_finite : bool
        Read all inputs once before training and refuse NaN and infinity.
    """

    def __init__(self, X: Any, y: Any, weight: Any, reader: Reader, check_finite: bool) -> None:
        self.inputs, self.reader = Inputs(X, reader, check_finite), reader
        self.rows: Labels | None = None
        n = len(self.inputs)
        if n == 0:
            raise ValueError("X has no rows")
        self.y = reader.targets(y, n, False, check_finite)
        self.weight = reader.weights(weight, n)

    def __len__(self) -> int:
        return len(self.inputs) if self.rows is None else len(self.rows)

    def take(self, rows: Any) -> Samples:
        """Return some of the rows, read into memory."""
        return Samples(self.inputs.read(rows), self.y[rows], None if self.weight is None else self.weight[rows])

    def only(self, rows: Labels) -> Rows:
        """Train on these rows from now on; return self."""
        self.rows = rows
        return self

    def weighted(self, class_weight: ClassWeight | None) -> Rows:
        """Multiply the weight of each sample by that of its class; return self."""
        if class_weight is not None:
            used: Any = slice(None) if self.rows is None else self.rows
            weight = np.ones(len(self.y))
            n_classes = self.reader.n_classes
            weight[used] = class_weights(class_weight, classes_of(self.y[used]), n_classes)
            if self.weight is not None:
                weight *= self.weight
            self.weight = self.reader.weights(weight, len(weight), "class_weight")
        return self

    def pieces(self, order: Labels | None, batch_size: int, n: int) -> Iterator[Piece]:
        """Yield the first n rows in this order."""
        step = self.inputs.most(batch_size)
        for start in range(0, n, step):
            span = slice(start, min(start + step, n))
            chosen: Any = span if order is None else order[span]
            yield Piece(self.take(chosen if self.rows is None else self.rows[chosen]), batch_size)


class Batches:
    """An iterable of (X, y) or (X, y, sample_weight), each a batch as it is; or a function that returns one.

    Parameters
    ----------
    given : iterable or callable
        Iterated, or called, anew for every epoch.
    reader : Reader
    check_finite : bool
        Refuse NaN and infinity, in each batch before its update.
    """

    def __init__(self, given: Any, reader: Reader, check_finite: bool) -> None:
        if hasattr(given, "__array__") or is_sparse(given):
            raise TypeError("y is missing")
        if not callable(given) and not isinstance(given, Iterable):
            raise TypeError(
                f"without y, X must be an iterable of (X, y) batches or a function that returns one: {given!r}"
            )
        self.given: Iterable[Any] | Callable[[], Iterable[Any]] = given
        self.reader = reader
        self.check_finite = check_finite

    def pieces(self) -> Iterator[Piece]:
        """Yield the batches of one pass."""
        number = 0
        for number, batch in enumerate(self.given() if callable(self.given) else self.given, 1):
            if not isinstance(batch, tuple) or len(batch) not in (2, 3):
                raise TypeError(f"batch {number - 1} is no tuple (X, y) or (X, y, sample_weight)")
            X, y, weight = (*batch, None)[:3]
            names = (f"batch {number - 1}: X", f"batch {number - 1}: y")
            samples = Samples(*self.reader.batch(X, y, weight, self.check_finite, names))
            yield Piece(samples, len(samples.X))
        if number == 0:
            hint = ""
            if isinstance(self.given, Iterator):
                hint = ": a generator can be read once; pass the function that makes it, or a list"
            raise ValueError(f"no batches{hint}")
