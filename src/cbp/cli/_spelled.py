"""Things with arguments as a person writes them in a shell: `huber:0.5`, `adam(learning_rate=0.01, beta1=0.8)`.

The text is parsed, never executed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Spelled:
    """A name and the arguments that were written behind it.

    Attributes
    ----------
    name : str
    args : list
        Those without a name: numbers, True, False, None, words, or again Spelled where they have arguments.
    named : dict
        Those with one.
    """

    name: str
    args: list[Any] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)


def spelled(text: str) -> Spelled:
    """Read one name with its arguments.

    Raises
    ------
    ValueError
        It is not written like that.

    Examples
    --------
    >>> spelled("huber:0.5")
    Spelled(name='huber', args=[0.5], named={})
    >>> spelled("adam(learning_rate=0.01, beta1=0.8)").named
    {'learning_rate': 0.01, 'beta1': 0.8}
    """
    call = text.strip()
    if re.match(r"\w+:", call):
        name, _, rest = call.partition(":")
        call = f"{name}({rest})"
    try:
        return _read(ast.parse(call, mode="eval").body, whole=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is not written like name, name:0.5 or name(argument=0.5)") from None


def split(text: str) -> list[str]:
    """The parts of a list, at the commas that are outside of brackets.

    >>> split("relu,leaky_relu(alpha=0.1), tanh")
    ['relu', 'leaky_relu(alpha=0.1)', 'tanh']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _read(node: ast.expr, whole: bool = False) -> Any:
    if isinstance(node, ast.Name):
        return Spelled(node.id) if whole else node.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        named = {keyword.arg: _read(keyword.value) for keyword in node.keywords}
        if None in named or len(named) < len(node.keywords):
            raise ValueError
        return Spelled(node.func.id, [_read(one) for one in node.args], named)  # type: ignore[arg-type]
    if whole:
        raise ValueError
    return ast.literal_eval(node)


def value(text: str) -> Any:
    """What a word of the command line stands for: a number, True, False, None, or else the word.

    >>> value("17"), value("True"), value("model")
    (17, True, 'model')
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
