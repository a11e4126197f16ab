"""The NumPy text of an activation as ONNX nodes: so a new row of the table is written without another line.

A formula is translated as it stands, but for a few idioms that ONNX has an operator for. What has no z in it is
computed here, in double.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.io.onnx._erfc import erfc

if TYPE_CHECKING:
    from cbp.io.onnx._builder import Builder

_OPERATORS: dict[type, str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
    ast.BitAnd: "And",
    ast.BitOr: "Or",
    ast.Gt: "Greater",
    ast.Lt: "Less",
    ast.GtE: "GreaterOrEqual",
    ast.LtE: "LessOrEqual",
    ast.USub: "Neg",
    ast.Invert: "Not",
}
_FUNCTIONS = {
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "sign": "Sign",
    "where": "Where",
    "maximum": "Max",
    "minimum": "Min",
    "relu": "Relu",
}
# What NumPy has only basic functions for, and a shorter or safer way to say it; x stands for anything
_IDIOMS = [
    ("log1p(exp(x))", "softplus(x)"),
    ("where(x > 0, x, 0)", "relu(x)"),
]
_KNOWN = vars(math)


def write_formula(text: str, z: str, arguments: Mapping[str, float], builder: Builder) -> str:
    """Write a NumPy expression of z as nodes.

    Parameters
    ----------
    text : str
        With the names z, pi, those of the arguments, and the functions of NumPy that activations are made of; max and
        sum go along a row.
    z : str
        The value that takes the place of z.
    arguments : mapping of str to float
    builder : Builder

    Returns
    -------
    str
        The name of the result.

    Raises
    ------
    ValueError
        There is something in the text that has no translation.
    """
    tree = ast.parse(text, mode="eval").body
    for idiom, shorter in _IDIOMS:
        tree = _Rewriter(idiom, shorter).visit(tree)
    return _Translator(z, arguments, builder).value(tree)


class _Translator:
    """Turns the tree of an expression into nodes; a part that occurs twice is written once."""

    def __init__(self, z: str, arguments: Mapping[str, float], builder: Builder) -> None:
        self.z, self.arguments, self.builder = z, dict(arguments), builder
        self.done: dict[str, str] = {}

    def value(self, tree: ast.expr) -> str:
        """Return the name of what this part of the expression is."""
        key = ast.dump(tree)
        if key not in self.done:
            self.done[key] = self._made(tree)
        return self.done[key]

    def _made(self, tree: ast.expr) -> str:
        if not any(isinstance(part, ast.Name) and part.id == "z" for part in ast.walk(tree)):
            return self.builder.scalar(self._number(tree))
        match tree:
            case ast.Name():
                return self.z
            case ast.BinOp(left, ast.Pow(), right):
                return self._power(left, self._number(right))
            case ast.BinOp(left, op, right) | ast.Compare(left, [op], [right]) if type(op) in _OPERATORS:
                return self.builder.node(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.UnaryOp(op, inner) if type(op) in _OPERATORS:
                return self.builder.node(_OPERATORS[type(op)], self.value(inner))
            case ast.Call(ast.Name(name), parts):
                return self._call(name, list(map(self.value, parts)), tree)
        raise _untranslated(tree)

    def _number(self, tree: ast.expr) -> float:
        try:
            code = compile(ast.Expression(tree), "<formula>", "eval")
            return float(eval(code, {"__builtins__": {}}, {**_KNOWN, **self.arguments}))
        except (NameError, TypeError):
            raise _untranslated(tree) from None

    def _power(self, base: ast.expr, exponent: float) -> str:
        x = self.value(base)
        if exponent not in (2, 3):
            return self.builder.node("Pow", x, self.builder.scalar(exponent))
        square = self.builder.node("Mul", x, x)
        return square if exponent == 2 else self.builder.node("Mul", square, x)

    def _call(self, name: str, values: list[str], tree: ast.expr) -> str:
        if name in _FUNCTIONS:
            return self.builder.node(_FUNCTIONS[name], *values)
        if name not in _COMPOSED or len(values) != 1:
            raise _untranslated(tree)
        return _COMPOSED[name](values[0], self.builder)


def _untranslated(tree: ast.expr) -> ValueError:
    return ValueError(f"{ast.unparse(tree)!r} has no translation to ONNX")


# ---- functions that ONNX has not, of one value ----


def _log1p(x: str, builder: Builder) -> str:
    """Take the logarithm of u = 1 + x; for a small x with what the rounding of u lost (Kahan): log(u) x / (u - 1)."""
    node, one = builder.node, builder.scalar(1.0)
    u = node("Add", one, x)
    logarithm = node("Log", u)
    exact = node("Mul", logarithm, node("Div", x, node("Sub", u, one)))
    small = node("Where", node("Equal", u, one), x, exact)
    return node("Where", node("Less", x, one), small, logarithm)


def _softplus(x: str, builder: Builder) -> str:
    if builder.dtype == np.float32:
        return builder.node("Softplus", x)
    bounded = builder.node("Exp", builder.node("Neg", builder.node("Abs", x)))
    return builder.node("Add", builder.node("Relu", x), _log1p(bounded, builder))


def _expm1(x: str, builder: Builder) -> str:
    return builder.node("Sub", builder.node("Exp", x), builder.scalar(1.0))


def _erfc(x: str, builder: Builder) -> str:
    if builder.dtype == np.float64:  # runtimes have Erf in float32 only
        return erfc(x, builder)
    return builder.node("Sub", builder.scalar(1.0), builder.node("Erf", x))


def _cosh(x: str, builder: Builder) -> str:
    grown = builder.node("Exp", x)
    both = builder.node("Add", grown, builder.node("Exp", builder.node("Neg", x)))
    return builder.node("Mul", builder.scalar(0.5), both)


def _along_row(operator: str) -> Callable[[str, Builder], str]:
    def reduce(x: str, builder: Builder) -> str:
        builder.need(18)  # from which on all reductions take their axes as an input
        return builder.node(operator, x, builder.constant("axes", np.array([1], np.int64)), keepdims=1)

    return reduce


_COMPOSED: dict[str, Callable[[str, Builder], str]] = {
    "log1p": _log1p,
    "softplus": _softplus,
    "expm1": _expm1,
    "erfc": _erfc,
    "cosh": _cosh,
    "max": _along_row("ReduceMax"),
    "sum": _along_row("ReduceSum"),
}


class _Rewriter(ast.NodeTransformer):
    """Replaces what has the form of one expression by another; names of one letter stand for anything."""

    def __init__(self, idiom: str, shorter: str) -> None:
        self.idiom = ast.parse(idiom, mode="eval").body
        self.shorter = ast.parse(shorter, mode="eval").body

    def visit(self, node: ast.AST) -> Any:
        """Replace the parts, and then the whole."""
        node = self.generic_visit(node)
        found: dict[str, ast.AST] = {}
        return _Filler(found).visit(_copy(self.shorter)) if _matches(self.idiom, node, found) else node


class _Filler(ast.NodeTransformer):
    def __init__(self, found: dict[str, ast.AST]) -> None:
        self.found = found

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.found.get(node.id, node)


def _copy(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


def _matches(pattern: Any, tree: Any, found: dict[str, ast.AST]) -> bool:
    """Whether a tree has this form; `found` gets what the names of one letter stand for."""
    if isinstance(pattern, ast.Name) and len(pattern.id) == 1:
        return ast.dump(found.setdefault(pattern.id, tree)) == ast.dump(tree)
    if type(pattern) is not type(tree):
        return False
    if isinstance(pattern, list):
        return len(pattern) == len(tree) and all(_matches(*pair, found) for pair in zip(pattern, tree, strict=True))
    if isinstance(pattern, ast.AST):
        parts = [name for name in pattern._fields if name not in ("ctx", "kind")]
        return all(_matches(getattr(pattern, name), getattr(tree, name), found) for name in parts)
    return bool(pattern == tree)
