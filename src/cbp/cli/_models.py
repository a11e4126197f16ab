"""Models as the command line meets them: files of every kind that can be read, and the coding of their table."""

from __future__ import annotations

import importlib
import os
from typing import Any

import cbp
from cbp import io
from cbp.tabular import Coding, Column, Target

KEY = "cbp_table"
"""Where the coding of the table stands in `Network.metadata`."""
WRITTEN_ONLY = (".c",)
"""Endings of what is exported and cannot be read."""


def load(path: str) -> cbp.Network:
    """Read a model: cbp's own files, and those of other programs whose module can `load`."""
    ending = os.path.splitext(path)[1]
    if ending in io.FORMATS:
        return cbp.load(path)
    others = {name: place for name, place in io.EXPORTS.items() if name not in WRITTEN_ONLY}
    if ending not in others:
        known = ", ".join([*io.FORMATS, *others])
        raise ValueError(f"{path} is no model that can be read: their names end in {known}")
    net: cbp.Network = importlib.import_module(others[ending]).load(path)
    return net


def coding_of(net: cbp.Network, path: str) -> Coding | None:
    """What cbp train kept in a model; None for one that comes from elsewhere."""
    if KEY not in net.metadata:
        return None
    try:
        coding = Coding.from_dict(net.metadata[KEY])
        _check_widths(net, coding)
    except ValueError as error:
        raise cbp.FormatError(f"{path}: the description of its table is damaged: {error}") from None
    return coding


def _check_widths(net: cbp.Network, coding: Coding) -> None:
    heads, n_out, classes = net._spec.heads, net.widths[-1], coding.targets[0].classes
    if heads is not None:
        fits = [len(target.classes or ()) for target in coding.targets] == [head.units for head in heads.all]
    elif classes is None:
        fits = n_out == len(coding.targets) * (2 if net._spec.loss.pair else 1)
    else:
        fits = len(coding.targets) == 1 and (n_out == len(classes) or (n_out == 1 and len(classes) == 2))
    if len(coding.inputs) != net.widths[0] or not fits:
        raise ValueError("its columns or classes do not fit the network")


def coding_for(net: cbp.Network, path: str) -> tuple[Coding, bool]:
    """A coding for any model, and whether its columns are the inputs in order and have no names."""
    coding = coding_of(net, path)
    if coding is not None:
        return coding, False
    features = net.metadata.get("features")
    names = [name for name in features if isinstance(name, str) and name] if isinstance(features, list) else []
    if len(set(names)) == len(names) == net.widths[0]:
        return _foreign(net, names), False
    return _foreign(net, [f"{i + 1}" for i in range(net.widths[0])]), True


def _foreign(net: cbp.Network, names: list[str]) -> Coding:
    """A coding for a model that comes from elsewhere.

    Classes are those that the metadata names, where they fit the outputs; else the outputs are numbers y0, y1 ...
    """
    columns = tuple(map(Column, names))
    n_out, classes = net.widths[-1], net.metadata.get("classes")
    if isinstance(classes, list) and net._spec.heads is None:
        labels = tuple(map(str, classes))
        coding = Coding(columns, (Target("class", labels),))
        if len(set(labels)) == len(labels) and (n_out == len(labels) or (n_out == 1 and len(labels) == 2)):
            return coding
    pairs = net._spec.heads is None and net._spec.loss.pair
    return Coding(columns, tuple(Target(f"y{j}") for j in range(n_out // 2 if pairs else n_out)))


def keep(net: cbp.Network, coding: Coding) -> None:
    """Put the coding into the metadata of a network, and what other bridges read there."""
    more: dict[str, Any] = {KEY: coding.to_dict(), "features": coding.inputs}
    if coding.classifies and len(coding.targets) == 1:
        more["classes"] = list(coding.targets[0].classes or ())
    net.metadata = {**net.metadata, **more}
