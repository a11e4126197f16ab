"""Networks of PyTorch, both ways: modules, and state dicts, for which NumPy is enough.

What each activation is called there is in _peers.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional
from cbp.io._steps import Activation, Affine, Dropout, Noise, Step, Weights, assemble, steps_of
from cbp.io.torch._peers import PEERS, PURPOSE, own_modules
from cbp.io.torch._reading import loss_of, steps_of_module
from cbp.io.torch._state_dict import from_state_dict
from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, DTypeLike, LossLike
    from cbp.network import Network

    Function: Any
    Scaling: Any

__all__ = ["Function", "Scaling", "from_module", "from_state_dict", "to_module", "to_state_dict"]

SEQUENTIAL = "a Sequential of PyTorch"


def __getattr__(name: str) -> Any:
    """Return a module class of our own, which PyTorch is needed for."""
    if name in ("Function", "Scaling"):
        return own_modules()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def from_module(
    module: Any,
    *,
    loss: LossLike | Any | None = None,
    output: ActivationLike | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Make a network that predicts what a module of PyTorch does after ``module.eval()``.

    Parameters
    ----------
    module : torch.nn.Module
        A Sequential, nested or not, or any module whose ``forward`` passes its input through one layer after the other:
        Linear, BatchNorm1d, Dropout, Flatten, and the activations of the table, as modules or functions. It is not
        changed.
    loss : str, row of `cbp.losses`, function, or loss of torch.nn, optional
        CrossEntropyLoss and BCEWithLogitsLoss contain an activation: the network then ends in it, so that it predicts
        ``softmax(module(x))`` or ``sigmoid(module(x))``. Default: what belongs to the output, as for `Network`.
    output : str or row of `cbp.activations`, optional
        One more activation at the end, such as "softmax" for a module that returns logits.
    dtype : "float32" or "float64", optional
        Default: float64 if some weights are, else float32.

    Returns
    -------
    Network
        BatchNorm1d is in the weights next to it, or in the scaling of the inputs if it comes first: computed in float64
        and rounded once. A layer whose parameters all have ``requires_grad=False`` is not trainable.

    Raises
    ------
    ValueError
        The module has something that no network of cbp has: the message says what and where.
    ImportError
        PyTorch is not installed.

    Examples
    --------
    >>> import torch, cbp
    >>> from torch import nn
    >>> net = cbp.io.torch.from_module(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3)), output="softmax")
    >>> print(net)
    Network(4 > 8 gelu > 3 softmax, categorical_cross_entropy, float32): 67 parameters
    """
    nn = optional("torch.nn", PURPOSE, "torch")
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, not {type(module).__name__}")
    if isinstance(loss, nn.Module):
        loss, contained = loss_of(loss)
        output = contained if output is None else output
    return assemble(steps_of_module(module, nn), "the module", loss=loss, output=output, dtype=dtype)


def to_module(net: Network) -> Any:
    """Make a Sequential of PyTorch that predicts what a network does.

    Parameters
    ----------
    net : Network
        Without skip connections, activations per unit and several heads.

    Returns
    -------
    torch.nn.Sequential
        Of Linear, the activations and Dropout, in eval mode, with the network's dtype. Scaling of inputs and targets is
        a `Scaling` at the beginning and at the end, in float64; exp, gaussian and sin, which torch.nn lacks, are a
        `Function`. Parameters are copies. Layers that are not trainable have ``requires_grad=False``. A steepness is in
        the weights, rounded once. Loss, penalties, masks, optimiser and input noise are not part of a module.

    Raises
    ------
    ValueError
        A Sequential cannot express the network: the message says why.
    RuntimeError
        The scaling is not learned yet.
    ImportError
        PyTorch is not installed.

    Examples
    --------
    >>> import torch, cbp
    >>> net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> cbp.io.torch.to_module(net)
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=3, bias=True)
      (3): Softmax(dim=-1)
    )
    """
    net = network_of(net)
    torch = optional("torch", PURPOSE, "torch")
    return torch.nn.Sequential(*(_written(step, torch) for step in _layout(net))).eval()


def to_state_dict(net: Network) -> dict[str, Array]:
    """Return the state dict of the module that `to_module` makes, as arrays; PyTorch is not needed.

    Parameters
    ----------
    net : Network
        Without skip connections, activations per unit and several heads.

    Returns
    -------
    dict of str to ndarray
        "0.weight", (n_out, n_in), "0.bias", (n_out,), and so on: activations count too. Scaling of inputs and targets
        is "0.center" and "0.scale", float64. All are copies.

    Raises
    ------
    ValueError, RuntimeError
        As for `to_module`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> {name: array.shape for name, array in cbp.io.torch.to_state_dict(net).items()}
    {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (3, 8), '2.bias': (3,)}
    """
    net = network_of(net)
    state: dict[str, Array] = {}
    for number, step in enumerate(_layout(net)):
        if isinstance(step, Weights):
            state |= {f"{number}.weight": step.W.T.copy(), f"{number}.bias": step.b.copy()}
        elif isinstance(step, Affine):
            center, scale = _center_and_scale(step)
            state |= {f"{number}.center": center.copy(), f"{number}.scale": scale.copy()}
    return state


def _layout(net: Network) -> list[Step]:
    """Return the steps that are modules."""
    return [step for step in steps_of(net, SEQUENTIAL) if not isinstance(step, Noise)]


def _center_and_scale(step: Affine) -> tuple[Array, Array]:
    """Return the numbers of a scaling, (x - center) / scale of inputs or x scale + center of targets."""
    inverse = step.name == "scale_targets"
    pair = (step.shift, step.factor) if inverse else (step.center, step.scale)
    return np.asarray(pair[0]), np.asarray(pair[1])


def _written(step: Step, torch: Any) -> Any:
    """Return the module that does a step."""
    nn = torch.nn
    if isinstance(step, Weights):
        n_in, n_out = step.W.shape
        linear = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=getattr(torch, step.W.dtype.name))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(step.W.T.copy()))
            linear.bias.copy_(torch.from_numpy(step.b.copy()))
        return linear.requires_grad_(step.extras.get("trainable", True))
    if isinstance(step, Affine):
        return own_modules()["Scaling"](*_center_and_scale(step), inverse=step.name == "scale_targets")
    if isinstance(step, Dropout):
        return nn.Dropout(step.rate)
    assert isinstance(step, Activation)
    peer = PEERS[step.row.name]
    arguments = {theirs: step.row.args[own] for own, theirs in peer.names.items()}
    cls = own_modules().get(peer.module) or getattr(nn, peer.module)
    return cls(**arguments, **peer.written)
