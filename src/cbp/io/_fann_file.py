"""The text of a .net file of FANN 2: what stands in it, read and written. What it means is the business of fann.py.

A line says which library wrote it, then come lines "key=value"; the last two keys have a tuple for every neuron and
every connection. Everything is checked against the length of the text before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import FormatError

if TYPE_CHECKING:
    from cbp._typing import Array

HEADERS = {"FANN_FLO_2.1", "FANN_FLO_2.0", "FANN_FIX_2.1", "FANN_FIX_2.0"}
NEURONS = "neurons (num_inputs, activation_function, activation_steepness)"
CONNECTIONS = "connections (connected_to_neuron, weight)"
SCALING = tuple(f"scale_{what}_{side}" for side in ("in", "out") for what in ("mean", "deviation", "new_min", "factor"))
BEFORE = {
    "learning_rate": "0.700000",
    "connection_rate": "",
    "network_type": "",
    "learning_momentum": "0.000000",
    "training_algorithm": "2",
    "train_error_function": "1",
    "train_stop_function": "0",
    "cascade_output_change_fraction": "0.010000",
    "quickprop_decay": "-0.000100",
    "quickprop_mu": "1.750000",
    "rprop_increase_factor": "1.200000",
    "rprop_decrease_factor": "0.500000",
    "rprop_delta_min": "0.000000",
    "rprop_delta_max": "50.000000",
    "rprop_delta_zero": "0.100000",
    "cascade_output_stagnation_epochs": "12",
    "cascade_candidate_change_fraction": "0.010000",
    "cascade_candidate_stagnation_epochs": "12",
    "cascade_max_out_epochs": "150",
    "cascade_min_out_epochs": "50",
    "cascade_max_cand_epochs": "150",
    "cascade_min_cand_epochs": "50",
    "cascade_num_candidate_groups": "2",
    "bit_fail_limit": "0.35",
    "cascade_candidate_limit": "1000",
    "cascade_weight_multiplier": "0.4",
    "cascade_activation_functions_count": "10",
    "cascade_activation_functions": "3 5 7 8 10 11 14 15 16 17",
    "cascade_activation_steepnesses_count": "4",
    "cascade_activation_steepnesses": "0.25 0.5 0.75 1",
}
"""The keys between num_layers and layer_sizes, in the order in which libfann reads them, with its defaults."""
TRAINING = {key: value for key, value in BEFORE.items() if value}
"""Those of them that say how to train."""
KEYS = {"decimal_point", "num_layers", *BEFORE, "layer_sizes", "scale_included", *SCALING, NEURONS, CONNECTIONS}

_CHUNK = 2**16
_NUMBER = rb"[-+]?(?:[0-9]{1,64}+(?:\.[0-9]{0,64}+)?|\.[0-9]{1,64}+)(?:[eE][-+]?[0-9]{1,4}+)?"
_WORD = re.compile(_NUMBER)  # no pattern of a whole list: Python 3.11.2 goes wrong where a group is repeated with *+
_TUPLES = {width: re.compile(rb"\(\s*+" + rb"\s*+,\s*+".join([_NUMBER] * width) + rb"\s*+\)") for width in (2, 3)}
_KEY = re.compile(rb"^([a-z_]+(?: \([a-z_, ]*\))?)=", re.MULTILINE)
_NO_BRACKETS = bytes.maketrans(b"(),", b"   ")
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Stored:
    """What a file says.

    Attributes
    ----------
    sizes : ndarray of int64, shape (layers,)
        Neurons of every layer, those that are biases among them.
    shortcut : bool
        Layers are fed by all before them, not by the one before.
    rate : float
        Which part of the connections there is; where it is 1 or more libfann takes all, and ignores `sources`.
    n_inputs, functions : ndarray of int64, shape (neurons,)
    steepness : ndarray of float64, shape (neurons,)
    sources : ndarray of int64, shape (connections,)
        The neuron that a connection comes from, for one neuron after the other.
    weights : ndarray of float64, shape (connections,)
    scaling : dict
        The values of `SCALING`, each an ndarray; or empty.
    training : dict
        The values of `TRAINING` as they stand there.
    fixed : bool
        Whether the numbers were those of the fixed-point library.
    """

    sizes: Array
    shortcut: bool
    rate: float
    n_inputs: Array
    functions: Array
    steepness: Array
    sources: Array
    weights: Array
    scaling: dict[str, Array] = field(default_factory=dict)
    training: dict[str, str] = field(default_factory=dict)
    fixed: bool = False


# ---- reading ----


def read(text: bytes) -> Stored:
    """Return what the text of a file says; raise FormatError where it is not that of a .net file."""
    header, _, _ = text[:64].partition(b"\n")
    version = _check_header(header.decode("latin-1").strip())
    spans = _sections(text, len(header))
    values = _Values(text, spans)
    sizes = values.whole("layer_sizes")
    if len(sizes) < 2 or values.whole("num_layers").tolist() != [len(sizes)]:
        raise FormatError("num_layers and layer_sizes do not go together")
    fixed = version.startswith("FANN_FIX")
    point = values.one("decimal_point", 30) if fixed else 0
    rate = float(values.numbers("connection_rate", 1)[0])
    if not 0 <= rate <= 1:
        raise FormatError(f"connection_rate is {rate}, which it cannot be")
    n_inputs, functions, steepness = values.tuples(NEURONS, 3).T
    sources, weights = values.tuples(CONNECTIONS, 2).T
    return Stored(
        sizes,
        bool(values.one("network_type", 1)),
        rate,
        whole(n_inputs, NEURONS),
        whole(functions, NEURONS),
        np.ldexp(steepness, -point),
        whole(sources, CONNECTIONS),
        np.ldexp(weights, -point),
        _read_scaling(values),
        {} if fixed else {key: values.text(key) for key in TRAINING if key in spans},
        fixed,
    )


def _check_header(version: str) -> str:
    if version in HEADERS:
        return version
    if re.fullmatch(r"FANN_F(LO|IX)_[0-9.]+", version):
        raise FormatError(f"it is a file of the version {version}, not of FANN_FLO_2.1; libfann 2 makes that of it")
    raise FormatError("it does not begin with FANN_FLO_2.1, as a .net file does")


def _sections(text: bytes, start: int) -> dict[str, tuple[int, int]]:
    """Return the beginning and end of every key's value."""
    spans: dict[str, tuple[int, int]] = {}
    key = ""
    for match in _KEY.finditer(text, start):
        if key:
            spans[key] = spans[key][0], match.start()
        elif text[start : match.start()].strip():
            raise FormatError("there is something between its first two lines")
        key = match[1].decode()
        if key not in KEYS:
            raise FormatError(f"it has a key {key[:80]!r} that does not belong")
        if key in spans:
            raise FormatError(f"it says twice what {key} is")
        spans[key] = match.end(), len(text)
    return spans


class _Values:
    """The values of a file, parsed when they are asked for."""

    def __init__(self, text: bytes, spans: dict[str, tuple[int, int]]) -> None:
        self._text, self.spans = text, spans

    def _span(self, key: str) -> tuple[int, int]:
        if key not in self.spans:
            raise FormatError(f"it does not say what {key} is")
        return self.spans[key]

    def text(self, key: str) -> str:
        """Return a value as it stands there, if it is made of numbers."""
        self.numbers(key)
        start, end = self._span(key)
        return self._text[start:end].decode().strip()

    def numbers(self, key: str, count: int | None = None) -> Array:
        """Return a value of numbers with spaces between them, so many, in float64."""
        found = self._parse(key, are_numbers, b" ")
        if count is not None and len(found) != count:
            raise FormatError(f"{key} has {len(found)} numbers, not {count}")
        return found

    def whole(self, key: str) -> Array:
        """Return a value of whole numbers from 0 on."""
        return whole(self.numbers(key), key)

    def one(self, key: str, most: int) -> int:
        """Return one whole number that is not too large."""
        number = int(whole(self.numbers(key, 1), key)[0])
        if number > most:
            raise FormatError(f"{key} is {number}, which it cannot be")
        return number

    def tuples(self, key: str, width: int) -> Array:
        """Return a value of tuples, shape (n, width), in float64."""
        one = _TUPLES[width]
        return self._parse(key, lambda piece: not one.sub(b"", piece).strip(), b")").reshape(-1, width)

    def _parse(self, key: str, right: Callable[[bytes], bool], last: bytes) -> Array:
        """Read a value piece by piece, each ending in `last`, so that little more than the numbers is in memory."""
        start, end = self._span(key)
        parts = []
        while start < end:
            cut = self._text.find(last, start + _CHUNK, end)
            stop = end if cut < 0 else cut + 1
            piece = self._text[start:stop]
            if not right(piece):
                raise FormatError(f"{key} is not a list of numbers as libfann writes it")
            parts.append(np.array([float(word) for word in piece.translate(_NO_BRACKETS).split()], np.float64))
            start = stop
        numbers = np.concatenate(parts) if parts else np.empty(0)
        if not np.isfinite(numbers).all():
            raise FormatError(f"{key} has a number that is not finite")
        return numbers


def are_numbers(text: bytes) -> bool:
    """Whether there are numbers with spaces between them, and nothing else."""
    return all(map(_WORD.fullmatch, text.split()))


def whole(numbers: Array, key: str) -> Array:
    """Return them as int64; FormatError where one is none."""
    if ((numbers < 0) | (numbers > _MOST) | (numbers != np.floor(numbers))).any():
        raise FormatError(f"{key} has a number that is not a whole one from 0 to {_MOST}")
    return numbers.astype(np.int64)


def _read_scaling(values: _Values) -> dict[str, Array]:
    """Return what scales inputs and outputs, if there is any; files of the version 2.0 never say."""
    if "scale_included" not in values.spans or not values.one("scale_included", 1):
        return {}
    return {key: values.numbers(key) for key in SCALING}


# ---- writing ----


def is_list(text: str) -> bool:
    """Whether this is what a key may be equal to."""
    return bool(text.strip()) and "\n" not in text and are_numbers(text.encode())


def write(stored: Stored) -> Iterator[bytes]:
    """Yield the text of a file, some of it at a time; numbers have all their digits, as those of libfann."""
    yield b"FANN_FLO_2.1\n"
    values = TRAINING | stored.training
    values |= {"connection_rate": f"{stored.rate:f}", "network_type": str(int(stored.shortcut))}
    lines = [f"num_layers={len(stored.sizes)}", *(f"{key}={values[key]}" for key in BEFORE)]
    lines += [
        f"layer_sizes={' '.join(map(str, stored.sizes.tolist()))} ",
        f"scale_included={int(bool(stored.scaling))}",
    ]
    lines += [f"{key}={' '.join(f'{value:.17g}' for value in row)} " for key, row in stored.scaling.items()]
    yield "\n".join(lines).encode() + b"\n"
    yield from _tuples(NEURONS, stored.n_inputs, stored.functions, stored.steepness)
    yield from _tuples(CONNECTIONS, stored.sources, stored.weights)


def _tuples(key: str, *columns: Array) -> Iterator[bytes]:
    yield f"{key}=".encode()
    for start in range(0, len(columns[0]), _CHUNK):
        rows: Any = zip(*(column[start : start + _CHUNK].tolist() for column in columns), strict=True)
        yield "".join([f"({', '.join(map(_shown, row))}) " for row in rows]).encode()
    yield b"\n"


def _shown(number: float) -> str:
    return f"{number:.20e}" if isinstance(number, float) else str(number)
