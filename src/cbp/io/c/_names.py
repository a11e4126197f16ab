"""Names of classes and inputs, which `Network.metadata` may have, as C has them: a table, and a comment."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from cbp._naming import names_in
from cbp.io.c._writer import WIDTH, comment_of

if TYPE_CHECKING:
    from cbp.io.c._plan import Plan
    from cbp.io.c._writer import Writer


PLAIN = frozenset(string.ascii_letters + string.digits + " !#$%&'()*+,-./:;<=>@[]^_`{|}~")


def declarations(plan: Plan, writer: Writer) -> list[str]:
    """Return the lines of the header."""
    features, classes = names_in(plan.metadata, "features", plan.n_in), _classes(plan)
    lines = [comment_of(f"x: {', '.join(_plain(name) for name in features)}")] if features else []
    if classes:
        lines += ["/* What each output stands for, in UTF-8 */", f"extern {_head(classes, writer)};"]
    return [*lines, ""] if lines else []


def definition(plan: Plan, writer: Writer) -> str:
    """Return the table of the classes, or nothing."""
    classes = _classes(plan)
    if not classes:
        return ""
    lines = [f"    {quoted(name)}," for name in classes]
    return "\n".join([f"{_head(classes, writer)} = {{", *lines, "};\n"])


def _classes(plan: Plan) -> list[str]:
    return names_in(plan.metadata, "classes", plan.n_out)


def _head(classes: list[str], writer: Writer) -> str:
    longest = max(len(name.encode()) for name in classes) + 1
    return f"const char {writer.named('classes')}[{len(classes)}][{longest}]"


def _plain(name: str) -> str:
    """Return a name as a comment in ASCII can have it."""
    return name.encode("ascii", "replace").decode()[:WIDTH]


def quoted(name: str) -> str:
    """Return a string of C: bytes that are no plain letters as octal numbers, so that no two make a trigraph."""
    made = [chr(byte) if chr(byte) in PLAIN else f"\\{byte:03o}" for byte in name.encode()]
    return f'"{"".join(made)}"'
