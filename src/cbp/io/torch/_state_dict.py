"""State dicts of PyTorch, read with NumPy alone: names and arrays, which tell no activation and little of the order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.io._steps import Activation, Affine, Step, Weights, assemble
from cbp.tables import activations

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, DTypeLike, LossLike
    from cbp.network import Network

Parts = dict[str, "Array"]
"""The arrays of one module by their names."""

REFUSED = {
    "running_mean": "batch normalisation: load it into its module and use from_module, which puts it into the weights",
    "weight_g": "weight normalisation: load it into its module and use from_module",
    "in_proj_weight": "attention, which no network of cbp has",
    "weight_ih_l0": "a recurrent layer, which no network of cbp has",
}


def from_state_dict(
    state: Mapping[str, Any],
    *,
    activation: ActivationLike | Sequence[ActivationLike] | None = None,
    output: ActivationLike = "identity",
    loss: LossLike | None = None,
    order: Sequence[str] | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Make a network of the state dict of a module of Linear layers; PyTorch is not needed.

    Parameters
    ----------
    state : mapping of str to array or tensor
        Names such as "0.weight", (n_out, n_in), and "0.bias", (n_out,), or "encoder.fc1.weight"; a bias may be missing.
        As ``module.state_dict()`` returns it, or as ``safetensors.numpy.load_file`` reads it.
    activation : str, row of `cbp.activations`, or a sequence of them, optional
        Of the hidden layers, which a state dict does not tell: one for all or one for each. Needed where there are any.
    output : str or row of `cbp.activations`, default "identity"
        Of the output; a module trained with CrossEntropyLoss wants "softmax", with BCEWithLogitsLoss "sigmoid".
    loss : optional
        As for `Network`.
    order : sequence of str, optional
        The names of the layers without ".weight", from the input to the output. Default: by the numbers in their names,
        or as their shapes fit, where both leave no doubt.
    dtype : "float32" or "float64", optional
        Default: float64 if some weights are, else float32.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        There is something else than Linear layers, their shapes do not fit, or their order is in doubt.
    TypeError
        A value is no array or tensor.

    Examples
    --------
    >>> import cbp, numpy as np
    >>> state = {"fc1.weight": np.ones((8, 4)), "fc1.bias": np.zeros(8), "fc2.weight": np.ones((3, 8))}
    >>> print(cbp.io.torch.from_state_dict(state, activation="relu", output="softmax"))
    Network(4 > 8 relu > 3 softmax, categorical_cross_entropy, float64): 67 parameters
    """
    layers = _modules(state)
    names = _ordered(layers, order)
    steps = [_step(name, layers[name], number == 0) for number, name in enumerate(names)]
    hidden = _hidden(activation, sum(isinstance(step, Weights) for step in steps) - 1)
    together: list[Step] = []
    for step in steps:
        if isinstance(step, Weights) and any(isinstance(one, Weights) for one in together):
            together.append(hidden.pop(0))
        together.append(step)
    if (last := activations.find(output)).name != "identity":
        at = next(k for k in range(len(together), 0, -1) if isinstance(together[k - 1], Weights))
        together.insert(at, Activation("output", last))
    return assemble(together, "the state dict", loss=loss, dtype=dtype)


def array(value: Any, name: str) -> Array:
    """Return a tensor or an array as an array of float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.element_size() < 4 else value
        value = value.numpy()
    if isinstance(value, Mapping) or not hasattr(value, "dtype"):
        raise TypeError(f"{name} must be an array or a tensor, not a {type(value).__name__}")
    found = np.asarray(value)
    if found.dtype.kind != "f":
        raise ValueError(f"{name} holds {found.dtype}, not floating-point numbers")
    return found.astype(np.result_type(np.float32, found.dtype), copy=False)


def _modules(state: Mapping[str, Any]) -> dict[str, Parts]:
    """Return the arrays of each module by the module's name, in the order of the state dict."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be a mapping of names to arrays, not a {type(state).__name__}")
    modules: dict[str, Parts] = {}
    for key, value in state.items():
        name, _, part = key.rpartition(".")
        if part in REFUSED:
            raise ValueError(f"{key} belongs to {REFUSED[part]}")
        modules.setdefault(name, {})[part] = array(value, key)
    if not modules:
        raise ValueError("the state dict is empty")
    for name, parts in modules.items():
        _check(name, parts)
    return modules


def _check(name: str, parts: Parts) -> None:
    """Refuse what is neither a Linear layer nor a Scaling."""
    shapes = {part: found.shape for part, found in parts.items()}
    if set(parts) == {"center", "scale"}:
        return
    if not {"weight"} <= set(parts) <= {"weight", "bias"} or parts["weight"].ndim != 2:
        raise ValueError(f"{name or 'the module'} is no Linear layer: it has {shapes}")
    if "bias" in parts and shapes["bias"] != shapes["weight"][:1]:
        raise ValueError(
            f"{name or 'the module'} has a bias of shape {shapes['bias']} beside weights {shapes['weight']}"
        )


def _hidden(activation: Any, n: int) -> list[Activation]:
    """Return the activations of n hidden layers."""
    if activation is None:
        if n > 0:
            raise ValueError(f"a state dict does not tell activations: pass activation= for its {n} hidden layers")
        return []
    several = isinstance(activation, Sequence) and not isinstance(activation, str)
    wanted = list(activation) if several else [activation] * n
    if len(wanted) != n:
        raise ValueError(f"there are {n} hidden layers, but {len(wanted)} activations were given")
    return [Activation(f"activation {k}", activations.find(one)) for k, one in enumerate(wanted, 1)]


def _step(name: str, parts: Parts, first: bool) -> Step:
    if "weight" not in parts:
        center, scale = parts["center"], parts["scale"]
        return Affine(name, center=center, scale=scale) if first else Affine(name, factor=scale, shift=center)
    W = parts["weight"].T
    return Weights(name, W, parts.get("bias", np.zeros(W.shape[1], W.dtype)))


# ---- order ----


def _ordered(layers: Mapping[str, Parts], order: Sequence[str] | None) -> list[str]:
    """Return the names of the layers from the input to the output."""
    if order is not None:
        if sorted(order) != sorted(layers):
            raise ValueError(f"order must name each of {', '.join(layers)} once, not {', '.join(order)}")
        return list(order)
    by_number = sorted(layers, key=_numbers)
    if len({re.sub(r"\d+", "", name) for name in layers}) == 1:
        return by_number
    fitting = {names for names in (tuple(layers), tuple(by_number)) if _fit(layers, names)}
    found = list(fitting.pop()) if len(fitting) == 1 else _by_shape(layers)
    if found is None:
        raise ValueError(f"the order of the layers is in doubt: pass order=, with all of {', '.join(layers)}")
    return found


def _numbers(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by: 10 comes after 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _fit(layers: Mapping[str, Parts], names: Iterable[str]) -> bool:
    """Whether what one layer returns is what the next one takes."""
    shapes = [layers[name]["weight"].shape for name in names if "weight" in layers[name]]
    return all(above[1] == below[0] for below, above in pairwise(shapes))


def _by_shape(layers: Mapping[str, Parts]) -> list[str] | None:
    """Return the one order in which the shapes fit, None where there may be several or none."""
    takes = {parts["weight"].shape[1]: name for name, parts in layers.items() if "weight" in parts}
    returned = {parts["weight"].shape[0] for parts in layers.values() if "weight" in parts}
    starts = [width for width in takes if width not in returned]
    if len(takes) < len(layers) or len(starts) != 1:
        return None
    names: list[str] = []
    width = starts[0]
    while width in takes and len(names) < len(layers):
        names.append(takes[width])
        width = layers[names[-1]]["weight"].shape[0]
    return names if len(set(names)) == len(layers) else None
