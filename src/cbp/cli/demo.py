"""`cbp demo`: the words for cbp.demo."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from cbp.cli._options import JSON, SEED, Command, count, option
from cbp.cli._reply import Reply


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Run the demo; returns the exit status."""
    from cbp import demo

    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere) if options.json else contextlib.nullcontext(),
    ):
        accuracy = demo.run(options.seed or 0, options.epochs, options.output_dir)
    reply.facts |= {"accuracy": accuracy, "folder": str(options.output_dir)}
    return 0


# fmt: off
GROUPS = {
    "": [
        SEED,
        option("--epochs", type=count, metavar="N", help="passes over the training rows (default: 40)"),
        option("--output-dir", type=Path, default=Path("cbp-demo"), metavar="DIR",
               help="for the model and the picture (default: cbp-demo)"),
        JSON,
    ],
}
# fmt: on

COMMAND = Command(run, "train on real handwritten digits and show what came out", GROUPS)
