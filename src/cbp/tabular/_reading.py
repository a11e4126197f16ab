"""Files of tables, read some rows at a time: CSV with every check and NumPy alone, Parquet through pyarrow."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import IO, Any, TextIO

from cbp.errors import optional
from cbp.tabular._blocks import ArrowBlock, Block, TableError, TextBlock, count_of, number

DELIMITERS = ",;\t"
STDIN = "-"
BLOCK_ROWS = 4096
"""At most so many rows are read before something is done with them."""

Row = tuple[int, list[str]]


class Source:
    """An open table.

    Attributes
    ----------
    path : str
        What messages call it.
    header : list of str
        The names of its columns, stripped.
    """

    def __init__(self, path: str, header: list[str]) -> None:
        self.path, self.header = path, header

    def check_names(self, wanted: Sequence[str]) -> None:
        """Refuse columns without a name, and names that stand for several; TableError."""
        times = Counter(self.header)
        for name in wanted:
            if not name:
                raise TableError(f"column {self.header.index(name) + 1} of {self.path} has no name in the header")
            if times[name] > 1:
                raise TableError(f'{self.path} has {times[name]} columns named "{name}"')

    def blocks(self, wanted: Sequence[str], rows: int = BLOCK_ROWS) -> Iterator[Block]:
        """Yield the rows in order, at most so many at a time, with the columns wanted at least.

        Raises
        ------
        TableError
            Unreadable text, a ragged row, no rows, doubtful names.
        """
        self.check_names(wanted)
        empty = True
        for block in self._read(wanted, rows):
            empty = False
            yield block
        if empty:
            raise TableError(f"{self.path} has a header but no rows")

    def _read(self, wanted: Sequence[str], rows: int) -> Iterator[Block]:
        raise NotImplementedError


class TextSource(Source):
    """A CSV file: comma, semicolon or tab, whichever the first line uses first in that order; blank lines are skipped.

    Parameters
    ----------
    path : str
    file : text file, opened with newline=""
    plain : bool
        The columns are known by their order: they are called 1, 2 ..., and a first line of numbers alone is a row.
    """

    def __init__(self, path: str, file: TextIO, plain: bool) -> None:
        first = file.readline()
        delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
        self._reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
        self._rows: Iterator[Row] = ((self._reader.line_num, cells) for cells in self._reader if cells)
        with self._faults(path):
            header = next(self._rows, None)
        if header is None:
            raise TableError(f"{path} is empty")
        names = [cell.strip() for cell in header[1]]
        if plain:
            if all(number(cell) is not None for cell in names):
                self._rows = chain([header], self._rows)
            names = [f"{i + 1}" for i in range(len(names))]
        super().__init__(path, names)

    @contextmanager
    def _faults(self, path: str) -> Iterator[None]:
        """Faults of the text as TableError."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise TableError(f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x})") from None
        except csv.Error as error:
            raise TableError(f"line {self._reader.line_num} of {path} is not valid CSV: {error}") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TableError(f"{path} is not what gzip writes, or a part of it: {error}") from None

    def _read(self, wanted: Sequence[str], rows: int) -> Iterator[Block]:
        while True:
            with self._faults(self.path):
                lines = list(islice(self._rows, rows))
            if not lines:
                return
            for line, cells in lines:
                if len(cells) != len(self.header):
                    raise TableError(
                        f"line {line} of {self.path} has {count_of(len(cells), 'cell')}, "
                        f"but the header names {len(self.header)}"
                    )
            yield TextBlock(self.path, self.header, [line for line, _ in lines], [cells for _, cells in lines])


class ParquetSource(Source):
    """A Parquet file.

    Parameters
    ----------
    path : str
    file : pyarrow ParquetFile
    plain : bool
        The columns are known by their order, and called 1, 2 ...
    """

    def __init__(self, path: str, file: Any, plain: bool) -> None:
        self._file, self._names = file, list(file.schema_arrow.names)
        super().__init__(path, [f"{i + 1}" for i in range(len(self._names))] if plain else self._names)

    def _read(self, wanted: Sequence[str], rows: int) -> Iterator[Block]:
        done = 0
        own = [self._names[self.header.index(name)] for name in wanted]
        for batch in self._file.iter_batches(batch_size=rows, columns=own):
            columns = {name: batch.column(other) for name, other in zip(wanted, own, strict=True)}
            yield ArrowBlock(self.path, self.header, range(done + 1, done + 1 + len(batch)), columns)
            done += len(batch)


@contextmanager
def open_table(path: str, plain: bool = False) -> Iterator[Source]:
    """Open a table by the ending of its name.

    Parameters
    ----------
    path : str
        Parquet if it ends in .parquet or .pq, otherwise CSV, compressed if it ends in .gz; "-" is standard input.
    plain : bool, default False
        The columns are known by their order and called 1, 2 ...; a CSV file needs no header then.

    Raises
    ------
    TableError
        The file is no table.
    OSError
        The file cannot be opened.
    ImportError
        A Parquet file, and pyarrow is not installed.
    """
    if path.lower().endswith((".parquet", ".pq")):
        with open(path, "rb") as file, _parquet(path, file) as parquet:
            yield ParquetSource(path, parquet, plain)
    elif path == STDIN:
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
        try:
            yield _text("standard input", text, plain)
        finally:
            text.detach()
    elif path.lower().endswith(".gz"):
        with gzip.open(path, "rt", newline="", encoding="utf-8-sig") as packed:
            yield _text(path, packed, plain)
    else:
        with open(path, newline="", encoding="utf-8-sig") as unpacked:
            yield _text(path, unpacked, plain)


def _text(path: str, file: TextIO, plain: bool) -> TextSource:
    try:
        return TextSource(path, file, plain)
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x})") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableError(f"{path} is not what gzip writes, or a part of it: {error}") from None


@contextmanager
def _parquet(path: str, file: IO[bytes]) -> Iterator[Any]:
    """The file as pyarrow reads it, its faults as TableError."""
    parquet = optional("pyarrow.parquet", "a Parquet file", "parquet")
    import pyarrow

    try:
        yield parquet.ParquetFile(file)
    except pyarrow.ArrowException as error:
        raise TableError(f"{path} is no Parquet file that can be read: {' '.join(str(error).split())}") from None
