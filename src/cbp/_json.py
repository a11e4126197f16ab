"""The JSON of files: strict, and refused before it takes memory that a file of its size has no right to.

Python's reader takes the last of two equal keys, infinities, and text that becomes thirty times as large in memory.
Here a text means one thing or nothing. Used by _packing.py and io.
"""

from __future__ import annotations

import math
import sys
from typing import Any

SPARE = 2**24
"""Bytes of memory that a file may take beyond what its size allows."""
DEPTH = 64
"""Objects and arrays within each other, at most."""

# What each sign may stand for, at most, in bytes of memory: containers, the pairs of an object, strings, numbers
_COSTS = {b"{": 120, b"[": 100, b":": 140, b'"': 40, b",": 36}


def write(fields: dict[str, Any]) -> str:
    """Return a text that `read` reads as the same.

    Raises
    ------
    ValueError, TypeError, RecursionError
        JSON cannot hold it, or it is nothing that `read` accepts.
    """
    import json

    text = json.dumps(fields, allow_nan=False)
    read(text.encode())
    return text


def read(data: bytes, size: int | None = None) -> Any:
    """Return what `data` says, which stands in a file of `size` bytes; None: one that is trusted.

    Raises
    ------
    ValueError
        It is not plain JSON, or is too much for such a file. The message is a predicate: "is not JSON".
    """
    import json

    if size is not None:
        allow(cost(data), 2 * size)
    try:
        text = data.decode("ascii")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except _StrictError:
        raise
    except (ValueError, RecursionError):
        raise ValueError("is not JSON in ASCII") from None
    _check(value, DEPTH)
    return value


def cost(data: bytes) -> int:
    """Return how many bytes of memory this text and what it says take, at most."""
    widest = 4 if b"\\u" in data else 1  # bytes that a letter of a string takes
    return len(data) * (3 + 2 * widest) // 2 + sum(data.count(sign) * each for sign, each in _COSTS.items())


def allow(cost: int, size: int) -> None:
    """Refuse what would take so many bytes of memory, where the file allows `size`."""
    if cost > size + SPARE:
        raise ValueError("would take more memory than a file of its size may")


def taken(value: Any) -> int:
    """Return how many bytes of memory something that was read takes."""
    parts: list[Any] = value if isinstance(value, list) else []
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    return sys.getsizeof(value) + sum(map(taken, parts))


class _StrictError(ValueError):
    """What is JSON, but none that can be meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _StrictError(f"has the key {twice[:100]!r} twice")
    return found


def _constant(name: str) -> float:
    raise _StrictError(f"has a number that is {name}")


def _check(value: Any, depth: int) -> None:
    """Refuse numbers beyond those of float64, which Python reads as infinite, and what nests too deep."""
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("has a number that is infinite")
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"nests more than {DEPTH} deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check(each, depth - 1)
