"""Expressions and statements of the kernels' vocabulary, read into trees.

The formulas of csrc/*.def and csrc/kern/*.inc are calls of words (FMA, SEL, N(name) ...), with a little C between them.
Used by _library.py, which knows the macros, and by _writer.py, which writes the trees as plain C.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F.]+(?:[pP][-+]?\d+)?[fFuUlL]*|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fFuUlL]*)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<mark><<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>=?:(),]))"
)
# How tightly the operators of C bind
BINARY = {"|": 6, "^": 7, "&": 8, "==": 9, "!=": 9, "<": 10, ">": 10, "<<": 11, ">>": 11, "+": 12, "-": 12} | {
    "*": 13,
    "/": 13,
    "%": 13,
}
UNARY = "-+*&~!"
TYPES = ("void", "R", "U", "V", "M", "float", "double", "int")


class UnknownText(ValueError):
    """A formula has something that no word of the vocabulary is."""


@dataclass(frozen=True)
class Node:
    """One node of an expression.

    Attributes
    ----------
    kind : {"number", "name", "call", "own", "unary", "binary", "choice", "cast"}
        "own" is a call of a function N(text) of the library; "choice" is ?:.
    text : str
        The number, name, operator or type.
    args : tuple of Node
    """

    kind: str
    text: str
    args: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()

    def replaced(self, names: Mapping[str, Node]) -> Node:
        """Return the tree with these names replaced."""
        if self.kind == "name":
            return names.get(self.text, self)
        return Node(self.kind, self.text, tuple(arg.replaced(names) for arg in self.args))


def parse(text: str) -> Node:
    """Read one expression."""
    reader = _Reader(text)
    node = reader.expression()
    if reader.peek():
        raise UnknownText(f"{reader.peek()!r} is one word too many in {text.strip()!r}")
    return node


class _Reader:
    """Reads an expression by the precedence of its operators."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, at = text, [], 0
        text = text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if not match:
                raise UnknownText(f"{text[at:].strip()!r} cannot be read")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> tuple[str, str]:
        if self.at == len(self.tokens) or (expected and self.peek() != expected):
            raise UnknownText(f"{expected or 'something'} is missing in {self.text.strip()!r}")
        self.at += 1
        return self.tokens[self.at - 1]

    def expression(self) -> Node:
        condition = self.binary(0)
        if self.peek() != "?":
            return condition
        self.take("?")
        then = self.expression()
        self.take(":")
        return Node("choice", "?:", (condition, then, self.expression()))

    def binary(self, least: int) -> Node:
        left = self.unary()
        while BINARY.get(self.peek(), -1) >= least and self.peek():
            _, operator = self.take()
            left = Node("binary", operator, (left, self.binary(BINARY[operator] + 1)))
        return left

    def unary(self) -> Node:
        kind, text = self.take()
        if kind == "mark" and text in UNARY:
            return Node("unary", text, (self.unary(),))
        if text == "(":
            if self.peek() in TYPES and self.tokens[self.at + 1][1] == ")":
                _, name = self.take()
                self.take(")")
                return Node("cast", name, (self.unary(),))
            inside = self.expression()
            self.take(")")
            return inside
        if kind == "number":
            return Node("number", text)
        if kind != "name":
            raise UnknownText(f"{text!r} is not expected in {self.text.strip()!r}")
        if text == "N" and self.peek() == "(":
            self.take("(")
            _, name = self.take()
            self.take(")")
            return Node("own", name, self.arguments())
        return Node("call", text, self.arguments()) if self.peek() == "(" else Node("name", text)

    def arguments(self) -> tuple[Node, ...]:
        self.take("(")
        found: list[Node] = []
        while self.peek() != ")":
            if found:
                self.take(",")
            found.append(self.expression())
        self.take(")")
        return tuple(found)


# ---- text in parts ----


def parts(text: str, separator: str) -> list[str]:
    """Split at the separators that are outside of all parentheses, braces and strings."""
    found, depth, quoted, start = [], 0, False, 0
    for at, mark in enumerate(text):
        if mark == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif mark in "({":
            depth += 1
        elif mark in ")}":
            depth -= 1
        elif mark == separator and depth == 0:
            found.append(text[start:at])
            start = at + 1
    return [part.strip() for part in [*found, text[start:]]]


def closing(text: str, at: int) -> int:
    """Return where the parenthesis or brace that opens at `at` is closed."""
    depth, quoted = 0, False
    for place in range(at, len(text)):
        mark = text[place]
        if mark == '"':
            quoted = not quoted
        elif not quoted:
            depth += (mark in "({") - (mark in ")}")
            if depth == 0:
                return place
    raise UnknownText(f"nothing closes {text[at : at + 40]!r}")


# ---- statements ----


@dataclass(frozen=True)
class Statement:
    """One statement of a function.

    Attributes
    ----------
    kind : {"let", "declare", "set", "return", "ignore", "do"}
        const V target = value; V target = value; target = value; return value; (void)value; value;
    type : str
        V or M, of "let" and "declare".
    target : str
    value : Node or None
        None where a variable is declared without a value.
    """

    kind: str
    type: str = ""
    target: str = ""
    value: Node | None = None


def statements(body: str) -> Iterator[Statement]:
    """Read the body of a function that has neither loops nor branches."""
    for text in parts(body, ";"):
        if not text:
            continue
        if "{" in text or re.match(r"(for|while|if|do|else|enum)\b", text):
            raise UnknownText(f"{text[:40]!r} is neither a value nor an assignment")
        declared = re.match(r"(const )?(V|M|R|int) (?!\()(.+)$", text, re.DOTALL)
        assigned = re.match(r"(\*?\w+)\s*=(?!=)(.+)$", text, re.DOTALL)
        if declared:
            for part in parts(declared[3], ","):
                target, _, value = part.partition("=")
                kind = "let" if declared[1] else "declare"
                yield Statement(kind, declared[2], target.strip(), parse(value) if value else None)
        elif text.startswith("return "):
            yield Statement("return", value=parse(text[7:]))
        elif text.startswith("(void)"):
            for part in parts(text, ","):
                yield Statement("ignore", value=parse(part.removeprefix("(void)")))
        elif assigned:
            yield Statement("set", target=assigned[1], value=parse(assigned[2]))
        else:
            yield Statement("do", value=parse(text))
