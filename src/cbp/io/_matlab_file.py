"""The struct in a .mat file that describes a network, by the names that MATLAB's network object has for its properties.

Files are read by _mat5.py and written by SciPy.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError, optional
from cbp.io import _mat5
from cbp.io._matlab_net import Described, Parts, Step

if TYPE_CHECKING:
    from cbp._typing import Array

_HEAD = b"MATLAB 5.0 MAT-file, a network exported by cbp"
_ROUTE = "put it into a struct as the guide shows, and save that"

# ---- reading ----


def read(data: bytes) -> Described:
    """Return the network that a file describes; raise FormatError where it describes none."""
    variables = _mat5.read(data)
    if "IW" in variables:
        return _described(variables)
    for value in variables.values():
        if isinstance(value, dict) and "IW" in value:
            return _described(value)
    if any(isinstance(value, _mat5.Opaque) for value in variables.values()):
        raise FormatError(f"it has a network object, which only MATLAB can read: {_ROUTE}")
    raise FormatError("it has no variable IW, nor a struct that has")


def _fields(value: Any, name: str) -> dict[str, Any]:
    """Return the fields of a struct."""
    if not isinstance(value, dict):
        raise FormatError(f"{name} is no struct")
    return value


def _cells(fields: dict[str, Any], name: str) -> Array:
    """Return a cell array."""
    value = fields.get(name)
    if not isinstance(value, np.ndarray) or value.dtype != object or value.ndim != 2:
        if isinstance(value, np.ndarray) and value.shape == (0, 0):
            return np.empty((0, 0), object)
        raise FormatError(f"{name} is no cell array")
    return value


def _matrix(value: Any, name: str) -> Array:
    """Return real finite numbers in float64."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.ndim != 2:
        raise FormatError(f"{name} is no matrix of real numbers")
    if not np.isfinite(value).all():
        raise FormatError(f"{name} has a number that is not finite")
    return value.astype(np.float64)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or (value.size and len(value) != 1):
        raise FormatError(f"{name} is no text")
    return "".join(value.ravel().tolist())


def _is_there(cell: Any) -> bool:
    """Whether a cell is not empty."""
    return not isinstance(cell, np.ndarray) or cell.size > 0


def _described(fields: dict[str, Any]) -> Described:
    IW, LW, b, layers = (_cells(fields, name) for name in ("IW", "LW", "b", "layers"))
    n = layers.size
    if n < 1 or IW.shape != (n, 1) or LW.shape != (n, n) or b.size != n:
        more = IW.shape[1] > 1
        raise FormatError("there is more than one input" if more else f"IW, LW and b are not those of {n} layers")
    for name in ("numInputDelays", "numLayerDelays", "numFeedbackDelays"):
        if name in fields and _matrix(fields[name], name).any():
            raise FormatError("the network has delays")
    found = [_parts(number, IW, LW, b.ravel(), layers.ravel()) for number in range(1, n + 1)]
    inputs = [cell for cell in _cells(fields, "inputs").ravel() if _is_there(cell)]
    outputs = [(number, cell) for number, cell in enumerate(_cells(fields, "outputs").ravel(), 1) if _is_there(cell)]
    if len(inputs) != 1 or [number for number, _ in outputs] != [n]:
        raise FormatError("there is not one input, or not one output at the last layer")
    one = _fields(inputs[0], "inputs{1}")
    size = _matrix(one.get("size"), "inputs{1}.size")
    if size.size != 1 or size < 1 or size != np.floor(size) or size > 2**31 - 1:
        raise FormatError("inputs{1}.size is no number of inputs")
    _check_size(int(size.item()), found, one)
    perform = _text(fields["performFcn"], "performFcn") if "performFcn" in fields else ""
    out = _fields(outputs[0][1], f"outputs{{{n}}}")
    return Described(int(size.item()), _steps(one, "inputs{1}"), found, _steps(out, f"outputs{{{n}}}"), perform)


def _check_size(n_in: int, layers: list[Parts], one: dict[str, Any]) -> None:
    """Refuse more inputs than the weights or the processing of the inputs speak of."""
    known = [parts.weights[0].shape[1] for parts in layers if 0 in parts.weights]
    steps = _steps(one, "inputs{1}")
    known += [len(values) for step in steps for values in step.settings.values()]
    known += [len(step.settings.get("keep", ())) + len(step.settings.get("remove", ())) for step in steps]
    if n_in > max(known, default=0):
        raise FormatError(f"inputs{{1}}.size is {n_in}, of which the file knows nothing")


def _parts(number: int, IW: Array, LW: Array, b: Array, layers: Array) -> Parts:
    """Return one layer."""
    layer = _fields(layers[number - 1], f"layers{{{number}}}")
    if "netInputFcn" in layer and _text(layer["netInputFcn"], "netInputFcn") != "netsum":
        raise FormatError(f"layer {number} does not add up its inputs but has {_text(layer['netInputFcn'], '')}")
    bias = _matrix(b[number - 1], f"b{{{number}}}")
    parts = Parts(_text(layer.get("transferFcn"), "transferFcn"), bias.ravel() if bias.size else None)
    blocks = [(0, IW[number - 1, 0]), *enumerate(LW[number - 1], 1)]
    for k, block in blocks:
        matrix = _matrix(block, f"LW{{{number},{k}}}" if k else f"IW{{{number},1}}")
        if matrix.size and k >= number:
            raise FormatError(f"layer {number} is fed by layer {k}, as in networks with delays")
        if matrix.size:
            parts.weights[k] = matrix
    if not parts.weights or any(len(matrix) != parts.units for matrix in parts.weights.values()):
        raise FormatError(f"the weights and biases of layer {number} are not of one size")
    return parts


def _steps(fields: dict[str, Any], name: str) -> list[Step]:
    """Return the processing functions of inputs or outputs, in order."""
    names, settings = (_cells(fields, key).ravel() for key in ("processFcns", "processSettings"))
    if len(names) != len(settings):
        raise FormatError(f"{name} has {len(names)} processFcns and {len(settings)} processSettings")
    steps = []
    for one, values in zip(names, settings, strict=True):
        numbers = {
            key: value.astype(np.float64).ravel()
            for key, value in _fields(values, f"a processSettings of {name}").items()
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        }
        steps.append(Step(_text(one, "processFcns"), numbers))
    return steps


# ---- writing ----


def write(described: Described) -> bytes:
    """Return a file that describes a network: the same bytes for the same network."""
    matlab = optional("scipy.io", "writing .mat files", "matlab")
    file = io.BytesIO()
    matlab.savemat(file, _struct(described), oned_as="column")
    data = file.getvalue()
    return _HEAD.ljust(116) + data[116:]


def _struct(described: Described) -> dict[str, Any]:
    layers = described.layers
    n = len(layers)
    LW = _empty(n, n)
    for i, parts in enumerate(layers):
        for k in parts.weights.keys() - {0}:
            LW[i, k - 1] = parts.weights[k]
    outputs = _empty(1, n)
    outputs[0, -1] = _side(described.outputs, layers[-1].units, "exampleOutput")
    return {
        "IW": _column([parts.weights.get(0) for parts in layers]),
        "LW": LW,
        "b": _column([parts.b for parts in layers]),
        "layers": _column([{"size": float(parts.units), "transferFcn": parts.transfer} for parts in layers]),
        "inputs": _column([_side(described.inputs, described.n_in, "exampleInput")]),
        "outputs": outputs,
        "biasConnect": np.array([[float(parts.b is not None)] for parts in layers]),
        "inputConnect": np.array([[float(0 in parts.weights)] for parts in layers]),
        "layerConnect": np.array([[float(k in parts.weights) for k in range(1, n + 1)] for parts in layers]),
        "performFcn": described.perform,
    }


def _side(steps: Any, n: int, example: str) -> dict[str, Any]:
    """Return what describes the inputs or the outputs; two columns from which mapminmax finds its numbers."""
    settings = _empty(1, len(steps))
    names = _empty(1, len(steps))
    low, high = -np.ones(n), np.ones(n)
    for i, step in enumerate(steps):
        settings[0, i] = {"name": step.name, **{key: _number(value) for key, value in step.settings.items()}}
        names[0, i] = step.name
        low, high = step.settings["xmin"], step.settings["xmax"]
    return {"size": float(n), example: np.stack([low, high], 1), "processFcns": names, "processSettings": settings}


def _number(values: Array) -> Any:
    return float(values.item()) if values.size == 1 else values


def _empty(rows: int, columns: int) -> Array:
    """Return a cell array of empty matrices."""
    cells = np.empty((rows, columns), object)
    cells[...] = [[np.zeros((0, 0)) for _ in range(columns)] for _ in range(rows)] if cells.size else None
    return cells


def _column(values: list[Any]) -> Array:
    """Return a cell array, one column, of these or of empty matrices."""
    cells = _empty(len(values), 1)
    for i, value in enumerate(values):
        if value is not None:
            cells[i, 0] = value
    return cells
