"""The library's formulas as plain C99: words become operators, constants get names, functions follow when needed.

A Writer belongs to one exported file. Each formula asks it for the functions and constants that it uses, and at the end
it gives the text of all of them in the order of the library. Used by _predict.py and _train.py.

Compilers may fuse a product with the sum that it stands in, which would change bits. The exported file forbids it, but
clang has a flag that overrules the file; so a product that becomes a term of a sum goes through `rounded`, which
clang cannot look through. What may be a product is followed here through variables, arguments and results.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.io.c import _arithmetic, _loops
from cbp.io.c._library import TRIVIAL, Function, Library, library
from cbp.io.c._words import BINARY, Node, Statement, UnknownText, parse

if TYPE_CHECKING:
    from cbp.tables import Row

WIDTH = 110
PRIMARY, PREFIX, CHOICE = 16, 14, 3
BITWISE = {"AND": "&", "OR": "|", "XOR": "^"}
COMPARED = {"LT": "<", "EQ": "=="}
SUMS = {"ADD": "+", "SUB": "-"}
PRODUCTS = {"MUL": "*", "DIV": "/"}
TAKEN = {
    *("real", "input", "target", "initial", "classes", "predict", "train_step", "up", "cost", "down"),
    *("rounded", "abs", "fma", "real_of", "bits_of", "wide", "moved_down", "taken_apart", "exact_product"),
    *("put_together",),
}
"""Names that an exported file has anyway."""
RESERVED = {
    *("and", "bool", "catch", "class", "delete", "explicit", "export", "false", "friend", "mutable", "namespace"),
    *("new", "not", "operator", "or", "private", "protected", "public", "template", "this", "throw", "true", "try"),
    *("typename", "using", "virtual", "xor"),
}
"""Words of C++ that are names in C."""


@dataclass(frozen=True)
class Text:
    """C text of an expression.

    Attributes
    ----------
    text : str
    rank : int
        How tightly its outermost operator binds.
    product : bool
        Whether the value may be a product, which a compiler could fuse with a sum.
    origins : frozenset of str
        Parameters of the function whose value it may be.
    """

    text: str
    rank: int = PRIMARY
    product: bool = False
    origins: frozenset[str] = frozenset()

    def within(self, rank: int) -> str:
        """Return the text, in parentheses where it binds less tightly than `rank`."""
        return self.text if self.rank >= rank else f"({self.text})"


@dataclass
class Signature:
    """What a caller of a function must know: its parameters, and where products come from and go to.

    Attributes
    ----------
    name : str
        In C.
    params : tuple of str
    returns_product : bool
    products_at : set of str
        Parameters through whose address a product is returned.
    sums : set of str
        Parameters that become terms of sums.
    """

    name: str
    params: tuple[str, ...]
    returns_product: bool = False
    products_at: set[str] = field(default_factory=set)
    sums: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Formula:
    """A row's formula, ready to be called: the function, and which of the row's letters it takes."""

    signature: Signature
    letters: tuple[str, ...]

    def call(self, **values: str) -> str:
        """Return the call with these values of the letters."""
        return f"{self.signature.name}({', '.join(values[letter] for letter in self.letters)})"


class Writer:
    """Writes C for one precision, every identifier with `prefix`."""

    def __init__(self, prefix: str, dtype: np.dtype[Any]) -> None:
        self.prefix = prefix
        self.dtype = dtype
        self.double = dtype == np.float64
        self.library: Library = library(dtype)
        self._signatures: dict[str, Signature] = {}  # of rows
        self._called: dict[str, Signature] = {}  # of functions of the library
        self._taken = {*TAKEN, *_loops.LOOPS, *self.library.functions, *map(str.lower, self.library.constants)}
        self._functions: dict[int, str] = {}
        self._constants: set[str] = set()
        self._rows: dict[str, str] = {}
        self._loops: dict[str, str] = {}

    def named(self, name: str) -> str:
        """Return a name with the prefix."""
        return f"{self.prefix}_{name}"

    @property
    def real(self) -> str:
        """The type of the numbers."""
        return self.named("real")

    def literal(self, value: Any) -> str:
        """Return a finite number as the shortest decimal that is read as the same one."""
        return literal(self.dtype.type(value))

    # ---- what is asked for ----

    def row(self, name: str, formula: str, letters: Iterable[str]) -> Formula:
        """Return a row's formula as a function of those of its letters that it uses; `name` is for one of its own."""
        node = self.library.expanded(parse(formula))
        used = {part.text for part in node.walk() if part.kind == "name"}
        wanted = tuple(letter for letter in letters if letter in used)
        if node.kind == "own" and tuple(arg.text for arg in node.args) == wanted:
            return Formula(self.function(node.text), wanted)
        if name in self._taken:
            name = f"{name}_formula"
        if name not in self._rows:
            signature = Signature(self.named(name), wanted)
            body = _Body(self, signature, dict.fromkeys(wanted, "V"))
            body.add(Statement("return", value=node))
            head = ", ".join(f"{self.real} {letter}" for letter in wanted) or "void"
            self._signatures[name] = signature
            self._rows[name] = f"static {self.real} {signature.name}({head}) {{\n{body.text()}}}\n"
        return Formula(self._signatures[name], wanted)

    def row_wise(self, activation: Row, variant: str = "") -> str:
        """Return the name of the loop for a function of a whole row; the variants are "_log" and "_back"."""
        kernel = self.library.activations[activation.name][4]
        if kernel not in _loops.ROW_WISE:
            raise ValueError(f"exported C cannot express the row-wise activation {activation.name}")
        return self.loop(kernel + variant)

    def loop(self, name: str) -> str:
        """Return the name of a loop, which is written with all that it names."""
        if name not in self._loops:
            text = _loops.loop(name, self.double)
            for called in re.findall(r"\bmodel_(\w+)\(", text):
                if called in _loops.LOOPS and called != name:
                    self.loop(called)
                elif called in self.library.functions:
                    self.function(called)
            self._loops[name] = _arithmetic.text(text, self.prefix)
        return self.named(name)

    def term(self, formula: Formula, **values: str) -> str:
        """Return the call of a formula, such that its value may be a term of a sum."""
        call = formula.call(**values)
        return f"{self.named('rounded')}({call})" if formula.signature.returns_product else call

    def function(self, name: str) -> Signature:
        """Return a function N(name) of the library, which is written with all that it calls."""
        if name not in self._called:
            if name not in self.library.functions:
                raise UnknownText(f"the library has no function {name}")
            found = self.library.functions[name]
            signature = Signature(self.named(name), tuple(param for _, param in found.params))
            body = _Body(self, signature, {param: kind for kind, param in found.params})
            for statement in found.statements():
                body.add(statement)
            self._called[name] = signature
            self._functions[found.order] = self._text(found, signature, body)
        return self._called[name]

    def _text(self, found: Function, signature: Signature, body: _Body) -> str:
        params = ", ".join(_declared(self.c_type(kind), safe(name)) for kind, name in found.params)
        comment = re.sub(r"\bN\((\w+)\)", r"\1", found.comment)
        head = f"static {self.c_type(found.result)} {signature.name}({params}) {{"
        return (f"{comment_of(comment)}\n" if comment else "") + f"{wrapped(head)}\n{body.text()}}}\n"

    def c_type(self, kind: str) -> str:
        """Return the C type for one of the vocabulary."""
        names = {"V": self.real, "R": self.real, "M": "int"}
        return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), kind)

    def constant(self, name: str) -> Text:
        """Return a number that has a name."""
        value = self.library.number(self.library.constants[name])
        if name in TRIVIAL:
            return Text(literal(value))
        if np.isinf(value):
            return self._infinity()
        self._constants.add(name)
        return Text(self.named(name.lower()))

    def _infinity(self) -> Text:
        bits = "0x7FF0000000000000" if self.double else "0x7F800000"
        return Text(f"{self.named('real_of')}({self.unsigned(int(bits, 16))})")

    def unsigned(self, value: int) -> str:
        """Return a whole number of the width of a real."""
        digits = f"0x{value:X}" if value > 99 else str(value)
        return f"{digits}ull" if self.double else f"{digits}u"

    # ---- what comes out ----

    def text(self) -> str:
        """Return all that was asked for, each function after those it calls, constants before them."""
        order = list(self.library.constants)
        lines = []
        for name in sorted(self._constants, key=order.index):
            value = self.library.number(self.library.constants[name])
            lines.append(f"static const {self.real} {self.named(name.lower())} = {literal(value)};\n")
        functions = [text for _, text in sorted(self._functions.items())]
        return "\n".join(
            part for part in ["".join(lines), *functions, *self._rows.values(), *self._loops.values()] if part
        )

    # ---- expressions ----

    def expression(self, node: Node, known: Mapping[str, Text], signature: Signature) -> Text:
        """Return the C text of a tree; `known` has the variables, `signature` learns which parameters become terms."""
        return _Expression(self, known, signature).write(node)


class _Expression:
    """Writes the expressions of one function."""

    def __init__(self, writer: Writer, known: Mapping[str, Text], signature: Signature) -> None:
        self.writer, self.known, self.signature = writer, known, signature

    def write(self, node: Node) -> Text:
        handler = getattr(self, f"_{node.kind}")
        return handler(node, *node.args)

    def _number(self, node: Node) -> Text:
        return Text(node.text)

    def _name(self, node: Node) -> Text:
        if node.text in self.known:
            return self.known[node.text]
        if node.text in self.writer.library.constants:
            return self.writer.constant(node.text)
        if node.text == "NULL":
            return Text("NULL")
        raise UnknownText(f"{node.text!r} is no variable here")

    def _unary(self, node: Node, arg: Node) -> Text:
        inside = self.write(arg)
        return Text(node.text + inside.within(PREFIX), PREFIX, inside.product, inside.origins)

    def _binary(self, node: Node, left: Node, right: Node) -> Text:
        rank = BINARY[node.text]
        return Text(f"{self.write(left).within(rank)} {node.text} {self.write(right).within(rank + 1)}", rank)

    def _choice(self, node: Node, condition: Node, then: Node, other: Node) -> Text:
        a, b = self.write(then), self.write(other)
        text = f"{self.write(condition).within(CHOICE + 1)} ? {a.within(CHOICE + 1)} : {b.within(CHOICE)}"
        return Text(text, CHOICE, a.product or b.product, a.origins | b.origins)

    def _cast(self, node: Node, arg: Node) -> Text:
        return Text(f"({self.writer.c_type(node.text)}){self.write(arg).within(PREFIX)}", PREFIX)

    def _own(self, node: Node, *args: Node) -> Text:
        called = self.writer.function(node.text)
        if len(args) != len(called.params):
            raise UnknownText(f"{node.text} takes {len(called.params)} arguments")
        texts = [
            self._term(arg).text if param in called.sums else self.write(arg).text
            for arg, param in zip(args, called.params, strict=True)
        ]
        return Text(f"{called.name}({', '.join(texts)})", product=called.returns_product)

    def _call(self, node: Node, *args: Node) -> Text:
        word = node.text
        if word in ("K", "SET", "BITS") or word in BITWISE or word in ("SHL", "SHR"):
            return self._word_of_bits(word, args) if word not in ("K", "SET") else self._literal(node, args)
        if word in SUMS:
            left, right = self._term(args[0]), self._term(args[1])
            return Text(f"{left.within(12)} {SUMS[word]} {right.within(13)}", 12)
        if word in PRODUCTS:
            left, right = map(self.write, args)
            return Text(f"{left.within(13)} {PRODUCTS[word]} {right.within(14)}", 13, word == "MUL")
        if word in COMPARED:
            left, right = map(self.write, args)
            return Text(f"{left.within(11)} {COMPARED[word]} {right.within(11)}", 10)
        if word == "SEL":
            return self._choice(node, *args)
        if word == "NEG":
            return self._unary(Node("unary", "-"), *args)
        if word == "ABS":
            return Text(f"{self.writer.named('abs')}({self.write(args[0]).text})")
        if word in ("FMA", "FNMA"):
            a, b, c = map(self.write, args)
            first = f"-{a.within(PREFIX)}".replace("--", "") if word == "FNMA" else a.text
            return Text(f"{self.writer.named('fma')}({first}, {b.text}, {c.text})")
        raise UnknownText(f"{word!r} is no word of the vocabulary")

    def _literal(self, node: Node, args: tuple[Node, ...]) -> Text:
        try:
            value = self.writer.library.number(node)
        except UnknownText:
            if node.text == "SET":
                return self.write(args[0])
            raise
        if np.isinf(value):
            return self.writer._infinity()
        return Text(literal(value), PRIMARY if value >= 0 else PREFIX)

    def _word_of_bits(self, word: str, args: tuple[Node, ...]) -> Text:
        real_of = self.writer.named("real_of")
        if word == "BITS":
            return Text(f"{real_of}({self._bits(Node('call', 'BITS', args))})")
        if word in BITWISE:
            return Text(f"{real_of}({self._bits(args[0])} {BITWISE[word]} {self._bits(args[1])})")
        places = self.writer.library.integer(self.writer.library.expanded(args[1]))
        return Text(f"{real_of}({self._bits(args[0])} {'<<' if word == 'SHL' else '>>'} {places})")

    def _bits(self, node: Node) -> str:
        """Return the bits of a real."""
        if node.kind == "call" and node.text == "BITS":
            return self.writer.unsigned(self.writer.library.integer(node.args[0]))
        if node.kind == "call" and node.text in BITWISE:
            return f"({self._word_of_bits(node.text, node.args).text[len(self.writer.named('real_of')) + 1 : -1]})"
        return f"{self.writer.named('bits_of')}({self.write(node).text})"

    def _term(self, node: Node) -> Text:
        """Return a term of a sum: rounded before it is added, where it may be a product."""
        found = self.write(node)
        self.signature.sums |= found.origins
        return Text(f"{self.writer.named('rounded')}({found.text})") if found.product else found


class _Body:
    """The statements of one function."""

    def __init__(self, writer: Writer, signature: Signature, params: Mapping[str, str]) -> None:
        self.writer, self.signature = writer, signature
        self.known = {
            name: Text(safe(name), origins=frozenset() if "*" in kind else frozenset([name]))
            for name, kind in params.items()
        }
        self.lines: list[str] = []

    def add(self, statement: Statement) -> None:
        """Write one statement."""
        value = None
        if statement.value is not None:
            node = self.writer.library.expanded(statement.value)
            value = self.writer.expression(node, self.known, self.signature)
            self._note_results(node)
        self.lines.append(wrapped(getattr(self, f"_{statement.kind}")(statement, value) + ";", 4))

    def _note_results(self, node: Node) -> None:
        """Remember which variables a call may have put a product into."""
        for call in node.walk():
            if call.kind == "own":
                called = self.writer.function(call.text)
                for arg, param in zip(call.args, called.params, strict=True):
                    if param in called.products_at and arg.kind == "unary":
                        self.known[arg.args[0].text] = Text(safe(arg.args[0].text), product=True)

    def _let(self, statement: Statement, value: Text) -> str:
        self._assign(statement.target, value)
        return f"const {_declared(self.writer.c_type(statement.type), safe(statement.target))} = {value.text}"

    def _declare(self, statement: Statement, value: Text | None) -> str:
        self._assign(statement.target, value or Text(""))
        declared = _declared(self.writer.c_type(statement.type), safe(statement.target))
        return declared if value is None else f"{declared} = {value.text}"

    def _set(self, statement: Statement, value: Text) -> str:
        name = statement.target.lstrip("*")
        if statement.target != name and value.product:
            self.signature.products_at.add(name)
        if statement.target == name:
            self._assign(name, value)
        return f"{statement.target.replace(name, safe(name))} = {value.text}"

    def _assign(self, name: str, value: Text) -> None:
        self.known[name] = Text(safe(name), PRIMARY, value.product, value.origins)

    def _return(self, statement: Statement, value: Text) -> str:
        self.signature.returns_product = value.product
        return f"return {value.text}"

    def _ignore(self, statement: Statement, value: Text) -> str:
        return f"(void){value.text}"

    def _do(self, statement: Statement, value: Text) -> str:
        return value.text

    def text(self) -> str:
        """Return all of them."""
        return "".join(f"{line}\n" for line in self.lines)


# ---- text ----


def literal(value: np.floating[Any]) -> str:
    """Return a finite number as the shortest decimal that is read as the same one, with the suffix of its type."""
    text = str(value) if value.dtype == np.float32 else repr(float(value))
    if not re.search(r"[.e]", text):
        text += ".0"
    return f"{text}f" if value.dtype == np.float32 else text


def safe(name: str) -> str:
    """Return a name that is a name in C++ too."""
    return f"{name}_" if name in RESERVED else name


def _declared(kind: str, name: str) -> str:
    return f"{kind}{'' if kind.endswith('*') else ' '}{name}"


def wrapped(line: str, indent: int = 0) -> str:
    """Return a line of C in as many as it needs, broken after commas and operators."""
    lines: list[str] = []
    for piece in re.split(r"(?<=[-,+*/|&?:=<^]) ", line):
        if lines and len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(" " * (indent + 8 if lines else indent) + piece)
    return "\n".join(lines)


def comment_of(text: str) -> str:
    """Return a comment, which no text can end before its end, in as many lines as it needs."""
    plain = text.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/")
    lines = textwrap.wrap(plain, WIDTH - 3, break_long_words=False, break_on_hyphens=False)
    return "/* " + "\n * ".join(lines) + " */"
