"""A network trained on a table, and applied to another: what `cbp train` and `cbp predict` do.

Called by cli.py with the words of the command line. Tables are read and coded by tabular.py; the coding is kept in the
model's metadata.
"""

import argparse
import csv
import io
import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp import tabular
from cbp._samples import split_rows

KEY = "cbp_train"
"""Where the coding of the table stands in `Network.metadata`."""

FEW = 10
CLASSES_HINT = " (its few values are whole numbers; if they stand for classes, add --classes)"

Rows = NDArray[np.int64]
Answers = tuple[list[str], list[Any]]


def train_table(options: argparse.Namespace) -> int:
    """Train a network on options.table and save it as options.output; returns the exit status."""
    say = (lambda *words: None) if options.quiet else print
    check_writable(options.output, cbp.io.FORMATS)
    table = tabular.read(options.table, lambda header: _inputs_and_target(header, options))
    y, classes = tabular.code_target(table, options.target, options.classes)
    train, held = split_rows(len(y), options.validation, options.seed)
    coding = tabular.Coding.learn(table, train, y, options.target, classes)
    X, T = coding.inputs(table, options.dtype), coding.targets(table, y, options.dtype)
    net = cbp.Network(
        [X.shape[1], *options.hidden, len(classes or [""])],
        activation=options.activation,
        output="softmax" if classes else "identity",
        dtype=options.dtype,
        seed=options.seed,
    )
    net.metadata = {KEY: coding.to_dict()}
    say(_table_sentence(table, coding))
    say(net)
    say(_fit(net, options, X, T, train, held))
    say(_quality(net, coding, X, y, train, held))
    net.save(options.output)
    say(f"Saved {options.output}. To use it: cbp predict {options.output} new.csv")
    return 0


def check_writable(path: str, endings: Collection[str] = ()) -> None:
    """Find out before the work, not after it, that the result cannot be saved."""
    if endings and os.path.splitext(path)[1] not in endings:
        raise ValueError(f"{path}: the name of a model file must end in {' or '.join(endings)}")
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a file name")
    try:
        tempfile.TemporaryFile(dir=os.path.dirname(path) or ".").close()
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None


def _inputs_and_target(header: list[str], options: argparse.Namespace) -> tuple[list[str], str]:
    for name in [options.target, *options.ignore]:
        if name not in header:
            raise ValueError(f'{options.table} has no column "{name}"; it has: {", ".join(header)}')
    inputs = [name for name in header if name != options.target and name not in options.ignore]
    if options.target in options.ignore or not inputs:
        raise ValueError(f"no columns of {options.table} are left to learn from")
    return inputs, options.target


def _table_sentence(table: tabular.Table, coding: tabular.Coding) -> str:
    if coding.classes is None:
        kind = "a number" + CLASSES_HINT * (len(set(table.text)) <= FEW and all(map(_is_whole, table.text)))
    else:
        kind = f"{len(coding.classes)} classes ({some(coding.classes)})"
    size = f"{count_of(len(table.lines), 'row')}, {count_of(len(coding.columns), 'input')}"
    return f'{table.path}: {size}, target "{coding.target}": {kind}'


def _is_whole(cell: str) -> bool:
    return float(cell).is_integer()


def some(names: Sequence[str], most: int = 12) -> str:
    """The first few of many names."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, ..."


def _fit(net: cbp.Network, options: argparse.Namespace, X: Any, T: Any, train: Rows, held: Rows) -> str:
    """Train; returns how far it went, in words."""
    optimizer = cbp.optimizers.get(options.optimizer)
    assert isinstance(optimizer, cbp.optimizers.Optimizer)
    optimizer.learning_rate = options.learning_rate or optimizer.learning_rate
    stopping = cbp.EarlyStopping(patience=options.patience or 1)
    history = net.fit(
        X[train],
        T[train],
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimizer=optimizer,
        validation=(X[held], T[held]) if len(held) else None,
        callbacks=[stopping] if options.patience else [],
        progress=False if options.quiet else None,
    )
    trained = f"Trained on {count_of(len(train), 'row')} for {count_of(history.epochs, 'epoch')}"
    if stopping.best_epoch is None:
        return f"{trained}."
    why = "" if stopping.stopped_epoch is None else f"; the last {options.patience} brought nothing better"
    return f"{trained}{why}. Kept the best, epoch {stopping.best_epoch + 1}."


def _quality(net: cbp.Network, coding: tabular.Coding, X: Any, y: Any, train: Rows, held: Rows) -> str:
    """How good the network is on the held-out rows, or on the training rows if there are none, in words."""
    judged, name = (held, "held-out row") if len(held) else (train, "training row")
    judge = _class_quality if coding.classes else _number_quality
    verdict = judge(coding, net.predict(X[judged]), y[judged], y[train], count_of(len(judged), name))
    return verdict if len(held) else f"{verdict} It learnt from these very rows: on new ones expect less."


def _class_quality(coding: tabular.Coding, output: Any, y: Any, y_train: Any, rows: str) -> str:
    n, right = len(y), int(np.count_nonzero(output.argmax(axis=1) == y))
    common = Counter(y_train.tolist()).most_common(1)[0][0]
    guessed = int(np.count_nonzero(y == common))
    return (
        f"Right on {right:,} of {rows} ({right / n:.1%}); "
        f'always answering "{(coding.classes or [])[common]}" would be right on {guessed:,} ({guessed / n:.1%}).'
    )


def _number_quality(coding: tabular.Coding, output: Any, y: Any, y_train: Any, rows: str) -> str:
    errors = coding.numbers(output) - y
    typical, spread = _root_mean_square(errors), _root_mean_square(y - tabular.centre_and_scale(y.tolist())[0])
    verdict = f'On {rows} a typical error of "{coding.target}" is {typical:.4g} (root mean square)'
    if not spread:
        return f"{verdict}."
    r2 = 1 - (typical / spread) ** 2
    share = f"{r2:.1%} of its variation is explained" if r2 > 0 else "no better than always answering the mean"
    return f"{verdict}; R2 = {r2:.4f}: {share}."


def _root_mean_square(values: NDArray[np.float64]) -> float:
    peak = float(np.abs(values).max()) or 1.0
    return peak * math.sqrt(math.fsum((v / peak) ** 2 for v in values.tolist()) / len(values))


def count_of(n: int, thing: str) -> str:
    """A number and what is counted, in the plural where it belongs."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def predict_table(options: argparse.Namespace) -> int:
    """Apply options.model to options.table; returns the exit status."""
    if options.output:
        check_writable(options.output)
    net = cbp.load(options.model)
    kept = coding_of(net, options.model)
    head, columns = _plain_answers(net, options) if kept is None else _coded_answers(net, kept, options)
    with _answers_to(options.output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(zip(*columns, strict=True))
    return 0


def coding_of(net: cbp.Network, path: str) -> tabular.Coding | None:
    """What cbp train kept in the model; None for a model saved from Python."""
    if KEY not in net.metadata:
        return None
    try:
        return tabular.Coding.from_dict(net.metadata[KEY], net.layers[0].n_in, net.layers[-1].n_out)
    except ValueError as error:
        raise cbp.FormatError(f"{path}: the description of its table is damaged: {error}") from None


def _coded_answers(net: cbp.Network, coding: tabular.Coding, options: argparse.Namespace) -> Answers:
    table = tabular.read(options.table, lambda header: (_all_present(coding, header, options), None))
    output = net.predict(coding.inputs(table, net.dtype))
    if coding.classes is None:
        return [coding.target], [_digits(coding.numbers(output), net.dtype)]
    answers = [coding.classes[label] for label in output.argmax(axis=1)]
    return [coding.target, *(f"p_{name}" for name in coding.classes)], [answers, *_digits(output, net.dtype).T]


def _all_present(coding: tabular.Coding, header: list[str], options: argparse.Namespace) -> list[str]:
    absent = [name for name in coding.columns if name not in header]
    if absent:
        raise ValueError(
            f"{options.table} lacks {count_of(len(absent), 'column')} that {options.model} needs: {some(absent)} "
            f"(it has: {some(header)})"
        )
    return coding.columns


def _plain_answers(net: cbp.Network, options: argparse.Namespace) -> Answers:
    table = tabular.read_numbers(options.table)
    n_in = net.layers[0].n_in
    if len(table.columns) != n_in:
        raise ValueError(
            f"{options.table} has {count_of(len(table.columns), 'column')}, {options.model} expects {n_in}"
        )
    output = net.predict(table.X)
    return [f"y{j}" for j in range(output.shape[1])], list(_digits(output, net.dtype).T)


def _digits(values: NDArray[Any], dtype: Any) -> NDArray[np.str_]:
    """Each number in as few digits as its precision needs."""
    with np.errstate(over="ignore"):
        narrow = values.astype(dtype)
    return (narrow if np.isfinite(narrow).all() else values).astype(str)


@contextmanager
def _answers_to(path: str | None) -> Iterator[TextIO]:
    """The screen; or a file that is there when it is complete; or what is no file at all, like /dev/stdout."""
    if path is None:
        yield sys.stdout
    elif os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            yield file
    else:
        text = io.StringIO()
        yield text
        with cbp.io.replacing(path) as binary:
            binary.write(text.getvalue().encode())
