"""Some hundreds of damaged models of both formats, made from two good ones. None of them may be read.

`corpus()` yields (name, ending, bytes). Also what the fuzzer begins with: tools/fuzz_loaders.py.
"""

import bz2
import copy
import functools
import io
import json
import struct
import zipfile
import zlib

import numpy as np
from model_bytes import archive, entries_of, npy, npz, safetensors, tensors, wrap

import cbp
from cbp import _json

X = np.linspace(-1, 1, 24).reshape(8, 3)
Y = np.stack([X[:, 0] * X[:, 1] + 3, X[:, 2] - X[:, 0] ** 2], 1)
HUGE = 2**31 - 1


@functools.cache
def models():
    """The arrays of two networks that have everything a file can keep, between them."""
    layers = [3, cbp.Dense(4, ["tanh", "relu", "sigmoid", cbp.activations.leaky_relu(0.5)], dropout=0.1)]
    layers += [cbp.Dense(2, "identity", skip=[0])]
    first = cbp.Network(layers, seed=7, loss="huber", scale_inputs="standard", scale_targets=([0, 1], [2, 3]))
    first.mask = np.arange(first.n_params) % 5 > 0
    first.metadata = {"features": ["a", "b", "ç"], "deep": {"list": [1, None, 2.5]}}
    first.fit(X, Y, epochs=2, batch_size=3, optimizer=cbp.optimizers.Adam(0.01, average=0.9))
    heads = [cbp.Head(2, "identity"), cbp.Head(1, "sigmoid")]
    second = cbp.Network([3, 3, 3], activation="tanh", heads=heads, dtype="float64", seed=1)
    second.fit(X, np.column_stack([Y, X[:, 0] > 0]), epochs=4, optimizer="lbfgs")
    return {"adam": first.__getstate__(), "lbfgs": second.__getstate__()}


def with_header(arrays, text):
    """The same arrays with another header: bytes, or what becomes JSON."""
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return {**arrays, "header": np.frombuffer(data, np.uint8)}


def both(name, arrays, description=None):
    """A damage that both formats can have."""
    yield f"{name}.npz", ".npz", npz(arrays)
    text = arrays["header"].tobytes().decode("latin-1")
    found = tensors(arrays, description or FIELDS["network"])
    data = b"".join(array.tobytes() for _, array in found)
    yield f"{name}.safetensors", ".safetensors", wrap({"__metadata__": {"cbp": text}, **entries_of(found)}, data)


ADAM = models()["adam"]
LBFGS = models()["lbfgs"]
FIELDS = json.loads(ADAM["header"].tobytes())
NPZ, TENSORS = npz(ADAM), safetensors(ADAM)
MEMBERS = [(f"{name}.npy".encode(), npy(array)) for name, array in ADAM.items()]


# ---- any file ----


def cut_and_extended():
    for ending, data in ((".npz", NPZ), (".safetensors", TENSORS)):
        for share in range(24):
            yield f"first {share} of 24 parts{ending}", ending, data[: len(data) * share // 24]
        for n in (1, 2, 8, 22, 100):
            yield f"without the last {n} bytes{ending}", ending, data[:-n]
            yield f"without the first {n} bytes{ending}", ending, data[n:]
            yield f"{n} zeros after it{ending}", ending, data + bytes(n)
            yield f"{n} blanks before it{ending}", ending, b" " * n + data
        yield f"twice{ending}", ending, data + data
        yield f"nothing but zeros{ending}", ending, bytes(len(data))
        yield f"a gap in the middle{ending}", ending, data[: len(data) // 2] + bytes(8) + data[len(data) // 2 :]
    yield "npz as safetensors", ".safetensors", NPZ
    yield "safetensors as npz", ".npz", TENSORS
    yield "pickle", ".npz", b"\x80\x04\x95\x1b\0\0\0\0\0\0\0\x8c\5posix\x94\x8c\6system\x94\x93\x94\x8c\2id\x94\x85R."


# ---- zip ----

LOCAL_FIELDS = "mark needs flags method time date crc packed size n_name n_extra".split()
ENTRY_FIELDS = "mark needs flags method time date crc packed size n_name n_extra n_comment disk kind offset".split()
END_FIELDS = "mark disk first here count length start n_comment".split()
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
    names += ["params.NPY", "", ".npy", "params.npy/", "./params.npy", "p" * 60_000 + ".npy", "parämeter.npy", "\x1b[2J.npy"]
    for number, name in enumerate(names):
        renamed = [(name.encode() if member == b"params.npy" else member, data) for member, data in MEMBERS]
        yield f"params under the strange name {number}", ".npz", archive(renamed)
        yield f"another member of the strange name {number}", ".npz", archive([*MEMBERS, (name.encode(), npy(np.ones(3)))])
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


def bombs():
    for method, name in ((zipfile.ZIP_DEFLATED, "deflated"), (zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as packed:
            for member, data in MEMBERS:
                packed.writestr(member.decode(), data)
            packed.writestr("zeros.npy", bytes(2**24))
        yield f"16 MiB of zeros, {name}", ".npz", stream.getvalue()
    for packed, method in ((zlib.compress(bytes(2**24)), 8), (bz2.compress(bytes(2**24)), 12)):
        changes = {"method": method, "size": 2**24, "packed": len(packed), "extra_bytes": b""}
        members = [*MEMBERS[:1], (b"params.npy", packed), *MEMBERS[2:]]
        yield f"params of 16 MiB by method {method}", ".npz", archive(members, {1: changes}, {1: changes})
    many = [(b"a%d.npy" % i, b"") for i in range(2000)]
    yield "two thousand members", ".npz", archive(many)
    yield "one member two thousand times", ".npz", archive(MEMBERS, repeat=[1] * 2000)
    for sign, n in ((b"[", 10**6), (b"{", 10**6), (b'{"a":', 10**5), (b"[],", 10**6), (b"{},", 10**6), (b'"",', 10**6)):
        yield from both(f"{n} times {sign.decode()}", with_header(ADAM, sign * n))
    closed = b"[" + b"[]," * 300_000 + b"[]]"
    yield from both("many lists in metadata", with_header(ADAM, changed(metadata={"a": "?"}).replace(b'"?"', closed)))
    wide = changed(metadata={"a": "?"}).replace(b'"?"', b"[" + b'{"":1},' * 10**5 + b"1]")
    yield from both("many objects in metadata", with_header(ADAM, wide))
    yield from both("a text of 4 MB as a loss", with_header(ADAM, network(loss="x" * 2**22)))
    yield from both("a list of 2 MB as a loss", with_header(ADAM, network(loss=[1] * 10**6)))
    yield from both("a text of escapes as an optimiser", with_header(ADAM, changed(optimizer={"name": "\U0001f600" * 10**5})))
    yield from both("a hundred thousand layers", with_header(ADAM, network(layers=[3] + [{"units": 1, "activation": "tanh"}] * 10**5)))
    units = {"units": 10**5, "activation": [{"name": "leaky_relu", "alpha": 0.5}] * 10**5}
    yield from both("a hundred thousand activations", with_header(ADAM, network(layers=[3, units])))
    yield from both("a skip of a million", with_header(ADAM, layer(1, skip=[0] * 10**6)))
    yield from both("a skip that adds up", with_header(ADAM, network(layers=[HUGE] + [layer_of(HUGE, skip=[0] * 9)] * 9)))
    yield from full_headers()
    for n in (10**6, 2**22):
        member = b"header.npy", npy(np.zeros(n, np.uint8))
        yield f"a header of {n} zeros.npz", ".npz", archive([member, *MEMBERS[1:]])
        yield f"a header of {n} zeros.safetensors", ".safetensors", wrap(b"{" + bytes(n), b"")


def full_headers():
    """Headers that take nearly all the memory they may, and a wrong mask, which is seen last."""
    for sign in (b"[],", b"{},", b'{"":1},', b'"ab",', b"1e1,", b"999,", b'"\\u0101",', b"[[[]]],"):
        n = 2**23 // (_json.cost(sign * 1000) // 1000 - 2 * len(sign)) * 95 // 100
        full = changed(metadata={"a": "?"}).replace(b'"?"', b"[" + sign * n + b"1]")
        arrays = {**with_header(ADAM, full), "mask": ADAM["mask"] * 2}
        yield from both(f"as much of {sign.decode()} as there may be, and a wrong mask", arrays)
    large = network(layers=[1, {"units": 2**21, "activation": "tanh"}], loss=None, scale_inputs=None, scale_targets=None)
    fields = {**json.loads(large), "optimizer": None, "t": 0, "scaling": []}
    numbers = np.ones(2**22, np.float32)
    for n in (300_000, 100_000):
        text = json.dumps({**fields, "metadata": {"a": "?"}}).encode().replace(b'"?"', b"[" + b"[]," * n + b"1]")
        arrays = {**with_header({}, text), "params": numbers, "mask": numbers.copy()}
        arrays["mask"][-1] = 2
        yield from both(f"{n} lists beside many numbers, and a wrong mask", arrays, fields["network"])


# ---- .npy ----


def damaged_arrays():
    params = ADAM["params"]
    texts = {"descr": "'>f4' '<f8' '|O' '<i4' '<f2' '=f4' 'f4' '<c8' '|S4' '|V4' '<M8' [('a','<f4')] '(4,)f4' 1 ''".split()}
    texts["descr"] += ["[('a', '<f4'), ('b', 'O')]", "__import__('os').system('id')", "'" + "f4," * 9000 + "'"]
    texts["order"] = ["True", "0", "None", "[False]"]
    texts["shape"] = ["(31,)", "(33,)", "(32, 1)", "(1, 32)", "(-32,)", "(32.0,)", "32", "()", "(9**9,)", "('32',)", "(32L,)"]
    texts["shape"] += ["(1" + "0" * 5000 + ",)", "(" * 9000 + "32" + ")" * 9000, "(0x20,)", "(True,)", "(4294967328,)"]
    texts["text"] = ["", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (32,), 'a': 1}", "[]"]
    texts["text"] += ["{'shape': (32,), 'shape': (1,), 'descr': '<f4', 'fortran_order': False}", "\0" * 100, "#" * 60_000]
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


def strange_numbers():
    for value in (0.5, -1, np.nan, np.inf, 2):
        yield from both(f"mask of {value}", {**ADAM, "mask": np.full_like(ADAM["mask"], value)})
    for row, value in ((0, np.nan), (0, np.inf), (1, np.nan), (1, np.inf), (1, 0), (1, -1)):
        scaling = ADAM["input_scaling"].copy()
        scaling[row, 1] = value
        yield from both(f"{value} in row {row} of a scaling", {**ADAM, "input_scaling": scaling})
    for value in (np.nan, np.inf, -np.inf):
        vectors = LBFGS["vectors"].copy()
        vectors[-1, -1] = value
        arrays = {**LBFGS, "vectors": vectors}
        yield f"{value} in a vector.npz", ".npz", npz(arrays)
        yield f"{value} in a vector.safetensors", ".safetensors", safetensors(arrays)


# ---- header ----


def changed(**fields):
    """The header with some of its fields changed."""
    return json.dumps({**FIELDS, **fields}).encode()


def network(**fields):
    return changed(network={**FIELDS["network"], **fields})


def layer(number, **fields):
    layers = copy.deepcopy(FIELDS["network"]["layers"])
    layers[number] |= fields
    return network(layers=layers)


def layer_of(units, **fields):
    return {"units": units, "activation": "tanh", **fields}


WRONG = [None, True, -1, 0.5, "x", [], [1], {}, {"a": 1}, 10**400, "\ud800\n\x1b[2J"]
# What may be so, by the place in the header
RIGHT = {
    "cbp": WRONG, "epoch": [], "t": [], "mask": [True], "metadata": [{}, {"a": 1}], "optimizer": [], "version": [],
    "network": [], "scaling": [], "unfinished": [None], "method": [None],
    "units": [], "activation": [], "init": [None], "steepness": [True, 0.5], "skip": [[]], "dropout": [0.5],
    "l1": [True, 0.5], "l2": [True, 0.5], "max_norm": [None, True, 0.5], "trainable": [True],
    "layers": [], "loss": [None], "dtype": [], "reduction": [], "seed": [], "heads": [None],
    "missing_targets": WRONG, "scale_inputs": [], "scale_targets": [None], "input_noise": [True, 0.5],
    "input_dropout": [0.5],
}  # fmt: skip


def is_right(field, value):
    return any(type(value) is type(each) and value == each for each in RIGHT[field])


def damaged_headers():
    text = ADAM["header"].tobytes()
    for field in FIELDS:
        left = {name: value for name, value in FIELDS.items() if name != field}
        yield f"no {field}", json.dumps(left).encode()
        twice = text[:-1] + f', "{field}": {json.dumps(FIELDS[field])}}}'.encode()
        yield f"{field} twice", twice
    for field, make in (
        *((field, changed) for field in ("epoch t mask metadata optimizer version network scaling unfinished method").split()),
        *((field, network) for field in ("layers loss dtype reduction seed heads scale_inputs scale_targets input_noise").split()),
        *((field, functools.partial(layer, 1)) for field in "units activation init steepness skip dropout l1 trainable".split()),
    ):  # fmt: skip
        for value in WRONG:
            if not is_right(field, value):
                yield f"{field} is {str(value)[:9]!r} ({type(value).__name__})", make(**{field: value})
    yield from strange_json(text)
    yield from strange_networks()


def strange_json(text):
    for name, found in {
        "nothing": b"", "blank": b" ", "null": b"null", "a number": b"1", "a list": b"[1, 2]", "a text": b'"cbp"', "zeros": bytes(40),
        "cut off": text[:-1], "something after it": text + b"1", "two": text + text, "a comma too many": text[:-1] + b",}",
        "a byte order mark": b"\xef\xbb\xbf" + text, "UTF-16": text.decode().encode("utf-16"), "UTF-32": text.decode().encode("utf-32"),
        "a letter beyond ASCII": text.replace(b"\\u00e7", "ç".encode()), "broken UTF-8": text.replace(b"\\u00e7", b"\xff"),
        "a comment": b"/* */" + text, "single quotes": text.replace(b'"', b"'"), "a control character": text.replace(b"features", b"fea\ntures"),
    }.items():  # fmt: skip
        yield f"header: {name}", found
    for value in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 5000, b"01", b"0x1", b"1.", b"+1", b".5"):
        yield f"metadata with {value[:9].decode()}", changed(metadata={"a": "?"}).replace(b'"?"', value)
        yield f"seed {value[:9].decode()}", network(seed="?").replace(b'"?"', value)
    for depth in (65, 500, 1500, 50_000):
        nested = b"[" * depth + b"]" * depth
        yield f"metadata {depth} deep", changed(metadata={"a": "?"}).replace(b'"?"', nested)
        yield f"loss {depth} deep", network(loss="?").replace(b'"?"', b'{"name":' * depth + b"1" + b"}" * depth)
    twice = changed(metadata={"a": {"b": 1}}).replace(b'"b": 1', b'"b": 1, "b": 1')
    yield "a key twice in metadata", twice
    yield "a key twice in a layer", text.replace(b'"units": 4', b'"units": 4, "units": 4')
    for version in (0, -1, 2, 99, 10**30, 1.0, "1", None, True, [1]):
        yield f"version {version!r}", changed(version=version)


def strange_networks():
    for units in (0, -1, 5, HUGE, HUGE + 1, 2**63, 10**30, 4.0, "4", True):
        yield f"{units!r} units", layer(1, units=units)
        yield f"{units!r} inputs", network(layers=[units, *FIELDS["network"]["layers"][1:]])
    yield "huge layers", network(layers=[HUGE, layer_of(HUGE), layer_of(HUGE)])
    yield "huge output of pairs", network(layers=[1, {"units": HUGE - 1}], loss="gaussian_nll")
    heads = [{"units": HUGE, "activation": "identity", "loss": "huber", "weight": 1.0}]
    yield "a huge head", network(layers=[1, {"units": HUGE}], loss=None, heads=heads)
    yield "a huge head in a small layer", network(loss=None, heads=heads)
    yield "heads that do not fit", network(loss=None, heads=[{"units": 1, "activation": "identity"}])
    yield "a scale for all of many inputs", network(layers=[HUGE, layer_of(1)], scale_inputs=[0, 1])
    yield "a scale for all", network(scale_inputs=[0, 1])
    yield "scales for others", network(scale_targets=[[0, 1, 2], [1, 1, 1]])
    yield "scales that are texts", network(scale_targets=[["0", "1"], ["1", "1"]])
    yield "scales that are too large", network(scale_targets=[[0, 10**400], [1, 1]])
    for skip in ([1], [0, 0], [-1], [2], [0.0], ["0"], "all", [[0]], [10**30], [True]):
        yield f"skip {skip}", layer(2, skip=skip)
    for dtype in ("float16", "f4", "<f4", "float32,float32", "(999999999,)f4", "object", "O", ">f4", "f4 " * 30, "float"):
        yield f"dtype {dtype[:20]}", network(dtype=dtype)
    for name in ("Adamant", "Optimizer", "__class__", "", "SGD", "LBFGS"):
        yield f"optimiser {name!r}", changed(optimizer={"name": name})
    for name, value in {"beta1": 1.0, "learning_rate": -1, "eps": 10**400, "clip_norm": 0, "name": [], "more": 1}.items():
        yield f"optimiser with {name}", changed(optimizer={**FIELDS["optimizer"], name: value})
    for name in ("softmax", "tahn", "", "t" * 5000, {"name": "tanh", "a": 1}, {"name": "leaky_relu", "alpha": "x"}, ["tanh"]):
        yield f"activation {str(name)[:20]}", layer(1, activation=name)
    for scaling in (["input_scaling"] * 2 + ["x"], ["target_scaling"], ["input_scaling", "target_scaling"], "input_scaling"):
        yield f"scaling {scaling}", changed(scaling=scaling)
    for value in ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [-1, 0, 0, 0, 0], [2**63, 0, 0, 0, 0], [1, "0", 0, 0, 0], [1, 0, -1, 0, 0]):
        yield f"unfinished {value}", changed(unfinished=value)
    for name in ("network", "optimizer"):
        yield f"an unknown key in {name}", changed(**{name: {**FIELDS[name], "depth\n": 3}})
    yield "an unknown field", changed(more=1)


def damaged_methods():
    fields = json.loads(LBFGS["header"].tobytes())
    vectors, numbers = fields["method"]["vectors"], fields["method"]["numbers"]
    for name, method in {
        "without numbers": {"vectors": vectors},
        "without vectors": {"numbers": numbers},
        "with fewer vectors": {"numbers": numbers, "vectors": {"s0": 0}},
        "with many vectors": {"numbers": numbers, "vectors": {**vectors, "more": 10**30}},
        "with a vector too many": {"numbers": numbers, "vectors": {**vectors, "more": 0}},
        "with a vector of a text": {"numbers": numbers, "vectors": {**vectors, "s0": "0"}},
        "with a number of a text": {"numbers": {"next": "0"}, "vectors": vectors},
        "with too large a number": {"numbers": {"next": 10**400}, "vectors": vectors},
        "in a list": [numbers, vectors],
    }.items():
        arrays = with_header(LBFGS, {**fields, "method": method})
        yield f"method {name}.npz", ".npz", npz(arrays)
        yield f"method {name}.safetensors", ".safetensors", safetensors(arrays)


def headers():
    for name, text in damaged_headers():
        yield from both(name, with_header(ADAM, text))


# ---- safetensors ----


def split():
    """What the text of the good file says, and its numbers."""
    (length,) = struct.unpack("<Q", TENSORS[:8])
    return json.loads(TENSORS[8 : 8 + length]), TENSORS[8 + length :]


def entry_changes(entry):
    """(name, entry) of one tensor described wrongly."""
    shape, (first, last) = entry["shape"], entry["data_offsets"]
    for value in ("F16", "BF16", "I32", "f32", "F128", "", None, 1, ["F32"], "F64" if entry["dtype"] == "F32" else "F32"):
        yield f"dtype {value}", {**entry, "dtype": value}
    for value in (shape[::-1] + [1], [-n for n in shape], [float(n) for n in shape], [str(n) for n in shape], [], None, 3,
                  [2**63, *shape], [True, *shape], {}, [2**64, 2**64], [[n] for n in shape]):  # fmt: skip
        yield f"shape {value}", {**entry, "shape": value}
    for value in ([last, first], [first + 1, last + 1], [first, last + 1], [first, last - 1], [first], [first, last, last], None, 0,
                  [-1, last], [float(first), float(last)], [str(first), str(last)], [first, 2**64], [2**63, 2**63 + last - first],
                  [first + 10**6, last + 10**6], [False, last], {}):  # fmt: skip
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
        yield f"{name} called otherwise", wrap({key + "_" * (key == name): value for key, value in entries.items()}, data)
        yield f"{name} where {other} is", wrap({**entries, name: {**entries[other]}}, data)
        twice = json.dumps(entries)[:-1] + f', "{name}": {json.dumps(entries[name])}}}'
        yield f"{name} twice", wrap(twice.encode(), data)
        yield f"another tensor beside {name}", wrap({**entries, f"{name}.more": entries[name]}, data)
    moved = {name: copy.deepcopy(entry) for name, entry in entries.items()}
    for name in names:
        moved[name]["data_offsets"] = [8 + place for place in moved[name]["data_offsets"]]
    yield "a gap at the beginning", wrap(moved, bytes(8) + data)
    yield "an empty tensor too many", wrap({**entries, "e": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, data)


def damaged_metadata():
    entries, data = split()
    text = entries["__metadata__"]["cbp"]
    others = [None, [], 1, "x", {}, {"cbp": None}, {"cbp": 1}, {"cbp": {}}, {"cbp": ""}, {"format": "pt"}, {"cbp": text, "more": 1}]
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
    for length in (0, 1, 2, len(good) - 1, len(good) + 8, len(TENSORS) - 8, len(TENSORS), 10**8 + 1, 2**31, 2**63, 2**64 - 1):
        yield f"a text of {length} bytes", struct.pack("<Q", length) + TENSORS[8:]
    yield "tensors of another program", wrap(entries_of([("weight", np.ones((3, 4), "f4"))]), np.ones(12, "f4").tobytes())


def corpus():
    """Yield (name, ending, bytes) of every damaged model."""
    for source in (cut_and_extended, damaged_fields, damaged_zips, bombs, damaged_arrays, strange_numbers, headers, damaged_methods):
        yield from source()
    for source in (damaged_tensors, damaged_metadata):
        yield from ((f"{name}.safetensors", ".safetensors", data) for name, data in source())
