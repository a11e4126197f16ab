"""What PyTorch calls the activations and losses of cbp, and the modules that it lacks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cbp.errors import optional
from cbp.io._steps import Affine
from cbp.io.torch._state_dict import array

HOME = "cbp.io.torch"
"""Where the modules of our own are found."""
PURPOSE = "a module of PyTorch"


@dataclass(frozen=True)
class Peer:
    """A module of PyTorch that does what a row of `cbp.activations` does.

    Attributes
    ----------
    module : str
        Its class in torch.nn, or here: see `Function`.
    function : str
        Its name among the functions of torch and of torch.nn.functional, and the methods of tensors.
    names : dict
        What the arguments of the row are called.
    written : dict
        Arguments that are passed beside those.
    needed : dict
        Attributes, and what they must be.
    """

    module: str
    function: str
    names: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    needed: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)

    def fits(self, module: Any) -> bool:
        """Whether a module of this class is this one."""
        return all(test(getattr(module, name)) for name, test in self.needed.items())


def _is(wanted: Any) -> Callable[[Any], bool]:
    return lambda value: bool(value == wanted)


def _across(dim: Any) -> bool:
    """Whether a function of a whole row goes along the columns of a matrix."""
    return dim in (None, 1, -1)


# Softplus is a straight line from `threshold` on: at 20, PyTorch's default, it is off by 2e-9, at 50 by nothing
PEERS = {
    "identity": Peer("Identity", "clone"),
    "sigmoid": Peer("Sigmoid", "sigmoid"),
    "tanh": Peer("Tanh", "tanh"),
    "relu": Peer("ReLU", "relu"),
    "leaky_relu": Peer("LeakyReLU", "leaky_relu", {"alpha": "negative_slope"}),
    "relu6": Peer("ReLU6", "relu6"),
    "elu": Peer("ELU", "elu", {"alpha": "alpha"}),
    "selu": Peer("SELU", "selu"),
    "celu": Peer("CELU", "celu", {"alpha": "alpha"}),
    "softplus": Peer(
        "Softplus", "softplus", {}, {"threshold": 50.0}, {"beta": _is(1), "threshold": lambda value: value >= 20}
    ),
    "log_sigmoid": Peer("LogSigmoid", "logsigmoid"),
    "softsign": Peer("Softsign", "softsign"),
    "hard_sigmoid": Peer("Hardsigmoid", "hardsigmoid"),
    "hard_tanh": Peer("Hardtanh", "hardtanh", {}, {}, {"min_val": _is(-1), "max_val": _is(1)}),
    "silu": Peer("SiLU", "silu"),
    "mish": Peer("Mish", "mish"),
    "gelu": Peer("GELU", "gelu", {}, {}, {"approximate": _is("none")}),
    "gelu_tanh": Peer("GELU", "gelu", {}, {"approximate": "tanh"}, {"approximate": _is("tanh")}),
    "exp": Peer("Function", "exp", {}, {"name": "exp"}, {"name": _is("exp")}),
    "gaussian": Peer("Function", "", {}, {"name": "gaussian"}, {"name": _is("gaussian")}),
    "sin": Peer("Function", "sin", {}, {"name": "sin"}, {"name": _is("sin")}),
    "softmax": Peer("Softmax", "softmax", {}, {"dim": -1}, {"dim": _across}),
    "log_softmax": Peer("LogSoftmax", "log_softmax", {}, {"dim": -1}, {"dim": _across}),
}
OTHERWISE = {"Hardtanh": ("relu6", {"min_val": 0, "max_val": 6}), "Threshold": ("relu", {"threshold": 0, "value": 0})}
"""Modules that are another row where their attributes are these."""
ALIASES = {"log_sigmoid": "logsigmoid", "special_expit": "sigmoid", "expit": "sigmoid", "hardtanh_": "hardtanh"}
"""Other names of functions."""
ADVICE = {
    "LayerNorm": "it scales each row by its own mean and deviation, which no layer of cbp does",
    "RMSNorm": "it scales each row by its own length, which no layer of cbp does",
    "GroupNorm": "it scales each row by its own mean and deviation, which no layer of cbp does",
    "PReLU": "put a LeakyReLU with the slope that it has learned in its place",
    "RReLU": "put a LeakyReLU with the mean of its slopes in its place",
    "AlphaDropout": "put Dropout in its place, or Identity where only predictions matter",
}

LOSSES = {
    "CrossEntropyLoss": ("categorical_cross_entropy", "softmax", {"label_smoothing": "label_smoothing"}),
    "NLLLoss": ("negative_log_likelihood", None, {}),
    "BCEWithLogitsLoss": ("binary_cross_entropy", "sigmoid", {}),
    "BCELoss": ("binary_cross_entropy", None, {}),
    "MSELoss": ("mean_squared_error", None, {}),
    "L1Loss": ("mean_absolute_error", None, {}),
    "HuberLoss": ("huber", None, {"delta": "delta"}),
    "PoissonNLLLoss": ("log_poisson", None, {}),
}
"""Losses of PyTorch: the row of `cbp.losses`, the activation that they contain, and what its argument is called."""


# ---- what torch.nn lacks ----


@functools.cache
def own_modules() -> dict[str, Any]:
    """Make the modules of our own, when they are asked for first."""
    torch = optional("torch", PURPOSE, "torch")
    made = {cls.__name__: cls for cls in (_scaling_class(torch), _function_class(torch))}
    for name, cls in made.items():
        cls.__module__, cls.__qualname__ = HOME, name  # where pickle looks for them
    return made


def _scaling_class(torch: Any) -> Any:
    class Scaling(torch.nn.Module):  # type: ignore[misc]
        """(x - center) / scale, or with `inverse` x * scale + center, column by column, in the dtype of the buffers.

        Parameters
        ----------
        center, scale : array_like, shape (n,)
        inverse : bool, default False

        Examples
        --------
        >>> import torch, cbp
        >>> cbp.io.torch.Scaling([1.0, 2.0], [2.0, 4.0])(torch.tensor([[3.0, 4.0]]))
        tensor([[1.0000, 0.5000]])
        """

        def __init__(self, center: Any, scale: Any, inverse: bool = False) -> None:
            super().__init__()
            self.register_buffer("center", torch.tensor(center, dtype=torch.float64))
            self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
            self.inverse = inverse

        def forward(self, x: Any) -> Any:
            """Return x scaled, in its own dtype."""
            if self.inverse:
                return (x * self.scale + self.center).to(x.dtype)
            return ((x - self.center) / self.scale).to(x.dtype)

        def extra_repr(self) -> str:
            """Return what is printed of it."""
            return f"{len(self.center)}{', inverse=True' if self.inverse else ''}"

        def step(self, where: str) -> Affine:
            """Return what it does, as a step."""
            center, scale = (array(x, where).astype(np.float64) for x in (self.center, self.scale))
            return Affine(where, factor=scale, shift=center) if self.inverse else Affine(where, center, scale)

    return Scaling


def _function_class(torch: Any) -> Any:
    functions = {"exp": torch.exp, "sin": torch.sin, "gaussian": lambda x: torch.exp(-x * x)}

    class Function(torch.nn.Module):  # type: ignore[misc]
        """An activation that torch.nn has no module for: exp, sin, gaussian, exp(-x²).

        Parameters
        ----------
        name : {"exp", "sin", "gaussian"}
            Its row in `cbp.activations`.

        Examples
        --------
        >>> import torch, cbp
        >>> cbp.io.torch.Function("exp")(torch.zeros(2))
        tensor([1., 1.])
        """

        def __init__(self, name: str) -> None:
            super().__init__()
            if name not in functions:
                raise ValueError(f"name must be one of {', '.join(functions)}, not {name!r}")
            self.name = name

        def forward(self, x: Any) -> Any:
            """Return the function of every element."""
            return functions[self.name](x)

        def extra_repr(self) -> str:
            """Return what is printed of it."""
            return repr(self.name)

    return Function
