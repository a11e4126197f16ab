"""A network as a graph: scaling, layers, output, labels, in this order. Called by the package's to_model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core, _json
from cbp.io.onnx._activations import write_activation
from cbp.io.onnx._builder import Builder
from cbp.scaling import not_known

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.network import Network
    from cbp.scaling import Scaling
    from cbp.tables import Row

VERSION = 1
INPUT, OUTPUT, LABEL, PROBABILITIES, BATCH = "input", "output", "label", "probabilities", "batch"
_WIDE = np.dtype(np.float64)


@dataclass(frozen=True)
class Options:
    """What `to_model` takes beside the network, checked."""

    labels: tuple[int, ...] | tuple[str, ...] | None
    heads: tuple[str, ...] | None
    input_dtype: str
    opset: int


def write_model(net: Network, options: Options) -> Any:
    """Return the ModelProto of a network."""
    from onnx import helper

    builder = Builder(net.dtype, options.opset)
    values = [_scaled_inputs(net, np.dtype(options.input_dtype), builder)]
    for number in range(1, len(net.layers) + 1):
        values.append(_layer(net, number, values, builder))
    n_in, widths = net._spec.n_in, [net._spec.n_out]
    outputs = [_restored(net, values[-1], builder)]
    if options.heads is not None:
        outputs, widths = _head_outputs(net, values[-1], builder)
    infos = _finished(net, outputs, widths, options, builder)
    graph = helper.make_graph(
        builder.nodes,
        "network",
        [_info(INPUT, np.dtype(options.input_dtype), n_in)],
        infos,
        [_tensor(name, array) for name, array in builder.constants.items()],
    )
    opsets = [helper.make_opsetid("", builder.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
    model.producer_name, model.producer_version = "cbp", _core.version()
    model.doc_string = str(net)
    helper.set_model_props(model, _properties(net, options))
    return model


# ---- layers ----


def _scaled_inputs(net: Network, given: np.dtype[Any], builder: Builder) -> str:
    """Write (x - center) / scale in double, rounded to the network's dtype as `predict` does."""
    scaling, value, dtype = net.input_scaling, INPUT, given
    with builder.scope("inputs"):
        if scaling is not None:
            center, scale = _numbers(scaling, builder)
            value = value if given == _WIDE else builder.cast(value, _WIDE)
            value = builder.node("Div", builder.node("Sub", value, center), scale)
            dtype = _WIDE
        return value if dtype == net.dtype else builder.cast(value, net.dtype)


def _restored(net: Network, value: str, builder: Builder) -> str:
    """Write y scale + center in double, rounded to the network's dtype."""
    if net.target_scaling is None:
        return value
    with builder.scope("targets"):
        center, scale = _numbers(net.target_scaling, builder)
        value = value if net.dtype == _WIDE else builder.cast(value, _WIDE)
        value = builder.node("Add", builder.node("Mul", value, scale), center)
        return value if net.dtype == _WIDE else builder.cast(value, net.dtype)


def _numbers(scaling: Scaling, builder: Builder) -> tuple[str, str]:
    if scaling.center is None or scaling.scale is None:
        raise not_known()
    return builder.constant("center", scaling.center), builder.constant("scale", scaling.scale)


def _layer(net: Network, number: int, values: Sequence[str], builder: Builder) -> str:
    """Write a layer that is fed by some of the layers before it, `values`, and return its activations."""
    layer, dense = net.layers[number - 1], net._spec.layers[number - 1]
    with builder.scope(f"layer_{number}"):
        sources = [values[source] for source in net._spec.sources(number)]
        x = sources[0] if len(sources) == 1 else builder.node("Concat", *sources, axis=1)
        z = builder.node("Gemm", x, builder.constant("W", layer.W), builder.constant("b", layer.b))
        if dense.steepness != 1.0:
            z = builder.node("Mul", z, builder.scalar(dense.steepness))
        runs = list(_runs(net, number))
        if len(runs) == 1:
            return write_activation(runs[0][0], z, builder)
        sizes = builder.constant("units", np.array([units for _, units in runs], np.int64))
        parts = builder.split("Split", [z, sizes], len(runs), axis=1)
        made = [write_activation(row, part, builder) for (row, _), part in zip(runs, parts, strict=True)]
        return builder.node("Concat", *made, axis=1)


def _runs(net: Network, number: int) -> Iterator[tuple[Row, int]]:
    """Yield the activation of units side by side that have the same, and how many there are; rows of a head apart."""
    heads, dense = net._spec.heads, net._spec.layers[number - 1]
    if heads is not None and number == len(net.layers):
        parts = [(head.rows, head.units) for head in heads.all]
    else:
        parts = [(dense.rows, dense.units)]
    for rows, units in parts:
        if len(rows) == 1:
            yield rows[0], units
        else:
            yield from ((row, len(list(same))) for row, same in groupby(rows))


# ---- outputs ----


def _head_outputs(net: Network, value: str, builder: Builder) -> tuple[list[str], list[int]]:
    """Return an output for every head, and their widths."""
    heads = net._spec.heads
    assert heads is not None
    widths = [head.units for head in heads.all]
    with builder.scope("heads"):
        sizes = builder.constant("units", np.array(widths, np.int64))
        return builder.split("Split", [value, sizes], len(widths), axis=1), widths


def _finished(net: Network, outputs: list[str], widths: list[int], options: Options, builder: Builder) -> list[Any]:
    """Give the outputs their names, and add labels; return what the graph says of its outputs."""
    if options.labels is not None:
        label, outputs[0] = _labels(net, outputs[0], np.array(options.labels), builder)
        builder.rename(label, LABEL)
        builder.rename(outputs[0], PROBABILITIES)
        n_classes = len(options.labels)
        return [_info(LABEL, np.array(options.labels).dtype), _info(PROBABILITIES, net.dtype, n_classes)]
    names = options.heads or (OUTPUT,)
    for value, name in zip(outputs, names, strict=True):
        builder.rename(value, name)
    return [_info(name, net.dtype, width) for name, width in zip(names, widths, strict=True)]


def _labels(net: Network, value: str, classes: Array, builder: Builder) -> tuple[str, str]:
    """Write the class of the largest probability, and the probability of each class; return both names."""
    row = net._spec.outputs
    assert row is not None
    with builder.scope("classes"):
        if row.name == "log_softmax":
            value = builder.node("Exp", value)
        elif not row.row_wise:  # the probability of the second of two
            value = builder.node("Concat", builder.node("Sub", builder.scalar(1.0), value), value, axis=1)
        number = builder.node("ArgMax", value, axis=1, keepdims=0)
        return builder.node("Gather", builder.constant("names", classes), number), value


# ---- protobuf ----


def _info(name: str, dtype: np.dtype[Any], *width: int) -> Any:
    from onnx import TensorProto, helper

    kind = TensorProto.STRING if dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, [BATCH, *width])


def _tensor(name: str, array: Array) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    if array.dtype.kind == "U":
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.tolist()])
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def _properties(net: Network, options: Options) -> dict[str, str]:
    """Return what the graph cannot say: the configuration, and names of columns and classes."""
    config = net.get_config()
    found: dict[str, Any] = {name: net.metadata[name] for name in ("features", "classes") if name in net.metadata}
    if not callable(config["loss"]):
        found["cbp"] = {"version": VERSION, "network": config, "metadata": net.metadata, "options": asdict(options)}
    try:
        return {name: _json.write(value) for name, value in found.items()}
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata must be a dict of what JSON can hold: {error}") from None
