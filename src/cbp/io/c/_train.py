"""The function that trains: one step of gradient descent on the caller's parameters, the bits of Network.train_step.

A sample has a row of the workspace: its scaled inputs if they are, the activations of all layers, and what becomes
their deltas. Four functions share the work: up, cost and down go over one sample, train_step over all of them and then
over the layers, each of which takes its step at once, since nobody needs its old weights any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cbp.io.c._cost import Cost
from cbp.io.c._predict import at, function_text, scaled_inputs, sum_lines, weights
from cbp.io.c._writer import comment_of, wrapped
from cbp.tables import argument

if TYPE_CHECKING:
    from cbp.io.c._plan import Plan, Run, Step
    from cbp.io.c._writer import Writer


@dataclass(frozen=True)
class Training:
    """Writes the functions of a network."""

    plan: Plan
    writer: Writer

    def text(self) -> str:
        """Return all functions."""
        return "\n".join(part for part in (self.up(), self.cost(), self.down(), self.step()) if part)

    # ---- where things lie ----

    @cached_property
    def row(self) -> tuple[dict[str, int], int]:
        """Where a sample's numbers lie in its row of the workspace, and how long that is."""
        found, size = {}, 0
        if self.plan.input_scaling is not None:
            found["a0"], size = 0, self.plan.n_in
        for letter in "ad":
            for step in self.plan.steps:
                if letter == "a" or step.number >= self.lowest:
                    found[f"{letter}{step.number}"] = size
                    size += step.n_out
        return found, size

    @cached_property
    def lowest(self) -> int:
        """The lowest layer that is trained; below it no deltas are needed."""
        return min((step.number for step in self.plan.steps if step.trained), default=len(self.plan.steps))

    @cached_property
    def fed(self) -> dict[int, list[int]]:
        """The layers that each layer feeds, the highest first."""
        steps = self.plan.steps
        return {
            k: [s.number for s in reversed(steps) if k in (source for source, _ in s.sources)]
            for k in range(len(steps))
        }

    @cached_property
    def scratch(self) -> tuple[dict[int, int], int]:
        """Where the errors of layers that feed several lie behind the rows, after those of one; and the size of all."""
        size = max(step.n_out for step in self.plan.steps)
        found = {}
        for step in self.plan.steps[:-1]:
            if step.number >= self.lowest and len(self.fed[step.number]) > 1:
                found[step.number] = size
                size += step.n_out
        return found, size

    def pointers(self, used: str) -> list[str]:
        """Return the declarations of those of a row's arrays that the text uses."""
        places = self.row[0].items()
        return [f"{self.writer.real} *const {name} = {at('row', place)};" for name, place in places if _in(name, used)]

    # ---- one sample ----

    def up(self) -> str:
        """Return the function for the way up."""
        where = {0: "a0" if self.plan.input_scaling is not None else "x"}
        where |= {step.number: f"a{step.number}" for step in self.plan.steps}
        body = scaled_inputs(self.plan, self.writer) if self.plan.input_scaling is not None else []
        for step in self.plan.steps:
            body += sum_lines(step, self.writer, where, True)
            if step.steepness != 1:
                factor = self.writer.literal(step.steepness)
                body.append(f"{self.writer.loop('scale')}({step.n_out}, {factor}, a{step.number});")
            for run in step.runs:
                body += self.run_lines(step, run)
        head = (
            f"static void {self.writer.named('up')}(const {self.writer.real} *params, "
            f"const {self.writer.named('input')} *x, {self.writer.real} *row)"
        )
        return self._function("Activations a of a sample; slopes d, or what the loss starts from", head, body)

    def run_lines(self, step: Step, run: Run) -> list[str]:
        """Return the statements that make activations and slopes of a run's net inputs, which are steepened already."""
        writer, a, d = self.writer, f"a{step.number}", f"d{step.number}"
        fields, p = writer.library.activations[run.row.name], writer.literal(argument(run.row))
        if run.row.row_wise:
            call = writer.row_wise(run.row, "_log")
            return [f"{call}({run.count}, {at(a, run.first)}, {at(d, run.first)});"]
        value = writer.row(run.row.name, fields[4], ("z", "p")).call(z="z", p=p)
        lines = [f"const {writer.real} z = {a}[j];", f"{a}[j] = {value};"]
        if step.number >= self.lowest:
            if self._starts_from_z(step, run):
                lines.append(f"{d}[j] = z;")
            else:
                formula = writer.row(f"{run.row.name}_slope", fields[5], ("z", "a", "p"))
                lines.append(f"{d}[j] = {writer.term(formula, z='z', a=f'{a}[j]', p=p)};")
                if step.steepness != 1:
                    lines.append(f"{d}[j] = {writer.named('rounded')}({writer.literal(step.steepness)} * {d}[j]);")
        loop = f"for (j = {run.first}; j < {run.first + run.count}; j++) {{"
        return [loop, *(f"    {line}" for line in lines), "}"]

    def _starts_from_z(self, step: Step, run: Run) -> bool:
        """Whether a run is part of a loss that starts from its net inputs."""
        if step.number < len(self.plan.steps):
            return False
        return any(top.first <= run.first < top.first + top.units and top.loss.head for top in self.plan.tops())

    def cost(self) -> str:
        """Return the function for the cost of a sample."""
        named = self.writer.named
        head = f"static double {named('cost')}(const {named('target')} *y, {self.writer.real} *row)"
        lines = Cost(self.plan, self.writer).lines()
        return self._function("The cost of a sample; what the loss starts from becomes deltas", head, lines)

    def down(self) -> str:
        """Return the function for the way down, which makes deltas of all slopes; empty where that is no work."""
        writer, places = self.writer, self.scratch[0]
        body: list[str] = []
        for step in reversed(self.plan.steps):
            row = step.n_out
            for source, units in step.sources:
                if source >= self.lowest:
                    first, final = self.fed[source][0] == step.number, step.number == source + 1
                    e = at("e", places.get(source, 0))
                    place = weights(step, writer, True, row)
                    given = f"{units}, {step.n_out}, d{step.number}, {place}, {int(not first)}, {e}"
                    body.append(f"{writer.loop('errors')}({given});")
                    if final:
                        body.append(f"{writer.loop('multiply')}({units}, {e}, d{source});")
                row += units * step.n_out
        if not body:
            return ""
        head = f"static void {writer.named('down')}(const {writer.real} *params, {writer.real} *row, {writer.real} *e)"
        return self._function("Deltas d of a sample from its slopes; e is scratch", head, body)

    def _function(self, note: str, head: str, body: list[str]) -> str:
        text = "\n".join(body)
        lines = [*self.pointers(text), *(["int j;"] if "for (j" in text else []), *body]
        return "\n".join([comment_of(note), wrapped(f"{head} {{"), *(wrapped(line, 4) for line in lines), "}\n"])

    # ---- all samples ----

    def step_head(self) -> str:
        """Return the head of the function that makes a step."""
        real, named = self.writer.real, self.writer.named
        return (
            f"double {named('train_step')}({real} *params, int rows, const {named('input')} *x, "
            f"const {named('target')} *y, double learning_rate, {real} *work)"
        )

    def step(self) -> str:
        """Return the function that makes a step."""
        plan, real, named = self.plan, self.writer.real, self.writer.named
        row, down = self.row[1], bool(self.down())
        updates = [line for step in plan.steps if step.trained for line in self.update_lines(step)]
        text = "\n".join(updates)
        lines = [
            f"const {real} rate = ({real})learning_rate{', one = 1' if _in('one', text) else ''};",
            f"{real} *const scratch = work + (size_t)rows * {row}, *row = work;",
            "double sum = 0;",
            f"{real} factor;",
            "int r;",
            f"for (r = 0; r < rows; r++, row += {row}) {{",
            f"    {named('up')}(params, x + (size_t)r * {plan.n_in}, row);",
            f"    sum += {named('cost')}(y + (size_t)r * {plan.n_targets}, row);",
            *([f"    {named('down')}(params, row, scratch);"] if down else []),
            "}",
            *self.objective_lines(),
            "if (!(sum - sum == 0)) return sum;",
            f"factor = {'1' if plan.reduction == 'sum' else f'({real})(1 / (double)rows)'};",
            *updates,
            "return sum;",
        ]
        return function_text(wrapped(self.step_head()), [wrapped(line, 4)[4:] for line in lines])

    def objective_lines(self) -> list[str]:
        """Return the statements that make the objective of the sum of all costs."""
        lines = []
        penalized = [step for step in self.plan.steps if step.penalized]
        if penalized:
            call, costs = self.writer.loop("penalty"), []
            for step in penalized:
                weights = at("params", step.offset + step.n_out)
                costs.append(f"{call}({step.theta.size - step.n_out}, {weights}, {step.dense.l1!r}, {step.dense.l2!r})")
            lines = ["{", "    volatile double penalty = 0;", *(f"    penalty += {cost};" for cost in costs)]
            lines += ["    penalty = rows * penalty;", "    sum += penalty;", "}"]
        return lines + (["sum /= rows;"] if self.plan.reduction == "mean" else [])

    def update_lines(self, step: Step) -> list[str]:
        """Return the statements that move the parameters of a layer."""
        places, size = self.row
        n, delta, row = step.n_out, at("work", places[f"d{step.number}"]), 0
        lines = [comment_of(f"layer {step.number}"), self.descend(step, 1, "&one", 0, delta, 0)]
        for source, units in step.sources:
            if f"a{source}" in places:
                a, apart = at("work", places[f"a{source}"]), size
            else:
                a, apart = "x", self.plan.n_in
            lines.append(self.descend(step, units, a, apart, delta, 1 + row))
            row += units
        if step.dense.max_norm is not None:
            most = self.writer.literal(step.dense.max_norm)
            weights = at("params", step.offset + n)
            lines.append(f"{self.writer.loop('shorten')}({row}, {n}, {most}, {weights}, {self.kept(step, n)});")
        return lines

    def descend(self, step: Step, units: int, a: str, apart: int, delta: str, row: int) -> str:
        """Return the statement that moves the weights of some inputs, those in rows `row` .. of theta."""
        n, place = step.n_out, at("params", step.offset + row * step.n_out)
        given = f"rows, {units}, {n}, {a}, {apart}, {delta}, {self.row[1]}, factor, rate, scratch, {place}"
        penalized = step.penalized and row > 0
        if not penalized and step.kept is None:
            return f"{self.writer.loop('descend')}({given});"
        sums = self.plan.reduction == "sum"
        l1, l2 = (
            f"({self.writer.real})({value!r} * rows)" if sums and value else self.writer.literal(value)
            for value in (step.dense.l1, step.dense.l2)
        )
        more = f"1, {l1}, {l2}" if penalized else "0, 0, 0"
        return f"{self.writer.loop('descend_held')}({given}, {more}, {self.kept(step, row * n)});"

    def kept(self, step: Step, place: int) -> str:
        """Return where it says which parameters of a layer are trained."""
        return "NULL" if step.kept is None else at(self.writer.named(f"kept_{step.number}"), place)


def _in(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None
