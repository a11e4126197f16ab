"""What a model's bytes say, checked: tensors as arrays, attributes as Python's values, nodes as messages name them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError, optional

if TYPE_CHECKING:
    from cbp._typing import Array

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def parse(data: bytes) -> Any:
    """Return the ModelProto in some bytes."""
    onnx = optional("onnx", "reading ONNX", "onnx")
    message = optional("google.protobuf.message", "reading ONNX", "onnx")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except message.DecodeError:
        raise FormatError("it is no ONNX file, or a damaged one") from None
    return model


class Node:
    """One node: what it does, and how a message names it."""

    def __init__(self, proto: Any) -> None:
        self.operator: str = proto.op_type
        self.inputs: list[str] = list(proto.input)
        self.outputs: list[str] = list(proto.output)
        self.name: str = proto.name or (self.outputs[0] if self.outputs else "")
        self.domain: str = proto.domain
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}

    def __str__(self) -> str:
        domain = "" if self.domain in DOMAINS[:2] else f"{self.domain}."
        return f"{domain}{self.operator} (node {self.name!r})"

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or its default."""
        return default if name not in self._attributes else self._value(self._attributes[name])

    def check(self, opset: int) -> None:
        """Refuse what is no such operator of ONNX: another number of inputs, an attribute that it has not."""
        from onnx import defs

        domain = "" if self.domain in DOMAINS[:2] else self.domain
        try:
            schema = defs.get_schema(self.operator, opset, domain)
        except defs.SchemaError:
            raise FormatError(f"{self} is not in opset {opset}") from None
        needed = sum(part.option == defs.OpSchema.FormalParameterOption.Single for part in schema.inputs)
        if not schema.min_input <= len(self.inputs) <= schema.max_input or not all(self.inputs[:needed]):
            raise FormatError(f"{self} has {len(self.inputs)} inputs, which is not what it takes")
        for name, attribute in self._attributes.items():
            known = schema.attributes.get(name)
            if known is None or int(known.type.value) != attribute.type:
                raise FormatError(f"{self} has an attribute {name!r} that is not its own")

    def attributes(self) -> dict[str, Any]:
        """Return all attributes by name."""
        return {name: self.get(name) for name in self._attributes}

    def _value(self, attribute: Any) -> Any:
        kind = attribute.type
        readers: dict[int, Any] = {
            attribute.FLOAT: lambda: float(attribute.f),
            attribute.INT: lambda: int(attribute.i),
            attribute.STRING: lambda: attribute.s.decode(),
            attribute.TENSOR: lambda: array_of(attribute.t),
            attribute.FLOATS: lambda: list(attribute.floats),
            attribute.INTS: lambda: list(attribute.ints),
            attribute.STRINGS: lambda: [text.decode() for text in attribute.strings],
        }
        if kind not in readers:
            raise FormatError(f"{self} has an attribute {attribute.name!r} of a kind that is not read")
        return readers[kind]()


_KINDS = {  # TensorProto's number of a type: bytes, and the field that has the numbers where raw_data has not
    1: ("<f4", "float_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    11: ("<f8", "double_data"),
}
_STRING = 8


def array_of(tensor: Any) -> Array:
    """Return a tensor as an array, whose size is checked before it is made."""
    what = f"tensor {tensor.name!r}"
    if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
        raise FormatError(f"{what} is kept in another file, which is not read")
    if tensor.HasField("segment"):
        raise FormatError(f"{what} is a segment of another")
    shape = tuple(tensor.dims)
    if any(length < 0 for length in shape):
        raise FormatError(f"{what} has a shape {shape}")
    count = math.prod(shape)
    if tensor.data_type == _STRING:
        _require(len(tensor.string_data) == count, what)
        return np.array([text.decode() for text in tensor.string_data]).reshape(shape)
    if tensor.data_type not in _KINDS:
        raise FormatError(f"{what} has the type {_type_name(tensor.data_type)}, which is not read")
    text, field = _KINDS[tensor.data_type]
    dtype = np.dtype(text)
    if tensor.raw_data:
        _require(len(tensor.raw_data) == count * dtype.itemsize, what)
        array = np.frombuffer(tensor.raw_data, dtype)
    else:
        _require(len(getattr(tensor, field)) == count, what)
        array = np.array(getattr(tensor, field), dtype)
    return array.reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise FormatError(f"{what} has not the numbers that its shape asks for")


def _type_name(number: int) -> str:
    from onnx import TensorProto

    known = TensorProto.DataType.keys()
    return known[number].lower() if 0 <= number < len(known) else str(number)
