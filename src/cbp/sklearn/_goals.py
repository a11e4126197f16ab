"""What a network is to be good at: its output layer and its loss, from the names that scikit-learn's users know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cbp import tables
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, LossLike

LOSSES = {"squared_error": "half_squared_error"}
"""Names of losses that are not cbp's, and cbp's."""
ACTIVATIONS = {"logistic": "sigmoid"}
PROBABILITIES = ("sigmoid", "softmax", "log_softmax")
"""Outputs that say how likely a class is."""


@dataclass(frozen=True)
class Goal:
    """What a network with these outputs and this loss learns.

    Attributes
    ----------
    n_targets : int
        Columns of the targets.
    units : int
        Outputs: `n_targets`, or twice as many where a loss takes them in pairs.
    rows : tuple of rows of `cbp.activations`
        One for all outputs, or one for each.
    loss : row of `cbp.losses`, or function
    weight : float
        Factor of the loss.
    share : float
        Factor of the cost in figures that people see: scikit-learn's are means over the outputs where steps follow the
        sum of them.
    """

    n_targets: int
    units: int
    rows: tuple[Row, ...]
    loss: Row | Callable[[Array, Array], tuple[Array, Array]]
    weight: float = 1.0
    share: float = 1.0

    @property
    def name(self) -> str:
        """The output's activation as scikit-learn calls it."""
        return " ".join({"logistic" if row.name == "sigmoid" else row.name: 0 for row in self.rows})

    @property
    def low(self) -> float:
        """What stands for "not of this class" in the targets; 1 stands for the class."""
        return self.loss.targets[0] if isinstance(self.loss, Row) and self.loss.targets == (-1.0, 1.0) else 0.0

    @property
    def is_probable(self) -> bool:
        """Whether the outputs are probabilities of classes, or their logarithms."""
        return self.rows[0].name in PROBABILITIES


def activation(wanted: ActivationLike) -> Row:
    """Return the row that is meant by a name of cbp or of scikit-learn, or by the row itself."""
    return tables.activations.find(ACTIVATIONS.get(wanted, wanted) if isinstance(wanted, str) else wanted)


def regression(n: int, loss: LossLike, output: ActivationLike | None) -> Goal:
    """Return the goal of a regressor with n targets."""
    row = _loss(loss)
    pair = row.pair if isinstance(row, Row) else ""
    partner = (row.partner if isinstance(row, Row) else "") or "identity"
    rows: tuple[Row, ...] = (activation(partner if output is None else output),)
    if pair:
        rows = (*rows * n, *(tables.activations.find(pair),) * n)
    summed = loss == "poisson"  # which is a mean over the outputs in cbp's table
    share = 1 / n if loss == "squared_error" else 1.0
    return Goal(n, len(rows) if pair else n, rows, row, n if summed else 1.0, share)


def classification(n_classes: int, is_multilabel: bool, loss: LossLike, output: ActivationLike | None) -> Goal:
    """Return the goal of a classifier that tells so many classes apart, or finds so many labels."""
    apart = not is_multilabel and n_classes > 2
    usual = "softmax" if apart else "sigmoid"
    wanted = None if output is None else activation(output)
    row = _own_log_loss(wanted or activation(usual)) if loss == "log_loss" else _loss(loss)
    if wanted is None:
        wanted = activation(_output_for(row, usual))
    if isinstance(row, Row) and row.pair:
        raise ValueError(f"the loss {row.name} is for numbers, not for classes: it belongs to CBPRegressor")
    if wanted.row_wise and is_multilabel:
        raise ValueError(
            f"{wanted.name} gives one class a row, y has several labels: use another loss or out_activation"
        )
    units = n_classes if apart or is_multilabel else 2 if wanted.row_wise else 1
    return Goal(units, units, (wanted,), row)


def _loss(wanted: LossLike) -> Any:
    """Return a row of the table, or the function as it is."""
    if callable(wanted) and not isinstance(wanted, Row):
        return wanted
    return tables.losses.find(LOSSES.get(wanted, wanted) if isinstance(wanted, str) else wanted)


def _own_log_loss(output: Row) -> Row:
    """Return the logarithmic loss that belongs to an output."""
    for row in tables.losses.values():
        if row.partner == output.name and output.name in PROBABILITIES:
            return row
    raise ValueError(f"log_loss needs probabilities, {' or '.join(PROBABILITIES)}, which {output.name} does not give")


def _output_for(row: Any, usual: str) -> str:
    """Return the output that goes with a loss: its own, or probabilities where it takes any."""
    if isinstance(row, Row) and (row.head or row.targets == (-1.0, 1.0) or row.partner not in ("", "identity")):
        return row.partner
    return usual
