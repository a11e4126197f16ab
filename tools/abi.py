"""Do programs that were built with the last release still run with this library? Compares cbp.h with abi/libcbp.abi.

    python tools/abi.py [--baseline] [--headers FOLDER]

The file describes what the library of the last release had: functions, structs, enumerators, as libabigail's abidw
writes them for x86-64. Something that is gone or changed is a failure unless the header has another SONAME than the
file; what is new is none. --baseline writes the file anew, as a release does. The header alone says what counts: each
of its functions is given an empty body, and that is compiled. That the library has these functions and no others is
for tests/checkout/test_clib.py to see. Needs gcc or clang on x86-64 Linux, and abigail-tools.
"""

import argparse
import os
import re
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "abi/libcbp.abi"
DIFF = ["abidiff", "--no-show-locs", "--suppressions", str(ROOT / "abi/libcbp.abignore")]
DESCRIBE = "abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --no-parameter-names"
COMPILE = "-std=gnu11 -O0 -g -fPIC -fvisibility=hidden -w -shared"
FUNCTION = re.compile(r'(__attribute__\(\(visibility\("default"\)\)\)[^;{}]*\));')
FAILED = 3  # bits of abidiff's exit status that do not tell of a difference


def call(*command: str | Path) -> str:
    """Run a command that ought to work; return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr or done.stdout}")
    return done.stdout


def soname(header: str) -> str:
    """SONAME of the library that goes with a header; packaging/clib.mk and CMakeLists.txt make it likewise."""
    version = dict(re.findall(r"#define CBP_VERSION_(MAJOR|MINOR) (\d+)", header))
    return f"libcbp.so.{version['MAJOR']}" + (f".{version['MINOR']}" if version["MAJOR"] == "0" else "")


def describe(headers: Path, file: Path) -> None:
    """Write down what a library with this header has."""
    cc = shlex.split(os.environ.get("CC", "cc"))
    with TemporaryDirectory() as folder:
        source, library = Path(folder, "cbp.c"), Path(folder, "libcbp.so")
        text = call(*cc, "-E", "-P", "-DCBP_SHARED", headers / "cbp.h")
        source.write_text(FUNCTION.sub(r"\1 { __builtin_trap(); }", text))
        linked = f"-Wl,-soname,{soname((headers / 'cbp.h').read_text())}"
        call(*cc, *COMPILE.split(), linked, source, "-o", library)
        call(*DESCRIBE.split(), "--type-id-style", "hash", "--out-file", file, library)
    file.write_text(re.sub(r" (?:path|language)='[^']*'", "", file.read_text()))


def differences(now: Path, *options: str) -> str:
    """What abidiff tells of the way from the last release to a file, or nothing."""
    done = subprocess.run([*DIFF, *options, FILE, now], capture_output=True, text=True, check=False)
    if done.returncode & FAILED:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout if done.returncode else ""


def compare(headers: Path) -> str | None:
    """Print what changed since the last release; return what is wrong with that, or None."""
    then = re.search(r"soname='([^']+)'", FILE.read_text())
    now = soname((headers / "cbp.h").read_text())
    with TemporaryDirectory() as folder:
        described = Path(folder, "now.abi")
        describe(headers, described)
        print(differences(described) or f"{now}: nothing is new or changed since the last release")
        if then is None or then[1] != now:
            print(f"The SONAME is not that of the last release any more, {then and then[1]}: anything may change.")
            return None
        broken = differences(described, "--no-added-syms")
    return broken and (
        f"Programs that were built with the last {now} would break:\n\n{broken}\nUndo that, or raise the version in "
        "cbp.h (the minor version before 1.0.0, else the major one). A release writes the file: make abi-baseline."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", action="store_true", help="write abi/libcbp.abi anew")
    parser.add_argument("--headers", type=Path, default=ROOT / "csrc", help="folder of cbp.h and the tables")
    given = parser.parse_args()
    if given.baseline:
        describe(given.headers, FILE)
    elif wrong := compare(given.headers):
        raise SystemExit(wrong)
