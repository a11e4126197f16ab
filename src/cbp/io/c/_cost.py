"""The function for the cost of a sample, which makes deltas of what the way up left. Used by _train.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbp.io.c._predict import at
from cbp.tables import argument

if TYPE_CHECKING:
    from cbp.io.c._plan import Plan, Top
    from cbp.io.c._writer import Formula, Writer

Delta = tuple[str, "Formula", str]
"""A place among the deltas, the loss's slope, and what it is multiplied by there."""


@dataclass(frozen=True)
class Cost:
    """Writes the statements of a network's losses: each adds the cost of its outputs to `part`."""

    plan: Plan
    writer: Writer

    @property
    def last(self) -> int:
        """Number of the output layer."""
        return len(self.plan.steps)

    def lines(self) -> list[str]:
        """Return the statements of the function, from the declaration of its variables on."""
        tops = self.plan.tops()
        if len(tops) == 1 and tops[0].weight == 1:
            return ["double part = 0;", *self.top_lines(tops[0]), "return part;"]
        lines = ["double cost = 0, part;", "volatile double product; /* rounded before it is added */"]
        for top in tops:
            lines += ["part = 0;", *self.top_lines(top), f"product = {top.weight!r} * part;", "cost += product;"]
        return [*lines, "return cost;"]

    def top_lines(self, top: Top) -> list[str]:
        """Return the statements of one loss."""
        lines = self.pair_lines(top) if top.loss.pair else self.single_lines(top)
        a, d = at(f"a{self.last}", top.first), at(f"d{self.last}", top.first)
        row_wise, steepness = top.activation.row_wise, self.plan.steps[-1].steepness
        if row_wise and not top.loss.head:
            lines.append(f"{self.writer.row_wise(top.activation, '_back')}({top.units}, {a}, {d});")
        for factor in (steepness if row_wise or top.loss.head else 1.0, top.weight):
            if factor != 1:
                lines.append(f"{self.writer.loop('scale')}({top.units}, {self.writer.literal(factor)}, {d});")
        return lines

    def single_lines(self, top: Top) -> list[str]:
        """Return the loop of a loss that takes outputs one by one."""
        fields, letters = self.writer.library.losses[top.loss.name], ("a", "y", "h", "p", "n")
        cost = self.writer.row(f"{top.loss.name}_cost", fields[7], letters)
        slope = self.writer.row(f"{top.loss.name}_slope", fields[8], letters)
        a, d = (f"{letter}{self.last}[{_index(top.first)}]" for letter in "ad")
        times = "" if top.loss.head or top.activation.row_wise else " * h"
        return self.loop_lines(top, {"a": a, "h": d}, cost, [(d, slope, times)])

    def pair_lines(self, top: Top) -> list[str]:
        """Return the loop of a loss that takes two outputs for each target."""
        fields, letters = self.writer.library.losses[top.loss.name], ("a", "v", "y", "p", "n")
        cost, slope, other = (
            self.writer.row(f"{top.loss.name}_{what}", field, letters)
            for what, field in zip(("cost", "slope", "slope_v"), fields[8:11], strict=True)
        )
        one, two = _index(top.first), _index(top.first + top.n_targets)
        deltas: list[Delta] = []
        for index, formula in ((one, slope), (two, other)):
            place = f"d{self.last}[{index}]"
            deltas.append((place, formula, "" if top.activation.row_wise else f" * {place}"))
        return self.loop_lines(top, {"a": f"a{self.last}[{one}]", "v": f"a{self.last}[{two}]"}, cost, deltas)

    def loop_lines(self, top: Top, read: dict[str, str], cost: Formula, deltas: list[Delta]) -> list[str]:
        """Return a loop over targets, which reads letters from their places; no target costs what is missing."""
        writer = self.writer
        letters = {*cost.letters, *(letter for _, formula, times in deltas for letter in (*formula.letters, *times))}
        given = {letter: letter for letter in read} | {"y": "t"}
        given |= {"p": writer.literal(argument(top.loss)), "n": writer.literal(top.n_targets)}
        lines = [f"const {writer.real} {letter} = {place};" for letter, place in read.items() if letter in letters]
        lines.append(f"const {writer.real} t = {self.target(top)};")
        known = "(t == t ? {} : 0)" if self.plan.missing else "{}"
        lines.append(f"part += (double){known.format(writer.term(cost, **given))};")
        for place, formula, times in deltas:
            value = f"{writer.named('rounded')}({formula.call(**given)}{times})"
            lines.append(f"{place} = {known.format(value)};")
        return [f"for (j = 0; j < {top.n_targets}; j++) {{", *(f"    {line}" for line in lines), "}"]

    def target(self, top: Top) -> str:
        """Return a target in the units of the outputs."""
        index, named = _index(top.target), self.writer.named
        if self.plan.target_scaling is None:
            return f"y[{index}]"
        shifted = f"(y[{index}] - {named('target_center')}[{index}])"
        return f"({self.writer.real})({shifted} / {named('target_scale')}[{index}])"


def _index(first: int) -> str:
    return f"j + {first}" if first else "j"
