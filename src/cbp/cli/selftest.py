"""`cbp selftest`: whether this build computes correctly on this machine."""

from __future__ import annotations

import argparse

import cbp
from cbp.cli._options import JSON, QUIET, Command, option
from cbp.cli._reply import Reply
from cbp.cli._words import count_of

FAILED = 1


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Make all checks; returns the exit status."""
    report = cbp.selftest(verbose=options.verbose and not (options.json or options.quiet))
    kinds: dict[str, list[bool]] = {}
    for text, passed in report.lines:
        kinds.setdefault(text.partition(",")[0], []).append(passed)
    width = max(map(len, kinds))
    for kind, results in kinds.items():
        verdict = "ok" if all(results) else f"{results.count(False)} FAILED"
        reply.say(f"{kind:{width}}  {count_of(len(results), 'check'):>10}  {verdict}")
    reply.say(report)
    reply.facts |= {
        "ok": report.ok,
        "version": cbp.__version__,
        "isa": cbp.isa(),
        "checks": {kind: {"made": len(results), "failed": results.count(False)} for kind, results in kinds.items()},
        "failed": [text for text, passed in report.lines if not passed],
    }
    return 0 if report.ok else FAILED


GROUPS = {"": [option("-v", "--verbose", action="store_true", help="one line for each check"), JSON, QUIET]}

COMMAND = Command(run, "check gradients and instruction sets on this machine", GROUPS)
