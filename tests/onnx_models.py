"""Running ONNX models two ways, and networks of every kind to be exported. Used by the tests of cbp.io.onnx."""

import numpy as np
import onnx
import onnxruntime
from helpers import activation, unit_activations
from onnx.reference import ReferenceEvaluator
from reference import rows

import cbp

onnxruntime.set_default_logger_severity(4)
ROW_WISE = [name for name, row in rows("activations").items() if row["row_wise"]]
ACTIVATIONS = [*unit_activations(), *((name, 0.0) for name in ROW_WISE)]
TOLERANCE = {"float32": 1e-6, "float64": 2e-15}


def by_reference(model, **inputs):
    """What onnx's own evaluator, in NumPy, says: the outputs in order."""
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, inputs)


def by_onnxruntime(model, **inputs):
    """What ONNX Runtime says on the processor."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


RUNNERS = [by_reference, by_onnxruntime]


def difference(got, want):
    """The largest difference, relative to what is wanted where that is more than 1."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    return float((np.abs(got - want) / np.maximum(1, np.abs(want))).max())


def checked(model):
    """The model, if onnx finds nothing wrong with it, types and shapes included."""
    onnx.checker.check_model(model, full_check=True)
    return model


def single(name, arg, dtype, steepness=1.0):
    """A network whose output is an activation of its three inputs."""
    loss = None if name in ROW_WISE else "half_squared_error"
    net = cbp.Network([3, cbp.Dense(3, activation(name, arg), steepness=steepness)], loss=loss, dtype=dtype, seed=0)
    net.params[:] = 0
    net.layers[0].W[:] = np.eye(3)
    return net


def points(name, dtype):
    """Net inputs, (m, 3): dense near 0, and some far out where the activation has a limit there."""
    far = [] if name in ("exp", "sin", *ROW_WISE) else [-1e4, -100, 100, 1e4]
    z = np.concatenate([np.linspace(-30, 30, 1201), far])
    return np.stack([z, z / 7, np.roll(z, 1)], axis=1).astype(dtype)


def data(n_in, n_out, m=60):
    """Rows that want to be scaled."""
    rng = np.random.default_rng(6)
    return rng.normal(30, 5, (m, n_in)) * np.arange(1, n_in + 1), rng.normal(-200, 30, (m, n_out))


def trained(net, X, y):
    """The network after two epochs."""
    net.fit(X, y, epochs=2)
    return net


def regressor(dtype):
    """Scaled, with a skip connection, a steepness and several activations in a layer."""
    X, y = data(4, 2)
    layers = [4, cbp.Dense(6, "tanh", steepness=1.5), cbp.Dense(5, ["relu", "relu", "silu", "sin", "sin"], skip=[0])]
    scaling = {"scale_inputs": "standard", "scale_targets": ("minmax", -1, 1)}
    return trained(cbp.Network([*layers, cbp.Dense(2, "identity", skip=[0, 1])], dtype=dtype, seed=2, **scaling), X, y)


def heads(dtype):
    """Three heads, two of them with a function of the row."""
    parts = [cbp.Head(3, "softmax"), cbp.Head(2, ["identity", "tanh"], "huber", weight=0.5), cbp.Head(2, "log_softmax")]
    return cbp.Network([4, cbp.Dense(8, "gelu", dropout=0.1, l2=0.01), 7], heads=parts, dtype=dtype, seed=3)


def digits(dtype):
    """A classifier of handwritten digits, and its images."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    net = cbp.Network([64, 32, 10], activation="elu", output="softmax", scale_inputs="minmax", dtype=dtype, seed=1)
    net.metadata["classes"] = [f"digit {i}" for i in range(10)]
    return trained(net, X, y), X


def without_properties(model):
    """A copy that has lost its metadata: only the graph can say what the network is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    return copy


def in_words(net):
    """What of a configuration a graph can express."""
    return [(layer.units, layer.rows, layer.steepness, layer.skip) for layer in net._spec.layers]
