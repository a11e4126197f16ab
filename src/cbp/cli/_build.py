"""From the words of `cbp train` to a network, an optimiser and a schedule."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp.cli._data import Data
from cbp.cli._spelled import Spelled
from cbp.errors import unknown
from cbp.heads import canonical_loss
from cbp.scaling import blocks_of, learn, read_scaling
from cbp.tables import Row, Table

PLATEAU = "reduce_on_plateau"
ONE_OUTPUT = ("binary_cross_entropy", "focal", "hinge")
"""Losses that tell two classes apart by one output."""


def row_of(table: Table, given: Spelled) -> Row:
    """The row of a table that is meant."""
    try:
        return table.find(given.name)(*given.args, **given.named)
    except TypeError as error:
        raise ValueError(str(error)) from None


def check(options: argparse.Namespace) -> None:
    """Refuse names and arguments that there are not, before a table is read."""
    rows = (
        ("--loss", cbp.losses, options.loss),
        ("--output-activation", cbp.activations, options.output_activation),
        ("--init", cbp.initializers, options.init),
        *(("--activation", cbp.activations, one) for one in options.activation or ()),
    )
    for flag, table, given in rows:
        if given is not None:
            with about(flag):
                row_of(table, given)
    _hidden(options)
    for name in ("scale_inputs", "scale_targets"):
        read_scaling(_scaling(getattr(options, name) or Spelled("standard")), 1, f"--{name.replace('_', '-')}")
    with about("--optimizer"):
        made = optimizer(options)
    if options.schedule is None:
        return
    if not isinstance(made, cbp.optimizers.Optimizer):
        raise ValueError(f"--schedule changes a learning rate, which {type(made).__name__} has not")
    with about("--schedule"):
        if is_plateau(options.schedule):
            plateau(options.schedule)
        else:
            schedule(options.schedule, made.learning_rate, 1, options.epochs)


@contextmanager
def about(flag: str) -> Iterator[None]:
    """Name the option that an error is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{flag}: {error}") from None


# ---- the network ----


def network(options: argparse.Namespace, data: Data) -> cbp.Network:
    """The network that is to be trained, its scaling learned where the coding has a part in it."""
    coding = data.coding
    loss = None if options.loss is None else row_of(cbp.losses, options.loss)
    output = None if options.output_activation is None else row_of(cbp.activations, options.output_activation)
    seed, dtype = options.seed or 0, options.dtype or "float32"
    hidden = _hidden(options)
    l1, l2 = options.l1 or 0.0, options.l2 or 0.0
    named: dict[str, Any] = {
        "scale_inputs": _input_scaling(options.scale_inputs, data),
        "input_noise": options.input_noise or 0.0,
        "input_dropout": options.input_dropout or 0.0,
        "init": None if options.init is None else row_of(cbp.initializers, options.init),
        "seed": seed,
        "dtype": dtype,
    }
    n_in = len(coding.inputs)
    if coding.classifies and len(coding.targets) > 1:
        heads = _heads(coding.targets, output, loss)
        last = cbp.Dense(sum(head.units for head in heads), l1=l1, l2=l2)
        return cbp.Network([n_in, *hidden, last], heads=heads, **named)
    output, loss = _output_and_loss(coding.classifies, output, loss)
    n_out = _n_out(data, output, loss)
    named["scale_targets"] = _target_scaling(options.scale_targets, coding.classifies, output, loss)
    last = cbp.Dense(n_out, None if loss.pair and options.output_activation is None else output, l1=l1, l2=l2)
    return cbp.Network([n_in, *hidden, last], loss=loss, output=None if loss.pair else output, **named)


def _hidden(options: argparse.Namespace) -> list[cbp.Dense]:
    units = [64] if options.hidden is None else options.hidden
    rows = [row_of(cbp.activations, one) for one in options.activation or [Spelled("relu")]]
    for row in rows:
        if row.row_wise:
            raise ValueError(f"--activation: {row.name} works on a whole row and is for the output only")
    rows, dropout = _each(rows, units, "--activation"), _each(options.dropout or [0.0], units, "--dropout")
    more = {"l1": options.l1 or 0.0, "l2": options.l2 or 0.0, "max_norm": options.max_norm}
    return [cbp.Dense(n, row, dropout=d, **more) for n, row, d in zip(units, rows, dropout, strict=True)]


def _each(given: list[Any], layers: list[int], name: str) -> list[Any]:
    """One for every hidden layer, of one for all or one for each."""
    if len(given) == 1:
        return given * len(layers)
    if len(given) != len(layers):
        raise ValueError(f"{name} names {len(given)} layers, but --hidden {len(layers)}")
    return given


def _heads(targets: Any, output: Row | None, loss: Row | None) -> list[cbp.Head]:
    output = output or cbp.activations["softmax"]
    if not output.row_wise:
        raise ValueError("--output-activation must be softmax or log_softmax for several targets of classes")
    return [cbp.Head(len(target.classes), output, loss) for target in targets]


def _output_and_loss(classifies: bool, output: Row | None, loss: Row | None) -> tuple[Row, Row]:
    """Both, where one of them or none is given."""
    if output is None:
        output = cbp.activations[loss.partner if loss is not None else "softmax" if classifies else "identity"]
    if loss is None:
        loss = canonical_loss([output])
    if classifies and loss.pair:
        raise ValueError(f"--loss {loss.name} is for targets that are numbers")
    return output, loss


def _n_out(data: Data, output: Row, loss: Row) -> int:
    targets = data.coding.targets
    if targets[0].classes is None:
        return len(targets) * (2 if loss.pair else 1)
    n = len(targets[0].classes)
    return 1 if n == 2 and loss.name in ONE_OUTPUT else n


def _scaling(given: Spelled) -> Any:
    if given.name == "none":
        return None
    return (given.name, *given.args) if given.args else given.name


def _input_scaling(given: Spelled | None, data: Data) -> Any:
    """What scales the numbers among the inputs and leaves the categories as they are."""
    wanted = _scaling(given or Spelled("standard"))
    numbers = data.coding.scaled
    if wanted is None or numbers.all():
        return wanted
    center, scale = np.zeros(len(numbers)), np.ones(len(numbers))
    kind = read_scaling(wanted, len(numbers), "--scale-inputs")
    assert kind is not None
    if numbers.any():
        rows = np.ascontiguousarray(data.X[data.train][:, numbers])
        center[numbers], scale[numbers] = learn(kind.kind, blocks_of(rows), "the inputs", kind.limits)
    return center, scale


def _target_scaling(given: Spelled | None, classifies: bool, output: Row, loss: Row) -> Any:
    if given is not None:
        return _scaling(given)
    free = loss.targets == (-np.inf, np.inf) and not loss.pair
    return "standard" if free and output.name == "identity" and not classifies else None


def targets_for(net: cbp.Network, data: Data) -> Any:
    """The targets as the network takes them: labels, 0 and 1, -1 and 1, numbers; a tuple with several heads."""
    if net._spec.heads is not None:
        return tuple(data.y)
    classes = data.coding.targets[0].classes
    if classes is None:
        return np.stack(data.y, axis=1)
    labels = data.y[0]
    if net._spec.layers[-1].rows[0].row_wise:
        return labels
    n_out = net.widths[-1]
    rows: NDArray[np.float64] = labels[:, None].astype(np.float64) if n_out == 1 else np.eye(n_out)[labels]
    return 2 * rows - 1 if net._spec.loss.name == "hinge" else rows


def class_weight(given: Any, data: Data) -> Any:
    """What fit takes as class_weight: names of classes become their places."""
    if given is None:
        return None
    classes = data.coding.targets[0].classes
    if classes is None or len(data.coding.targets) > 1:
        raise ValueError("--class-weight is for one target that is a class")
    if isinstance(given, str):
        return given
    for name in given:
        if name not in classes:
            raise unknown("class", name, classes)
    return {classes.index(name): weight for name, weight in given.items()}


# ---- how it is trained ----


def optimizer(options: argparse.Namespace) -> Any:
    """The optimiser or method that is meant, with its arguments."""
    given = options.optimizer or Spelled("adam")
    made = cbp.optimizers.get(_row_of_class(given.name))
    config = made.get_config()
    named = dict(given.named)
    if len(given.args) > len(type(made).fields):
        raise ValueError(f"{given.name} takes at most {len(type(made).fields)} arguments")
    named |= dict(zip(type(made).fields, given.args, strict=False))
    for name in ("learning_rate", "momentum", "nesterov"):
        value = getattr(options, name)
        if value:
            if name not in type(made).fields:
                raise ValueError(f"{type(made).__name__} knows no --{name.replace('_', '-')}")
            named[name] = value
    try:
        return cbp.optimizers.get({**config, **named})
    except TypeError as error:
        raise ValueError(str(error)) from None


def _row_of_class(name: str) -> str:
    """The name that `optimizers.get` knows, of the name of a class or of itself."""
    from cbp.methods import by_name

    rows = [*cbp.tables.optimizers, *by_name]
    classes = {type(cbp.optimizers.get(row)).__name__: row for row in reversed(rows)}
    return classes.get(name, name)


def is_plateau(given: Spelled) -> bool:
    """Whether the rate is to follow a figure of the training, and not the updates."""
    return _snake(given.name) in (PLATEAU, "plateau")


def plateau(given: Spelled) -> cbp.ReduceOnPlateau:
    """The callback that stands in the place of a schedule."""
    try:
        return cbp.ReduceOnPlateau(*given.args, **given.named)
    except TypeError as error:
        raise ValueError(f"{given.name}: {error}") from None


def schedule(given: Spelled, rate: float, per_epoch: int, epochs: int) -> Any:
    """The schedule that is meant: its rate is the optimiser's, its steps are all there will be, unless it says so.

    `epochs(n)` as an argument is the number of updates in n epochs.
    """
    kinds = {_snake(name): cls for name, cls in cbp.schedules.Schedule._classes.items()}
    if _snake(given.name) not in kinds:
        raise unknown("schedule", given.name, [*kinds, PLATEAU])
    kind = kinds[_snake(given.name)]
    names = [field.name for field in fields(kind)]
    if len(given.args) > len(names):
        raise ValueError(f"{given.name} takes at most {len(names)} arguments")
    wanted: dict[str, Any] = dict(zip(names, given.args, strict=False)) | given.named
    for name, value in wanted.items():
        if isinstance(value, str) and name == "schedule":
            value = Spelled(value)
        if isinstance(value, Spelled) and value.name == "epochs" and len(value.args) == 1:
            value = round(value.args[0] * per_epoch)
        if isinstance(value, Spelled):
            value = schedule(value, rate, per_epoch, epochs)
        wanted[name] = value
    if "learning_rate" in names:
        wanted.setdefault("learning_rate", rate)
    if "steps" in names:
        wanted.setdefault("steps", per_epoch * epochs)
    try:
        return kind(**wanted)
    except TypeError as error:
        raise ValueError(f"{given.name}: {error}") from None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
