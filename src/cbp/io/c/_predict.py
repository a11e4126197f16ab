"""The function that predicts: straight down the layers, one loop after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cbp.io.c._writer import comment_of
from cbp.tables import argument

if TYPE_CHECKING:
    from cbp.io.c._plan import Plan, Run, Step
    from cbp.io.c._writer import Writer


def predict_text(plan: Plan, writer: Writer, train: bool) -> str:
    """Return the function; with `train` the parameters are the caller's."""
    places, _ = plan.places()
    where = {0: "x", **{number: f"a{number}" for number in places}, len(plan.steps): "y"}
    body: list[str] = []
    if plan.input_scaling is not None:
        body += scaled_inputs(plan, writer)
    for step in plan.steps:
        body += [comment_of(f"layer {step.number}: {step.text}"), *sum_lines(step, writer, where, train)]
        for run in step.runs:
            body += run_lines(run, step, writer, where[step.number])
    if plan.target_scaling is not None:
        body += restored_outputs(plan, writer)
    head = [f"{writer.real} *const a{number} = work{f' + {at}' if at else ''};" for number, at in places.items()]
    head += ["int j;"] if any("for (j" in line for line in body) else []
    head += [] if places else ["(void)work;"]
    return function_text(predict_head(writer, train), [*head, "", *body])


def predict_head(writer: Writer, train: bool) -> str:
    """Return the head of the function."""
    params = f"const {writer.real} *params, " if train else ""
    return (
        f"void {writer.named('predict')}({params}const {writer.named('input')} *x, {writer.real} *y, "
        f"{writer.real} *work)"
    )


def function_text(head: str, lines: list[str]) -> str:
    """Return a function of these lines."""
    return "\n".join([f"{head} {{", *(f"    {line}" if line else "" for line in lines), "}\n"])


def weights(step: Step, writer: Writer, train: bool, place: int) -> str:
    """Return an expression for a layer's parameters from `place` on."""
    if train:
        return f"params + {step.offset + place}" if step.offset + place else "params"
    return f"{writer.named(f'layer_{step.number}')}{f' + {place}' if place else ''}"


def sum_lines(step: Step, writer: Writer, where: Mapping[int, str], train: bool) -> list[str]:
    """Return the statements that make the net inputs of a layer."""
    z, n = where[step.number], step.n_out
    lines, row = [f"memcpy({z}, {weights(step, writer, train, 0)}, {n} * sizeof *{z});"], n
    if step.coded:
        return lines + _coded_sums(step, writer, where)
    for source, units in step.sources:
        place = weights(step, writer, train, row)
        lines.append(f"{writer.loop('product')}({units}, {n}, {where[source]}, {place}, {z});")
        row += units * n
    return lines


def _coded_sums(step: Step, writer: Writer, where: Mapping[int, str]) -> list[str]:
    """Return the statements that add the products with weights of 8 bits."""
    z, n, named, row = where[step.number], step.n_out, writer.named(f"layer_{step.number}"), 0
    lines = []
    for source, units in step.sources:
        place = at(f"{named}_codes", row)
        lines.append(f"{writer.loop('product_8')}({units}, {n}, {where[source]}, {place}, {named}_scale, {z});")
        row += units * n
    return lines


def run_lines(run: Run, step: Step, writer: Writer, a: str) -> list[str]:
    """Return the statements that make activations of the net inputs of a run."""
    loop = f"for (j = {run.first}; j < {run.first + run.count}; j++) {a}[j] = "
    formula, z, lines = writer.library.activations[run.row.name][4], f"{a}[j]", []
    if step.steepness != 1:
        z = f"{writer.named('rounded')}({writer.literal(step.steepness)} * {z})"
        if run.row.row_wise or formula == "z":
            lines, z = [f"{loop}{z};"], f"{a}[j]"
    if run.row.row_wise:
        return [*lines, f"{writer.row_wise(run.row)}({run.count}, {at(a, run.first)});"]
    if formula == "z":
        return lines
    activation = writer.row(run.row.name, formula, ("z", "p"))
    return [f"{loop}{activation.call(z=z, p=writer.literal(argument(run.row)))};"]


def at(name: str, place: int) -> str:
    """Return a pointer to an element."""
    return f"{name} + {place}" if place else name


def scaled_inputs(plan: Plan, writer: Writer) -> list[str]:
    """Return the statements that bring inputs into the network's units."""
    named = writer.named
    return [
        comment_of("scaled in double, then rounded"),
        f"for (j = 0; j < {plan.n_in}; j++)",
        f"    a0[j] = ({writer.real})((x[j] - {named('input_center')}[j]) / {named('input_scale')}[j]);",
    ]


def restored_outputs(plan: Plan, writer: Writer) -> list[str]:
    """Return the statements that bring outputs into the units of the targets."""
    named = writer.named
    return [
        comment_of("in the targets' units; what is volatile is rounded before it is added"),
        f"for (j = 0; j < {plan.n_out}; j++) {{",
        f"    volatile double product = (double)y[j] * {named('target_scale')}[j];",
        f"    y[j] = ({writer.real})(product + {named('target_center')}[j]);",
        "}",
    ]
