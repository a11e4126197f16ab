"""From a model of Keras to steps: its layers, one after the other; used by `from_model`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.io._steps import Activation, Affine, Dropout, Noise, Step, Weights
from cbp.io.keras._peers import ADVICE, ARGUMENTS, FUNCTIONS, LAYERS, LOSSES, own_layer
from cbp.tables import activations, losses

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.tables import Row

Shape = tuple[int, ...]
READABLE = {
    *("InputLayer", "Identity", "Dense", "Activation", "ReLU", "Softmax", "Dropout", "GaussianNoise"),
    *("Flatten", "Reshape", "Rescaling", "Normalization", "BatchNormalization"),
    *(layer for layer, _ in LAYERS.values()),
}


def steps_of_model(model: Any, keras: Any) -> list[Step]:
    """Return the steps that a model takes when it predicts."""
    layers = list(_layers(model, keras))
    shape: Shape = tuple(model.input_shape[1:])
    steps: list[Step] = []
    for layer in layers:
        found, shape = _Reader(layer, shape, keras).read()
        steps += found
    return steps


def compiled_loss(model: Any, output: Row | None, keras: Any) -> Row | None:
    """Return the loss that a model was compiled with, where cbp has it and it goes with the output."""
    given = getattr(model, "loss", None)
    if not isinstance(given, str) and not callable(given):
        return None
    found = keras.losses.get(given)
    name = getattr(found, "name", getattr(found, "__name__", ""))
    if name not in LOSSES:
        return None
    row, names = LOSSES[name]
    config = found.get_config() if hasattr(found, "get_config") else {}
    config |= getattr(found, "_fn_kwargs", {})  # where Huber keeps its delta, and nowhere else
    loss = losses[row](**{own: config[theirs] for own, theirs in names.items() if theirs in config})
    fits = output is not None and (not loss.head or loss.partner == output.name)
    return loss if fits else None


# ---- following a model ----


def _layers(model: Any, keras: Any) -> Iterator[Any]:
    """Yield the layers that the input passes through, those of models within the model among them."""
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(f"the model {model.name!r} is not built yet: call it once, or give it an Input")
        inner = list(model.layers)
    elif hasattr(model, "inputs") and hasattr(model, "outputs") and model.outputs is not None:
        inner = _backwards(model)
    else:
        raise ValueError(
            f"what {type(model).__name__}.call does cannot be followed: make a Sequential or functional model of it"
        )
    for layer in inner:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, keras)
        else:
            yield layer


def _backwards(model: Any) -> list[Any]:
    """Return the layers of a functional model, found from its output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"the model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a network of "
            "cbp has one of each"
        )
    found: list[Any] = []
    tensor = model.outputs[0]
    while tensor is not model.inputs[0]:
        layer, call, _ = tensor._keras_history
        inputs = layer._inbound_nodes[call].input_tensors
        if len(inputs) != 1:
            raise _refusal(layer)
        found.append(layer)
        tensor = inputs[0]
    return found[::-1]


def _refusal(layer: Any) -> ValueError:
    """Return the error for what has no counterpart."""
    name = type(layer).__name__
    advice = ADVICE.get(name, "it reads Dense, BatchNormalization, Dropout, Flatten, scaling and activations")
    return ValueError(f"{name} ({layer.name}) has no counterpart in cbp; {advice}")


def array(value: Any, keras: Any) -> Array:
    """Return a variable as an array of float32 or float64."""
    found = np.asarray(keras.ops.convert_to_numpy(value.value if isinstance(value, keras.Variable) else value))
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float32)


# ---- reading ----


class _Reader:
    """Reads one layer that gets rows of this shape."""

    def __init__(self, layer: Any, shape: Shape, keras: Any) -> None:
        self.layer, self.shape, self.keras = layer, shape, keras
        self.name = self._known()
        self.where = f"{type(layer).__name__} ({getattr(layer, 'name', layer)})"

    def _known(self) -> str:
        """Return the class of Keras that does what the layer does: its own, or what it inherits from."""
        cls = type(self.layer)
        if isinstance(self.layer, own_layer()):
            return "Function"
        for base in cls.__mro__:
            if base.__name__ in READABLE and getattr(self.keras.layers, base.__name__) is base:
                return str(base.__name__) if cls.call is base.call else ""
        return ""

    def read(self) -> tuple[list[Step], Shape]:
        """Return the steps that the layer is, and the shape of the rows it returns."""
        if self.name in ("InputLayer", "Identity"):
            return [], self.shape
        if self.name in ("Flatten", "Reshape"):
            return [], self._flattened()
        if self.name in ("Rescaling", "Normalization"):
            return [self._rescaling() if self.name == "Rescaling" else self._normalization()], self.shape
        if self.name == "Dropout":
            return [Dropout(self.where, float(self.layer.rate))], self.shape
        if self.name == "GaussianNoise":
            return [Noise(self.where, float(self.layer.stddev))], self.shape
        if len(self.shape) != 1 and self.name:
            raise ValueError(f"{self.where} gets rows of shape {self.shape}: put Flatten before it")
        if self.name == "Dense":
            return self._dense(), (self.layer.units,)
        if self.name == "BatchNormalization":
            return [self._batch_normalization()], self.shape
        return [Activation(self.where, self._row())], self.shape

    def _flattened(self) -> Shape:
        """Return the shape of rows whose numbers stand side by side."""
        flat = (math.prod(self.shape),)
        mixed = self.name == "Flatten" and len(self.shape) > 1 and self.layer.data_format == "channels_first"
        if mixed or tuple(self.layer.compute_output_shape((None, *self.shape))) != (None, *flat):
            raise ValueError(f"{self.where} does not put all numbers of a row side by side in their order")
        return flat

    # ---- scaling ----

    def _rescaling(self) -> Affine:
        if np.ndim(self.layer.scale) and self.keras.config.image_data_format() != "channels_last":
            raise ValueError(f"{self.where} has a number for each channel; cbp reads that with channels_last alone")
        return Affine(self.where, factor=self._columns(self.layer.scale), shift=self._columns(self.layer.offset))

    def _normalization(self) -> Affine:
        layer = self.layer
        if layer.mean is None:
            raise ValueError(f"{self.where} has learned no mean yet: call adapt")
        center = self._columns(array(layer.mean, self.keras)[0])
        variance = self._columns(array(layer.variance, self.keras)[0])
        scale = np.maximum(np.sqrt(variance), self.keras.config.epsilon())
        if layer.invert:
            return Affine(self.where, factor=scale, shift=center)
        return Affine(self.where, center=center, scale=scale)

    def _columns(self, values: Any) -> Array:
        """Return numbers for a row of whatever shape as one for each column."""
        return np.broadcast_to(np.asarray(values, np.float64), self.shape).ravel()

    def _batch_normalization(self) -> Affine:
        """Return what batch normalisation does when it predicts."""
        layer = self.layer
        mean, variance = (array(x, self.keras).astype(np.float64) for x in (layer.moving_mean, layer.moving_variance))
        factor = array(layer.gamma, self.keras).astype(np.float64) if layer.scale else 1.0
        shift = array(layer.beta, self.keras).astype(np.float64) if layer.center else 0.0
        return Affine(self.where, mean, np.sqrt(variance + layer.epsilon), factor, shift, scaling=False)

    # ---- weights ----

    def _dense(self) -> list[Step]:
        layer = self.layer
        if getattr(layer, "quantization_mode", None) is not None:
            raise ValueError(f"{self.where} has quantised weights; cbp keeps float32 or float64")
        W = array(layer.kernel, self.keras)
        b = array(layer.bias, self.keras) if layer.use_bias else np.zeros(W.shape[1], W.dtype)
        return [Weights(self.where, W, b, self._extras()), *self._activation()]

    def _extras(self) -> dict[str, Any]:
        """Return what only training sees, as arguments of `cbp.Dense`."""
        layer, extras = self.layer, {}
        for name, factor in (("l1", 1), ("l2", 2)):
            # cbp halves the square
            extras[name] = factor * float(getattr(layer.kernel_regularizer, name, 0.0))
        if isinstance(layer.kernel_constraint, self.keras.constraints.MaxNorm) and layer.kernel_constraint.axis == 0:
            extras["max_norm"] = float(layer.kernel_constraint.max_value)
        return {name: value for name, value in extras.items() if value} | (
            {} if layer.trainable else {"trainable": False}
        )

    # ---- activations ----

    def _activation(self) -> list[Step]:
        """Return the activation that a layer has for an argument, as steps."""
        function = self.layer.activation
        if isinstance(function, self.keras.layers.Layer):
            return _Reader(function, (self.layer.units,), self.keras).read()[0]
        return [Activation(self.where, self._of_function(function))]

    def _of_function(self, function: Any) -> Row:
        name = getattr(function, "__name__", None)
        for row, theirs in FUNCTIONS.items():
            if theirs == name and theirs is not None and getattr(self.keras.activations, theirs, None) is function:
                return activations[row](ARGUMENTS[row]) if row in ARGUMENTS else activations[row]
        raise ValueError(f"{self.where} has the activation {name or function!r}, for which cbp.activations has no row")

    def _row(self) -> Row:
        """Return the activation that a layer is."""
        layer = self.layer
        if self.name == "Activation":
            return self._of_function(layer.activation)
        if self.name == "Function":
            return activations[layer.function](*([] if layer.alpha is None else [layer.alpha]))
        for row, (name, argument) in LAYERS.items():
            if name == self.name:
                return activations[row](float(getattr(layer, argument)))
        if self.name == "Softmax" and layer.axis in (-1, 1):
            return activations["softmax"]
        if self.name == "ReLU" and layer.threshold == 0:
            if layer.max_value is None:
                slope = float(layer.negative_slope)
                return activations["leaky_relu"](slope) if slope else activations["relu"]
            if layer.max_value == 6 and layer.negative_slope == 0:
                return activations["relu6"]
        if self.name:
            raise ValueError(f"{self.where}, with its arguments, is none of cbp.activations")
        raise _refusal(layer)
