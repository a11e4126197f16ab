"""A network as MATLAB's toolbox describes it, and the network of cbp that computes the same: both ways.

What it stands in, a .mat file or the text of a function, is the business of _matlab_file.py and _matlab_function.py.
A sample is a column in MATLAB: its matrices are (to, from).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp.errors import FormatError
from cbp.io._chain import Link, chain, network
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import Array, DTypeLike
    from cbp.network import Network
    from cbp.scaling import Scaling


class Transfer(NamedTuple):
    """MATLAB's f(n) = g(steepness * (n + shift)), with g the activation of cbp."""

    row: str
    steepness: float = 1.0
    shift: float = 0.0


TRANSFERS = {
    "tansig": Transfer("tanh"),
    "logsig": Transfer("sigmoid"),
    "purelin": Transfer("identity"),
    "poslin": Transfer("relu"),
    "satlin": Transfer("hard_sigmoid", 6.0, -0.5),
    "satlins": Transfer("hard_tanh"),
    "radbas": Transfer("gaussian"),
    "elliotsig": Transfer("softsign"),
    "softmax": Transfer("softmax"),
}
"""The transfer functions that cbp has too."""
OF_ROW = {transfer.row: (name, transfer) for name, transfer in TRANSFERS.items()}
LOSSES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "sse": "half_squared_error"}
"""What `performFcn` is in cbp; crossentropy depends on the output."""
SPARSEST, SMALL = 1000, 10**6
"""Matrices may have so many numbers for one weight of the file, where they have more than the second."""
NOT_AT_ZERO = ("logsig", "satlin", "radbas", "softmax")
"""Transfer functions that are not 0 at 0."""


class Step(NamedTuple):
    """One processing function of the inputs or outputs, and its settings, vectors and numbers as 1-D arrays."""

    name: str
    settings: Mapping[str, Array]


@dataclass
class Parts:
    """One layer: its transfer function, biases (n,) or None, weights (n, n_k) from each layer k, 0 the inputs."""

    transfer: str
    b: Array | None
    weights: dict[int, Array] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """How many there are."""
        return len(next(iter(self.weights.values()))) if self.b is None else len(self.b)


@dataclass
class Described:
    """A network: its inputs, before processing, what processes them, its layers, what processes the outputs back."""

    n_in: int
    inputs: Sequence[Step]
    layers: Sequence[Parts]
    outputs: Sequence[Step]
    perform: str = ""


# ---- processing ----


class Processing:
    """What processing functions do one after the other: choose rows, and x' = (x - center) / scale.

    Attributes
    ----------
    rows : ndarray of int64
        Those of the original rows that are left, in order.
    center, scale : ndarray, shape (n,)
        Of all original rows; of one that was removed the constant that it had, and 1.
    """

    def __init__(self, steps: Sequence[Step], n: int, where: str) -> None:
        self.where = where
        self.rows = np.arange(n)
        self.center, self.scale = np.zeros(n), np.ones(n)
        for step in steps:
            if step.name not in _STEPS:
                raise FormatError(f"cbp has no processing function {step.name}, as the {where}s have")
            if not np.any(step.settings.get("no_change", 0)):
                _STEPS[step.name](self, step)

    def setting(self, step: Step, name: str, n: int | None = None) -> Array:
        """Return a setting, one number a row that is left, or of `n` of them."""
        n = len(self.rows) if n is None else n
        if name not in step.settings:
            raise FormatError(f"{step.name} of the {self.where}s has no {name}")
        values = step.settings[name]
        if len(values) not in (1, n) or not np.isfinite(values).all():
            raise FormatError(f"{name} of {step.name} is not {n} numbers, as the {self.where}s need")
        return np.broadcast_to(values, n)

    def linear(self, step: Step, below: str, names: tuple[str, str]) -> None:
        """Apply y = (x - xoffset) * gain + `below`; older versions of MATLAB keep what these are made of, `names`."""
        zero = self.setting(step, below)
        if "gain" in step.settings or "xoffset" in step.settings:
            offset, gain = self.setting(step, "xoffset"), self.setting(step, "gain")
        else:
            offset, gain = self._older(step, zero, names)
        if not (gain > 0).all():
            raise FormatError(f"{step.name} of the {self.where}s has a gain that is not positive")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self.center[self.rows] += self.scale[self.rows] * (offset - zero / gain)
            self.scale[self.rows] /= gain
        if not (np.isfinite(self.center) & np.isfinite(self.scale) & (self.scale > 0)).all():
            raise FormatError(f"{step.name} of the {self.where}s leaves the range of numbers")

    def _older(self, step: Step, zero: Array, names: tuple[str, str]) -> tuple[Array, Array]:
        """Return offset and gain; a row without spread stays as it is."""
        first, second = (self.setting(step, name) for name in names)
        if step.name == "mapminmax":
            offset, spread, wide = first, second - first, self.setting(step, "ymax") - zero
        else:
            offset, spread, wide = first, second, self.setting(step, "ystd")
        flat = spread == 0
        return np.where(flat, zero, offset), np.where(flat, 1.0, wide / np.where(flat, 1.0, spread))

    def remove(self, step: Step) -> None:
        """Leave only the rows that are kept."""
        kept = self._numbers(step, "keep")
        gone = np.setdiff1d(np.arange(len(self.rows)), kept)
        constants = next((name for name in ("constants", "value") if name in step.settings), None)
        if constants is not None and len(gone):
            values = self.setting(step, constants, len(gone))
            self.center[self.rows[gone]] += self.scale[self.rows[gone]] * values
        self.scale[self.rows[gone]] = 1.0
        self.rows = self.rows[kept]

    def _numbers(self, step: Step, name: str) -> Array:
        numbers = np.asarray(step.settings.get(name, ()), np.float64)
        if not len(numbers) or (numbers != np.floor(numbers)).any():
            raise FormatError(f"{name} of {step.name} is no list of rows")
        if numbers.min() < 1 or numbers.max() > len(self.rows) or (np.diff(numbers) <= 0).any():
            raise FormatError(f"{name} of {step.name} names rows that are not there")
        return numbers.astype(np.int64) - 1

    def known(self, step: Step) -> None:
        """Refuse inputs that may be unknown."""
        if len(step.settings.get("unknown", ())):
            raise FormatError(f"cbp has nothing like fixunknowns, which the {self.where}s need")


_STEPS = {
    "mapminmax": lambda processing, step: processing.linear(step, "ymin", ("xmin", "xmax")),
    "mapstd": lambda processing, step: processing.linear(step, "ymean", ("xmean", "xstd")),
    "removeconstantrows": Processing.remove,
    "fixunknowns": Processing.known,
}


# ---- to cbp ----


def build(described: Described, dtype: DTypeLike) -> Network:
    """Make the network; FormatError where cbp has nothing like it."""
    _check_size(described)
    inputs = Processing(described.inputs, described.n_in, "input")
    outputs = None
    if described.outputs:
        last = described.layers[-1]
        n_out = last.units + sum(_n_removed(step) for step in described.outputs)
        outputs = Processing(described.outputs, n_out, "output")
        _check_outputs(outputs, last)
    links, masks = [], []
    for number, parts in enumerate(described.layers, 1):
        rows = outputs.rows if outputs is not None and number == len(described.layers) else None
        n_out = len(outputs.center) if outputs is not None and rows is not None else parts.units
        link, mask = _link(parts, number, described, inputs, rows, n_out)
        links.append(link)
        masks.append(mask)
    net = network(
        links,
        loss=_loss(described),
        dtype=dtype,
        scale_inputs=(inputs.center, inputs.scale) if described.inputs else None,
        scale_targets=(outputs.center, outputs.scale) if outputs is not None else None,
    )
    for mask, layer in zip(masks, net.layers, strict=True):
        if not mask.all():
            layer.mask = mask
    return net


def _check_size(described: Described) -> None:
    """Refuse what would need matrices that are far larger than what was said of the network."""
    widths = [described.n_in, *(parts.units for parts in described.layers)]
    n_said = sum(W.size for parts in described.layers for W in parts.weights.values())
    n_params = 0
    for number, parts in enumerate(described.layers, 1):
        n_params += widths[number] * (1 + sum(widths[k] for k in {*parts.weights, number - 1}))
    if n_params > max(SMALL, SPARSEST * n_said):
        raise FormatError(f"its {n_said} weights would need matrices of {n_params} numbers")


def _n_removed(step: Step) -> int:
    """How many rows of the outputs a processing function removes."""
    if step.name != "removeconstantrows" or np.any(step.settings.get("no_change", 0)):
        return 0
    return len(step.settings.get("remove", ()))


def _check_outputs(outputs: Processing, last: Parts) -> None:
    if len(outputs.rows) != last.units:
        raise FormatError(f"the outputs are {last.units}, and {len(outputs.rows)} after their processing")
    if len(outputs.rows) < len(outputs.center) and last.transfer in NOT_AT_ZERO:
        raise FormatError(f"an output that is constant was removed, which cbp can express with {last.transfer} no more")


def _link(
    parts: Parts, number: int, described: Described, inputs: Processing, rows: Array | None, n_out: int
) -> tuple[Link, Array]:
    """Return a layer of cbp, and its mask: 0 where MATLAB has no weight. `rows`: where its units are among outputs."""
    if parts.transfer not in TRANSFERS:
        raise FormatError(f"cbp has no activation that equals {parts.transfer}, as in layer {number}")
    transfer = TRANSFERS[parts.transfer]
    columns = np.arange(n_out) if rows is None else rows
    sources = tuple(sorted({*parts.weights, number - 1}))
    widths = [described.n_in if k == 0 else described.layers[k - 1].units for k in sources]
    theta = np.zeros((1 + sum(widths), n_out))
    mask = np.zeros(theta.shape, bool)
    if parts.b is not None:
        theta[0, columns] = parts.b
        mask[0, columns] = True
    if transfer.shift:
        theta[0, columns] += transfer.shift
    start = 1
    for k, width in zip(sources, widths, strict=True):
        if k in parts.weights:
            place = start + (inputs.rows if k == 0 else np.arange(width))
            if parts.weights[k].shape != (parts.units, len(place)):
                shape = parts.weights[k].shape
                raise FormatError(f"the weights from {k} to {number} are {shape}, not {(parts.units, len(place))}")
            theta[np.ix_(place, columns)] = parts.weights[k].T
            mask[np.ix_(place, columns)] = True
        start += width
    return Link(theta[1:], theta[0], (activations[transfer.row],), transfer.steepness, sources), mask


def _loss(described: Described) -> str:
    """Return the loss that belongs to the performance function, as well as cbp has it."""
    partner = {"softmax": "categorical_cross_entropy", "logsig": "binary_cross_entropy"}
    output = described.layers[-1].transfer
    if described.perform in ("", "crossentropy") and output in partner and not described.outputs:
        return partner[output] if described.perform or output == "softmax" else "mean_squared_error"
    return LOSSES.get(described.perform, "mean_squared_error")


# ---- from cbp ----


def describe(net: Network) -> Described:
    """Return what MATLAB has to compute; ValueError where it cannot."""
    links = chain(net, "a network of MATLAB", ("skip", "steepness"))
    layers = [_parts(net, number, link) for number, link in enumerate(links, 1)]
    inputs, outputs = net.input_scaling, net.target_scaling
    return Described(net.layers[0].n_in, _steps(inputs), layers, _steps(outputs), _perform(net))


def _parts(net: Network, number: int, link: Link) -> Parts:
    """Return a layer; what is 0 and fixed as a whole is not connected."""
    if link.row.name not in OF_ROW:
        raise ValueError(f"MATLAB has no transfer function that equals {link.row}, as in layer {number}")
    name, transfer = OF_ROW[link.row.name]
    steepness = link.steepness / transfer.steepness
    theta = net.layers[number - 1].theta.astype(np.float64) * steepness
    theta[0] -= transfer.shift
    mask = net.layers[number - 1].mask
    there = np.ones(theta.shape, bool) if mask is None else (mask != 0) | (theta != 0)
    parts = Parts(name, theta[0] if there[0].any() else None)
    start = 1
    for k in link.sources or (number - 1,):
        end = start + (net.layers[k - 1].n_out if k else net.layers[0].n_in)
        if there[start:end].any() or len(link.sources) < 2:
            parts.weights[k] = theta[start:end].T
        start = end
    return parts


def _steps(scaling: Scaling | None) -> list[Step]:
    """Return the scaling as mapminmax has it: what becomes -1 and 1, and the straight line between."""
    if scaling is None:
        return []
    center, scale = scaling.as_array()
    n, one = np.array([float(len(center))]), np.ones(1)
    settings = {
        "xrows": n,
        "xmax": center + scale,
        "xmin": center - scale,
        "xrange": 2 * scale,
        "yrows": n,
        "ymax": one,
        "ymin": -one,
        "yrange": 2 * one,
        "gain": 1 / scale,
        "xoffset": center - scale,
        "no_change": 0 * one,
    }
    return [Step("mapminmax", settings)]


def _perform(net: Network) -> str:
    loss = str(net.get_config()["loss"])
    if "entropy" in loss:
        return "crossentropy"
    return "mae" if loss == "mean_absolute_error" else "mse"
