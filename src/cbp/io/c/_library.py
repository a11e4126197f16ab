"""The formulas of the C library, read from the files it is compiled from: macros, functions, and rows of the tables.

They are found where `cbp.get_include` says, in an installed package too. A function is what the .inc files define as
``CBP_INLINE V N(name)(...)``, a macro what stands on one ``#define`` line. Used by _writer.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from cbp.io.c._words import Node, Statement, UnknownText, closing, parse, parts, statements

INCLUDE = re.compile(r'#\s*include "(\w+\.inc)"')
FUNCTION = re.compile(r"^(?:CBP_INLINE|static inline) (\w+) N\((\w+)\)\(", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TRIVIAL = ("ZERO", "ONE", "HALF")


@dataclass(frozen=True)
class Macro:
    """One ``#define``: its parameters, None where it has no parentheses, and what it stands for."""

    params: tuple[str, ...] | None
    value: str


@dataclass(frozen=True)
class Function:
    """One function N(name): its parameters as (type, name), its statements, and what the comment before it says."""

    name: str
    result: str
    params: tuple[tuple[str, str], ...]
    body: str
    comment: str
    order: int

    def statements(self) -> Iterator[Statement]:
        """Read what it does; `UnknownText` where that is more than values and assignments."""
        return statements(self.body)


class Library:
    """The library in one precision."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.macros: dict[str, Macro] = {}
        self.functions: dict[str, Function] = {}
        for name in _files():
            self._read(_chosen(_text("kern", name), dtype == np.float64))

    def _read(self, text: str) -> None:
        for line in text.split("\n"):
            found = re.match(r"#define (\w+)(\(([\w, ]*)\))? (.*[^\\])$", line)
            if found:
                params = None if found[2] is None else tuple(part.strip() for part in found[3].split(","))
                self.macros[found[1]] = Macro(params, COMMENT.sub("", found[4]).strip())
        for found in FUNCTION.finditer(text):
            end = closing(text, found.end() - 1)
            opening = text.find("{", end)
            if text[end + 1 : opening].strip():
                continue
            body = text[opening + 1 : closing(text, opening)]
            taken = tuple(_param(part) for part in parts(text[found.end() : end], ","))
            comment = _comment_before(text, found.start()) or _comment_first(body)
            self.functions[found[2]] = Function(
                found[2], found[1], taken, COMMENT.sub("", body), comment, len(self.functions)
            )

    @cached_property
    def constants(self) -> dict[str, Node]:
        """Macros that stand for a number: K(float, double)."""
        found = {}
        for name, macro in self.macros.items():
            if macro.params is None and macro.value.startswith("K("):
                found[name] = parse(macro.value)
        return found

    def expanded(self, node: Node) -> Node:
        """Return the tree without macros, but for NEG, ABS and those that are numbers."""
        args = tuple(map(self.expanded, node.args))
        macro = self.macros.get(node.text)
        if macro is None or node.kind not in ("name", "call") or node.text in {"NEG", "ABS", "K", *self.constants}:
            return Node(node.kind, node.text, args)
        if macro.params is None:
            return self.expanded(parse(macro.value))
        if len(args) != len(macro.params):
            raise UnknownText(f"{node.text} takes {len(macro.params)} arguments")
        return self.expanded(parse(macro.value)).replaced(dict(zip(macro.params, args, strict=True)))

    # ---- numbers ----

    def number(self, node: Node) -> np.floating[Any]:
        """Return the value of a constant expression in this precision."""
        kind, text = node.kind, node.text
        if kind == "number":
            text = text.rstrip("fFlL")
            return self.dtype.type(float.fromhex(text) if text.startswith("0x") else float(text))
        if kind == "name" and text in self.constants:
            return self.number(self.constants[text])
        if kind == "name" and text in ("FLT_MIN", "DBL_MIN", "FLT_MAX", "DBL_MAX"):
            limits = np.finfo(np.float32 if text[0] == "F" else np.float64)
            return self.dtype.type(limits.tiny if text.endswith("MIN") else limits.max)
        if kind == "name" and text == "INFINITY":
            return self.dtype.type(np.inf)
        if kind == "call" and text in ("K", "SET"):
            return self.number(node.args[-1 if self.dtype == np.float64 else 0])
        if kind == "cast":
            return self.number(node.args[0])
        if kind == "unary" and text == "-":
            return self.dtype.type(-self.number(node.args[0]))
        if kind == "binary" and text in "+-":
            left, right = map(self.number, node.args)
            return self.dtype.type(left + right if text == "+" else left - right)
        raise UnknownText(f"{text!r} is no number")

    def integer(self, node: Node) -> int:
        """Return the value of an expression of unsigned integers as wide as this precision."""
        bits = 8 * self.dtype.itemsize
        kind, text = node.kind, node.text
        if kind == "number":
            return int(text.rstrip("uUlL"), 0)
        if kind == "cast" or (kind == "call" and text in ("UINT32_C", "UINT64_C")):
            return self.integer(node.args[0])
        if kind == "call" and text == "sizeof" and node.args[0].text == "R":
            return self.dtype.itemsize
        if kind == "unary" and text == "~":
            return ~self.integer(node.args[0]) & (2**bits - 1)
        if kind == "binary" and text in "+-*":
            left, right = map(self.integer, node.args)
            return left + right if text == "+" else left - right if text == "-" else left * right
        raise UnknownText(f"{text!r} is no whole number")

    # ---- rows ----

    @cached_property
    def activations(self) -> dict[str, list[str]]:
        """The fields of the rows of act.def by name: g(z) is the fifth, g'(z) the sixth; row-wise ones have kernels."""
        return {fields[1]: fields[1:] for fields in _rows("act.def", ("ACT", "ACT_ROW"))}

    @cached_property
    def losses(self) -> dict[str, list[str]]:
        """The fields of the rows of loss.def, the macro that the row is written with before them."""
        return {fields[1]: fields for fields in _rows("loss.def", ("LOSS", "LOSS_HEAD", "LOSS_PAIR"))}


@cache
def library(dtype: np.dtype[Any]) -> Library:
    """Return the library in one precision; it is read once."""
    return Library(dtype)


def _text(*names: str) -> str:
    import cbp

    with open(os.path.join(cbp.get_include(), *names), encoding="utf-8") as file:
        return file.read()


def _files() -> Iterator[str]:
    """Yield the .inc files that come before the rows: those all.inc begins with, and what elem.inc includes."""
    for name in INCLUDE.findall(_text("kern", "all.inc")):
        yield name
        if name == "elem.inc":
            yield from INCLUDE.findall(_text("kern", name))
            return


def _chosen(text: str, double: bool) -> str:
    """Return the text that is compiled in this precision, of ``#if DOUBLE``; other conditions do not hold."""
    kept, holding = [], [True]
    for line in text.split("\n"):
        word = re.match(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line)
        if not word:
            if all(holding):
                kept.append(line)
        elif word[1].startswith("if"):
            holding.append(word[2].strip() == "DOUBLE" and double)
        elif word[1] == "else":
            holding[-1] = not holding[-1]
        elif word[1] == "endif":
            holding.pop()
    return "\n".join(kept)


def _param(text: str) -> tuple[str, str]:
    """Return type and name: ("const V *", "low")."""
    words = text.rsplit(maxsplit=1)
    stars = len(words[-1]) - len(words[-1].lstrip("*"))
    return f"{words[0]} {'*' * stars}".strip(), words[-1].lstrip("*")


def _comment_before(text: str, at: int) -> str:
    before = text[:at].rstrip()
    return (
        _plain(before[before.rfind("/*") :])
        if before.endswith("*/") and text[:at].count("\n\n", len(before)) == 0
        else ""
    )


def _comment_first(body: str) -> str:
    found = re.match(r"\s*(/\*.*?\*/)", body, re.DOTALL)
    return _plain(found[1]) if found else ""


def _plain(comment: str) -> str:
    """Return what a comment says, on one line."""
    return " ".join(re.sub(r"^\s*\*", "", line) for line in comment[2:-2].split("\n")).replace("  ", " ").strip()


def _rows(name: str, words: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the rows of a table: the macro, then its fields."""
    text = COMMENT.sub("", _text(name))
    for found in re.finditer(rf"^({'|'.join(words)})\(", text, re.MULTILINE):
        yield [found[1], *parts(text[found.end() : closing(text, found.end() - 1)], ",")]
