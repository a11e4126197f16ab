"""The tables of the core, read at import: activations, losses, optimisers, initialisers.

A row is written once, in csrc/*.def. What is here only makes the rows pleasant to use from Python: names that
complete, a printable table, a row called with its argument. Used by every module that accepts a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from types import MappingProxyType
from typing import Any

from cbp import _core
from cbp._arguments import real
from cbp.errors import unknown

_NOUN = {
    "activations": "activation",
    "losses": "loss",
    "optimizers": "optimiser",
    "initializers": "initialiser",
}


class Row:
    """One row of a table; where it has an argument, call it to get one with another value.

    Attributes
    ----------
    name : str
        What it is called, in Python and in files.
    args : mapping of str to float
        Its arguments and their values.
    formula, slope : str
        NumPy text of the function and of its derivative; of an optimiser, the update.
    curvature : str
        Of an activation, NumPy text of its second derivative: of a row-wise one that of every output by every two net
        inputs, (n, n, n). Of a loss, of the derivative of what `slope` is: by the output, or where the loss is computed
        together with its output activation by the net input, unless that activation is row-wise; of a loss that takes
        its outputs in pairs, by both of the first, by one of each, by both of the second.
    source : str
        Where the method comes from; may be empty.
    partner : str
        Of an activation, the initialiser of the weights before it; of a loss, its canonical output activation, whose
        default is the first loss that names it.
    pair : str
        Of a loss that takes its outputs in pairs, two for a target, the canonical activation of the second half of the
        outputs, as `partner` is of the first; else empty.
    row_wise : bool
        The activation is a function of the whole row (softmax, log_softmax), allowed at the output only.
    head : bool
        The loss is computed together with its output activation, `partner`, and allows no other.
    limits, targets : (float, float)
        Of a loss: the least and the largest value that its argument, and that a target, may have. Where the partner is
        row-wise, targets are distributions.
    onnx : str
        The ONNX operator of an activation, with the attributes that are not its defaults; empty where there is none.
    learning_rate, n_slots : float, int
        Of an optimiser: the default learning rate, and how many vectors of state it keeps.

    Examples
    --------
    >>> import cbp
    >>> cbp.activations.tanh.slope
    '1 - a * a'
    >>> cbp.activations.tanh.curvature
    '-2 * a * (1 - a * a)'
    >>> cbp.activations.leaky_relu(alpha=0.2)
    leaky_relu(alpha=0.2)
    """

    kind: str
    name: str
    args: Mapping[str, float]
    defaults: Mapping[str, float]
    formula: str
    slope: str
    curvature: str
    source: str
    partner: str
    pair: str
    row_wise: bool
    head: bool
    limits: tuple[float, float]
    targets: tuple[float, float]
    onnx: str
    learning_rate: float
    n_slots: int

    def __init__(self, kind: str, fields: Mapping[str, Any], args: Mapping[str, float] | None = None) -> None:
        defaults = dict(fields["args"])
        own = {**fields, "kind": kind, "defaults": defaults, "args": MappingProxyType({**defaults, **(args or {})})}
        self.__dict__.update(own)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.name} is a row of a read-only table")

    def __call__(self, *values: float, **named: float) -> Row:
        """Return this row with other values of its arguments, given in order or by name."""
        if len(values) > len(self.args):
            raise TypeError(f"{self.name} takes {len(self.args)} arguments, {len(values)} were given")
        given = {**dict(zip(self.args, values, strict=False)), **named}
        for name in given:
            if name not in self.args:
                raise TypeError(f"{self.name} has no argument {name!r}; it has {', '.join(self.args) or 'none'}")
        return Row(
            self.kind,
            self.__dict__ | {"args": self.defaults},
            {**self.args, **{name: self._checked(name, value) for name, value in given.items()}},
        )

    def _checked(self, name: str, value: float) -> float:
        low, high = self.limits if self.kind == "losses" else (-inf, inf)
        number = real(value, f"{self.name}'s {name}")
        if not low <= number <= high:
            limits = f"from {low:g} to {high:g}" if high < inf else f"at least {low:g}"
            raise ValueError(f"{self.name}'s {name} must be {limits}, not {number:g}")
        return number

    def config(self) -> str | dict[str, Any]:
        """Return what JSON can keep and `Table.find` can read: the name, with its arguments where not the defaults."""
        return self.name if dict(self.args) == self.defaults else {"name": self.name, **self.args}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        return f"{self.name}({inside})" if inside else self.name

    def __str__(self) -> str:
        return self.name if dict(self.args) == self.defaults else repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and (self.kind, self.name, self.args) == (other.kind, other.name, other.args)

    def __hash__(self) -> int:
        return hash((self.kind, self.name, *self.args.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self.kind, self.config())


class NoRow:
    """What stands in the place of a loss's row says: none of what makes losses of the table special."""

    args: Mapping[str, float] = MappingProxyType({})
    partner = pair = ""
    head = False
    targets = (-inf, inf)


def argument(row: Row | NoRow) -> float:
    """Return the argument of an activation, a loss or an initialiser, 0 where it has none: as the core wants it."""
    return next(iter(row.args.values()), 0.0)


class Table(Mapping[str, Row]):
    """A read-only table: iterate over the names, get a row as an item or as an attribute, print it to read it.

    Examples
    --------
    >>> import cbp
    >>> "softmax" in cbp.activations
    True
    >>> cbp.activations["relu"] is cbp.activations.relu
    True
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._rows = {fields["name"]: Row(kind, fields) for fields in _core.table(kind)}

    def find(self, wanted: object) -> Row:
        """Return the row meant by a name, a row, or the dict that `Row.config` makes."""
        noun = _NOUN[self._kind]
        if isinstance(wanted, Row) and wanted.kind == self._kind:
            return wanted
        if isinstance(wanted, str):
            if wanted not in self._rows:
                raise unknown(noun, wanted, self)
            return self._rows[wanted]
        if isinstance(wanted, dict) and "name" in wanted:
            return self.find(wanted["name"])(**{name: value for name, value in wanted.items() if name != "name"})
        raise TypeError(f"{noun} must be a name or one of cbp.{self._kind}, not {wanted!r}")

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getattr__(self, name: str) -> Row:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.find(name)
        except ValueError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._rows]

    def __repr__(self) -> str:
        names = [repr(row) for row in self._rows.values()]
        width = max(map(len, names))
        lines = [f"{name:{width}}  {row.formula}" for name, row in zip(names, self._rows.values(), strict=True)]
        return "\n".join([f"cbp.{self._kind}:", *lines])

    def __reduce__(self) -> tuple[Any, ...]:
        return _table, (self._kind,)


activations = Table("activations")
losses = Table("losses")
optimizers = Table("optimizers")
initializers = Table("initializers")

_TABLES = {"activations": activations, "losses": losses, "optimizers": optimizers, "initializers": initializers}


def _table(kind: str) -> Table:
    return _TABLES[kind]


def _find(kind: str, config: str | dict[str, Any]) -> Row:
    return _TABLES[kind].find(config)
