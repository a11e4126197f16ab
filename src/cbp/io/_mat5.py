"""The file format of MATLAB 5 to 7, as far as a struct of numbers, texts and cells needs it: reading only.

SciPy's reader takes much more, and ends the process on some damaged files; this one checks every size against what
holds it before it allocates, and raises FormatError. After "MAT-File Format", The MathWorks, chapter "Level 5".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError

if TYPE_CHECKING:
    from cbp._typing import Array

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of elements that are numbers."""
TEXTS = {1: "i1", 2: "u1", 4: "u2", 16: "u1", 17: "u2", 18: "u4"}
"""Types of elements that are characters."""
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_NUMERIC = range(6, 16)
_OPAQUE = (16, 17)
_COMPLEX = 0x0800
_LAST_CHARACTER = 0x10FFFF
_DEEPEST = 16
_MOST_INFLATED = 200
"""How many times its size a compressed part may become, above `_SMALL`."""
_SMALL = 2**18


class Opaque:
    """A function, or an object of a class, which only MATLAB can read."""


def read(data: bytes) -> dict[str, Any]:
    """Return the variables of a file by name.

    Numbers and texts are arrays with the dimensions that MATLAB has, cell arrays are arrays of objects, a struct is a
    dict; what is opaque an `Opaque`.
    """
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[:10] == b"MATLAB 7.3":
        raise FormatError("it is of MATLAB's version 7.3; save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or struct.unpack_from(f"{order}H", data, 124)[0] != 0x0100:
        raise FormatError("it is no .mat file of the version 5, 6 or 7")
    reader = _Reader(order)
    variables: dict[str, Any] = {}
    for kind, part in reader.elements(memoryview(data)[128:]):
        inside = reader.elements(_inflated(part)) if kind == _COMPRESSED else [(kind, part)]
        for inner, content in inside:
            if inner != _MATRIX:
                raise FormatError("it has something that is no variable")
            name, value = reader.variable(content, 0)
            if name in variables:
                raise FormatError(f"it has two variables {name}")
            variables[name] = value
    return variables


def _inflated(part: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(part, max(_SMALL, _MOST_INFLATED * len(part)))
    except zlib.error as error:
        raise FormatError(f"it has a compressed part that is damaged: {error}") from None
    if not stream.eof:
        raise FormatError("it has a compressed part that is cut off or far too long")
    return memoryview(data)


class _Reader:
    """Reads elements; `order` is that of the bytes of a number."""

    def __init__(self, order: str) -> None:
        self.order = order

    def elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield the type and the content of each element."""
        at = 0
        while at < len(data):
            if len(data) - at < 8:
                raise FormatError("it ends within an element")
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            begin, following = at + 8, at + 8 + size
            if kind >> 16:  # up to four bytes, in the place of the size
                kind, size, begin, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
                if size > 4:
                    raise FormatError("an element is longer than its place")
            if size > len(data) - begin:
                raise FormatError("an element is longer than what holds it")
            yield kind, data[begin : begin + size]
            at = following if kind == _COMPRESSED else following + -following % 8

    def variable(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """Return the name and the value of an array; without content it is empty."""
        if not len(data):
            return "", np.zeros((0, 0))
        if depth > _DEEPEST:
            raise FormatError("it has cells in cells without end")
        parts = self.elements(data)
        flags = self._numbers(next(parts, None), _UINT32)
        if len(flags) != 2:
            raise FormatError("it has an array that is none")
        kind = int(flags[0]) & 0xFF
        if kind in _OPAQUE:
            return "", Opaque()
        shape = tuple(self._numbers(next(parts, None), _INT32).tolist())
        if len(shape) < 2 or min(shape) < 0:
            raise FormatError("it has an array without dimensions")
        name = self._ascii(next(parts, None))
        return name, self._value(kind, bool(flags[0] & _COMPLEX), shape, [*parts], depth)

    def _value(self, kind: int, is_complex: bool, shape: tuple[int, ...], parts: list[Any], depth: int) -> Any:
        if kind == _CELL:
            return self._cells(shape, parts, depth)
        if kind == _OBJECT:
            parts = parts[1:]
        if kind in (_STRUCT, _OBJECT):
            return self._struct(shape, parts, depth)
        known = TEXTS if kind == _CHAR else NUMBERS if kind in _NUMERIC and not is_complex else {}
        if len(parts) != 1 or parts[0][0] not in known:
            raise FormatError("it has an array of a kind that no network has")
        dtype = np.dtype(known[parts[0][0]]).newbyteorder(self.order)  # type: ignore[arg-type]
        content = parts[0][1]
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise FormatError(f"it has an array of the shape {shape} with {len(content)} bytes")
        return self._array(content, dtype, shape, kind)

    def _array(self, content: memoryview, dtype: Any, shape: tuple[int, ...], kind: int) -> Array:
        values = np.frombuffer(content, dtype).reshape(shape, order="F")
        if kind != _CHAR:
            return values.astype(dtype.newbyteorder("="))
        codes = values.astype(np.int64)
        if ((codes < 0) | (codes > _LAST_CHARACTER)).any():
            raise FormatError("it has a text that is none")
        return np.ascontiguousarray(codes, np.uint32).view("U1").reshape(shape)

    def _cells(self, shape: tuple[int, ...], parts: list[Any], depth: int) -> Array:
        values = [self._nested(part, depth) for part in parts]
        if len(values) != math.prod(shape):
            raise FormatError(f"it has a cell array of the shape {shape} with {len(values)} cells")
        cells = np.empty(len(values), object)
        for i, value in enumerate(values):
            cells[i] = value
        return cells.reshape(shape, order="F")

    def _struct(self, shape: tuple[int, ...], parts: list[Any], depth: int) -> dict[str, Any]:
        if len(parts) < 2 or math.prod(shape) != 1:
            raise FormatError("it has an array of structs, or one without fields")
        length = self._numbers(parts[0], _INT32)
        text = bytes(parts[1][1])
        if len(length) != 1 or length[0] < 1 or len(text) % length[0] or len(text) // length[0] != len(parts) - 2:
            raise FormatError("it has a struct whose names and fields do not go together")
        step = int(length[0])
        names = [self._name(text[at : at + step]) for at in range(0, len(text), step)]
        if len(set(names)) < len(names):
            raise FormatError("it has a struct with two fields of one name")
        return {name: self._nested(part, depth) for name, part in zip(names, parts[2:], strict=True)}

    def _nested(self, part: tuple[int, memoryview], depth: int) -> Any:
        if part[0] != _MATRIX:
            raise FormatError("it has something that is no array in a cell or a field")
        return self.variable(part[1], depth + 1)[1]

    def _numbers(self, part: tuple[int, memoryview] | None, kind: int) -> Array:
        if part is None or part[0] != kind or len(part[1]) % 4:
            raise FormatError("it has an array that is none")
        return np.frombuffer(part[1], f"{self.order}{NUMBERS[kind]}")

    def _ascii(self, part: tuple[int, memoryview] | None) -> str:
        if part is None or part[0] != _INT8:
            raise FormatError("it has an array without a name")
        return self._name(bytes(part[1]))

    @staticmethod
    def _name(text: bytes) -> str:
        name = text.split(b"\0", 1)[0]
        if not name.isascii():
            raise FormatError("it has a name that is none")
        return name.decode()
