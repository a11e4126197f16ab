"""C test programs as pytest items: one file, one program; one CASE, one item.

The library is compiled once, with the flags of setup.py and the platform's compiler (CC, CFLAGS and LDFLAGS
respected), into build/c-tests/<hash of what went in>, so a second run starts at once. CBP_STRICT=1 makes warnings
errors; CBP_C_WRAPPER, for example "valgrind -q --error-exitcode=1", goes before each program; CBP_C_OBJECTS, a folder
that the extension was built in, has the library's objects taken from there. CBP_QUICK is read by tests/c/harness.h.
"""

import hashlib
import os
import runpy
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from distutils.ccompiler import new_compiler
from distutils.errors import CompileError, LinkError
from distutils.sysconfig import customize_compiler
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import setuptools  # noqa: F401 - it provides distutils

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "c-tests"
CASE_SECONDS = 300
PROGRAM_FLAGS = {"msvc": [], "unix": ["-O1"]}
"""Of the programs beside the library: they compute little, and are compiled in a third of the time."""


class CTestError(Exception):
    """A program did not build, or a case failed; the text is what it printed."""


@cache
def flags(of_program: bool = False) -> tuple[list[str], list[str], list[str]]:
    """Flags to compile the library or a program, flags to link, libraries."""
    setup = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")
    kind = setup["family"](new_compiler())
    extra = shlex.split(os.environ.get("CFLAGS", ""))
    strict = setup["STRICT_FLAGS"][kind] if os.environ.get("CBP_STRICT") == "1" else []
    own = PROGRAM_FLAGS[kind] if of_program else []
    return [*setup["C_FLAGS"][kind], *own, *strict, *extra], extra if kind == "unix" else [], setup["LIBRARIES"][kind]


def compiler() -> Any:
    """Return a fresh compiler object, since distutils' keep state."""
    made = new_compiler()
    customize_compiler(made)
    made.add_include_dir(str(ROOT / "csrc"))
    made.add_include_dir(str(ROOT / "tests" / "c"))
    return made


def digest(paths: Iterable[Path]) -> str:
    """Hash of the files' content, the flags and the compiler."""
    text = hashlib.sha256(
        repr([flags(), flags(of_program=True), os.environ.get("CC"), os.environ.get("LDFLAGS")]).encode()
    )
    for path in sorted(paths):
        text.update(path.name.encode() + b"\0" + path.read_bytes())
    return text.hexdigest()[:16]


def compile_c(source: Path, folder: Path, of_program: bool = False) -> str:
    """Compile one C file, of the library or of a program; return the path of its object."""
    given = flags(of_program)[0]
    try:
        (made,) = compiler().compile([str(source)], output_dir=str(folder), extra_preargs=given)
    except CompileError as error:
        raise CTestError(f"{source.name} does not compile: {error}") from error
    return str(made)


@cache
def library() -> tuple[str, list[str]]:
    """Compile the library's files; return the hash of its sources and the paths of its objects."""
    csrc = ROOT / "csrc"
    key = digest(path for path in csrc.rglob("*") if path.suffix in {".c", ".h", ".def", ".inc"})
    if ready := os.environ.get("CBP_C_OBJECTS"):
        (BUILD / key).mkdir(parents=True, exist_ok=True)
        return key, sorted(str(path) for path in Path(ready).glob("**/csrc/**/*.o*"))
    folder, done = BUILD / key, BUILD / key / "objects"
    if not done.exists():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda path: compile_c(path, folder), sorted(csrc.rglob("*.c"))))
        done.write_text("\n".join(objects))
    return key, done.read_text().split("\n")


def program(source: Path) -> Path:
    """Build the program of one test file, unless it is there; return its path."""
    key, objects = library()
    builder = compiler()
    parts = [source, *source.parent.glob("*.h"), *source.parent.glob("*.def")]
    name = f"{source.stem}-{digest(parts)}{builder.exe_extension or ''}"
    made = BUILD / key / name
    if not made.exists():
        with TemporaryDirectory(dir=BUILD) as folder:
            own = compile_c(source, Path(folder), of_program=True)
            try:
                builder.link_executable(
                    [own, *objects], "program", folder, libraries=flags()[2], extra_preargs=flags()[1]
                )
            except LinkError as error:
                raise CTestError(f"{source.name} does not link: {error}") from error
            os.replace(Path(folder, f"program{builder.exe_extension or ''}"), made)
    return made


def build(wanted: Iterable[Path]) -> None:
    """Build the programs of all test files that are wanted or lie in a folder that is, several at a time.

    What fails fails again, and tells why, when its cases are collected. Processes of pytest-xdist find them ready.
    """
    wanted = list(wanted)
    sources = [path for path in (ROOT / "tests/c").glob("test_*.c") if {path, *path.parents} & set(wanted)]
    with suppress(CTestError), ThreadPoolExecutor(os.cpu_count()) as pool:
        if sources:
            library()
        list(pool.map(program, sources))


def run(path: Path, argument: str) -> str:
    """Run a program with one argument; return what it printed, or raise CTestError with it."""
    command = [*shlex.split(os.environ.get("CBP_C_WRAPPER", "")), str(path), argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CASE_SECONDS, check=False)
    if done.returncode:
        raise CTestError(f"{done.stdout}{done.stderr}exit status {done.returncode}")
    return done.stdout


class CProgram(pytest.File):
    """One tests/c/test_*.c."""

    def collect(self) -> Iterator[pytest.Item]:
        """Build the program and ask it for its cases."""
        made = program(self.path)
        for name in run(made, "--list").split():
            yield CCase.from_parent(self, name=name, program=made)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the text of a build failure alone."""
        return str(excinfo.value) if isinstance(excinfo.value, CTestError) else super().repr_failure(excinfo, style)


class CCase(pytest.Item):
    """One CASE of a program."""

    def __init__(self, *, program: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.program = program

    def runtest(self) -> None:
        """Run this case alone."""
        run(self.program, self.name)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what the program printed."""
        return str(excinfo.value) if isinstance(excinfo.value, CTestError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the case in reports."""
        return self.path, None, self.name
