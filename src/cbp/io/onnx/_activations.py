"""An activation as nodes: the operator that its row names, or else its formula."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from cbp.io.onnx._builder import introduced
from cbp.io.onnx._formula import write_formula

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbp.io.onnx._builder import Builder
    from cbp.tables import Row

IN_FLOAT64 = ("Identity", "Sigmoid", "Tanh", "Relu", "Exp", "Sin", "Softmax", "LogSoftmax")
"""The operators that are exact in float64 and that runtimes have in it. Of others the attributes, or constants within
(Selu), are float32 whatever the type of the values; or onnxruntime lacks a kernel (Softplus, Gelu)."""


def operator_of(row: Row) -> tuple[str, dict[str, float | str]]:
    """Return the operator that a row names, "" if none, and its attributes."""
    operator, *texts = row.onnx.split() or [""]
    pairs = (text.split("=") for text in texts)
    return operator, {name: _read(value) for name, value in pairs} | dict(row.args)


def _read(text: str) -> float | str:
    try:
        return float(Fraction(text))
    except ValueError:
        return text


def has_operator(row: Row, dtype: np.dtype[np.floating], limit: int) -> bool:
    """Whether the row's operator computes it in this precision, and exists in an opset up to `limit`."""
    operator, _ = operator_of(row)
    first = introduced(operator)
    return first is not None and first <= limit and (dtype == np.float32 or operator in IN_FLOAT64)


def write_activation(row: Row, z: str, builder: Builder) -> str:
    """Write g(z) as the row's operator where that serves, or as its formula; return the name of the result."""
    if not has_operator(row, builder.dtype, builder.limit):
        return write_formula(row.formula, z, arguments_of(row), builder)
    operator, attributes = operator_of(row)
    return builder.node(operator, z, **attributes)


def arguments_of(row: Row) -> Mapping[str, float]:
    """Return the arguments by name."""
    return dict(row.args)
