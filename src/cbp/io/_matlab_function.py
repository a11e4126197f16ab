"""The text of a function that computes a network: what MATLAB's genFunction writes, read; and the like, written.

Constants and the lines that use them are looked for; nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cbp.errors import FormatError
from cbp.io._matlab_net import Described, Parts, Step

if TYPE_CHECKING:
    from cbp._typing import Array

_NUMBER = r"[-+]?(?:[0-9]{1,64}+(?:\.[0-9]{0,64}+)?|\.[0-9]{1,64}+)(?:[eE][-+]?[0-9]{1,4}+)?"
_CONSTANT = re.compile(
    rf"(?<![\w.])(b\d+|[IL]W\d+_\d+|[xy]\d+_step\d+[._]\w+)[ \t]*+=[ \t]*+(\[[^\]]*+\]|{_NUMBER}|[^;\n]*+)"
)
_WORD = re.compile(_NUMBER)
_LAYER = re.compile(r"(?<![\w.])a(\d+)[ \t]*+=[ \t]*+([^;\n]*+)")
_CALL = re.compile(r"(\w+)_apply\((.*)\)\s*+")
_TERM = re.compile(r"repmat\(b(?P<b>\d+),1,Q\)|b(?P<plain>\d+)|(?P<kind>[IL])W(?P<to>\d+)_(?P<of>\d+)\*(?P<what>\w+)")
_COMMENTS = re.compile(r"%[^\n]*+")
_CONTINUED = re.compile(r"\.\.\.[^\n]*+\n")
_SIZE = re.compile(r"(?:(\d+)xQ|Qx(\d+)) matrix, input #1")
_ENTRIES = {"xoffset", "gain", "ymin", "ymean", "keep", "remove", "constants", "value", "xrows"}


# ---- reading ----


def read(text: str) -> Described:
    """Return the network that a function computes; FormatError where it is none that genFunction wrote."""
    code = _CONTINUED.sub(" ", _COMMENTS.sub("", text.replace("\r", "")))
    constants = _constants(code)
    if "b1" not in constants and "IW1_1" not in constants:
        raise FormatError("it has neither b1 nor IW1_1, which MATLAB's genFunction writes")
    if "tapdelay" in code:
        raise FormatError("the network has delays")
    layers = _layers(code, constants)
    inputs, outputs = _steps(constants, "x"), _steps(constants, "y")
    return Described(_n_inputs(text, inputs, layers), inputs, layers, outputs)


def _constants(code: str) -> dict[str, Array]:
    """Return the matrices and numbers by name, "." for "_" in what belongs to a step."""
    found: dict[str, Array] = {}
    for match in _CONSTANT.finditer(code):
        name = re.sub(r"(step\d+)_", r"\1.", match[1])
        if name in found:
            raise FormatError(f"it says twice what {name} is")
        found[name] = _matrix(name, match[2])
    return found


def _matrix(name: str, text: str) -> Array:
    """Return a number or a matrix as a matrix."""
    inside = text.strip().removeprefix("[").removesuffix("]").strip()
    rows = [line.replace(",", " ").split() for line in re.split(r"[;\n]", inside) if line.strip()]
    if not rows or not all(_WORD.fullmatch(word) for row in rows for word in row):
        raise FormatError(f"{name} is not a matrix of numbers")
    values = [[float(word) for word in row] for row in rows]
    if len({len(row) for row in values}) > 1:
        raise FormatError(f"{name} has rows of different lengths")
    matrix = np.array(values)
    if not np.isfinite(matrix).all():
        raise FormatError(f"{name} has a number that is not finite")
    return matrix


def _layers(code: str, constants: dict[str, Array]) -> list[Parts]:
    """Return the layers in their order."""
    found: dict[int, Parts] = {}
    for match in _LAYER.finditer(code):
        number = int(match[1])
        if number != len(found) + 1:
            raise FormatError(f"a{number} is not computed where layer {len(found) + 1} should be")
        found[number] = _parts(number, re.sub(r"\s", "", match[2]), constants)
    if not found:
        raise FormatError("no line computes a1")
    used = {f"b{number}" for number, parts in found.items() if parts.b is not None}
    used |= {f"{'L' if k else 'I'}W{number}_{k or 1}" for number, parts in found.items() for k in parts.weights}
    if unused := {name for name in constants if name[0] in "bIL"} - used:
        raise FormatError(f"no line that can be read uses {min(unused)}")
    return [*found.values()]


def _parts(number: int, line: str, constants: dict[str, Array]) -> Parts:
    """Read what stands to the right of a layer's name, without spaces."""
    call = _CALL.fullmatch(line)
    name, inside = (call[1], call[2]) if call else ("purelin", line)
    parts = Parts(name, None)
    for text in inside.split("+"):
        term = _TERM.fullmatch(text)
        if term is None:
            raise FormatError(f"layer {number} has a term {text[:60]!r}, which is not one of a plain network")
        bias = term["b"] or term["plain"]
        key = f"b{bias}" if bias else f"{term['kind']}W{term['to']}_{term['of']}"
        if int(bias or term["to"]) != number or not (
            bias or _fits(term["kind"], int(term["of"]), term["what"], number)
        ):
            raise FormatError(f"layer {number} has a term {text[:60]!r}, which belongs elsewhere")
        if key not in constants:
            raise FormatError(f"it does not say what {key} is")
        if bias:
            parts.b = constants[key].ravel()
        else:
            parts.weights[int(term["of"]) if term["kind"] == "L" else 0] = constants[key]
    if not parts.weights:
        raise FormatError(f"layer {number} has no weights")
    return parts


def _fits(kind: str, of: int, what: str, number: int) -> bool:
    """Whether weights are multiplied by what they belong to: IW by the only input, LW by a layer before."""
    if kind == "I":
        return of == 1 and what.lower() in ("x1", "xp1")
    return what == f"a{of}" and of < number


def _steps(constants: dict[str, Array], side: str) -> list[Step]:
    """Return the processing of inputs ("x") or outputs ("y"), in order; what is set says which function it is."""
    found: dict[int, dict[str, Array]] = {}
    for name, value in constants.items():
        if match := re.fullmatch(rf"{side}(\d+)_step(\d+)\.(\w+)", name):
            if match[1] != "1":
                raise FormatError(f"there is more than one {'input' if side == 'x' else 'output'}")
            if match[3] not in _ENTRIES:
                raise FormatError(f"{name} is of a processing function that cbp has not")
            found.setdefault(int(match[2]), {})[match[3]] = value.ravel()
    kinds = {"keep": "removeconstantrows", "ymean": "mapstd", "ymin": "mapminmax"}
    steps = []
    for number, settings in sorted(found.items()):
        kind = next((kind for key, kind in kinds.items() if key in settings), None)
        if kind is None:
            raise FormatError(f"{side}1_step{number} has none of {', '.join(kinds)}")
        steps.append(Step(kind, settings))
    return steps


def _n_inputs(text: str, inputs: list[Step], layers: list[Parts]) -> int:
    """Return how many inputs there are before rows are removed: a comment says it, or the rows that are kept do."""
    for parts in layers:
        if 0 in parts.weights:
            n = parts.weights[0].shape[1]
            break
    else:
        raise FormatError("no layer is fed by the inputs")
    for step in inputs:
        if step.name == "removeconstantrows":
            said = _SIZE.search(text)
            return int(said[1] or said[2]) if said else int(max(n, step.settings["keep"].max()))
    return n


# ---- writing ----

_FORMULAS = {
    "tansig": "a = 2 ./ (1 + exp(-2 * n)) - 1;",
    "logsig": "a = 1 ./ (1 + exp(-n));",
    "poslin": "a = max(0, n);",
    "satlin": "a = max(0, min(1, n));",
    "satlins": "a = max(-1, min(1, n));",
    "radbas": "a = exp(-n .* n);",
    "elliotsig": "a = n ./ (1 + abs(n));",
    "softmax": "a = exp(bsxfun(@minus, n, max(n, [], 1)));\na = bsxfun(@rdivide, a, sum(a, 1));",
}
_SCALING = {
    "mapminmax_apply": """function y = mapminmax_apply(x, settings)
y = bsxfun(@minus, x, settings.xoffset);
y = bsxfun(@times, y, settings.gain);
y = bsxfun(@plus, y, settings.ymin);
end""",
    "mapminmax_reverse": """function x = mapminmax_reverse(y, settings)
x = bsxfun(@minus, y, settings.ymin);
x = bsxfun(@rdivide, x, settings.gain);
x = bsxfun(@plus, x, settings.xoffset);
end""",
}


def write(described: Described, name: str) -> str:
    """Return the text of a function of this name that MATLAB and Octave run without a toolbox."""
    return "\n".join(_lines(described, name)) + "\n"


def _lines(described: Described, name: str) -> Iterator[str]:
    yield f"function [y1] = {name}(x1)"
    yield f"%{name.upper()} computes a network that was exported by cbp."
    yield f"%   x1 = {described.n_in}xQ matrix, input #1"
    yield f"%   y1 = {described.layers[-1].units}xQ matrix, output #1"
    yield "% A sample is a column; Q is the number of samples."
    yield ""
    yield from _settings("x1", described.inputs)
    for number, parts in enumerate(described.layers, 1):
        if parts.b is not None:
            yield f"b{number} = {_shown(parts.b[:, None])};"
        for k, W in parts.weights.items():
            yield f"{'L' if k else 'I'}W{number}_{k or 1} = {_shown(W)};"
    yield from _settings("y1", described.outputs)
    yield ""
    yield "Q = size(x1, 2);"
    yield "xp1 = mapminmax_apply(x1, x1_step1);" if described.inputs else "xp1 = x1;"
    for number, parts in enumerate(described.layers, 1):
        terms = [f"repmat(b{number}, 1, Q)"] * (parts.b is not None)
        terms += [f"LW{number}_{k} * a{k}" if k else f"IW{number}_1 * xp1" for k in parts.weights]
        inside = " + ".join(terms)
        yield f"a{number} = {inside if parts.transfer == 'purelin' else f'{parts.transfer}_apply({inside})'};"
    last = f"a{len(described.layers)}"
    yield f"y1 = mapminmax_reverse({last}, y1_step1);" if described.outputs else f"y1 = {last};"
    yield "end"
    yield from _functions(described)


def _settings(name: str, steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        for key in ("xoffset", "gain", "ymin"):
            yield f"{name}_step{number}.{key} = {_shown(step.settings[key][:, None])};"


def _shown(matrix: Array) -> str:
    """Return a matrix with all digits of its numbers."""
    if matrix.size == 1:
        return repr(float(matrix.item()))
    return "[" + ";".join(" ".join(map(repr, row)) for row in matrix.tolist()) + "]"


def _functions(described: Described) -> Iterator[str]:
    """Yield the functions that are called."""
    if described.inputs:
        yield f"\n{_SCALING['mapminmax_apply']}"
    if described.outputs:
        yield f"\n{_SCALING['mapminmax_reverse']}"
    for transfer in dict.fromkeys(parts.transfer for parts in described.layers):
        if transfer in _FORMULAS:
            yield f"\nfunction a = {transfer}_apply(n)\n{_FORMULAS[transfer]}\nend"
