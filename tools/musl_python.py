"""Build Pythons that use musl instead of glibc, as Alpine Linux has them, from sources.

    python tools/musl_python.py 3.11 3.12 3.13

The interpreter of a version is .cache/musl/<version>/python afterwards; nothing outside .cache is changed. musl is
unpacked from a suite of Debian that is new enough for the wheels of others (1.2.4), and gcc is told to use it: headers,
library and loader. The sources are those of the table, known by their hashes. A processor takes about a minute for a
version. What these Pythons lack: bz2, lzma, ssl, sqlite3, readline, curses, Tk.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from debian_root import CACHE, run, unpacked

FOLDER = CACHE.parent / "musl"
SUITE = "trixie"
DEBIAN = "http://deb.debian.org/debian/pool/main"
UBUNTU = "http://archive.ubuntu.com/ubuntu/pool/main"
UPSTREAM = "https://www.python.org/ftp/python"


class Source(NamedTuple):
    """An archive of sources: its SHA-256, and where it can be had, the first that answers."""

    sha256: str
    places: tuple[str, ...]


PYTHONS = {
    "3.11": Source(
        "2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849",
        (f"{DEBIAN}/p/python3.11/python3.11_3.11.2.orig.tar.gz", f"{UPSTREAM}/3.11.2/Python-3.11.2.tgz"),
    ),
    "3.12": Source(
        "56bfef1fdfc1221ce6720e43a661e3eb41785dd914ce99698d8c7896af4bdaa1",
        (f"{UBUNTU}/p/python3.12/python3.12_3.12.3.orig.tar.xz", f"{UPSTREAM}/3.12.3/Python-3.12.3.tar.xz"),
    ),
    "3.13": Source(
        "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
        (f"{DEBIAN}/p/python3.13/python3.13_3.13.5.orig.tar.xz", f"{UPSTREAM}/3.13.5/Python-3.13.5.tar.xz"),
    ),
}
ZLIB = Source(
    "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
    (f"{DEBIAN}/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz",),
)
LIBFFI = Source(
    "d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676",
    (
        f"{DEBIAN}/libf/libffi/libffi_3.4.4.orig.tar.gz",
        "https://github.com/libffi/libffi/releases/download/v3.4.4/libffi-3.4.4.tar.gz",
    ),
)

# Which folder of headers and libraries is the system's? configure (two dashes) takes the answer for the name of the
# platform; 3.11's setup.py (one dash) searches that folder, and must find nothing of glibc.
COMPILER = """\
#!/bin/sh
case "$*" in
--print-multiarch) echo x86_64-linux-musl ;;
-print-multiarch) echo none ;;
*) exec gcc "$@" -specs {specs} ;;
esac
"""


def compiler() -> str:
    """Write a compiler for musl; return its path."""
    root = unpacked("amd64", SUITE, ("musl-dev",))
    specs, script = FOLDER / "musl.specs", FOLDER / "musl-gcc"
    text = (root / "usr/lib/x86_64-linux-musl/musl-gcc.specs").read_text()
    specs.write_text(re.sub(r"(?<=[ :L])(?=/(?:usr|lib)/)", str(root), text))
    script.write_text(COMPILER.format(specs=specs))
    script.chmod(0o755)
    return str(script)


def fetch(source: Source, folder: Path) -> Path:
    """Fetch and unpack an archive into the folder; return the one folder in it."""
    faults = []
    for place in source.places:
        try:
            with urllib.request.urlopen(place, timeout=60) as answer:
                data = answer.read()
        except OSError as fault:
            faults.append(f"{place}: {fault}")
            continue
        if (found := hashlib.sha256(data).hexdigest()) == source.sha256:
            break
        faults.append(f"{place}: its SHA-256 is {found}")
    else:
        raise SystemExit("\n".join(faults))
    folder.mkdir(parents=True)
    archive = folder / "archive"
    archive.write_bytes(data)
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="tar")
    archive.unlink()
    (tree,) = folder.iterdir()
    return tree


def logged(tree: Path, *command: str | Path, **environment: str) -> None:
    """Run a step of a build, its output into a file beside the tree."""
    log = tree.parent.with_suffix(f"{tree.parent.suffix}.log")
    words = list(map(str, command))
    with open(log, "a", encoding="utf-8") as file:
        done = subprocess.run(words, cwd=tree, env=os.environ | environment, stdout=file, stderr=file, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: see {log}")


def libraries(cc: str) -> Path:
    """Compile what CPython's modules link with; return the folder of headers and libraries."""
    folder = FOLDER / "libraries"
    if (complete := folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    options = {"CC": cc, "CFLAGS": "-O1 -fPIC"}
    zlib = fetch(ZLIB, folder / "zlib")
    logged(zlib, "./configure", f"--prefix={folder}", **options)  # shared: wheels want the system's
    logged(zlib, "make", "-s", "install")
    libffi = fetch(LIBFFI, folder / "libffi")
    static = ("-q", "--disable-shared", "--with-pic", f"--prefix={folder}")
    plain = ("--disable-docs", "--disable-multi-os-directory", "--disable-exec-static-tramp")
    logged(libffi, "./configure", *static, *plain, **options)
    logged(libffi, "make", "-s", "install")
    complete.touch()
    return folder


def configured(version: str, cc: str, found: Path) -> Path:
    """Configure CPython, unless it is there; return its tree."""
    folder = FOLDER / version
    python = folder / "python"
    if not python.exists():
        shutil.rmtree(folder, ignore_errors=True)
        tree = fetch(PYTHONS[version], folder)
        options = (
            "-q",
            f"CC={cc}",
            "CFLAGS=-O1 -g0",
            f"CPPFLAGS=-I{found / 'include'}",
            f"LDFLAGS=-L{found / 'lib'} -Wl,-rpath,{found / 'lib'}",
            "--disable-test-modules",
            "--without-ensurepip",
            "--with-pkg-config=no",
        )
        logged(tree, "./configure", *options)
        return tree
    return python.resolve().parent


def build(tree: Path) -> str:
    """Compile CPython, unless it is there; return the interpreter."""
    python = tree.parent / "python"
    if not python.exists():
        logged(tree, "make", "-s", f"-j{os.cpu_count()}")
        python.symlink_to(f"{tree.name}/python")
    return str(python.resolve())


def pythons(versions: Sequence[str]) -> dict[str, str]:
    """Return the interpreters of these versions, built if need be."""
    if unknown := set(versions) - PYTHONS.keys():
        raise SystemExit(f"no source of Python {', '.join(sorted(unknown))} is named here, but of {', '.join(PYTHONS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    cc = compiler()
    found = libraries(cc)
    with ThreadPoolExecutor(2) as pool:  # while one is compiled, the next is configured
        built = [pool.submit(build, configured(version, cc, found)) for version in versions]
        return {version: one.result() for version, one in zip(versions, built, strict=True)}


def main() -> None:
    """Build what the command line names."""
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    for python in pythons(sys.argv[1:]).values():
        print(python, run(python, "-VV"), end="")


if __name__ == "__main__":
    main()
