"""`cbp completion`: what a shell needs to complete the words of the command line, made from the table of commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from cbp.cli._options import Command, Option, option
from cbp.cli._reply import Reply

MORE = """\
  bash:  echo 'eval "$(cbp completion bash)"' >> ~/.bashrc
  zsh:   echo 'eval "$(cbp completion zsh)"' >> ~/.zshrc        (after compinit)
  fish:  cbp completion fish > ~/.config/fish/completions/cbp.fish
"""


def run(options: argparse.Namespace, reply: Reply) -> int:
    """Print the script for options.shell; returns the exit status."""
    from cbp.cli import COMMANDS

    print(SHELLS[options.shell](COMMANDS), end="")
    return 0


def _options(command: Command) -> list[Option]:
    return [one for group in command.groups.values() for one in group]


def _named(command: Command) -> Iterator[Option]:
    """Yield the options that have names, --help among them."""
    yield option("-h", "--help", action="help", help="show help and exit")
    yield from (one for one in _options(command) if one.names[0].startswith("-"))


def _places(command: Command) -> list[Option]:
    return [one for one in _options(command) if not one.names[0].startswith("-")]


def _takes_value(one: Option) -> bool:
    return one.settings.get("action", "append") == "append"


def _words(one: Option) -> list[str]:
    """The words that may follow an option; none where it takes a file, or what cannot be known."""
    return [*map(str, one.settings.get("choices") or one.words)]


def _takes_file(one: Option) -> bool:
    metavar = str(one.settings.get("metavar") or "")
    return not _words(one) and ("." in metavar.replace("..", "") or metavar in ("FILE", "PLACE", "DIR"))


# ---- bash ----

_BASH = """\
# Completion of cbp for bash: eval "$(cbp completion bash)"
_cbp() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$cur"))
        return
    fi
    case "${{COMP_WORDS[1]}} $prev" in
{values}
    esac
    case "${{COMP_WORDS[1]}}" in
{options}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _cbp cbp
"""


def _bash(commands: Mapping[str, Command]) -> str:
    values, options = [], []
    for name, command in commands.items():
        for one in filter(_takes_value, _named(command)):
            cases = "|".join(f'"{name} {flag}"' for flag in one.names)
            action = f'COMPREPLY=($(compgen -W "{" ".join(_words(one))}" -- "$cur")); ' if _words(one) else ""
            values.append(f"    {cases}) {action}return ;;")
        flags = " ".join(flag for one in _named(command) for flag in one.names if flag.startswith("--"))
        places = " ".join(word for one in _places(command) for word in _words(one))
        rest = f'words="{places}"' if places else "return"
        options.append(f'    {name}) if [[ $cur == -* ]]; then words="{flags}"; else {rest}; fi ;;')
    return _BASH.format(commands=" ".join(commands), values="\n".join(values), options="\n".join(options))


# ---- zsh ----

_ZSH = """\
#compdef cbp
# Completion of cbp for zsh: eval "$(cbp completion zsh)", after compinit
_cbp() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    shift words
    (( CURRENT-- ))
    case $words[1] in
{cases}
    esac
}}
if [ "$funcstack[1]" = _cbp ]; then _cbp "$@"; else compdef _cbp cbp; fi
"""


def _zsh(commands: Mapping[str, Command]) -> str:
    summaries = "\n".join(f"        {_quoted(f'{name}:{command.summary}')}" for name, command in commands.items())
    cases = []
    for name, command in commands.items():
        specs = [_zsh_option(flag, one) for one in _named(command) for flag in one.names]
        specs += [
            _quoted(f"{i}:{_colonless(str(one.settings.get('metavar', one.names[0])))}:{_zsh_action(one)}")
            for i, one in enumerate(_places(command), 1)
        ]
        cases.append(f"    {name}) _arguments -s {' '.join(specs)} ;;")
    return _ZSH.format(commands=summaries, cases="\n".join(cases))


def _zsh_option(flag: str, one: Option) -> str:
    star = "*" if one.settings.get("action") == "append" else ""
    text = _colonless(one.settings["help"]).replace("[", "(").replace("]", ")")
    value = f":{_colonless(str(one.settings.get('metavar', 'value')))}:{_zsh_action(one)}" if _takes_value(one) else ""
    return _quoted(f"{star}{flag}[{text}]{value}")


def _zsh_action(one: Option) -> str:
    return f"({' '.join(_words(one))})" if _words(one) else "_files" if _takes_file(one) else " "


def _colonless(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- fish ----


def _fish(commands: Mapping[str, Command]) -> str:
    lines = ["# Completion of cbp for fish: cbp completion fish > ~/.config/fish/completions/cbp.fish"]
    for name, command in commands.items():
        lines.append(f"complete -c cbp -f -n __fish_use_subcommand -a {name} -d {_fish_quoted(command.summary)}")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for one in _named(command):
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in one.names)
            value = " -r" * _takes_value(one)
            if _takes_value(one) and not _takes_file(one):
                value = " -x" + (f" -a {_fish_quoted(' '.join(_words(one)))}" if _words(one) else "")
            lines.append(f"complete -c cbp {seen} {flags}{value} -d {_fish_quoted(one.settings['help'])}")
        words = [" ".join(_words(one)) for one in _places(command) if _words(one)]
        lines += [f"complete -c cbp -f {seen} -a {_fish_quoted(text)}" for text in words]
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}

GROUPS = {"": [option("shell", choices=list(SHELLS), metavar="SHELL", help="bash, zsh or fish")]}

COMMAND = Command(run, "print what a shell needs to complete these words", GROUPS, MORE)
