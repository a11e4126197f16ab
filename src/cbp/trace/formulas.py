"""The formulas of one update: every number of it with what it is made of, in the letters of a dialect.

Indices of units and samples are numbers from 1, or letters: with letters the same methods write the general formula of
a section. In `theta[l]` and `grad[l]` index 0 of the unit before is the bias, so i is the array's own index there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cbp.trace.dialects import NAMES, NOTES, Dialect, Index, Letter, require_fit
from cbp.trace.symbols import Formula, Group, Piece, Symbol, join, shifted, total

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.trace.numbers import Numbers

SAMPLE = "r"  # index letter of the samples

TITLES = {
    "input": "Inputs",
    "net input": "Layer {layer}: net inputs",
    "activation": "Layer {layer}: activations",
    "target": "Targets",
    "cost": "Cost",
    "delta": "Layer {layer}: deltas",
    "gradient": "{below} to {layer}: gradient",
    "update": "{below} to {layer}: update",
}

# Of the layer and (sample, unit), or (unit before, unit): a symbol, and its formula
ToSymbol = Callable[[int, Index, Index], Symbol]
ToFormula = Callable[[int, Index, Index], Formula]

# Losses whose delta at the output is a - y
CROSS_ENTROPIES = {"binary_cross_entropy", "categorical_cross_entropy"}

# Costs that are spelt out: what stands before the sum over the outputs, and its terms of output a and target y
COSTS: dict[str, tuple[Formula, Callable[[Symbol, Symbol], Formula]]] = {
    "half_squared_error": (("½", "·"), lambda a, y: ("(", a, "-", y, ")²")),
    "binary_cross_entropy": (
        ("-",),
        lambda a, y: ("[", y, "·", "log ", a, "+", "(1", "-", y, ")", "·", "log(1", "-", a, ")", "]"),
    ),
    "categorical_cross_entropy": (("-",), lambda a, y: (y, "·", "log ", a)),
}


@dataclass(frozen=True)
class Step:
    """One number: symbol = formula = value. `indices` are those of the number in cbp's arrays, from 0."""

    quantity: str
    layer: int
    sample: int | None
    indices: tuple[int, ...]
    symbol: Symbol
    formula: Formula
    value: float


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
        return "←" if self.quantity == "update" and not self.symbol.base.endswith("\u0302") else "="


class Formulas:
    """Formulas with their numbers in one dialect, which must fit."""

    def __init__(self, numbers: Numbers, dialect: Dialect) -> None:
        require_fit(dialect, numbers)
        self.n, self.d = numbers, dialect

    # ---- symbols ----

    def _unit(self, letter: Letter, l: int, r: Index, j: Index, values: Array | None) -> Symbol:
        """Return the symbol of unit j of sample r; values are (m, n_l)."""
        value = None if values is None else _at(values, r, j)
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
        symbol = self.theta(l, i, j, self.n.new[l])
        return replace(symbol, base=symbol.base + self.d.new)

    def cost(self, r: Index | None = None) -> Symbol:
        """Return the objective, or the cost of sample r."""
        if r is None:
            return Symbol(self.d.cost, value=self.n.loss)
        value = None if isinstance(r, str) else self.n.costs[r - 1]
        above = self.d.sample == "sup"
        return Symbol(self.d.cost_of_one, "" if above else str(r), f"[{r}]" if above else "", value=value)

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

    def _steep(self, l: int, formula: Formula) -> Formula:
        """Return the formula times the layer's steepness, which is not written where it is 1."""
        s = self.n.steepness(l)
        return formula if s == 1 else (f"{s:g}", "·", *formula)

    def activation(self, l: int, r: Index, j: Index) -> Formula:
        """Return g(z), or g(s z)."""
        row = self.n.activation(l, 0 if isinstance(j, str) else j - 1)
        if row.row_wise:
            arguments = total(self.n.widths[l], lambda k: self._steep(l, (self.z(l, r, k),)), ",")
            name = self.d.function.base if isinstance(j, str) else row.name
            return Symbol(name, str(j)), "(", *arguments, ")"
        return replace(self._function(l, j), value=str(row)), "(", *self._steep(l, (self.z(l, r, j),)), ")"

    def _function(self, l: int, j: Index) -> Symbol:
        own = self.d.function.layer != ""  # derivation D: a function for every unit
        return self.d.function(l, j) if own else self.d.function(l)

    def cost_formula(self, r: Index) -> Formula:
        """Return the cost of sample r."""
        n_L = self.n.widths[-1]
        form = None if self.n.loss_row.args.get("label_smoothing") else COSTS.get(self.n.loss_row.name)
        if form is None:
            outputs = total(n_L, lambda j: (self._output(r, j),), ",")
            targets = total(self.n.y.shape[1], lambda j: (self.y(r, j),), ",")
            return str(self.n.loss_row), "(", *outputs, ";", " ", *targets, ")"
        front, term = form
        inner = self._sum(self.d.to, n_L, lambda j: term(self._output(r, j), self.y(r, j)), isinstance(r, str))
        return (*front, "(", *inner, ")") if n_L > 1 and not isinstance(r, str) else (*front, *inner)

    def _output(self, r: Index, j: Index) -> Symbol:
        return self.a(self.n.L, r, j)

    def objective(self, general: bool) -> Formula:
        """Return the mean or the sum of the samples' costs, or the cost of the only one."""
        n = self.n
        if n.m == 1 and n.s is None:
            return self.cost_formula(SAMPLE if general else 1)

        def term(r: Index) -> Formula:
            return *self._weight(r), self.cost(r)

        return self._reduced(self._sum(SAMPLE, n.m, term, general))

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
        return "(", *inner, ")", "/", Group((Symbol("Σ", SAMPLE), " ", Symbol("s", SAMPLE)), _sum_of(n.s))

    # ---- backward ----

    def slope(self, l: int, r: Index, j: Index) -> Formula:
        """Return da/dz, which is g'(z), or a(1 - a) where the dialect has that for a sigmoid."""
        row = self.n.activation(l, 0 if isinstance(j, str) else j - 1)
        if self.d.sigmoid_slope and row.name == "sigmoid":
            return self.a(l, r, j), "·", "(1", "-", self.a(l, r, j), ")"
        function = self._function(l, j)
        prime = replace(function, base=function.base + "′")
        pieces = prime, "(", *self._steep(l, (self.z(l, r, j),)), ")"
        return (Group(self._steep(l, pieces), _at(self.n.slopes(l), r, j)),)

    def error(self, r: Index, j: Index) -> Formula:
        """Return the derivative of the cost by an output."""
        if self.n.loss_row.name == "half_squared_error":
            return "(", self.a(self.n.L, r, j), "-", self.y(r, j), ")"
        return (replace(self.a(self.n.L, r, j), of=self._cost_base, value=_at(self.n.errors, r, j)),)

    @property
    def _cost_base(self) -> str:
        return self.d.cost_of_one or self.d.cost

    def delta_formula(self, l: int, r: Index, j: Index) -> Formula:
        """Return the error that arrives at unit j of layer l, times its slope."""
        n = self.n
        if l == n.L:
            return self._output_delta(r, j)

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

    def _output_delta(self, r: Index, j: Index) -> Formula:
        n = self.n
        if n.loss_row.name in CROSS_ENTROPIES:
            found = self._difference(r, j)
            return found if n.steepness(n.L) == 1 else self._steep(n.L, ("(", *found, ")"))
        if n.loss_row.head:
            z = self._steep(n.L, (self.z(n.L, r, j),))
            return self._steep(n.L, (f"{n.loss_row}′", "(", *z, ",", self.y(r, j), ")"))
        if not n.row_wise:
            return *self.error(r, j), "·", *self.slope(n.L, r, j)

        def term(k: Index) -> Formula:
            return *self.error(r, k), "·", self._jacobian(r, k, j)

        return self._sum(self.d.above, n.widths[-1], term, isinstance(j, str))

    def _difference(self, r: Index, j: Index) -> Formula:
        """Return what a cross-entropy makes of an output and its target."""
        smoothing = self.n.loss_row.args.get("label_smoothing", 0.0)
        if not smoothing:
            return self._output(r, j), "-", self.y(r, j)
        shared = f"{smoothing:g}/{self.n.widths[-1]}"
        return self._output(r, j), "-", f"(1 - {smoothing:g})", "·", self.y(r, j), "-", shared

    def _jacobian(self, r: Index, k: Index, j: Index) -> Piece:
        L = self.n.L
        derivative = replace(self.z(L, r, j), of=str(self.a(L, r, k)), value=None)
        return Group((derivative,), _at(self.n.slopes(L), r, k, j))

    def _product(self, l: int, r: Index, i: Index, j: Index) -> Formula:
        """Return delta times what came in over the weight; the delta alone for a bias without a unit."""
        delta = self.delta(l, r, j)
        if i == 0 and self.d.bias != "unit":
            return (delta,)
        a = self._came_in(l, r, i)
        return (a, "·", delta) if self.d.input_first else (delta, "·", a)

    def gradient(self, l: int, i: Index, j: Index) -> Formula:
        """Return the derivative of the objective by the weight from i to j, by the bias of j for i = 0."""
        n = self.n
        general = isinstance(j, str)
        if n.m == 1 and n.s is None and not self.d.always_divides:
            return self._product(l, 1, i, j)

        def term(r: Index) -> Formula:
            return *self._weight(r), *self._product(l, r, i, j)

        return self._reduced(self._sum(SAMPLE, n.m, term, general) if n.m > 1 else term(1))

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
            yield self._per_unit("activation", l, self.a, self.activation, n.A[l])
        yield self._per_unit("target", n.L, lambda _, r, j: self.y(r, j), _given, n.y)
        yield from self._costs()
        for l in range(n.L, 0, -1):
            yield self._per_unit("delta", l, self.delta, self.delta_formula, n.D[l])
        for l in range(1, n.L + 1):
            yield from self._per_parameter("gradient", l, self.derivative, self.gradient, n.grad[l])
        for l in range(1, n.L + 1):
            yield from self._per_parameter("update", l, self.new, self.update, n.new[l])

    def _section(
        self, quantity: str, l: int, general: tuple[Symbol, Formula], part: str, n: int, step: Callable[[int], Step]
    ) -> Section:
        number = l + self.d.net.shift
        below = [str(k + self.d.net.shift) for k, _ in self.n.sources(l)] if l else []
        layers = f"Layer{'s' if len(below) > 1 else ''} {', '.join(below)}"
        title = TITLES[quantity].format(layer=number, below=layers)
        key = self.d.name, part
        return Section(quantity, title, *general, NAMES.get(key, ""), NOTES.get(key, ""), n, step)

    def _per_unit(self, quantity: str, l: int, symbol: ToSymbol, formula: ToFormula, values: Array) -> Section:
        n_l = values.shape[1]

        def step(at: int) -> Step:
            r, j = divmod(at, n_l)
            pieces = formula(l, r + 1, j + 1)
            return Step(quantity, l, r, (r, j), symbol(l, r + 1, j + 1), pieces, float(values[r, j]))

        place = ("output " if l == self.n.L else "hidden ") if quantity == "delta" else ""
        r: Index = 1 if self.n.m == 1 else SAMPLE
        general = symbol(l, r, self.d.to), formula(l, r, self.d.to)
        return self._section(quantity, l, general, place + quantity, values.size, step)

    def _costs(self) -> Iterator[Section]:
        n = self.n
        part = "cost"
        if n.m > 1 or n.s is not None:

            def one(r: int) -> Step:
                return Step("cost", n.L, r, (r,), self.cost(r + 1), self.cost_formula(r + 1), n.costs[r])

            yield self._section("cost", n.L, (self.cost(SAMPLE), self.cost_formula(SAMPLE)), part, n.m, one)
            part = ""
        whole = Step("cost", n.L, None, (), self.cost(), self.objective(False), n.loss)
        yield self._section("cost", n.L, (self.cost(), self.objective(True)), part, 1, lambda at: whole)

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

            def step(at: int, low: int = low) -> Step:
                i, j = low + at // cols, at % cols
                return Step(quantity, l, None, (i, j), symbol(l, i, j + 1), formula(l, i, j + 1), float(values[i, j]))

            general = symbol(l, i, self.d.to), formula(l, i, self.d.to)
            yield self._section(quantity, l, general, f"{kind} {quantity}", (high - low) * cols, step)


def _given(l: int, r: Index, j: Index) -> Formula:
    """Inputs and targets are made of nothing."""
    return ()


def _at(values: Array, *places: Index) -> float | None:
    """Return the number at these places, counted from 1; None where one of them is a letter."""
    known = [place - 1 for place in places if not isinstance(place, str)]
    return float(values[tuple(known)]) if len(known) == len(places) else None


def _sum_of(weights: Array) -> float:
    """Sum in index order, in double, as the core does."""
    found = 0.0
    for s in weights.tolist():
        found += s
    return found
