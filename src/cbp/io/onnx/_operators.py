"""The operators that are not elementwise: products, scaling, shapes, and those that do nothing to rows of numbers.

Each is a function of the tracer, the node and its inputs; the table at the end names them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError
from cbp.io.onnx._flow import Curve, Value
from cbp.io.onnx._protobuf import Node
from cbp.io.onnx._terms import FUNCTIONS, Term
from cbp.io.onnx._tracing import ROWS, Handler, Known, Tracer, columns_of, constant, integers, value

if TYPE_CHECKING:
    from cbp._typing import Array

Inputs = list["Known | None"]


def _at(inputs: Inputs, place: int) -> Known | None:
    return inputs[place] if place < len(inputs) else None


def _refuse(node: Node, reason: str) -> FormatError:
    return FormatError(f"{node} {reason}, which is not read")


# ---- products ----


def gemm(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Return alpha x W + beta c."""
    if node.get("transA", 0):
        raise _refuse(node, "transposes the data")
    x, W = value(_at(inputs, 0), node), constant(_at(inputs, 1), node)
    W = W.T if node.get("transB", 0) else W
    made = tracer.product(node, x, W, _bias(node, _at(inputs, 2), W))
    tracer.products[-1].multiply(node.get("alpha", 1.0), node.get("beta", 1.0))
    return made


def _bias(node: Node, c: Known | None, W: Array) -> Array | None:
    if c is None or W.ndim != 2:
        return None
    bias = constant(c, node)
    if bias.size not in (1, W.shape[1]) or bias.ndim > 2 or (bias.ndim == 2 and bias.shape[0] != 1):
        raise FormatError(f"{node} adds a constant of the shape {bias.shape} to {W.shape[1]} columns")
    return np.broadcast_to(bias.ravel(), W.shape[1:])


def add(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Return a sum; of two products, which are one: x W + y V is that of x and y side by side."""
    curves = [x.pieces[0] for x in inputs if isinstance(x, Value) and len(x.pieces) == 1]
    if len(curves) == 2 and all(isinstance(curve, Curve) for curve in curves):
        one, other = (curve for curve in curves if isinstance(curve, Curve))
        if one.product is not other.product and len(one.columns) == len(other.columns):
            return tracer.joined(node, one, other)
    return elementwise(tracer, node, inputs)


def matmul(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Return x W."""
    return tracer.product(node, value(_at(inputs, 0), node), constant(_at(inputs, 1), node), None)


# ---- scaling ----


def batch_normalization(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, as one factor and one sum, computed in float64."""
    if node.get("training_mode", 0):
        raise _refuse(node, "is in training mode")
    x = value(_at(inputs, 0), node)
    numbers = [constant(_at(inputs, place), node).astype(np.float64) for place in range(1, 5)]
    if len(x.tail) != 1 or any(array.shape != x.tail for array in numbers):
        raise FormatError(f"{node} has not a number for each of {x.tail} columns")
    scale, shift, mean, variance = numbers
    factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
    return _affine(tracer, node, x, ("Mul", factor), ("Add", shift - mean * factor))


def scaler(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """(x - offset) * scale."""
    offset, scale = (np.array(node.get(name, [default]), np.float32) for name, default in (("offset", 0), ("scale", 1)))
    return _affine(tracer, node, value(_at(inputs, 0), node), ("Sub", offset), ("Mul", scale))


def _affine(tracer: Tracer, node: Node, x: Known, *steps: tuple[str, Array]) -> Known:
    for operator, number in steps:
        x = tracer.elementwise(node, operator, [x, number], {})
    return x


# ---- functions of a row ----


def row_wise(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Softmax and its logarithm along the columns."""
    x = value(_at(inputs, 0), node)
    if len(x.tail) != 1 or node.get("axis", -1) not in (-1, 1):
        raise _refuse(node, "does not go along the columns")
    piece = x.pieces[0]
    if len(x.pieces) > 1 or not isinstance(piece, Curve):
        raise _refuse(node, "does not go over the units of one layer")
    root = Term(node.operator, str(node), (piece.root,), {}, piece.root.depth + 1)
    return Value((Curve(piece.product, piece.columns, root),), x.tail)


# ---- side by side ----


def concat(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Columns side by side; or lists of lengths one after the other."""
    axis = node.get("axis")
    if all(isinstance(x, np.ndarray) for x in inputs):
        if sum(x.size for x in inputs if isinstance(x, np.ndarray)) > tracer.largest:
            raise FormatError(f"{node} makes a constant that is larger than the file")
        return np.concatenate([constant(x, node) for x in inputs], axis=int(axis or 0))
    values = [value(x, node) for x in inputs]
    if axis not in (1, -1) or any(len(x.tail) != 1 for x in values):
        raise _refuse(node, "does not put columns side by side")
    if sum(x.n for x in values) > tracer.largest:
        raise FormatError(f"{node} makes more columns than there are weights for")
    return Value(tuple(piece for x in values for piece in x.pieces), (sum(x.n for x in values),))


def split(tracer: Tracer, node: Node, inputs: Inputs) -> list[Known]:
    """Columns in groups side by side."""
    x = _columns(node, inputs)
    sizes = node.get("split") if _at(inputs, 1) is None else integers(inputs[1], node)
    if sizes is None:
        each = -(-x.n // len(node.outputs))
        sizes = [min(each, x.n - start) for start in range(0, x.n, each)]
    if sum(sizes) != x.n or min(sizes) <= 0 or len(sizes) != len(node.outputs):
        raise FormatError(f"{node} splits {x.n} columns into {sizes}")
    ends = np.cumsum(sizes).tolist()
    return list(columns_of(x, (range(end - size, end) for size, end in zip(sizes, ends, strict=True))))


def slice_(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Columns from, to, every so many; or a part of a list of lengths."""
    names = ("starts", "ends", "axes", "steps")
    given = [node.get(name) if _at(inputs, i) is None else integers(inputs[i], node) for i, name in enumerate(names, 1)]
    starts, ends, axes, steps = given
    x = inputs[0]
    wanted = [0] if isinstance(x, np.ndarray) and x.ndim == 1 else [1]
    axes = [-1 if axis == 1 and wanted == [0] else axis for axis in (wanted if axes is None else axes)]
    if starts is None or ends is None or len(starts) != 1 or len(ends) != 1 or axes not in (wanted, [-1]):
        raise _refuse(node, "does not take columns")
    part = slice(starts[0], ends[0], steps[0] if steps else 1)
    if part.step == 0:
        raise FormatError(f"{node} has the step 0")
    return x[part] if isinstance(x, np.ndarray) else next(columns_of(x := _columns(node, inputs), [range(x.n)[part]]))


def gather(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Columns by their numbers; or one of a list of lengths."""
    x, wanted = inputs[0], constant(_at(inputs, 1), node)
    n = x.n if isinstance(x, Value) else constant(x, node).size
    if wanted.dtype.kind != "i" or wanted.ndim > 1 or not wanted.size or not ((-n <= wanted) & (wanted < n)).all():
        raise FormatError(f"{node} takes columns {wanted.shape} of {n}")
    if isinstance(x, np.ndarray):
        if x.ndim != 1 or node.get("axis", 0) not in (0, -1):
            raise _refuse(node, "does not take from a list")
        return np.asarray(x[wanted])
    if node.get("axis", 0) not in (1, -1) or wanted.ndim != 1:
        raise _refuse(node, "does not take columns")
    return next(columns_of(_columns(node, inputs), [wanted % n]))


def feature_extractor(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Columns by their numbers."""
    x, wanted = _columns(node, inputs), np.ravel(constant(_at(inputs, 1), node))
    if wanted.dtype.kind != "i" or not wanted.size or not ((wanted >= 0) & (wanted < x.n)).all():
        raise FormatError(f"{node} takes columns that are not there")
    return next(columns_of(x, [wanted]))


def _columns(node: Node, inputs: Inputs) -> Value:
    x = value(_at(inputs, 0), node)
    if len(x.tail) != 1 or node.get("axis", 1) not in (1, -1):
        raise _refuse(node, "does not take columns")
    return x


# ---- shapes ----


def same(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """What does nothing when a network predicts."""
    training = _at(inputs, 2)
    if node.operator == "Dropout" and training is not None and bool(np.any(constant(training, node))):
        raise _refuse(node, "is in training mode")
    first = _at(inputs, 0)
    return value(first, node) if not isinstance(first, np.ndarray) else first


def cast(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Another type of number: of data a floating one."""
    from onnx import helper

    x, to = _at(inputs, 0), node.get("to")
    kinds = {1: np.float32, 7: np.int64, 6: np.int32, 11: np.float64}
    if isinstance(x, np.ndarray) and to in kinds:
        return x.astype(kinds[to])
    if to not in (1, 11) or not isinstance(x, Value):
        known = helper.TensorProto.DataType.values()
        name = helper.TensorProto.DataType.Name(to).lower() if to in known else to
        raise _refuse(node, f"makes {name} of the data")
    logical = [piece for piece in x.pieces if isinstance(piece, Curve) and piece.root.operator in _LOGICAL]
    return tracer.elementwise(node, "Mul", [x, np.array(1.0)], {}) if logical else x


_LOGICAL = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "And", "Or", "Not")


def flatten(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """All numbers of a row side by side."""
    x = value(_at(inputs, 0), node)
    if node.get("axis", 1) not in (1, -len(x.tail)):
        raise _refuse(node, "does not keep the rows")
    return Value(x.pieces, (x.n,))


def reshape(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """The numbers of a row in another shape; of a constant any."""
    shape = integers(_at(inputs, 1), node)
    x = inputs[0]
    if isinstance(x, np.ndarray):
        return _reshaped(node, x, shape)
    x = value(x, node)
    rows, tail = (shape or [1])[0], shape[1:]
    if rows not in tracer.any_rows and not (not tail and x.n == 1):
        raise _refuse(node, f"does not keep the rows: {shape}")
    known = prod(length for length in tail if length != -1)
    if tail.count(-1) == 1 and rows != -1 and known > 0:
        tail[tail.index(-1)] = x.n // known
    if any(length <= 0 for length in tail) or prod(tail) != x.n:
        raise FormatError(f"{node} makes {shape} of rows of {x.tail}")
    return Value(x.pieces, tuple(tail))


def _reshaped(node: Node, x: Array, shape: list[int]) -> Array:
    try:
        return x.reshape([x.shape[i] if length == 0 else length for i, length in enumerate(shape)])
    except (ValueError, IndexError):
        raise FormatError(f"{node} makes {shape} of a constant of the shape {x.shape}") from None


def squeeze(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Without, or with, axes of one number."""
    x = inputs[0]
    axes = node.get("axes") if _at(inputs, 1) is None else integers(inputs[1], node)
    shape = list(x.shape) if isinstance(x, np.ndarray) else [ROWS, *value(x, node).tail]
    if node.operator == "Squeeze":
        axes = [i for i, length in enumerate(shape) if length == 1] if axes is None else axes
        gone = {axis % len(shape) for axis in axes}
        if any(not -len(shape) <= axis < len(shape) or shape[axis] != 1 for axis in axes):
            raise _refuse(node, f"takes the axes {axes} from {tuple(shape[1:])}")
        shape = [length for i, length in enumerate(shape) if i not in gone]
    else:
        rank = len(shape) + len(axes or [])
        if axes is None or rank > 8 or any(not -rank <= axis < rank for axis in axes):
            raise _refuse(node, "has axes that are not there")
        for axis in sorted(axis % rank for axis in axes):
            shape.insert(axis, 1)
    if isinstance(x, np.ndarray):
        return x.reshape(shape)
    if shape[:1] != [ROWS]:
        raise _refuse(node, "does not keep the rows")
    return Value(value(x, node).pieces, tuple(shape[1:]))


def transpose(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Of constants only."""
    x = _at(inputs, 0)
    if not isinstance(x, np.ndarray):
        raise _refuse(node, "transposes the data")
    axes = node.get("perm", list(range(x.ndim))[::-1])
    if sorted(axes) != list(range(x.ndim)):
        raise FormatError(f"{node} has the axes {axes}")
    return x.transpose(axes)


def shape(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """The number of rows stands for itself."""
    x = _at(inputs, 0)
    lengths = x.shape if isinstance(x, np.ndarray) else (ROWS, *value(x, node).tail)
    return np.array(lengths, np.int64)[node.get("start", 0) : node.get("end")]


def constant_node(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """A tensor, or a number or some."""
    kinds: dict[str, Any] = {"value_float": np.float32, "value_floats": np.float32}
    kinds |= {"value_int": np.int64, "value_ints": np.int64}
    found = node.attributes()
    if isinstance(found.get("value"), np.ndarray):
        return found["value"]
    for name, dtype in kinds.items():
        if name in found:
            return np.array(found[name], dtype)
    raise _refuse(node, "holds no tensor of numbers")


def elementwise(tracer: Tracer, node: Node, inputs: Inputs) -> Known:
    """Return an operator on every element."""
    return tracer.elementwise(node, node.operator, list(inputs), node.attributes())


HANDLERS: dict[str, Handler] = dict.fromkeys(FUNCTIONS, elementwise) | {
    "Add": add,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_normalization,
    "Scaler": scaler,
    "Softmax": row_wise,
    "LogSoftmax": row_wise,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "ArrayFeatureExtractor": feature_extractor,
    "Identity": same,
    "Dropout": same,
    "Cast": cast,
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": squeeze,
    "Transpose": transpose,
    "Shape": shape,
    "Constant": constant_node,
}
"""What is read, by the names of ONNX and ai.onnx.ml."""
