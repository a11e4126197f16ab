"""`cbp export`: a saved network in another format, by the ending of the name."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cbp import io
from cbp.cli import _models
from cbp.cli._options import JSON, QUIET, Command, option
from cbp.cli._reply import Reply
from cbp.cli._spelled import value
from cbp.cli._words import check_writable

MORE = f"""\
{", ".join(io.FORMATS)} keep all of a network and can be trained further; {", ".join(io.EXPORTS)} are for other
programs. What -O may say depends on the format: see the pages on bridges.

examples:
  cbp export iris.npz iris.onnx
  cbp export iris.npz iris.c -O name=iris -O train
  cbp export iris.npz iris.safetensors
"""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Write options.model as options.output; returns the exit status."""
    endings = {**io.FORMATS, **io.EXPORTS}
    check_writable(options.output, endings)
    named, ending = dict(map(_pair, options.option)), os.path.splitext(options.output)[1]
    net = _models.load(options.model)
    if ending in io.FORMATS:
        if named:
            raise ValueError(f"-O: {options.output} is a format of cbp's own, which has no options")
        net.save(options.output)
    else:
        try:
            net.export(options.output, **named)
        except TypeError as error:
            raise ValueError(f"{options.output}: {error}") from None
    reply.facts |= {"model": options.model, "output": options.output, "bytes": os.path.getsize(options.output)}
    reply.say(f"Wrote {options.output}, {reply.facts['bytes']:,} bytes.")
    return 0


def _pair(text: str) -> tuple[str, Any]:
    """The name and value of an option of a format; a name alone is True."""
    name, equals, rest = text.partition("=")
    name = name.strip().replace("-", "_")
    if not name.isidentifier():
        raise ValueError(f"-O {text}: it should be like -O name=value, or -O name")
    return name, value(rest) if equals else True


# fmt: off
GROUPS = {
    "": [
        option("model", metavar="model.npz"),
        option("output", metavar="FILE", help=f"its ending is the format: {', '.join([*io.FORMATS, *io.EXPORTS])}"),
        option("-O", "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the format"),
        JSON, QUIET,
    ],
}
# fmt: on

COMMAND = Command(run, "write a saved network in another format", GROUPS, MORE)
