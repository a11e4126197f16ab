"""From a module of PyTorch to steps. torch.fx follows it, so it need not be a Sequential; used by `from_module`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional
from cbp.io._steps import Activation, Affine, Dropout, Step, Weights
from cbp.io.torch._peers import ADVICE, ALIASES, HOME, LOSSES, OTHERWISE, PEERS, PURPOSE, own_modules
from cbp.io.torch._state_dict import array
from cbp.tables import activations, losses

if TYPE_CHECKING:
    from cbp.tables import Row

READABLE = {
    *("Linear", "BatchNorm1d", "Dropout", "Flatten", "Scaling", *OTHERWISE),
    *(peer.module for peer in PEERS.values()),
}
"""Classes of modules."""
IGNORED = ("input", "inplace", "_stacklevel", "dtype")
"""Arguments of functions that say nothing of what is computed."""


def steps_of_module(module: Any, nn: Any) -> list[Step]:
    """Return the steps that a module takes in eval mode."""
    return [step for found in _followed(module, nn) for step in _read(*found, nn)]


def loss_of(loss: Any) -> tuple[Row, str | None]:
    """Return the row that a loss of PyTorch is, and the activation that it contains."""
    name = type(loss).__name__
    if name not in LOSSES or not getattr(loss, "log_input", True):
        raise ValueError(f"{loss} has no counterpart in cbp.losses; there are: {', '.join(LOSSES)}")
    for weights in ("weight", "pos_weight"):
        if getattr(loss, weights, None) is not None:
            raise ValueError(f"{name} has class weights: leave them out here and pass class_weight to net.fit")
    row, contained, names = LOSSES[name]
    return losses[row](**{own: getattr(loss, theirs) for own, theirs in names.items()}), contained


# ---- following a module ----


def _followed(module: Any, nn: Any) -> Iterator[tuple[Any, str]]:
    """Yield the modules that the input passes through, and where they are; functions become the modules they are."""
    graph = _graph(module, nn)
    sizes: set[Any] = set()
    (start,) = [node for node in graph.nodes if node.op == "placeholder"]
    node = _next(start, sizes)
    while node.op != "output":
        yield _as_module(node, module, nn, sizes), _place(node)
        node = _next(node, sizes)
    if node.args[0] is not node.all_input_nodes[0]:
        raise ValueError("the module returns more than one tensor; a network of cbp returns one")


def _graph(module: Any, nn: Any) -> Any:
    """Return what torch.fx sees when it follows a module."""
    fx = optional("torch.fx", PURPOSE, "torch")

    class Tracer(fx.Tracer):  # type: ignore[misc, name-defined]
        def is_leaf_module(self, m: Any, qualname: str) -> bool:
            return bool(_known(type(m), nn)) or bool(super().is_leaf_module(m, qualname))

    try:
        return Tracer().trace(nn.Sequential(module))
    except Exception as error:
        raise ValueError(
            f"what {type(module).__name__}.forward does cannot be followed ({error}): put its layers into a Sequential"
        ) from error


def _next(node: Any, sizes: set[Any]) -> Any:
    """Return the one node that uses what this one returns; those that ask for its size are noted."""
    onwards = []
    for user in node.users:
        if user.target in ("size", "dim") or (user.target is getattr and user.args[1] in ("shape", "ndim")):
            sizes |= {user, *user.users}
        else:
            onwards.append(user)
    if len(onwards) != 1:
        raise ValueError(
            f"{_place(node)} is used {len(onwards)} times: cbp reads one layer after the other, no branches"
        )
    return onwards[0]


def _place(node: Any) -> str:
    """Return where in the module a node is, for messages."""
    if node.op == "placeholder":
        return "the input"
    return str(node.target).removeprefix("0.") if node.op == "call_module" else str(node)


def _as_module(node: Any, root: Any, nn: Any, sizes: set[Any]) -> Any:
    """Return the module that a node of the graph calls, or that does what its function does."""
    if node.op == "call_module":
        return nn.Sequential(root).get_submodule(node.target)
    if len(node.all_input_nodes) != 1 + len(sizes & set(node.all_input_nodes)):
        raise _refusal(_function_name(node), str(node))
    name, args = _function_name(node), node.args[1:]
    named = {
        key: value for key, value in node.kwargs.items() if key not in ("input", "inplace", "_stacklevel", "dtype")
    }
    if name in ("flatten", "view", "reshape", "squeeze"):
        return _flattening(name, args, named, node, nn, sizes)
    if name in ("contiguous", "float", "double"):
        return nn.Identity()
    if name == "dropout":
        return nn.Dropout(*args[:1], **{key: value for key, value in named.items() if key == "p"})
    peers = [peer for peer in PEERS.values() if peer.function == name]
    if not peers:
        raise _refusal(name, str(node))
    if peers[0].module == "Function":
        return own_modules()["Function"](name)
    taken = len({*peers[0].names, *peers[0].needed})
    return getattr(nn, peers[0].module)(*args[:taken], **named)


def _function_name(node: Any) -> str:
    """Return what a function or method of PyTorch is called."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return ALIASES.get(name, ALIASES.get(name.rstrip("_"), name.rstrip("_")))


def _flattening(name: str, args: Sequence[Any], named: Mapping[str, Any], node: Any, nn: Any, sizes: set[Any]) -> Any:
    """Return a Flatten for a function that keeps the rows and puts all else side by side."""
    if name == "squeeze":
        if args in ((-1,), (1,)) and all(user.op == "output" for user in node.users):
            return nn.Identity()
    elif name == "flatten":
        flatten = nn.Flatten(*args, **named) if args or named else nn.Flatten(0)
        if (flatten.start_dim, flatten.end_dim) == (1, -1):
            return flatten
    else:
        shape = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
        if len(shape) == 2 and (shape[0] == -1 or shape[0] in sizes) and isinstance(shape[1], int):
            return nn.Flatten()
    raise ValueError(f"{node} ({name}) does not keep the rows as they are; flatten(x, 1) does")


# ---- reading ----


def _read(module: Any, where: str, nn: Any) -> Iterator[Step]:
    """Yield the steps that a module is."""
    name = _known(type(module), nn)
    where = f"{name or type(module).__name__} ({where})"
    if name in ("Flatten", "Identity"):
        if name == "Flatten" and (module.start_dim, module.end_dim) != (1, -1):
            raise ValueError(f"{where} does not keep the rows as they are; nn.Flatten() does")
    elif name == "Linear":
        yield _linear(module, where)
    elif name == "Dropout":
        yield Dropout(where, float(module.p))
    elif name == "BatchNorm1d":
        yield _batch_norm(module, where)
    elif name == "Scaling":
        yield module.step(where)
    else:
        yield Activation(where, _row(module, name, where))


def _known(cls: type[Any], nn: Any) -> str:
    """Return the name of the readable class that does what `cls` does, itself or one it inherits from, or nothing."""
    for base in cls.__mro__:
        if base.__name__ not in READABLE:
            continue
        home = own_modules() if base.__module__ == HOME else vars(nn)
        if home.get(base.__name__) is base:
            return base.__name__ if cls.forward is base.forward else ""
    return ""


def _linear(module: Any, where: str) -> Weights:
    W = array(module.weight, where).T
    b = np.zeros(W.shape[1], W.dtype) if module.bias is None else array(module.bias, where)
    frozen = not any(parameter.requires_grad for parameter in (module.weight, module.bias) if parameter is not None)
    return Weights(where, W, b, {"trainable": False} if frozen else {})


def _batch_norm(module: Any, where: str) -> Affine:
    """Return what batch normalisation does in eval mode."""
    if module.running_mean is None:
        raise ValueError(f"{where} keeps no running statistics: what it does depends on the batch")
    mean, variance = (array(x, where).astype(np.float64) for x in (module.running_mean, module.running_var))
    factor, shift = (
        default if x is None else array(x, where).astype(np.float64)
        for x, default in ((module.weight, 1.0), (module.bias, 0.0))
    )
    return Affine(where, mean, np.sqrt(variance + module.eps), factor, shift, scaling=False)


def _row(module: Any, name: str, where: str) -> Row:
    """Return the row of `cbp.activations` that a module is."""
    for row, peer in PEERS.items():
        if peer.module == name and peer.fits(module):
            return activations[row](**{own: float(getattr(module, theirs)) for own, theirs in peer.names.items()})
    row, attributes = OTHERWISE.get(name, ("", {}))
    if row and all(getattr(module, attribute) == value for attribute, value in attributes.items()):
        return activations[row]
    raise _refusal(type(module).__name__, where, module)


def _refusal(name: str, where: str, module: Any = None) -> ValueError:
    """Return the error for what has no counterpart."""
    near = [peer for peer in PEERS.values() if peer.module == name and peer.needed]
    if module is not None and near:
        return ValueError(f"{where} is {module}, for which cbp.activations has no row")
    advice = ADVICE.get(name, "it reads Linear, BatchNorm1d, Dropout, Flatten and the activations of cbp.activations")
    return ValueError(f"{where} has no counterpart in cbp; {advice}")
