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

from cbp.io.c._predict import at, function_text, scaled_inputs, sum_lines, weights
from cbp.io.c._writer import comment_of, wrapped
from cbp.tables import argument

if TYPE_CHECKING:
    from cbp.io.c._plan import Plan, Run, Step, Top
    from cbp.io.c._writer import Formula, Writer


@dataclass(frozen=True)
class Training:
    """Writes the functions of a network."""

    plan: Plan
    writer: Writer

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

    def pointers(self, used: str, const: bool) -> list[str]:
        """Return the declarations of those of a row's arrays that the text uses."""
        kind = f"const {self.writer.real}" if const else self.writer.real
        return [f"{kind} *const {name} = {at('row', place)};" for name, place in self.row[0].items() if _in(name, used)]

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
        return self._function("activations a of a sample, and slopes d, or what the loss starts from", head, body)

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
                lines.append(f"{d}[j] = {self._rounded(formula, z='z', a=f'{a}[j]', p=p)};")
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
        """Return the function for the cost of a sample, which makes the deltas of the output layer."""
        several = len(self.plan.tops()) > 1 or self.plan.tops()[0].weight != 1
        body: list[str] = []
        for top in self.plan.tops():
            body += ["part = 0;", *self.top_lines(top)]
            body += [f"product = {top.weight!r} * part;", "cost += product;"] if several else []
        counters = ["double cost = 0, part;", "volatile double product; /* rounded before it is added */"]
        counters = counters if several else ["double part;"]
        body += ["return cost;" if several else "return part;"]
        head = (
            f"static double {self.writer.named('cost')}(const {self.writer.named('target')} *y, "
            f"{self.writer.real} *row)"
        )
        return self._function("The cost of a sample; the d of its outputs become deltas", head, body, counters)

    def top_lines(self, top: Top) -> list[str]:
        """Return the statements for one loss."""
        last = len(self.plan.steps)
        lines = self.pair_lines(top) if top.loss.pair else self.single_lines(top)
        a, d = at(f"a{last}", top.first), at(f"d{last}", top.first)
        row_wise, steepness = top.activation.row_wise, self.plan.steps[-1].steepness
        if row_wise and not top.loss.head:
            lines.append(f"{self.writer.row_wise(top.activation, '_back')}({top.units}, {a}, {d});")
        scales = [steepness if row_wise or top.loss.head else 1.0, top.weight]
        for scale in scales:
            if scale != 1:
                lines.append(f"{self.writer.loop('scale')}({top.units}, {self.writer.literal(scale)}, {d});")
        return lines

    def single_lines(self, top: Top) -> list[str]:
        """Return the loop over the outputs of a loss that takes them one by one."""
        fields, letters = self.writer.library.losses[top.loss.name], ("a", "y", "h", "p", "n")
        cost = self.writer.row(f"{top.loss.name}_cost", fields[7], letters)
        slope = self.writer.row(f"{top.loss.name}_slope", fields[8], letters)
        given = self._given(top) | {"h": "h", "a": "a", "y": "t"}
        times = "" if top.loss.head or top.activation.row_wise else " * h"
        last = len(self.plan.steps)
        return self._loop(
            top,
            [("a", f"a{last}[{_index(top.first)}]"), ("h", f"d{last}[{_index(top.first)}]")],
            cost,
            [(f"d{last}[{_index(top.first)}]", slope, times)],
            given,
        )

    def pair_lines(self, top: Top) -> list[str]:
        """Return the loop over the targets of a loss that takes two outputs for each."""
        fields, letters = self.writer.library.losses[top.loss.name], ("a", "v", "y", "p", "n")
        last = len(self.plan.steps)
        cost, slope, other = (
            self.writer.row(f"{top.loss.name}_{what}", field, letters)
            for what, field in zip(("cost", "slope", "slope_v"), fields[8:11], strict=True)
        )
        one, two = _index(top.first), _index(top.first + top.n_targets)
        given = self._given(top) | {"a": "a", "v": "v", "y": "t"}
        deltas = []
        for index, formula in ((one, slope), (two, other)):
            delta = f"d{last}[{index}]"
            deltas.append((delta, formula, "" if top.activation.row_wise else f" * {delta}"))
        return self._loop(top, [("a", f"a{last}[{one}]"), ("v", f"a{last}[{two}]")], cost, deltas, given)

    def _given(self, top: Top) -> dict[str, str]:
        """Return what p and n are."""
        return {"p": self.writer.literal(argument(top.loss)), "n": self.writer.literal(top.n_targets)}

    def _loop(
        self,
        top: Top,
        read: list[tuple[str, str]],
        cost: Formula,
        deltas: list[tuple[str, Formula, str]],
        given: dict[str, str],
    ) -> list[str]:
        used = " ".join([*cost.letters, *(f"{' '.join(formula.letters)} {times}" for _, formula, times in deltas)])
        lines = [f"const {self.writer.real} {name} = {place};" for name, place in read if _in(name, used)]
        lines.append(f"const {self.writer.real} t = {self._target(top)};")
        known = "t == t ? {} : 0" if self.plan.missing else "{}"
        lines.append(f"part += (double){_enclosed(known.format(self._rounded(cost, **given)))};")
        for place, formula, times in deltas:
            value = formula.call(**given)
            value = f"{self.writer.named('rounded')}({value}{times})"
            lines.append(f"{place} = {known.format(value)};")
        return [f"for (j = 0; j < {top.n_targets}; j++) {{", *(f"    {line}" for line in lines), "}"]

    def _target(self, top: Top) -> str:
        index, named = _index(top.target), self.writer.named
        if self.plan.target_scaling is None:
            return f"y[{index}]"
        return (
            f"({self.writer.real})((y[{index}] - {named('target_center')}[{index}]) / {named('target_scale')}[{index}])"
        )

    def down(self) -> str:
        """Return the function for the way down, which makes deltas of all slopes; nothing where that takes one layer."""
        writer, places = self.writer, self.scratch[0]
        body: list[str] = []
        for step in reversed(self.plan.steps):
            row = step.n_out
            for source, units in step.sources:
                if source >= self.lowest:
                    first, final = self.fed[source][0] == step.number, step.number == source + 1
                    e = at("e", places.get(source, 0))
                    place = weights(step, writer, True, row)
                    body.append(
                        f"{writer.loop('errors')}({units}, {step.n_out}, d{step.number}, {place}, {int(not first)}, {e});"
                    )
                    if final:
                        body.append(f"{writer.loop('multiply')}({units}, {e}, d{source});")
                row += units * step.n_out
        if not body:
            return ""
        head = f"static void {writer.named('down')}(const {writer.real} *params, {writer.real} *row, {writer.real} *e)"
        return self._function("deltas d of a sample; e is scratch", head, body)

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
            *([] if updates else ["(void)rate, (void)factor;"]),
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

    def text(self) -> str:
        """Return all functions."""
        return "\n".join(part for part in (self.up(), self.cost(), self.down(), self.step()) if part)

    def _function(self, note: str, head: str, body: list[str], more: list[str] | None = None) -> str:
        text = "\n".join(body)
        lines = [*self.pointers(text, False), *(["int j;"] if "for (j" in text else []), *(more or []), "", *body]
        indented = [wrapped(line, 4) if line else "" for line in lines]
        return "\n".join([comment_of(note), f"{head} {{", *indented, "}\n"])

    def _rounded(self, formula: Formula, **values: str) -> str:
        call = formula.call(**values)
        return f"{self.writer.named('rounded')}({call})" if formula.signature.returns_product else call


def _in(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _index(first: int) -> str:
    return f"j + {first}" if first else "j"


def _enclosed(text: str) -> str:
    return f"({text})" if "?" in text else text
