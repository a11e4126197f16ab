"""C compiled once for all runs of the tests: what a command made before, from the same texts, is brought from build.

The products are in build/c-tests, which the runs in other Pythons have as well (tools/test_wheels.py), under the hash
of the compiler, its flags and all texts that go in. What a command complains of is kept with them; a command that fails
is run each time. The system's headers and libraries count as parts of the compiler; only libc.a is looked at.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import mock

from _c_programs import BUILD

import cbp
from cbp.io.c import _program

KEPT = BUILD / "once"
SAID = "said"
"""The file beside the products that has what the compiler said."""
HEEDED = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")
"""What compilers read in the environment."""
UNSEEN = re.compile(r"-[ILTB]$|-[LB]|@|-specs|-isystem|-iquote|-idirafter")
"""Flags with files that nothing here looks into."""
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*(?:["<]([^">\n]+)[">])?', re.MULTILINE)


class UnseenError(Exception):
    """A command depends on files that are not seen here."""


def stamp(path: str) -> tuple[str, int, int]:
    """What changes when a program or a library is installed anew."""
    real = os.path.realpath(path)
    found = os.stat(real)
    return real, found.st_mtime_ns, found.st_size


@cache
def compiler(words: tuple[str, ...]) -> str:
    """Which compiler this is, by the paths of its command, and with which library of C."""

    def answer(option: str) -> str:
        return subprocess.run([*words, option], capture_output=True, text=True, check=False).stdout.strip()

    libc = answer("-print-file-name=libc.a")
    return repr([words, [*map(stamp, words)], answer("--version"), stamp(libc) if os.path.exists(libc) else libc])


@cache
def processor() -> str:
    """What -march=native depends on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].split("\n")
    return "\n".join(line for line in lines if line.startswith(("model", "cpu family", "flags", "Features", "CPU ")))


def texts(path: Path, folders: Sequence[Path], seen: set[Path]) -> Iterator[bytes]:
    """Yield name and hash of a file, then of all files that it may include, in any folder that has one of that name."""
    if path in seen:
        return
    seen.add(path)
    content = path.read_bytes()
    yield path.name.encode()
    yield hashlib.sha256(content).digest()
    if path.suffix == ".o":
        return
    for name in INCLUDE.findall(content):
        if not name:
            raise UnseenError(path)
        for folder in (path.parent, *folders):
            if (found := folder / os.fsdecode(name)).is_file():
                yield b"includes " + name
                yield from texts(found, folders, seen)


def key(words: Sequence[str], folder: Path) -> str:
    """Hash of all that a command depends on; what it makes is called after `-o`, and of that only the name counts."""
    if any(map(UNSEEN.match, words)):
        raise UnseenError(words)
    own = tuple(takewhile(bool, (not word.startswith("-") and shutil.which(word) for word in words)))
    folders = [folder / word[2:] for word in words if word.startswith("-I")]
    parts = [compiler(own).encode(), repr([os.environ.get(name) for name in HEEDED]).encode()]
    if any("native" in word for word in words):
        parts.append(processor().encode())
    made = words.index("-o") + 1
    for place, word in enumerate(words[len(own) :], len(own)):
        given = folder / word.removeprefix("-T")
        if place == made:
            parts.append(Path(word).name.encode())
        elif given.is_file():
            parts += [b"-T" if word.startswith("-T") else b"file", *texts(given, folders, set())]
        else:
            parts.append(b"-I" if word.startswith("-I") else word.encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def compiled_once(command: Sequence[str | Path], folder: Path | str = ".") -> subprocess.CompletedProcess:
    """Do what a compiler's command with `-o` does in a folder, or bring what it made before; like subprocess.run.

    Besides what `-o` names there may be other files beside it that begin alike, as the table of -fstack-usage.
    """
    words, folder = list(map(str, command)), Path(folder).resolve()
    try:
        kept = KEPT / key(words, folder) if sys.platform == "linux" else None
    except UnseenError:
        kept = None
    if kept is None:
        return subprocess.run(words, cwd=folder, capture_output=True, check=False)
    at = words.index("-o") + 1
    to = folder / words[at]
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=KEPT) as place:
            made = Path(place, "made")
            made.mkdir()
            words[at] = str(made / to.name)
            done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
            if done.returncode:
                return done
            (made / SAID).write_bytes(done.stderr)
            keep(made, kept)
    for path in kept.iterdir():
        if path.name != SAID:
            shutil.copy(path, to.with_name(path.name))
    return subprocess.CompletedProcess(words, 0, b"", (kept / SAID).read_bytes())


def keep(made: Path, kept: Path) -> None:
    """Give a folder its name at once, unless another process was sooner."""
    try:
        os.replace(made, kept)
    except OSError:
        if not kept.exists():
            raise


@cache
def version(*words: str) -> subprocess.CompletedProcess:
    """What a compiler says of itself; clang takes longer for that than for a small program."""
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess:
    if command[-1] == "--version":
        return version(*command)
    return compiled_once(command) if "-o" in command else subprocess.run(command, **options)


PROCESSES = SimpleNamespace(run=_run, TimeoutExpired=subprocess.TimeoutExpired)


def verified(net: cbp.Network, path: str | Path, **options: Any) -> cbp.io.c.Report:
    """`cbp.verify_export`, which runs the program and compares its numbers; what it compiles is compiled once."""
    with mock.patch.object(_program, "subprocess", PROCESSES):
        return cbp.verify_export(net, path, **options)
