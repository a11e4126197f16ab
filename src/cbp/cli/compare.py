"""`cbp compare`: two saved networks side by side: configuration, parameters, answers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp.cli import _data, _metrics, _models
from cbp.cli._answers import Answers
from cbp.cli._options import JSON, QUIET, Command, not_negative, option
from cbp.cli._reply import Reply, plain
from cbp.cli._words import count_of, table_of
from cbp.cli.evaluate import outputs_of, require_coding

MORE = """\
With a table that has the target both are judged by it, and how often they agree is counted.

examples:
  cbp compare old.npz new.npz
  cbp compare old.npz new.npz test.csv
  cbp compare model.npz again.npz --tolerance 0
"""
DIFFERENT = 1


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Compare options.first with options.second; returns the exit status."""
    paths = (options.first, options.second)
    nets = [_models.load(path) for path in paths]
    reply.facts |= {"models": list(paths), "networks": [str(net) for net in nets]}
    for path, net in zip(paths, nets, strict=True):
        reply.say(f"{path}: {net}")
    _configuration(nets, reply)
    largest = [_parameters(nets, reply)]
    if options.table:
        largest.append(_answers(nets, options, reply))
    if options.tolerance is None:
        return 0
    within = all(one is not None and one <= options.tolerance for one in largest)
    reply.facts["within_tolerance"] = within
    reply.say(f"{'Within' if within else 'NOT within'} the tolerance of {options.tolerance:g}.")
    return 0 if within else DIFFERENT


def _configuration(nets: list[cbp.Network], reply: Reply) -> None:
    configs = [dict(_flat(plain(net.get_config()))) for net in nets]
    names = [name for name in dict.fromkeys([*configs[0], *configs[1]]) if configs[0].get(name) != configs[1].get(name)]
    different = {name: [config.get(name) for config in configs] for name in names}
    reply.facts["configuration"] = different
    if not different:
        reply.say("\nThe configurations are the same.")
        return
    rows = [["  differs", "first", "second"]]
    rows += [[f"  {name}", *(_short(json.dumps(value)) for value in both)] for name, both in different.items()]
    reply.say(f"\n{table_of(rows, left=3)}")


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _flat(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a configuration with their places: layers.1.units. Lists of numbers are leaves."""
    if isinstance(config, dict):
        inner: Any = config.items()
    elif isinstance(config, list) and any(isinstance(one, dict) for one in config):
        inner = enumerate(config)
    else:
        yield name, config
        return
    for key, value in inner:
        yield from _flat(value, f"{name}.{key}" if name else str(key))


def _parameters(nets: list[cbp.Network], reply: Reply) -> float | None:
    """Say how far the parameters are apart; returns the largest difference, None where they cannot be compared."""
    shapes = [[layer.theta.shape for layer in net.layers] for net in nets]
    if shapes[0] != shapes[1]:
        reply.facts["parameters"] = None
        reply.say("\nThe layers differ in shape, so parameters cannot be compared.")
        return None
    same = nets[0].params.tobytes() == nets[1].params.tobytes()
    each = [
        float(np.abs(a.theta.astype(np.float64) - b.theta.astype(np.float64)).max())
        for a, b in zip(nets[0].layers, nets[1].layers, strict=True)
    ]
    reply.facts["parameters"] = {"same_bits": same, "largest_difference": max(each), "by_layer": each}
    if same:
        reply.say("The parameters are the same, bit for bit.")
    else:
        by_layer = ", ".join(f"{difference:.3g}" for difference in each)
        reply.say(f"Largest difference of a parameter: {max(each):.6g} (by layer: {by_layer}).")
    return max(each)


def _answers(nets: list[cbp.Network], options: argparse.Namespace, reply: Reply) -> float | None:
    """Judge both by the table; returns the largest difference of their outputs, None where it has no meaning."""
    paths = (options.first, options.second)
    codings = [require_coding(net, path) for net, path in zip(nets, paths, strict=True)]
    if codings[0].targets != codings[1].targets:
        raise ValueError(f"{paths[0]} and {paths[1]} do not predict the same: their targets or classes differ")
    data = [_data.read_known(options.table, coding) for coding in codings]
    outputs = [outputs_of(net, one) for net, one in zip(nets, data, strict=True)]
    answers = [Answers(net, coding) for net, coding in zip(nets, codings, strict=True)]
    figures = [_metrics.judge(a, o, one.y, None) for a, o, one in zip(answers, outputs, data, strict=True)]
    reply.facts |= {"rows": len(data[0].table), "metrics": figures, "agreement": []}
    reply.say(f"\nOn the {count_of(len(data[0].table), 'row')} of {options.table}:")
    for j in range(len(figures[0])):
        parts = [answer.parts(output)[j][1] for answer, output in zip(answers, outputs, strict=True)]
        agreement = _agreement(answers, parts, figures[0][j])
        reply.facts["agreement"].append(agreement)
        reply.say(_side_by_side(figures[0][j], figures[1][j], agreement))
    if outputs[0].shape != outputs[1].shape:
        return None
    return float(np.abs(outputs[0].astype(np.float64) - outputs[1]).max())


def _agreement(answers: list[Answers], parts: list[NDArray[Any]], figures: dict[str, Any]) -> dict[str, Any]:
    if figures["kind"] == "classes":
        labels = [answer.labels(part) for answer, part in zip(answers, parts, strict=True)]
        same = int(np.count_nonzero(labels[0] == labels[1]))
        return {"target": figures["target"], "same_class": same, "share": same / figures["rows"]}
    apart = np.abs(parts[0][:, 0].astype(np.float64) - parts[1][:, 0])
    return {"target": figures["target"], "largest_difference": float(apart.max()), "mean": float(apart.mean())}


def _side_by_side(first: dict[str, Any], second: dict[str, Any], agreement: dict[str, Any]) -> str:
    names = ["accuracy", "macro_f1"] if first["kind"] == "classes" else ["r2", "rmse", "mae"]
    rows = [["  " + first["target"], "first", "second"]]
    rows += [
        [f"    {name}", *("-" if one[name] is None else f"{one[name]:.6g}" for one in (first, second))]
        for name in names
    ]
    if first["kind"] == "classes":
        last = f"    the same class on {agreement['same_class']:,} of {first['rows']:,} rows ({agreement['share']:.1%})"
    else:
        last = f"    apart by {agreement['mean']:.4g} on average, {agreement['largest_difference']:.4g} at most"
    return f"{table_of(rows)}\n{last}"


# fmt: off
GROUPS = {
    "": [
        option("first", metavar="first.npz"),
        option("second", metavar="second.npz"),
        option("table", nargs="?", metavar="test.csv", help="judge both by this table"),
        option("--tolerance", type=not_negative, metavar="R",
               help="exit with status 1 if parameters, or outputs for the table, are further apart"),
        JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "compare two saved networks", GROUPS, MORE)
