"""The directive ``cbp-table KIND``: a reference table drawn from cbp's own rows while the documentation is built.

A row added to csrc/*.def is in the documentation by being there, formula, derivatives and drawing included.
"""

import math

import numpy as np
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import cbp._core as core

SHORT = 20  # code of so many characters is kept on one line
WIDTH, HEIGHT, Z_MAX, A_MIN, A_MAX = 120, 60, 4.0, -1.3, 2.2  # of a drawing, in pixels; of its axes


def text(value):
    return nodes.paragraph(text=value)


def code(value):
    """A paragraph of literals, one line for each statement of a formula."""
    par = nodes.paragraph()
    for i, part in enumerate(value.split("; ")):
        if i:
            par += nodes.raw("", "<br>", format="html")
        par += nodes.literal(text=part, classes=["short"] if len(part) <= SHORT else [])
    return par


def derivatives(row):
    """The slope, and under it its own derivative."""
    return [code(row["slope"]), code(row["curvature"])]


def arguments(row):
    return code("; ".join(f"{name}={value:g}" for name, value in row["args"])) if row["args"] else text("")


def outputs(row):
    """What output activation a loss goes with: the first row that names one is its default."""
    if row["head"]:
        return text(f"{row['partner']} only")
    if row["pair"]:
        return text(f"any; {row['partner']} for a, {row['pair']} for v")
    first = next(other for other in core.table("losses") if other["partner"] == row["partner"])
    return text(f"any; default of {row['partner']}" if first["name"] == row["name"] else f"any; {row['partner']}")


def limits(row):
    low, high = row["targets"]
    if any(other["row_wise"] for other in core.table("activations") if other["name"] == row["partner"]):
        return text("sum to 1")
    return text("any" if low == -np.inf else f"{low:g} to {high:g}" if high < np.inf else f"at least {low:g}")


def evaluate(formula, z, names):
    """A table's NumPy text at the points z."""
    return np.broadcast_to(
        eval(formula, {"__builtins__": {}}, vars(np) | names | {"erfc": np.vectorize(math.erfc), "z": z}), z.shape
    )


def polyline(z, value, css):
    x = (z + Z_MAX) * WIDTH / (2 * Z_MAX)
    y = (A_MAX - value) * HEIGHT / (A_MAX - A_MIN)
    points = " ".join(f"{p:.1f},{q:.1f}" for p, q in zip(x, y, strict=True))
    return f'<polyline class="{css}" points="{points}"/>'


def drawing(row):
    """g (solid), g' (dashed) and g'' (dotted) for -4 < z < 4, as inline SVG."""
    if row["row_wise"]:
        return text("of the whole row")
    z = np.linspace(-Z_MAX, Z_MAX, 161)
    names = dict(row["args"])
    a = evaluate(row["formula"], z, names)
    slope, curvature = (evaluate(row[column], z, names | {"a": a}) for column in ("slope", "curvature"))
    axis = A_MAX * HEIGHT / (A_MAX - A_MIN)
    svg = (
        f'<svg class="cbp-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{row["name"]}, derivatives">'
        f'<path class="axis" d="M0 {axis:.1f}H{WIDTH}M{WIDTH / 2} 0V{HEIGHT}"/>'
        f"{polyline(z, curvature, 'curvature')}{polyline(z, slope, 'slope')}{polyline(z, a, 'value')}</svg>"
    )
    return nodes.raw("", svg, format="html")


NAME = ("name", lambda row: code(row["name"]))
SOURCE = ("source", lambda row: text(row["source"]))

COLUMNS = {
    "activations": [
        NAME,
        ("g, g′ dashed, g″ dotted", drawing),
        ("g(z)", lambda row: code(row["formula"])),
        ("g′(z), g″(z), a = g(z)", derivatives),
        ("argument", arguments),
        ("initialiser", lambda row: code(row["partner"])),
        ("ONNX", lambda row: text(row["onnx"])),
        SOURCE,
    ],
    "losses": [
        NAME,
        ("cost of one output", lambda row: code(row["formula"])),
        ("slope, and its derivative", derivatives),
        ("the slope is", lambda row: text("delta" if row["head"] else "∂C/∂a, ∂C/∂v" if row["pair"] else "∂C/∂a")),
        ("argument", arguments),
        ("targets", limits),
        ("output activation", outputs),
        SOURCE,
    ],
    "optimizers": [
        NAME,
        ("one update, t = 1, 2, …", lambda row: code(row["formula"])),
        ("learning rate", lambda row: text(f"{row['learning_rate']:g}")),
        ("arguments", arguments),
        ("state vectors", lambda row: text(str(row["n_slots"]))),
        SOURCE,
    ],
    "initializers": [NAME, ("distribution", lambda row: code(row["formula"])), ("argument", arguments), SOURCE],
    "statuses": [
        ("status", lambda row: code(f"CBP_{row['name']}")),
        ("sentence", lambda row: text(row["formula"])),
        ("in Python", lambda row: code(row["exception"])),
    ],
}


class CbpTable(SphinxDirective):
    required_arguments = 1

    def run(self):
        columns = COLUMNS[self.arguments[0]]
        group = nodes.tgroup(cols=len(columns))
        group += [nodes.colspec(colwidth=1) for _ in columns]
        head, body = nodes.thead(), nodes.tbody()
        head += self.row([text(title) for title, _ in columns])
        for row in core.table(self.arguments[0]):
            body += self.row([cell(row) for _, cell in columns])
        group += [head, body]
        wrapper = nodes.container(classes=["cbp-table"])
        wrapper += nodes.table("", group)
        return [wrapper]

    @staticmethod
    def row(cells):
        row = nodes.row()
        row += [nodes.entry("", *(cell if isinstance(cell, list) else [cell])) for cell in cells]
        return row


def setup(app):
    app.add_directive("cbp-table", CbpTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
