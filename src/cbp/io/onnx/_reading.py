"""A graph as a network: which of its inputs and outputs count, the walk through its nodes, names in its metadata."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError
from cbp.io.onnx._assembling import Assembler
from cbp.io.onnx._flow import Value, Wire
from cbp.io.onnx._operators import HANDLERS
from cbp.io.onnx._protobuf import DOMAINS, Node, array_of
from cbp.io.onnx._tracing import Known, Tracer

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.network import Network

_NUMBERS = {1: "float", 6: "int32", 7: "int64", 11: "double"}  # types that inputs may have
OLDEST = 7
"""The opset from which on constants spread over rows as NumPy has it."""
_FLOATING = (0, 1, 11)  # that outputs may have; 0 is none said


class Graph:
    """A graph with its nodes by what they make.

    Parameters
    ----------
    model : onnx.ModelProto
    """

    def __init__(self, model: Any) -> None:
        self.graph, self.largest = model.graph, model.ByteSize()
        if model.functions:
            raise FormatError(f"it has functions of its own, such as {model.functions[0].name}, which are not read")
        if self.graph.sparse_initializer:
            raise FormatError("it has sparse tensors, which are not read")
        self.opsets = _opsets(model)
        self.nodes = [Node(proto) for proto in self.graph.node]
        self.makers = {name: place for place, node in enumerate(self.nodes) for name in node.outputs if name}
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        if len(self.constants) < len(self.graph.initializer):
            raise FormatError("two of its tensors have the same name")
        self.inputs = [info for info in self.graph.input if info.name not in self.constants]

    def network(self) -> Network:
        """Return the network that the graph is."""
        outputs = self._outputs()
        needed = self._needed(outputs)
        known, rows = self._known(needed)
        tracer = Tracer(known, rows, self.largest, self.opsets, HANDLERS)
        for place in sorted({self.makers[name] for name in needed if name in self.makers}):
            tracer.follow(self.nodes[place])
        wires = []
        for name in outputs:
            value = tracer.known.get(name)
            if not isinstance(value, Value) or len(value.tail) > 1:
                raise FormatError(f"its output {name!r} is no row of numbers that follow from the input")
            wires.append(tracer.finisher.wires(value))
        return Assembler(self.n_in, wires, self.largest).network()

    def _outputs(self) -> list[str]:
        """Return the names of the outputs that are numbers: not labels, and what is inside maps of probabilities."""
        names = []
        for info in self.graph.output:
            place = self.makers.get(info.name)
            if place is not None and self.nodes[place].operator == "ZipMap":
                names += self.nodes[place].inputs[:1]
            elif not info.type.HasField("sequence_type") and info.type.tensor_type.elem_type in _FLOATING:
                names.append(info.name)
        if not names:
            raise FormatError("it has no output that is numbers")
        known = self.makers.keys() | {info.name for info in self.inputs}
        if lost := [name for name in names if name not in known]:
            raise FormatError(f"its output {lost[0]!r} is made by no node")
        return names

    def _needed(self, outputs: list[str]) -> set[str]:
        """Return the names of all values that outputs are made of."""
        found: set[str] = set()
        waiting = list(outputs)
        while waiting:
            name = waiting.pop()
            if name and name not in found:
                found.add(name)
                if (place := self.makers.get(name)) is not None:
                    waiting += self.nodes[place].inputs
        return found

    def _known(self, needed: set[str]) -> tuple[dict[str, Known], int | None]:
        """Return constants and inputs, and the number of rows where the graph fixes it."""
        known: dict[str, Known] = {name: array_of(t) for name, t in self.constants.items() if name in needed}
        start, rows = 0, None
        self.inputs = [info for info in self.inputs if info.name in needed]
        for info in self.inputs:
            tail, rows = self._tail(info)
            n = prod(tail)
            if start + n > self.largest:
                raise FormatError(f"its input {info.name!r} has more columns than there are weights for")
            known[info.name] = Value((Wire(None, np.arange(start, start + n)),), tail)
            start += n
        if not start:
            raise FormatError("it has no input")
        self.n_in = start
        return known, rows

    def _tail(self, info: Any) -> tuple[tuple[int, ...], int | None]:
        """Return the shape of a row of an input, and the number of rows where it is fixed."""
        kind = info.type.tensor_type
        if kind.elem_type not in _NUMBERS:
            raise FormatError(f"its input {info.name!r} is not numbers of {', '.join(_NUMBERS.values())}")
        rows, *tail = [dim.dim_value for dim in kind.shape.dim] or [0]
        if not tail or any(length <= 0 for length in tail):
            raise FormatError(f"its input {info.name!r} does not say how many columns it has")
        return tuple(tail), rows or None

    # ---- names ----

    def classes(self) -> list[int] | list[str] | None:
        """Return the classes that a label, or a map of probabilities, has the names of."""
        for info in self.graph.output:
            waiting = [info.name]
            for _ in range(10):  # a label is a few nodes behind the probabilities
                place = self.makers.get(waiting.pop()) if waiting else None
                if place is None:
                    break
                if (names := self._class_names(self.nodes[place])) is not None:
                    return names
                waiting += self.nodes[place].inputs[:1]
        return None

    def _class_names(self, node: Node) -> list[int] | list[str] | None:
        if node.operator == "ZipMap":
            return node.get("classlabels_strings") or node.get("classlabels_int64s")
        first = node.inputs[0] if node.inputs else ""
        if node.operator not in ("ArrayFeatureExtractor", "Gather") or first not in self.constants:
            return None
        names: Array = array_of(self.constants[first]).ravel()
        index = self.makers.get(node.inputs[1]) if len(node.inputs) > 1 else None
        return names.tolist() if index is not None and self.nodes[index].operator == "ArgMax" else None


def _opsets(model: Any) -> dict[str, int]:
    """Return the versions of the operators by domain."""
    found = {("" if entry.domain in DOMAINS[:2] else entry.domain): int(entry.version) for entry in model.opset_import}
    if found.get("", 0) < OLDEST:
        raise FormatError(f"it has operators of opset {found.get('', 0)}; {OLDEST} and newer are read")
    return {"ai.onnx.ml": 1} | found


def read_graph(model: Any) -> Network:
    """Return the network that a model's graph is, with names of columns and classes where there are any.

    Raises
    ------
    FormatError
        It is something else than a network of dense layers.
    """
    graph = Graph(model)
    try:
        with np.errstate(all="ignore"):  # what overflows is found where the network is made
            net = graph.network()
        net.metadata.update(_names(model, graph))
    except FormatError:
        raise
    except (ValueError, TypeError) as error:
        raise FormatError(str(error)) from None
    return net


def _names(model: Any, graph: Graph) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if len(graph.inputs) > 1:
        found["features"] = [info.name for info in graph.inputs]
    if (classes := graph.classes()) is not None:
        found["classes"] = classes
    for entry in model.metadata_props:
        if entry.key in ("features", "classes"):
            try:
                value = json.loads(entry.value)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, list):
                found[entry.key] = value
    return found
