"""What outputs cost and what delta this makes, part by part: of every head, or of all outputs where there is one loss.

formulas.py asks. Losses that are spelt out are rows of a table; others stand with their name, and of their slope the
value is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp.trace.symbols import ZERO, Formula, Group, Piece, Symbol, at, shifted, total

if TYPE_CHECKING:
    from cbp.trace.formulas import Formulas
    from cbp.trace.numbers import Part
    from cbp.trace.symbols import Index

# Losses whose delta at the output is a - y, and whether they are divided by the number of outputs
DIFFERENCES = {"binary_cross_entropy": False, "categorical_cross_entropy": False, "poisson": True}


class Output(NamedTuple):
    """What a cost is made of: output, target, the latter as the loss smooths it, the variance that goes with a."""

    a: Symbol
    y: Symbol
    smoothed: Formula
    v: Piece


@dataclass(frozen=True)
class Spelt:
    """A cost: what stands before the sum over the outputs, its terms, whether it is divided by their number."""

    front: Formula
    term: Callable[[Output], Formula]
    is_mean: bool = False


COSTS = {
    "half_squared_error": Spelt(("½", "·"), lambda o: ("(", o.a, "-", o.y, ")²")),
    "binary_cross_entropy": Spelt(
        ("-",),
        lambda o: ("[", o.y, "·", "log ", o.a, "+", "(1", "-", o.y, ")", "·", "log(1", "-", o.a, ")", "]"),
    ),
    "categorical_cross_entropy": Spelt(("-",), lambda o: (*o.smoothed, "·", "log ", o.a)),
    "negative_log_likelihood": Spelt(("-",), lambda o: (o.y, "·", o.a)),
    "mean_squared_error": Spelt((), lambda o: ("(", o.a, "-", o.y, ")²"), is_mean=True),
    "mean_absolute_error": Spelt((), lambda o: ("|", o.a, "-", o.y, "|"), is_mean=True),
    "poisson": Spelt((), lambda o: ("[", o.a, "-", o.y, "·", "log ", o.a, "]"), is_mean=True),
    "log_poisson": Spelt((), lambda o: ("[", "exp(", o.a, ")", "-", o.y, "·", o.a, "]"), is_mean=True),
    "gaussian_nll": Spelt(
        ("½", "·"), lambda o: ("[", "log ", o.v, "+", "(", o.a, "-", o.y, ")²", "/", o.v, "]"), is_mean=True
    ),
}


class Cost:
    """The cost of a part of the outputs, and its delta. Units are counted from 1, through all parts."""

    def __init__(self, formulas: Formulas, part: Part) -> None:
        self.f, self.n, self.part = formulas, formulas.n, part
        self.first, self.name = part.units.start, part.loss.name
        self.args = part.loss.args

    @property
    def symbol(self) -> str:
        """The name of the cost of one sample, with the number of the head if there are several."""
        one = self.f.d.cost_of_one or self.f.d.cost
        return f"{one}^({self.part.number + 1})" if len(self.n.parts) > 1 else one

    # ---- letters ----

    def a(self, r: Index, j: Index) -> Symbol:
        """Return output j."""
        return self.f.a(self.n.L, r, j)

    def y(self, r: Index, j: Index) -> Symbol:
        """Return the target of output j."""
        return self.f.y(r, shifted(j, self.part.targets.start - self.first))

    def _v(self, r: Index, j: Index) -> Piece:
        """Return the variance that belongs to the mean j, as it is held above the least one."""
        a = self.a(r, shifted(j, len(self.part.targets)))
        eps = self.args.get("eps", 0.0)
        value = max(a.value, eps) if isinstance(a.value, float) else None
        return Group(("max(", a, ",", Symbol("eps", value=eps), ")"), value)

    def _smoothed(self, r: Index, j: Index) -> Formula:
        smoothing = self.args.get("label_smoothing", 0.0)
        if not smoothing:
            return (self.y(r, j),)
        return "(", f"(1 - {smoothing:g})", "·", self.y(r, j), "+", f"{smoothing:g}/{len(self.part.units)}", ")"

    def _output(self, r: Index, j: Index) -> Output:
        a = self.a(r, j)
        return Output(a, self.y(r, j), self._smoothed(r, j), self._v(r, j) if self.part.loss.pair else a)

    def _known(self, r: int) -> list[int]:
        """Return the units whose targets are there, for a loss that can do without; of pairs the first."""
        wanted = [self.first + j for j in range(len(self.part.targets))]
        if not self._skips_missing:
            return [j + 1 for j in wanted]
        y = self.n.y[r - 1, self.part.targets]
        return [j + 1 for j, value in zip(wanted, y, strict=True) if not np.isnan(value)]

    @property
    def _skips_missing(self) -> bool:
        return hasattr(self.part.loss, "formula")  # not a function of the user's, which gets NaN

    # ---- cost ----

    def formula(self, r: Index) -> Formula:
        """Return the cost of sample r; terms whose target is missing are left out."""
        known = [] if isinstance(r, str) else self._known(r)
        if not isinstance(r, str) and not known:
            return ZERO
        spelt = COSTS.get(self.name)
        if spelt is None:
            return self._named(r)
        if isinstance(r, str):
            sigma = Symbol("Σ", self.f.d.to)
            inner: Formula = sigma, " ", *spelt.term(self._output(r, self.f.d.to))
        else:
            inner = total(len(known), lambda i: spelt.term(self._output(r, known[i - 1])))
        n = len(self.part.targets)
        divides = spelt.is_mean and n > 1
        if divides or (spelt.front and len(known) > 1):
            inner = "(", *inner, ")"
        return (*spelt.front, *inner, *(("/", str(n)) if divides else ()))

    def _named(self, r: Index) -> Formula:
        first, n, n_y = self.first, len(self.part.units), len(self.part.targets)
        outputs = total(n, lambda j: (self.a(r, shifted(j, first)),), ",")
        targets = total(n_y, lambda j: (self.y(r, shifted(j, first)),), ",")
        return str(self.part.loss), "(", *outputs, "; ", *targets, ")"

    # ---- delta ----

    def activation(self, r: Index, j: Index) -> Formula:
        """Return what output j is made of."""
        if not self.part.row_wise:
            return self.f.activation(self.n.L, r, j)
        L, first = self.n.L, self.first
        z = total(len(self.part.units), lambda k: self.f.steep(L, (self.f.z(L, r, shifted(k, first)),)), ",")
        if isinstance(j, str):
            return Symbol(self.f.d.function.base, j), "(", *z, ")"
        return Symbol(self.n.activation(L, j - 1).name, str(j - first)), "(", *z, ")"

    def delta(self, r: Index, j: Index) -> Formula:
        """Return the delta of output j: the slope of the part's cost, times the weight of the part."""
        if not isinstance(r, str) and not isinstance(j, str) and self._is_silent(r, j):
            return ZERO
        weight, steepness = self.part.weight, self.n.steepness(self.n.L)
        factor: Formula = () if weight == 1 else (f"{weight:g}", "·")
        steep: Formula = () if steepness == 1 else (f"{steepness:g}", "·")
        if self.name in DIFFERENCES:
            found = self._difference(r, j)
            return (*factor, *steep, "(", *found, ")") if factor or steep else found
        if self.part.loss.head:
            z = self.f.steep(self.n.L, (self.f.z(self.n.L, r, j),))
            return *factor, *steep, f"{self.part.loss}′", "(", *z, ",", self.y(r, j), ")"
        if not self.part.row_wise:
            slopes = self.n.slopes(self.n.L, self.part)
            return *factor, *self._error(r, j), "·", *self.f.slope(self.n.L, r, j, slopes, self.first)
        found = self._through_row(r, j)
        return (*factor, "(", *found, ")") if factor else found

    def _is_silent(self, r: int, j: int) -> bool:
        """Whether delta is 0 because targets are missing."""
        return not self._heard(r) if self.part.row_wise else j not in self._heard(r)

    def _heard(self, r: int) -> list[int]:
        """Return the units that the cost depends on; two for a target where the loss takes them in pairs."""
        known, n = self._known(r), len(self.part.targets)
        return [*known, *(j + n for j in known if self.part.loss.pair)]

    def _difference(self, r: Index, j: Index) -> Formula:
        n = len(self.part.units)
        smoothing = self.args.get("label_smoothing", 0.0)
        if smoothing:
            return self.a(r, j), "-", f"(1 - {smoothing:g})", "·", self.y(r, j), "-", f"{smoothing:g}/{n}"
        found = self.a(r, j), "-", self.y(r, j)
        return ("(", *found, ")", "/", str(n)) if DIFFERENCES[self.name] and n > 1 else found

    def _error(self, r: Index, j: Index) -> Formula:
        """Return the derivative of the cost by output j."""
        if self.name == "half_squared_error":
            return "(", self.a(r, j), "-", self.y(r, j), ")"
        if self.name == "mean_squared_error":
            n = len(self.part.targets)
            return "2", "·", "(", self.a(r, j), "-", self.y(r, j), ")", *(("/", str(n)) if n > 1 else ())
        value = at(self.n.errors(self.part), r, shifted(j, -self.first))
        return (replace(self.a(r, j), of=self.symbol, value=value),)

    def _through_row(self, r: Index, j: Index) -> Formula:
        """Return the sum over all outputs of the part: each is a function of net input j."""

        def term(k: Index) -> Formula:
            return *self._error(r, k), "·", self._jacobian(r, k, j)

        if isinstance(r, str) or isinstance(j, str):
            return Symbol("Σ", self.f.d.above), " ", *term(self.f.d.above)
        heard = self._heard(r)
        return total(len(heard), lambda i: term(heard[i - 1]))

    def _jacobian(self, r: Index, k: Index, j: Index) -> Piece:
        L = self.n.L
        derivative = replace(self.f.z(L, r, j), of=str(self.a(r, k)), value=None)
        value = at(self.n.slopes(L, self.part), r, shifted(k, -self.first), shifted(j, -self.first))
        return Group((derivative,), value)
