"""The command `cbp`: a module a command, one sentence and exit status 2 for whatever went wrong.

`main` is the entry point. Tables are read and written by cbp.tabular. Packages beside NumPy are imported by the
command that needs them, when it does.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import cbp
from cbp.cli import bench, check, compare, completion, demo, evaluate, export, info, predict, selftest, train
from cbp.cli._options import Command
from cbp.cli._parser import WordError, check_words, parser_of
from cbp.cli._reply import Reply, give_up_stdout
from cbp.tabular import MissingError, TableError

FAILED, ERROR = 1, 2
INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

COMMANDS: dict[str, Command] = {
    "train": train.COMMAND,
    "predict": predict.COMMAND,
    "evaluate": evaluate.COMMAND,
    "info": info.COMMAND,
    "export": export.COMMAND,
    "compare": compare.COMMAND,
    "check": check.COMMAND,
    "bench": bench.COMMAND,
    "selftest": selftest.COMMAND,
    "demo": demo.COMMAND,
    "completion": completion.COMMAND,
}

EXPECTED = (ValueError, RuntimeError, OSError, ImportError, MemoryError, cbp.DivergenceError)
"""What a person, a file or the machine may be the reason of."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after `cbp`; by default those of this process.

    Returns
    -------
    int
        0; 1 if a check did not pass, 2 after an error told on stderr, 130 after Ctrl-C, 141 if nobody reads stdout.

    Raises
    ------
    SystemExit
        After --help and --version (status 0).

    Examples
    --------
    >>> from cbp.cli import main
    >>> main(["info", "no-such-model.npz"])
    2
    """
    words = list(sys.argv[1:] if argv is None else argv)
    reply = Reply(as_json="--json" in words, quiet="--quiet" in words or "-q" in words)
    try:
        status = _run(words, reply)
        reply.end()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _interrupted(reply)
    except BrokenPipeError:
        give_up_stdout()
        return BROKEN_PIPE
    except EXPECTED as error:
        reply.failed(type(error).__name__, _sentence(error), ERROR)
        return ERROR


def _run(words: list[str], reply: Reply) -> int:
    check_words(words, COMMANDS)
    options = parser_of(COMMANDS).parse_args(words)
    reply.facts["command"] = options.command
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: reply.warn(" ".join(str(message).split()))
        try:
            status: int = options.run(options, reply)
        except MissingError as error:
            hint = " (--missing says what else to do)" if hasattr(options, "missing") else ""
            raise TableError(f"{error}{hint}") from None
    return status


def _interrupted(reply: Reply) -> int:
    """Ctrl-C: what was to be said was said where it was caught."""
    if reply.as_json:
        reply.facts["interrupted"] = True
        reply.end()
    return INTERRUPTED


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory"
    return " ".join(str(error).split())


__all__ = ["COMMANDS", "WordError", "main"]
