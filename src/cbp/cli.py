"""The command `cbp`: one function a command, one sentence and exit status 2 for whatever went wrong.

`main` is the entry point. Training and predicting tables is table_model.py, the demo is demo.py.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cbp
from cbp import table_model, tables, tabular
from cbp.table_model import KEY, coding_of, count_of, some

Option = tuple[tuple[str, ...], dict[str, Any]]

INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

DESCRIPTION = "Fully connected neural networks: train one on a table, use it, look at it."

EXAMPLES = """\
examples:
  cbp train iris.csv --target species -o iris.npz
  cbp predict iris.npz new.csv -o answers.csv
  cbp info iris.npz
  cbp demo
  cbp selftest
"""

TRAIN_EXAMPLES = """\
The table is a CSV file whose first line names the columns; all but the target must hold numbers. A target of text is
a class, a target of numbers a quantity (regression). Inputs, and a numeric target, are standardised with the mean and
standard deviation of the training rows, which the model keeps: cbp predict takes raw rows.

examples:
  cbp train iris.csv --target species -o iris.npz
  cbp train wine.csv --target quality --classes --hidden 64,32 -o wine.npz
  cbp train houses.csv --target price --ignore id --hidden none -o houses.npz
"""

PREDICT_EXAMPLES = """\
Columns are found by their names in the first line, in any order; others, the target among them, are left alone.
Classes come with their probabilities. For a model saved from Python the columns are the inputs in order.

examples:
  cbp predict iris.npz new.csv
  cbp predict iris.npz new.csv -o answers.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after `cbp`; by default those of this process.

    Returns
    -------
    int
        0; 1 if a self-test failed, 2 after an error told on stderr, 130 after Ctrl-C, 141 if nobody reads stdout.

    Raises
    ------
    SystemExit
        After --help, --version, and words that cannot be understood (status 2).

    Examples
    --------
    >>> from cbp.cli import main
    >>> main(["info", "no-such-model.npz"])
    2
    """
    try:
        options = _parser().parse_args(argv)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; there it would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError, ImportError, MemoryError, cbp.DivergenceError) as error:
        print(f"cbp: error: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory"
    return " ".join(str(error).split())


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors look like all others of this command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> Any:
        self.exit(2, f"cbp: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cbp", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"cbp {cbp.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (run, options, summary, epilog) in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=description, epilog=epilog)
        command.set_defaults(run=run)
        for names, settings in options:
            command.add_argument(*names, **settings)
    return parser


def _info(options: argparse.Namespace) -> int:
    net = cbp.load(options.model)
    coding = coding_of(net, options.model)
    facts = [*_network_facts(net), *([] if coding is None else _table_facts(coding))]
    own = {name: value for name, value in net.metadata.items() if coding is None or name != KEY}
    facts += [(name, json.dumps(value, ensure_ascii=False)) for name, value in own.items()]
    width = max(len(name) for name, _ in facts)
    print(net)
    print("\n".join(f"  {name:{width}}  {value}".rstrip() for name, value in facts))
    return 0


def _network_facts(net: cbp.Network) -> Iterator[tuple[str, str]]:
    config = net.get_config()
    yield "inputs", f"{net.widths[0]:,}"
    heads = net._spec.heads
    for number, (layer, dense) in enumerate(zip(net.layers, net._spec.layers, strict=True), 1):
        names = some([str(row) for row in dense.rows])
        if heads is not None and number == len(net.layers):
            names = " + ".join(map(str, heads.all))
        facts = [count_of(layer.units, "unit"), names, *dense.extras(), *([] if layer.trainable else ["frozen"])]
        yield f"layer {number}", f"{', '.join(facts)}: {count_of(layer.theta.size, 'parameter')}"
    yield "loss", f"{net._spec.loss}, {config['reduction']} over the samples"
    yield "parameters", f"{net.n_params:,} in {net.dtype}: {net.params.nbytes:,} bytes"
    yield "seed", f"{net.seed}"
    yield "trained", count_of(net.epoch, "epoch") if net.epoch else "never"
    if net.optimizer is not None:
        yield "optimiser", f"{net.optimizer}, its state kept"


def _table_facts(coding: tabular.Coding) -> Iterator[tuple[str, str]]:
    if coding.classes is None:
        moments = f"mean {coding.target_mean:.6g}, deviation {coding.target_scale:.6g}"
        yield "target", f'"{coding.target}", a number: {moments}'
    else:
        yield "target", f'"{coding.target}", {len(coding.classes)} classes: {", ".join(coding.classes)}'
    width = max(map(len, coding.columns)) + 2
    for number, (name, mean, scale) in enumerate(zip(coding.columns, coding.mean, coding.scale, strict=True), 1):
        yield f"column {number}", f"{_quoted(name):{width}}  mean {mean:.6g}, deviation {scale:.6g}"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _selftest(options: argparse.Namespace) -> int:
    report = cbp.selftest(verbose=options.verbose)
    kinds: dict[str, list[bool]] = {}
    for text, passed in report.lines:
        kinds.setdefault(text.partition(",")[0], []).append(passed)
    width = max(map(len, kinds))
    for kind, results in kinds.items():
        verdict = "ok" if all(results) else f"{results.count(False)} FAILED"
        print(f"{kind:{width}}  {count_of(len(results), 'check'):>10}  {verdict}")
    print(report)
    return 0 if report.ok else 1


def _demo(options: argparse.Namespace) -> int:
    from cbp import demo

    demo.run(options.seed, options.epochs, options.output_dir)
    return 0


def _option(*names: str, **settings: Any) -> Option:
    return names, settings


def _number_type(kind: type, fits: Callable[[Any], bool], wanted: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return convert


_count = _number_type(int, lambda n: n >= 1, "a whole number above 0")
_count_or_zero = _number_type(int, lambda n: 0 <= n < 2**63, "a whole number from 0")
_positive = _number_type(float, lambda r: 0 < r < float("inf"), "a number above 0")
_fraction = _number_type(float, lambda f: 0 <= f < 1, "a number from 0 to below 1")


def _widths(text: str) -> list[int]:
    if text == "none":
        return []
    try:
        return [_count(word) for word in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 64 or 64,32, or none") from None


# fmt: off
MODEL = _option("model", metavar="model.npz")
SEED = _option("--seed", type=_count_or_zero, default=0, metavar="N",
               help="of initial weights, held-out rows and order (default: 0)")
HIDDEN_ACTIVATIONS = [name for name, row in cbp.activations.items() if not row.row_wise]

TRAIN = [
    _option("table", metavar="data.csv"),
    _option("--target", required=True, metavar="COLUMN", help="the column to predict"),
    _option("-o", "--output", required=True, metavar="model.npz", help="where to save the network"),
    _option("--classes", action="store_true", help="the target's integers are classes, not quantities"),
    _option("--ignore", action="append", default=[], metavar="COLUMN", help="leave this column out; may be repeated"),
    _option("--hidden", type=_widths, default=[64], metavar="N,N,..",
            help="units of the hidden layers, or none (default: 64)"),
    _option("--activation", choices=HIDDEN_ACTIVATIONS, default="relu", metavar="NAME",
            help=f"of the hidden layers: {', '.join(HIDDEN_ACTIVATIONS)} (default: relu)"),
    _option("--optimizer", choices=list(tables.optimizers), default="adam", metavar="NAME",
            help=f"{', '.join(tables.optimizers)} (default: adam)"),
    _option("--learning-rate", type=_positive, metavar="R", help="length of a step (default: the optimiser's own)"),
    _option("--epochs", type=_count, default=500, metavar="N", help="passes over the rows, at most (default: 500)"),
    _option("--batch-size", type=_count, default=32, metavar="N", help="rows for one update (default: 32)"),
    _option("--validation", type=_fraction, default=0.2, metavar="F",
            help="fraction of the rows held out to check on (default: 0.2)"),
    _option("--patience", type=_count_or_zero, default=20, metavar="N",
            help="stop after N epochs without a better loss on the held-out rows; 0: never (default: 20)"),
    SEED,
    _option("--dtype", choices=["float32", "float64"], default="float32", help="precision (default: float32)"),
    _option("-q", "--quiet", action="store_true", help="print nothing but errors"),
]
PREDICT = [
    MODEL,
    _option("table", metavar="new.csv"),
    _option("-o", "--output", metavar="out.csv", help="write here instead of to the screen"),
]
SELFTEST = [_option("-v", "--verbose", action="store_true", help="one line for each check")]
DEMO = [
    SEED,
    _option("--epochs", type=_count, metavar="N", help="passes over the training rows"),
    _option("--output-dir", type=Path, default=Path("cbp-demo"), metavar="DIR",
            help="for the model and the picture (default: cbp-demo)"),
]

# name: what runs, its options, one line about it, what --help ends with
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], list[Option], str, str | None]] = {
    "train": (table_model.train_table, TRAIN, "train a network on a CSV file and save it", TRAIN_EXAMPLES),
    "predict": (table_model.predict_table, PREDICT, "apply a saved network to a CSV file", PREDICT_EXAMPLES),
    "info": (_info, [MODEL], "show what a saved network is", None),
    "selftest": (_selftest, SELFTEST, "check gradients and instruction sets on this machine", None),
    "demo": (_demo, DEMO, "train on real handwritten digits and show what came out", None),
}
# fmt: on
