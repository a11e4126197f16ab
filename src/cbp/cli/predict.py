"""`cbp predict`: a saved network applied to a table, some rows at a time."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp.cli import _data, _models
from cbp.cli._answers import Answers, scattered
from cbp.cli._build import targets_for
from cbp.cli._fit import refuse_far
from cbp.cli._options import JSON, QUIET, THREADS, Command, option
from cbp.cli._reply import Reply
from cbp.cli._words import check_writable, count_of, some
from cbp.tabular import FORMS, Block, Coding, Sink, Source, form_of, open_answers, open_table
from cbp.tabular._writing import rows_of

MORE = """\
Columns are found by their names, in any order; others, the target among them, are left alone. For a model saved from
Python the columns are the inputs in order, and a CSV file needs no header. Rows are read, answered and written some
thousand at a time, so a table may be larger than memory; answers go to standard output unless -o says where.

A category that the model never met is none of its categories (all zeros), and a warning says so.

examples:
  cbp predict iris.npz new.csv
  cbp predict iris.npz new.csv --proba --keep id -o answers.csv
  cbp predict houses.npz big.parquet -o answers.parquet
  zcat huge.csv.gz | cbp predict iris.npz - --format jsonl | head
"""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Apply options.model to options.table; returns the exit status."""
    path = None if options.output in (None, "-") else options.output
    form = options.format or form_of(path)
    _check(options, path, form)
    if options.threads:
        cbp.set_num_threads(options.threads)
    net = _models.load(options.model)
    coding, plain = _models.coding_for(net, options.model)
    _check_columns(net, coding, options)
    unknown: Counter[tuple[str, str]] = Counter()
    stream = _Stream(net, coding, options, unknown)
    with open_table(options.table, plain=plain) as source:
        _check_header(source, coding, options, plain)
        keep = _data.named(options.keep, source.header, source.path)
        collected = _Collected() if options.json and path is None else None
        with nullcontext(collected) if collected else open_answers(path, form) as sink:
            _answer(source, stream, keep, sink)
    for (column, category), times in unknown.most_common(5):
        reply.warn(f'column "{column}": the model never met "{category}" ({count_of(times, "row")})')
    reply.facts |= {"model": options.model, "rows": stream.rows, "lacking": stream.lacking}
    reply.facts |= {"output": path} if collected is None else {"answers": collected.answers}
    if stream.lacking:
        reply.warn(f"{count_of(stream.lacking, 'row')} without an answer, since a value is missing")
    return 0


def _check(options: argparse.Namespace, path: str | None, form: str) -> None:
    if path:
        check_writable(path)
    elif form == "parquet":
        raise ValueError("Parquet is not for the screen: say where to write with -o")
    if options.std and options.table == "-" == options.train:
        raise ValueError("standard input cannot be both tables")
    if options.train and not options.std:
        raise ValueError("--train is for --std only")


def _check_columns(net: cbp.Network, coding: Coding, options: argparse.Namespace) -> None:
    answers = Answers(net, coding)
    if options.proba and not answers.probable:
        raise ValueError(f"--proba: the outputs of {options.model} are no probabilities of classes")
    if options.std and coding.classifies:
        raise ValueError("--std is for targets that are numbers; --proba says how sure classes are")
    if options.std and not answers.has_variance and not options.train:
        raise ValueError(
            "--std needs --train FILE, the table the model learnt from: the model does not keep how sure it is"
        )


def _check_header(source: Source, coding: Coding, options: argparse.Namespace, plain: bool) -> None:
    if plain:
        n = len(coding.columns)
        if len(source.header) != n:
            raise ValueError(f"{source.path} has {count_of(len(source.header), 'column')}, {options.model} expects {n}")
        return
    absent = [name for name in coding.names if name not in source.header]
    if absent:
        raise ValueError(
            f"{source.path} lacks {count_of(len(absent), 'column')} that {options.model} needs: {some(absent)} "
            f"(it has: {some(source.header)})"
        )


class _Collected(Sink):
    """Answers that become part of the JSON object."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    def begin(self, names: Any) -> None:
        """Keep the keys."""
        self._names = names

    def write(self, columns: Any) -> None:
        """Keep the rows."""
        self.answers += rows_of(self._names, columns)


class _Stream:
    """Answers block by block."""

    def __init__(
        self, net: cbp.Network, coding: Coding, options: argparse.Namespace, unknown: Counter[tuple[str, str]]
    ) -> None:
        self.net, self.coding, self.options, self.unknown = net, coding, options, unknown
        self.answers = Answers(net, coding)
        self.rows = self.lacking = 0
        if options.std and not self.answers.has_variance:
            _learn_uncertainty(net, coding, options.train)

    @property
    def names(self) -> list[str]:
        """The columns of an answer."""
        return self.answers.names(self.options.proba, self.options.std)

    def columns(self, block: Block) -> list[Any]:
        """The answers for some rows, None where a row lacks a value."""
        before = sum(self.unknown.values())
        X, lacking = self.coding.rows(block, self.unknown)
        if lacking.any() and self.options.missing == "refuse":
            raise self.coding.first_lacking(block, int(np.argmax(lacking)))
        if self.options.unknown == "refuse" and sum(self.unknown.values()) > before:
            raise self.coding.first_unknown(block)
        outputs, std = self._outputs(X[~lacking], block, np.flatnonzero(~lacking))
        self.rows, self.lacking = self.rows + len(block), self.lacking + int(np.count_nonzero(lacking))
        return scattered(self.answers.columns(outputs, self.options.proba, std), ~lacking)

    def _outputs(self, X: NDArray[np.float64], block: Block, rows: NDArray[Any]) -> tuple[Any, Any]:
        if self.options.std and not self.answers.has_variance:
            refuse_far(self.net, X, self.coding, lambda row, column: block.place(int(rows[row]), column))
            return self.net.predict(X, return_std=True)
        try:
            outputs = self.net.predict(X)
        except ValueError:
            refuse_far(self.net, X, self.coding, lambda row, column: block.place(int(rows[row]), column))
            raise
        return outputs, self.answers.own_std(outputs) if self.options.std else None


def _answer(source: Source, stream: _Stream, keep: list[str], sink: Any) -> None:
    """Write the answers; nothing before the first rows have one."""
    begun = False
    wanted = list(dict.fromkeys([*stream.coding.names, *keep]))
    for block in source.blocks(wanted):
        columns = stream.columns(block)
        if not begun:
            sink.begin([*keep, *(f"predicted_{name}" if name in keep else name for name in stream.names)])
            begun = True
        sink.write([*(block.cells(name) for name in keep), *columns])


def _learn_uncertainty(net: cbp.Network, coding: Coding, path: str) -> None:
    """Learn how sure the network is from the table that it was trained on."""
    data = _data.read_known(path, coding)
    told = isinstance(net.optimizer, cbp.methods.BayesianRegularization) or any(dense.l2 for dense in net._spec.layers)
    net.learn_uncertainty(data.X, targets_for(net, data), prior=None if told else "evidence")


# fmt: off
GROUPS = {
    "": [
        option("model", metavar="model.npz"),
        option("table", metavar="new.csv", help='CSV, .csv.gz or .parquet; "-": standard input'),
        option("-o", "--output", metavar="FILE", help="write to .csv, .tsv, .jsonl or .parquet (default: the screen)"),
        option("--format", choices=FORMS, help="how to write (default: as the ending of the file says, or csv)"),
        option("--proba", action="store_true", help="the probability of every class, too"),
        option("--std", action="store_true", help="the standard deviation of every number, too"),
        option("--train", metavar="FILE", help="for --std: the table that the model learnt from"),
        option("--keep", action="append", metavar="COLUMN,..", help="columns of the table to repeat"),
        option("--missing", choices=["refuse", "empty"], default="refuse",
               help="a row that lacks a value: refuse it, or leave its answer empty (default: refuse)"),
        option("--unknown", choices=["zeros", "refuse"], default="zeros",
               help="a category that the model never met: none of its categories, or refuse it (default: zeros)"),
        THREADS, JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "apply a saved network to a table", GROUPS, MORE, "model.npz new.csv [-o FILE] [options]")
