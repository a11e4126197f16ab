"""The parser of the command line: help that a person can use, errors of one sentence, guesses at what was meant.

`parser_of` builds it from the table of commands, `check_words` looks at the words before argparse does.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import cbp
from cbp.cli._options import Command
from cbp.errors import unknown

DESCRIPTION = "Fully connected neural networks: train one on a table, use it, look at it."

EXAMPLES = """\
examples:
  cbp train iris.csv --target species -o iris.npz
  cbp predict iris.npz new.csv -o answers.csv
  cbp evaluate iris.npz test.csv --report report.html
  cbp export iris.npz iris.onnx
  cbp COMMAND --help

exit status:
  0  done        1  a check did not pass     2  an error, told in one line on standard error
  130  Ctrl-C    141  nobody reads standard output any more
"""


class WordError(ValueError):
    """Words of the command line that cannot be understood."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, up to 100 columns; paragraphs are filled, what is indented stays as it is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(shutil.get_terminal_size().columns, 100) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.strip("\n").split("\n\n")
        return "\n\n".join(part if "\n " in f"\n{part}" else textwrap.fill(part, width) for part in parts) + "\n"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises what it does not understand."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> Any:
        """Raise WordError."""
        raise WordError(f"{message} (see {self.prog} --help)")


def parser_of(commands: Mapping[str, Command]) -> Parser:
    """Build the parser of all commands; each sets `run` and `command`."""
    parser = Parser(prog="cbp", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"cbp {cbp.__version__}")
    added = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in commands.items():
        description = f"{command.summary[0].upper()}{command.summary[1:]}."
        usage = f"cbp {name} {command.usage}" if command.usage else None
        more = command.more or None
        one = added.add_parser(name, help=command.summary, description=description, epilog=more, usage=usage)
        one.set_defaults(run=command.run, command=name, json=False, quiet=False)
        fill(one, command)
    return parser


def fill(parser: argparse.ArgumentParser, command: Command) -> None:
    """Give a parser the options of a command."""
    for title, options in command.groups.items():
        group = parser.add_argument_group(title) if title else parser
        for one in options:
            group.add_argument(*one.names, **one.settings)


def check_words(words: Sequence[str], commands: Mapping[str, Command]) -> None:
    """Refuse a command or an option that there is not, with a guess at what was meant; WordError."""
    known = ["--help", "-h", "--version"]
    command = next((word for word in words if not word.startswith("-")), None)
    if command is not None and command not in commands:
        raise WordError(f"{unknown('command', command, commands)} (see cbp --help)")
    if command is not None:
        options = [one for group in commands[command].groups.values() for one in group]
        known += [name for one in options for name in one.names if name.startswith("-")]
    for word in words:
        if word == "--":
            return
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            where = f"cbp {command}" if command else "cbp"
            raise WordError(f"{_no_option(name, known)} (see {where} --help)")


def _no_option(name: str, known: Sequence[str]) -> str:
    sentence = str(unknown("option", name, [one for one in known if one.startswith("--")]))
    return sentence.partition(" there are:")[0].rstrip(";")
