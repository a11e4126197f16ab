"""A report of a training or a judgement: figures and pictures in one HTML file, or in a folder. Needs matplotlib."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp import io as models
from cbp.cli import _metrics
from cbp.cli._answers import Answers
from cbp.cli._reply import plain
from cbp.cli._words import check_writable
from cbp.errors import optional

PAGE = "index.html"
MOST_ROWS = 20_000
"""A picture of targets and outputs shows as many rows, evenly chosen."""

STYLE = """\
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #eee; }
th { font-weight: 600; }
code { background: #f4f4f4; padding: .1rem .3rem; } img { max-width: 100%; }
figure { margin: 1rem 0; display: inline-block; vertical-align: top; }
footer { color: #777; margin-top: 3rem; font-size: .85rem; }
"""


def check(place: str) -> None:
    """Find out before the work that the report cannot be made."""
    optional("matplotlib.figure", "a report", "plot")
    if _is_page(place):
        check_writable(place)
    elif os.path.exists(place) and not os.path.isdir(place):
        raise ValueError(f"{place} is a file; a report goes into a folder, or a file that ends in .html")
    elif os.path.splitext(place.rstrip("/\\"))[1]:
        raise ValueError(f"{place}: a report goes into a folder, or a file that ends in .html")
    else:
        check_writable(place.rstrip("/\\") or place) if not os.path.isdir(place) else check_writable(
            os.path.join(place, PAGE)
        )


def _is_page(place: str) -> bool:
    return place.lower().endswith((".html", ".htm"))


class Report:
    """Sections of a page, in the order in which they are added.

    Parameters
    ----------
    title, subtitle : str

    Attributes
    ----------
    facts : list of str
        Sentences below the title.
    """

    def __init__(self, title: str, subtitle: str) -> None:
        self.title, self.subtitle = title, subtitle
        self.facts: list[str] = []
        self._body: list[str] = []
        self._pictures: dict[str, bytes] = {}

    def add_history(self, history: cbp.History) -> None:
        """Add the learning curves."""
        figure, ax = _figure(7.5, 4.0)
        history.plot(ax=ax)
        self._heading("Learning curves")
        self._picture("learning-curves", figure, "losses and metrics against epochs")

    def add_answers(
        self, answers: Answers, outputs: NDArray[Any], y: list[NDArray[Any]], figures: list[dict[str, Any]], what: str
    ) -> None:
        """Add figures and pictures for each target, judged on rows that are `what`."""
        for (target, part), truth, one in zip(answers.parts(outputs), y, figures, strict=True):
            self._heading(f"{target.name}, on the {one['rows']:,} {what}")
            if one["kind"] == "classes":
                self._classes(target.name, list(target.classes or ()), answers.labels(part), truth, one)
            else:
                self._numbers(target.name, part[:, 0].astype(np.float64), truth, one)

    def _classes(self, name: str, classes: list[str], said: Any, truth: Any, figures: dict[str, Any]) -> None:
        n, guess = figures["rows"], figures["guess"]
        self._paragraph(
            f"Right on {figures['right']:,} of {n:,} ({figures['accuracy']:.1%}). Always answering "
            f"“{guess['class']}” would be right on {guess['right']:,} ({guess['right'] / n:.1%})."
        )
        rows = [
            [one["name"], *(_metrics.percent(one[key]) for key in ("precision", "recall", "f1")), f"{one['rows']:,}"]
            for one in figures["classes"]
        ]
        self._table(["class", "precision", "recall", "f1", "rows"], rows)
        if len(classes) <= _metrics.MOST_CLASSES:
            size = max(4.5, 0.55 * len(classes) + 2.5)
            figure, ax = _figure(size, size)
            cbp.plot.confusion(truth, said, ax, labels=classes)
            self._picture(f"confusion-{_plain(name)}", figure, f"how often each class of {name} was taken for each")
        else:
            self._body.append(f"<pre>{html.escape(_metrics.confusion_table(figures))}</pre>")

    def _numbers(self, name: str, said: NDArray[np.float64], truth: NDArray[Any], figures: dict[str, Any]) -> None:
        names = {"r2": "R²", "rmse": "root mean square error", "mae": "mean absolute error", "bias": "mean error"}
        rows = [[text, "-" if figures[key] is None else f"{figures[key]:.6g}"] for key, text in names.items()]
        self._table([], rows)
        shown = np.unique(np.linspace(0, len(said) - 1, min(len(said), MOST_ROWS)).astype(np.int64))
        figure, ax = _figure(6.0, 6.0)
        cbp.plot.regression(truth[shown], said[shown], ax=ax)
        self._picture(f"regression-{_plain(name)}", figure, f"answers against the truth for {name}")
        figure, ax = _figure(6.5, 3.5)
        cbp.plot.error_histogram(truth[shown], said[shown], ax=ax)
        self._picture(f"errors-{_plain(name)}", figure, f"how often errors of each size occur for {name}")

    # ---- parts of the page ----

    def _heading(self, text: str) -> None:
        self._body.append(f"<h2>{html.escape(text)}</h2>")

    def _paragraph(self, text: str) -> None:
        self._body.append(f"<p>{html.escape(text)}</p>")

    def _table(self, head: list[str], rows: list[list[str]]) -> None:
        lines = [*([_row("th", head)] if head else []), *(_row("td", row) for row in rows)]
        self._body.append(f"<table>{''.join(lines)}</table>")

    def _picture(self, name: str, figure: Any, text: str) -> None:
        name = f"{name}.png" if f"{name}.png" not in self._pictures else f"{name}-{len(self._pictures)}.png"
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=150)
        width = round(80 * figure.get_figwidth())
        self._pictures[name] = data.getvalue()
        self._body.append(f'<figure><img src="{{{name}}}" width="{width}" alt="{html.escape(text)}"></figure>')

    # ---- writing ----

    def shown(self, place: str) -> str:
        """What a person should open."""
        return place if _is_page(place) else os.path.join(place, PAGE)

    def write(self, place: str, facts: dict[str, Any]) -> None:
        """Write one page with everything in it, or a folder: page, pictures, and `facts` as report.json."""
        if _is_page(place):
            inline = {
                name: f"data:image/png;base64,{base64.b64encode(data).decode()}"
                for name, data in self._pictures.items()
            }
            _write(place, self._page(inline).encode())
            return
        os.makedirs(place, exist_ok=True)
        for name, data in self._pictures.items():
            _write(os.path.join(place, name), data)
        text = json.dumps(plain(facts), ensure_ascii=False, indent=1)
        _write(os.path.join(place, "report.json"), f"{text}\n".encode())
        _write(os.path.join(place, PAGE), self._page({name: name for name in self._pictures}).encode())

    def _page(self, sources: dict[str, str]) -> str:
        body = "\n".join(self._body)
        for name, source in sources.items():
            body = body.replace(f'"{{{name}}}"', f'"{html.escape(source)}"')
        facts = "".join(f"<p>{html.escape(fact)}</p>" for fact in self.facts)
        title = html.escape(self.title)
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style></head><body>\n'
            f"<h1>{title}</h1>\n<p><code>{html.escape(self.subtitle)}</code></p>\n{facts}\n{body}\n"
            f"<footer>cbp {cbp.__version__}</footer>\n</body></html>\n"
        )


def _write(path: str, data: bytes) -> None:
    with models.replacing(path) as file:
        file.write(data)


def _row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _plain(name: str) -> str:
    """A name that any file system takes."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:40] or "target"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure without pyplot, which would look for a screen."""
    optional("matplotlib.figure", "a report", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()
