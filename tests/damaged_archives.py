"""Damaged archives: .npz files whose zip or whose arrays are not what they should be."""

import struct

import numpy as np
from good_models import ADAM, MEMBERS, NPZ
from model_bytes import archive, npy

LOCAL_FIELDS = ["mark", "needs", "flags", "method", "time", "date", "crc", "packed", "size", "n_name", "n_extra"]
ENTRY_FIELDS = ["mark", "needs", "flags", "method", "time", "date", "crc", "packed", "size", "n_name", "n_extra"]
ENTRY_FIELDS += ["n_comment", "disk", "kind", "offset"]
END_FIELDS = ["mark", "disk", "first", "here", "count", "length", "start", "n_comment"]
VALUES = {"mark": [b"PK\7\x08", b"PK\3\5"], "kind": [0o120777 << 16, 0o040755 << 16, 0o010600 << 16]}
VALUES |= {"needs": [46, 63, 2**16 - 1], "method": [8, 12, 14, 99]}
NUMBERS = [2**32 - 1, 2**32 - 2, 2**31 + 2**15, 12345]


def damaged_fields():
    """Every field of every record that has a say in how a member is read, one at a time."""
    for number in (0, 1):
        for field in LOCAL_FIELDS:
            for value in VALUES.get(field, NUMBERS[field in ("packed", "size") :]):
                yield f"local {field} of {number} is {value}", ".npz", archive(MEMBERS, {number: {field: value}})
        for field in ENTRY_FIELDS:
            for value in VALUES.get(field, NUMBERS):
                changed = archive(MEMBERS, entries={number: {field: value}})
                yield f"{field} of entry {number} is {value}", ".npz", changed
    for field in END_FIELDS:
        for value in VALUES.get(field, NUMBERS):
            yield f"{field} of the end is {value}", ".npz", archive(MEMBERS, ending={field: value})
    for field in ("mark", "n", "disk", "first", "here", "count", "length", "start", "disk_2", "place", "disks"):
        for value in VALUES.get(field, NUMBERS):
            yield f"{field} of the large end is {value}", ".npz", archive(MEMBERS, large={field: value})
    narrow = {"count": 2**16 - 1, "here": 2**16 - 1, "length": 2**32 - 1, "start": 2**32 - 1}
    for number in (1, 2**63):
        yield f"large end of {number} bytes", ".npz", archive(MEMBERS, large={"length": number}, ending=narrow)
    yield "large end elsewhere", ".npz", archive(MEMBERS, ending=narrow)


def both_sides(changes):
    """The last member changed before it and in the directory alike."""
    last = len(MEMBERS) - 1
    return archive(MEMBERS, {last: changes}, {last: changes})


def damaged_zips():
    n = len(MEMBERS)
    for field, values in {"flags": [1, 2, 8, 64, 2048, 8192], "method": [8, 9, 12, 14, 95, 99], "needs": [46]}.items():
        for value in values:
            yield f"{field} {value} everywhere", ".npz", both_sides({field: value})
    yield "another checksum everywhere", ".npz", both_sides({"crc": 1})
    yield "an extra field everywhere", ".npz", both_sides({"extra_bytes": b"UT\5\0\3\0\0\0\0"})
    for i in range(n):
        yield f"member {i} left out", ".npz", archive(MEMBERS[:i] + MEMBERS[i + 1 :])
        yield f"member {i} twice", ".npz", archive([*MEMBERS, MEMBERS[i]])
        yield f"member {i} listed twice", ".npz", archive(MEMBERS, repeat=[i])
        yield f"member {i} listed at the first one's place", ".npz", archive(MEMBERS, entries={i: {"offset": 4}})
        j = (i + 1) % n
        names = [name for name, _ in MEMBERS]
        names[i], names[j] = names[j], names[i]
        pairs = [(name, data) for name, (_, data) in zip(names, MEMBERS, strict=True)]
        yield f"names of {i} and {j} swapped", ".npz", archive(pairs)
        for what, data in (("empty", b""), ("one byte", b"\x93"), ("no numbers", MEMBERS[i][1][:10])):
            yield f"member {i} with {what}", ".npz", archive([*MEMBERS[:i], (MEMBERS[i][0], data), *MEMBERS[i + 1 :]])
    names = ["../params.npy", "/params.npy", "C:params.npy", "a/params.npy", "params", "PARAMS.npy", "params.npy\0"]
    names += ["params.NPY", "", ".npy", "params.npy/", "./params.npy", "p" * 60_000 + ".npy", "parämeter.npy"]
    names += ["\x1b[2J.npy"]
    for number, name in enumerate(names):
        renamed = [(name.encode() if member == b"params.npy" else member, data) for member, data in MEMBERS]
        yield f"params under the strange name {number}", ".npz", archive(renamed)
        yield (
            f"another member of the strange name {number}",
            ".npz",
            archive([*MEMBERS, (name.encode(), npy(np.ones(3)))]),
        )
    yield "a comment", ".npz", archive(MEMBERS, ending={"comment_bytes": b"hello"})
    yield "a comment that is an end", ".npz", archive(MEMBERS, ending={"comment_bytes": NPZ[-22:]})
    yield "a comment of a member", ".npz", archive(MEMBERS, entries={0: {"comment_bytes": b"hello"}})
    yield "bytes before it", ".npz", archive(MEMBERS, before=b"#!/bin/sh\n")
    yield "bytes between", ".npz", archive(MEMBERS, between=b"\0")
    yield "no members", ".npz", archive([])
    yield "a folder", ".npz", archive([*MEMBERS, (b"folder/", b"")])
    lies = {"size": 2**32 - 1, "packed": 2**32 - 1}
    for size in (0, 1, 2**40, 2**64 - 1):
        extra = struct.pack("<HHQQ", 1, 16, size, size)
        yield f"64 bits that say {size}", ".npz", archive(MEMBERS, entries={1: {**lies, "extra_bytes": extra}})
        yield f"64 bits that say {size} everywhere", ".npz", both_sides({**lies, "extra_bytes": extra})
    yield "64 bits that are missing", ".npz", archive(MEMBERS, entries={1: lies})
    yield "64 bits for no reason", ".npz", archive(MEMBERS, entries={1: {"extra_bytes": struct.pack("<HHQ", 1, 8, 1)}})
    overlap = archive([*MEMBERS[:-1], (b"wrong.npy", archive([MEMBERS[-1]])), MEMBERS[-1]])
    yield "a member within a member", ".npz", overlap


def damaged_arrays():
    params = ADAM["params"]
    texts = {"order": ["True", "0", "None", "[False]"]}
    texts["descr"] = ["'>f4'", "'<f8'", "'|O'", "'<i4'", "'<f2'", "'=f4'", "'f4'", "'<c8'", "'|S4'", "'|V4'", "'<M8'"]
    texts["descr"] += ["[('a','<f4')]", "'(4,)f4'", "1", "''"]
    texts["descr"] += ["[('a', '<f4'), ('b', 'O')]", "__import__('os').system('id')", "'" + "f4," * 9000 + "'"]
    texts["shape"] = ["(31,)", "(33,)", "(32, 1)", "(1, 32)", "(-32,)", "(32.0,)", "32", "()", "(9**9,)", "('32',)"]
    texts["shape"] += ["(32L,)"]
    texts["shape"] += ["(1" + "0" * 5000 + ",)", "(" * 9000 + "32" + ")" * 9000, "(0x20,)", "(True,)", "(4294967328,)"]
    texts["text"] = ["", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (32,), 'a': 1}"]
    texts["text"] += ["[]"]
    texts["text"] += ["{'shape': (32,), 'shape': (1,), 'descr': '<f4', 'fortran_order': False}", "\0" * 100]
    texts["text"] += ["#" * 60_000]
    texts["magic"] = [b"\x93NUMPZ", b"\0NUMPY"]
    texts["version"] = [b"\2\0", b"\3\0", b"\0\0", b"\1\1", b"\xff\xff"]
    texts["length"] = [0, 1, 117, 119, 2**16 - 1]
    texts["newline"] = [b"", b" ", b"\r"]
    texts["data"] = [b"", params.tobytes()[:-1], params.tobytes() + b"\0", params.tobytes() * 2]
    for part, values in texts.items():
        for number, value in enumerate(values):
            members = [MEMBERS[0], (b"params.npy", npy(params, **{part: value})), *MEMBERS[2:]]
            yield f"{part} {number} of params", ".npz", archive(members)
    for name in ("header", "slots", "mask", "input_scaling"):
        place = list(ADAM).index(name)
        for kind in ("<f4", ">f4", "<f8", "<i8", "|b1", "<f2", "|u1"):
            array = ADAM[name].astype(kind) + (1 if kind != "|b1" else False)
            if array.dtype != ADAM[name].dtype:
                members = [*MEMBERS[:place], (MEMBERS[place][0], npy(array)), *MEMBERS[place + 1 :]]
                yield f"{name} as {kind}", ".npz", archive(members)
