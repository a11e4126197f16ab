"""`cbp train`: a network learns a table, says how good it is, and is saved."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import cbp
from cbp import io, tables
from cbp.cli import _build, _data, _metrics, _models, _report
from cbp.cli import _options as kinds
from cbp.cli._answers import Answers
from cbp.cli._fit import Training, learn_scaling
from cbp.cli._options import JSON, QUIET, SEED, THREADS, Command, option
from cbp.cli._reply import Reply
from cbp.cli._words import check_writable, count_of, some
from cbp.tabular import Coding

FEW, LARGE = 10, 30
CLASSES_HINT = " (its few values are whole numbers; if they stand for classes, add --classes)"

MORE = """\
The first line of a CSV file names the columns; .csv.gz and .parquet are read as well, "-" is standard input. Columns of
numbers are inputs, columns of text become an input for each of their values. A target of text is a class, a target of
numbers a quantity. Numbers are standardised inside the network, which takes raw rows afterwards.

Things with arguments are written like huber:0.5 or 'adam(learning_rate=0.01, beta1=0.8)'.

examples:
  cbp train iris.csv --target species -o iris.npz
  cbp train wine.csv --target quality --classes --hidden 64,32 --dropout 0.2 -o wine.npz --report wine.html
  cbp train houses.csv --target price --ignore id --loss huber:0.5 --missing mean -o houses.npz
  cbp train diabetes.csv --target y --hidden 10 --activation tanh --optimizer levenberg_marquardt -o d.npz
  cbp train big.parquet --target a,b --optimizer 'adamw(weight_decay=0.1)' --schedule cosine_decay -o big.npz
"""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Train a network on options.table and save it as options.output; returns the exit status."""
    _check(options)
    if options.threads:
        cbp.set_num_threads(options.threads)
    net, kept = _further(options) if options.resume else (None, None)
    data = _data.load(options, kept, net.seed if net is not None else options.seed or 0)
    net = _build.network(options, data) if net is None else net
    _models.keep(net, data.coding)
    learn_scaling(net, data)
    training = Training(net, data, options)
    reply.say(_table_sentence(data, options))
    reply.say(net)
    _warn_of_units(net, data, reply)
    training.run(reply)
    reply.say(training.told())
    figures = _judge(net, data, reply)
    net.save(options.output)
    reply.facts |= {"model": options.output, "network": str(net), **training.facts(), "metrics": figures}
    if options.report:
        _write_report(net, data, training, options, reply)
    reply.say(f"Saved {options.output}. To use it: cbp predict {options.output} new.csv")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what does not go together, and what could not be written after all the work."""
    wanted = {"--target": options.target or options.resume, "-o": options.output}
    if absent := [flag for flag, given in wanted.items() if not given]:
        raise ValueError(f"cbp train needs {' and '.join(absent)} (see cbp train --help)")
    check_writable(options.output, io.FORMATS)
    if options.checkpoint:
        check_writable(options.checkpoint.replace("{epoch}", "0"), io.FORMATS)
    if options.log and options.log.endswith((".csv", ".jsonl")):
        check_writable(options.log)
    if options.report:
        _report.check(options.report)
    if options.validation_file and options.validation is not None:
        raise ValueError("--validation and --validation-file cannot both say which rows are held out")
    options.validation = 0.2 if options.validation is None else options.validation
    if options.resume:
        for name in OF_THE_MODEL:
            if getattr(options, name) not in (None, False):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is a matter of the model that --resume goes on with: leave it out")
    else:
        _build.check(options)


def _further(options: argparse.Namespace) -> tuple[cbp.Network, Coding]:
    """The model that is trained further, and its coding."""
    net = _models.load(options.resume)
    coding = _models.coding_of(net, options.resume)
    if coding is None:
        raise ValueError(f"{options.resume} was not made by cbp train: it does not say which columns it learnt from")
    options.target = [target.name for target in coding.targets]
    options.inputs = coding.names
    if net.epoch >= options.epochs:
        raise ValueError(
            f"{options.resume} is trained for {count_of(net.epoch, 'epoch')} already: --epochs counts them all, "
            "and must be more"
        )
    return net, coding


def _table_sentence(data: _data.Data, options: argparse.Namespace) -> str:
    table, coding = data.table, data.coding
    size = f"{count_of(len(table), 'row')}, {count_of(len(coding.inputs), 'input')}"
    if len(coding.inputs) != len(coding.columns):
        size += f" from {count_of(len(coding.columns), 'column')}"
    kinds_of = ", ".join(_target_words(data, j, options) for j in range(len(coding.targets)))
    dropped = f"; {count_of(table.dropped, 'row')} without a value left out" if table.dropped else ""
    return f"{table.path}: {size}, target {kinds_of}{dropped}"


def _target_words(data: _data.Data, j: int, options: argparse.Namespace) -> str:
    target, y = data.coding.targets[j], data.y[j]
    if target.classes is not None:
        return f'"{target.name}": {len(target.classes)} classes ({some(target.classes)})'
    few = len(np.unique(y)) <= FEW and all(value.is_integer() for value in y.tolist())
    said = options.loss is not None or options.output_activation is not None
    return f'"{target.name}": a number{CLASSES_HINT * (few and not said)}'


def _warn_of_units(net: cbp.Network, data: _data.Data, reply: Reply) -> None:
    """Say so where the network has to learn numbers far from those that it begins with."""
    if data.coding.classifies or net.target_scaling is not None:
        return
    for target, y in zip(data.coding.targets, data.y, strict=True):
        largest = float(np.abs(y[data.train]).max())
        if largest > LARGE:
            reply.warn(
                f'"{target.name}" is not scaled with this output and loss and goes up to {largest:g}: '
                "in units that bring it nearer to 1 the network may learn it sooner"
            )


def _judged(data: _data.Data) -> Any:
    """The rows that say how good the network is: those held out, or else those trained on."""
    return data.held if len(data.held) else data.train


def _judge(net: cbp.Network, data: _data.Data, reply: Reply) -> list[dict[str, Any]]:
    """Say how good the network is; returns the figures."""
    rows, what = _judged(data), "held-out row" if len(data.held) else "training row"
    answers = Answers(net, data.coding)
    learnt = [y[data.train] for y in data.y]
    figures = _metrics.judge(answers, net.predict(data.X[rows]), [y[rows] for y in data.y], learnt)
    for one in figures:
        name = f'"{one["target"]}": ' if len(figures) > 1 and one["kind"] == "classes" else ""
        reply.say(name + _metrics.in_words(one, what))
    if not len(data.held):
        reply.say("It learnt from these very rows: on new ones expect less.")
    return figures


def _write_report(
    net: cbp.Network, data: _data.Data, training: Training, options: argparse.Namespace, reply: Reply
) -> None:
    rows = _judged(data)
    what = "rows held out" if len(data.held) else "rows it was trained on"
    y = [y[rows] for y in data.y]
    report = _report.Report(f"{options.output}: trained on {data.table.path}", str(net))
    report.facts = [_table_sentence(data, options), training.told()]
    report.add_history(training.history)
    report.add_answers(Answers(net, data.coding), net.predict(data.X[rows]), y, reply.facts["metrics"], what)
    report.write(options.report, reply.facts | {"metrics": reply.facts["metrics"]})
    reply.facts["report"] = options.report
    reply.say(f"The report is {report.shown(options.report)}.")


HIDDEN_ACTIVATIONS = [name for name, row in cbp.activations.items() if not row.row_wise]
OF_THE_MODEL = [
    *("target", "classes", "inputs", "numeric", "categorical", "hidden", "activation", "output_activation", "loss"),
    *("init", "dropout", "l1", "l2", "max_norm", "input_noise", "input_dropout", "scale_inputs", "scale_targets"),
    *("dtype", "seed", "optimizer", "learning_rate", "momentum", "nesterov"),
]
"""Options that --resume leaves no choice in."""

METHODS = (
    *("levenberg_marquardt", "bayesian_regularization", "scg", "conjugate_gradient", "bfgs", "lbfgs"),
    "truncated_newton",
)
SCHEDULES = (
    *("step_decay", "exponential_decay", "inverse_scaling", "polynomial_decay", "cosine_decay", "cosine_restarts"),
    *("one_cycle", "linear_warmup", _build.PLATEAU),
)
SCALINGS = ("standard", "minmax", "robust", "none")

COLUMNS = {"action": "append", "metavar": "COLUMN,.."}

# fmt: off
GROUPS = {
    "": [
        option("table", metavar="data.csv", help='CSV, .csv.gz or .parquet; "-": standard input'),
        option("-o", "--output", metavar="model.npz", help="where to save the network"),
        JSON, QUIET,
    ],
    "columns": [
        option("--target", **COLUMNS, help="what to predict; several: all numbers, or all classes"),
        option("--classes", action="store_true", help="the target's integers are classes, not quantities"),
        option("--inputs", **COLUMNS, help="learn from these (default: from all others)"),
        option("--ignore", **COLUMNS, help="leave these out"),
        option("--categorical", **COLUMNS, help="their values are categories (default: text is)"),
        option("--numeric", **COLUMNS, help="their values are numbers (default: what looks like it)"),
        option("--missing", choices=["refuse", "mean", "drop"], default="refuse",
               help="a cell without a value: refuse it, take the column's mean (no category), or drop the row "
                    "(default: refuse)"),
        option("--weight", metavar="COLUMN", help="how much each row counts"),
    ],
    "network": [
        option("--hidden", type=kinds.widths, metavar="N,N,..", help="units of hidden layers, or none (default: 64)"),
        option("--activation", type=kinds.several(kinds.thing, "relu or relu,tanh"), metavar="NAME,..",
               words=HIDDEN_ACTIVATIONS,
               help=f"of the hidden layers, one or one each: {', '.join(HIDDEN_ACTIVATIONS)} (default: relu)"),
        option("--output-activation", type=kinds.thing, metavar="NAME", words=cbp.activations,
               help="those, softmax or log_softmax (default: softmax for classes, identity for numbers)"),
        option("--loss", type=kinds.thing, metavar="NAME", words=cbp.losses,
               help=f"{', '.join(cbp.losses)} (default: what belongs to the output)"),
        option("--init", type=kinds.thing, metavar="NAME", words=cbp.initializers,
               help=f"{', '.join(cbp.initializers)} (default: what belongs to the activation)"),
        option("--scale-inputs", type=kinds.thing, metavar="HOW", words=SCALINGS,
               help="standard, minmax, 'minmax(-1, 1)', robust or none; categories never (default: standard)"),
        option("--scale-targets", type=kinds.thing, metavar="HOW", words=SCALINGS,
               help="the same (default: standard for identity outputs, else none)"),
        option("--dtype", choices=["float32", "float64"], help="precision (default: float32)"),
    ],
    "against learning by heart": [
        option("--l1", type=kinds.not_negative, metavar="R", help="penalty on the size of weights (default: 0)"),
        option("--l2", type=kinds.not_negative, metavar="R", help="penalty on their squares (default: 0)"),
        option("--dropout", type=kinds.several(kinds.share, "0.2 or 0.2,0.5"), metavar="F,..",
               help="share of hidden units left out, one or one a layer (default: 0)"),
        option("--max-norm", type=kinds.positive, metavar="R", help="longest weights of a hidden unit (default: any)"),
        option("--input-noise", type=kinds.not_negative, metavar="R",
               help="deviation of the noise on scaled inputs (default: 0)"),
        option("--input-dropout", type=kinds.share, metavar="F", help="share of the inputs left out (default: 0)"),
    ],
    "training": [
        option("--optimizer", type=kinds.thing, metavar="NAME", words=[*tables.optimizers, *METHODS],
               help=f"{', '.join(tables.optimizers)}; or a method on all rows at once: {', '.join(METHODS)} "
                    "(default: adam)"),
        option("--learning-rate", type=kinds.positive, metavar="R",
               help="length of a step (default: the optimiser's own)"),
        option("--momentum", type=kinds.share, metavar="F", help="of sgd: share of the last step made again"),
        option("--nesterov", action="store_true", help="of sgd: look ahead by the momentum"),
        option("--schedule", type=kinds.thing, metavar="NAME", words=SCHEDULES,
               help=f"{', '.join(SCHEDULES)}; lengths in updates, or like epochs(30) (default: constant)"),
        option("--epochs", type=kinds.count, default=500, metavar="N", help="most passes over the rows (default: 500)"),
        option("--batch-size", type=kinds.count, default=32, metavar="N", help="rows for one update (default: 32)"),
        option("--class-weight", type=kinds.weights, metavar="W",
               help="balanced, or yes:2,no:1 (default: all count alike)"),
        option("--time", type=kinds.seconds, metavar="T", help="stop after 90s, 10m or 1.5h (default: never)"),
        SEED, THREADS,
    ],
    "holding rows out": [
        option("--validation", type=kinds.share, metavar="F",
               help="share of the rows held out to check on, of every class alike (default: 0.2)"),
        option("--validation-file", metavar="other.csv", help="hold out these rows instead"),
        option("--patience", type=kinds.count_or_zero, default=20, metavar="N",
               help="stop after N epochs without a better figure, and keep the best; 0: never, and keep the last "
                    "(default: 20)"),
        option("--monitor", default="val_loss", metavar="FIGURE",
               help="which figure: val_loss, val_accuracy, loss (default: val_loss)"),
        option("--min-delta", type=kinds.not_negative, default=0.0, metavar="R",
               help="how much better counts as better (default: 0)"),
    ],
    "files": [
        option("--report", metavar="PLACE", help="write figures and pictures to report.html, or into a folder"),
        option("--checkpoint", metavar="FILE", help="save after every epoch; {epoch} in the name becomes its number"),
        option("--log", metavar="PLACE",
               help="write the figures of every epoch to figures.csv or .jsonl, or for TensorBoard into a folder"),
        option("--resume", metavar="FILE",
               help="go on with this model or checkpoint; --epochs counts those it has made"),
    ],
}
# fmt: on

USAGE = "data.csv --target COLUMN -o model.npz [options]"

COMMAND = Command(run, "train a network on a table and save it", GROUPS, MORE, USAGE)
