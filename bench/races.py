"""What the commands that race in one process share: the head of a report, what it says of itself, the page it is on.

Used by second_order.py and estimators.py; the head also by run.py.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ceilings
import machine
import publish


def head(layout: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what every report begins with: its format, when, which sources, which machine, how."""
    return {
        "format": layout,
        "date": datetime.date.today().isoformat(),
        "revision": machine.output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        "machine": machine.describe(ceilings.compiler()),
        "settings": settings,
    }


def installed(distributions: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the versions of what is installed, by the names that a report gives them."""
    found = {}
    for name, distribution in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(distribution)
    return found


def about(document: dict[str, Any], how: str) -> str:
    """Say which machine and versions, when, and how."""
    here, day = document["machine"], datetime.date.fromisoformat(document["date"])
    software = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    load = "" if here["load_before"] is None else f" Load of the machine before the run: {here['load_before']:.1f}."
    return f"{day.day} {day:%B %Y}. {here['cpu']}; {here['system']}, {here['python']}. {software}. {how}.{load}"


def filled(text: str, made: dict[str, str]) -> str:
    """Return a page with these texts between the marks of their names; other marks keep what they have."""

    def between(found: re.Match[str]) -> str:
        return f"{found[1]}\n{made[found[2]]}\n\n{found[3]}" if found[2] in made else found[0]

    return publish.MARK.sub(between, text)
