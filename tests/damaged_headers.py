"""Damaged headers: JSON that is none, or describes no network, or one that the arrays are not of."""

import functools
import json

from good_models import ADAM, FIELDS, HUGE, changed, layer, layer_of, network

WRONG = [None, True, -1, 0.5, "x", [], [1], {}, {"a": 1}, 10**400, "\ud800\n\x1b[2J"]
# What may be so, by the place in the header
RIGHT = {
    "cbp": WRONG,
    "epoch": [],
    "t": [],
    "mask": [True],
    "metadata": [{}, {"a": 1}],
    "optimizer": [],
    "version": [],
    "network": [],
    "scaling": [],
    "unfinished": [None],
    "method": [None],
    "units": [],
    "activation": [],
    "init": [None],
    "steepness": [True, 0.5],
    "skip": [[]],
    "dropout": [0.5],
    "l1": [True, 0.5],
    "l2": [True, 0.5],
    "max_norm": [None, True, 0.5],
    "trainable": [True],
    "layers": [],
    "loss": [None],
    "dtype": [],
    "reduction": [],
    "seed": [],
    "heads": [None],
    "missing_targets": WRONG,
    "scale_inputs": [],
    "scale_targets": [None],
    "input_noise": [True, 0.5],
    "input_dropout": [0.5],
}


TOP = ["epoch", "t", "mask", "metadata", "optimizer", "version", "network", "scaling", "unfinished", "method"]
NETWORK = ["layers", "loss", "dtype", "reduction", "seed", "heads", "scale_inputs", "scale_targets", "input_noise"]
LAYER = ["units", "activation", "init", "steepness", "skip", "dropout", "l1", "trainable"]


def is_right(field, value):
    return any(type(value) is type(each) and value == each for each in RIGHT[field])


def damaged_headers():
    text = ADAM["header"].tobytes()
    for field in FIELDS:
        left = {name: value for name, value in FIELDS.items() if name != field}
        yield f"no {field}", json.dumps(left).encode()
        twice = text[:-1] + f', "{field}": {json.dumps(FIELDS[field])}}}'.encode()
        yield f"{field} twice", twice
    places = [(field, changed) for field in TOP] + [(field, network) for field in NETWORK]
    for field, make in places + [(field, functools.partial(layer, 1)) for field in LAYER]:
        for value in WRONG:
            if not is_right(field, value):
                yield f"{field} is {str(value)[:9]!r} ({type(value).__name__})", make(**{field: value})
    yield from strange_json(text)
    yield from strange_networks()
    yield from strange_names()


def strange_json(text):
    for name, found in {
        "nothing": b"",
        "blank": b" ",
        "null": b"null",
        "a number": b"1",
        "a list": b"[1, 2]",
        "a text": b'"cbp"',
        "zeros": bytes(40),
        "cut off": text[:-1],
        "something after it": text + b"1",
        "two": text + text,
        "a comma too many": text[:-1] + b",}",
        "a byte order mark": b"\xef\xbb\xbf" + text,
        "UTF-16": text.decode().encode("utf-16"),
        "UTF-32": text.decode().encode("utf-32"),
        "a letter beyond ASCII": text.replace(b"\\u00e7", "ç".encode()),
        "broken UTF-8": text.replace(b"\\u00e7", b"\xff"),
        "a comment": b"/* */" + text,
        "single quotes": text.replace(b'"', b"'"),
        "a control character": text.replace(b"features", b"fea\ntures"),
    }.items():
        yield f"header: {name}", found
    for value in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1" * 5000,
        b"01",
        b"0x1",
        b"1.",
        b"+1",
        b".5",
    ):
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


def strange_names():
    for dtype in (
        "float16",
        "f4",
        "<f4",
        "float32,float32",
        "(999999999,)f4",
        "object",
        "O",
        ">f4",
        "f4 " * 30,
        "float",
    ):
        yield f"dtype {dtype[:20]}", network(dtype=dtype)
    for name in ("Adamant", "Optimizer", "__class__", "", "SGD", "LBFGS"):
        yield f"optimiser {name!r}", changed(optimizer={"name": name})
    for name, value in {
        "beta1": 1.0,
        "learning_rate": -1,
        "eps": 10**400,
        "clip_norm": 0,
        "name": [],
        "more": 1,
    }.items():
        yield f"optimiser with {name}", changed(optimizer={**FIELDS["optimizer"], name: value})
    for name in (
        "softmax",
        "tahn",
        "",
        "t" * 5000,
        {"name": "tanh", "a": 1},
        {"name": "leaky_relu", "alpha": "x"},
        ["tanh"],
    ):
        yield f"activation {str(name)[:20]}", layer(1, activation=name)
    for scaling in (
        ["input_scaling"] * 2 + ["x"],
        ["target_scaling"],
        ["input_scaling", "target_scaling"],
        "input_scaling",
    ):
        yield f"scaling {scaling}", changed(scaling=scaling)
    for value in (
        [1, 2, 3, 4],
        [1, 2, 3, 4, 5, 6],
        [-1, 0, 0, 0, 0],
        [2**63, 0, 0, 0, 0],
        [3, 0.5, 1, 6, 2],
        [1, 0.5, 1, 6, 0],
        [1, "0", 0, 0, 0],
        [1, 0, -1, 0, 0],
    ):
        yield f"unfinished {value}", changed(unfinished=value)
    for name in ("network", "optimizer"):
        yield f"an unknown key in {name}", changed(**{name: {**FIELDS[name], "depth\n": 3}})
    yield "an unknown field", changed(more=1)
