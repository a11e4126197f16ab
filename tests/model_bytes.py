"""The two formats of model files written byte by byte, as docs/guide/saving.md describes them, and nothing from cbp.

Every field of a zip archive can be set to something else, which is what damaged.py and the fuzzer need.
"""

import json
import struct
import zlib

DATE = (0, 33)  # no time, the first of January 1980


LOCAL = "<4sHHHHHLLLHH"
ENTRY = "<4sHHHHHHLLLHHHHHLL"
END = "<4sHHHHLLH"


def record(form, values, changes):
    """Pack the values, some of them changed, each cut to the size of its field."""
    unknown = changes.keys() - values.keys()
    assert not unknown, unknown
    packer, packed = struct.Struct(form), []
    for letter, value in zip(form.replace("4s", "s")[1:], (values | changes).values(), strict=True):
        packed.append(value if letter == "s" else value % 2 ** (8 * struct.calcsize(f"<{letter}")))
    return packer.pack(*packed)


def local(name, data, **changes):
    """What stands before a member: sizes of 64 bits in an extra field, as NumPy writes them."""
    extra = changes.pop("extra_bytes", struct.pack("<HHQQ", 1, 16, len(data), len(data)))
    values = {
        "mark": b"PK\3\4", "needs": 45, "flags": 0, "method": 0, "time": DATE[0], "date": DATE[1],
        "crc": zlib.crc32(data), "packed": 2**32 - 1, "size": 2**32 - 1, "n_name": len(name), "n_extra": len(extra),
    }  # fmt: skip
    return record(LOCAL, values, changes) + name + extra


def entry(name, data, offset, **changes):
    """What the directory says of a member."""
    extra, comment = changes.pop("extra_bytes", b""), changes.pop("comment_bytes", b"")
    values = {
        "mark": b"PK\1\2", "made_by": 3 << 8 | 45, "needs": 45, "flags": 0, "method": 0, "time": DATE[0],
        "date": DATE[1], "crc": zlib.crc32(data), "packed": len(data), "size": len(data), "n_name": len(name),
        "n_extra": len(extra), "n_comment": len(comment), "disk": 0, "internal": 0, "kind": 0o600 << 16,
        "offset": offset,
    }  # fmt: skip
    return record(ENTRY, values, changes) + name + extra + comment


def end(sizes, **changes):
    comment = changes.pop("comment_bytes", b"")
    count, length, start = sizes
    values = {
        "mark": b"PK\5\6", "disk": 0, "first": 0, "here": count, "count": count, "length": length, "start": start,
        "n_comment": len(comment),
    }  # fmt: skip
    return record(END, values, changes) + comment


def end_64(sizes, here_64, **changes):
    """The two records that stand before the end of a large archive."""
    count, length, start = sizes
    values = {
        "mark": b"PK\6\6", "n": 44, "made_by": 45, "needs": 45, "disk": 0, "first": 0, "here": count, "count": count,
        "length": length, "start": start,
    }  # fmt: skip
    found = {"mark_2": b"PK\6\7", "disk_2": 0, "place": here_64, "disks": 1}
    first = record("<4sQHHLLQQQQ", values, {name: value for name, value in changes.items() if name in values})
    return first + record("<4sLQL", found, {name: value for name, value in changes.items() if name in found})


def archive(members, locals_=None, entries=None, ending=None, before=b"", between=b"", large=None, repeat=()):
    """A zip of (name, data), each of its records changed as {place: changes} or, for the end, {field: value} say."""
    body, directory, offsets = before, [], []
    for number, (name, data) in enumerate(members):
        offsets.append(len(body))
        body += local(name, data, **(locals_ or {}).get(number, {})) + data + between
    for number in (*range(len(members)), *repeat):
        name, data = members[number]
        changes = {"offset": offsets[number], **(entries or {}).get(number, {})}
        directory.append(entry(name, data, **changes))
    listed = b"".join(directory)
    sizes = len(directory), len(listed), len(body)
    wide = b"" if large is None else end_64(sizes, len(body) + len(listed), **large)
    return body + listed + wide + end(sizes, **(ending or {}))


def npy(array, **changes):
    """One array as a .npy of version 1, of which any part may be another one."""
    values = {"magic": b"\x93NUMPY", "version": b"\1\0", "descr": repr(array.dtype.str), "order": "False"} | changes
    shape = values.get("shape", array.shape)
    text = f"{{'descr': {values['descr']}, 'fortran_order': {values['order']}, 'shape': {shape}, }}"
    text = values.get("text", text).encode()
    blanks = -(len(text) + 11) % 64 if "text" not in changes else 0
    # NumPy leaves room for the first number of the shape to grow to 21 digits
    if "text" not in changes:
        room = 21 - len(str(array.shape[0])) if array.shape else 0
        blanks = room + -(len(text) + 11 + room) % 64
    text += b" " * blanks + values.get("newline", b"\n")
    data = values.get("data", array.tobytes())
    return values["magic"] + values["version"] + struct.pack("<H", values.get("length", len(text))) + text + data


def npz(arrays, **changes):
    """A model file: header, then the other arrays."""
    return archive([(f"{name}.npy".encode(), npy(array)) for name, array in arrays.items()], **changes)


def tensors(arrays, network):
    """(name, array) of a .safetensors file, in order: parameters layer by layer, then the rest as it is."""
    found, start, widths = [], 0, [network["layers"][0]]
    params = arrays["params"]
    for number, layer in enumerate(network["layers"][1:]):
        above, units = widths[-1] + sum(widths[k] for k in layer.get("skip", [])), layer["units"]
        theta = params[start : start + (above + 1) * units].reshape(above + 1, units)
        found += [(f"layers.{number}.weight", theta[1:].T), (f"layers.{number}.bias", theta[0])]
        start += theta.size
        widths.append(units)
    found += [(name, array) for name, array in arrays.items() if name not in ("header", "params")]
    return sorted(found, key=lambda item: -item[1].dtype.itemsize)


def entries_of(found):
    """What the text says of the tensors that `tensors` lists."""
    entries, end = {}, 0
    for name, array in found:
        begin, end = end, end + array.nbytes
        dtype = {4: "F32", 8: "F64"}[array.dtype.itemsize]
        entries[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    return entries


def wrap(text, data):
    """A .safetensors file of a text, or what becomes one, and the numbers."""
    if not isinstance(text, bytes):
        text = json.dumps(text, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def safetensors(arrays):
    """A model file: the same arrays as .npz has, the parameters layer by layer."""
    header = arrays["header"].tobytes()
    found = tensors(arrays, json.loads(header)["network"])
    return wrap(
        {"__metadata__": {"cbp": header.decode()}, **entries_of(found)}, b"".join(a.tobytes() for _, a in found)
    )
