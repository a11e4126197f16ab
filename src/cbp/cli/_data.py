"""The data of a training: which columns of a table are learnt from, as what, and which rows are held out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbp import _core
from cbp._samples import SPLIT_STREAM, split_rows
from cbp.cli._words import some
from cbp.tabular import Coding, Table, TableError, Target, Wish, code_target, gather, open_table
from cbp.tabular._blocks import number
from cbp.tabular.coding import known_target

Rows = NDArray[np.int64]


@dataclass
class Data:
    """What a network is to learn.

    Attributes
    ----------
    tables : list of Table
        The table, and that of --validation-file behind it.
    coding : Coding
    X : ndarray of float64, shape (m, n_0)
        The inputs of all rows of all tables, not scaled.
    y : list of ndarray, shape (m,)
        Labels (int64) or numbers (float64) for each target.
    weight : ndarray of float64, shape (m,), or None
    train, held : ndarray of int64
        The rows to train on, and those held out.
    """

    tables: list[Table]
    coding: Coding
    X: NDArray[np.float64]
    y: list[NDArray[Any]]
    weight: NDArray[np.float64] | None
    train: Rows
    held: Rows

    @property
    def table(self) -> Table:
        """The table that is trained on."""
        return self.tables[0]

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, in words."""
        for table in self.tables:
            if row < len(table):
                return table.place(row, column)
            row -= len(table)
        raise IndexError(row)


@dataclass(frozen=True)
class Roles:
    """Which column is what: names, in the order of the header."""

    inputs: list[str]
    targets: list[str]
    weight: str | None
    numeric: list[str]
    categorical: list[str]


def named(given: Sequence[str] | None, header: Sequence[str], path: str) -> list[str]:
    """The columns that somebody lists, with commas or one by one; ValueError where there is no such column."""
    found = []
    for text in given or ():
        found += [text] if text in header else [part.strip() for part in text.split(",")]
    for name in found:
        if name not in header:
            hint = "" if any(number(cell) is None for cell in header) else " (its first line should name the columns)"
            raise ValueError(f'{path} has no column "{name}"; it has: {some(header, 30)}{hint}')
    return list(dict.fromkeys(found))


def roles_of(header: list[str], path: str, options: argparse.Namespace) -> Roles:
    """Find out which column is what; ValueError where something does not go together."""
    targets, ignored = named(options.target, header, path), named(options.ignore, header, path)
    chosen = set(named(options.inputs, header, path))
    weight = named([options.weight] if options.weight else [], header, path)
    taken = {*targets, *ignored, *weight}
    inputs = [name for name in header if name not in taken and (not chosen or name in chosen)]
    if set(targets) & {*ignored, *weight} or not inputs:
        raise ValueError(f"no columns of {path} are left to learn from")
    numeric, categorical = named(options.numeric, header, path), named(options.categorical, header, path)
    for name in numeric:
        if name in categorical:
            raise ValueError(f'column "{name}" cannot be both --numeric and --categorical')
    for name in [*numeric, *categorical]:
        if name not in inputs:
            raise ValueError(f'column "{name}" is named in --numeric or --categorical, but is no input')
    return Roles(inputs, targets, weight[0] if weight else None, numeric, categorical)


def load(options: argparse.Namespace, kept: Coding | None, seed: int) -> Data:
    """Read what is to be learnt; `kept` is the coding of the model that is trained further."""
    missing = options.missing if kept is None else "mean" if kept.missing == "mean" else options.missing
    with open_table(options.table) as source:
        roles = roles_of(source.header, source.path, options)
        table = gather(source, _wishes(roles, kept, missing))
    if missing == "drop":
        table.drop_missing()
    if kept is None:
        coded = [code_target(table, name, options.classes) for name in roles.targets]
        targets = [Target(name, classes) for name, (_, classes) in zip(roles.targets, coded, strict=True)]
        _check_targets(targets)
        y = [labels for labels, _ in coded]
    else:
        targets = list(kept.targets)
        y = [known_target(table, target) for target in targets]
    held_share = 0.0 if options.validation_file else options.validation
    train, held = _parts(y, targets, held_share, seed)
    policy = "mean" if missing == "mean" else "refuse"
    coding = Coding.learn(table, train, roles.inputs, targets, policy) if kept is None else kept
    data = Data([table], coding, coding.matrix(table), y, _weights(table, roles.weight), train, held)
    if options.validation_file:
        _add_validation(data, roles, options, missing)
    table.columns.clear()  # what they hold is in X and y, and they are as large
    return data


def read_known(path: str, coding: Coding, missing: str = "refuse", weight: str | None = None) -> Data:
    """Read a table for a model whose coding is known, its targets included; all rows are held out."""
    names = {"inputs": coding.names, "targets": [target.name for target in coding.targets]}
    with open_table(path) as source:
        for name in [*names["inputs"], *names["targets"], *([weight] if weight else [])]:
            if name not in source.header:
                raise ValueError(f'{source.path} has no column "{name}"; it has: {some(source.header, 30)}')
        roles = Roles(names["inputs"], names["targets"], weight, [], [])
        table = gather(source, _wishes(roles, coding, "mean" if coding.missing == "mean" else missing))
    if missing == "drop" and coding.missing != "mean":
        table.drop_missing()
    y = [known_target(table, target) for target in coding.targets]
    rows = np.arange(len(table))
    return Data([table], coding, coding.matrix(table), y, _weights(table, weight), rows[:0], rows)


def _wishes(roles: Roles, kept: Coding | None, missing: str) -> dict[str, Wish]:
    may_miss, drops = missing != "refuse", missing == "drop"
    wishes = {}
    if kept is None:
        for name in roles.inputs:
            kind = "number" if name in roles.numeric else "text" if name in roles.categorical else "auto"
            wishes[name] = Wish(kind, may_miss)
    else:
        for column in kept.columns:
            wishes[column.name] = Wish("number" if column.categories is None else "text", may_miss)
    wishes |= {name: Wish("text", drops) for name in roles.targets}
    if roles.weight:
        wishes[roles.weight] = Wish("number", drops)
    return wishes


def _check_targets(targets: Sequence[Target]) -> None:
    if len({target.classes is None for target in targets}) > 1:
        shown = (f'"{target.name}" {"a number" if target.classes is None else "a class"}' for target in targets)
        raise ValueError(f"several targets must be all numbers or all classes, not {', '.join(shown)}")


def _weights(table: Table, name: str | None) -> NDArray[np.float64] | None:
    if name is None:
        return None
    weight = table.numbers(name)
    for row in np.flatnonzero(weight < 0).tolist():
        raise TableError(f"{table.place(row, name)}: a weight cannot be negative")
    return weight


def _add_validation(data: Data, roles: Roles, options: argparse.Namespace, missing: str) -> None:
    """Put the rows of --validation-file behind those of the table."""
    other = read_known(options.validation_file, data.coding, missing, roles.weight)
    n = len(data.table)
    data.tables += other.tables
    data.X = np.concatenate([data.X, other.X])
    data.y = [np.concatenate(both) for both in zip(data.y, other.y, strict=True)]
    if data.weight is not None and other.weight is not None:
        data.weight = np.concatenate([data.weight, other.weight])
    data.held = np.arange(n, n + len(other.X))


def _parts(y: list[NDArray[Any]], targets: Sequence[Target], fraction: float, seed: int) -> tuple[Rows, Rows]:
    n, classes = len(y[0]), targets[0].classes
    if fraction and n < 2:
        raise ValueError("a validation needs at least 2 rows, one to train on and one to hold out")
    if len(targets) > 1 or classes is None or not fraction:
        return split_rows(n, fraction, seed)
    return stratified(y[0], fraction, seed)


def stratified(labels: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """The rows to train on and those to hold out: the same share of every class, as nearly as whole rows allow.

    A class keeps one row to train on at least. The rows of a class are drawn in the order of `split_rows`.

    >>> train, held = stratified(np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]), 0.5, seed=0)
    >>> [int((held < 4).sum()), int((held >= 4).sum())]
    [2, 3]
    """
    counts = np.bincount(labels)
    exact = fraction * counts
    quota = np.minimum(exact.astype(np.int64), np.maximum(counts - 1, 0))
    wanted = min(max(round(fraction * len(labels)), 1), len(labels) - 1)
    for label in np.argsort(quota - exact, kind="stable").tolist():
        if quota.sum() < wanted and quota[label] < counts[label] - 1:
            quota[label] += 1
    order = _core.permutation(seed, SPLIT_STREAM, len(labels))
    held = np.concatenate([order[labels[order] == label][: quota[label]] for label in range(len(counts))])
    held.sort()
    return np.setdiff1d(order, held), held
