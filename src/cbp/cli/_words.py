"""What all commands need: how things are said, and whether a result can be written at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence

from cbp import io
from cbp.tabular._blocks import count_of

__all__ = ["check_writable", "count_of", "quoted", "some", "table_of"]


def some(names: Sequence[str], most: int = 12) -> str:
    """The first few of many names."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, ..."


def quoted(name: str) -> str:
    """A name that may hold blanks."""
    return f'"{name}"'


def check_writable(path: str, endings: Collection[str] = ()) -> None:
    """Find out before the work, not after it, that the result cannot be saved."""
    ending = os.path.splitext(path)[1]
    if endings and ending not in endings:
        hint = "; for other formats there is cbp export" if ending in io.EXPORTS else ""
        raise ValueError(f"{path}: the name of a model file must end in {' or '.join(endings)}{hint}")
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a file name")
    try:
        tempfile.TemporaryFile(dir=os.path.dirname(path) or ".").close()
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None


def table_of(rows: Sequence[Sequence[str]], left: int = 1, gap: str = "  ") -> str:
    """Columns of words under each other, the first `left` of them to the left, the others to the right.

    >>> print(table_of([["", "rows"], ["setosa", "7"]]))
            rows
    setosa     7
    """
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if j < left else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(gap.join(cells).rstrip())
    return "\n".join(lines)
