"""A trace as text, 100 columns wide: a section for every quantity and layer, a line for every number."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from cbp.trace.symbols import ZERO, short, with_numbers, with_symbols

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbp.trace import Trace
    from cbp.trace.numbers import Check
    from cbp.trace.steps import Section, Step

WIDTH = 100
DIGITS = 6
VALUE = 12  # columns of a number of so many digits
ERROR = 5
INDENT = 4


def render(trace: Trace, max_rows: int) -> str:
    """Return the whole trace, at most `max_rows` numbers of every section."""
    lines = textwrap.wrap(trace.network, WIDTH) + textwrap.wrap(trace.title, WIDTH)
    last = ""
    for section in trace.sections():
        steps = [section.step(at) for at in range(min(section.n, max_rows))]
        checks = [trace.check(step) for step in steps]
        if section.title != last:
            last = section.title
            lines += ["", last + explained(checks)]
        lines += [*_general(section), *_table(section, steps, checks)]
        if section.n > max_rows:
            lines.append(" " * INDENT + left_out(section.n - max_rows))
    return "\n".join(lines)


def explained(checks: list[Check | None]) -> str:
    """Return what the last columns of a table are, with the steps of the differences in it."""
    steps = sorted(check.step for check in checks if check is not None)
    if not steps:
        return ""
    h = dict.fromkeys(short(step, 2) for step in (steps[0], steps[-1]))
    return f"  (value; by central differences, h = {' to '.join(h)}; relative error)"


def left_out(n: int) -> str:
    """Return the line about numbers that are not shown."""
    return f"... and {n:,} more: see max_rows, or records()"


def _general(section: Section) -> Iterator[str]:
    if section.formula:
        name = f"    [{section.name}]" if section.name else ""
        line = f"{section.symbol} {section.sign} {with_symbols(section.formula)}{name}"
        yield from textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
    if section.note:
        yield from textwrap.wrap(f"({section.note})", WIDTH, initial_indent="  ", subsequent_indent="   ")


def _table(section: Section, steps: list[Step], checks: list[Check | None]) -> Iterator[str]:
    if not steps:
        return
    names = max(len(str(step.symbol)) for step in steps)
    columns = any(check is not None for check in checks)
    remark = max(len(step.remark) for step in steps)
    room = WIDTH - INDENT - names - VALUE - len(" =  = ") - (VALUE + ERROR + 2 if columns else 0) - remark - 1
    silent = all(step.formula == ZERO for step in steps)
    formulas = [[""] if silent else _wrapped(made_of(step), room) for step in steps]
    width = max(len(line) for lines in formulas for line in lines)
    for step, check, (*before, final) in zip(steps, checks, formulas, strict=True):
        front = f"{'':{INDENT}}{step.symbol!s:{names}} {section.sign} "
        for line in before:
            yield front + line
            front = " " * len(front)
        middle = f"{final:{width}} = " if width else ""
        found = "" if check is None else f" {short(check.numeric, DIGITS):{VALUE}} {check.error:.0e}"
        yield f"{front}{middle}{short(step.value, DIGITS):{VALUE}}{found} {step.remark}".rstrip()


def made_of(step: Step) -> str:
    """Return the formula with numbers; of a number that equals another one, that one's symbol."""
    return with_symbols(step.formula) if len(step.formula) == 1 else with_numbers(step.formula)


def _wrapped(formula: str, width: int) -> list[str]:
    """Break a formula before a plus, and only where a term is too long before another blank."""
    lines = [""]
    for number, term in enumerate(formula.split(" + ")):
        term = term if number == 0 else f"+ {term}"
        if lines[-1] and len(lines[-1]) + 1 + len(term) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {term}".strip()
    return [part for line in lines for part in textwrap.wrap(line, width, break_long_words=False) or [""]]
