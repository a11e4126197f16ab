"""What a network computes, as the exported file needs it: steps with their runs of units, losses, places of results.

Used by _predict.py and _train.py; reads the network's description and its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.heads import Head, Heads
from cbp.scaling import Scaling, not_known
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._own_loss import OwnLoss
    from cbp._typing import Array
    from cbp.layers import Dense, Layer
    from cbp.network import Network


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
    dense : Dense
        What else there is to say of it.
    text : str
        The layer in words.
    trained : bool
        Whether training changes it.
    kept : ndarray, shape (n_in + 1, n_out), or None
        0 where training leaves a parameter alone.
    coded : bool
        Whether the weights are written as whole numbers of 8 bits.
    """

    number: int
    theta: Array
    offset: int
    sources: tuple[tuple[int, int], ...]
    runs: tuple[Run, ...]
    dense: Dense
    text: str
    trained: bool
    kept: Array | None
    coded: bool = False

    @property
    def n_out(self) -> int:
        """Number of units."""
        return int(self.theta.shape[1])

    @property
    def steepness(self) -> float:
        """The s of a = g(s z)."""
        return self.dense.steepness

    @property
    def penalized(self) -> bool:
        """Whether its weights cost something."""
        return self.dense.l1 > 0 or self.dense.l2 > 0


@dataclass(frozen=True)
class Top:
    """A part of the output layer with a loss of its own, mostly all of it.

    Attributes
    ----------
    first, units : int
        Which units.
    target, n_targets : int
        Where its targets begin among those of a sample, and how many they are.
    loss : Row
    weight : float
    activation : Row
        That of its first unit.
    """

    first: int
    units: int
    target: int
    n_targets: int
    loss: Row
    weight: float
    activation: Row


@dataclass(frozen=True)
class Plan:
    """A network.

    Attributes
    ----------
    n_in, n_out, n_targets : int
    dtype : numpy.dtype
    steps : tuple of Step
    loss : Row, Heads or OwnLoss
    reduction : {"mean", "sum"}
    missing : bool
        Whether a target may be NaN.
    input_scaling, target_scaling : Scaling or None
    title : str
        The network in words.
    metadata : dict
    """

    n_in: int
    n_out: int
    n_targets: int
    dtype: np.dtype[Any]
    steps: tuple[Step, ...]
    loss: Row | Heads | OwnLoss
    reduction: str
    missing: bool
    input_scaling: Scaling | None
    target_scaling: Scaling | None
    title: str
    metadata: Mapping[str, Any]

    @property
    def coded(self) -> bool:
        """Whether weights are written as whole numbers of 8 bits."""
        return any(step.coded for step in self.steps)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return sum(step.theta.size for step in self.steps)

    @property
    def theta(self) -> Array:
        """All parameters, (n_params,)."""
        return np.concatenate([step.theta.ravel() for step in self.steps])

    def places(self) -> tuple[dict[int, int], int]:
        """Return where in the workspace of predict the results of layers lie, and how many reals it has.

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

    def tops(self) -> tuple[Top, ...]:
        """Return the parts of the output layer.

        Raises
        ------
        ValueError
            The loss is a function of the user's own.
        """
        rows = _each(self.steps[-1].dense)
        if isinstance(self.loss, Row):
            return (Top(0, self.n_out, 0, self.n_targets, self.loss, 1.0, rows[0]),)
        if not isinstance(self.loss, Heads):
            raise ValueError(f"exported C cannot train with the loss {self.loss.name}, a function of your own")
        found: list[Top] = []
        first = target = 0
        for head in self.loss.all:
            assert head.loss is not None
            found.append(Top(first, head.units, target, head.n_targets, head.loss, head.weight, rows[first]))
            first, target = first + head.units, target + head.n_targets
        return tuple(found)


def plan_of(net: Network, coded: bool = False) -> Plan:
    """Return the plan of a network; with `coded` its weights are written as whole numbers of 8 bits.

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
    heads = () if spec.heads is None else spec.heads.all
    widths, steps, offset = [spec.n_in, *(dense.units for dense in spec.layers)], [], 0
    for number, (layer, dense) in enumerate(zip(net.layers, spec.layers, strict=True), 1):
        sources = tuple((source, widths[source]) for source in spec.sources(number))
        step = _step(number, layer, dense, offset, sources, heads if number == len(spec.layers) else ())
        steps.append(replace(step, coded=coded))
        offset += layer.theta.size
    return Plan(
        n_in=spec.n_in,
        n_out=spec.n_out,
        n_targets=spec.n_targets,
        dtype=spec.dtype,
        steps=tuple(steps),
        loss=spec.loss,
        reduction=spec.reduction,
        missing=spec.missing_targets,
        input_scaling=net.input_scaling,
        target_scaling=net.target_scaling,
        title=f"{spec}: {net.n_params:,} parameters",
        metadata=net.metadata,
    )


def _step(
    number: int, layer: Layer, dense: Dense, offset: int, sources: tuple[tuple[int, int], ...], heads: Sequence[Head]
) -> Step:
    if not np.isfinite(layer.theta).all():
        raise ValueError(f"layer {number} has parameters that are not finite")
    runs = _runs(_each(dense), [head.units for head in heads] or [dense.units])
    text = Heads(heads).layer(dense) if heads else str(dense)
    kept = None if layer.mask is None or layer.mask.all() else layer.mask.copy()
    return Step(number, layer.theta.copy(), offset, sources, runs, dense, text, layer.trainable, kept)


def _each(dense: Dense) -> tuple[Row, ...]:
    """Return the activation of every unit."""
    return dense.rows if len(dense.rows) > 1 else dense.rows * dense.units


def _runs(rows: Sequence[Row], spans: Sequence[int]) -> tuple[Run, ...]:
    """Return runs of units with one activation; none goes beyond its span."""
    found, first = [], 0
    for units in spans:
        start, first = first, first + units
        for unit in range(start + 1, first + 1):
            if unit == first or rows[unit] != rows[start]:
                found.append(Run(start, unit - start, rows[start]))
                start = unit
    return tuple(found)
