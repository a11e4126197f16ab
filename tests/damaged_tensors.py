"""Damaged .safetensors files: what stands before the tensors."""

import copy
import json
import struct

import numpy as np
from good_models import TENSORS
from model_bytes import entries_of, wrap


def split():
    """What the text of the good file says, and its numbers."""
    (length,) = struct.unpack("<Q", TENSORS[:8])
    return json.loads(TENSORS[8 : 8 + length]), TENSORS[8 + length :]


def entry_changes(entry):
    """(name, entry) of one tensor described wrongly."""
    shape, (first, last) = entry["shape"], entry["data_offsets"]
    for value in (
        "F16",
        "BF16",
        "I32",
        "f32",
        "F128",
        "",
        None,
        1,
        ["F32"],
        "F64" if entry["dtype"] == "F32" else "F32",
    ):
        yield f"dtype {value}", {**entry, "dtype": value}
    for value in (
        [*shape[::-1], 1],
        [-n for n in shape],
        [float(n) for n in shape],
        [str(n) for n in shape],
        [],
        None,
        3,
        [2**63, *shape],
        [True, *shape],
        {},
        [2**64, 2**64],
        [[n] for n in shape],
    ):
        yield f"shape {value}", {**entry, "shape": value}
    for value in (
        [last, first],
        [first + 1, last + 1],
        [first, last + 1],
        [first, last - 1],
        [first],
        [first, last, last],
        None,
        0,
        [-1, last],
        [float(first), float(last)],
        [str(first), str(last)],
        [first, 2**64],
        [2**63, 2**63 + last - first],
        [first + 10**6, last + 10**6],
        [False, last],
        {},
    ):
        yield f"offsets {value}", {**entry, "data_offsets": value}
    yield "another key", {**entry, "path": "../data.bin"}
    for key in entry:
        yield f"no {key}", {name: value for name, value in entry.items() if name != key}
    for value in (None, [], 1, "F32"):
        yield f"entry {value}", value


def damaged_tensors():
    entries, data = split()
    for name in ("layers.0.weight", "input_scaling"):
        for what, changed_entry in entry_changes(entries[name]):
            yield f"{name}: {what}", wrap({**entries, name: changed_entry}, data)
    names = [name for name in entries if name != "__metadata__"]
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        yield f"no {name}", wrap({key: value for key, value in entries.items() if key != name}, data)
        yield (
            f"{name} called otherwise",
            wrap({key + "_" * (key == name): value for key, value in entries.items()}, data),
        )
        yield f"{name} where {other} is", wrap({**entries, name: {**entries[other]}}, data)
        twice = json.dumps(entries)[:-1] + f', "{name}": {json.dumps(entries[name])}}}'
        yield f"{name} twice", wrap(twice.encode(), data)
        yield f"another tensor beside {name}", wrap({**entries, f"{name}.more": entries[name]}, data)
    moved = {name: copy.deepcopy(entry) for name, entry in entries.items()}
    for name in names:
        moved[name]["data_offsets"] = [8 + place for place in moved[name]["data_offsets"]]
    yield "a gap at the beginning", wrap(moved, bytes(8) + data)
    yield (
        "an empty tensor too many",
        wrap({**entries, "e": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, data),
    )


def damaged_metadata():
    entries, data = split()
    text = entries["__metadata__"]["cbp"]
    others = [
        None,
        [],
        1,
        "x",
        {},
        {"cbp": None},
        {"cbp": 1},
        {"cbp": {}},
        {"cbp": ""},
        {"format": "pt"},
        {"cbp": text, "more": 1},
    ]
    for value in others:
        yield f"metadata {str(value)[:20]}", wrap({**entries, "__metadata__": value}, data)
    yield "no metadata", wrap({name: value for name, value in entries.items() if name != "__metadata__"}, data)
    good = json.dumps(entries, separators=(",", ":")).encode()
    yield "metadata twice", wrap(good[:-1] + b',"__metadata__":{}}', data)
    yield "cbp twice", wrap(good.replace(b'{"cbp":', b'{"cbp":"","cbp":'), data)
    yield "blank before the text", wrap(b" " + good, data)
    yield "zeros after the text", wrap(good + b"\0" * 8, data)
    yield "a list", wrap(b"[" + good + b"]", data)
    yield "no text", wrap(b"", data)
    for length in (
        0,
        1,
        2,
        len(good) - 1,
        len(good) + 8,
        len(TENSORS) - 8,
        len(TENSORS),
        10**8 + 1,
        2**31,
        2**63,
        2**64 - 1,
    ):
        yield f"a text of {length} bytes", struct.pack("<Q", length) + TENSORS[8:]
    yield (
        "tensors of another program",
        wrap(entries_of([("weight", np.ones((3, 4), "f4"))]), np.ones(12, "f4").tobytes()),
    )
