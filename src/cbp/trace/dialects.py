"""The notations of the trace: cbp's own and those of the five derivations, each a row of names and habits.

Right-hand sides are in the corrected form; NOTES says what was printed instead. The documentation's page on the five
derivations has the dictionary, and all corrections with their reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbp.errors import unknown
from cbp.trace.symbols import Index, Symbol, Value

if TYPE_CHECKING:
    from cbp.trace.numbers import Numbers


@dataclass(frozen=True)
class Letter:
    """A letter that the index of a unit stands below, and the number of a layer, in its way of counting, above.

    `layer` is how the number is written, `shift` what is added to cbp's; as a derivative of `of` where that is given.
    `front` stands before the indices.
    """

    base: str
    layer: str = "{}"
    shift: int = 0
    of: str = ""
    front: str = ""

    def __call__(self, l: int, *sub: Index, mark: str = "", value: Value = None) -> Symbol:
        """Return the symbol of layer l of cbp; `mark` is put behind the layer."""
        return Symbol(self.base, self.front + indices(sub), self.layer.format(l + self.shift) + mark, self.of, value)


def indices(sub: tuple[Index, ...]) -> str:
    """Return indices as they are written: with commas where one has two digits."""
    texts = [str(i) for i in sub]
    return ("," if any(len(text) > 1 and text[-1].isdigit() for text in texts) else "").join(texts)


@dataclass(frozen=True)
class Dialect:
    """A notation. `l` of a letter is always cbp's number of the layer that a weight leads into, or that a unit is in.

    from_, to, above: the index letters of the unit before, of this unit, and of one in the layer above.
    cost, cost_of_one: the objective, and the cost of one of several samples. new: an accent of updated parameters.
    to_first: the order of a weight's indices. bias: "vector", "unit" (a_0 = 1) or "none". final: the outputs' letter.
    sample: where the number of the sample goes, "sub" or "sup". losses: those it is written for, empty for any.
    unit_wise: it knows no outputs that are a function of their whole row. batch: it treats several samples at once.
    sigmoid_slope: it writes a(1 - a) for a sigmoid's slope. update_spelt: it updates by delta and input, not by ∂J/∂w.
    """

    name: str
    title: str
    from_: str
    to: str
    above: str
    to_first: bool
    weight: Letter
    net: Letter
    out: Letter
    function: Letter
    delta: Letter
    target: Letter
    cost: str
    cost_of_one: str = ""
    new: str = ""
    bias: str = "vector"
    bias_letter: Letter = Letter("b")
    final: Letter | None = None
    sample: str = "sub"
    sigmoid_slope: bool = False
    input_first: bool = False
    update_spelt: bool = False
    losses: tuple[str, ...] = ()
    unit_wise: bool = True
    batch: bool = False
    reduction: str = ""
    always_divides: bool = False
    weighted: bool = False


HALF = ("half_squared_error",)

CBP = Dialect(
    "cbp", "the notation of cbp", "i", "j", "k", False,
    weight=Letter("w"), net=Letter("z"), out=Letter("a"), function=Letter("g", ""), delta=Letter("δ"),
    target=Letter("y", ""), cost="J", cost_of_one="C",
    input_first=True, unit_wise=False, batch=True, weighted=True,
)  # fmt: skip
A = Dialect(
    "A", "derivation A", "j", "i", "k", False,
    weight=Letter("Θ", "({})"), net=Letter("z", "({})", 1), out=Letter("a", "({})", 1), function=Letter("g", ""),
    delta=Letter("δ", "({})", 1), target=Letter("d", ""), cost="J",
    bias="unit", sigmoid_slope=True, losses=HALF,
)  # fmt: skip
B = Dialect(
    "B", "derivation B", "j", "i", "k", True,
    weight=Letter("Θ", "({})"), net=Letter("Z", "({})", 1), out=Letter("a", "({})", 1), function=Letter("g", ""),
    delta=Letter("δ", "({})", 1), target=Letter("y", ""), cost="J(Θ)", cost_of_one="J",
    bias="unit", final=Letter("h_Θ(x)", ""), sample="sup", sigmoid_slope=True, losses=("binary_cross_entropy",),
    batch=True, reduction="mean", always_divides=True,
)  # fmt: skip
C = Dialect(
    "C", "derivation C", "k", "j", "k", True,
    weight=Letter("w", "{}", 1), net=Letter("z", "{}", 1), out=Letter("a", "{}", 1), function=Letter("σ", ""),
    delta=Letter("δ", "{}", 1), target=Letter("y", ""), cost="C",
    bias_letter=Letter("b", "{}", 1), input_first=True,
)  # fmt: skip
D = Dialect(
    "D", "derivation D", "i", "j", "k", False,
    weight=Letter("ω", "L{}"), net=Letter("net", "L{}", 1), out=Letter("o", "L{}", 1), function=Letter("f", "L{}", 1),
    delta=Letter("δ", "L{}", front="·"), target=Letter("o", "T"), cost="E_Total", new="\u0302",
    bias_letter=Letter("b", "L{}", 1), update_spelt=True, losses=HALF,
)  # fmt: skip
E = Dialect(
    "E", "derivation E", "i", "j", "k", False,
    weight=Letter("w"), net=Letter("z", "{}", 1), out=Letter("o", "{}", 1), function=Letter("σ", ""),
    delta=Letter("z", "{}", 1, of="L"), target=Letter("y", ""), cost="L", cost_of_one="L",
    bias="none", final=Letter("ŷ", ""), input_first=True, losses=HALF, batch=True, reduction="sum",
)  # fmt: skip

DIALECTS = {dialect.name: dialect for dialect in (CBP, A, B, C, D, E)}

# Where a derivation is shown other than printed: (derivation, part)
NOTES = {
    ("A", "cost"): "not stated in print; d_i is the target of output unit i, not the label of a sample",
    (
        "A",
        "hidden delta",
    ): "corrected: k counts units of layer l+2, not l+1; as matrices Θ δ, no bias row, not Θᵀ δ",
    ("A", "weight gradient"): "corrected: a δᵀ as matrices, not δ aᵀ; the sum in ③ needs an index of its own",
    ("A", "weight update"): "corrected: minus; printed as + η ∂J/∂Θ, with which J rises",
    ("B", "cost"): "corrected: the sum over the output units is missing in print",
    ("B", "output delta"): "corrected: printed with a factor a_j too many",
    ("B", "hidden delta"): "corrected: Θ_ki, printed Θ_i; the sum runs over the layer above, printed up to S_(l-1)",
    ("B", "bias gradient"): "corrected: the bias unit a_0 = 1 is not shown in print",
    ("B", "weight gradient"): "corrected: printed as ∂J/∂z = δ a, and without 1/m and the sum over samples",
    ("C", "output delta"): "corrected: printed with ∂L/∂z in the place of ∂C/∂a",
    ("C", "hidden delta"): "corrected: printed with one ∂a/∂z too many, and σ′ of z_i for z_j",
    ("C", "weight gradient"): "corrected: a_k of layer l-1, printed of layer l",
    ("C", "weight update"): "this line is missing in print",
    ("D", "net input"): "corrected: the sum takes all units below, (4) stops at 2; net is the input, printed as output",
    ("D", "output delta"): "corrected: f′(net), printed as f(1 - f), which is the slope of the sigmoid only",
    ("D", "hidden delta"): "corrected: f′(net), printed as f(1 - f); ω_jk, printed as ω_3k",
    ("D", "bias update"): "corrected: starts from the old bias, in (48) from a weight",
    ("D", "weight update"): "corrected: starts from the weight's own old value, in (41)-(44) from ω_23^L2",
    ("E", "output delta"): "corrected: printed as -(ŷ - y), with which L rises",
    ("E", "hidden delta"): "corrected: errors go back through W transposed, and σ′(z) is missing in print",
    ("E", "weight gradient"): "corrected: (ŷ - y) times σ′(z) entry by entry, before the product with oᵀ",
}
# What a derivation calls its equations
NAMES = {
    ("A", "output delta"): "①·②: error, slope",
    ("A", "hidden delta"): "①·②: propagated error, slope",
    ("A", "bias gradient"): "①·②·③: δ is ①·②",
    ("A", "weight gradient"): "①·②·③: δ is ①·②, the input is ③",
    ("C", "output delta"): "BP1: ∂C/∂a_j times σ′(z_j)",
    ("C", "hidden delta"): "BP2: the layer above, through w, times σ′(z_j)",
    ("C", "weight gradient"): "BP3: input times delta",
    ("C", "bias gradient"): "BP4: delta alone",
}


def find(name: object) -> Dialect:
    """Return the dialect of this name; None is cbp's own."""
    if name is None:
        return CBP
    if not isinstance(name, str):
        raise TypeError(f"dialect must be one of {', '.join(DIALECTS)}, not {name!r}")
    for dialect in DIALECTS.values():
        if dialect.name.lower() == name.lower():
            return dialect
    raise unknown("dialect", name, DIALECTS)


def require_fit(dialect: Dialect, n: Numbers) -> None:
    """Raise a ValueError that names all that the dialect cannot express."""
    reasons = [
        reason
        for fails, reason in (
            (dialect.losses and len(n.parts) == 1 and n.loss_row.name not in dialect.losses,
             f"is written for the loss {' or '.join(dialect.losses)}, not {n.loss_row}"),
            (dialect.unit_wise and n.row_wise,
             f"has activations of single units only, {_row_wise(n)} is one of a whole row"),
            (dialect.bias == "none" and any(theta[0].any() for theta in n.theta[1:]),
             "has no biases, and some of this network's are not 0"),
            (n.m > 1 and not dialect.batch,
             f"treats one sample at a time, {n.m} were given"),
            (n.m > 1 and dialect.batch and dialect.reduction not in ("", n.reduction),
             f"is written for reduction={dialect.reduction!r}"),
            (n.s is not None and not dialect.weighted, "has no sample weights"),
            *((dialect is not CBP and fails, f"has no {what}") for what, fails in _beyond(n)),
        )
        if fails
    ]  # fmt: skip
    if reasons:
        fitting = "dialect='cbp' expresses every network"
        raise ValueError(f"{dialect.title} {'; and it '.join(reasons)} ({fitting})")


def _row_wise(n: Numbers) -> str:
    """Return the name of the output's activation that is one of a whole row."""
    return next((str(n.activation(n.L, part.units.start)) for part in n.parts if part.row_wise), "")


def _beyond(n: Numbers) -> list[tuple[str, bool]]:
    """Return what no derivation has, and whether this network or its samples have it."""
    layers = range(1, n.L + 1)
    return [
        ("steepness", any(n.steepness(l) != 1 for l in layers)),
        ("skip connections", any(len(n.sources(l)) > 1 for l in layers)),
        ("heads", len(n.parts) > 1),
        ("penalties", any(any(n.penalties(l)) for l in layers)),
        ("max_norm", any(n.max_norm(l) is not None for l in layers)),
        ("fixed parameters", any(n.fixed[l].any() for l in layers)),
        ("missing targets", bool((n.y != n.y).any())),
    ]
