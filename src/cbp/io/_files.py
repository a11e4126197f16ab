"""Reading from an open file exactly what is wanted. Used by _zip.py, npz.py and safetensors.py."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from cbp.errors import FormatError

if TYPE_CHECKING:
    from cbp._typing import Array


def read(file: IO[bytes], start: int, length: int) -> bytes:
    """Return so many bytes from a place on; the file is known to have them."""
    file.seek(start)
    data = file.read(length)
    if len(data) != length:
        raise _shorter()
    return data


def read_into(file: Any, array: Array) -> None:
    """Fill a contiguous array with the next bytes."""
    if file.readinto(array) != array.nbytes:
        raise _shorter()


def _shorter() -> FormatError:
    return FormatError("it became shorter while it was read")
