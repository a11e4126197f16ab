"""What a formula of the trace is made of, and how it reads as a line of text.

A formula is a tuple of pieces: symbols that know their value, groups of pieces that have one value together, and signs.
The same formula is therefore read twice, once with its symbols and once with their numbers. html.py reads it as MathML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbp._typing import Array

Value = float | str | None


@dataclass(frozen=True)
class Symbol:
    """A letter with what stands below and above it, as the derivative of `of` by it where `of` is given.

    `value` is the number it stands for, or another name for it (a function's own), or None for what stays as it is.
    """

    base: str
    sub: str = ""
    sup: str = ""
    of: str = ""
    value: Value = None

    def __str__(self) -> str:
        below = "{" + self.sub + "}" if set(",+-") & set(self.sub) else self.sub
        front = f"∂{self.of}/∂" if self.of else ""
        return front + self.base + (f"_{below}" if below else "") + (f"^{self.sup}" if self.sup else "")


@dataclass(frozen=True)
class Group:
    """Pieces that have one value together, such as g′(z)."""

    pieces: Formula
    value: float | None


Piece = Symbol | Group | str
Formula = tuple[Piece, ...]
Index = int | str  # of a unit or a sample: a number from 1, or a letter

ZERO: Formula = ("0",)  # of what is 0 for a reason that a remark gives

SPACED = {"+": " + ", "-": " - ", "=": " = ", "←": " ← ", ",": ", "}
TERMS = 6  # longer sums keep their first three terms and the last one
SUM_ENDS = (3, 1)


def total(n: int, term: Callable[[int], Formula], sign: str = "+") -> Formula:
    """Return term(1) + ... + term(n); the middle of a long sum is left out."""
    if n <= TERMS:
        return join(sign, map(term, range(1, n + 1)))
    first, last = SUM_ENDS
    return join(sign, [*map(term, range(1, first + 1)), ("…",), *map(term, range(n - last + 1, n + 1))])


def shifted(i: int | str, offset: int) -> int | str:
    """Return the index that is so much larger, also for a letter."""
    return i + offset if isinstance(i, int) else f"{i}{offset:+d}" if offset else i


def at(values: Array, *places: Index) -> float | None:
    """Return the number at these places, counted from 1; None where one of them is a letter."""
    known = [place - 1 for place in places if not isinstance(place, str)]
    return float(values[tuple(known)]) if len(known) == len(places) else None


def join(sign: str, parts: Iterable[Formula]) -> Formula:
    """Return the parts with the sign between them."""
    pieces: list[Piece] = []
    for part in parts:
        pieces += [sign, *part] if pieces else part
    return tuple(pieces)


def with_symbols(formula: Formula) -> str:
    """Return the formula as text, letters for numbers."""
    return _line(_letters(formula))


def with_numbers(formula: Formula) -> str:
    """Return the formula as text, numbers in the place of all letters that stand for one."""
    return _line(numbers(formula))


def numbers(formula: Formula) -> list[str]:
    """Return the pieces as text, with numbers: negative ones in parentheses where a sign stands before them."""
    found: list[str] = []
    for piece in formula:
        text = piece if isinstance(piece, str) else number(piece)
        follows = bool(found) and found[-1].rstrip()[-1] not in "([|,;"
        negative = isinstance(piece, (Symbol, Group)) and text.startswith("-")
        found.append(f"({text})" if negative and follows else text)
    return found


def number(piece: Symbol | Group) -> str:
    """Return what a piece stands for."""
    value = piece.value
    if isinstance(value, str):
        return value
    if value is None:
        return str(piece) if isinstance(piece, Symbol) else with_symbols(piece.pieces)
    return short(value)


def short(value: float, digits: int = 4) -> str:
    """Return a number with so many digits, -0 as 0; NaN, which only a target can be, as missing."""
    if value != value:
        return "missing"
    return f"{value + 0.0:.{digits}g}"


def _letters(formula: Formula) -> list[str]:
    found: list[str] = []
    for piece in formula:
        found += _letters(piece.pieces) if isinstance(piece, Group) else [str(piece)]
    return found


def _line(pieces: Sequence[str]) -> str:
    """Join pieces: blanks around + and -, but not after a sign that has nothing before it."""
    text = ""
    for before, piece in zip(["(", *pieces], pieces, strict=False):
        sign = before in ("(", "[") and piece == "-"
        text += piece if sign else SPACED.get(piece, piece)
    return text
