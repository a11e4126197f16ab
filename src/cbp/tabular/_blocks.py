"""Some rows of a table, whatever file they came from: columns as numbers or as text, and where each row stands."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Cells that hold no value, in small letters; where text is taken word by word only the empty one is such."""


class TableError(ValueError):
    """What is wrong with a table, in one sentence that names the line and the column."""


class MissingError(TableError):
    """A cell has no value, and that is refused."""


def count_of(n: int, thing: str) -> str:
    """A number and what is counted, in the plural where it belongs.

    >>> count_of(1, "row"), count_of(1500, "row"), count_of(2, "category")
    ('1 row', '1,500 rows', '2 categories')
    """
    if n == 1:
        return f"{n:,} {thing}"
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{n:,} {several}"


def number(cell: str) -> float | None:
    """The number that a cell holds, or None."""
    try:
        return float(cell)
    except ValueError:
        return None


BOOLEANS = {"true": 1.0, "false": 0.0}


def value(cell: str) -> float | None:
    """The number that a cell of an input holds, true and false among them, or None."""
    found = number(cell)
    return BOOLEANS.get(cell.lower()) if found is None else found


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.lower() in MISSING


class Block:
    """Some rows of a table.

    Parameters
    ----------
    path : str
        What messages call the table.
    header : list of str
        The names of the columns.
    places : sequence of int
        Where each row stands in the file: the line it ends on, or its number from 1.
    """

    unit = "line"
    """What `places` count."""
    typed = False
    """Whether the file itself says which columns hold numbers."""

    def __init__(self, path: str, header: list[str], places: Sequence[int]) -> None:
        self.path, self.header, self.places = path, header, places

    def __len__(self) -> int:
        return len(self.places)

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, in words."""
        return f'{self.unit} {self.places[row]} of {self.path}, column "{column}"'

    def kind(self, name: str) -> str | None:
        """Whether a column holds a "number" or "text"; None where it shows neither here."""
        raise NotImplementedError

    def text(self, name: str) -> list[str]:
        """The cells of a column as text, stripped, "" where there is none."""
        raise NotImplementedError

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The cells of a column as numbers, (rows,), NaN where one is missing; TableError where one is no number."""
        raise NotImplementedError

    def cells(self, name: str) -> Any:
        """The cells of a column as they are, for a `Sink` to write."""
        return self.text(name)


class TextBlock(Block):
    """Rows of a text file.

    Parameters
    ----------
    path, header, places
        As for `Block`.
    rows : list of list of str
        The cells, as many in each row as there are columns.
    """

    def __init__(self, path: str, header: list[str], places: Sequence[int], rows: list[list[str]]) -> None:
        super().__init__(path, header, places)
        self._rows, self._at = rows, {name: at for at, name in enumerate(header)}

    def _cells(self, name: str) -> list[str]:
        at = self._at[name]
        return [row[at] for row in self._rows]

    def kind(self, name: str) -> str | None:
        """What the first cell that has a value holds."""
        for cell in self._cells(name):
            if not is_missing(cell.strip()):
                return "text" if value(cell) is None else "number"
        return None

    def text(self, name: str) -> list[str]:
        """The cells of a column, stripped."""
        return [cell.strip() for cell in self._cells(name)]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The cells of a column as numbers; nan is a missing one, infinity is refused."""
        cells = self._cells(name)
        try:
            values = np.array(array("d", map(float, cells)), dtype=np.float64)
        except ValueError:
            values = np.array([self._number(row, name, cell.strip()) for row, cell in enumerate(cells)])
        for row in np.flatnonzero(np.isinf(values)).tolist():
            raise TableError(f"{self.place(row, name)}: {cells[row].strip()} is not a finite number")
        return values

    def _number(self, row: int, name: str, cell: str) -> float:
        if is_missing(cell):
            return math.nan
        found = value(cell)
        if found is None:
            raise TableError(f'{self.place(row, name)}: "{cell}" is not a number')
        return found


class ArrowBlock(Block):
    """Rows of a Parquet file, the columns as pyarrow has them.

    Parameters
    ----------
    path, header, places
        As for `Block`.
    columns : mapping of str to pyarrow Array
        Those that are wanted.
    """

    unit = "row"
    typed = True

    def __init__(self, path: str, header: list[str], places: Sequence[int], columns: dict[str, Any]) -> None:
        super().__init__(path, header, places)
        self._columns = columns

    def kind(self, name: str) -> str | None:
        """What the type of the column says; TableError where that is neither numbers nor text."""
        import pyarrow.types as of

        kind = self._columns[name].type
        inner = kind.value_type if of.is_dictionary(kind) else kind
        if of.is_null(inner):
            return None
        if of.is_integer(inner) or of.is_floating(inner) or of.is_boolean(inner) or of.is_decimal(inner):
            return "number"
        if of.is_string(inner) or of.is_large_string(inner):
            return "text"
        raise TableError(f'column "{name}" of {self.path} holds values of type {kind}: neither numbers nor text')

    def text(self, name: str) -> list[str]:
        """The cells as text: whole numbers without a point, "" for null and NaN."""
        return ["" if cell is None or cell != cell else _as_text(cell) for cell in self._columns[name].to_pylist()]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The cells as numbers; null and NaN are missing ones, text is refused, and so is infinity."""
        if self.kind(name) == "text":
            raise TableError(f'column "{name}" of {self.path} holds text, not numbers')
        import pyarrow

        column = self._columns[name]
        if pyarrow.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pyarrow.types.is_boolean(column.type):
            column = column.cast(pyarrow.int8())
        values = column.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        for row in np.flatnonzero(np.isinf(values)).tolist():
            raise TableError(f"{self.place(row, name)}: {values[row]:g} is not a finite number")
        return values

    def cells(self, name: str) -> Any:
        """The column, a pyarrow Array."""
        return self._columns[name]


def _as_text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
