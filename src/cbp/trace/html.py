"""A trace as a piece of HTML: tables, and formulas in MathML, which needs neither a network nor scripts.

Colours are those of the page around it, so that it is as good on a dark page as on a light one.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from cbp.trace.symbols import Group, Symbol, short
from cbp.trace.text import DIGITS, explained, left_out, made_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbp.trace import Trace
    from cbp.trace.numbers import Check
    from cbp.trace.steps import Section, Step
    from cbp.trace.symbols import Formula, Piece

STYLE = """
.cbp-trace { line-height: 1.5; overflow-x: auto; }
.cbp-trace summary { font-weight: 600; margin-top: 0.7em; cursor: pointer; }
.cbp-trace summary small, .cbp-trace .note, .cbp-trace .name { font-weight: 400; opacity: 0.75; }
.cbp-trace p { margin: 0.2em 0 0.2em 1em; }
.cbp-trace table { border-collapse: collapse; margin: 0.2em 0 0.6em 1em; border: 0; }
.cbp-trace td { padding: 0.15em 0.5em; border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.3); text-align: left; }
.cbp-trace td.number { text-align: right; font-variant-numeric: tabular-nums; }
.cbp-trace td.check { opacity: 0.75; }
"""
MINUS = "\u2212"
TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d]\w*|\S")
NAME = re.compile(r"([^\W\d_]+\u0302?)(?:_([^\W\d_]+))?|(\S)")
SCRIPTED = re.compile(r"(?P<base>[^_^]+(?:_[^\W\d_]+\([^)]*\))?)(?:_(?P<sub>\{[^}]*\}|\d+|\w))?(?:\^(?P<sup>.+))?")


def render(trace: Trace, max_rows: int) -> str:
    """Return the whole trace, at most `max_rows` numbers of every section."""
    parts = [f'<div class="cbp-trace"><style>{STYLE}</style>']
    parts.append(f"<p><b>{escape(trace.network)}</b><br/>{escape(trace.title)}</p>")
    last = ""
    for section in trace.sections():
        steps = [section.step(at) for at in range(min(section.n, max_rows))]
        checks = [trace.check(step) for step in steps]
        if section.title != last:
            parts.append("</details>" if last else "")
            last = section.title
            parts.append(
                f"<details open=''><summary>{escape(last)}<small>{escape(explained(checks))}</small></summary>"
            )
        parts += [*_general(section), *_table(section, steps, checks)]
    return "\n".join([*filter(None, parts), "</details></div>"])


def _general(section: Section) -> Iterator[str]:
    if section.formula:
        name = f' <span class="name">[{escape(section.name)}]</span>' if section.name else ""
        yield f"<p>{math((section.symbol, section.sign, *section.formula))}{name}</p>"
    if section.note:
        yield f'<p class="note">({escape(section.note)})</p>'


def _table(section: Section, steps: Sequence[Step], checks: Sequence[Check | None]) -> Iterator[str]:
    if not steps:
        return
    yield "<table>"
    for step, check in zip(steps, checks, strict=True):
        sign = f"<td>{section.sign}</td>"
        if len(step.formula) == 1:
            formula = f"{sign}<td>{math(step.formula)}</td><td>=</td>"
        else:
            formula = f"{sign}<td>{_number(made_of(step))}</td><td>=</td>" if step.formula else sign
        checked = ""
        if check is not None:
            numeric, error = short(check.numeric, DIGITS), f"{check.error:.0e}"
            checked = "".join(f'<td class="number check">{_number(text)}</td>' for text in (numeric, error))
        if step.remark:
            checked += f'<td class="note">{step.remark}</td>'
        value = f'<td class="number">{_number(short(step.value, DIGITS))}</td>'
        yield f"<tr><td>{math((step.symbol,))}</td>{formula}{value}{checked}</tr>"
    yield "</table>"
    if section.n > len(steps):
        yield f'<p class="note">{left_out(section.n - len(steps))}</p>'


def _number(text: str) -> str:
    return escape(text.replace("-", MINUS))


def math(formula: Formula) -> str:
    """Return a formula as a math element."""
    return f'<math displaystyle="true">{"".join(map(_piece, formula))}</math>'


def _piece(piece: Piece) -> str:
    if isinstance(piece, Symbol):
        return symbol(piece)
    return "".join(map(_piece, piece.pieces)) if isinstance(piece, Group) else _signs(piece)


def symbol(piece: Symbol) -> str:
    """Return a symbol; a derivative as a fraction, a sum with its index below."""
    if piece.base == "Σ":
        return f"<munder><mo>∑</mo>{_row(_script(piece.sub))}</munder>"
    own = _scripts(_row(_base(piece.base)), piece.sub, piece.sup)
    return (
        f"<mfrac><mrow><mo>∂</mo>{_written(piece.of)}</mrow><mrow><mo>∂</mo>{own}</mrow></mfrac>" if piece.of else own
    )


def _written(text: str) -> str:
    """Return a symbol that was given as text, as E_Total or a_{1,2}^2."""
    found = SCRIPTED.fullmatch(text)
    if found is None:
        return _row(_base(text))
    return _scripts(_row(_base(found["base"])), (found["sub"] or "").strip("{}"), found["sup"] or "")


def _scripts(base: str, sub: str, sup: str) -> str:
    below, above = _row(_script(sub)), _row(_script(sup))
    if sub and sup:
        return f"<msubsup>{base}{below}{above}</msubsup>"
    return f"<msub>{base}{below}</msub>" if sub else f"<msup>{base}{above}</msup>" if sup else base


def _base(text: str) -> str:
    """Return a letter, or a name with an index of its own, as h_Θ(x) or E_Total; an accent goes over its letter."""
    parts = []
    for base, sub, other in NAME.findall(text):
        letter = f"<mi>{base}</mi>" if base else _sign(other)
        if base.endswith("\u0302"):
            letter = f'<mover accent="true"><mi>{base[:-1]}</mi><mo>ˆ</mo></mover>'
        parts.append(f"<msub>{letter}<mi>{sub}</mi></msub>" if sub else letter)
    return "".join(parts)


def _script(text: str) -> str:
    """Return what stands below or above; the layer of derivation D with its own number below."""
    layer = re.fullmatch(r"L(\d+)", text)
    if layer:
        return f"<msub><mi>L</mi><mn>{layer[1]}</mn></msub>"
    return "".join(map(_sign, re.findall(r"\d+|\S", text)))


def _row(text: str) -> str:
    return text if text.count("<m") == 1 else f"<mrow>{text}</mrow>"


def _signs(text: str) -> str:
    """Return the fixed parts of a formula: signs, brackets, names of functions."""
    if text == ")²":
        return "<msup><mo>)</mo><mn>2</mn></msup>"
    blank = '<mspace width="0.2em"/>' if text.startswith("log ") else ""
    return "".join(map(_sign, TOKEN.findall(text))) + blank


def _sign(text: str) -> str:
    if text == "½":
        return "<mfrac><mn>1</mn><mn>2</mn></mfrac>"
    if text[0].isdigit():
        return f"<mn>{text}</mn>"
    if text[0].isalpha():
        return f"<mi>{escape(text)}</mi>"
    return f"<mo>{escape(MINUS if text == '-' else text)}</mo>"
