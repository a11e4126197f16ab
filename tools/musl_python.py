"""Build a Python that uses musl instead of glibc, as Alpine Linux has it, from what Debian's archive gives.

    python tools/musl_python.py .cache/musl/venv

musl of a suite that is new enough for the wheels of others (1.2.4) is unpacked, not installed; gcc is told to use it,
headers, library and loader, and compiles zlib and CPython: a minute of one processor and a quarter. The folder of the
environment has all of it beside; nothing outside is changed. What CPython lacks then: ssl, ctypes, bz2, lzma, sqlite3.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from debian_root import run, unpacked
from free_threaded import Archive

SUITE = "trixie"

# A compiler of glibc says so when it is asked, and CPython's configure believes it
COMPILER = """\
#!/bin/sh
case "$*" in *--print-multiarch*) echo x86_64-linux-musl ;; *) exec gcc "$@" -specs {specs} ;; esac
"""


def compiler(folder: Path) -> Path:
    """Write a compiler for musl into the folder; return its path."""
    root = unpacked("amd64", SUITE, ("musl-dev",))
    specs, script = folder / "musl.specs", folder / "musl-gcc"
    text = (root / "usr/lib/x86_64-linux-musl/musl-gcc.specs").read_text()
    specs.write_text(re.sub(r"(?<=[ :L])(?=/(?:usr|lib)/)", str(root), text))
    script.write_text(COMPILER.format(specs=specs))
    script.chmod(0o755)
    return script


def tree(tarball: Path | None, folder: Path) -> Path:
    """Unpack a source; return the one folder in it."""
    if tarball is None:
        raise SystemExit("Debian's archive does not give the source")
    with tarfile.open(tarball) as content:
        content.extractall(folder, filter="tar")
    return next(path.parent for path in folder.glob("*/configure"))


def logged(folder: Path, log: str, *command: str | Path, **environment: str) -> None:
    """Run a step of a build, its output into a file beside the folder."""
    with open(folder.parent / log, "a", encoding="utf-8") as file:
        words = list(map(str, command))
        if subprocess.run(
            words, cwd=folder, env=os.environ | environment, stdout=file, stderr=file, check=False
        ).returncode:
            raise SystemExit(f"{' '.join(words)} failed: see {file.name}")


def build(folder: Path) -> Path:
    """Compile zlib and CPython in the folder; return the interpreter."""
    cc, archive = str(compiler(folder)), Archive(folder / "source")
    zlib = tree(archive.tarball(("zlib",)), folder / "zlib")
    logged(zlib, "zlib.log", "./configure", "--static", CC=cc, CFLAGS="-O2 -fPIC")
    logged(zlib, "zlib.log", "make", "-s", "libz.a")
    python = tree(archive.tarball(), folder / "python")
    found = {"ZLIB_CFLAGS": f"-I{zlib}", "ZLIB_LIBS": f"-L{zlib} -lz"}
    options = (
        "-q",
        f"CC={cc}",
        "CFLAGS=-O1 -g0",
        "--disable-test-modules",
        "--without-ensurepip",
        "--with-pkg-config=no",
    )
    logged(python, "python.log", "./configure", *options, **found)
    logged(python, "python.log", "make", "-s", f"-j{os.cpu_count()}")
    return python / "python"


def main() -> None:
    """Make the environment, unless it is there."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    environment = Path(sys.argv[1]).resolve()
    if not (environment / "bin" / "python").exists():
        shutil.rmtree(environment.parent, ignore_errors=True)
        environment.parent.mkdir(parents=True)
        python = build(environment.parent)
        run(python, "-m", "venv", "--without-pip", environment)
    print(run(environment / "bin" / "python", "-VV"), end="")


if __name__ == "__main__":
    main()
