"""The function that predicts: one loop after the other, straight down the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cbp.io.c import _support
from cbp.io.c._writer import WIDTH, Writer, comment_of, literal
from cbp.tables import argument

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.io.c._plan import Plan, Run, Step


def predict_text(plan: Plan, writer: Writer, weights: Callable[[Step, int], str], params: str = "") -> str:
    """Return the function; `weights` gives an expression for a layer's parameters from a number on."""
    places, _ = plan.places()
    where = {0: "x", **{number: f"a{number}" for number in places}, len(plan.steps): "y"}
    body: list[str] = []
    if plan.input_scaling is not None:
        body += _scaled_inputs(plan, writer)
    for step in plan.steps:
        body += [comment_of(f"layer {step.number}: {step.text}"), *layer_lines(step, writer, where, weights)]
    if plan.target_scaling is not None:
        body += _restored_outputs(plan, writer)
    head = [f"{writer.real} *const a{number} = work{f' + {at}' if at else ''};" for number, at in places.items()]
    head += ["int j;"] if any("for (j" in line for line in body) else []
    head += [] if places else ["(void)work;"]
    return function_text(f"void {writer.named('predict')}({params}{arguments(writer)})", [*head, "", *body])


def function_text(head: str, lines: list[str]) -> str:
    """Return a function of these lines."""
    return "\n".join([f"{head} {{", *(f"    {line}" if line else "" for line in lines), "}\n"])


def arguments(writer: Writer) -> str:
    """Return the arguments of predict."""
    return f"const {writer.named('input')} *x, {writer.real} *y, {writer.real} *work"


def layer_lines(step: Step, writer: Writer, where: dict[int, str], weights: Callable[[Step, int], str]) -> list[str]:
    """Return the statements of one layer."""
    a, n = where[step.number], step.n_out
    lines, row = [f"memcpy({a}, {weights(step, 0)}, {n} * sizeof(*{a}));"], n
    for source, units in step.sources:
        lines.append(f"{writer.named('product')}({units}, {n}, {where[source]}, {weights(step, row)}, {a});")
        row += units * n
    for run in step.runs:
        lines += run_lines(run, step, writer, a)
    return lines


def run_lines(run: Run, step: Step, writer: Writer, a: str) -> list[str]:
    """Return the statements that make activations of the net inputs of a run."""
    loop = f"for (j = {run.first}; j < {run.first + run.count}; j++) {a}[j] = "
    fields, z, lines = writer.library.activations[run.row.name], f"{a}[j]", []
    if step.steepness != 1:
        z = f"{writer.named('rounded')}({writer.literal(step.steepness)} * {z})"
        if run.row.row_wise or fields[4] == "z":
            lines, z = [f"{loop}{z};"], f"{a}[j]"
    if run.row.row_wise:
        place = f"{a} + {run.first}" if run.first else a
        return [*lines, f"{writer.row_wise(run.row.name, fields[4])}({run.count}, {place});"]
    if fields[4] == "z":
        return lines
    activation = writer.row(run.row.name, fields[4], ("z", "p"))
    return [f"{loop}{activation.call(z=z, p=writer.literal(argument(run.row)))};"]


def _scaled_inputs(plan: Plan, writer: Writer) -> list[str]:
    return [
        comment_of("inputs in units of their own, scaled in double, then rounded"),
        f"for (j = 0; j < {plan.n_in}; j++)",
        f"    a0[j] = ({writer.real})((x[j] - {writer.named('input_center')}[j]) / {writer.named('input_scale')}[j]);",
    ]


def _restored_outputs(plan: Plan, writer: Writer) -> list[str]:
    return [
        comment_of("outputs in units of the targets"),
        f"for (j = 0; j < {plan.n_out}; j++) {{",
        f"    volatile double product = (double)y[j] * {writer.named('target_scale')}[j]; /* rounded before it is added */",
        f"    y[j] = ({writer.real})(product + {writer.named('target_center')}[j]);",
        "}",
    ]


# ---- numbers ----


def numbers(values: Array) -> str:
    """Return numbers with commas between them, in lines."""
    lines, line = [], "   "
    for value in values.ravel():
        word = f" {literal(value)},"
        if len(line) + len(word) > WIDTH:
            lines.append(line)
            line = "   "
        line += word
    return "\n".join([*lines, line.rstrip(",")])


def array(kind: str, name: str, values: Array, note: str = "", linkage: str = "static const") -> str:
    """Return the definition of an array of constants."""
    comment = f"{comment_of(note)}\n" if note else ""
    return f"{comment}{linkage} {kind} {name}[{values.size}] = {{\n{numbers(values)}}};\n"


def scaling_arrays(plan: Plan, writer: Writer) -> str:
    """Return center and scale of inputs and targets, in double."""
    made = []
    for name, scaling in (("input", plan.input_scaling), ("target", plan.target_scaling)):
        if scaling is not None:
            center, scale = scaling.as_array().astype(np.float64)
            made.append(
                array("double", writer.named(f"{name}_center"), center, f"scaled {name}s: (x - center) / scale")
            )
            made.append(array("double", writer.named(f"{name}_scale"), scale))
    return "\n".join(made)


def support(plan: Plan, writer: Writer, user: str) -> str:
    """Return arithmetic, functions and the product, as far as `user` needs them."""
    plain = writer.text()
    product = _support.text(_support.PRODUCT, writer.prefix)
    text = f"{plain}{product}{user}".replace(f"{writer.prefix}_", "model_")
    head = _support.text(_support.arithmetic(writer.double, text), writer.prefix)
    return "\n".join(part for part in (head, plain, product) if part)
