"""Tables for the command line: CSV files read with every check, their coding for a network, and the way back.

Called by table_model.py. Knows csv, math, NumPy and the core's generator, nothing of networks. Every number that can
reach a weight comes from correctly rounded sums (math.fsum) and square roots, the same on every machine.
"""

import csv
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

DELIMITERS = ",;\t"

Row = tuple[int, list[str]]
Choice = tuple[Sequence[str], str | None]


class TableError(ValueError):
    """What is wrong with a table, in one sentence that names the line and the column."""


@dataclass(frozen=True)
class Table:
    """The columns of a CSV file that were asked for.

    Attributes
    ----------
    path : str
    columns : list of str
        Names of the numeric columns, in the order asked for.
    X : ndarray of float64, shape (m, len(columns))
        Their cells, all finite.
    text : list of str
        The cells of the text column, stripped; empty if none was asked for.
    lines : list of int
        The line of the file each row ends on.
    """

    path: str
    columns: list[str]
    X: NDArray[np.float64]
    text: list[str]
    lines: list[int]

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, in words."""
        return f'line {self.lines[row]} of {self.path}, column "{column}"'


def read(path: str, choose: Callable[[list[str]], Choice]) -> Table:
    """Read some columns of a CSV file with a header line.

    Comma, semicolon or tab separate the cells, whichever the header uses first in that order; blank lines are skipped.

    Parameters
    ----------
    path : str
    choose : callable
        Gets the names in the header; returns those of the numeric columns wanted, and that of one text column or None.

    Raises
    ------
    TableError
        Unreadable text, a ragged row, a missing or non-numeric or non-finite cell, no rows, doubtful column names.
    OSError
        The file cannot be opened.
    """
    with _opened(path) as (header, rows):
        return _load(path, header, rows, *choose(header))


def read_numbers(path: str) -> Table:
    """Read a CSV file of which every column is numeric; a first line of numbers only is a row, not a header."""
    with _opened(path) as (header, rows):
        if all(_number(cell) is not None for cell in header):
            names = [f"{i + 1}" for i in range(len(header))]
            return _load(path, names, chain([(1, header)], rows), names, None)
        return _load(path, header, rows, header, None)


@contextmanager
def _opened(path: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The header and the rows to come, faults of the text as TableError."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            first = file.readline()
            delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
            reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
            rows = ((reader.line_num, cells) for cells in reader if cells)
            header = next(rows, None)
            if header is None:
                raise TableError(f"{path} is empty")
            yield [cell.strip() for cell in header[1]], rows
        except UnicodeDecodeError as error:
            raise TableError(f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x})") from None
        except csv.Error as error:
            raise TableError(f"line {reader.line_num} of {path} is not valid CSV: {error}") from None


def _load(path: str, header: list[str], rows: Iterator[Row], numeric: Sequence[str], text: str | None) -> Table:
    wanted = [*numeric] if text is None else [*numeric, text]
    _check_names(path, header, wanted)
    places = [header.index(name) for name in numeric]
    text_place = None if text is None else header.index(text)
    numbers, texts, lines = array("d"), [], []
    for line, cells in rows:
        if len(cells) != len(header):
            raise TableError(
                f"line {line} of {path} has {_count(len(cells), 'cell')}, but the header names {len(header)}"
            )
        numbers.extend(_row_numbers(path, line, header, cells, places))
        if text_place is not None:
            texts.append(_present(path, line, text, cells[text_place]))
        lines.append(line)
    if not lines:
        raise TableError(f"{path} has a header but no rows")
    X = np.array(numbers, dtype=np.float64).reshape(len(lines), len(places))
    return Table(path, [*numeric], X, texts, lines)


def _check_names(path: str, header: list[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if not name:
            raise TableError(f"column {header.index(name) + 1} of {path} has no name in the header")
        if header.count(name) > 1:
            raise TableError(f'{path} has {header.count(name)} columns named "{name}"')


def _row_numbers(path: str, line: int, header: list[str], cells: list[str], places: list[int]) -> list[float]:
    try:
        values = [float(cells[place]) for place in places]
        if all(map(math.isfinite, values)):
            return values
    except ValueError:
        pass
    for place in places:
        cell = _present(path, line, header[place], cells[place])
        if (value := _number(cell)) is None:
            raise TableError(f'line {line} of {path}, column "{header[place]}": "{cell}" is not a number')
        if not math.isfinite(value):
            raise TableError(f'line {line} of {path}, column "{header[place]}": {cell} is not a finite number')
    raise AssertionError("a row that float() refused has a cell that it refuses")


def _present(path: str, line: int, column: str | None, cell: str) -> str:
    cell = cell.strip()
    if not cell:
        raise TableError(f'line {line} of {path}, column "{column}": the value is missing')
    return cell


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def code_target(table: Table, name: str, as_classes: bool = False) -> tuple[NDArray[Any], list[str] | None]:
    """The target column as class labels or as numbers.

    Parameters
    ----------
    table : Table
        With the target as its text column.
    name : str
        The target's name, for messages.
    as_classes : bool
        Integers are classes too, and so is a mixture of numbers and text.

    Returns
    -------
    y : ndarray of int64 (labels) or float64 (numbers), shape (m,)
    classes : list of str or None
        The class of each label, sorted (integers by value); None for numbers.

    Raises
    ------
    TableError
        One value only, text and numbers mixed, a number that is not finite, a class label that is no integer.
    """
    values = [_number(cell) for cell in table.text]
    n_text = values.count(None)
    if len(set(table.text)) == 1:
        raise _nothing_to_learn(table, name)
    if not as_classes and n_text == 0:
        return _finite_target(table, name, values), None
    if not as_classes and n_text < len(values):
        row = next(i for i, value in enumerate(values) if value is None)
        raise TableError(
            f'{table.place(row, name)}: "{table.text[row]}" is not a number, but other rows hold numbers '
            "(--classes makes every different value a class)"
        )
    labels = table.text if n_text else _integer_labels(table, name, values)
    classes = sorted(set(labels), key=None if n_text else int)
    if len(classes) == 1:
        raise _nothing_to_learn(table, name)
    code = {label: i for i, label in enumerate(classes)}
    return np.array([code[label] for label in labels], dtype=np.int64), classes


def _nothing_to_learn(table: Table, name: str) -> TableError:
    return TableError(f'every row of {table.path} has the same "{name}", "{table.text[0]}": there is nothing to learn')


def _finite_target(table: Table, name: str, values: list[Any]) -> NDArray[np.float64]:
    for row, value in enumerate(values):
        if not math.isfinite(value):
            raise TableError(f"{table.place(row, name)}: {table.text[row]} is not a finite number")
    return np.array(values, dtype=np.float64)


def _integer_labels(table: Table, name: str, values: list[Any]) -> list[str]:
    for row, value in enumerate(values):
        if not value.is_integer():
            raise TableError(f"{table.place(row, name)}: {table.text[row]} is not an integer, so no class label")
    return [str(int(value)) for value in values]


def centre_and_scale(column: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (divisor n) from correctly rounded sums; the scale of a constant column is 1.

    Works on the column divided by a power of two, so that no finite numbers overflow.

    Examples
    --------
    >>> centre_and_scale([1.0, 2.0, 3.0, 6.0])
    (3.0, 1.8708286933869707)
    >>> centre_and_scale([0.1, 0.1, 0.1])
    (0.1, 1.0)
    >>> centre_and_scale([1.5e308, -1.5e308])
    (0.0, 1.5e+308)
    """
    low, high = min(column), max(column)
    if low == high:
        return low, 1.0
    exponent = math.frexp(max(-low, high))[1]
    values = [math.ldexp(value, -exponent) for value in column]
    mean = math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    scale = math.sqrt(math.fsum([d * d for d in deviations]) / len(values))
    return math.ldexp(mean, exponent), math.ldexp(scale, exponent) or 1.0


@dataclass(frozen=True)
class Coding:
    """How a table becomes a network's inputs and its outputs become a table: what `cbp train` keeps in the model.

    Attributes
    ----------
    columns : list of str
        The input columns, in the network's order.
    mean, scale : list of float
        Of each input column in the training rows.
    target : str
    classes : list of str or None
        None when the target is a number.
    target_mean, target_scale : float
        Of a numeric target in the training rows; 0 and 1 for classes.
    """

    columns: list[str]
    mean: list[float]
    scale: list[float]
    target: str
    classes: list[str] | None
    target_mean: float = 0.0
    target_scale: float = 1.0

    @classmethod
    def learn(
        cls, table: Table, train: NDArray[np.int64], y: NDArray[Any], target: str, classes: list[str] | None
    ) -> "Coding":
        """Learn the scales from the rows `train` of the table and of `y`."""
        moments = [centre_and_scale(column) for column in table.X[train].T.tolist()]
        mean, scale = [m for m, _ in moments], [s for _, s in moments]
        y_moments = (0.0, 1.0) if classes else centre_and_scale(y[train].tolist())
        return cls(table.columns, mean, scale, target, classes, *y_moments)

    def inputs(self, table: Table, dtype: Any) -> NDArray[Any]:
        """Return the rows standardised, (m, len(columns)) of `dtype`; TableError where a cell is out of range."""
        return _standardised(table, self.columns, table.X, self.mean, self.scale, dtype)

    def targets(self, table: Table, y: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """What the network learns: the labels as they are, or the numbers standardised, (m, 1) of `dtype`."""
        if self.classes:
            return y
        return _standardised(table, [self.target], y[:, None], [self.target_mean], [self.target_scale], dtype)

    def numbers(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """The network's output (m, 1) back in the units of a numeric target, shape (m,)."""
        with np.errstate(over="ignore"):
            return output[:, 0].astype(np.float64) * self.target_scale + self.target_mean

    def to_dict(self) -> dict[str, Any]:
        """As JSON can keep it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Any, n_in: int, n_out: int) -> "Coding":
        """From `to_dict`, checked against the network's widths; ValueError when it does not fit."""
        if not isinstance(kept, dict) or set(kept) != {field.name for field in fields(cls)}:
            raise ValueError("its fields are not those that cbp train writes")
        coding = cls(**kept)
        names = [*_list_of(coding.columns, str), *_list_of([coding.target], str), *_list_of(coding.classes or [], str)]
        numbers = [*_list_of(coding.mean, float), *_list_of(coding.scale, float)]
        numbers += _list_of([coding.target_mean, coding.target_scale], float)
        if not all(names) or not all(map(math.isfinite, numbers)) or min(*coding.scale, coding.target_scale) <= 0:
            raise ValueError("it holds an empty name or a number that cannot be")
        lengths = (len(coding.columns), len(coding.mean), len(coding.scale), len(coding.classes or [""]))
        if lengths != (n_in, n_in, n_in, n_out):
            raise ValueError("its columns or classes do not fit the network")
        return coding


def _standardised(
    table: Table, names: list[str], values: NDArray[np.float64], mean: list[float], scale: list[float], dtype: Any
) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        result: NDArray[Any] = ((values - mean) / scale).astype(dtype)
    for row, column in np.argwhere(~np.isfinite(result)):
        raise TableError(
            f"{table.place(row, names[column])}: {values[row, column]:g} is too far from "
            f"the mean of the training rows, {mean[column]:g}"
        )
    return result


def _list_of(values: Any, kind: type) -> list[Any]:
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"it should hold a list of {kind.__name__}")
    return values
