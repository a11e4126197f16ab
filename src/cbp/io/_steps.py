"""A network as other frameworks write it: one step after the other, weights apart from activations, scaling and noise.

The modules that read a framework turn its layers into steps and call `assemble`, which makes layers of cbp of them;
those that write one ask `steps_of`. What does not come out even is refused by the name of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain as joined
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.io import _chain
from cbp.io._chain import Link
from cbp.scaling import total
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, DTypeLike, LossLike
    from cbp.network import Network
    from cbp.tables import Row

HOMOGENEOUS = ("relu", "leaky_relu")
"""Activations that dropout may come before: g(c z) = c g(z) for c not below 0."""


@dataclass(frozen=True)
class Weights:
    """Weights (n_in, n_out), biases (n_out,), and what only training sees, as `Link` has it."""

    name: str
    W: Array
    b: Array
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Activation:
    """An activation of the table."""

    name: str
    row: Row


@dataclass(frozen=True)
class Dropout:
    """A share of the values that training leaves out."""

    name: str
    rate: float


@dataclass(frozen=True)
class Noise:
    """Normal numbers that training adds."""

    name: str
    std: float


@dataclass(frozen=True)
class Affine:
    """The values, column by column, become factor (x - center) / scale + shift.

    Attributes
    ----------
    center, scale, factor, shift : float64 array, shape (n,) or ()
    scaling : bool
        Whether it is preprocessing: as the last step it belongs to the targets, not to the last layer.
    """

    name: str
    center: Array | float = 0.0
    scale: Array | float = 1.0
    factor: Array | float = 1.0
    shift: Array | float = 0.0
    scaling: bool = True

    @property
    def slope(self) -> Array:
        """What the values are multiplied by."""
        slope: Array = np.asarray(self.factor, np.float64) / self.scale
        return slope

    @property
    def offset(self) -> Array:
        """What is added to them then."""
        return np.asarray(self.shift - self.center * self.slope, np.float64)

    @property
    def invertible(self) -> bool:
        """Whether `cbp.scaling` can express it."""
        return bool(np.all(self.slope > 0) and np.isfinite(self.slope).all())

    def as_scaling(self) -> tuple[Array, Array]:
        """Return center and scale of (x - center) / scale, exactly where factor is 1 and shift 0."""
        scale = np.asarray(self.scale, np.float64) / self.factor
        return np.asarray(self.center - self.shift * scale, np.float64), scale

    def before(self, W: Array, b: Array) -> tuple[Array, Array]:
        """Return the weights and biases that do this first; the sum has an order of its own, on every machine."""
        shares = np.broadcast_to(self.offset[..., None], (len(W), 1)) * W.astype(np.float64)
        return np.broadcast_to(self.slope[..., None], (len(W), 1)) * W, b + total(shares)

    def after(self, W: Array, b: Array) -> tuple[Array, Array]:
        """Return the weights and biases that do this last."""
        return W * self.slope, b * self.slope + self.offset


Step = Weights | Activation | Dropout | Noise | Affine


def assemble(
    steps: Iterable[Step],
    what: str,
    *,
    loss: LossLike | None = None,
    output: ActivationLike | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Make a network of these steps.

    Parameters
    ----------
    steps : iterable of Step
    what : str
        What they come from, as a message would name it: "the model".
    loss
        As for `Network`.
    output : str or row of `cbp.activations`, optional
        One more activation at the end.
    dtype : optional
        Default: float64 if some weights are, else float32.

    Raises
    ------
    ValueError
        A step has no place in a network of cbp.
    """
    all_steps = list(steps)
    if output is not None:
        all_steps.append(Activation("output", activations.find(output)))
    targets = _trailing_scaling(all_steps)
    made = _Assembly()
    for step in all_steps:
        made.take(step)
    return made.network(what, loss, dtype, targets)


def _trailing_scaling(steps: list[Step]) -> tuple[Array, Array] | None:
    """Take the steps that scale targets back off the end; return the center and scale they have."""
    center, scale = np.zeros(()), np.ones(())
    found = False
    while steps and isinstance(last := steps[-1], Affine) and last.scaling and last.invertible:
        # y = slope x + offset, and what follows is done to that
        center, scale, found = center + scale * last.offset, scale * last.slope, True
        steps.pop()
    return (center, scale) if found else None


@dataclass
class _Layer:
    """A layer in the making."""

    name: str
    W: Array
    b: Array
    extras: dict[str, Any]
    row: Row | None = None
    activation: str = ""


class _Assembly:
    """The layers made so far, and what waits for the next one."""

    def __init__(self) -> None:
        self.layers: list[_Layer] = []
        self.inputs: list[Affine] = []  # scaling of the inputs
        self.noises: dict[str, Any] = {}
        self.waiting: list[Affine] = []  # to become part of the next weights
        self.dtypes: list[np.dtype[Any]] = []

    def take(self, step: Step) -> None:
        """Put one more step on top."""
        if isinstance(step, Weights):
            self._weights(step)
        elif isinstance(step, Activation):
            self._activation(step)
        elif isinstance(step, Affine):
            self._affine(step)
        elif isinstance(step, Dropout):
            self._dropout(step)
        else:
            self._noise(step)

    def _weights(self, step: Weights) -> None:
        if not self.layers and not all(affine.invertible for affine in self.inputs):
            if self.noises:
                raise ValueError(f"{self.inputs[0].name} has a factor that is not positive, and noise comes after it")
            self.waiting, self.inputs = self.inputs + self.waiting, []
        W, b = step.W, step.b
        self.dtypes.append(W.dtype)
        for affine in reversed(self.waiting):
            W, b = affine.before(W, b)
        self.waiting = []
        self.layers.append(_Layer(step.name, W, b, dict(step.extras)))

    def _activation(self, step: Activation) -> None:
        if step.row.name == "identity":
            return
        if not self.layers:
            raise ValueError(f"{step.name} comes before the first layer with weights: put it into the data")
        last = self.layers[-1]
        if self.waiting:
            raise ValueError(f"{step.name} follows {self.waiting[-1].name} without weights between them")
        if last.row is not None:
            raise ValueError(f"{step.name} follows {last.activation} without weights between them")
        if "dropout" in last.extras and step.row.name not in HOMOGENEOUS:
            raise ValueError(f"dropout comes before {step.name}: in cbp it acts on what an activation returns")
        last.row, last.activation = step.row, step.name

    def _affine(self, step: Affine) -> None:
        if not self.layers:
            (self.waiting if self.noises else self.inputs).append(step)
        elif self.layers[-1].row is None:
            last = self.layers[-1]
            last.W, last.b = step.after(last.W, last.b)
        else:
            self.waiting.append(step)

    def _dropout(self, step: Dropout) -> None:
        if step.rate == 0:
            return
        noises: dict[str, Any] = self.layers[-1].extras if self.layers else self.noises
        if (self.layers and "dropout" in noises) or "input_dropout" in noises:
            raise ValueError(f"{step.name} is the second dropout in a row: one with the rate of both does the same")
        noises["dropout" if self.layers else "input_dropout"] = step.rate

    def _noise(self, step: Noise) -> None:
        if step.std == 0:
            return
        if self.layers or self.noises:
            raise ValueError(f"{step.name} is noise within the network; cbp has it at the inputs alone, before dropout")
        self.noises["input_noise"] = step.std

    def network(
        self, what: str, loss: LossLike | None, dtype: DTypeLike | None, targets: tuple[Array, Array] | None
    ) -> Network:
        """Return the network of all layers."""
        if not self.layers:
            raise ValueError(f"{what} has no layer with weights")
        if self.waiting:
            raise ValueError(
                f"{self.waiting[-1].name} comes after the output's activation: there is no layer to hold it"
            )
        last = self.layers[-1]
        if "dropout" in last.extras:
            raise ValueError(f"dropout comes after the output, {last.name}; cbp has it for inputs and hidden layers")
        identity = activations["identity"]
        links = [Link(one.W, one.b, (one.row or identity,), extras=one.extras) for one in self.layers]
        if loss is None and targets is not None:
            loss = "half_squared_error"
        return _chain.network(
            links,
            loss=loss,
            dtype=np.result_type(np.float32, *self.dtypes) if dtype is None else dtype,
            scale_inputs=_combined(self.inputs),
            scale_targets=targets,
            **self.noises,
        )


def _combined(affines: Sequence[Affine]) -> tuple[Array, Array] | None:
    """Return center and scale of all these, one after the other."""
    if not affines:
        return None
    center, scale = affines[0].as_scaling()
    for affine in affines[1:]:
        inner, factor = affine.as_scaling()
        center, scale = center + scale * inner, scale * factor
    return center, scale


def steps_of(net: Network, target: str) -> list[Step]:
    """Return a network as steps. A steepness is in the weights, which are rounded once more for it.

    Raises
    ------
    ValueError
        The network has skip connections, activations per unit or several heads.
    RuntimeError
        The scaling is not learned yet.
    """
    links = [link.plain() for link in _chain.chain(net, target, ("steepness",))]
    spec = net._spec
    steps: list[Step] = []
    if net.input_scaling is not None:
        center, scale = net.input_scaling.as_array()
        steps.append(Affine("scale_inputs", center=center, scale=scale))
    if spec.input_noise:
        steps.append(Noise("input_noise", spec.input_noise))
    if spec.input_dropout:
        steps.append(Dropout("input_dropout", spec.input_dropout))
    steps += joined.from_iterable(_layer(number, link) for number, link in enumerate(links, 1))
    if net.target_scaling is not None:
        center, scale = net.target_scaling.as_array()
        steps.append(Affine("scale_targets", factor=scale, shift=center))
    return steps


def _layer(number: int, link: Link) -> list[Step]:
    """Return one layer as steps."""
    extras = {name: value for name, value in link.extras.items() if name != "dropout"}
    steps: list[Step] = [Weights(f"layer {number}", link.W, link.b, extras)]
    if link.row.name != "identity":
        steps.append(Activation(f"layer {number}", link.row))
    if "dropout" in link.extras:
        steps.append(Dropout(f"layer {number}", link.extras["dropout"]))
    return steps
