"""A network as one C99 file without dependencies: `export` writes it, `verify_export` proves that it is the network.

The formulas are those the library itself is compiled from: they are read from its tables and kernels (_library.py) and
written as plain C (_writer.py). What a network computes is laid out by _plan.py; _predict.py writes the function.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np

from cbp._core import version
from cbp.io import replacing
from cbp.io.c import _names, _support
from cbp.io.c._plan import Plan, plan_of
from cbp.io.c._predict import arguments, array, predict_text, scaling_arrays, support
from cbp.io.c._verify import Report, verify_export
from cbp.io.c._writer import Writer, comment_of

if TYPE_CHECKING:
    from cbp._typing import Path
    from cbp.network import Network

__all__ = ["Report", "export", "verify_export"]


def export(net: Network, path: Path, *, name: str | None = None) -> None:
    """Write a network as C99: one file, and its header beside it.

    Parameters
    ----------
    net : Network
    path : str or path-like
        A name that ends in .c; the header is called the same, with .h. Existing files are replaced.
    name : str, optional
        What all names in C begin with. Default: the file's own name, with _ for what a name in C cannot have.
    """
    file = os.fspath(path)
    header = f"{os.path.splitext(file)[0]}.h"
    prefix = _prefix(file, name)
    plan = plan_of(net)
    writer = Writer(prefix, plan.dtype)
    source = _source(plan, writer, os.path.basename(header))
    with replacing(file) as c, replacing(header) as h:
        h.write(_header(plan, writer, os.path.basename(header)).encode("ascii"))
        c.write(source.encode("ascii"))


def _prefix(file: str, name: str | None) -> str:
    if name is not None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise ValueError(f"name must be a name in C that begins with a letter, not {name!r}")
        return name
    stem = os.path.splitext(os.path.basename(file))[0]
    made = re.sub(r"[^A-Za-z0-9_]", "_", stem).strip("_")
    return made if re.match(r"[A-Za-z]", made) else f"net_{made}".rstrip("_")


def _header(plan: Plan, writer: Writer, file: str) -> str:
    """Return the text of the header."""
    upper, named = writer.prefix.upper(), writer.named
    guard = f"{upper}_H"
    _, work = plan.places()
    real = "double" if writer.double else "float"
    taken = "double" if plan.input_scaling is not None else real
    lines = [
        comment_of(f"{file} - {plan.title}"),
        comment_of(f"Written by cbp {version()}; the numbers are those of Network.predict, bit for bit."),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {upper}_INPUTS {plan.n_in}",
        f"#define {upper}_OUTPUTS {plan.n_out}",
        f"#define {upper}_WORK {max(work, 1)} /* numbers of type {named('real')} that `work` must hold */",
        "",
        f"typedef {real} {named('real')};",
        f"typedef {taken} {named('input')};" + (" /* scaled before it is rounded */" if taken != real else ""),
        "",
        *_names.declarations(plan, writer),
        "/* y[OUTPUTS] := the network's outputs for x[INPUTS]. No two of x, y and work[WORK] may overlap. */",
        f"void {named('predict')}({arguments(writer)});",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _source(plan: Plan, writer: Writer, header: str) -> str:
    """Return the text of the C file."""

    def weights(step, place):
        return f"{writer.named(f'layer_{step.number}')}{f' + {place}' if place else ''}"

    predict = predict_text(plan, writer, weights)
    scaling = scaling_arrays(plan, writer)
    layers = [
        array(
            writer.real,
            writer.named(f"layer_{step.number}"),
            step.theta,
            f"layer {step.number}: biases, then the weights from each input to all units",
        )
        for step in plan.steps
    ]
    return "\n".join(
        [
            comment_of(f"{plan.title}") + "\n" + comment_of(f"Written by cbp {version()}: see {header}."),
            f'#include "{header}"\n\n#include <float.h>\n#include <stdint.h>\n{_support.MEMCPY}',
            _support.text(_support.guard(writer.double), writer.prefix),
            support(plan, writer, predict),
            *([scaling] if scaling else []),
            *layers,
            *([classes] if (classes := _names.definition(plan, writer)) else []),
            predict,
        ]
    )
