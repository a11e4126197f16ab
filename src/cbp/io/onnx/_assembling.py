"""The products that a graph was found to be made of, put together as the layers of a network.

A layer is all products that are as far from the inputs: one behind the other they are a chain, side by side (branches,
heads) they lie in one block, with weights fixed at 0 where a product is not fed by what feeds another.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from cbp import tables
from cbp.errors import FormatError
from cbp.heads import Head
from cbp.io._chain import Link, network
from cbp.io.onnx._flow import Product, Wire
from cbp.scaling import total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbp._typing import Array
    from cbp.network import Network

SPARSEST = 16
"""A layer may have so many times more weights than the file has bytes: branches side by side leave room between."""


@dataclass(eq=False)
class Unit:
    """A place in a layer: a unit of a product."""

    product: Product
    column: int


class Assembler:
    """Puts the products behind some outputs together.

    Parameters
    ----------
    n_in : int
        Number of inputs.
    outputs : sequence of sequence of Wire
        What each output of the graph is made of.
    largest : int
        Bytes of the file.
    """

    def __init__(self, n_in: int, outputs: Sequence[Sequence[Wire]], largest: int) -> None:
        self.n_in, self.largest = n_in, largest
        self.levels: dict[int, int] = {}
        self.products: dict[int, Product] = {}
        self.outputs = [self._second_of_two(wires) for wires in outputs]
        for wires in self.outputs:
            self._visit(wires)
        self.places = {number: np.full(product.units, -1) for number, product in self.products.items()}
        self.depth = max(self.levels.values(), default=0)
        if not self.depth:
            raise FormatError("there is no layer between its input and its output")
        self.layers = [self._units(level) for level in range(1, self.depth + 1)]
        self.widths = [n_in, *map(len, self.layers)]
        self.scaling = self._input_scaling()

    def network(self) -> Network:
        """Return the network."""
        scale_targets = self._target_scaling()
        links = [self._link(level) for level in range(1, self.depth + 1)]
        wide = any(product.dtype == np.float64 for product in self.products.values())
        net = network(
            [link for link, _ in links],
            dtype="float64" if wide else "float32",
            scale_inputs=self.scaling,
            scale_targets=scale_targets,
            heads=self._heads(),
        )
        for layer, (_, placed) in zip(net.layers, links, strict=True):
            if not placed.all():
                layer.mask = np.vstack([np.ones((1, layer.n_out)), placed])
        return net

    # ---- which unit is where ----

    def _second_of_two(self, wires: Sequence[Wire]) -> Sequence[Wire]:
        """Return p where the wires are 1 - p and p, the probabilities of two classes; else what they are."""
        if len(wires) != 2 or wires[1].steps or any(len(wire.columns) != 1 for wire in wires):
            return wires
        first, second = wires
        if second.product is None or first.product is not second.product or first.columns[0] != second.columns[0]:
            return wires
        if second.product.rows[int(second.columns[0])][0].name != "sigmoid":
            return wires
        factor, constant = _line(first)
        return [second] if (factor[0], constant[0]) == (-1, 1) else wires

    def _visit(self, wires: Sequence[Wire]) -> None:
        """Number the levels of all products behind some wires; a loop, since graphs may be deep."""
        waiting = [wire.product for wire in wires if wire.product is not None]
        while waiting:
            product = waiting[-1]
            before = [wire.product for wire in product.wires if wire.product is not None]
            if new := [other for other in before if other.number not in self.levels]:
                waiting += new
            else:
                self.levels[product.number] = 1 + max((self.levels[other.number] for other in before), default=0)
                self.products[product.number] = waiting.pop()

    def _units(self, level: int) -> list[Unit]:
        """Return the units of a layer in order, and note their places."""
        if level == self.depth:
            units = [unit for wires in self.outputs for wire in wires for unit in self._shown(wire)]
        else:
            of_level = [self.products[number] for number in sorted(self.levels) if self.levels[number] == level]
            units = [Unit(product, column) for product in of_level for column in sorted(product.rows)]
        for place, unit in enumerate(units):
            if self.places[unit.product.number][unit.column] >= 0:
                raise FormatError(f"an output of {unit.product.shown} is an output of the graph twice")
            self.places[unit.product.number][unit.column] = place
        return units

    def _shown(self, wire: Wire) -> list[Unit]:
        if wire.product is None or self.levels[wire.product.number] != self.depth:
            raise FormatError("an output of the graph is not computed by its last layer")
        return [Unit(wire.product, column) for column in wire.columns.tolist()]

    # ---- scaling ----

    def _input_scaling(self) -> tuple[Array, Array] | None:
        """Return center and scale of the inputs, where all layers that they feed see them in the same way."""
        center, scale, seen = np.zeros(self.n_in), np.ones(self.n_in), np.zeros(self.n_in, bool)
        for wire in (wire for product in self.products.values() for wire in product.wires if wire.product is None):
            numbers = np.stack(_center_and_scale(wire))
            known = seen[wire.columns]
            if (np.stack([center, scale])[:, wire.columns] != numbers)[:, known].any():
                return None
            (center[wire.columns], scale[wire.columns]), seen[wire.columns] = numbers, True
        fits = np.isfinite(center).all() and np.isfinite(scale).all() and (scale > 0).all()
        return (center, scale) if fits and ((center != 0) | (scale != 1)).any() else None

    def _target_scaling(self) -> tuple[Array, Array] | None:
        """Return center and scale of the outputs; what cannot be a scaling goes into weights, if that is possible."""
        wires = [wire for wires in self.outputs for wire in wires]
        if not any(wire.steps for wire in wires):
            return None
        lines = [_line(wire) for wire in wires]
        scale, center = (np.concatenate(parts) for parts in zip(*lines, strict=True))
        if (scale > 0).all():
            return center, scale
        for wire in wires:
            assert wire.product is not None
            rows = [wire.product.rows[column] for column in wire.columns.tolist()]
            if any(row != tables.activations["identity"] or steepness != 1 for row, steepness, _ in rows):
                raise FormatError(f"what {wire.product.shown} computes is turned round at the output")
            wire.product.fold(wire.steps, wire.columns)
        return None

    # ---- layers ----

    def _link(self, level: int) -> tuple[Link, Array]:
        """Return a layer, and which of its weights are in the graph."""
        units = self.layers[level - 1]
        products = list({unit.product.number: unit.product for unit in units}.values())
        fed = {self._level(wire) for product in products for wire in product.wires}
        sources = tuple(sorted(fed | {level - 1}))
        starts = dict(zip(sources, np.cumsum([0, *(self.widths[source] for source in sources)]).tolist(), strict=False))
        n = sum(self.widths[source] for source in sources)
        if n * len(units) > SPARSEST * self.largest:
            raise FormatError(f"layer {level} would be a block of {n} by {len(units)} weights, most of them 0")
        folded = any(wire.steps and not self._is_scaled(wire) for product in products for wire in product.wires)
        dtype = np.result_type(*(product.W.dtype for product in products), np.float64 if folded else np.float32)
        W, b, placed = np.zeros((n, len(units)), dtype), np.zeros(len(units)), np.zeros((n, len(units)), bool)
        for product in products:
            self._place(product, starts, W, b, placed)
        rows = [unit.product.rows[unit.column] for unit in units]
        steepness = np.array([steep for _, steep, _ in rows])
        if (steepness != steepness[0]).any():
            W, b, steepness = W * steepness, b * steepness, np.ones_like(steepness)
        kinds = tuple(row for row, _, _ in rows)
        kinds = kinds[:1] if len(set(kinds)) == 1 else kinds
        return Link(W, b, kinds, float(steepness[0]), sources if len(sources) > 1 else ()), placed

    def _level(self, wire: Wire) -> int:
        return 0 if wire.product is None else self.levels[wire.product.number]

    def _is_scaled(self, wire: Wire) -> bool:
        return wire.product is None and self.scaling is not None

    def _place(self, product: Product, starts: dict[int, int], W: Array, b: Array, placed: Array) -> None:
        """Put the weights and biases of a product where they belong in those of its layer."""
        used = np.flatnonzero(self.places[product.number] >= 0)
        units = self.places[product.number][used]
        weights = product.W[:, used]
        if product.b is not None:
            b[units] = product.b[used]
        row = 0
        for wire in product.wires:
            part = weights[row : row + len(wire.columns)]
            row += len(wire.columns)
            if wire.steps and not self._is_scaled(wire):
                factor, constant = _line(wire)
                b[units] += total(constant[:, None] * part)
                part = part * factor[:, None]
            before = wire.columns if wire.product is None else self.places[wire.product.number][wire.columns]
            block = (starts[self._level(wire)] + before)[:, None], units[None]
            np.add.at(W, block, part)
            placed[block] = True

    def _heads(self) -> list[Head] | None:
        """Return the heads, where there are several outputs, or functions of a row that are not of all of it."""
        of_output = [number for number, wires in enumerate(self.outputs) for wire in wires for _ in wire.columns]
        rows = [unit.product.rows[unit.column] for unit in self.layers[-1]]
        keys = [(number, id(group)) for number, (_, _, group) in zip(of_output, rows, strict=True)]
        heads = []
        for _, same in groupby(range(len(keys)), key=keys.__getitem__):
            parts = [rows[unit] for unit in same]
            if parts[0][2] is not None and len(parts) != sum(group is parts[0][2] for *_, group in rows):
                raise FormatError(f"the units of one {parts[0][0].name} are not side by side in the output")
            heads.append(Head(len(parts), [row for row, _, _ in parts]))
        return heads if len(heads) > 1 else None


def _line(wire: Wire) -> tuple[Array, Array]:
    """Return factor and constant of the steps of a wire."""
    factor, constant = np.ones(len(wire.columns)), np.zeros(len(wire.columns))
    for step in wire.steps:
        constant = step(constant)
        factor = step(factor) if step.operator in ("Mul", "Div") else factor
    return factor, constant


def _center_and_scale(wire: Wire) -> tuple[Array, Array]:
    """Return the same as (x - center) / scale; exact where that is how the steps are."""
    center, scale = np.zeros(len(wire.columns)), np.ones(len(wire.columns))
    for step in wire.steps:
        number = step.constant.astype(np.float64)
        if step.operator in ("Add", "Sub"):
            center = center + (number if step.operator == "Sub" else -number) * scale
        else:
            scale = scale * number if step.operator == "Div" else scale / number
    return center, scale
