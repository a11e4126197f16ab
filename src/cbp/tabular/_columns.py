"""The columns of a whole table, gathered block by block: numbers as numbers, text as codes into a list of its words."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbp.tabular._blocks import Block, MissingError, TableError, is_missing, value
from cbp.tabular._reading import Source

MOST_CATEGORIES = 100
"""More different words than this are refused in a column of text that nobody called categorical."""


@dataclass(frozen=True)
class Wish:
    """What a column is wanted as.

    Attributes
    ----------
    kind : {"number", "text", "auto"}
        "auto": numbers where the first cell with a value holds one, else text; the others must agree.
    may_miss : bool
        Whether cells may be without a value.
    """

    kind: str = "auto"
    may_miss: bool = False


class Numbers:
    """A column of numbers: `values`, (m,), NaN where one is missing."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float64]] = []

    def add(self, block: Block, name: str) -> NDArray[np.bool_]:
        """Add the cells of a block; returns which are missing."""
        part = block.numbers(name)
        self._parts.append(part)
        return np.isnan(part)

    def end(self) -> None:
        """Join the parts."""
        self.values = np.concatenate(self._parts)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells have no value."""
        return np.isnan(self.values)


class Words:
    """A column of text: `words`, and the place in it of each cell, `codes`, (m,), -1 where one is missing.

    Parameters
    ----------
    verbatim : bool
        Somebody said that this column is text: every cell that is not empty is a word, numbers too.
    """

    def __init__(self, verbatim: bool) -> None:
        self.verbatim = verbatim
        self.words: list[str] = []
        self._known: dict[str, int] = {}
        self._parts = array("q")

    def add(self, block: Block, name: str) -> NDArray[np.bool_]:
        """Add the cells of a block; returns which are missing."""
        start = len(self._parts)
        for row, cell in enumerate(block.text(name)):
            code = self._known.get(cell)
            self._parts.append(self._new(block, name, row, cell) if code is None else code)
        return np.array(self._parts[start:], np.int64) < 0

    def _new(self, block: Block, name: str, row: int, cell: str) -> int:
        if not cell or (not self.verbatim and is_missing(cell)):
            self._known[cell] = -1
            return -1
        if not self.verbatim and not block.typed and value(cell) is not None:
            raise TableError(
                f'{block.place(row, name)}: "{cell}" is a number, but other rows hold text '
                f"(--categorical {name} makes every different value a category)"
            )
        if not self.verbatim and len(self.words) >= MOST_CATEGORIES:
            raise TableError(
                f'column "{name}" of {block.path} holds text with more than {MOST_CATEGORIES} different values: '
                f"leave it out with --ignore {name}, or insist with --categorical {name}"
            )
        self._known[cell] = len(self.words)
        self.words.append(cell)
        return len(self.words) - 1

    def end(self) -> None:
        """Make the codes an array."""
        self.codes = np.array(self._parts, dtype=np.int64)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells have no value."""
        return self.codes < 0

    def cells(self) -> list[str]:
        """The column as it was read, "" where a cell is missing."""
        words = [*self.words, ""]
        return [words[code] for code in self.codes.tolist()]


class Table:
    """The columns of a file that were asked for.

    Attributes
    ----------
    path : str
    columns : dict of str to Numbers or Words
    places : ndarray of int64, shape (m,)
        Where each row stands in the file.
    dropped : int
        How many rows were left out since a cell was missing.
    """

    def __init__(self, path: str, unit: str, columns: dict[str, Numbers | Words], places: NDArray[np.int64]) -> None:
        self.path, self.columns, self.places, self._unit = path, columns, places, unit
        self.dropped = 0

    def __len__(self) -> int:
        return len(self.places)

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, in words."""
        return f'{self._unit} {self.places[row]} of {self.path}, column "{column}"'

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The values of a column of numbers."""
        column = self.columns[name]
        assert isinstance(column, Numbers)
        return column.values

    def words(self, name: str) -> Words:
        """A column of text."""
        column = self.columns[name]
        assert isinstance(column, Words)
        return column

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        return isinstance(self.columns[name], Words)

    def drop_missing(self) -> None:
        """Leave out the rows that have a cell without a value."""
        gone = np.logical_or.reduce([column.missing for column in self.columns.values()])
        self.dropped = int(np.count_nonzero(gone))
        if self.dropped == len(self):
            raise TableError(f"every row of {self.path} has a cell without a value: none is left")
        self.places = self.places[~gone]
        for column in self.columns.values():
            if isinstance(column, Numbers):
                column.values = column.values[~gone]
            else:
                column.codes = column.codes[~gone]


def gather(source: Source, wishes: Mapping[str, Wish]) -> Table:
    """Read the columns that are wished for.

    Raises
    ------
    TableError
        A cell is missing or not of its column's kind; a column without any value; whatever `Source.blocks` refuses.
    """
    columns: dict[str, Numbers | Words] = {}
    places, pending, unit = array("q"), [], "row"
    for name, wish in wishes.items():
        if wish.kind != "auto":
            columns[name] = _column(wish.kind, verbatim=True)
    for block in source.blocks(list(wishes)):
        unit = block.unit
        places.extend(block.places)
        pending.append(block)
        for name in wishes:
            kind = block.kind(name) if block.typed or name not in columns else None
            if kind and name not in columns:
                columns[name] = _column(kind, verbatim=False)
                for earlier in pending[:-1]:
                    _add(columns[name], earlier, name, wishes[name])
            if name in columns:
                _add(columns[name], block, name, wishes[name])
            elif not wishes[name].may_miss:
                raise _missing(block, 0, name)
        if len(columns) == len(wishes):
            pending.clear()
    for name in wishes:
        if name not in columns:
            raise TableError(f'column "{name}" of {source.path} has no value in any row')
        columns[name].end()
    return Table(source.path, unit, {name: columns[name] for name in wishes}, np.array(places, dtype=np.int64))


def _column(kind: str, verbatim: bool) -> Numbers | Words:
    return Numbers() if kind == "number" else Words(verbatim)


def _add(column: Numbers | Words, block: Block, name: str, wish: Wish) -> None:
    gone = column.add(block, name)
    if not wish.may_miss and gone.any():
        raise _missing(block, int(np.argmax(gone)), name)


def _missing(block: Block, row: int, name: str) -> MissingError:
    cell = block.text(name)[row]
    return MissingError(f"{block.place(row, name)}: the value is missing" + (f' ("{cell}")' if cell else ""))
