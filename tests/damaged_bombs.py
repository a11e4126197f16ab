"""Bombs: files that would become far larger in memory than they are."""

import contextlib
import importlib
import io
import json
import zipfile

import numpy as np
from good_models import ADAM, HUGE, MEMBERS, both, changed, layer, layer_of, network, with_header
from model_bytes import archive, npy, wrap

from cbp import _json

METHODS = {"zlib": zipfile.ZIP_DEFLATED, "bz2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def packers():
    """The modules that zipfile packs with, and its numbers for them. Python may have been built without some."""
    found = []
    for name, method in METHODS.items():
        with contextlib.suppress(ImportError):
            found.append((importlib.import_module(name), method))
    return found


def bombs():
    for module, method in packers():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as packed:
            for member, data in MEMBERS:
                packed.writestr(member.decode(), data)
            packed.writestr("zeros.npy", bytes(2**24))
        yield f"16 MiB of zeros, {module.__name__}", ".npz", stream.getvalue()
        packed = module.compress(bytes(2**24))
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
    yield from both(
        "a text of escapes as an optimiser", with_header(ADAM, changed(optimizer={"name": "\U0001f600" * 10**5}))
    )
    yield from both(
        "a hundred thousand layers",
        with_header(ADAM, network(layers=[3] + [{"units": 1, "activation": "tanh"}] * 10**5)),
    )
    units = {"units": 10**5, "activation": [{"name": "leaky_relu", "alpha": 0.5}] * 10**5}
    yield from both("a hundred thousand activations", with_header(ADAM, network(layers=[3, units])))
    yield from both("a skip of a million", with_header(ADAM, layer(1, skip=[0] * 10**6)))
    yield from both(
        "a skip that adds up", with_header(ADAM, network(layers=[HUGE] + [layer_of(HUGE, skip=[0] * 9)] * 9))
    )
    yield from full_headers()
    for n in (10**6, 2**22):
        member = b"header.npy", npy(np.zeros(n, np.uint8))
        yield f"a header of {n} zeros.npz", ".npz", archive([member, *MEMBERS[1:]])
        yield f"a header of {n} zeros.safetensors", ".safetensors", wrap(b"{" + bytes(n), b"")


def full_headers():
    """Headers that take nearly all the memory they may, and a wrong mask, which is seen last.

    What a text takes does not depend on the format: each kind is in one of them, by turns.
    """
    for turn, sign in enumerate((b'{"":1},', b'"ab",', b"999,", b"[[[]]],")):
        n = _json.SPARE // (_json.cost(sign * 1000) // 1000 - 2 * len(sign)) * 95 // 100
        full = changed(metadata={"a": "?"}).replace(b'"?"', b"[" + sign * n + b"1]")
        arrays = {**with_header(ADAM, full), "mask": ADAM["mask"] * 2}
        formats = list(both(f"as much of {sign.decode()} as there may be, and a wrong mask", arrays))
        yield formats[turn % 2]
    large = network(
        layers=[1, {"units": 2**21, "activation": "tanh"}], loss=None, scale_inputs=None, scale_targets=None
    )
    fields = {**json.loads(large), "optimizer": None, "t": 0, "scaling": []}
    numbers = np.ones(2**22, np.float32)
    lists = b"[" + b"[]," * 100_000 + b"1]"
    text = json.dumps({**fields, "metadata": {"a": "?"}}).encode().replace(b'"?"', lists)
    arrays = {**with_header({}, text), "params": numbers, "mask": numbers.copy()}
    arrays["mask"][-1] = 2
    yield from both("many lists beside many numbers, and a wrong mask", arrays, fields["network"])
