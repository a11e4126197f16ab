"""The .npz format: a zip of .npy members that `numpy.load` opens too, without pickle.

Members: header (uint8, JSON), params; slots where there is an optimiser, vectors where a method keeps some, mask where
parameters are fixed, and what scaling has learned. Numbers are little-endian, nothing is compressed. The same network
gives the same bytes. What the members hold is the business of _packing.py.
"""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from cbp import _packing
from cbp.errors import FormatError

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array
    from cbp.network import Network

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold; the time of saving would make equal files differ
_DAMAGES = (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError, MemoryError)


def save(net: State, file: IO[bytes]) -> None:
    """Write a network to an open file."""
    arrays = _packing.pack(net)
    if "own_loss" in arrays:
        raise TypeError(
            f"a file cannot keep the loss {net._spec.loss}, which is a function of yours; pickle the network, or save "
            "net.params and make the network anew from net.get_config()"
        )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _DATE)
            with archive.open(member, "w", force_zip64=True) as stream:
                npy.write_array(stream, array.astype(array.dtype.newbyteorder("<"), copy=False), allow_pickle=False)


def load(file: IO[bytes], cls: type[Network]) -> Network:
    """Read a network from an open file; raise FormatError where it is none."""
    if not zipfile.is_zipfile(file):
        raise FormatError("it is no .npz file, or a truncated one")
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, cls)
    except FormatError:
        raise
    except _DAMAGES as error:
        raise FormatError(f"{error}") from None


def _read(archive: zipfile.ZipFile, cls: type[Network]) -> Network:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    header = _packing.read_header(_array(archive, members, "header", np.dtype(np.uint8), None).tobytes())
    expected = header.shapes
    if strange := members.keys() - expected.keys() - {"header"}:
        raise FormatError(f"it has a member {sorted(strange)[0]!r} that does not belong")
    arrays = {}
    for name, shape in expected.items():
        arrays[name] = _array(archive, members, name, header.dtype_of(name).newbyteorder("<"), shape)
    net = cls.__new__(cls)
    header.fill(net, arrays)
    return net


def _array(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...] | None,
) -> Array:
    """Read one member of this dtype and shape; None means any length. Its size is checked before it is allocated."""
    if name not in members:
        raise FormatError(f"it has no member {name!r}")
    info = members[name]
    if info.compress_type != zipfile.ZIP_STORED:
        raise FormatError(f"its member {name!r} is compressed")
    with archive.open(info) as stream:
        found, size = _describe(stream)
        wanted = (info.file_size - stream.tell(),) if shape is None else shape
        if found != (wanted, False, dtype) or size + stream.tell() != info.file_size:
            raise FormatError(f"its member {name!r} is not the array {wanted} of {dtype} that it should be")
        stream.seek(0)
        array: Array = npy.read_array(stream, allow_pickle=False)
    return array


def _describe(stream: Any) -> tuple[tuple[tuple[int, ...], bool, np.dtype[Any]], int]:
    """Return shape, order and dtype from the head of a .npy, and the bytes that should follow it."""
    version = npy.read_magic(stream)
    if version != (1, 0):
        raise FormatError(f"it has a .npy of version {version}")
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    count = 1
    for length in shape:
        count *= length
    return (shape, fortran, dtype), count * dtype.itemsize
