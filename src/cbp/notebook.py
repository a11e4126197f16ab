"""Networks, histories and reports as pieces of HTML, for notebooks: tables without scripts, in the page's own colours.

The methods `_repr_html_` of what they show call them. A trace has a page of its own, trace/html.py.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from cbp.metrics import __all__ as metric_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cbp.history import History
    from cbp.network import Network

STYLE = """
.cbp-repr { line-height: 1.4; overflow-x: auto; }
.cbp-repr table { border-collapse: collapse; margin: 0.3em 0; border: 0; }
.cbp-repr td, .cbp-repr th { padding: 0.2em 0.7em; border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.3);
  text-align: left; background: none; vertical-align: middle; }
.cbp-repr th { font-weight: 600; }
.cbp-repr .number { text-align: right; font-variant-numeric: tabular-nums; }
.cbp-repr .total td { border-bottom: 0; font-weight: 600; }
.cbp-repr small { opacity: 0.75; }
.cbp-repr svg { display: block; }
"""
WIDTH, HEIGHT, EDGE = 120, 24, 3  # of a sparkline, in pixels
WIDE = 10.0  # a sparkline is logarithmic where the largest value is so many times the least
SHOWN = 12  # names of classes or inputs that are listed
RISING = {"accuracy", "binary_accuracy", "sign_accuracy", "precision", "recall", "f1", "r2"}
NUMBER = ' class="number"'
FALLING = {"loss", *metric_names} - RISING


def network(net: Network) -> str:
    """Return a network as a table: a row for the inputs, one for every layer, one for all parameters."""
    rows = [_cells("inputs", f"{net.widths[0]:,}", "", "", ", ".join(_of_inputs(net)))]
    rows += [_cells(*_of_layer(net, l)) for l in range(1, len(net.layers) + 1)]
    fixed = net.n_params - int(net._trained().sum())
    told = f"{fixed:,} of them fixed" if fixed else ""
    rows.append(_cells("all", "", "", f"{net.n_params:,}", told, ' class="total"'))
    head = _cells("layer", "units", "activation", "parameters", "", cell="th")
    return _page(f"<b>{type(net).__name__}</b>", [head, *rows], " · ".join(_about(net)))


def history(record: History) -> str:
    """Return a history as a table: of every figure the curve, the first value, the last and the best."""
    seconds = math.fsum(value for value in record.get("seconds", ()) if math.isfinite(value))
    told = [f"{record.epochs:,} epoch{'' if record.epochs == 1 else 's'}"]
    told += [f"{seconds:.3g} s"] if "seconds" in record else []
    told += [f"stopped: {record.stopped}"] if record.stopped else []
    figures = {name: values for name, values in record.items() if name != "seconds" and values}
    numbers = "".join(f"<th{NUMBER}>{name}</th>" for name in ("first", "last", "best", "epoch"))
    head = f"<th>figure</th><th></th>{numbers}"
    rows = [f"<tr>{head}</tr>", *_of_figures(figures)] if figures else []
    return _page(f"<b>{type(record).__name__}</b> <small>{escape(', '.join(told))}</small>", rows, "")


def table(title: str, lines: Iterable[tuple[str, str]]) -> str:
    """Return names and what belongs to them as a table of two columns."""
    rows = [f"<tr><td>{_indented(name)}</td><td>{escape(text)}</td></tr>" for name, text in lines]
    return _page(f"<b>{escape(title)}</b>", rows, "")


def _indented(name: str) -> str:
    """Return a name whose leading blanks stay."""
    text = name.lstrip(" ")
    return "&ensp;" * (len(name) - len(text)) + escape(text)


def sparkline(values: Sequence[float]) -> str:
    """Return a curve as a small SVG in the colour of the text: logarithmic where it is wide, broken where it is NaN."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    logarithmic = min(finite) > 0 and max(finite) >= WIDE * min(finite)
    scaled = [math.log(value) if logarithmic and math.isfinite(value) else value for value in values]
    finite = [value for value in scaled if math.isfinite(value)]
    low, span = min(finite), max(finite) - min(finite)
    places = [(_x(at, len(values)), _y(value, low, span)) for at, value in _thinned(scaled)]
    last = next((place for place in reversed(places) if place[1] is not None), None)
    dot = "" if last is None else f'<circle cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="2" fill="currentColor"/>'
    lines = "".join(
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.3"/>'
        for points in _unbroken(places)
    )
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-hidden="true" {size}>{lines}{dot}</svg>'


# ---- networks ----


def _of_inputs(net: Network) -> Iterator[str]:
    """Yield what there is to say of the inputs, and of their names."""
    scaling = net.input_scaling
    if scaling is not None:
        yield f"scaled: {scaling}" + ("" if scaling.known else ", not learned yet")
    for name, value in net._spec._input_noises().items():
        yield f"{name.replace('input_', '')} {value:g}"


def _of_layer(net: Network, l: int) -> tuple[str, str, str, str, str]:
    """Return the cells of a layer."""
    dense, layer, heads = net._spec.layers[l - 1], net.layers[l - 1], net._spec.heads
    is_last = l == len(net.layers)
    if heads is not None and is_last:
        activation = " + ".join(map(str, heads.all))
    else:
        kinds = list(dict.fromkeys(map(str, dense.rows)))
        activation = ", ".join(kinds if len(kinds) <= 4 else [*kinds[:3], "..."])
    more = [f"from layers {', '.join(map(str, net._spec.sources(l)))}"] if dense.skip else []
    more += [extra.replace("=", " ").replace("_", " ") for extra in dense.extras() if not extra.startswith("skip")]
    more += [] if layer.trainable else ["frozen"]
    if layer.mask is not None and (fixed := int((layer.mask == 0).sum())):
        more.append(f"{fixed:,} fixed")
    if is_last and net.target_scaling is not None:
        more.append(f"targets scaled: {net.target_scaling}")
    return "outputs" if is_last else str(l), f"{layer.units:,}", activation, f"{layer.theta.size:,}", ", ".join(more)


def _about(net: Network) -> Iterator[str]:
    """Yield what there is to say of the network as a whole."""
    yield f"loss {net._spec.loss}{', sum' if net._spec.reduction == 'sum' else ''}"
    yield f"{net.dtype.name}, {_bytes(net.params.nbytes)}"
    yield f"{net.epoch:,} epoch{'' if net.epoch == 1 else 's'} of training" if net.epoch else "not trained"
    if net.optimizer is not None:
        yield str(net.optimizer)
    yield f"seed {net.seed}"
    for name in ("classes", "features"):
        names = net.metadata.get(name)
        if isinstance(names, (list, tuple)) and names:
            yield f"{name}: {', '.join([*map(str, names[:SHOWN]), *(['...'] if len(names) > SHOWN else [])])}"


def _bytes(n: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n = n / 1000  # type: ignore[assignment]
    return f"{n:.3g} GB"


def _cells(name: str, units: str, activation: str, parameters: str, more: str, kind: str = "", cell: str = "td") -> str:
    """Return a row of a network's table."""
    texts = ((name, ""), (units, NUMBER), (activation, ""), (parameters, NUMBER), (more, ""))
    inside = "".join(f"<{cell}{look}>{escape(text)}</{cell}>" for text, look in texts)
    return f"<tr{kind}>{inside}</tr>"


# ---- histories ----


def _of_figures(figures: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield a row for every figure."""
    for name, values in figures.items():
        best = _best(name, values)
        numbers = [f"{values[0]:.5g}", f"{values[-1]:.5g}"]
        numbers += ["", ""] if best is None else [f"{values[best]:.5g}", f"{best + 1:,}"]
        cells = "".join(f"<td{NUMBER}>{number}</td>" for number in numbers)
        words = name.replace("val_", "validation ", 1) if name.startswith("val_") else name
        yield f"<tr><td>{escape(words.replace('_', ' '))}</td><td>{sparkline(values)}</td>{cells}</tr>"


def _best(name: str, values: Sequence[float]) -> int | None:
    """Return where the best value is, from 0; None where it is not known what is better, or nothing is a number."""
    kind = name.removeprefix("val_")
    known = [(value, at) for at, value in enumerate(values) if not math.isnan(value)]
    if not known or kind not in RISING | FALLING:
        return None
    return min(known)[1] if kind in FALLING else max(known, key=lambda pair: (pair[0], -pair[1]))[1]


def _thinned(values: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Yield places and values, at most two for each pixel: the least and the largest that belong there."""
    step = -(-len(values) // WIDTH)
    for start in range(0, len(values), step):
        part = range(start, min(start + step, len(values)))
        known = [at for at in part if math.isfinite(values[at])]
        chosen = {min(known, key=values.__getitem__), max(known, key=values.__getitem__)} if known else {start}
        yield from ((at, values[at]) for at in sorted(chosen))


def _x(at: int, n: int) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * (at / (n - 1) if n > 1 else 1.0)


def _y(value: float, low: float, span: float) -> float | None:
    if not math.isfinite(value):
        return None
    return EDGE + (HEIGHT - 2 * EDGE) * (1 - (value - low) / span if span else 0.5)


def _unbroken(places: Iterable[tuple[float, float | None]]) -> Iterator[str]:
    """Yield the points of every piece of the curve between values that are no numbers."""
    piece: list[str] = []
    for x, y in [*places, (0.0, None)]:
        if y is not None:
            piece.append(f"{x:.1f},{y:.1f}")
        elif piece:
            yield " ".join(piece)
            piece = []


def _page(head: str, rows: Sequence[str], foot: str) -> str:
    """Return a title, a table and a line below it; `head` is HTML already, `foot` is not."""
    inside = f"<table>{''.join(rows)}</table>" if rows else ""
    below = f"<small>{escape(foot)}</small>" if foot else ""
    return f'<div class="cbp-repr"><style>{STYLE}</style>{head}{inside}{below}</div>'
