"""The options of an export, checked against the network. Used where one is written, and where one is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp.io.onnx._builder import LOWEST
from cbp.io.onnx._writing import INPUT, Options

if TYPE_CHECKING:
    from cbp._typing import DTypeLike
    from cbp.network import Network

OPSET = 20
"""What operators may need unless `opset` says otherwise; newer ones are made of older ones."""


def read_options(net: Network, labels: Any, split_heads: Any, input_dtype: DTypeLike | None, opset: int) -> Options:
    """Return what the arguments of `cbp.io.onnx.to_model` mean for a network.

    Raises
    ------
    ValueError, TypeError
        One of them does not fit.
    """
    from onnx import defs

    if labels is not False and split_heads is not False:
        raise ValueError("labels are for a network with one head")
    return Options(
        _read_labels(net, labels),
        _read_heads(net, split_heads),
        _read_dtype(net.dtype if input_dtype is None else input_dtype),
        whole(opset, "opset", LOWEST, defs.onnx_opset_version()),
    )


def _read_dtype(value: DTypeLike) -> str:
    name = np.dtype(value).name
    if name not in ("float32", "float64"):
        raise ValueError(f"input_dtype must be float32 or float64, not {value!r}")
    return name


def _read_labels(net: Network, labels: Any) -> tuple[int, ...] | tuple[str, ...] | None:
    """Return the names of the classes, all numbers or all text."""
    if labels is False:
        return None
    row, n = net._spec.outputs, net._spec.n_out
    if row is None or not (row.row_wise or (row.name == "sigmoid" and n == 1)):
        raise ValueError(f"labels need an output softmax, log_softmax or one sigmoid; the output is {net.layers[-1]}")
    n_classes = n if row.row_wise else 2
    names = net.metadata.get("classes", range(n_classes)) if labels is True else labels
    found = [name.item() if isinstance(name, np.generic) else name for name in names]
    if len(found) != n_classes:
        raise ValueError(f"there are {n_classes} classes, {len(found)} names were given")
    if all(isinstance(name, str) for name in found) or all(type(name) is int for name in found):
        return tuple(found)
    raise ValueError(f"names of classes must be all text or all whole numbers, not {found}")


def _read_heads(net: Network, names: Any) -> tuple[str, ...] | None:
    if names is False:
        return None
    heads = net._spec.heads
    if heads is None:
        raise ValueError("split_heads is for a network with heads")
    found = tuple(f"head_{i}" for i in range(1, len(heads.all) + 1)) if names is True else tuple(names)
    if len(found) != len(heads.all) or len({*found, INPUT}) <= len(found):
        raise ValueError(f"split_heads must be {len(heads.all)} different names, not {names!r}")
    return found
