"""Networks that cbp has written: the metadata say what the graph cannot, if the graph is the one they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _json
from cbp._spec import Spec
from cbp.errors import FormatError
from cbp.io.onnx._options import read_options
from cbp.io.onnx._protobuf import array_of
from cbp.io.onnx._writing import VERSION, write_model
from cbp.network import Network

if TYPE_CHECKING:
    from cbp._typing import Array


def read_own(model: Any) -> Network | None:
    """Return the network that a model was written from; None if it was another one, or has been changed since.

    The network is made from the configuration in the metadata and the numbers in the file, and written again: only if
    that gives the same graph do the metadata count.
    """
    fields = _fields(model)
    if fields is None:
        return None
    try:
        if Spec.from_config(fields["network"]).n_params > model.ByteSize():  # there are not as many in the file
            return None
        net, options = Network.from_config(fields["network"]), fields["options"]
        net.metadata = fields["metadata"]
        arrays = {tensor.name: array_of(tensor) for tensor in model.graph.initializer}
        _fill(net, arrays)
        labels, heads = (False if options[name] is None else options[name] for name in ("labels", "heads"))
        again = write_model(net, read_options(net, labels, heads, options["input_dtype"], options["opset"]))
    except (FormatError, ValueError, TypeError, KeyError, RuntimeError):
        return None
    return net if _same(model, again) else None


def _fields(model: Any) -> dict[str, Any] | None:
    texts = [entry.value for entry in model.metadata_props if entry.key == "cbp"]
    if len(texts) != 1 or not isinstance(texts[0], str):  # protobuf has bytes where it should be text and is not
        return None
    try:
        fields = _json.read(texts[0].encode(), model.ByteSize())
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        return None
    parts = [fields.get(name) for name in ("network", "metadata", "options")]
    return fields if all(isinstance(part, dict) for part in parts) else None


def _fill(net: Network, arrays: dict[str, Array]) -> None:
    """Give a network the numbers of a graph."""
    for number, layer in enumerate(net.layers, 1):
        for name, place in (("W", layer.W), ("b", layer.b)):
            array = arrays[f"layer_{number}/{name}"]
            if array.shape != place.shape or array.dtype != place.dtype:
                raise ValueError(f"layer {number} has another shape")
            place[:] = array
    learned = {}
    for scope, name, how in (
        ("inputs", "input_scaling", net.input_scaling),
        ("targets", "target_scaling", net.target_scaling),
    ):
        if how is not None and how.kind != "given":
            center, scale = arrays[f"{scope}/center"], arrays[f"{scope}/scale"]
            n = net._spec.n_in if scope == "inputs" else net._spec.n_out
            if center.shape != (n,) or scale.shape != (n,):
                raise ValueError(f"{name} has another shape")
            learned[name] = np.stack([center, scale])
    if learned:
        net._reader = net._reader.with_numbers(learned)


def _same(model: Any, again: Any) -> bool:
    """Whether two models compute the same in the same way."""
    parts = ("node", "initializer", "input", "output")
    graphs = model.graph, again.graph
    return all(list(getattr(graphs[0], part)) == list(getattr(graphs[1], part)) for part in parts) and list(
        model.opset_import
    ) == list(again.opset_import)
