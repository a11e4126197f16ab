"""Some hundreds of damaged models of both formats, made from two good ones. None of them may be read.

`corpus()` yields (name, ending, bytes). Also what the fuzzer begins with: tools/fuzz_loaders.py.
"""

import json

import numpy as np
from damaged_archives import damaged_arrays, damaged_fields, damaged_zips
from damaged_bombs import bombs
from damaged_headers import damaged_headers
from damaged_tensors import damaged_metadata, damaged_tensors
from good_models import ADAM, LBFGS, NPZ, TENSORS, both, with_header
from model_bytes import npz, safetensors


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
        "with another place for the next": {"numbers": {"next": 3}, "vectors": vectors},
        "with a place beyond all": {"numbers": {"next": 1e300}, "vectors": vectors},
        "in a list": [numbers, vectors],
    }.items():
        arrays = with_header(LBFGS, {**fields, "method": method})
        yield f"method {name}.npz", ".npz", npz(arrays)
        yield f"method {name}.safetensors", ".safetensors", safetensors(arrays)


def headers():
    for name, text in damaged_headers():
        yield from both(name, with_header(ADAM, text))


def corpus():
    """Yield (name, ending, bytes) of every damaged model."""
    for source in (
        cut_and_extended,
        damaged_fields,
        damaged_zips,
        bombs,
        damaged_arrays,
        strange_numbers,
        headers,
        damaged_methods,
    ):
        yield from source()
    for source in (damaged_tensors, damaged_metadata):
        yield from ((f"{name}.safetensors", ".safetensors", data) for name, data in source())
