"""The formulas of what holds an update back: penalties on weights, and lengths that weights are shortened to.

formulas.py asks; the letters are l1, l2 and max_norm, as the layers have them, P a penalty, and f a factor.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cbp.trace.steps import Step
from cbp.trace.symbols import Formula, Group, Symbol, at, join, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbp.trace.formulas import Formulas
    from cbp.trace.steps import Section
    from cbp.trace.symbols import Index


class Limits:
    """What penalties and max_norm add to the formulas of an update; nothing where there are none."""

    def __init__(self, formulas: Formulas) -> None:
        self.f, self.n = formulas, formulas.n
        self.penalized = [l for l in range(1, self.n.L + 1) if any(self.n.penalties(l))]

    # ---- penalties ----

    def _factors(self, l: int) -> list[Symbol | None]:
        """Return l1 and l2 of a layer, None where there is none."""
        return [
            Symbol(name, value=value) if value else None
            for name, value in zip(("l1", "l2"), self.n.penalties(l), strict=True)
        ]

    def penalty(self, l: int) -> Symbol:
        """Return the penalty of layer l."""
        return Symbol("P", sup=str(l), value=self.n.penalty(l))

    def formula(self, l: int, general: bool) -> Formula:
        """Return what the weights of layer l cost every sample."""
        one, two = self._factors(l)
        absolute = self._summed(l, lambda w: ("|", w, "|"), general)
        squares = self._summed(l, lambda w: ("(", w, ")²"), general)
        parts: list[Formula] = [] if one is None else [(one, "·", *absolute)]
        return join("+", parts if two is None else [*parts, ("½", "·", two, "·", *squares)])

    def _summed(self, l: int, term: Callable[[Symbol], Formula], general: bool) -> Formula:
        to = self.f.d.to
        if general:
            return Symbol("Σ", self.f.d.from_ + to), " ", *term(self.f.w(l, self.f.d.from_, to))
        rows, cols = self.n.theta[l][1:].shape
        terms = total(rows * cols, lambda p: term(self.f.w(l, 1 + (p - 1) // cols, 1 + (p - 1) % cols)))
        return "(", *terms, ")"

    def penalties(self) -> Formula:
        """Return what the objective has more than the costs."""
        found: Formula = ()
        for l in self.penalized:
            found += ("+", *self.f.share(), self.penalty(l))
        return found

    def slopes(self, l: int, i: Index, j: Index) -> Formula:
        """Return what the derivative by a weight has more than that of the costs; nothing for a bias."""
        if i == 0:
            return ()
        one, two = self._factors(l)
        w, share = self.f.w(l, i, j), self.f.share()
        sign = None if w.value is None else float((w.value > 0) - (w.value < 0))  # type: ignore[operator]
        shrink: Formula = () if two is None else ("+", *share, two, "·", w)
        return shrink if one is None else (*shrink, "+", *share, one, "·", Group(("sign(", w, ")"), sign))

    def costs(self) -> Iterator[Section]:
        """Yield the penalty of every layer that has one."""
        for l in self.penalized:
            step = Step("penalty", l, None, (), self.penalty(l), self.formula(l, False), self.n.penalty(l))
            general = self.penalty(l), self.formula(l, True)
            yield self.f.section("penalty", l, general, "", 1, partial(_same, step))

    # ---- lengths ----

    def _length(self, l: int, j: Index) -> Symbol:
        return Symbol("‖w‖", str(j), str(l), value=at(self.n.lengths(l), j))

    def _factor(self, l: int, j: Index) -> Symbol:
        limit = self.n.max_norm(l)
        value = None if isinstance(j, str) or limit is None else limit / float(self.n.lengths(l)[j - 1])
        return Symbol("f", str(j), str(l), value=value)

    def _length_formula(self, l: int, j: Index) -> Formula:
        def term(i: Index) -> Formula:
            return "(", self.f.new(l, i, j), ")²"

        if isinstance(j, str):
            return "√(", Symbol("Σ", self.f.d.from_), " ", *term(self.f.d.from_), ")"
        return "√(", *total(len(self.n.theta[l]) - 1, term), ")"

    def sections(self) -> Iterator[Section]:
        """Yield for every layer with a max_norm lengths and factors of the weights that are too long, and new ones."""
        for l in range(1, self.n.L + 1):
            limit = self.n.max_norm(l)
            if limit is not None:
                yield from self._shortened(l, Symbol("max_norm", value=limit))

    def _shortened(self, l: int, limit: Symbol) -> Iterator[Section]:
        f, n, to = self.f, self.n, self.f.d.to
        units = n.shortened(l)
        length = self._per_unit("length", l, units, self._length, self._length_formula)
        kept = [str(j + 1) for j in range(n.widths[l]) if j not in units]
        note = f"max_norm = {limit.value:g}"
        if kept:
            note += f"; not shortened: unit{'s' if len(kept) > 1 else ''} {', '.join(kept)}"
        yield replace(length, note=note)
        if not units:
            return
        yield self._per_unit("factor", l, units, self._factor, lambda l, j: (limit, "/", self._length(l, j)))

        def weight(i: Index, j: Index) -> Formula:
            return self._factor(l, j), "·", f.new(l, i, j)

        def step(p: int) -> Step:
            i, j = 1 + p // len(units), units[p % len(units)]
            fixed = bool(n.fixed[l][i, j])
            pieces: Formula = (f.new(l, i, j + 1),) if fixed else weight(i, j + 1)
            symbol, remark = f.theta(l, i, j + 1, n.new[l]), "fixed" if fixed else ""
            return Step("shortening", l, None, (i, j), symbol, pieces, float(n.new[l][i, j]), remark)

        general = f.theta(l, f.d.from_, to, None), weight(f.d.from_, to)
        yield f.section("shortening", l, general, "", len(units) * (len(n.theta[l]) - 1), step)

    def _per_unit(
        self,
        quantity: str,
        l: int,
        units: list[int],
        symbol: Callable[[int, Index], Symbol],
        formula: Callable[[int, Index], Formula],
    ) -> Section:
        def step(p: int) -> Step:
            j = units[p]
            named = symbol(l, j + 1)
            assert isinstance(named.value, float)
            return Step(quantity, l, None, (j,), named, formula(l, j + 1), named.value)

        to = self.f.d.to
        return self.f.section(quantity, l, (symbol(l, to), formula(l, to)), "", len(units), step)


def _same(step: Step, at: int) -> Step:
    """Return the only step of a section."""
    return step
