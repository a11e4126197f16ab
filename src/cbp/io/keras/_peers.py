"""What Keras calls the activations and losses of cbp, and the layer that it lacks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cbp.errors import optional

if TYPE_CHECKING:
    from cbp.tables import Row

HOME = "cbp.io.keras"
"""Where the layer of our own is found."""
PURPOSE = "a model of Keras"

FUNCTIONS = {
    "identity": "linear",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "relu6": "relu6",
    "elu": "elu",
    "selu": "selu",
    "celu": "celu",
    "softplus": "softplus",
    "log_sigmoid": "log_sigmoid",
    "softsign": "softsign",
    "hard_sigmoid": "hard_sigmoid",
    "hard_tanh": "hard_tanh",
    "silu": "silu",
    "mish": "mish",
    "gelu": "gelu",
    "gelu_tanh": None,
    "exp": "exponential",
    "gaussian": None,
    "sin": None,
    "softmax": "softmax",
    "log_softmax": "log_softmax",
}
"""Rows of `cbp.activations`, and the functions of keras.activations; None where there is none: see `Function`."""
ARGUMENTS = {"leaky_relu": 0.2, "elu": 1.0, "celu": 1.0}
"""The argument of these functions where a layer has them for its activation."""
LAYERS = {"leaky_relu": ("LeakyReLU", "negative_slope"), "elu": ("ELU", "alpha")}
"""Layers that are activations with an argument."""

ADVICE = {
    "LayerNormalization": "it scales each row by its own mean and deviation, which no layer of cbp does",
    "RMSNormalization": "it scales each row by its own length, which no layer of cbp does",
    "UnitNormalization": "it scales each row by its own length, which no layer of cbp does",
    "GroupNormalization": "it scales each row by its own mean and deviation, which no layer of cbp does",
    "PReLU": "put a LeakyReLU with the slope that it has learned in its place",
    "AlphaDropout": "put Dropout in its place, or leave it out where only predictions matter",
    "GaussianDropout": "put Dropout in its place, or leave it out where only predictions matter",
    "ActivityRegularization": "leave it out: predictions do not know it",
    "Lambda": "what a function of your own does cannot be read",
    "Concatenate": "make the network with cbp.Dense(skip=...) and copy the weights",
    "Add": "skip connections of cbp stand side by side, they are not added",
}

LOSSES: dict[str, tuple[str, dict[str, str]]] = {
    "categorical_crossentropy": ("categorical_cross_entropy", {"label_smoothing": "label_smoothing"}),
    "sparse_categorical_crossentropy": ("categorical_cross_entropy", {}),
    "binary_crossentropy": ("binary_cross_entropy", {}),
    "binary_focal_crossentropy": ("focal", {"gamma": "gamma"}),
    "mean_squared_error": ("mean_squared_error", {}),
    "mean_absolute_error": ("mean_absolute_error", {}),
    "huber": ("huber", {"delta": "delta"}),
    "huber_loss": ("huber", {"delta": "delta"}),
    "log_cosh": ("log_cosh", {}),
    "poisson": ("poisson", {}),
}
"""Losses of Keras: the row of `cbp.losses`, and what its argument is called."""


def written(row: Row) -> tuple[str, str, dict[str, Any]]:
    """Return how an activation is written: the name of a function, or else of a layer and its arguments."""
    function = FUNCTIONS[row.name]
    argument = next(iter(row.args.values()), None)
    if function is not None and argument == ARGUMENTS.get(row.name):
        return function, "", {}
    if row.name in LAYERS:
        layer, name = LAYERS[row.name]
        return "linear", layer, {name: argument}
    return "linear", "Function", {"function": row.name, **row.args}


@functools.cache
def own_layer() -> Any:
    """Make the layer of our own, when it is asked for first, and register it with Keras."""
    keras = optional("keras", PURPOSE, "keras")
    act, ops = keras.activations, keras.ops
    functions = {
        "celu": act.celu,
        "gelu_tanh": lambda x: act.gelu(x, approximate=True),
        "gaussian": lambda x: ops.exp(-x * x),
        "sin": ops.sin,
    }

    class Function(keras.layers.Layer):  # type: ignore[misc, name-defined]
        """An activation that Keras has no layer for: gelu_tanh, gaussian, exp(-x²), sin, and celu with its argument.

        Parameters
        ----------
        function : {"gelu_tanh", "gaussian", "sin", "celu"}
            Its row in `cbp.activations`.
        alpha : float, optional
            The argument of celu.

        Examples
        --------
        >>> import os
        >>> os.environ["KERAS_BACKEND"] = "numpy"
        >>> import cbp, numpy as np
        >>> cbp.io.keras.Function("gaussian")(np.zeros((1, 2)))
        array([[1., 1.]], dtype=float32)
        """

        def __init__(self, function: str, alpha: float | None = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            if function not in functions:
                raise ValueError(f"function must be one of {', '.join(functions)}, not {function!r}")
            self.function, self.alpha = function, alpha
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            """Return the function of every element."""
            return functions[self.function](x, *([] if self.alpha is None else [self.alpha]))

        def compute_output_shape(self, input_shape: Any) -> Any:
            """Return the shape of the outputs, that of the inputs."""
            return input_shape

        def get_config(self) -> dict[str, Any]:
            """Return what makes the same layer."""
            return {**super().get_config(), "function": self.function, "alpha": self.alpha}

    Function.__module__, Function.__qualname__ = HOME, "Function"
    return keras.saving.register_keras_serializable("cbp")(Function)
