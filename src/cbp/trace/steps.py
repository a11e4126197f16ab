"""What a trace consists of: a step is one number with its formula, a section all steps of one quantity in one layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cbp.trace.symbols import Formula, Symbol

TITLES = {
    "input": "Inputs",
    "net input": "Layer {layer}: net inputs",
    "activation": "Layer {layer}: activations",
    "target": "Targets",
    "cost": "Cost",
    "penalty": "Cost",
    "delta": "Layer {layer}: deltas",
    "gradient": "{below} to {layer}: gradient",
    "update": "{below} to {layer}: update",
    "length": "{below} to {layer}: lengths of the weights",
    "factor": "{below} to {layer}: lengths of the weights",
    "shortening": "{below} to {layer}: lengths of the weights",
}


@dataclass(frozen=True)
class Step:
    """One number: symbol = formula = value. `indices` are those of the number in cbp's arrays, from 0.

    `remark` says why it is what it is where no formula does: "fixed", or "missing target".
    """

    quantity: str
    layer: int
    sample: int | None
    indices: tuple[int, ...]
    symbol: Symbol
    formula: Formula
    value: float
    remark: str = ""


@dataclass(frozen=True)
class Section:
    """All numbers of one quantity in one layer: general formula, its name, a note on the printed one, n steps."""

    quantity: str
    title: str
    symbol: Symbol
    formula: Formula
    name: str
    note: str
    n: int
    step: Callable[[int], Step]

    @property
    def sign(self) -> str:
        """What stands between symbol and formula."""
        return "←" if self.quantity in ("update", "shortening") and not self.symbol.base.endswith("\u0302") else "="
