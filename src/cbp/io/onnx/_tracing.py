"""Goes through a graph, node by node, and finds the layers in it. What it does not know it refuses by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError
from cbp.io.onnx._flow import Curve, Finisher, Product, Value, Wire, picked
from cbp.io.onnx._protobuf import DOMAINS, Node
from cbp.io.onnx._terms import DEEPEST, FUNCTIONS, Term, steps_of

if TYPE_CHECKING:
    from cbp._typing import Array

_OF_A_ROW = {("Log", "Softmax"): "LogSoftmax", ("Exp", "LogSoftmax"): "Softmax"}
ROWS = -(2**40)
"""Stands for the number of rows where a graph computes with shapes."""

Known = Value | np.ndarray[Any, Any]
Handler = Callable[["Tracer", Node, "list[Known | None]"], "Known | list[Known]"]


class Tracer:
    """The values of a graph by name, as far as the nodes have been gone through.

    Parameters
    ----------
    known : dict of str to ndarray or Value
        Constants and inputs.
    rows : int or None
        The number of rows, where the graph fixes one.
    largest : int
        No value may have more numbers than this in a row: there are not as many in the file.
    opsets : dict of str to int
        The versions of the operators, by domain.
    handlers : dict of str to function
        What each operator does, of this tracer, a Node and its inputs.
    """

    def __init__(
        self,
        known: dict[str, Known],
        rows: int | None,
        largest: int,
        opsets: dict[str, int],
        handlers: dict[str, Handler],
    ) -> None:
        self.known, self.largest, self.opsets, self.handlers = known, largest, opsets, handlers
        self.any_rows = {ROWS, -1, 0, rows}
        self.products: list[Product] = []
        self.finisher = Finisher()

    def follow(self, node: Node) -> None:
        """Compute what a node makes."""
        if node.domain not in DOMAINS or node.operator not in self.handlers:
            raise FormatError(f"there is an operator that is not read: {node}")
        node.check(self.opsets[DOMAINS[0] if node.domain in DOMAINS[:2] else node.domain])
        inputs: list[Known | None] = [self._input(name, node) for name in node.inputs]
        made = self.handlers[node.operator](self, node, inputs)
        made = made if isinstance(made, list) else [made]
        for name, value in zip(node.outputs, made, strict=False):
            if name in self.known:
                raise FormatError(f"the value {name!r} is made twice")
            if not isinstance(value, np.ndarray) and value.n > self.largest:
                raise FormatError(f"{node} makes more columns than there are weights for")
            self.known[name] = value

    def _input(self, name: str, node: Node) -> Known | None:
        if not name:
            return None
        if name not in self.known:
            raise FormatError(f"{node} takes {name!r}, which nothing before it makes")
        return self.known[name]

    def product(self, node: Node, x: Value, W: Array, b: Array | None) -> Value:
        """Return a new layer's net inputs."""
        if W.ndim != 2 or x.tail != (len(W),) or W.dtype.kind != "f" or not W.size:
            raise FormatError(f"{node} multiplies rows of {x.tail} by {W.dtype} of the shape {W.shape}")
        made = Product(len(self.products) + 1, self.finisher.wires(x), W, b, str(node))
        self.products.append(made)
        return Value((Curve(made, np.arange(W.shape[1])),), (W.shape[1],))

    def joined(self, node: Node, *curves: Curve) -> Value:
        """Return the sum of two layers' net inputs as those of one layer, which is fed by all that feeds them."""
        parts = [curve.alone() for curve in curves]
        if any(part is None for part in parts):
            raise FormatError(f"{node} joins the units of different layers")
        products = [part for part in parts if part is not None]
        W = np.concatenate([part.W for part in products])
        if W.size > self.largest:
            raise FormatError(f"{node} makes a layer that is larger than the file")
        biases = [part.b for part in products if part.b is not None]
        b = None if not biases else biases[0] if len(biases) == 1 else biases[0].astype(np.float64) + biases[1]
        wires = [wire for part in products for wire in part.wires]
        made = Product(len(self.products) + 1, wires, W, b, str(node))
        made.dtype = np.result_type(*(part.dtype for part in products))
        self.products.append(made)
        return Value((Curve(made, np.arange(made.units)),), (made.units,))

    def elementwise(self, node: Node, operator: str, inputs: list[Any], attributes: dict[str, Any]) -> Known:
        """Return an operator on every element."""
        values = [x for x in inputs if isinstance(x, Value)]
        if not values:
            return self._of_constants(node, operator, inputs, attributes)
        tail = values[0].tail
        widths = [len(piece.columns) for piece in values[0].pieces]
        if any(x.tail != tail or [len(piece.columns) for piece in x.pieces] != widths for x in values):
            raise FormatError(f"{node} joins values that do not lie side by side in the same way")
        flat = [x if isinstance(x, Value) or x is None else _for_tail(x, tail, node) for x in inputs]
        pieces: list[Wire | Curve] = []
        start = 0
        for place, width in enumerate(widths):
            parts = [_part(x, place, slice(start, start + width)) for x in flat]
            pieces.append(_combined(node, operator, parts, attributes))
            start += width
        return Value(tuple(pieces), tail)

    def _of_constants(self, node: Node, operator: str, inputs: list[Any], attributes: dict[str, Any]) -> Array:
        shape = np.broadcast_shapes(*(x.shape for x in inputs if x is not None))
        if prod(shape) > self.largest:
            raise FormatError(f"{node} makes a constant that is larger than the file")
        made = np.asarray(FUNCTIONS[operator](inputs, attributes))
        return made.astype(inputs[0].dtype) if inputs[0].dtype.kind == "f" and made.dtype.kind == "f" else made


def _for_tail(constant: Array, tail: tuple[int, ...], node: Node) -> Array:
    """Return a constant as one number, (), or a number for every column, (n,)."""
    if constant.dtype.kind not in "fib":
        raise FormatError(f"{node} computes with {constant.dtype}")
    if constant.size == 1:
        return constant.reshape(())
    if constant.ndim == len(tail) + 1 and len(constant) == 1:
        constant = constant[0]
    try:
        return np.broadcast_to(constant, tail).ravel()
    except ValueError:
        raise FormatError(f"{node} joins rows of {tail} with a constant of the shape {constant.shape}") from None


def _part(x: Any, place: int, columns: slice) -> Any:
    if isinstance(x, Value):
        return x.pieces[place]
    return x[columns] if x is not None and x.ndim else x


def _combined(node: Node, operator: str, parts: list[Any], attributes: dict[str, Any]) -> Wire | Curve:
    pieces = [part for part in parts if isinstance(part, Wire | Curve)]
    first = pieces[0]
    if isinstance(first, Wire):
        steps = steps_of(operator, parts) if len(pieces) == 1 else None
        if steps is None:
            place = "the inputs" if first.product is None else f"the outputs of {first.product.shown}"
            raise FormatError(f"{node} works on {place}, not on the net inputs of a layer")
        return Wire(first.product, first.columns, (*first.steps, *steps))
    if not all(isinstance(piece, Curve) and _beside(piece, first) for piece in pieces):
        raise FormatError(f"{node} joins the units of different layers")
    roots = tuple(part.root if isinstance(part, Curve) else part for part in parts)
    depth = 1 + max(piece.root.depth for piece in pieces if isinstance(piece, Curve))
    if depth > DEEPEST:
        raise FormatError(f"{node} is one of more than {DEEPEST} operators between two layers")
    if other := _OF_A_ROW.get((operator, first.root.operator)):
        return Curve(first.product, first.columns, Term(other, str(node), first.root.inputs, depth=depth))
    return Curve(first.product, first.columns, Term(operator, str(node), roots, attributes, depth))


def _beside(one: Curve, other: Curve) -> bool:
    return one.product is other.product and np.array_equal(one.columns, other.columns)


def constant(x: Any, node: Node) -> Array:
    """Return an input that must not depend on the data."""
    if not isinstance(x, np.ndarray):
        raise FormatError(f"{node} has an input that is computed from the data, or none, where a constant is needed")
    return x


def value(x: Any, node: Node) -> Value:
    """Return an input that must depend on the data."""
    if not isinstance(x, Value):
        raise FormatError(f"{node} has a constant where rows of data are needed")
    return x


def integers(x: Any, node: Node) -> list[int]:
    """Return an input that must be constant whole numbers."""
    array = constant(x, node)
    if array.dtype.kind != "i" or array.ndim > 1:
        raise FormatError(f"{node} needs whole numbers, not {array.dtype} of the shape {array.shape}")
    return [int(number) for number in np.atleast_1d(array)]


def columns_of(x: Value, wanted: Any) -> Iterator[Value]:
    """Yield one value for each list of columns."""
    for columns in wanted:
        yield picked(x, np.asarray(columns, np.intp))
