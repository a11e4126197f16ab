"""The C library as a distribution has it: built and installed by make, once for all tests that use it."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "build" / "clib-tests"
PREFIX = PLACE / "prefix"
OBJECTS = ROOT / "build" / "clib"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def needs(*programs):
    """Skip a test where there is no checkout, no Linux, or not one of these programs."""
    if reason := lacks(*programs):
        pytest.skip(reason)


def lacks(*programs):
    """What a test of the installed library wants and this machine has not, or None."""
    if sys.platform != "linux":
        return "the commands are those of Linux"
    if not (ROOT / "Makefile").exists():
        return "these are the tests of a wheel, not a checkout"
    return next((f"no {name}" for name in ("make", "cc", *programs) if not shutil.which(name)), None)


def run(*command, folder=None, **environment):
    """Run a command that ought to work; return what it prints."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def alone():
    """Let one process at a time build the library."""
    import fcntl

    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(*arguments):
    """Run make in the checkout."""
    with alone():
        return run("make", "-s", *arguments, folder=ROOT)


@cache
def installed():
    """The folder that the library is installed in."""
    make("install-c", f"PREFIX={PREFIX}")
    return PREFIX


def environment(prefix):
    """What a shell is told about a library that is not where the system looks."""
    return {
        "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"),
        "CMAKE_PREFIX_PATH": str(prefix),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
    }


def declared():
    """Names of the functions of cbp.h."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc/cbp.h").read_text(), flags=re.DOTALL)
    return set(re.findall(r"^(?!typedef|#).*\b(cbp_\w+)\(", text, re.MULTILINE))
