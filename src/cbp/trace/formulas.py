"""The formulas of one update: every number of it with what it is made of, in the letters of a dialect.

Indices of units and samples are numbers from 1, or letters: with letters the same methods write the general formula of
a section. In `theta[l]` and `grad[l]` index 0 of the unit before is the bias, so i is the array's own index there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cbp.trace.costs import Cost
from cbp.trace.dialects import NAMES, NOTES, Dialect, Letter, require_fit
from cbp.trace.limits import Limits
from cbp.trace.steps import TITLES, Section, Step
from cbp.trace.symbols import ZERO, Formula, Group, Index, Symbol, at, join, shifted, total

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.trace.numbers import Numbers

SAMPLE = "r"  # index letter of the samples

# Of the layer and (sample, unit), or (unit before, unit): a symbol, and its formula
ToSymbol = Callable[[int, Index, Index], Symbol]
ToFormula = Callable[[int, Index, Index], Formula]


class Formulas:
    """Formulas with their numbers in one dialect, which must fit."""

    def __init__(self, numbers: Numbers, dialect: Dialect) -> None:
        require_fit(dialect, numbers)
        self.n, self.d = numbers, dialect
        self.costs = [Cost(self, part) for part in numbers.parts]
        self.limits = Limits(self)

    # ---- symbols ----

    def _unit(self, letter: Letter, l: int, r: Index, j: Index, values: Array | None) -> Symbol:
        """Return the symbol of unit j of sample r; values are (m, n_l)."""
        value = None if values is None else at(values, r, j)
        if self.d.sample == "sup" and letter is self.d.target:
            return letter(l, j, mark=f"({r})", value=value)
        if self.n.m == 1:
            return letter(l, j, value=value)
        if self.d.sample == "sup":
            return letter(l, j, mark=f"[{r}]", value=value)
        return letter(l, f"{r},{j}", value=value)

    def a(self, l: int, r: Index, j: Index) -> Symbol:
        """Return the activation of unit j of layer l; j = 0 is the bias unit."""
        if j == 0:
            return replace(self._unit(self.d.out, l, r, j, None), value=1.0)
        letter = self.d.final if l == self.n.L and self.d.final else self.d.out
        return self._unit(letter, l, r, j, self.n.A[l])

    def z(self, l: int, r: Index, j: Index) -> Symbol:
        """Return the net input of unit j of layer l."""
        return self._unit(self.d.net, l, r, j, self.n.Z[l])

    def y(self, r: Index, j: Index) -> Symbol:
        """Return the target of output j."""
        return self._unit(self.d.target, self.n.L, r, j, self.n.y)

    def delta(self, l: int, r: Index, j: Index) -> Symbol:
        """Return the delta of unit j of layer l."""
        return self._unit(self.d.delta, l, r, j, self.n.D[l])

    def theta(self, l: int, i: Index, j: Index, values: Array | None) -> Symbol:
        """Return the symbol of the weight from i to j, of the bias of j for i = 0."""
        value = None if values is None or isinstance(i, str) or isinstance(j, str) else float(values[i, j - 1])
        if i == 0 and self.d.bias == "vector":
            return self.d.bias_letter(l, j, value=value)
        return self.d.weight(l, *((j, i) if self.d.to_first else (i, j)), value=value)

    def w(self, l: int, i: Index, j: Index) -> Symbol:
        """Return a weight or bias before the update."""
        return self.theta(l, i, j, self.n.theta[l])

    def derivative(self, l: int, i: Index, j: Index) -> Symbol:
        """Return the symbol of the objective's derivative by a weight or bias."""
        return replace(self.theta(l, i, j, self.n.grad[l]), of=self.d.cost)

    def new(self, l: int, i: Index, j: Index) -> Symbol:
        """Return a weight or bias after the update."""
        symbol = self.theta(l, i, j, self.n.moved[l])
        return replace(symbol, base=symbol.base + self.d.new)

    def cost(self, r: Index | None = None, part: Cost | None = None) -> Symbol:
        """Return the objective, or the cost of sample r, or what of it is that of a part of the outputs."""
        if r is None:
            return Symbol(self.d.cost, value=self.n.loss)
        costs = self.n.costs if part is None else self.n.part_costs[part.part.number]
        value = None if isinstance(r, str) else costs[r - 1]
        if self.d.sample == "sup":
            return Symbol(self.d.cost_of_one, "", f"[{r}]", value=value)
        below = "" if self.n.m == 1 and self.n.s is None else str(r)
        above = "" if part is None else f"({part.part.number + 1})"
        return Symbol(self.d.cost_of_one, below, above, value=value)

    def _sum(self, letter: str, n: int, term: Callable[[Index], Formula], general: bool) -> Formula:
        return (Symbol("Σ", letter), " ", *term(letter)) if general else total(n, term)

    # ---- forward ----

    def net_input(self, l: int, r: Index, j: Index) -> Formula:
        """Return b + sum of w a."""
        first: Formula = ()
        if self.d.bias != "none":
            unit: Formula = ("·", self.a(l - 1, r, 0)) if self.d.bias == "unit" else ()
            first = (self.w(l, 0, j), *unit, "+")

        def term(i: Index) -> Formula:
            return self.w(l, i, j), "·", self._came_in(l, r, i)

        if not isinstance(j, str):
            return *first, *total(len(self.n.theta[l]) - 1, term)
        sums = [(Symbol("Σ", self.d.from_), " ", *term(shifted(self.d.from_, row))) for _, row in self.n.sources(l)]
        return *first, *join("+", sums)

    def _came_in(self, l: int, r: Index, i: Index) -> Symbol:
        """Return the activation that weights i of layer l are multiplied with: i counts through all that feed it."""
        sources = self.n.sources(l)
        if isinstance(i, str):
            k = next(k for k, row in sources if shifted(self.d.from_, row) == i)
            return self.a(k, r, self.d.from_)
        k, row = next(source for source in reversed(sources) if i > source[1] or i == 0)
        return self.a(k, r, i - row if i else 0)

    def steep(self, l: int, formula: Formula) -> Formula:
        """Return the formula times the layer's steepness, which is not written where it is 1."""
        s = self.n.steepness(l)
        return formula if s == 1 else (f"{s:g}", "·", *formula)

    def activation(self, l: int, r: Index, j: Index) -> Formula:
        """Return g(z), or g(s z)."""
        row = self.n.activation(l, 0 if isinstance(j, str) else j - 1)
        return replace(self._function(l, j), value=str(row)), "(", *self.steep(l, (self.z(l, r, j),)), ")"

    def _function(self, l: int, j: Index) -> Symbol:
        own = self.d.function.layer != ""  # derivation D: a function for every unit
        return self.d.function(l, j) if own else self.d.function(l)

    def cost_formula(self, r: Index) -> Formula:
        """Return the cost of sample r, the weighted sum of its parts."""
        if len(self.costs) == 1:
            return self.costs[0].formula(r)
        weights = [() if cost.part.weight == 1 else (f"{cost.part.weight:g}", "·") for cost in self.costs]
        return join("+", [(*w, self.cost(r, cost)) for w, cost in zip(weights, self.costs, strict=True)])

    def objective(self, general: bool) -> Formula:
        """Return the mean or the sum of the samples' costs, or the cost of the only one."""
        n = self.n
        if self._is_simple:
            return self.cost_formula(SAMPLE if general else 1)

        def term(r: Index) -> Formula:
            return *self._weight(r), self.cost(r)

        alone = n.m == 1 and n.s is None
        mean = term(1) if alone else self._reduced(self._sum(SAMPLE, n.m, term, general))
        return *mean, *self.limits.penalties()

    @property
    def _is_simple(self) -> bool:
        """Whether the objective is the cost of one sample, without parts."""
        alone = self.n.m == 1 and self.n.s is None
        return alone and len(self.costs) == 1 and not self.limits.penalized

    def _weight(self, r: Index) -> Formula:
        if self.n.s is None:
            return ()
        return Symbol("s", str(r), value=None if isinstance(r, str) else float(self.n.s[r - 1])), "·"

    def _reduced(self, inner: Formula) -> Formula:
        n = self.n
        if n.reduction == "sum" and not self.d.always_divides:
            return inner
        if n.s is None:
            return "(", *inner, ")", "/", Symbol("m", value=float(n.m))
        return "(", *inner, ")", "/", self._all_weights()

    def _all_weights(self) -> Group:
        assert self.n.s is not None
        return Group((Symbol("Σ", SAMPLE), " ", Symbol("s", SAMPLE)), _sum_of(self.n.s))

    # ---- backward ----

    def share(self) -> Formula:
        """Return how often a penalty counts, as a factor: once in a mean, once for every sample in a sum."""
        n = self.n
        if n.reduction != "sum" or (n.s is None and n.m == 1):
            return ()
        return (Symbol("m", value=float(n.m)) if n.s is None else self._all_weights(), "·")

    def slope(self, l: int, r: Index, j: Index, slopes: Array | None = None, first: int = 0) -> Formula:
        """Return da/dz, which is g'(z), or a(1 - a) where the dialect has that for a sigmoid.

        `slopes` are those of the units from `first` on; default: of all of the layer.
        """
        row = self.n.activation(l, 0 if isinstance(j, str) else j - 1)
        if self.d.sigmoid_slope and row.name == "sigmoid":
            return self.a(l, r, j), "·", "(1", "-", self.a(l, r, j), ")"
        function = self._function(l, j)
        prime = replace(function, base=function.base + "′")
        pieces = prime, "(", *self.steep(l, (self.z(l, r, j),)), ")"
        values = self.n.slopes(l) if slopes is None else slopes
        return (Group(self.steep(l, pieces), at(values, r, shifted(j, -first))),)

    def delta_formula(self, l: int, r: Index, j: Index) -> Formula:
        """Return the error that arrives at unit j of hidden layer l, times its slope."""
        n = self.n

        def term(c: int, row: int, k: Index) -> Formula:
            pair = self.delta(c, r, k), self.w(c, shifted(j, row), k)
            return (pair[1], "·", pair[0]) if self.d.to_first else (pair[0], "·", pair[1])

        consumers = n.consumers(l)
        if isinstance(j, str):
            inner = join("+", [(Symbol("Σ", self.d.above), " ", *term(c, row, self.d.above)) for c, row in consumers])
        else:
            above = [(c, row, k) for c, row in consumers for k in range(1, n.widths[c] + 1)]
            inner = total(len(above), lambda at: term(*above[at - 1]))
        return "(", *inner, ")", "·", *self.slope(l, r, j)

    def _product(self, l: int, r: Index, i: Index, j: Index) -> Formula:
        """Return delta times what came in over the weight; the delta alone for a bias without a unit."""
        delta = self.delta(l, r, j)
        if i == 0 and self.d.bias != "unit":
            return (delta,)
        a = self._came_in(l, r, i)
        return (a, "·", delta) if self.d.input_first else (delta, "·", a)

    def gradient(self, l: int, i: Index, j: Index) -> Formula:
        """Return the derivative of the objective by the weight from i to j, by the bias of j for i = 0."""
        return *self._data_gradient(l, i, j), *self.limits.slopes(l, i, j)

    def _data_gradient(self, l: int, i: Index, j: Index) -> Formula:
        """Return the derivative of the costs alone."""
        n = self.n
        if n.m == 1 and n.s is None and not self.d.always_divides:
            return self._product(l, 1, i, j)

        def term(r: Index) -> Formula:
            return *self._weight(r), *self._product(l, r, i, j)

        return self._reduced(self._sum(SAMPLE, n.m, term, isinstance(j, str)) if n.m > 1 else term(1))

    def update(self, l: int, i: Index, j: Index) -> Formula:
        """Return the parameter, less eta times its derivative."""
        eta = Symbol("η", value=self.n.learning_rate)
        step = self._product(l, 1, i, j) if self.d.update_spelt else (self.derivative(l, i, j),)
        return self.w(l, i, j), "-", eta, "·", *step

    # ---- sections ----

    def sections(self) -> Iterator[Section]:
        """Yield all quantities in the order in which they are computed."""
        n = self.n
        yield self._per_unit("input", 0, self.a, _given, n.A[0])
        for l in range(1, n.L + 1):
            yield self._per_unit("net input", l, self.z, self.net_input, n.Z[l])
            yield from self._activations(l)
        yield self._per_unit("target", n.L, lambda _, r, j: self.y(r, j), _given, n.y)
        yield from self._costs()
        yield from self._output_deltas()
        for l in range(n.L - 1, 0, -1):
            yield self._per_unit("delta", l, self.delta, self.delta_formula, n.D[l])
        for l in range(1, n.L + 1):
            yield from self._per_parameter("gradient", l, self.derivative, self.gradient, n.grad[l])
        for l in range(1, n.L + 1):
            yield from self._per_parameter("update", l, self.new, self.update, n.moved[l])
        yield from self.limits.sections()

    def _activations(self, l: int) -> Iterator[Section]:
        if l < self.n.L:
            yield self._per_unit("activation", l, self.a, self.activation, self.n.A[l])
            return
        for cost in self.costs:
            formula = _whatever_layer(cost.activation)
            yield self._named(self._per_unit("activation", l, self.a, formula, self.n.A[l], cost.part.units), cost)

    def _output_deltas(self) -> Iterator[Section]:
        L = self.n.L
        for cost in self.costs:
            formula = _whatever_layer(cost.delta)
            yield self._named(self._per_unit("delta", L, self.delta, formula, self.n.D[L], cost.part.units), cost)

    def _named(self, section: Section, cost: Cost) -> Section:
        """Return the section with the number of the head in its name, if there are several."""
        if len(self.costs) == 1:
            return section
        units = cost.part.units
        span = f"unit {units.stop}" if len(units) == 1 else f"units {units.start + 1} to {units.stop}"
        return replace(section, name=f"head {cost.part.number + 1}, {span}")

    def section(
        self, quantity: str, l: int, general: tuple[Symbol, Formula], part: str, n: int, step: Callable[[int], Step]
    ) -> Section:
        """Return a section with the title of its quantity; `part` is what tables of names and notes call it."""
        number = l + self.d.net.shift
        below = [str(k + self.d.net.shift) for k, _ in self.n.sources(l)] if l else []
        layers = f"Layer{'s' if len(below) > 1 else ''} {', '.join(below)}"
        title = TITLES[quantity].format(layer=number, below=layers)
        key = self.d.name, part
        return Section(quantity, title, *general, NAMES.get(key, ""), NOTES.get(key, ""), n, step)

    def _per_unit(
        self, quantity: str, l: int, symbol: ToSymbol, formula: ToFormula, values: Array, units: range | None = None
    ) -> Section:
        units = range(values.shape[1]) if units is None else units

        def step(at: int) -> Step:
            r, j = at // len(units), units[at % len(units)]
            pieces = formula(l, r + 1, j + 1)
            remark = "missing target" if pieces == ZERO else ""
            return Step(quantity, l, r, (r, j), symbol(l, r + 1, j + 1), pieces, float(values[r, j]), remark)

        place = ("output " if l == self.n.L else "hidden ") if quantity == "delta" else ""
        r: Index = 1 if self.n.m == 1 else SAMPLE
        general = symbol(l, r, self.d.to), formula(l, r, self.d.to)
        return self.section(quantity, l, general, place + quantity, len(values) * len(units), step)

    def _costs(self) -> Iterator[Section]:
        """Yield what heads, and samples, cost; penalties; and the objective."""
        n, part = self.n, "cost"
        for cost in self.costs if len(self.costs) > 1 else []:
            yield self._named(self._per_sample(cost), cost)
        if not self._is_simple:
            yield self._per_sample(None)
            part = ""
        yield from self.limits.costs()
        whole = Step("cost", n.L, None, (), self.cost(), self.objective(False), n.loss)
        yield self.section("cost", n.L, (self.cost(), self.objective(True)), part, 1, lambda _: whole)

    def _per_sample(self, of: Cost | None) -> Section:
        """Return what every sample costs, or what of it is that of a part of the outputs."""
        n = self.n
        formula = self.cost_formula if of is None else of.formula
        values = n.costs if of is None else n.part_costs[of.part.number]
        where = () if of is None else (of.part.number,)

        def one(r: int) -> Step:
            pieces = formula(r + 1)
            remark = "missing target" if pieces == ZERO else ""
            return Step("cost", n.L, r, (r, *where), self.cost(r + 1, of), pieces, values[r], remark)

        return self.section("cost", n.L, (self.cost(SAMPLE, of), formula(SAMPLE)), "cost", n.m, one)

    def _per_parameter(
        self, quantity: str, l: int, symbol: ToSymbol, formula: ToFormula, values: Array
    ) -> Iterator[Section]:
        """Biases, and weights from every layer that feeds this one: sections, for their general formulas differ."""
        rows, cols = values.shape
        starts = [row for _, row in self.n.sources(l)]
        ends = zip(starts, [*starts[1:], rows - 1], strict=True)
        weights = [("weight", low + 1, high + 1, shifted(self.d.from_, low)) for low, high in ends]
        parts: list[tuple[str, int, int, Index]] = [("bias", 0, 1, 0), *weights]
        for kind, low, high, i in parts if self.d.bias != "none" else parts[1:]:
            fixed = self.n.fixed[l][low:high]

            def step(at: int, low: int = low, fixed: Array = fixed) -> Step:
                i, j = low + at // cols, at % cols
                is_fixed = bool(fixed[at // cols, j])
                pieces = self._held(quantity, l, i, j + 1) if is_fixed else formula(l, i, j + 1)
                remark = "fixed" if is_fixed else ""
                return Step(quantity, l, None, (i, j), symbol(l, i, j + 1), pieces, float(values[i, j]), remark)

            held = bool(fixed.all())
            general = self._held(quantity, l, i, self.d.to) if held else formula(l, i, self.d.to)
            part = "" if held else f"{kind} {quantity}"
            section = self.section(quantity, l, (symbol(l, i, self.d.to), general), part, (high - low) * cols, step)
            yield replace(section, note="all are fixed") if held else section

    def _held(self, quantity: str, l: int, i: Index, j: Index) -> Formula:
        """Return the gradient of a fixed parameter, or what it is after the update."""
        return ZERO if quantity == "gradient" else (self.w(l, i, j),)


def _whatever_layer(formula: Callable[[Index, Index], Formula]) -> ToFormula:
    """Return a formula of the outputs as one of all layers."""
    return lambda _, r, j: formula(r, j)


def _given(l: int, r: Index, j: Index) -> Formula:
    """Inputs and targets are made of nothing."""
    return ()


def _sum_of(weights: Array) -> float:
    """Sum in index order, in double, as the core does."""
    found = 0.0
    for s in weights.tolist():
        found += s
    return found
