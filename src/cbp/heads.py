"""The output layer in parts: `Head` says what one of them is; `Heads` stands where the one loss of a network does.

What is said about a part's activations and loss holds for the whole output layer of other networks too: `output_of` and
`check_output` serve both. Used by _spec.py and _data.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, cycle, islice, pairwise
from typing import TYPE_CHECKING, Any

from cbp import tables
from cbp._arguments import positive
from cbp.layers import Dense
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._own_loss import OwnLoss
    from cbp._typing import ActivationLike, LossLike

DEFAULT_LOSS = "half_squared_error"


def canonical_loss(rows: Sequence[Row]) -> Row:
    """Return the loss that belongs to the activations of some outputs: the first whose partner is the one of all."""
    names = {row.name for row in rows}
    fitting = (row for row in tables.losses.values() if {row.partner} == names)
    return next(fitting, tables.losses[DEFAULT_LOSS])


def output_of(
    units: int, loss: Row | OwnLoss | None, default: ActivationLike | Sequence[ActivationLike]
) -> ActivationLike | Sequence[ActivationLike]:
    """Return the activation of outputs for which none is named: the default, or what the loss says of its pairs."""
    if loss is None or not loss.pair:
        return default
    return [loss.partner] * (units - units // 2) + [loss.pair] * (units // 2)


def check_output(loss: Row | OwnLoss, units: int, rows: Sequence[Row], shown: str) -> None:
    """Refuse a loss that does not go with these outputs, which `shown` describes."""
    if loss.head and {row.name for row in rows} != {loss.partner}:
        raise ValueError(f"the loss {loss.name} needs the output activation {loss.partner}; {shown}")
    if loss.pair and units % 2:
        raise ValueError(f"the loss {loss.name} needs an even number of outputs, means and then variances; {shown}")


class Head:
    """A part of the output layer with an activation and a loss of its own, for the `heads` of a `Network`.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str, row of `cbp.activations`, or a sequence of `units` of them, optional
        One for all of its units, or one for each. Default: what the network says.
    loss : str or row of `cbp.losses`, optional
        Default: the one that belongs to the activation.
    weight : float, default 1
        What the cost of the head is multiplied by before the costs of all heads are added.

    Raises
    ------
    TypeError, ValueError
        As for `Dense`; the loss is a function; or the weight is not greater than 0.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([10, 64, 5], heads=[cbp.Head(3, "softmax"), cbp.Head(2, "identity", "huber", weight=0.5)])
    >>> print(net)
    Network(10 > 64 sigmoid > 3 softmax + 2 identity, categorical_cross_entropy + 0.5 huber, float32): 1,029 parameters
    """

    units: int
    activation: Row | tuple[Row, ...] | None
    loss: Row | None
    weight: float

    def __init__(
        self,
        units: int,
        activation: ActivationLike | Sequence[ActivationLike] | None = None,
        loss: LossLike | None = None,
        weight: float = 1.0,
    ) -> None:
        self._dense = Dense(units, activation)
        self.units, self.activation = self._dense.units, self._dense.activation
        if callable(loss) and not isinstance(loss, Row):
            raise TypeError(
                f"a head takes a loss of the table: one of your own, {loss!r}, is for networks without heads"
            )
        self.loss = None if loss is None else tables.losses.find(loss)
        self.weight = positive(weight, "the weight of a head")

    @property
    def rows(self) -> tuple[Row, ...]:
        """The activation of all units, alone, or else that of every unit, in order."""
        return self._dense.rows

    @property
    def n_targets(self) -> int:
        """Number of its targets: that of its units, or half of it where the loss takes outputs in pairs."""
        return self.units // 2 if self.loss is not None and self.loss.pair else self.units

    def resolved(self, default: ActivationLike | Sequence[ActivationLike]) -> Head:
        """Return this head with an activation and a loss: its own, or else `default` and what belongs to it."""
        wanted = output_of(self.units, self.loss, default) if self.activation is None else self.activation
        rows = Dense(self.units, wanted).rows
        return Head(self.units, wanted, canonical_loss(rows) if self.loss is None else self.loss, self.weight)

    def config(self) -> dict[str, Any]:
        """Return the head as JSON can keep it; `Head(**config)` makes it again."""
        loss = None if self.loss is None else self.loss.config()
        return self._dense.config() | {"loss": loss, "weight": self.weight}

    def __repr__(self) -> str:
        config = self.config()
        named = "" if config["activation"] is None else f", {config['activation']!r}"
        loss = "" if self.loss is None else f", loss={config['loss']!r}"
        return f"Head({self.units}{named}{loss}{'' if self.weight == 1 else f', weight={self.weight:g}'})"

    def __str__(self) -> str:
        return str(self._dense)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Head) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash((self.units, self.activation, self.loss, self.weight))


class Heads(tables.NoRow):
    """The losses of all heads of a network, which stand where otherwise its one loss does."""

    name = "heads"

    def __init__(self, heads: Sequence[Head]) -> None:
        self.all = tuple(heads)
        for number, head in enumerate(self.all):
            assert head.loss is not None
            check_output(head.loss, head.units, head.rows, f"head {number} is {head}")

    @property
    def activation(self) -> tuple[Row, ...]:
        """The activation of every unit of the output layer."""
        return tuple(row for head in self.all for row in islice(cycle(head.rows), head.units))

    @property
    def n_targets(self) -> int:
        """Number of targets of all heads."""
        return sum(head.n_targets for head in self.all)

    def spans(self) -> list[slice]:
        """Return where the targets of each head lie among those of all."""
        ends = accumulate((head.n_targets for head in self.all), initial=0)
        return [slice(first, end) for first, end in pairwise(ends)]

    def core(self) -> list[tuple[int, int, str, float, float]]:
        """Return the heads as `_core.Plan` wants them: first unit, units, loss, its argument, weight."""
        found, first = [], 0
        for head in self.all:
            assert head.loss is not None
            found.append((first, head.units, head.loss.name, tables.argument(head.loss), head.weight))
            first += head.units
        return found

    def config(self) -> None:
        """Return what stands for one loss in the configuration: nothing."""

    def layer(self, dense: Dense) -> str:
        """Return in words the output layer that `dense` is."""
        return " ".join([" + ".join(map(str, self.all)), *dense.extras()])

    def __str__(self) -> str:
        return " + ".join(f"{'' if head.weight == 1 else f'{head.weight:g} '}{head.loss}" for head in self.all)


def read_heads(given: Any, units: int, default: ActivationLike | Sequence[ActivationLike]) -> Heads:
    """Return the heads that a person has listed for an output layer of so many units."""
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence) or not given:
        raise TypeError(f"heads must be a list like [cbp.Head(3, 'softmax'), cbp.Head(2, 'identity')], not {given!r}")
    heads, end = [], 0
    for number, one in enumerate(given):
        head = one if isinstance(one, Head) else _read(one, end, number)
        heads.append(head.resolved(default))
        end += head.units
    if end != units:
        raise ValueError(f"the heads have {end} units together, the output layer has {units}")
    return Heads(heads)


def _read(one: Any, end: int, number: int) -> Head:
    """Return the head that a dict, or a tuple (units from to, activation, loss, weight) describes."""
    if isinstance(one, Mapping):
        return Head(**one)
    if not isinstance(one, tuple) or not 1 <= len(one) <= 4:
        raise TypeError(f"head {number} must be a Head, or a tuple (slice, activation, loss, weight), not {one!r}")
    span, *rest = one
    if isinstance(span, slice):
        span = (span.start or 0, span.stop)
    if not isinstance(span, Sequence) or len(span) != 2 or not all(isinstance(place, int) for place in span):
        raise TypeError(f"head {number} must begin with a slice like slice(0, 3), not {one[0]!r}")
    if span[0] != end or span[1] <= end:
        raise ValueError(
            f"head {number} must begin at unit {end}, where the one before ends, and have units: {one[0]!r}"
        )
    return Head(span[1] - span[0], *rest)
