"""Models of Keras 3, both ways, with whatever backend it runs on.

What each activation is called there is in _peers.py.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cbp.errors import optional
from cbp.io._steps import Activation, Affine, Dropout, Noise, Step, Weights, assemble, steps_of
from cbp.io.keras._peers import PURPOSE, own_layer, written
from cbp.io.keras._reading import compiled_loss, steps_of_model
from cbp.network import network_of
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, DTypeLike, LossLike
    from cbp.network import Network
    from cbp.tables import Row

    Function: Any

__all__ = ["Function", "from_model", "to_model"]


def __getattr__(name: str) -> Any:
    """Return the layer class of our own, which Keras is needed for."""
    if name == "Function":
        return own_layer()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def from_model(
    model: Any,
    *,
    loss: LossLike | None = None,
    output: ActivationLike | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Make a network that predicts what a model of Keras does.

    Parameters
    ----------
    model : keras.Model
        A Sequential, or a functional model whose input passes through one layer after the other, models within models
        too: Dense, Activation, ReLU, LeakyReLU, ELU, Softmax, Dropout, GaussianNoise at the inputs, Flatten, Rescaling,
        Normalization, BatchNormalization. It is not changed. Rows of more than one dimension are passed to the network
        flattened.
    loss : str, row of `cbp.losses` or function, optional
        Default: what the model was compiled with, where cbp has it and it goes with the output; else as for `Network`.
    output : str or row of `cbp.activations`, optional
        One more activation at the end, such as "softmax" for a model that returns logits.
    dtype : "float32" or "float64", optional
        Default: float64 if some weights are, else float32.

    Returns
    -------
    Network
        Rescaling and Normalization at the beginning and at the end scale its inputs and targets. BatchNormalization is
        in the weights next to it, computed in float64 and rounded once. Penalties of the weights (L1, L2), MaxNorm and
        ``trainable`` go over too.

    Raises
    ------
    ValueError
        The model is not built, or has something that no network of cbp has: the message names the layer.
    TypeError
        It is no model.
    ImportError
        Keras is not installed.

    Examples
    --------
    >>> import os
    >>> os.environ["KERAS_BACKEND"] = "numpy"
    >>> import cbp, keras
    >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "gelu"), keras.layers.Dense(3, "softmax")]
    >>> print(cbp.io.keras.from_model(keras.Sequential(layers)))
    Network(4 > 8 gelu > 3 softmax, categorical_cross_entropy, float32): 67 parameters
    """
    keras = optional("keras", PURPOSE, "keras")
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model, not {type(model).__name__}")
    steps = steps_of_model(model, keras)
    if loss is None and output is None:
        last = steps[-1] if steps else None
        loss = compiled_loss(model, last.row if isinstance(last, Activation) else None, keras)
    return assemble(steps, "the model", loss=loss, output=output, dtype=dtype)


def to_model(net: Network, name: str | None = None) -> Any:
    """Make a Sequential model of Keras that predicts what a network does.

    Parameters
    ----------
    net : Network
        Without skip connections, activations per unit and several heads.
    name : str, optional
        Of the model.

    Returns
    -------
    keras.Sequential
        Of Dense, Dropout, GaussianNoise and, for activations with an argument, LeakyReLU and ELU, with the network's
        dtype; not compiled. Scaling of inputs and targets is a Rescaling at the beginning and at the end, in float64.
        Activations that Keras lacks are a `Function`; files with one are loaded with
        ``custom_objects={"Function": cbp.io.keras.Function}``. Penalties of the weights, ``max_norm`` and ``trainable``
        go over. A steepness is in the weights, rounded once.

    Raises
    ------
    ValueError
        A Sequential cannot express the network.
    RuntimeError
        The scaling is not learned yet.
    ImportError
        Keras is not installed.

    Notes
    -----
    But for TensorFlow, the backends of Keras compute in float32, whatever the weights are kept in.

    Examples
    --------
    >>> import os
    >>> os.environ["KERAS_BACKEND"] = "numpy"
    >>> import cbp
    >>> net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> model = cbp.io.keras.to_model(net)
    >>> [layer.activation.__name__ for layer in model.layers]
    ['tanh', 'softmax']
    """
    net = network_of(net)
    keras = optional("keras", PURPOSE, "keras")
    steps = steps_of(net, "a Sequential of Keras")
    made = [layer for pair in pairwise([*steps, None]) for layer in _layers(*pair, net.dtype.name, keras)]
    entrance = keras.Input((net.widths[0],), dtype=net.dtype.name if net.input_scaling is None else "float64")
    model = keras.Sequential([entrance, *(layer for layer, _ in made)], name=name)
    for layer, numbers in made:
        layer.set_weights(numbers)
    return model


def _layers(step: Step | None, following: Step | None, dtype: str, keras: Any) -> list[tuple[Any, list[Any]]]:
    """Return the layers that do a step, and the numbers they have; an activation comes with its weights."""
    if isinstance(step, Weights):
        row = following.row if isinstance(following, Activation) else activations["identity"]
        return _dense(step, row, dtype, keras)
    if isinstance(step, Affine):
        return [(_rescaling(step, keras), [])]
    if isinstance(step, Dropout):
        return [(keras.layers.Dropout(step.rate, dtype=dtype), [])]
    if isinstance(step, Noise):
        return [(keras.layers.GaussianNoise(step.std, dtype=dtype), [])]
    return []


def _dense(step: Weights, row: Row, dtype: str, keras: Any) -> list[tuple[Any, list[Any]]]:
    """Return a Dense and, where its activation has an argument, a layer for that."""
    function, layer, arguments = written(row)
    extras = step.extras
    options: dict[str, Any] = {"activation": function, "trainable": extras.get("trainable", True), "dtype": dtype}
    if "l1" in extras or "l2" in extras:
        # cbp halves the square
        options["kernel_regularizer"] = keras.regularizers.L1L2(extras.get("l1", 0.0), extras.get("l2", 0.0) / 2)
    if "max_norm" in extras:
        options["kernel_constraint"] = keras.constraints.MaxNorm(extras["max_norm"], axis=0)
    dense = keras.layers.Dense(step.W.shape[1], **options), [step.W, step.b]
    if not layer:
        return [dense]
    cls = own_layer() if layer == "Function" else getattr(keras.layers, layer)
    return [dense, (cls(**arguments, dtype=dtype), [])]


def _rescaling(step: Affine, keras: Any) -> Any:
    """Return the layer that scales inputs, or brings outputs into the units of the targets.

    Not a Normalization, which rounds its numbers to float32 whatever its dtype.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError("Rescaling of Keras takes a number for each column with channels_last alone")
    return keras.layers.Rescaling(step.slope, step.offset, dtype="float64")
