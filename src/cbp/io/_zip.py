"""The zip archives that hold arrays: members as they are, one after the other, and nothing else.

Zip says everything twice, before each member and in a directory at the end, and says nothing of what lies between:
readers that trust one or the other see different files in the same bytes. Here both must say the same, and members,
directory and end must fill the file without a gap. Nothing is read before its size is compared with the file's.
Python's zipfile reads with less suspicion, and what it writes depends on the version and the system.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, NamedTuple

from cbp.errors import FormatError
from cbp.io import _files

if TYPE_CHECKING:
    from cbp._typing import Array

_END = struct.Struct("<4sHHHHLLH")
_END_64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_SIZE_64 = 1  # the id of the field that has the sizes of 64 bits
_LARGE, _MANY = 2**32 - 1, 2**16 - 1  # stand for a number that is elsewhere, in 64 bits
_LONGEST = 2**16  # bytes of a directory
_NEEDS, _UNIX = 45, 3 << 8  # the version of zip that has 64 bits; the system that made a file, whatever it was
_DATE = 1 << 5 | 1  # the first that a zip can hold; the time of saving would make equal files differ
_RIGHTS = 0o600 << 16
_REGULAR = (0, 0o10)  # kinds of files; a symbolic link is another one
_NO_ZIP = "it is no .npz file, or a truncated one"


class Member(NamedTuple):
    """One array's place in the file."""

    name: str
    start: int
    size: int
    crc: int


class _Entry(NamedTuple):
    """What the directory says of a member: `common` is what stands before it too, from the flags to the checksum."""

    name: bytes
    offset: int
    size: int
    crc: int
    common: bytes


def write(file: IO[bytes], arrays: Iterable[tuple[str, bytes, Array]]) -> None:
    """Write an archive of arrays: the name of each without .npy, what stands before its numbers, and the numbers."""
    directory, place = [], 0
    for name, head, array in arrays:
        member = f"{name}.npy".encode()
        size, crc = len(head) + array.nbytes, zlib.crc32(array.data, zlib.crc32(head))
        common = 0, 0, 0, _DATE, crc
        wide = struct.pack("<HHQQ", _SIZE_64, 16, size, size)
        file.write(_LOCAL.pack(b"PK\3\4", _NEEDS, *common, _LARGE, _LARGE, len(member), len(wide)) + member + wide)
        file.write(head)
        file.write(array.data)
        numbers, extra = _narrow([size, size, place])
        sizes, lengths = numbers[:2], (len(member), len(extra))
        entry = b"PK\1\2", _UNIX | _NEEDS, _NEEDS, *common, *sizes, *lengths, 0, 0, 0, _RIGHTS, numbers[2]
        directory.append(_ENTRY.pack(*entry) + member + extra)
        place += _LOCAL.size + len(member) + len(wide) + size
    listed = b"".join(directory)
    file.write(listed + _end_of(len(directory), len(listed), place))


def _narrow(numbers: list[int]) -> tuple[list[int], bytes]:
    """Return numbers in 32 bits, and the extra field that has those that are larger."""
    wide = [number for number in numbers if number >= _LARGE]
    extra = struct.pack(f"<HH{len(wide)}Q", _SIZE_64, 8 * len(wide), *wide) if wide else b""
    return [min(number, _LARGE) for number in numbers], extra


def _end_of(count: int, length: int, start: int) -> bytes:
    """Return the end of an archive whose directory has so many entries and bytes and begins there."""
    wide = b""
    if start >= _LARGE:
        versions = _UNIX | _NEEDS, _NEEDS
        wide = _END_64.pack(b"PK\6\6", _END_64.size - 12, *versions, 0, 0, count, count, length, start)
        wide += _LOCATOR.pack(b"PK\6\7", 0, start + length, 1)
    return wide + _END.pack(b"PK\5\6", 0, 0, count, count, length, min(start, _LARGE), 0)


def members(file: IO[bytes]) -> tuple[dict[str, Member], int]:
    """Return the members by their names, without the ending .npy, and the size of the file; or raise FormatError."""
    size = file.seek(0, 2)
    start, length, count = _directory(file, size)
    entries = sorted(_entries(_files.read(file, start, length), count), key=lambda entry: entry.offset)
    found: dict[str, Member] = {}
    end = 0
    for entry in entries:
        name = _name(entry.name)
        if name in found:
            raise FormatError(f"it has two members {name!r}")
        if entry.offset != end:
            raise FormatError(f"its member {name!r} does not begin where what stands before it ends")
        data = entry.offset + _local(file, entry, name, start)
        end = data + entry.size
        if end > start:
            raise FormatError(f"its member {name!r} is longer than the file")
        found[name] = Member(name, data, entry.size, entry.crc)
    if end != start:
        raise FormatError("it has bytes that belong to no member")
    return found, size


def _directory(file: IO[bytes], size: int) -> tuple[int, int, int]:
    """Return offset, length and number of entries of the directory, from the end of the file."""
    if size < _END.size:
        raise FormatError(_NO_ZIP)
    end = size - _END.size
    mark, disk, first, here, count, length, start, comment = _END.unpack(_files.read(file, end, _END.size))
    if mark != b"PK\5\6" or comment:
        raise FormatError(_NO_ZIP)
    if _has_64(file, end):
        end -= _LOCATOR.size + _END_64.size
        narrow = [(count, _MANY), (length, _LARGE), (start, _LARGE)]
        here, count, length, start = _end_64(file, end)
        wide = count, length, start
        if any(value not in (real, most) for (value, most), real in zip(narrow, wide, strict=True)):
            raise FormatError("the two ends of its directory disagree")
    if disk or first or here != count:
        raise FormatError("it is a part of an archive")
    if length > _LONGEST or start + length != end:
        raise FormatError("its directory is not where its end says")
    return start, length, count


def _has_64(file: IO[bytes], end: int) -> bool:
    """Whether what stands before the end is that of a large archive."""
    before = end - _LOCATOR.size
    return before >= _END_64.size and _files.read(file, before, 4) == b"PK\6\7"


def _end_64(file: IO[bytes], place: int) -> tuple[int, int, int, int]:
    """Return what the end of a large archive says: entries on this disk, entries, length and offset."""
    mark, length, _, _, disk, first, here, count, size, start = _END_64.unpack(_files.read(file, place, _END_64.size))
    _, other, offset, disks = _LOCATOR.unpack(_files.read(file, place + _END_64.size, _LOCATOR.size))
    if (mark, length) != (b"PK\6\6", _END_64.size - 12) or (disk, first, other, offset, disks) != (0, 0, 0, place, 1):
        raise FormatError("the end of its directory is not that of one archive")
    return here, count, size, start


def _entries(directory: bytes, count: int) -> list[_Entry]:
    """Return what a directory of so many entries says."""
    entries, place = [], 0
    for _ in range(count):
        if len(directory) - place < _ENTRY.size:
            raise FormatError("its directory is too short")
        fields = _ENTRY.unpack_from(directory, place)
        mark, _, version, flags, method, _, _, crc, packed, size, *lengths, disk, _, kind, offset = fields
        common = directory[place + 8 : place + 20]
        after = place + _ENTRY.size
        place = after + sum(lengths)
        name, extra = directory[after : after + lengths[0]], directory[after + lengths[0] : place]
        shown = _name(name)
        if mark != b"PK\1\2" or lengths[2] or place > len(directory):
            raise FormatError("its directory is damaged")
        _check_plain(shown, version, flags, method)
        if disk or kind >> 28 not in _REGULAR:
            raise FormatError(f"its member {shown!r} is no plain file")
        size, packed, offset = _wide([size, packed, offset], extra, shown)
        if size != packed:
            raise FormatError(f"its member {shown!r} has two sizes")
        entries.append(_Entry(name, offset, size, crc, common))
    if place != len(directory):
        raise FormatError("its directory is too long")
    return entries


def _check_plain(name: str, version: int, flags: int, method: int) -> None:
    """Refuse what needs more than to be read as it is."""
    if flags & 1:
        raise FormatError(f"its member {name!r} is encrypted")
    if method:
        raise FormatError(f"its member {name!r} is compressed")
    if flags or version > _NEEDS:
        raise FormatError(f"its member {name!r} is stored in a way that cbp does not read")


def _wide(narrow: list[int], extra: bytes, name: str) -> list[int]:
    """Return sizes and offset, those that stand for one in 64 bits being there."""
    missing = narrow.count(_LARGE)
    if not extra and not missing:
        return narrow
    form = struct.Struct(f"<HH{missing}Q")
    if len(extra) != form.size or extra[:4] != struct.pack("<HH", _SIZE_64, 8 * missing):
        raise FormatError(f"its member {name!r} has an extra field that does not belong")
    wide = iter(form.unpack(extra)[2:])
    return [next(wide) if value == _LARGE else value for value in narrow]


def _local(file: IO[bytes], entry: _Entry, name: str, limit: int) -> int:
    """Return the length of what stands before a member, which must say what the directory does."""
    if limit - entry.offset < _LOCAL.size:
        raise FormatError(f"its member {name!r} is longer than the file")
    head = _files.read(file, entry.offset, _LOCAL.size)
    mark, version, *_, packed, size, n_name, n_extra = _LOCAL.unpack(head)
    rest = _files.read(file, entry.offset + _LOCAL.size, min(n_name + n_extra, limit - entry.offset - _LOCAL.size))
    same = mark == b"PK\3\4" and head[6:18] == entry.common and rest[:n_name] == entry.name and version <= _NEEDS
    extra = rest[n_name:]
    if len(extra) == 20:  # both sizes in 64 bits, which Python before 3.11.4 writes beside those in 32
        same = same and {packed, size} <= {_LARGE, entry.size}
        packed = size = _LARGE
    if not same or _wide([size, packed], extra, name) != [entry.size, entry.size]:
        raise FormatError(f"what stands before its member {name!r} is not what the directory says")
    return _LOCAL.size + n_name + n_extra


def _name(name: bytes) -> str:
    """Return a member's name without its ending."""
    found = name[:100].decode("ascii", "replace")
    if not found.endswith(".npy") or not found[:-4].replace("_", "").isalnum():
        raise FormatError(f"it has a member {found!r} that does not belong")
    return found[:-4]
