"""The .safetensors format: a JSON text that says where each tensor lies, and the tensors, which many programs read.

Weights and biases are tensors of their own, layer by layer, as in PyTorch: layers.0.weight (units, inputs) and
layers.0.bias (units,). What only cbp needs lies flat, as in .npz: slots, vectors, mask, input_scaling, target_scaling.
The header of _packing.py is the text "cbp" among the metadata. Written and read without the package safetensors: its
reader takes the last of two equal keys, and numbers as they come on big-endian machines.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cbp import _json, _packing
from cbp.errors import FormatError
from cbp.io import _files

if TYPE_CHECKING:
    from cbp._packing import Header
    from cbp._state import State
    from cbp._typing import Array
    from cbp.network import Network

_LENGTH = struct.Struct("<Q")
_MOST = 100_000_000  # bytes of JSON that other programs read
_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_BLOCK = 2**18  # numbers of a matrix that are transposed at once


class Tensor(NamedTuple):
    """A tensor of the file, and the part of the array that has its numbers."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    array: str
    layer: int | None = None


def save(net: State, file: IO[bytes]) -> None:
    """Write a network to an open file."""
    header, arrays = _packing.pack_for_file(net)
    tensors = _tensors(header)
    entries: dict[str, Any] = {"__metadata__": {"cbp": arrays["header"].tobytes().decode()}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + math.prod(tensor.shape) * tensor.dtype.itemsize
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": [start, end]}
    text = _header_text(entries, end)
    file.write(_LENGTH.pack(len(text)) + text)
    for tensor in tensors.values():
        for part, turned in _parts(header, tensor, arrays[tensor.array]):
            file.write(np.ascontiguousarray(part.T if turned else part).data)


def _header_text(entries: dict[str, Any], size: int) -> bytes:
    """Return the JSON before tensors of so many bytes."""
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    try:
        if len(text) > _MOST:
            raise ValueError(f"has more than the {_MOST} bytes that other programs read")
        _json.allow(_json.cost(text), 2 * (_LENGTH.size + len(text) + size))
    except ValueError as error:
        raise ValueError(f"the header of the .safetensors file {error}: save the network as .npz") from None
    return text


def load(file: IO[bytes], cls: type[Network]) -> Network:
    """Read a network from an open file; raise FormatError where it is none."""
    size = file.seek(0, 2)
    text = _text(file, size)
    entries, described = _entries(text, size)
    start = _LENGTH.size + len(text)
    del text
    header = _packing.read_header(described, size)
    tensors = _tensors(header)
    if missing := tensors.keys() - entries.keys():
        raise FormatError(f"it has no tensor {min(missing)!r}")
    if strange := entries.keys() - tensors.keys():
        raise FormatError(f"it has a tensor {min(strange)[:100]!r} that does not belong")
    places = {name: _place(name, entries[name], tensor) for name, tensor in tensors.items()}
    _check_places(places, size - start)
    header.describe()
    arrays = _read(file, start, header, places)
    net = cls.__new__(cls)
    header.fill(net, arrays)
    return net


def _tensors(header: Header) -> dict[str, Tensor]:
    """Return the tensors that go with a header, in their order in the file: those of 8 bytes first, as they align."""
    tensors = {}
    dtype = header.dtype.newbyteorder("<")
    for number, (_, rows, columns) in enumerate(header.blocks):
        tensors[f"layers.{number}.weight"] = Tensor(dtype, (columns, rows - 1), "params", number)
        tensors[f"layers.{number}.bias"] = Tensor(dtype, (columns,), "params", number)
    for name, shape in header.shapes.items():
        if name != "params":
            tensors[name] = Tensor(header.dtype_of(name).newbyteorder("<"), shape, name)
    return dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))


def _parts(header: Header, tensor: Tensor, array: Array) -> Iterator[tuple[Array, bool]]:
    """Yield the views of an array that have a tensor's numbers, in order, and whether to transpose them."""
    if tensor.layer is None:
        yield array, False
        return
    start, rows, columns = header.blocks[tensor.layer]
    theta = array[start : start + rows * columns].reshape(rows, columns)
    if len(tensor.shape) == 1:
        yield theta[0], False
        return
    step = max(_BLOCK // rows, 1)
    for column in range(0, columns, step):
        yield theta[1:, column : column + step], True


def _text(file: IO[bytes], size: int) -> bytes:
    """Return the JSON at the beginning of a file of so many bytes."""
    if size >= _LENGTH.size:
        (length,) = _LENGTH.unpack(_files.read(file, 0, _LENGTH.size))
        if 2 <= length <= min(size - _LENGTH.size, _MOST):
            text = _files.read(file, _LENGTH.size, length)
            if text.startswith(b"{"):
                return text
    raise FormatError("it is no .safetensors file, or a truncated one")


def _entries(text: bytes, size: int) -> tuple[dict[str, Any], bytes]:
    """Return what the text says of each tensor, and cbp's header."""
    try:
        entries = _json.read(text, size)
    except ValueError as error:
        raise FormatError(f"its header {error}") from None
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError("its metadata are not texts by name")
    if "cbp" not in metadata:
        raise FormatError("it has tensors, but no description of a network among its metadata: cbp has not written it")
    return entries, metadata["cbp"].encode("utf-8", "surrogatepass")


def _place(name: str, entry: Any, tensor: Tensor) -> tuple[int, int, Tensor]:
    """Return where a tensor begins and ends, if it is what it should be."""
    dtype, shape = _NAMES[tensor.dtype], list(tensor.shape)
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"its tensor {name!r} is not described by dtype, shape and data_offsets")
    if entry["dtype"] != dtype or not _are_whole(entry["shape"]) or entry["shape"] != shape:
        raise FormatError(f"its tensor {name!r} is not {tensor.shape} of {dtype}, as it should be")
    offsets = entry["data_offsets"]
    if not _are_whole(offsets) or len(offsets) != 2:
        raise FormatError(f"its tensor {name!r} has no beginning and end")
    if offsets[1] - offsets[0] != math.prod(shape) * tensor.dtype.itemsize:
        raise FormatError(f"its tensor {name!r} has not as many bytes as its shape needs")
    return offsets[0], offsets[1], tensor


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _check_places(places: dict[str, tuple[int, int, Tensor]], size: int) -> None:
    """Refuse tensors that overlap, leave gaps, or do not fill the `size` bytes that there are for them."""
    end = 0
    for name, (first, last, _) in sorted(places.items(), key=lambda item: item[1][:2]):
        if first != end:
            raise FormatError(f"its tensor {name!r} does not begin where the one before ends")
        end = last
    if end != size:
        raise FormatError(f"its tensors have {end} bytes, and there are {size} for them")


def _read(file: IO[bytes], start: int, header: Header, places: dict[str, tuple[int, int, Tensor]]) -> dict[str, Array]:
    """Return the arrays that go with a header; their sizes have been checked."""
    shapes = header.shapes.items()
    arrays = {name: np.empty(shape, header.dtype_of(name).newbyteorder("<")) for name, shape in shapes}
    for first, _, tensor in places.values():
        file.seek(start + first)
        for part, turned in _parts(header, tensor, arrays[tensor.array]):
            numbers = np.empty(part.shape[::-1], part.dtype) if turned else part
            _files.read_into(file, numbers)
            if turned:
                part[...] = numbers.T
    return arrays
