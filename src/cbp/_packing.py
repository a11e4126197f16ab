"""A network as a few arrays: a header (JSON as bytes), the parameters, the optimiser's slots, the mask if there is one.

A full-batch method has its numbers in the header, and its vectors in the place of slots.

Files, pickles and copies are all made of these. A header is read in two steps, so that a file which lies costs nothing:
it says which arrays there are and how large; only when they were seen to be there is what it describes made. Used by
_state.py and io.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core, _json, optimizers
from cbp._arguments import real, whole
from cbp._spec import DTYPES, Spec
from cbp.errors import FormatError
from cbp.layers import MAX_UNITS

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array
    from cbp.methods import MethodState

VERSION = 1
_KEYS = {"version", "cbp", "network", "epoch", "optimizer", "t", "metadata"}
_OPTIONAL = {"method", "mask", "scaling", "unfinished"}
_MAX_COUNT = 2**62  # far below what the core counts to
_SCALINGS = ("scale_inputs", "scale_targets")
_LISTS = {"layers", "heads", "activation", "skip", "scaling", "unfinished", *_SCALINGS}
_LONGEST = 100  # letters of a name, or of another text outside metadata
_OBJECT = 1100  # bytes of memory that a layer, a row with an argument or a head takes, at most
_ITEM = 16  # the same of an item of a list; of a unit whose activation a head says
_BLOCK = 2**16  # numbers that are looked at at once
_UNSOUND = (ValueError, TypeError, OverflowError, RecursionError)


class Header:
    """Everything about a saved network but its large arrays: what there is, before `describe` makes anything of it."""

    spec: Spec

    def __init__(self, fields: dict[str, Any]) -> None:
        self._network = network = fields["network"]
        self.blocks = _blocks(network)
        start, rows, self.n_out = self.blocks[-1]
        self.n_in, self.n_params = network["layers"][0], start + rows * self.n_out
        if network.get("dtype") not in DTYPES:
            raise ValueError(f"dtype must be float32 or float64, not {network.get('dtype')!r}")
        self.dtype = np.dtype(network["dtype"])
        whole(network.get("seed"), "seed", 0, 2**64 - 1)
        self.epoch = whole(fields["epoch"], "epoch", 0, _MAX_COUNT)
        self.optimizer = None if fields["optimizer"] is None else optimizers.get(fields["optimizer"])
        self.t = whole(fields["t"], "t", 0, _MAX_COUNT)
        self.numbers, self.vectors = self._of_method(fields.get("method"))
        self.has_mask = fields.get("mask", False)
        if not isinstance(self.has_mask, bool):
            raise TypeError("mask must be true or false")
        self.metadata = fields["metadata"]
        if not isinstance(self.metadata, dict):
            raise TypeError("metadata must be a dict")
        self.scaling = self._learned(fields.get("scaling", []))
        self.unfinished = None if fields.get("unfinished") is None else _read_unfinished(fields["unfinished"])

    def _of_method(self, given: Any) -> tuple[dict[str, float], dict[str, int]]:
        """Return the numbers of a method's state, and the rows of its vectors by name: 0 is one, (n_params,)."""
        if (given is None) == self._has_method:
            raise ValueError("it has the state of a method without one, or a method without its state")
        if given is None:
            return {}, {}
        if not isinstance(given, dict) or not all(isinstance(given.get(key), dict) for key in ("numbers", "vectors")):
            raise TypeError("method must be its numbers and vectors by name")
        numbers = {name: real(value, f"method's {name}") for name, value in given["numbers"].items()}
        return numbers, {name: whole(rows, f"method's {name}", 0) for name, rows in given["vectors"].items()}

    @property
    def _has_method(self) -> bool:
        return not isinstance(self.optimizer, optimizers.Optimizer | None)

    def _learned(self, names: Any) -> dict[str, int]:
        """Return the arrays of learned center and scale that the header names, and their columns."""
        n = {"input_scaling": self.n_in, "target_scaling": self.n_out}
        if not isinstance(names, list) or not all(name in n for name in names):
            raise ValueError("scaling must list what was learned")
        for name, key, columns in zip(n, _SCALINGS, n.values(), strict=True):
            how = self._network.get(key)
            given = isinstance(how, list) and len(how) == 2
            if name in names and (how is None or given):
                raise ValueError(f"it has a learned {name}, but nothing was to be learned")
            if given and not all(_are_numbers(part, columns) for part in how):
                raise ValueError(f"{key} must have a center and a scale for each of {columns} columns")
        return {name: n[name] for name in names}

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an array that goes with the header."""
        return np.dtype(np.float64) if name in self.scaling or name == "vectors" else self.dtype

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays that go with the header."""
        n = self.n_params
        shapes: dict[str, tuple[int, ...]] = {"params": (n,)}
        if isinstance(self.optimizer, optimizers.Optimizer):
            shapes["slots"] = (optimizers.n_slots(self.optimizer), n)
        if self.vectors:
            shapes["vectors"] = (sum(max(rows, 1) for rows in self.vectors.values()), n)
        if self.has_mask:
            shapes["mask"] = (n,)
        return shapes | {name: (2, columns) for name, columns in self.scaling.items()}

    def describe(self, own_loss: Any = None) -> None:
        """Make the description of the network, or raise FormatError; its loss is `own_loss`, if there is one."""
        try:
            self.spec = Spec.from_config(self._network if own_loss is None else {**self._network, "loss": own_loss})
        except _UNSOUND as error:
            raise _no_network(error) from None
        self._network = {}  # large, if scales or activations are listed unit by unit
        if self.spec.n_params != self.n_params:
            raise FormatError("its header describes no network: a layer skips from another one twice")

    def fill(self, state: State, arrays: dict[str, Array]) -> None:
        """Make `state`, an empty one, the network that header and arrays describe, or raise FormatError.

        The arrays, whose byte order may be another machine's, are copied.
        """
        self._check(arrays)
        native = {name: array.astype(self.dtype_of(name), copy=False) for name, array in arrays.items()}
        try:
            self._fill(state, native)
        except _UNSOUND as error:
            raise _no_network(error) from None

    def _fill(self, state: State, arrays: dict[str, Array]) -> None:
        state._setup(self.spec, self.spec.plan(), arrays["params"])
        state._memory.epochs = self.epoch
        state.metadata = self.metadata
        if self.has_mask:
            state.mask = arrays["mask"]
        state._reader = state._reader.with_numbers({name: arrays[name] for name in self.scaling})
        if self.optimizer is not None:
            state._use(self.optimizer)
            state._memory.t = self.t
        if isinstance(self.optimizer, optimizers.Optimizer):
            state._memory.slots[...] = arrays["slots"]
        elif state._method_state is not None:
            self._fill_method(state._method_state, arrays)
            assert state._method is not None
            state._method.check(state._method_state, self.n_params)
        if self.unfinished is not None:
            memory = state._memory
            memory.batches, memory.cost, memory.weight, *state._pass_shape = self.unfinished

    def _check(self, arrays: dict[str, Array]) -> None:
        """Refuse numbers that cannot be, before memory is taken for a network. Parameters may be any."""
        for name in arrays.keys() - {"params", "slots"}:
            numbers = arrays[name].reshape(-1)
            if name == "mask" and not _all(numbers, lambda x: (x == 0) | (x == 1)):
                raise FormatError(f"its array {name!r} has a number that is neither 0 nor 1")
            if not _all(numbers, np.isfinite):
                raise FormatError(f"its array {name!r} has a number that is not finite")
            if name in self.scaling and not _all(numbers[len(numbers) // 2 :], lambda x: x > 0):
                raise FormatError(f"its array {name!r} has a scale that is not positive")

    def _fill_method(self, method: MethodState, arrays: dict[str, Array]) -> None:
        """Give a new state of a method what header and arrays say."""
        method.iterations, method.numbers = self.t, self.numbers
        done, vectors = 0, arrays.get("vectors")
        for name, rows in self.vectors.items():
            assert vectors is not None
            end = done + max(rows, 1)
            method.vectors[name] = vectors[done:end].copy() if rows else vectors[done].copy()
            done = end


def _all(numbers: Array, test: Callable[[Array], Array]) -> bool:
    """Whether all numbers pass, some of them at a time, which takes little memory."""
    blocks = (numbers[start : start + _BLOCK] for start in range(0, len(numbers), _BLOCK))
    return all(test(block).all() for block in blocks)


def _read_unfinished(given: Any) -> tuple[int, float, float, int, int]:
    """Return batches made of an epoch, sums of cost and weight over their samples, rows and batch size of the epoch."""
    if not isinstance(given, list) or len(given) != 5:
        raise ValueError("unfinished must be five numbers")
    batches, rows, batch_size = (whole(given[i], "unfinished", 0, _MAX_COUNT) for i in (0, 3, 4))
    if rows and not (batch_size and batches * batch_size < rows):
        raise ValueError(f"unfinished has {batches} batches of {batch_size}, which {rows} rows do not leave unfinished")
    return batches, real(given[1], "unfinished"), real(given[2], "unfinished", low=0.0), rows, batch_size


def _blocks(network: Any) -> list[tuple[int, int, int]]:
    """Return where each layer's parameters begin, their rows, 0 the bias, and columns: numbers, however large."""
    if not isinstance(network, dict) or not isinstance(network.get("layers"), list) or len(network["layers"]) < 2:
        raise TypeError("a configuration is a dict with 'layers', as get_config returns it")
    first, *layers = network["layers"]
    widths, blocks, start = [whole(first, "the number of inputs", 1, MAX_UNITS)], [], 0
    for number, layer in enumerate(layers, 1):
        if not isinstance(layer, dict) or not isinstance(skip := layer.get("skip", []), list):
            raise TypeError(f"layer {number} must be a dict, with a list as skip")
        units = whole(layer.get("units"), f"the units of layer {number}", 1, MAX_UNITS)
        above = widths[-1] + sum(widths[whole(k, f"skip of layer {number}", 0, number - 1)] for k in skip)
        widths.append(units)
        blocks.append((start, 1 + above, units))
        start += (1 + above) * units
    heads = network.get("heads")
    _check_activations(layers if heads is None else layers[:-1], "layer")
    if heads is not None:
        _check_activations(heads, "head")
        if sum(whole(head.get("units"), "the units of a head", 1, MAX_UNITS) for head in heads) != widths[-1]:
            raise ValueError(f"the heads have not the {widths[-1]} units of the output layer")
    return blocks


def _check_activations(parts: Any, name: str) -> None:
    """Refuse layers or heads that leave it open what they compute."""
    if not isinstance(parts, list) or not all(isinstance(each, dict) for each in parts):
        raise TypeError(f"a {name} must be a dict")
    for number, each in enumerate(parts, 1):
        if each.get("activation") is None:
            raise TypeError(f"{name} {number} has no activation")


def _are_numbers(values: Any, n: int) -> bool:
    return isinstance(values, list) and len(values) == n and all(type(value) in (int, float) for value in values)


def _taken(value: Any, key: str = "") -> int:
    """Return how much memory what describes a network takes, at most, if lists and texts are as long as they may be."""
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ValueError(f"{key[:_LONGEST] or 'a name'} is a text of {len(value)} letters")
    if isinstance(value, list):
        if key not in _LISTS:
            raise ValueError(f"{key[:_LONGEST] or 'a part of a list'} must not be a list")
        inner, parts = key if key in _SCALINGS else "", (each for each in value if type(each) not in (int, float))
        return _ITEM * len(value) + sum(_taken(each, inner) for each in parts)
    if isinstance(value, dict):
        return _OBJECT + sum(_taken(name) + _taken(each, name) for name, each in value.items())
    return 0


def _no_network(error: Exception) -> FormatError:
    """Return the error for a header that describes none, in one printable sentence."""
    reason = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:300])
    return FormatError(f"its header describes no network: {reason}")


def read_header(data: bytes, size: int | None = None) -> Header:
    """Return the header in `data`, or raise FormatError.

    `size` is that of the file that it stands in; None: it is trusted.
    """
    try:
        fields = _json.read(data, size)
    except ValueError as error:
        raise FormatError(f"its header {error}") from None
    if not isinstance(fields, dict) or not _is_version(fields.get("version")):
        raise FormatError("its header is not that of a cbp model")
    if fields["version"] > VERSION:
        raise FormatError(f"it has format version {fields['version']}; this cbp reads up to {VERSION}: update cbp")
    if missing := _KEYS - fields.keys():
        raise FormatError(f"its header lacks {', '.join(sorted(missing))}")
    if strange := fields.keys() - _KEYS - _OPTIONAL:
        raise FormatError(f"its header has a field {min(strange)[:_LONGEST]!r} that does not belong")
    try:
        description = sum(_taken(value, name) for name, value in fields.items() if name != "metadata")
        header = Header(fields)
        if size is not None:
            units = header.n_out if fields["network"].get("heads") else 0
            lasting = description + _ITEM * units + _json.taken(header.metadata)
            # First beside the header itself, then beside the arrays
            _json.allow(_json.cost(data) + description, 2 * size)
            _json.allow(lasting, size)
    except _UNSOUND as error:
        raise _no_network(error) from None
    return header


def _is_version(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def pack(state: State) -> dict[str, Any]:
    """Return the arrays of a network, "header" first, as they are between two updates: copies.

    A loss of the user's own goes with them as "own_loss", the function itself.
    """
    with state._memory:
        return _packed(state)


def _packed(state: State) -> dict[str, Any]:
    optimizer, network = state.optimizer, state.get_config()
    own_loss = network["loss"] if callable(network["loss"]) else None
    fields = {
        "version": VERSION,
        "cbp": _core.version(),
        "network": network if own_loss is None else {**network, "loss": None},
        "epoch": state.epoch,
        "optimizer": None if optimizer is None else optimizer.get_config(),
        "t": 0 if optimizer is None else state._memory.t,
        "metadata": state.metadata,
    }
    if state._memory.batches:
        memory = state._memory
        fields["unfinished"] = [memory.batches, memory.cost, memory.weight, *state._pass_shape]
    method = state._method_state
    if method is not None:
        rows = {name: len(vector) if vector.ndim == 2 else 0 for name, vector in method.vectors.items()}
        fields["method"] = {"numbers": method.numbers, "vectors": rows}
    if state.mask is not None:
        fields["mask"] = True
    if learned := state._reader.numbers():
        fields["scaling"] = list(learned)
    params = state.params if state._memory.before is None else state._memory.before
    arrays = {"header": _header_of(fields), "params": params.copy()}
    if state._optimizer is not None:
        arrays["slots"] = state._memory.slots.copy()
    if method is not None and method.vectors:
        arrays["vectors"] = np.concatenate([np.atleast_2d(vector) for vector in method.vectors.values()])
    if state.mask is not None:
        arrays["mask"] = state.mask
    arrays |= learned
    return arrays if own_loss is None else {**arrays, "own_loss": own_loss}


def _header_of(fields: dict[str, Any]) -> Array:
    """Return the header's bytes, as an array."""
    try:
        text = _json.write(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata must be a dict of what JSON can hold: {error}") from None
    if not isinstance(fields["metadata"], dict):
        raise TypeError(f"metadata must be a dict, not {type(fields['metadata']).__name__}")
    return np.frombuffer(text.encode(), np.uint8)


def copied(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of metadata, as a file would give it back."""
    return _json.read(_header_of({"metadata": metadata}).tobytes())["metadata"] if metadata != {} else {}


def pack_for_file(state: State) -> tuple[Header, dict[str, Array]]:
    """Return the arrays of a network as `pack` does, little-endian, and their header as `read_header` reads it.

    Raises
    ------
    TypeError
        The loss is a function of the user's, or `metadata` holds something that JSON cannot.
    ValueError
        No file of this size may have such a header.
    """
    arrays = pack(state)
    if "own_loss" in arrays:
        raise TypeError(
            f"a file cannot keep the loss {state._spec.loss}, which is a function of yours; pickle the network, or "
            "save net.params and make the network anew from net.get_config()"
        )
    try:
        header = read_header(arrays["header"].tobytes(), sum(array.nbytes for array in arrays.values()))
    except FormatError as error:
        raise ValueError(f"no file could be read that keeps this network and its metadata: {error}") from None
    little = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in arrays.items()}
    return header, little


def unpack(state: State, arrays: Mapping[str, Any]) -> None:
    """Fill an empty `state` from what `pack` returned."""
    header = read_header(arrays["header"].tobytes())
    header.describe(arrays.get("own_loss"))
    header.fill(state, {name: arrays[name] for name in header.shapes})
