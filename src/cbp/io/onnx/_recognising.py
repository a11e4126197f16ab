"""Which activation an elementwise part of a graph is: the row of the table that has its values.

However an exporter writes an activation, as one operator or as ten, it is known by what it computes. Around it there
may be steps x + c, x c and so on: those before go into weights and biases, or are a steepness; those after belong to
what comes next.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cbp import tables
from cbp.errors import FormatError
from cbp.io.onnx._terms import Step, Term, Z, as_steps, evaluate, operators_in, reachable, steps_of
from cbp.tables import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbp._typing import Array

TOLERANCE = 1e-6
"""By how much, of 1 or of the value, a graph may differ from a row: its constants are often rounded to float32."""
BLOCK = 256
"""Units that are looked at together."""
_MOST_CONSTANTS, _MOST_STEPS = 50, 8
_Chain = list[tuple[tuple[Step, ...], Term]]


@dataclass(frozen=True)
class Meaning:
    """g(s z') of z' = `before` applied to z, and `after` applied to that; one row, or one for each unit."""

    before: tuple[Step, ...]
    rows: tuple[Row, ...]
    steepness: float = 1.0
    after: tuple[Step, ...] = ()


def recognise(root: Term, units: int, has_bias: bool) -> Meaning:
    """Return what a term means for so many units.

    Parameters
    ----------
    root : Term
    units : int
    has_bias : bool
        Whether there is a bias in the net input, which the first sum would otherwise be.

    Raises
    ------
    FormatError
        No row of the table has these values.
    """
    if (alone := as_steps(root)) is not None:
        return _identity(alone, has_bias)
    core = root
    after: tuple[Step, ...] = ()
    for _ in range(_MOST_STEPS):
        if found := _of_core(core, units):
            return Meaning(found.before, found.rows, found.steepness, after)
        steps = steps_of(core.operator, core.inputs)
        if steps is None:
            break
        core, after = core.terms[0], (*steps, *after)
    raise FormatError(f"no activation of cbp computes {', '.join(operators_in(root))}")


def _identity(steps: tuple[Step, ...], has_bias: bool) -> Meaning:
    """Return the meaning of steps alone: bias and steepness as far as there is place for them."""
    row = tables.activations["identity"]
    sums = [place for place, step in enumerate(steps) if step.operator in ("Add", "Sub")]
    if not has_bias and sums:
        return Meaning(steps[: sums[0] + 1], (row,), 1.0, steps[sums[0] + 1 :])
    if steepness := _steepness(steps):
        return Meaning((), (row,), steepness)
    return Meaning((), (row,), 1.0, steps)


def _of_core(core: Term, units: int) -> Meaning | None:
    """Return what a term means without steps after it, None where no row has its values."""
    chain = _begin(core)
    if core.operator in _row_wise():
        leaf, before, steepness = _cut(chain)
        return Meaning(before, (_row_wise()[core.operator],), steepness) if core.terms == [leaf] else None
    for place in range(min(len(chain), _MOST_STEPS) + 1):
        if all(_is_uniform(step.constant) for steps, _ in chain[place:] for step in steps):
            leaf, before, steepness = _cut(chain[:place])
            for slope in (1.0, *_slopes(core, leaf)):
                if rows := _rows(core, leaf, units, slope):
                    return Meaning(before, rows, steepness * slope)
    return None


def _cut(chain: _Chain) -> tuple[Term, tuple[Step, ...], float]:
    """Return where a term begins after some steps, which of these go into the weights, and what steepness is left."""
    if not chain:
        return Z, (), 1.0
    (last, leaf), first = chain[-1], tuple(step for steps, _ in chain[:-1] for step in steps)
    steepness = _steepness(last)
    return (leaf, (*first, *last), 1.0) if steepness is None else (leaf, first, steepness)


def _slopes(core: Term, leaf: Term) -> list[float]:
    """Return the steepness that a HardSigmoid of ONNX has, whose slope is an attribute."""
    if core.operator != "HardSigmoid" or core.terms != [leaf]:
        return []
    return [slope for slope in [round(6 * plain(np.float32(core.attributes.get("alpha", 0.2))), 12)] if slope > 0]


def _begin(core: Term) -> _Chain:
    """Return the steps that all of a term goes through first, each with the term after it."""
    consumers: dict[int, list[Term]] = {}
    for term in reachable(core):
        for part in term.terms:
            consumers.setdefault(id(part), []).append(term)
    chain: _Chain = []
    leaf = Z
    while len(next_ones := consumers.get(id(leaf), [])) == 1 and next_ones[0] is not core:
        steps = steps_of(next_ones[0].operator, next_ones[0].inputs)
        if steps is None:
            break
        leaf = next_ones[0]
        chain.append((tuple(steps), leaf))
    return chain


def _steepness(steps: Sequence[Step]) -> float | None:
    """Return the number of one step x s, or x / (1 / s); None where that is no steepness."""
    if len(steps) != 1 or steps[0].operator not in ("Mul", "Div") or not _is_uniform(steps[0].constant):
        return None
    value = plain(steps[0].constant.ravel()[0])
    if not math.isfinite(value) or value <= 0:
        return None
    return value if steps[0].operator == "Mul" else 1 / value


def plain(value: np.generic | Array) -> float:
    """Return a number as a person would have written it: of float32 the shortest text that means it."""
    return float(str(value)) if value.dtype == np.float32 else float(value)


def _is_uniform(constant: Array) -> bool:
    return constant.ndim == 0 or bool((constant == constant[:1]).all())


@functools.cache
def _row_wise() -> dict[str, Row]:
    return {row.onnx: row for row in tables.activations.values() if row.row_wise}


# ---- functions of one number ----


@functools.cache
def _points() -> Array:
    far = np.logspace(2, 30, 29)
    near = np.linspace(-40, 40, 1601)
    return np.concatenate([near, near / 1000, far, -far])[:, None]


@functools.cache
def _formula(row: Row, steepness: float) -> Array:
    """Return a row's NumPy text at the points."""
    names = {**vars(np), "erfc": np.vectorize(math.erfc, otypes=[float]), **row.args, "z": steepness * _points()[:, 0]}
    return np.asarray(eval(row.formula, {"__builtins__": {}}, names), np.float64)


def _rows(core: Term, leaf: Term, units: int, steepness: float) -> tuple[Row, ...] | None:
    """Return the row that has the values of a term, or that of each unit where they differ."""
    if any(term.operator in _row_wise() for term in reachable(core, leaf)):
        return None
    points, found = _points(), []
    known: dict[bytes, Row | None] = {}
    for start in range(0, units, BLOCK):
        columns = slice(start, min(start + BLOCK, units))
        values = evaluate(core, leaf, points, columns).T
        for place, column in enumerate(values):
            key = column.tobytes()
            if key not in known:
                known[key] = _row(column, core, start + place, steepness)
            if known[key] is None:
                return None
            found.append(known[key])
        if len(values) == 1:
            break
    rows = tuple(row for row in found if row is not None)
    return rows[:1] if len(set(rows)) == 1 else rows


def _row(values: Array, core: Term, unit: int, steepness: float) -> Row | None:
    """Return the row that has these values at the points; one whose operator stands in the graph comes first."""
    rows = (row for row in tables.activations.values() if not row.row_wise)
    for row in sorted(rows, key=lambda row: row.onnx.partition(" ")[0] != core.operator):
        for candidate in [row(value) for value in _constants(core, unit)] if row.args else [row]:
            if _same(values, _formula(candidate, steepness)):
                return candidate
    return None


def _constants(core: Term, unit: int) -> list[float]:
    """Return the numbers that a term is made of for one unit: its argument is among them, or is 1."""
    found = []
    for term in reversed(reachable(core)):
        found += [plain(np.float32(value)) for value in term.attributes.values() if isinstance(value, float)]
        for constant in term.constants:
            number = constant if constant.ndim == 0 else constant[unit if len(constant) > 1 else 0]
            found.append(plain(number[()]))
    numbers = [value for value in dict.fromkeys([*found, 0.01, 1.0]) if math.isfinite(value)]
    return numbers[:_MOST_CONSTANTS]


def _same(values: Array, wanted: Array) -> bool:
    """Whether a graph's values are a row's; far out, where its intermediate values overflow, they need not be."""
    close = np.abs(values - wanted) <= TOLERANCE * np.maximum(1, np.abs(wanted))
    near = np.abs(_points()[:, 0]) <= 40
    excused = ~near & ~(np.isfinite(values) & np.isfinite(wanted))
    return bool((close | excused | (values == wanted)).all())
