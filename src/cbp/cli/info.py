"""`cbp info`: what a saved network is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import cbp
from cbp.cli import _models
from cbp.cli._options import JSON, Command, option
from cbp.cli._reply import Reply
from cbp.cli._words import count_of, quoted, some
from cbp.tabular import Coding

OWN = (_models.KEY, "features", "classes")
"""Entries of the metadata that are shown as the table they are about."""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Show options.model; returns the exit status."""
    net = _models.load(options.model)
    coding = _models.coding_of(net, options.model)
    facts = [*_network_facts(net), *([] if coding is None else _table_facts(net, coding))]
    own = {name: value for name, value in net.metadata.items() if coding is None or name not in OWN}
    facts += [(name, json.dumps(value, ensure_ascii=False)) for name, value in own.items()]
    width = max(len(name) for name, _ in facts)
    reply.say(net)
    reply.say("\n".join(f"  {name:{width}}  {value}".rstrip() for name, value in facts))
    reply.facts |= _facts(net, options.model)
    return 0


def _facts(net: cbp.Network, path: str) -> dict[str, Any]:
    return {
        "model": path,
        "network": str(net),
        "config": net.get_config(),
        "parameters": net.n_params,
        "epochs": net.epoch,
        "optimizer": None if net.optimizer is None else net.optimizer.get_config(),
        "input_scaling": _scaling_facts(net.input_scaling),
        "target_scaling": _scaling_facts(net.target_scaling),
        "metadata": net.metadata,
    }


def _scaling_facts(scaling: Any) -> dict[str, Any] | None:
    if scaling is None:
        return None
    return {"kind": scaling.kind, "center": scaling.center, "scale": scaling.scale}


def _network_facts(net: cbp.Network) -> Iterator[tuple[str, str]]:
    config = net.get_config()
    yield "inputs", f"{net.widths[0]:,}{_scaled_by(net.input_scaling)}"
    heads = net._spec.heads
    for number, (layer, dense) in enumerate(zip(net.layers, net._spec.layers, strict=True), 1):
        names = some([str(row) for row in dense.rows])
        if heads is not None and number == len(net.layers):
            names = " + ".join(map(str, heads.all))
        facts = [count_of(layer.units, "unit"), names, *dense.extras(), *([] if layer.trainable else ["frozen"])]
        yield f"layer {number}", f"{', '.join(facts)}: {count_of(layer.theta.size, 'parameter')}"
    if net.target_scaling is not None:
        yield "outputs", f"{net.widths[-1]:,}{_scaled_by(net.target_scaling)}"
    yield "loss", f"{net._spec.loss}, {config['reduction']} over the samples"
    yield "parameters", f"{net.n_params:,} in {net.dtype}: {net.params.nbytes:,} bytes"
    yield "seed", f"{net.seed}"
    yield "trained", count_of(net.epoch, "epoch") if net.epoch else "never"
    if net.optimizer is not None:
        yield "optimiser", f"{net.optimizer}, its state kept"


def _scaled_by(scaling: Any) -> str:
    if scaling is None:
        return ""
    return f", scaled: {scaling}{'' if scaling.known else ', not learned yet'}"


def _table_facts(net: cbp.Network, coding: Coding) -> Iterator[tuple[str, str]]:
    for j, target in enumerate(coding.targets):
        if target.classes is not None:
            kind = f"{len(target.classes)} classes: {some(target.classes, 30)}"
        else:
            kind = f"a number{_moments(net.target_scaling, j)}"
        yield "target", f"{quoted(target.name)}, {kind}"
    if coding.missing == "mean":
        yield "missing", "the mean of the column, or none of the categories"
    width, at = max(map(len, coding.names)) + 2, 0
    for number, column in enumerate(coding.columns, 1):
        if column.categories is not None:
            kind = f"  {count_of(len(column.categories), 'category')}: {some(column.categories)}"
        else:
            kind = _moments(net.input_scaling, at, "  ")
        yield f"column {number}", f"{quoted(column.name):{width}}{kind}"
        at += len(column.inputs)


def _moments(scaling: Any, at: int, gap: str = ": ") -> str:
    if scaling is None or not scaling.known:
        return ""
    return f"{gap}centre {scaling.center[at]:.6g}, scale {scaling.scale[at]:.6g}"


COMMAND = Command(run, "show what a saved network is", {"": [option("model", metavar="model.npz"), JSON]})
