"""The two files: what stands in the header, and in which order the C file has its parts."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np

from cbp._core import version
from cbp.io.c import _arithmetic, _names
from cbp.io.c._eight import coded
from cbp.io.c._plan import Plan, Step
from cbp.io.c._predict import predict_head, predict_text
from cbp.io.c._train import Training
from cbp.io.c._writer import WIDTH, Writer, comment_of, literal, wrapped

if TYPE_CHECKING:
    from cbp._typing import Array


def prefix_of(file: str, name: str | None) -> str:
    """Return what all names of a file begin with."""
    if re.search(r'["\\\n\r]', os.path.basename(file)):
        raise ValueError(f"#include of C cannot name the header of {file!r}")
    if name is not None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise ValueError(f"name must be a name in C that begins with a letter, not {name!r}")
        return name
    stem = os.path.splitext(os.path.basename(file))[0]
    made = re.sub(r"[^A-Za-z0-9_]", "_", stem).strip("_")
    return made if re.match(r"[A-Za-z]", made) else f"net_{made}".rstrip("_")


def files(plan: Plan, prefix: str, header: str, train: bool) -> tuple[str, str]:
    """Return the texts of the C file and of its header, which is called `header`."""
    if train and plan.coded:
        raise ValueError("exported C cannot train weights of 8 bits: leave train or weights out")
    writer = Writer(prefix, plan.dtype)
    if train and not any(step.trained for step in plan.steps):
        raise ValueError("exported C cannot train the network: all its layers are frozen")
    training = Training(plan, writer) if train else None
    return _source(plan, writer, header, training), _header(plan, writer, header, training)


# ---- the header ----


def _header(plan: Plan, writer: Writer, file: str, training: Training | None) -> str:
    upper, named = writer.prefix.upper(), writer.named
    real = "double" if writer.double else "float"
    lines = [
        comment_of(f"{file} - {plan.title}"),
        comment_of(f"Written by cbp {version()}. What it computes is what the network does, to the last bit."),
        f"#ifndef {upper}_H\n#define {upper}_H\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        f"#define {upper}_INPUTS {plan.n_in}",
        f"#define {upper}_OUTPUTS {plan.n_out}",
        f"#define {upper}_WORK {max(plan.places()[1], 1)} /* numbers that the workspace of predict must hold */",
        *([f"#define {upper}_WEIGHT_BITS 8 /* and a scale for each unit */"] if plan.coded else []),
        "",
        f"typedef {real} {named('real')};",
        _typedef("input", plan.input_scaling is not None, writer),
        "",
        *_names.declarations(plan, writer),
        *(_training_lines(plan, writer, training) if training else []),
        *_predict_lines(writer, training is not None),
        "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n",
    ]
    return "\n".join(lines)


def _typedef(what: str, scaled: bool, writer: Writer) -> str:
    kind = "double" if scaled or writer.double else "float"
    note = f" /* {what}s are scaled here, before they are rounded */" if scaled else ""
    return f"typedef {kind} {writer.named(what)};{note}"


def _predict_lines(writer: Writer, train: bool) -> list[str]:
    note = "y[OUTPUTS] := the outputs for x[INPUTS]. None of x, y and work[WORK] may overlap another."
    return [comment_of(note), wrapped(f"{predict_head(writer, train)};")]


def _training_lines(plan: Plan, writer: Writer, training: Training) -> list[str]:
    upper, named = writer.prefix.upper(), writer.named
    size, scratch = training.row[1], training.scratch[1]
    note = (
        "One step of gradient descent on x[rows][INPUTS] and y[rows][TARGETS], rows at least 1, with "
        "work[TRAIN_WORK(rows)]. Returns the objective before the step; where that is not finite, params stay."
    )
    return [
        f"#define {upper}_PARAMS {plan.n_params}",
        f"#define {upper}_TARGETS {plan.n_targets}",
        f"#define {upper}_TRAIN_WORK(rows) ((rows) * {size} + {scratch}) /* and that of train_step */\n",
        _typedef("target", plan.target_scaling is not None, writer),
        "",
        "/* The parameters to begin with: copy them to params[PARAMS] of your own */",
        f"extern const {writer.real} {named('initial')}[{plan.n_params}];\n",
        comment_of(note),
        f"{wrapped(training.step_head())};\n",
    ]


# ---- the C file ----


def _source(plan: Plan, writer: Writer, header: str, training: Training | None) -> str:
    """Return the text of the C file. What calls is written first, since it decides what is to be called."""
    predict = predict_text(plan, writer, training is not None)
    train = training.text() if training else ""
    numbers = [*_scaling(plan, writer), *_parameters(plan, writer, training is not None)]
    classes = _names.definition(plan, writer)
    parts = [
        f'{comment_of(plan.title)}\n/* Written by cbp {version()}: see {header}. */\n#include "{header}"\n',
        f"#include <float.h>\n#include <stdint.h>\n{_arithmetic.MEMCPY}",
        _arithmetic.guard(writer.double),
        *_functions(writer, f"{predict}{train}"),
        *numbers,
        classes,
        predict,
        train,
    ]
    return "\n".join(part for part in parts if part)


def _functions(writer: Writer, user: str) -> list[str]:
    """Return arithmetic, formulas and loops, as far as `user` needs them."""
    formulas = writer.text()
    needed = f"{formulas}{user}".replace(f"{writer.prefix}_", "model_")
    return [_arithmetic.text(_arithmetic.arithmetic(writer.double, needed), writer.prefix), formulas]


def _scaling(plan: Plan, writer: Writer) -> list[str]:
    """Return center and scale of inputs and targets, in double."""
    made = []
    for name, scaling in (("input", plan.input_scaling), ("target", plan.target_scaling)):
        if scaling is not None:
            center, scale = scaling.as_array().astype(np.float64)
            note = f"/* scaled {name}s are (x - center) / scale */\n"
            made.append(note + _array("double", writer.named(f"{name}_center"), center))
            made.append(_array("double", writer.named(f"{name}_scale"), scale))
    return made


def _parameters(plan: Plan, writer: Writer, train: bool) -> list[str]:
    """Return the parameters: of each layer, or all of them; and which of them training leaves alone."""
    note = "biases, then the weights from each input to all units"
    if plan.coded:
        return [text for step in plan.steps for text in _coded(step, writer)]
    if not train:
        return [
            f"/* layer {step.number}: {note} */\n"
            + _array(writer.real, writer.named(f"layer_{step.number}"), step.theta)
            for step in plan.steps
        ]
    made = [f"/* layer by layer: {note} */\n" + _array(writer.real, writer.named("initial"), plan.theta, "const")]
    for step in plan.steps:
        if step.kept is not None and step.trained:
            kept = step.kept.astype(np.uint8)
            made.append(
                f"/* layer {step.number}: 0 where a parameter is fixed */\n"
                + _array("unsigned char", writer.named(f"kept_{step.number}"), kept)
            )
    return made


def _coded(step: Step, writer: Writer) -> list[str]:
    """Return the biases of a layer, the scales of its units, and its weights as whole numbers."""
    codes, scale = coded(step.theta[1:])
    named = writer.named(f"layer_{step.number}")
    return [
        f"/* layer {step.number}: biases */\n" + _array(writer.real, named, step.theta[0]),
        "/* the weights from each input to all units, to be multiplied by */\n"
        + _array(writer.real, f"{named}_scale", scale),
        _array("signed char", f"{named}_codes", codes),
    ]


def _array(kind: str, name: str, values: Array, linkage: str = "static const") -> str:
    """Return the definition of an array of constants."""
    lines, line = [], "   "
    for value in values.ravel():
        word = f" {literal(value) if values.dtype.kind == 'f' else value},"
        if len(line) + len(word) > WIDTH:
            lines.append(line)
            line = "   "
        line += word
    numbers = "\n".join([*lines, line.rstrip(",")])
    return f"{linkage} {kind} {name}[{values.size}] = {{\n{numbers}}};\n"
