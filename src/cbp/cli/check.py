"""`cbp check`: is a saved network sound? Its numbers, and its gradient against numeric differences."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp import _core
from cbp.cli import _data, _models
from cbp.cli._build import targets_for
from cbp.cli._options import JSON, QUIET, SEED, Command, count, option
from cbp.cli._reply import Reply
from cbp.cli._words import count_of
from cbp.cli.evaluate import require_coding

MORE = """\
The gradient is that of a few rows: of the table, with its target, or else random ones. Exit status 1 if it differs from
central differences by more than rounding explains, or if a parameter is not finite.

examples:
  cbp check iris.npz
  cbp check iris.npz iris.csv --rows 32
"""
FAILED = 1


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Check options.model; returns the exit status."""
    net = _models.load(options.model)
    coding = _models.coding_of(net, options.model)
    reply.say(net)
    finite = bool(np.isfinite(net.params).all())
    reply.say(f"{count_of(net.n_params, 'parameter')}, {'all finite' if finite else 'NOT all finite'}")
    reply.facts |= {"model": options.model, "network": str(net), "finite": finite}
    if not finite:
        reply.facts["ok"] = False
        return FAILED
    if options.table:
        X, y = _given(net, require_coding(net, options.model), options)
    else:
        X, y = random_samples(net, options.rows, options.seed or 0)
    report = cbp.gradcheck(net, X, y)
    reply.say(f"{report}\nrows: {'of ' + options.table if options.table else 'random'}")
    reply.facts |= {
        "ok": report.ok,
        "gradient": {"largest_error": report.max_error, "allowed": report.tolerance, "rows": len(X)},
        "table": coding is not None,
    }
    return 0 if report.ok else FAILED


def _given(net: cbp.Network, coding: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    data = _data.read_known(options.table, coding)
    rows = np.sort(_core.permutation(options.seed or 0, 0, len(data.X))[: options.rows])
    targets = targets_for(net, data)
    return data.X[rows], tuple(part[rows] for part in targets) if isinstance(targets, tuple) else targets[rows]


def random_samples(net: cbp.Network, n: int, seed: int) -> tuple[NDArray[np.float64], Any]:
    """Random rows, about as large as those that the network knows, and targets that its loss can take."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, net.widths[0]))
    if net.input_scaling is not None:
        X = net.input_scaling.inverse(X) if net.input_scaling.known else X
    heads = net._spec.heads
    if heads is None:
        return X, _targets(random, net._spec, net, n)
    return X, tuple(_head_targets(random, head, n) for head in heads.all)


def _targets(random: np.random.Generator, spec: Any, net: cbp.Network, n: int) -> Any:
    if spec.layers[-1].rows[0].row_wise:
        return random.integers(0, spec.n_targets, n)
    y = _within(random, spec.loss.targets, (n, spec.n_targets))
    scaling = net.target_scaling
    return y if scaling is None or not scaling.known else scaling.inverse(y)


def _head_targets(random: np.random.Generator, head: Any, n: int) -> Any:
    if head.rows[0].row_wise:
        return random.integers(0, head.n_targets, n)
    return _within(random, head.loss.targets, (n, head.n_targets))


def _within(random: np.random.Generator, limits: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.float64]:
    low, high = limits
    if np.isfinite(low) and np.isfinite(high):
        return random.uniform(low, high, shape)
    y = random.standard_normal(shape)
    return np.abs(y) + low if np.isfinite(low) else y


# fmt: off
GROUPS = {
    "": [
        option("model", metavar="model.npz"),
        option("table", nargs="?", metavar="data.csv", help="take rows of this table (default: random ones)"),
        option("--rows", type=count, default=8, metavar="N", help="how many (default: 8)"),
        SEED, JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "check a saved network and its gradient", GROUPS, MORE)
