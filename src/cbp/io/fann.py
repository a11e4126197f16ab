"""Networks of FANN, the Fast Artificial Neural Network Library (Nissen, 2003), as its .net text files have them.

`load` makes a network of such a file, `export` writes one that libfann 2.1 or newer reads. The text itself is the
business of _fann_file.py; here is what it means.

The unit of FANN: x = s (sum of weight times value, over its connections), cut at -150/s and 150/s, a = f(x), with a
steepness s and a function f of its own. The functions of FANN that are those of cbp but for a factor and a shift before
or after are loaded as these: factors and shifts go into weights and biases next to them.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp._spec import read_dtype
from cbp.errors import FormatError
from cbp.io import _fann_file as file_of
from cbp.io import replacing
from cbp.io._chain import Link, chain, network
from cbp.network import network_of
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import Array, DTypeLike, Path
    from cbp.io._fann_file import Stored
    from cbp.network import Network

CUT = 150.0
"""Where FANN cuts the net input of a unit, times its steepness."""


class Function(NamedTuple):
    """FANN's f(x) = scale * g(steepness * x + shift) + offset, with g the activation of cbp."""

    name: str
    row: str = ""
    steepness: float = 1.0
    shift: float = 0.0
    scale: float = 1.0
    offset: float = 0.0


FUNCTIONS = (
    Function("FANN_LINEAR", "identity"),
    Function("FANN_THRESHOLD"),
    Function("FANN_THRESHOLD_SYMMETRIC"),
    Function("FANN_SIGMOID", "sigmoid", steepness=2.0),
    Function("FANN_SIGMOID_STEPWISE"),
    Function("FANN_SIGMOID_SYMMETRIC", "tanh"),
    Function("FANN_SIGMOID_SYMMETRIC_STEPWISE"),
    Function("FANN_GAUSSIAN", "gaussian"),
    Function("FANN_GAUSSIAN_SYMMETRIC", "gaussian", scale=2.0, offset=-1.0),
    Function("FANN_GAUSSIAN_STEPWISE"),
    Function("FANN_ELLIOT", "softsign", scale=0.5, offset=0.5),
    Function("FANN_ELLIOT_SYMMETRIC", "softsign"),
    Function("FANN_LINEAR_PIECE", "hard_sigmoid", steepness=6.0, shift=-3.0),
    Function("FANN_LINEAR_PIECE_SYMMETRIC", "hard_tanh"),
    Function("FANN_SIN_SYMMETRIC", "sin"),
    Function("FANN_COS_SYMMETRIC", "sin", shift=math.pi / 2),
    Function("FANN_SIN", "sin", scale=0.5, offset=0.5),
    Function("FANN_COS", "sin", shift=math.pi / 2, scale=0.5, offset=0.5),
)
"""In the order of FANN's numbers; those without a row have no equal in cbp."""
STEPWISE = {"FANN_SIGMOID_STEPWISE": "FANN_SIGMOID", "FANN_SIGMOID_SYMMETRIC_STEPWISE": "FANN_SIGMOID_SYMMETRIC"}
"""Straight lines in the place of a function, and that function."""
OF_ROW = {
    function.row: (number, function)
    for number, function in reversed([*enumerate(FUNCTIONS)])
    if function.row and (function.scale, function.offset) == (1.0, 0.0)
}
"""What an activation of cbp is in FANN: its number and the function."""
_SPARSEST = 1000
"""Matrices may have so many numbers for one connection of the file, where they have more than `_SMALL`."""
_SMALL = 10**6
_NOT_ALL = 0.999
"""The greatest connection_rate for which libfann, in float and with six digits, still looks at the connections."""


# ---- reading ----


def load(path: Path, *, dtype: DTypeLike | None = None, smooth: bool = False) -> Network:
    """Read a network from a .net file of FANN.

    Layered and shortcut networks, fully connected or not, with an activation function and a steepness for each neuron.
    Where neurons of a layer differ in steepness, it goes into their weights, rounded unless it is a power of two.
    Connections that are missing become weights of 0 which training leaves alone (`Network.mask`). What scales inputs
    and outputs becomes `scale_inputs` and `scale_targets`, so that the network takes and returns what stands outside
    ``fann_scale_input`` and ``fann_descale_output``. The loss is half_squared_error; FANN's own settings for training
    are kept in ``net.metadata["fann"]``, as text, and written by `export`.

    Parameters
    ----------
    path : str or path-like
        A file of the version FANN_FLO_2.0 or 2.1, or of the fixed-point library, FANN_FIX, whose numbers are divided by
        2**decimal_point. Nothing is allocated that the file is too small for.
    dtype : "float32" or "float64", optional
        Default: float32 if all weights are float32 numbers, as those that libfann and libfloatfann write, else float64.
    smooth : bool, default False
        Read FANN_SIGMOID_STEPWISE and FANN_SIGMOID_SYMMETRIC_STEPWISE, which are made of straight lines, as the
        functions they approximate: up to 0.034 and 0.067 beside it. They are the default of ``fann_create_standard``.

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The file is no .net file, is damaged, or has a function that cbp has not: FANN_THRESHOLD,
        FANN_THRESHOLD_SYMMETRIC, FANN_GAUSSIAN_STEPWISE; a stepwise sigmoid without `smooth`.
    ValueError
        `dtype` is another one.
    OSError
        The file cannot be read.

    Notes
    -----
    FANN cuts net inputs at 150 / steepness in size, cbp does not: a FANN_LINEAR neuron with the steepness 1 never gives
    more than 150 there. Otherwise predictions differ by rounding only.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([2, 3, 1], activation="tanh", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.net")
    ...     net.export(path)
    ...     other = cbp.io.fann.load(path)
    >>> bool((other.params == net.params).all())
    True
    """
    wanted = None if dtype is None else read_dtype(dtype)
    with open(path, "rb") as file:
        text = file.read()
    try:
        return _Reader(file_of.read(text), smooth).network(wanted)
    except ValueError as error:
        raise FormatError(f"{os.fspath(path)} is not a network of FANN that cbp can read: {error}") from None


class _Block(NamedTuple):
    """One layer on its way from FANN to cbp: W and what is connected, both with the biases in row 0."""

    theta: Array
    present: Array
    sources: tuple[int, ...]
    functions: list[Function]
    steepness: Array


class _Reader:
    """Makes a network of what a file says. Numbers of neurons go through all layers, in order."""

    def __init__(self, stored: Stored, smooth: bool) -> None:
        self.stored = stored
        self.first = np.concatenate([[0], np.cumsum(stored.sizes)])
        """The first neuron of each layer, and how many there are."""
        self.n_neurons, self.n_layers = int(self.first[-1]), len(stored.sizes)
        if not self.n_neurons == len(stored.n_inputs) == len(stored.functions):
            raise FormatError(f"layer_sizes speak of {self.n_neurons} neurons, there are {len(stored.n_inputs)}")
        if min(self.width(l) for l in range(self.n_layers)) < 1:
            raise FormatError("a layer has no neurons beside its bias")
        self.smooth = smooth
        self.layer_of = np.repeat(np.arange(self.n_layers), stored.sizes)
        if stored.n_inputs.sum() != len(stored.sources):
            raise FormatError(f"the neurons have {stored.n_inputs.sum()} connections, {len(stored.sources)} are there")
        self.targets = np.repeat(np.arange(self.n_neurons), stored.n_inputs)
        self.is_bias = np.zeros(self.n_neurons, bool)
        self.is_bias[self.first[1 : 2 if stored.shortcut else None] - 1] = True
        self._check_neurons()
        self._check_connections()

    def width(self, l: int) -> int:
        """Units of a layer, without the bias that it may end with."""
        return int(self.stored.sizes[l]) - (l == 0 or not self.stored.shortcut)

    def _check_neurons(self) -> None:
        stored = self.stored
        fed = ~self.is_bias
        fed[: stored.sizes[0]] = False
        wrong = np.flatnonzero((stored.n_inputs > 0) != fed)
        if len(wrong):
            kind = "has no connections" if fed[wrong[0]] else "is an input or a bias and has connections"
            raise FormatError(f"neuron {wrong[0]} {kind}")
        if (stored.steepness[fed] <= 0).any():
            raise FormatError(f"neuron {np.flatnonzero(fed & (stored.steepness <= 0))[0]} has no positive steepness")

    def _check_connections(self) -> None:
        stored = self.stored
        if (stored.sources >= self.n_neurons).any():
            raise FormatError("a connection comes from a neuron that is not there")
        steps = self.layer_of[self.targets] - self.layer_of[stored.sources]
        if (steps < 1).any() or (not stored.shortcut and (steps > 1).any()):
            wrong = np.flatnonzero((steps < 1) | (steps > 1))[0]
            raise FormatError(
                f"a network of its type has no connection from {stored.sources[wrong]} to {self.targets[wrong]}"
            )
        if stored.rate >= 1:
            self._check_full()
        widths = [self.width(l) for l in range(self.n_layers)]
        below = np.cumsum(widths) if stored.shortcut else np.array(widths)
        n_params = sum((int(n_in) + 1) * n for n_in, n in zip(below, widths[1:], strict=False))
        if n_params > max(_SMALL, _SPARSEST * len(stored.sources)):
            raise FormatError(f"its {len(stored.sources)} connections would need matrices of {n_params} numbers")

    def _check_full(self) -> None:
        """Where libfann takes a connection's place for its source, the two must go together."""
        stored = self.stored
        begin = np.zeros(self.n_neurons, np.int64)
        if not stored.shortcut:
            begin = np.concatenate([[0], self.first[:-1]])[self.layer_of]
        count = np.where(stored.n_inputs > 0, self.first[self.layer_of] - begin, 0)
        if (stored.n_inputs != count).any():
            raise FormatError(f"neuron {np.flatnonzero(stored.n_inputs != count)[0]} is not connected to all before it")
        places = np.arange(len(self.targets)) - np.repeat(np.cumsum(count) - count, count)
        if (stored.sources != begin[self.targets] + places).any():
            raise FormatError("its connections are in another order than libfann's")

    def network(self, dtype: DTypeLike | None) -> Network:
        """Return the network."""
        stored = self.stored
        blocks = [self._block(l) for l in range(1, self.n_layers)]
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks:
                _fold_sources(block, blocks)
            links = [_link(block) for block in blocks]
        if dtype is None:
            with np.errstate(over="ignore"):
                dtype = "float32" if (stored.weights.astype(np.float32) == stored.weights).all() else "float64"
        net = network(
            links,
            loss="half_squared_error",
            dtype=dtype,
            scale_inputs=_scaling(stored.scaling, "in", self.width(0)),
            scale_targets=_over(_scaling(stored.scaling, "out", self.width(self.n_layers - 1)), blocks[-1]),
        )
        for block, layer in zip(blocks, net.layers, strict=True):
            if not block.present.all():
                layer.mask = block.present
        if stored.training:
            net.metadata["fann"] = stored.training
        return net

    def _block(self, l: int) -> _Block:
        """Put the connections of a layer into a matrix; of two between the same neurons the sum counts."""
        stored = self.stored
        units = slice(self.first[l], self.first[l] + self.width(l))
        chosen = slice(*np.searchsorted(self.targets, [units.start, units.stop]).tolist())
        from_, to = stored.sources[chosen], self.targets[chosen] - units.start
        above = self.layer_of[from_]
        sources = np.union1d(above[~self.is_bias[from_]], [l - 1])
        begin = 1 + np.cumsum([0, *(self.width(k) for k in sources)])
        place = from_ - self.first[above]
        rows = np.where(self.is_bias[from_], 0, begin[np.searchsorted(sources, above)] + place)
        theta = np.zeros((begin[-1], self.width(l)))
        np.add.at(theta, (rows, to), stored.weights[chosen])
        present = np.zeros(theta.shape, bool)
        present[rows, to] = True
        functions = [_function(number, self.smooth) for number in stored.functions[units].tolist()]
        return _Block(theta, present, tuple(sources.tolist()), functions, stored.steepness[units])


def _function(number: int, smooth: bool) -> Function:
    """Return the function that has this number in FANN."""
    if number >= len(FUNCTIONS):
        raise FormatError(f"FANN has no activation function {number}")
    function = FUNCTIONS[number]
    if smooth and function.name in STEPWISE:
        return next(other for other in FUNCTIONS if other.name == STEPWISE[function.name])
    if not function.row:
        hint = f"; with smooth=True it is read as {STEPWISE[function.name]}" if function.name in STEPWISE else ""
        raise FormatError(f"cbp has no activation that equals {function.name}{hint}")
    return function


def _fold_sources(block: _Block, blocks: list[_Block]) -> None:
    """Put the factor and the offset of what feeds a layer into its weights and biases."""
    row = len(block.theta) - sum(blocks[k - 1].theta.shape[1] for k in block.sources if k)  # after bias and inputs
    for k in block.sources:
        for function in blocks[k - 1].functions if k else ():
            block.theta[0] += function.offset * block.theta[row]
            if function.offset:
                block.present[0] |= block.present[row]
            block.theta[row] *= function.scale
            row += 1


def _link(block: _Block) -> Link:
    """Return a layer of cbp: one steepness, that of all units, or else 1 and theirs in the weights."""
    steepness = np.array([function.steepness for function in block.functions]) * block.steepness
    shift = np.array([function.shift for function in block.functions])
    same = bool((steepness == steepness[0]).all())
    common = float(steepness[0]) if same else 1.0
    theta = block.theta if same else block.theta * steepness
    rows = tuple(activations[function.row] for function in block.functions)
    b = theta[0] + shift / common
    return Link(theta[1:], b, rows[:1] if len(set(rows)) == 1 else rows, common, block.sources)


def _scaling(numbers: dict[str, Array], side: str, n: int) -> tuple[Array, Array] | None:
    """Return center and scale: FANN has ((x - mean) / deviation + 1) * factor + new_min."""
    if not numbers:
        return None
    if any(len(numbers[key]) != n for key in numbers if key.endswith(f"_{side}")):
        raise FormatError(f"its scaling is not one of {n} columns")
    mean, deviation, new_min, factor = (
        numbers[f"scale_{what}_{side}"] for what in ("mean", "deviation", "new_min", "factor")
    )
    with np.errstate(all="ignore"):
        scale = deviation / factor
        center = mean - (factor + new_min) * scale
    if not (np.isfinite(center) & np.isfinite(scale) & (scale > 0)).all():
        raise FormatError(f"scale_deviation_{side} and scale_factor_{side} do not scale: a column has no spread")
    return center, scale


def _over(scaling: tuple[Array, Array] | None, last: _Block) -> tuple[Array, Array] | None:
    """Return what becomes of the scaling of targets with the factor and the offset of the output's functions in it."""
    scale = np.array([function.scale for function in last.functions])
    offset = np.array([function.offset for function in last.functions])
    if (scale == 1).all() and (offset == 0).all():
        return scaling
    outer_center, outer_scale = scaling or (np.zeros(len(scale)), np.ones(len(scale)))
    return outer_center + offset * outer_scale, scale * outer_scale


# ---- writing ----


def export(net: Network, path: Path, *, scaling: str = "separate", reach: float = CUT) -> None:
    """Write a network as a .net file of the version FANN_FLO_2.1, for libfann 2.1 and newer.

    `load` reads it back with the same parameters, but for hard_sigmoid, whose steepness and bias are rounded. Skip
    connections make a shortcut network; weights that are 0 and fixed by the mask become connections that are missing.

    Parameters
    ----------
    net : Network
        With the activations identity, sigmoid, tanh, gaussian, softsign, hard_sigmoid, hard_tanh and sin, for each unit
        its own if need be. FANN knows neither their loss nor penalties, dropout and other fixed parameters.
    path : str or path-like
        An existing file is replaced.
    scaling : {"separate", "folded"}, default "separate"
        What scales inputs and targets is written as FANN has it, apart from the network: a program calls
        ``fann_scale_input`` before ``fann_run`` and ``fann_descale_output`` after it, which round it to float in every
        libfann. "folded": it goes into weights and biases, each rounded to float64, and ``fann_run`` alone does all;
        for scaled targets the outputs must be identity.
    reach : float, default 150
        FANN cuts what is larger than 150 / steepness from the outputs of linear units. They get a steepness, smaller by
        a power of two, and weights, larger by it, with which `reach` is not cut.

    Raises
    ------
    ValueError
        The network has something that FANN cannot express: the message says what.
    RuntimeError
        The scaling is not learned yet.
    OSError
        The file cannot be written; one that was there before is untouched.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([2, 1], output="sigmoid", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.net")
    ...     cbp.io.fann.export(net, path)
    ...     with open(path) as file:
    ...         lines = file.read().splitlines()
    >>> lines[0], lines[-4]
    ('FANN_FLO_2.1', 'layer_sizes=3 2 ')
    """
    net = network_of(net)
    if scaling not in ("separate", "folded"):
        raise ValueError(f"scaling must be 'separate' or 'folded', not {scaling!r}")
    if not (math.isfinite(reach) and reach > 0):
        raise ValueError(f"reach must be a positive number, not {reach!r}")
    stored = _Writer(net, scaling == "folded", reach).stored()
    with replacing(path) as file:
        file.writelines(file_of.write(stored))


class _Unit(NamedTuple):
    """A neuron of FANN."""

    function: int
    steepness: float


class _Writer:
    """Makes what a file says of a network."""

    def __init__(self, net: Network, folded: bool, reach: float) -> None:
        self.net, self.folded, self.reach = net, folded, reach
        self.links = chain(net, "a network of FANN", ("skip", "units", "steepness", "heads"))
        self.shortcut = any(len(link.sources) > 1 for link in self.links)
        self.widths = [net.layers[0].n_in, *(layer.n_out for layer in net.layers)]
        self.sizes = [n + (l == 0 or not self.shortcut) for l, n in enumerate(self.widths)]

    def stored(self) -> Stored:
        """Return what the file says."""
        blank = [_Unit(0, 0.0)]
        units, n_inputs = blank * self.sizes[0], [np.zeros(self.sizes[0], np.int64)]
        sources, weights, n_full = [], [], 0
        for l in range(1, len(self.sizes)):
            neurons, values, present = self._matrix(l)
            units += self._units(l) + blank * (not self.shortcut)
            n_inputs += [present.sum(axis=0), np.zeros(int(not self.shortcut), np.int64)]
            to, row = np.nonzero(present.T)
            sources.append(neurons[row])
            weights.append(values[row, to])
            n_full += present.size
        n_there = sum(map(len, weights))
        return file_of.Stored(
            np.array(self.sizes),
            self.shortcut,
            1.0 if n_there == n_full else min(n_there / n_full, _NOT_ALL),
            np.concatenate(n_inputs),
            np.array([unit.function for unit in units]),
            np.array([unit.steepness for unit in units]),
            np.concatenate(sources),
            np.concatenate(weights),
            self._scaling(),
            _training(self.net),
        )

    def _units(self, l: int) -> list[_Unit]:
        """Return the neurons of a layer, without its bias."""
        link = self.links[l - 1]
        found = []
        for row in link.rows:
            if row.name not in OF_ROW:
                raise ValueError(f"FANN has no activation function that equals {row}, as in layer {l}")
            number, function = OF_ROW[row.name]
            smaller = self._halvings(link) if row.name == "identity" else 0
            found.append(_Unit(number, math.ldexp(link.steepness / function.steepness, -smaller)))
        return found * self.widths[l] if len(found) == 1 else found

    def _halvings(self, link: Link) -> int:
        """Return how many times the steepness of linear units is halved so that FANN cuts nothing within reach."""
        return max(0, math.ceil(math.log2(self.reach * link.steepness / CUT)))

    def _matrix(self, l: int) -> tuple[Array, Array, Array]:
        """Return the neurons that may feed a layer, the weights from them to its units, and which there are."""
        theta, present = self._theta(l)
        sources = self.links[l - 1].sources or (l - 1,)
        last = 1 + np.cumsum([0, *(self.widths[k] for k in sources)])
        rows_of = {k: np.arange(start, end) for k, start, end in zip(sources, last, last[1:], strict=False)}
        bias = np.zeros(1, np.int64)
        if self.shortcut:
            parts = [rows_of.get(k, np.full(self.widths[k], -1)) for k in range(l)]
            rows, begin = np.concatenate([parts[0], bias, *parts[1:]]), 0
        else:
            rows, begin = np.concatenate([rows_of[l - 1], bias]), sum(self.sizes[: l - 1])
        return begin + np.arange(len(rows)), theta[rows], present[rows] & (rows >= 0)[:, None]

    def _theta(self, l: int) -> tuple[Array, Array]:
        """Return the weights that FANN's neurons have, biases in row 0, and which are connections."""
        link, layer = self.links[l - 1], self.net.layers[l - 1]
        theta = layer.theta.astype(np.float64)
        present = np.ones(theta.shape, bool) if layer.mask is None else (layer.mask != 0) | (theta != 0)
        if self.folded:
            self._fold(l, theta, present)
        rows = link.rows * (1 if len(link.rows) > 1 else self.widths[l])
        theta[0] -= [OF_ROW[row.name][1].shift / link.steepness if row.name in OF_ROW else 0.0 for row in rows]
        present[0] |= theta[0] != 0
        present[0] |= ~present.any(axis=0)  # a neuron without connections would be a bias to libfann
        more = self._halvings(link)
        theta[:, [row.name == "identity" for row in rows]] *= 2.0**more
        return theta, present

    def _fold(self, l: int, theta: Array, present: Array) -> None:
        """Put what scales inputs and targets into the weights of a layer, in place."""
        link, inputs, outputs = self.links[l - 1], self.net.input_scaling, self.net.target_scaling
        if inputs is not None and 0 in (link.sources or (l - 1,)):
            for row, (center, scale) in enumerate(inputs.as_array().T, 1):
                theta[row] /= scale
                theta[0] -= theta[row] * center
        if outputs is not None and l == len(self.links):
            if [row.name for row in link.rows] != ["identity"]:
                raise ValueError("scale_targets can be folded where the outputs are identity only")
            center, scale = outputs.as_array()
            theta *= scale
            theta[0] += center / link.steepness

    def _scaling(self) -> dict[str, Array]:
        """Return the scaling as FANN has it, the identity for a side that has none; or nothing."""
        inputs, outputs = self.net.input_scaling, self.net.target_scaling
        if self.folded or (inputs is None and outputs is None):
            return {}
        found = []
        for scaling, n in ((inputs, self.widths[0]), (outputs, self.widths[-1])):
            one = np.ones(n)
            center, scale = (0 * one, one) if scaling is None else scaling.as_array()
            found += [center, scale, -one, one]
        return dict(zip(file_of.SCALING, found, strict=True))


def _training(net: Network) -> dict[str, str]:
    """Return the settings for training that `load` kept, or that a user put there."""
    kept = net.metadata.get("fann", {})
    if not isinstance(kept, dict):
        raise ValueError(f'net.metadata["fann"] must be a dict of settings of FANN, not {kept!r}')
    for key, value in kept.items():
        if key not in file_of.TRAINING or not file_of.is_list(str(value)):
            raise ValueError(f'net.metadata["fann"] has {key!r}: {value!r}, which is no setting of FANN')
    return {key: str(value) for key, value in kept.items()}
