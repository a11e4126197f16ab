"""How options are described, and the kinds of words that they take."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cbp.cli._reply import Reply
from cbp.cli._spelled import Spelled, spelled, split

Run = Callable[[argparse.Namespace, Reply], int]


@dataclass(frozen=True)
class Option:
    """An option or a place of a command, as argparse's add_argument takes it.

    Attributes
    ----------
    names : tuple of str
    settings : dict
    words : sequence of str
        What a shell may complete it with, where there is no `choices` among the settings.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes
    ----------
    run : callable
        Gets the options and where to answer; returns the exit status.
    summary : str
        One line about it.
    groups : dict of str to list of Option
        Its options by what they are about; "" for those that need no title.
    more : str
        What --help says below the options: paragraphs, which are filled, and indented lines, which stay as they are.
    usage : str
        How it is called, where that would be too long with all options.
    """

    run: Run
    summary: str
    groups: dict[str, list[Option]]
    more: str = ""
    usage: str = ""


def option(*names: str, words: Iterable[str] = (), **settings: Any) -> Option:
    """Describe an option."""
    return Option(names, settings, tuple(words))


def number_type(kind: type, fits: Callable[[Any], bool], wanted: str) -> Callable[[str], Any]:
    """Return the type of an option that is a number of some kind."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return convert


count = number_type(int, lambda n: n >= 1, "a whole number above 0")
count_or_zero = number_type(int, lambda n: 0 <= n < 2**63, "a whole number from 0")
positive = number_type(float, lambda r: 0 < r < float("inf"), "a number above 0")
not_negative = number_type(float, lambda r: 0 <= r < float("inf"), "a number from 0")
share = number_type(float, lambda f: 0 <= f < 1, "a number from 0 to below 1")


def several(one: Callable[[str], Any], like: str) -> Callable[[str], list[Any]]:
    """Return the type of an option that is a list with commas."""

    def convert(text: str) -> list[Any]:
        try:
            return [one(part) for part in split(text)]
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{error} in {text!r}, which should be like {like}") from None

    return convert


def widths(text: str) -> list[int]:
    """Units of layers, or none."""
    if text == "none":
        return []
    try:
        return [count(word) for word in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 64 or 64,32, or none") from None


def thing(text: str) -> Spelled:
    """A name with arguments."""
    try:
        return spelled(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    """A length of time: 90, 90s, 10m, 1.5h."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)", text.strip())
    if not found or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 90s, 10m or 1.5h")
    return float(found[1]) * UNITS[found[2]]


def weights(text: str) -> str | dict[str, float]:
    """Weights of classes: balanced, or name:weight,name:weight."""
    if text == "balanced":
        return text
    table = {}
    for part in text.split(","):
        name, colon, weight = part.rpartition(":")
        if not colon:
            raise argparse.ArgumentTypeError(f"{text!r} is neither balanced nor a list like yes:2,no:1")
        table[name.strip()] = not_negative(weight)
    return table


JSON = option("--json", action="store_true", help="print one JSON object instead of words, errors too")
QUIET = option("-q", "--quiet", action="store_true", help="print nothing but errors")
SEED = option("--seed", type=count_or_zero, metavar="N", help="where all chance comes from (default: 0)")
THREADS = option("--threads", type=count, metavar="N", help="threads to use; they change no result (default: all)")
