"""Answers written some rows at a time: CSV, JSON lines, Parquet; to the screen, a device, or a file that replaces."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from cbp.errors import optional

Cells = Any
"""A column of an answer: a list of str, an ndarray, or a pyarrow Array; None, or masked, is no value."""

FORMS = ("csv", "tsv", "jsonl", "parquet")
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def form_of(path: str | None) -> str:
    """What is written to a file of this name: csv where the ending says nothing else.

    >>> form_of("answers.jsonl"), form_of("answers.tsv.gz"), form_of(None)
    ('jsonl', 'tsv', 'csv')
    """
    name = (path or "").lower().removesuffix(".gz")
    return _ENDINGS.get(os.path.splitext(name)[1], "csv")


class Sink:
    """Where answers go; `begin` once with the names of the columns, then `write` as often as there are rows."""

    def begin(self, names: Sequence[str]) -> None:
        """Say what the columns are called."""
        raise NotImplementedError

    def write(self, columns: Sequence[Cells]) -> None:
        """Write some rows, given column by column."""
        raise NotImplementedError

    def end(self) -> None:
        """Write what remains."""


class TextSink(Sink):
    """CSV, or with a tab between the cells."""

    def __init__(self, file: IO[str], delimiter: str) -> None:
        self._writer = csv.writer(file, lineterminator="\n", delimiter=delimiter)

    def begin(self, names: Sequence[str]) -> None:
        """Write the header."""
        self._writer.writerow(names)

    def write(self, columns: Sequence[Cells]) -> None:
        """Write lines; each number in as few digits as its precision needs."""
        self._writer.writerows(zip(*map(_as_text, columns), strict=True))


class JSONLines(Sink):
    """An object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def begin(self, names: Sequence[str]) -> None:
        """Keep the keys."""
        self._names = names

    def write(self, columns: Sequence[Cells]) -> None:
        """Write lines."""
        for row in rows_of(self._names, columns):
            self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


class Parquet(Sink):
    """A group of rows each time; the types are those of the first."""

    def __init__(self, file: IO[bytes]) -> None:
        optional("pyarrow", "a Parquet file", "parquet")
        self._file = file
        self._writer: Any = None
        self._schema: Any = None

    def begin(self, names: Sequence[str]) -> None:
        """Keep the names."""
        self._names = names

    def write(self, columns: Sequence[Cells]) -> None:
        """Write a group of rows."""
        import pyarrow
        import pyarrow.parquet

        if self._writer is None:
            arrays = list(map(_as_arrow, columns))
            kinds = [pyarrow.string() if pyarrow.types.is_null(array.type) else array.type for array in arrays]
            self._schema = pyarrow.schema(list(zip(self._names, kinds, strict=True)))
            self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema)
        kinds = self._schema.types
        arrays = [_as_arrow(column).cast(kind) for column, kind in zip(columns, kinds, strict=True)]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))

    def end(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()


def rows_of(names: Sequence[str], columns: Sequence[Cells]) -> Iterator[dict[str, Any]]:
    """Yield each row as what JSON can hold: a number in as few digits as it needs, null where there is none."""
    for values in zip(*map(_as_json, columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _as_text(column: Cells) -> Any:
    if isinstance(column, np.ma.MaskedArray):
        return ["" if gone else str(cell) for cell, gone in zip(column.data, np.ma.getmaskarray(column), strict=True)]
    if isinstance(column, np.ndarray):
        return column.astype(str)
    return column.to_pylist() if hasattr(column, "to_pylist") else column


def _as_json(column: Cells) -> Sequence[Any]:
    if isinstance(column, np.ndarray):
        column = [float(cell) if cell else None for cell in _as_text(column)]
    cells = column.to_pylist() if hasattr(column, "to_pylist") else column
    return [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in cells]


def _as_arrow(column: Cells) -> Any:
    import pyarrow

    if isinstance(column, pyarrow.Array):
        return column
    if isinstance(column, np.ma.MaskedArray):
        return pyarrow.array(column.data, mask=np.ma.getmaskarray(column))
    return pyarrow.array(column)


@contextmanager
def open_answers(path: str | None, form: str) -> Iterator[Sink]:
    """Open a place for answers.

    Parameters
    ----------
    path : str or None
        A file, there when it is complete and compressed if its name ends in .gz; what is no file at all, like
        /dev/stdout or a pipe, is written into as it is. None is the screen.
    form : str
        One of `FORMS`.

    Raises
    ------
    OSError
        The file cannot be written; one that was there before is untouched.
    ImportError
        Parquet, and pyarrow is not installed.
    """
    if path is None and not hasattr(sys.stdout, "buffer"):  # somebody has put a text of their own in its place
        yield _text_sink(sys.stdout, form)
        return
    with _binary(path) as file:
        if form == "parquet":
            sink: Sink = Parquet(file)
            yield sink
            sink.end()
            return
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=path is None)
        try:
            yield _text_sink(text, form)
        except BaseException:
            with contextlib.suppress(OSError, ValueError):
                text.detach()
            raise
        text.flush()
        text.detach()


def _text_sink(file: IO[str], form: str) -> Sink:
    return JSONLines(file) if form == "jsonl" else TextSink(file, "\t" if form == "tsv" else ",")


@contextmanager
def _binary(path: str | None) -> Iterator[Any]:
    from cbp import io as models

    if path is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
    elif path.lower().endswith(".gz"):
        with models.replacing(path) as packed, gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:
            yield file
    else:
        with models.replacing(path) as file:
            yield file
