"""Elementwise functions as a graph builds them between two products, and what they are worth at a point.

A Term is one operator on others; Z is where it starts, the net input. Used to find out which activation a graph means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cbp._typing import Array

DEEPEST = 200
"""More operators than this are no activation."""


@dataclass(frozen=True, eq=False)
class Term:
    """One operator: on other terms, or on constants, (), or (n,) for the units that it goes over."""

    operator: str
    shown: str
    inputs: tuple[Term | Array | None, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    depth: int = 0

    @property
    def terms(self) -> list[Term]:
        """The inputs that are not constants."""
        return [part for part in self.inputs if isinstance(part, Term)]

    @property
    def constants(self) -> list[Array]:
        """The inputs that are."""
        return [part for part in self.inputs if isinstance(part, np.ndarray)]


Z = Term("", "")


@dataclass(frozen=True, eq=False)
class Step:
    """One of x + c, x - c, x c and x / c."""

    operator: str
    constant: Array

    def __call__(self, x: Array) -> Array:
        return _STEPS[self.operator](x, self.constant.astype(np.float64))


_STEPS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}


def steps_of(operator: str, inputs: Sequence[Any]) -> list[Step] | None:
    """Return an operator on one value, which is no array, and constants as steps; None where it is something else."""
    places = [place for place, part in enumerate(inputs) if not isinstance(part, np.ndarray)]
    if operator == "Neg":
        return [Step("Mul", np.array(-1.0))]
    if operator not in _STEPS or len(inputs) != 2 or len(places) != 1:
        return None
    constant = inputs[1 - places[0]]
    if operator in ("Add", "Mul") or places == [0]:
        return [Step(operator, constant)]
    return [Step("Mul", np.array(-1.0)), Step("Add", constant)] if operator == "Sub" else None


def as_steps(root: Term) -> tuple[Step, ...] | None:
    """Return a term as steps from Z on; None where it is something else."""
    steps: tuple[Step, ...] = ()
    while root is not Z:
        part = steps_of(root.operator, root.inputs)
        if part is None:
            return None
        root, steps = root.terms[0], (*part, *steps)
    return steps


def reachable(root: Term, leaf: Term = Z) -> list[Term]:
    """Return all terms that a term is made of, each after its parts; `leaf` is not looked into."""
    found: dict[int, Term] = {id(leaf): leaf}
    waiting: list[Term] = [root]
    while waiting:
        new = [part for part in waiting[-1].terms if id(part) not in found]
        if id(waiting[-1]) in found or not new:
            term = waiting.pop()
            found[id(term)] = term
        else:
            waiting += new
    return list(found.values())


def evaluate(root: Term, leaf: Term, z: Array, columns: slice = slice(None)) -> Array:
    """Return a term at the points z (P, 1), which stand for `leaf`, for some of its units: (P, 1), or (P, units)."""
    known: dict[int, Any] = {id(leaf): z}
    for term in reachable(root, leaf)[1:]:
        parts = [_number(part, known, columns) for part in term.inputs]
        known[id(term)] = FUNCTIONS[term.operator](parts, term.attributes)
    return np.asarray(known[id(root)], np.float64)


def _number(part: Term | Array | None, known: dict[int, Any], columns: slice) -> Any:
    if isinstance(part, Term):
        return known[id(part)]
    if part is None or part.ndim == 0:
        return part
    return part[columns].astype(np.float64)


def sliced(root: Term, columns: Array) -> Term:
    """Return a term for some of its units."""
    if not any(constant.ndim for term in reachable(root) for constant in term.constants):
        return root
    made: dict[int, Term] = {id(Z): Z}
    for term in reachable(root):
        if term is not Z:
            inputs = tuple(
                made[id(part)] if isinstance(part, Term) else part[columns] if part is not None and part.ndim else part
                for part in term.inputs
            )
            made[id(term)] = Term(term.operator, term.shown, inputs, term.attributes, term.depth)
    return made[id(root)]


def operators_in(root: Term) -> Iterator[str]:
    """Yield what a term is made of, in the words of messages."""
    return (term.shown for term in reachable(root) if term is not Z)


# ---- what operators compute; x are the inputs, o the attributes ----


def _clip(x: list[Any], o: dict[str, Any]) -> Any:
    low, high = (x[k] if len(x) > k and x[k] is not None else o.get(name) for k, name in ((1, "min"), (2, "max")))
    value = x[0] if low is None else np.maximum(x[0], low)
    return value if high is None else np.minimum(value, high)


def _elu(x: Any, alpha: float, gamma: float = 1.0) -> Any:
    return gamma * np.where(x > 0, x, alpha * np.expm1(x))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + _erf(x / math.sqrt(2)))


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[float])(x)


def _along(function: Callable[[Any, Any], Any]) -> Callable[[list[Any], dict[str, Any]], Any]:
    def apply(x: list[Any], o: dict[str, Any]) -> Any:
        value = x[0]
        for other in x[1:]:
            value = function(value, other)
        return value

    return apply


FUNCTIONS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Add": lambda x, o: x[0] + x[1],
    "Sub": lambda x, o: x[0] - x[1],
    "Mul": lambda x, o: x[0] * x[1],
    "Div": lambda x, o: x[0] / x[1],
    "Pow": lambda x, o: np.power(x[0], x[1]),
    "Sum": _along(np.add),
    "Max": _along(np.maximum),
    "Min": _along(np.minimum),
    "Neg": lambda x, o: -x[0],
    "Abs": lambda x, o: np.abs(x[0]),
    "Sign": lambda x, o: np.sign(x[0]),
    "Sqrt": lambda x, o: np.sqrt(x[0]),
    "Reciprocal": lambda x, o: 1 / x[0],
    "Exp": lambda x, o: np.exp(x[0]),
    "Log": lambda x, o: np.log(x[0]),
    "Sin": lambda x, o: np.sin(x[0]),
    "Cos": lambda x, o: np.cos(x[0]),
    "Tanh": lambda x, o: np.tanh(x[0]),
    "Erf": lambda x, o: _erf(x[0]),
    "Where": lambda x, o: np.where(x[0], x[1], x[2]),
    "Greater": lambda x, o: x[0] > x[1],
    "Less": lambda x, o: x[0] < x[1],
    "GreaterOrEqual": lambda x, o: x[0] >= x[1],
    "LessOrEqual": lambda x, o: x[0] <= x[1],
    "Equal": lambda x, o: x[0] == x[1],
    "And": lambda x, o: np.logical_and(x[0], x[1]),
    "Or": lambda x, o: np.logical_or(x[0], x[1]),
    "Not": lambda x, o: np.logical_not(x[0]),
    "Clip": _clip,
    "Sigmoid": lambda x, o: _sigmoid(x[0]),
    "HardSigmoid": lambda x, o: np.clip(o.get("alpha", 0.2) * x[0] + o.get("beta", 0.5), 0, 1),
    "HardSwish": lambda x, o: x[0] * np.clip(x[0] / 6 + 0.5, 0, 1),
    "Swish": lambda x, o: x[0] * _sigmoid(o.get("alpha", 1.0) * x[0]),
    "Mish": lambda x, o: x[0] * np.tanh(np.logaddexp(0, x[0])),
    "Gelu": lambda x, o: _gelu(x[0], o.get("approximate", "none")),
    "Relu": lambda x, o: np.maximum(x[0], 0),
    "LeakyRelu": lambda x, o: np.where(x[0] < 0, o.get("alpha", 0.01) * x[0], x[0]),
    "PRelu": lambda x, o: np.where(x[0] < 0, x[1] * x[0], x[0]),
    "ThresholdedRelu": lambda x, o: np.where(x[0] > o.get("alpha", 1.0), x[0], 0),
    "Elu": lambda x, o: _elu(x[0], o.get("alpha", 1.0)),
    "Selu": lambda x, o: _elu(x[0], o.get("alpha", 1.6732632), o.get("gamma", 1.050701)),
    "Celu": lambda x, o: np.where(x[0] > 0, x[0], o.get("alpha", 1.0) * np.expm1(x[0] / o.get("alpha", 1.0))),
    "Softplus": lambda x, o: np.logaddexp(0, x[0]),
    "Softsign": lambda x, o: x[0] / (1 + np.abs(x[0])),
}
"""Every elementwise operator that an activation may be made of."""
