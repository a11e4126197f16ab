"""A network as a few arrays: a header (JSON as bytes), the parameters, the optimiser's slots, the mask if there is one.

A full-batch method has its numbers in the header, and its vectors in the place of slots.

Files, pickles and copies are all made of these. A header is read and checked before any array is: it says which
arrays there are and how large. Used by _state.py and io.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core, optimizers
from cbp._arguments import real, whole
from cbp._spec import Spec
from cbp.errors import FormatError

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array
    from cbp.methods import MethodState

VERSION = 1
_KEYS = {"version", "cbp", "network", "epoch", "optimizer", "t", "metadata"}
_MAX_COUNT = 2**63 - 1


class Header:
    """Everything about a saved network but its large arrays."""

    def __init__(self, fields: dict[str, Any], own_loss: Any = None) -> None:
        network = fields["network"]
        self.spec = Spec.from_config(network if own_loss is None else {**network, "loss": own_loss})
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
        n = {"input_scaling": self.spec.n_in, "target_scaling": self.spec.n_out}
        kinds = {"input_scaling": self.spec.scale_inputs, "target_scaling": self.spec.scale_targets}
        if not isinstance(names, list) or not all(name in n for name in names):
            raise ValueError("scaling must list what was learned")
        for name in names:
            how = kinds[name]
            if how is None or how.kind == "given":
                raise ValueError(f"it has a learned {name}, but nothing was to be learned")
        return {name: n[name] for name in names}

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an array that goes with the header."""
        return np.dtype(np.float64) if name in self.scaling or name == "vectors" else self.spec.dtype

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays that go with the header."""
        n = self.spec.n_params
        shapes: dict[str, tuple[int, ...]] = {"params": (n,)}
        if isinstance(self.optimizer, optimizers.Optimizer):
            shapes["slots"] = (optimizers.n_slots(self.optimizer), n)
        if self.vectors:
            shapes["vectors"] = (sum(max(rows, 1) for rows in self.vectors.values()), n)
        if self.has_mask:
            shapes["mask"] = (n,)
        return shapes | {name: (2, columns) for name, columns in self.scaling.items()}

    def fill(self, state: State, arrays: dict[str, Array]) -> None:
        """Make `state`, an empty one, the network that header and arrays describe; the arrays are copied."""
        state._setup(self.spec, self.spec.plan(), arrays["params"].astype(self.spec.dtype))
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
        if self.unfinished is not None:
            memory = state._memory
            memory.batches, memory.cost, memory.weight, *state._pass_shape = self.unfinished

    def _fill_method(self, method: MethodState, arrays: dict[str, Array]) -> None:
        """Give a new state of a method what header and arrays say."""
        method.iterations, method.numbers = self.t, self.numbers
        done, vectors = 0, arrays.get("vectors")
        for name, rows in self.vectors.items():
            assert vectors is not None
            end = done + max(rows, 1)
            if not np.isfinite(vectors[done:end]).all():
                raise FormatError(f"its method's {name} is not finite")
            method.vectors[name] = vectors[done:end].copy() if rows else vectors[done].copy()
            done = end


def _read_unfinished(given: Any) -> tuple[int, float, float, int, int]:
    """Return batches made of an epoch, sums of cost and weight over their samples, rows and batch size of the epoch."""
    if not isinstance(given, list) or len(given) != 5:
        raise ValueError("unfinished must be five numbers")
    batches, rows, batch_size = (whole(given[i], "unfinished", 0, _MAX_COUNT) for i in (0, 3, 4))
    return batches, real(given[1], "unfinished"), real(given[2], "unfinished", low=0.0), rows, batch_size


def read_header(data: bytes, own_loss: Any = None) -> Header:
    """Return the header in `data`, or raise FormatError; its loss is `own_loss`, if there is one."""
    import json

    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError("its header is not JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("version"), int):
        raise FormatError("its header is not that of a cbp model")
    if fields["version"] > VERSION:
        raise FormatError(f"it has format version {fields['version']}; this cbp reads up to {VERSION}: update cbp")
    if missing := _KEYS - fields.keys():
        raise FormatError(f"its header lacks {', '.join(sorted(missing))}")
    try:
        return Header(fields, own_loss)
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"its header describes no network: {error}") from None


def pack(state: State) -> dict[str, Any]:
    """Return the arrays of a network, "header" first; parameters, slots and mask are views, not copies.

    A loss of the user's own goes with them as "own_loss", the function itself.
    """
    import json

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
    try:
        text = json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata must be a dict of what JSON can hold: {error}") from None
    if not isinstance(state.metadata, dict):
        raise TypeError(f"metadata must be a dict, not {type(state.metadata).__name__}")
    arrays = {"header": np.frombuffer(text.encode(), np.uint8), "params": state.params}
    if state._optimizer is not None:
        arrays["slots"] = state._memory.slots
    if method is not None and method.vectors:
        arrays["vectors"] = np.concatenate([np.atleast_2d(vector) for vector in method.vectors.values()])
    if state.mask is not None:
        arrays["mask"] = state.mask
    arrays |= learned
    return arrays if own_loss is None else {**arrays, "own_loss": own_loss}


def unpack(state: State, arrays: dict[str, Any]) -> None:
    """Fill an empty `state` from what `pack` returned."""
    read_header(arrays["header"].tobytes(), arrays.get("own_loss")).fill(state, arrays)
