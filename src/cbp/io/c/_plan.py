"""What a network computes, as the exported file needs it: steps with their runs of units, and where results lie.

Used by _predict.py and _train.py; reads the network's description and its parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.scaling import Scaling, not_known

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.network import Network
    from cbp.tables import Row


@dataclass(frozen=True)
class Run:
    """Units first .. first + count of a layer, which have one activation."""

    first: int
    count: int
    row: Row


@dataclass(frozen=True)
class Step:
    """One layer.

    Attributes
    ----------
    number : int
        1 to L.
    theta : ndarray, shape (n_in + 1, n_out)
        Biases in row 0.
    offset : int
        Where they begin among all parameters.
    sources : tuple of (int, int)
        The layers that feed it, 0 the inputs, each with its number of units; in the order of the rows of W.
    runs : tuple of Run
    steepness : float
    text : str
        The layer in words.
    """

    number: int
    theta: Array
    offset: int
    sources: tuple[tuple[int, int], ...]
    runs: tuple[Run, ...]
    steepness: float
    text: str

    @property
    def n_out(self) -> int:
        """Number of units."""
        return int(self.theta.shape[1])


@dataclass(frozen=True)
class Plan:
    """A network.

    Attributes
    ----------
    n_in, n_out : int
    dtype : numpy.dtype
    steps : tuple of Step
    input_scaling, target_scaling : Scaling or None
    title : str
        The network in words.
    metadata : dict
    """

    n_in: int
    n_out: int
    dtype: np.dtype[Any]
    steps: tuple[Step, ...]
    input_scaling: Scaling | None
    target_scaling: Scaling | None
    title: str
    metadata: dict[str, Any]

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return sum(step.theta.size for step in self.steps)

    def places(self) -> tuple[dict[int, int], int]:
        """Return where in the workspace the results of layers lie, and how many reals it has.

        Layer 0 is there where the inputs are scaled; the last layer writes to the caller's outputs. Two layers share a
        place if no layer needs both.
        """
        last = {source: step.number for step in self.steps for source, _ in step.sources}
        widths = {step.number: step.n_out for step in self.steps[:-1]}
        if self.input_scaling is not None:
            widths[0] = self.n_in
        placed: dict[int, int] = {}
        for number in sorted(widths):
            busy = sorted((placed[k], placed[k] + widths[k]) for k in placed if last.get(k, 0) >= number)
            start = 0
            for first, end in busy:
                if first - start >= widths[number]:
                    break
                start = max(start, end)
            placed[number] = start
        return placed, max((placed[k] + widths[k] for k in placed), default=0)


def plan_of(net: Network) -> Plan:
    """Return the plan of a network.

    Raises
    ------
    ValueError
        A parameter is not finite.
    RuntimeError
        A scaling is not learned yet.
    """
    spec = net._spec
    for scaling in (net.input_scaling, net.target_scaling):
        if scaling is not None and not scaling.known:
            raise not_known()
    steps, widths, offset = [], [spec.n_in, *(dense.units for dense in spec.layers)], 0
    for number, (layer, dense) in enumerate(zip(net.layers, spec.layers, strict=True), 1):
        if not np.isfinite(layer.theta).all():
            raise ValueError(f"layer {number} has parameters that are not finite")
        spans = [dense.units]
        if number == len(spec.layers) and spec.heads is not None:
            spans = [head.units for head in spec.heads.all]
        rows = dense.rows if len(dense.rows) > 1 else dense.rows * dense.units
        sources = tuple((source, widths[source]) for source in spec.sources(number))
        text = str(dense) if number < len(spec.layers) or spec.heads is None else spec.heads.layer(dense)
        steps.append(Step(number, layer.theta.copy(), offset, sources, _runs(rows, spans), dense.steepness, text))
        offset += layer.theta.size
    return Plan(
        spec.n_in,
        spec.n_out,
        spec.dtype,
        tuple(steps),
        net.input_scaling,
        net.target_scaling,
        str(net),
        dict(net.metadata),
    )


def _runs(rows: Sequence[Row], spans: Sequence[int]) -> tuple[Run, ...]:
    """Return runs of units with one activation; none goes beyond its span."""
    found, first = [], 0
    for units in spans:
        start = first
        for unit in range(first + 1, first + units + 1):
            if unit == first + units or rows[unit] != rows[start]:
                found.append(Run(start, unit - start, rows[start]))
                start = unit
        first += units
    return tuple(found)
