"""`cbp evaluate`: how good a saved network is on a table that has the truth."""

from __future__ import annotations

import argparse
from typing import Any

from numpy.typing import NDArray

import cbp
from cbp.cli import _data, _metrics, _models, _report
from cbp.cli._answers import Answers
from cbp.cli._fit import refuse_far
from cbp.cli._options import JSON, QUIET, THREADS, Command, option
from cbp.cli._reply import Reply
from cbp.tabular import Coding

MORE = """\
The table needs the columns that the model learnt from and its target; the model must be one of cbp train. Rows that
were trained on say little about rows to come: take others.

examples:
  cbp evaluate iris.npz test.csv
  cbp evaluate houses.npz test.csv --report report.html
  cbp evaluate iris.npz test.csv --json
"""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Judge options.model by options.table; returns the exit status."""
    if options.report:
        _report.check(options.report)
    if options.threads:
        cbp.set_num_threads(options.threads)
    net = _models.load(options.model)
    coding = require_coding(net, options.model)
    data = _data.read_known(options.table, coding, options.missing)
    outputs = outputs_of(net, data)
    answers = Answers(net, coding)
    figures = _metrics.judge(answers, outputs, data.y, None)
    for one in figures:
        reply.say(_metrics.in_words(one, "row"))
    reply.facts |= {"model": options.model, "rows": len(data.table), "dropped": data.table.dropped, "metrics": figures}
    if options.report:
        report = _report.Report(f"{options.model} on {options.table}", str(net))
        report.add_answers(answers, outputs, data.y, figures, "rows")
        report.write(options.report, reply.facts)
        reply.facts["report"] = options.report
        reply.say(f"The report is {report.shown(options.report)}.")
    return 0


def require_coding(net: cbp.Network, path: str) -> Coding:
    """The coding of a model; ValueError where it has none."""
    coding = _models.coding_of(net, path)
    if coding is None:
        raise ValueError(f"{path} was not made by cbp train: it does not say which columns it learnt from")
    return coding


def outputs_of(net: cbp.Network, data: _data.Data) -> NDArray[Any]:
    """The outputs for all rows; TableError names the cell that is too far out."""
    try:
        return net.predict(data.X)
    except ValueError:
        refuse_far(net, data.X, data.coding, data.place)
        raise


# fmt: off
GROUPS = {
    "": [
        option("model", metavar="model.npz"),
        option("table", metavar="test.csv", help='CSV, .csv.gz or .parquet; "-": standard input'),
        option("--missing", choices=["refuse", "drop"], default="refuse",
               help="a cell without a value: refuse it, or drop the row (default: refuse)"),
        option("--report", metavar="PLACE", help="write figures and pictures to report.html, or into a folder"),
        THREADS, JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "judge a saved network by a table with the truth", GROUPS, MORE)
