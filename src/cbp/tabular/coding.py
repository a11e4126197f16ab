"""The coding of a table: what a model keeps of the columns it was trained on, and the network's inputs by it.

A column of numbers is an input; a column of text is an input for each of its categories, 1 where the cell is that
one and 0 elsewhere. The scaling of the inputs is the network's own. Every number that can reach a weight comes from
correctly rounded sums (math.fsum), the same on every machine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbp.tabular._blocks import Block, MissingError, TableError, is_missing, number
from cbp.tabular._columns import Numbers, Table

VERSION = 1


@dataclass(frozen=True)
class Column:
    """A column that the network learns from.

    Attributes
    ----------
    name : str
    categories : tuple of str or None
        Of a column of text; None for numbers.
    fill : float or None
        What stands where a number is missing; None where that is refused.
    """

    name: str
    categories: tuple[str, ...] | None = None
    fill: float | None = None

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs that it becomes."""
        if self.categories is None:
            return [self.name]
        return [f"{self.name}={category}" for category in self.categories]


@dataclass(frozen=True)
class Target:
    """A column that the network learns to predict: a number, or one of the classes."""

    name: str
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Coding:
    """How a table becomes a network's inputs and its outputs become a table.

    Attributes
    ----------
    columns : tuple of Column
        In the network's order.
    targets : tuple of Target
        All numbers, or all classes.
    missing : {"refuse", "mean"}
        What a cell without a value is: refused; or the mean of its column, and none of the categories.
    """

    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    missing: str = "refuse"

    @classmethod
    def learn(
        cls, table: Table, rows: NDArray[np.int64], inputs: Iterable[str], targets: Sequence[Target], missing: str
    ) -> Coding:
        """Learn categories and means from the rows `rows` of the columns `inputs`."""
        return cls(tuple(_learned(table, rows, name, missing) for name in inputs), tuple(targets), missing)

    @property
    def names(self) -> list[str]:
        """The columns that a table must have."""
        return [column.name for column in self.columns]

    @property
    def inputs(self) -> list[str]:
        """The names of the network's inputs."""
        return [name for column in self.columns for name in column.inputs]

    @property
    def classifies(self) -> bool:
        """Whether the targets are classes."""
        return self.targets[0].classes is not None

    @property
    def scaled(self) -> NDArray[np.bool_]:
        """Which inputs are numbers, and not categories."""
        return np.array([column.categories is None for column in self.columns for _ in column.inputs])

    def matrix(self, table: Table) -> NDArray[np.float64]:
        """The inputs of a whole table, (m, len(inputs)); NaN where a value is missing that may not be."""
        X = np.zeros((len(table), len(self.inputs)))
        at = 0
        for column in self.columns:
            width = len(column.inputs)
            if column.categories is None:
                X[:, at] = _filled(table.numbers(column.name), column.fill)
            else:
                words = table.words(column.name)
                known = {category: j for j, category in enumerate(column.categories)}
                place = np.array([*(known.get(word, -1) for word in words.words), -1], dtype=np.int64)
                _set(X[:, at : at + width], place[words.codes])
            at += width
        return X

    def rows(self, block: Block, unknown: Counter[tuple[str, str]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The inputs of some rows, (m, len(inputs)), and which rows lack a value that they need, (m,).

        `unknown` counts the (column, category) that the model never met, which become none of the categories.
        """
        X, lacking, at = np.zeros((len(block), len(self.inputs))), np.zeros(len(block), bool), 0
        for column in self.columns:
            width = len(column.inputs)
            if column.categories is None:
                X[:, at] = _filled(block.numbers(column.name), column.fill)
                lacking |= np.isnan(X[:, at])
            else:
                cells = block.text(column.name)
                known = {category: j for j, category in enumerate(column.categories)}
                place = np.array([known.get(cell, -1) for cell in cells], dtype=np.int64)
                _set(X[:, at : at + width], place)
                for row in np.flatnonzero(place < 0).tolist():
                    if not is_missing(cells[row]):
                        unknown[column.name, cells[row]] += 1
                    elif self.missing == "refuse":
                        lacking[row] = True
            at += width
        return X, lacking

    def first_lacking(self, block: Block, row: int) -> MissingError:
        """The error for a row that lacks a value."""
        lacking = (column for column in self.columns if self._lacks(block, row, column))
        name = next(lacking).name
        cell = block.text(name)[row]
        return MissingError(f"{block.place(row, name)}: the value is missing" + (f' ("{cell}")' if cell else ""))

    def _lacks(self, block: Block, row: int, column: Column) -> bool:
        if column.categories is None:
            return column.fill is None and math.isnan(block.numbers(column.name)[row])
        cell = block.text(column.name)[row]
        return self.missing == "refuse" and cell not in column.categories and is_missing(cell)

    def first_unknown(self, block: Block) -> TableError:
        """The error for some rows among which one has a category that the model never met."""
        for row, column in product(range(len(block)), self.columns):
            if column.categories is not None:
                cell = block.text(column.name)[row]
                if cell not in column.categories and not is_missing(cell):
                    return TableError(f'{block.place(row, column.name)}: the model never met "{cell}"')
        raise AssertionError("a category was counted that no row has")

    def to_dict(self) -> dict[str, Any]:
        """As JSON can keep it."""
        columns = []
        for column in self.columns:
            kept: dict[str, Any] = {"name": column.name}
            if column.categories is not None:
                kept["categories"] = list(column.categories)
            elif column.fill is not None:
                kept["fill"] = column.fill
            columns.append(kept)
        targets = [
            {"name": target.name} | ({} if target.classes is None else {"classes": list(target.classes)})
            for target in self.targets
        ]
        return {"version": VERSION, "columns": columns, "targets": targets, "missing": self.missing}

    @classmethod
    def from_dict(cls, kept: Any) -> Coding:
        """From what `to_dict` returned; ValueError when it is something else."""
        if not isinstance(kept, dict) or set(kept) != {"version", "columns", "targets", "missing"}:
            raise ValueError("its fields are not those that cbp train writes")
        if kept["version"] != VERSION:
            raise ValueError(f"it has version {kept['version']!r}, this cbp reads {VERSION}")
        if kept["missing"] not in ("refuse", "mean"):
            raise ValueError("missing is neither refuse nor mean")
        columns = tuple(_read_column(one) for one in _dicts(kept["columns"], {"name", "categories", "fill"}))
        targets = tuple(
            Target(_name(one), _words(one, "classes")) for one in _dicts(kept["targets"], {"name", "classes"})
        )
        if len({target.classes is None for target in targets}) > 1:
            raise ValueError("its targets are numbers and classes")
        return cls(columns, targets, kept["missing"])


def _learned(table: Table, rows: NDArray[np.int64], name: str, missing: str) -> Column:
    column = table.columns[name]
    if isinstance(column, Numbers):
        return Column(name, None, _mean(table, name, column.values[rows]) if missing == "mean" else None)
    words, codes = column.words, np.unique(column.codes[rows])
    return Column(name, tuple(sorted(words[code] for code in codes.tolist() if code >= 0)))


def _mean(table: Table, name: str, values: NDArray[np.float64]) -> float:
    """The mean of the numbers that are there, in units of a power of two so that no finite ones overflow."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise TableError(f'column "{name}" of {table.path} has no value in the training rows')
    exponent = max(int(np.frexp(np.abs(known).max())[1]), -1000)
    return math.ldexp(math.fsum(np.ldexp(known, -exponent).tolist()) / len(known), exponent)


def _filled(values: NDArray[np.float64], fill: float | None) -> NDArray[np.float64]:
    return values if fill is None else np.where(np.isnan(values), fill, values)


def _set(X: NDArray[np.float64], place: NDArray[np.int64]) -> None:
    """Put a 1 into each row of the zeros X at `place`, and none where that is negative."""
    known = np.flatnonzero(place >= 0)
    X[known, place[known]] = 1.0


def code_target(table: Table, name: str, as_classes: bool = False) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """A target as class labels or as numbers.

    Parameters
    ----------
    table : Table
        With the target as a column of text.
    name : str
    as_classes : bool, default False
        Integers are classes too, and so is a mixture of numbers and text.

    Returns
    -------
    y : ndarray of int64 (labels) or float64 (numbers), shape (m,)
    classes : tuple of str or None
        The class of each label, sorted (integers by value); None for numbers.

    Raises
    ------
    TableError
        One value only, text and numbers mixed, a number that is not finite, a class label that is no integer.
    """
    words = table.words(name)
    present = np.unique(words.codes)
    values = [number(word) for word in words.words]
    used = [values[code] for code in present.tolist()]
    n_text = used.count(None)
    if len(present) == 1:
        raise _nothing_to_learn(table, name, words.words[present[0]])
    if not as_classes and n_text == 0:
        return _finite(table, name, values), None
    if not as_classes and n_text < len(used):
        row = next(i for i, code in enumerate(words.codes.tolist()) if values[code] is None)
        raise TableError(
            f'{table.place(row, name)}: "{words.words[words.codes[row]]}" is not a number, but other rows hold numbers '
            "(--classes makes every different value a class)"
        )
    labels = words.words if n_text else _integers(table, name, values)
    classes = sorted({labels[code] for code in present.tolist()}, key=None if n_text else int)
    if len(classes) == 1:
        raise _nothing_to_learn(table, name, classes[0])
    return labelled(table, name, classes, labels), tuple(classes)


def labelled(table: Table, name: str, classes: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """The place of every row's label among the classes; TableError where it is none of them."""
    known = {label: i for i, label in enumerate(classes)}
    code = np.array([known.get(label, -1) for label in labels], dtype=np.int64)[table.words(name).codes]
    if (code < 0).any():
        row = int(np.argmax(code < 0))
        cell = table.words(name).cells()[row]
        raise TableError(f'{table.place(row, name)}: "{cell}" is none of the classes: {", ".join(classes)}')
    return code


def known_target(table: Table, target: Target) -> NDArray[Any]:
    """The column of a target whose classes are known already, as `code_target` returns it."""
    words = table.words(target.name)
    values = [number(word) for word in words.words]
    if target.classes is None:
        for row, code in enumerate(words.codes.tolist()):
            if values[code] is None:
                raise TableError(f'{table.place(row, target.name)}: "{words.words[code]}" is not a number')
        return _finite(table, target.name, values)
    known = set(target.classes)
    labels = [
        word if word in known or value is None or not value.is_integer() else str(int(value))
        for word, value in zip(words.words, values, strict=True)
    ]
    return labelled(table, target.name, target.classes, labels)


def _nothing_to_learn(table: Table, name: str, value: str) -> TableError:
    return TableError(f'every row of {table.path} has the same "{name}", "{value}": there is nothing to learn')


def _finite(table: Table, name: str, values: Sequence[Any]) -> NDArray[np.float64]:
    codes = table.words(name).codes
    y = np.array([math.nan if value is None else value for value in values], dtype=np.float64)[codes]
    for row in np.flatnonzero(~np.isfinite(y)).tolist():
        raise TableError(f"{table.place(row, name)}: {table.words(name).words[codes[row]]} is not a finite number")
    return y


def _integers(table: Table, name: str, values: Sequence[Any]) -> list[str]:
    for row, code in enumerate(table.words(name).codes.tolist()):
        if not values[code].is_integer():
            raise TableError(
                f"{table.place(row, name)}: {table.words(name).words[code]} is not an integer, so no class label"
            )
    return [str(int(value)) if value.is_integer() else "" for value in values]


# ---- reading what a model keeps ----


def _dicts(given: Any, keys: set[str]) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) and set(one) <= keys for one in given):
        raise ValueError("its columns or targets are not what cbp train writes")
    return given


def _name(given: dict[str, Any]) -> str:
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("a name is missing")
    return name


def _words(given: dict[str, Any], key: str) -> tuple[str, ...] | None:
    words = given.get(key)
    if words is None:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
        raise ValueError(f"{key} should be a list of different words")
    return tuple(words)


def _read_column(given: dict[str, Any]) -> Column:
    fill = given.get("fill")
    if fill is not None and (not isinstance(fill, float) or not math.isfinite(fill)):
        raise ValueError("a fill is no number")
    return Column(_name(given), _words(given, "categories"), fill)
