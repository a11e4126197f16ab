"""What flows through a graph while it is read: outputs of layers, and net inputs on their way to an activation.

A Value is a batch of rows; its numbers are pieces side by side. A Curve is some units of one product with the operators
that followed it; what an activation has been found for is a Wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cbp.errors import FormatError
from cbp.io.onnx._recognising import recognise
from cbp.io.onnx._terms import Step, Term, Z, as_steps, sliced

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.tables import Row


@dataclass(eq=False)
class Product:
    """x W + b, a layer without its activation yet.

    Attributes
    ----------
    number : int
        From 1.
    wires : list of Wire
        What x is made of, side by side.
    W : ndarray, shape (n_in, n)
    b : ndarray, shape (n,), or None
    shown : str
        In the words of messages.
    rows : dict of int to (row, steepness, group)
        Of every unit that is used: its activation; units of the same group share a row-wise one.
    moved : dict of int to tuple of Step
        What has been folded into its weights and bias.
    """

    number: int
    wires: list[Wire]
    W: Array
    b: Array | None
    shown: str
    rows: dict[int, tuple[Row, float, object]] = field(default_factory=dict)
    moved: dict[int, tuple[Step, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.has_bias, self.dtype = self.b is not None, self.W.dtype

    @property
    def units(self) -> int:
        """How many."""
        return int(self.W.shape[1])

    def multiply(self, alpha: float, beta: float) -> None:
        """Make it alpha x W + beta b."""
        if alpha != 1:
            self.W = self.W * np.float64(alpha)
        if beta != 1 and self.b is not None:
            self.b = self.b * np.float64(beta)

    def fold(self, steps: tuple[Step, ...], columns: Array) -> None:
        """Apply steps to some of the net inputs, that is to weights and biases, in float64."""
        for step in steps:
            if step.operator in ("Mul", "Div"):
                self.W = self.W.astype(np.float64)
                self.W[:, columns] = step(self.W[:, columns])
            elif self.b is None:
                self.b = np.zeros(self.units)
            if self.b is not None:
                self.b = self.b.astype(np.float64)
                self.b[columns] = step(self.b[columns])


@dataclass(frozen=True, eq=False)
class Wire:
    """Outputs of some units of a product, None the inputs, after some steps."""

    product: Product | None
    columns: Array
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, eq=False)
class Curve:
    """Net inputs of some units of a product, after some operators."""

    product: Product
    columns: Array
    root: Term = Z

    def alone(self) -> Product | None:
        """Return these units as a product of their own, whose net inputs are the curve; None where it is bent."""
        steps, whole = as_steps(self.root), self.product
        if steps is None:
            return None
        made = Product(0, whole.wires, whole.W[:, self.columns], None if whole.b is None else whole.b[self.columns], "")
        made.fold(steps, np.arange(len(self.columns)))
        made.dtype = whole.dtype
        return made


@dataclass(frozen=True, eq=False)
class Value:
    """A batch: pieces side by side, whose numbers have the shape `tail` in every row."""

    pieces: tuple[Wire | Curve, ...]
    tail: tuple[int, ...]

    @property
    def n(self) -> int:
        """Numbers in a row."""
        return prod(self.tail)


def picked(value: Value, wanted: Array) -> Value:
    """Return some columns of a value, in this order."""
    pieces: list[Wire | Curve] = []
    ends = np.cumsum([len(piece.columns) for piece in value.pieces])
    owners = np.searchsorted(ends, wanted, side="right")
    starts = np.concatenate([[0], ends])
    cuts = np.flatnonzero(np.diff(owners)) + 1
    for part, owner in zip(np.split(wanted, cuts), owners[np.concatenate([[0], cuts])].tolist(), strict=True):
        pieces.append(_part(value.pieces[owner], part - starts[owner]))
    return Value(tuple(pieces), (len(wanted),))


def _part(piece: Wire | Curve, places: Array) -> Wire | Curve:
    if isinstance(piece, Curve):
        return Curve(piece.product, piece.columns[places], sliced(piece.root, places))
    steps = tuple(
        Step(step.operator, step.constant[places] if step.constant.ndim else step.constant) for step in piece.steps
    )
    return Wire(piece.product, piece.columns[places], steps)


class Finisher:
    """Finds the activations of curves, once for each."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int, bytes], tuple[Curve, Wire]] = {}

    def wires(self, value: Value) -> list[Wire]:
        """Return the pieces of a value as outputs of layers."""
        return [self._wire(piece) if isinstance(piece, Curve) else piece for piece in value.pieces]

    def _wire(self, curve: Curve) -> Wire:
        key = (curve.product.number, id(curve.root), curve.columns.tobytes())
        if key not in self._done:
            self._done[key] = curve, _finished(curve)
        return self._done[key][1]


def _finished(curve: Curve) -> Wire:
    """Give units of a product the activation that a curve is, and return their outputs."""
    product, columns = curve.product, curve.columns
    meaning = recognise(curve.root, len(columns), product.has_bias)
    rows = meaning.rows * (len(columns) if len(meaning.rows) == 1 else 1)
    group = object() if meaning.rows[0].row_wise else None
    if not any(column in product.rows for column in columns.tolist()):
        product.fold(meaning.before, columns)
    for column, row in zip(columns.tolist(), rows, strict=True):
        before = product.rows.setdefault(column, (row, meaning.steepness, group))
        steps = product.moved.setdefault(column, meaning.before)
        if before[:2] != (row, meaning.steepness) or not _same_steps(steps, meaning.before):
            raise FormatError(f"the net inputs of {product.shown} go through two different activations")
    return Wire(product, columns, meaning.after)


def _same_steps(one: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    return len(one) == len(other) and all(
        a.operator == b.operator and np.array_equal(a.constant, b.constant) for a, b in zip(one, other, strict=True)
    )
