"""Collects the nodes and constants of a graph, with names that a person can follow. Used by all that writes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cbp._typing import Array

LOWEST = 13
"""The opset from which on Softmax works along one axis and Split takes the sizes of its parts as an input."""


@functools.cache
def _introductions() -> dict[str, int]:
    """Return for every operator the opset that has it first."""
    from onnx import defs

    found: dict[str, int] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            found[schema.name] = min(schema.since_version, found.get(schema.name, schema.since_version))
    return found


def introduced(operator: str) -> int | None:
    """Return the opset that has the operator first; None where the installed onnx knows none."""
    return _introductions().get(operator)


class Builder:
    """A graph in the making.

    Parameters
    ----------
    dtype : dtype
        In which everything is computed that says nothing else.
    limit : int
        The highest opset that operators may need.
    """

    def __init__(self, dtype: np.dtype[Any], limit: int) -> None:
        self.dtype, self.limit, self.opset = dtype, limit, LOWEST
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._scope = ""
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Give what is made inside names that begin with `name`."""
        before, self._scope = self._scope, name
        yield
        self._scope = before

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the name of that."""
        return self.split(operator, inputs, 1, **attributes)[0]

    def split(self, operator: str, inputs: Sequence[str], n_outputs: int, **attributes: Any) -> list[str]:
        """Add a node with so many outputs and return their names."""
        from onnx import helper

        name = self._unused(f"{self._scope}/{operator}")
        outputs = [f"{name}_out" if n_outputs == 1 else f"{name}_out_{i}" for i in range(1, n_outputs + 1)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        self.opset = max(self.opset, introduced(operator) or self.limit)
        return outputs

    def need(self, opset: int) -> None:
        """Say that an operator is used as an opset has it."""
        self.opset = max(self.opset, opset)

    def constant(self, name: str, array: Array) -> str:
        """Add an array under a name of the scope and return the full name."""
        full = f"{self._scope}/{name}"
        self.constants[full] = array
        return full

    def scalar(self, value: float) -> str:
        """Return the name of a number, the same for the same number."""
        name = f"number/{value!r}"
        self.constants[name] = np.array(value, self.dtype)
        return name

    def cast(self, value: str, dtype: np.dtype[Any]) -> str:
        """Round or widen to a dtype."""
        from onnx import helper

        return self.node("Cast", value, to=helper.np_dtype_to_tensor_dtype(dtype))

    def rename(self, value: str, name: str) -> None:
        """Call a value that a node makes by another name, wherever it is used."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [name if each == value else each for each in names]

    def _unused(self, name: str) -> str:
        self._counts[name] = self._counts.get(name, 0) + 1
        return name if self._counts[name] == 1 else f"{name}_{self._counts[name]}"
