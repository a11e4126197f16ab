"""Two good models as arrays and as files, and how to make others of their parts. Used by the damaged_*.py."""

import copy
import functools
import json

import numpy as np
from model_bytes import entries_of, npy, npz, safetensors, tensors, wrap

import cbp

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
