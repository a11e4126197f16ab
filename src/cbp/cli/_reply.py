"""What a command answers: words for people as it goes on, or one JSON object at its end."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import numpy as np


class Reply:
    """Collects `facts` for programs and says the rest to people.

    Parameters
    ----------
    as_json : bool
        Nothing is said; the facts are printed as one object at the end.
    quiet : bool
        Nothing is said.

    Attributes
    ----------
    facts : dict
        What the JSON object holds.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.facts: dict[str, Any] = {}

    def say(self, text: object) -> None:
        """Say something to a person, on standard output; work goes on where nobody reads it any more."""
        if self.as_json or self.quiet:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            self.quiet = True
            give_up_stdout()

    def warn(self, text: str) -> None:
        """Say on standard error, and keep in the facts, what may not be as the person thinks."""
        self.facts.setdefault("warnings", []).append(text)
        if not (self.as_json or self.quiet):
            print(f"cbp: warning: {text}", file=sys.stderr)

    def end(self) -> None:
        """Print the object, where one is wanted."""
        if self.as_json:
            print(json.dumps(plain(self.facts), ensure_ascii=False))

    def failed(self, kind: str, sentence: str, status: int) -> None:
        """Say what went wrong: in one line on standard error, and in the place of the object."""
        print(f"cbp: error: {sentence}", file=sys.stderr)
        if self.as_json:
            error = {"type": kind, "message": sentence, "status": status}
            print(json.dumps({"error": error}, ensure_ascii=False))


def give_up_stdout() -> None:
    """Let standard output lead nowhere: the interpreter flushes it once more at exit, where it would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(value: Any) -> Any:
    """The same as JSON has it: NumPy's numbers as Python's, null for what is not finite.

    >>> plain({"a": np.float32(0.1), "b": float("nan"), "c": (1, 2)})
    {'a': 0.1, 'b': None, 'c': [1, 2]}
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.floating):
        value = float(str(value))
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
