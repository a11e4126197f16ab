"""The .npz format: a zip of .npy members that `numpy.load` opens too, without pickle.

Members: header (uint8, JSON), params; slots where there is an optimiser, vectors where a method keeps some, mask where
parameters are fixed, and what scaling has learned. Numbers are little-endian, nothing is compressed. The same network
gives the same bytes. What the members hold is the business of _packing.py, how they lie in the file that of _zip.py.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from cbp import _packing
from cbp.errors import FormatError
from cbp.io import _files, _zip

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array
    from cbp.io._zip import Member
    from cbp.network import Network

_MAGIC = struct.Struct("<8sH")
_VERSION_1 = b"\x93NUMPY\1\0"


def save(net: State, file: IO[bytes]) -> None:
    """Write a network to an open file."""
    _, arrays = _packing.pack_for_file(net)
    _zip.write(file, ((name, _head_of(array), np.ascontiguousarray(array)) for name, array in arrays.items()))


def _head_of(array: Array) -> bytes:
    """Return what stands before an array's numbers in a .npy."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(array))
    return stream.getvalue()


def load(file: IO[bytes], cls: type[Network]) -> Network:
    """Read a network from an open file; raise FormatError where it is none."""
    members, size = _zip.members(file)
    header = _packing.read_header(_array(file, members, "header", np.dtype(np.uint8), None).tobytes(), size)
    expected = {name: (header.dtype_of(name).newbyteorder("<"), shape) for name, shape in header.shapes.items()}
    if strange := members.keys() - expected.keys() - {"header"}:
        raise FormatError(f"it has a member {min(strange)!r} that does not belong")
    for name, (dtype, shape) in expected.items():
        _length(members, name, dtype, shape)
    header.describe()
    arrays = {name: _array(file, members, name, dtype, shape) for name, (dtype, shape) in expected.items()}
    net = cls.__new__(cls)
    header.fill(net, arrays)
    return net


def _length(members: dict[str, Member], name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return the bytes before the numbers of a member, which must leave as many as the array has."""
    if name not in members:
        raise FormatError(f"it has no member {name!r}")
    length = members[name].size - math.prod(shape) * dtype.itemsize
    if not _MAGIC.size < length <= _MAGIC.size + 2**16:
        raise _other(name, dtype, shape)
    return length


def _array(
    file: IO[bytes],
    members: dict[str, Member],
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...] | None,
) -> Array:
    """Read one member of this dtype and shape; None means any length. Its size is checked before it is allocated."""
    if shape is None:
        shape = (_header_size(file, members, name),)
    length, member = _length(members, name, dtype, shape), members[name]
    head = _files.read(file, member.start, length)
    if not _is_head(head, dtype, shape):
        raise _other(name, dtype, shape)
    array: Array = np.empty(shape, dtype)
    _files.read_into(file, array)
    if zlib.crc32(array.data, zlib.crc32(head)) != member.crc:
        raise FormatError(f"its member {name!r} is damaged: it has another checksum")
    return array


def _header_size(file: IO[bytes], members: dict[str, Member], name: str) -> int:
    """Return how many bytes the member that may be of any length has, beside what describes it."""
    if name not in members:
        raise FormatError(f"it has no member {name!r}")
    member = members[name]
    if member.size < _MAGIC.size:
        raise FormatError(f"its member {name!r} is no array")
    _, length = _MAGIC.unpack(_files.read(file, member.start, _MAGIC.size))
    return max(member.size - _MAGIC.size - length, 0)


def _is_head(head: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether a .npy begins like that of such an array. Blanks do not count."""
    wanted = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
    mark, length = _MAGIC.unpack_from(head)
    text = head[_MAGIC.size :]
    fits = mark == _VERSION_1 and length == len(text) and text.endswith(b"\n")
    return fits and text.translate(None, b" \n") == wanted.replace(" ", "").encode()


def _other(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FormatError:
    return FormatError(f"its member {name!r} is not the array {shape} of {dtype} that it should be")
