"""Find a Python without a global lock, or build one; make a virtual environment of it.

    python tools/free_threaded.py .cache/free-threaded/venv

Looks at FREE_THREADED_PYTHON, and for python3.15t, 3.14t and 3.13t on PATH, in pyenv, uv and the usual folders. If
there is none, and apt is there, the newest source of CPython that Debian's archive has to give is built beside the
environment: four minutes of one processor, 400 MB. It wants a compiler, make, and the headers of OpenSSL, libffi and
zlib (libssl-dev libffi-dev zlib1g-dev). Nothing outside the folder is changed.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.15", "3.14", "3.13")
SOURCES = ("python3.14", "python3.13")
SUITES = ("sid", "forky", "trixie")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
IS_FREE = "import sys, sysconfig; sys.exit(not sysconfig.get_config_var('Py_GIL_DISABLED'))"


def candidates() -> Iterator[str]:
    """Yield where such an interpreter might be."""
    yield os.environ.get("FREE_THREADED_PYTHON", "")
    home = Path.home()
    for version in VERSIONS:
        name = f"python{version}t"
        yield shutil.which(name) or ""
        for folder in (os.environ.get("PYENV_ROOT", home / ".pyenv"), home / ".local/share/uv/python"):
            yield from map(str, sorted(Path(folder).glob(f"**/{version}.*t*/bin/{name}")))
            yield from map(str, sorted(Path(folder).glob(f"cpython-{version}.*freethreaded*/bin/{name}")))
        yield from map(str, sorted(Path("/opt/python").glob(f"cp{version.replace('.', '')}-*t/bin/python")))


def is_free(python: str) -> bool:
    """Whether this is an interpreter that was built without the lock."""
    return (
        bool(python) and os.path.exists(python) and not subprocess.run([python, "-c", IS_FREE], check=False).returncode
    )


class Archive:
    """Debian's archive of sources, with lists of its own below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (f"deb-src [signed-by={KEYS}] http://deb.debian.org/debian {suite} main\n" for suite in SUITES)
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text("".join(lines), encoding="utf-8")
        self.run("apt-get", "-q", "update")

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of apt in the folder, on these lists."""
        places = {
            "Dir::Etc::SourceList": "sources.list",
            "Dir::Etc::SourceParts": "none",
            "Dir::State::Lists": "lists",
            "Dir::Cache": "",
            "Dir::Cache::archives": "archives",
        }
        options = [f"-o={name}={self.folder / place}" for name, place in places.items()]
        call = [command, *options, *arguments]
        return subprocess.run(call, cwd=self.folder, capture_output=True, text=True, check=False)

    def tarball(self) -> Path | None:
        """Fetch the newest source of CPython that can be had."""
        for package in SOURCES:
            listed = self.run("apt-cache", "showsrc", package).stdout
            for version in sorted(
                set(re.findall(r"^Version: (\S+)$", listed, re.MULTILINE)), key=numbers, reverse=True
            ):
                self.run("apt-get", "-q", "source", "--download-only", "--tar-only", f"{package}={version}")
                if found := sorted(self.folder.glob(f"{package}_*.orig.tar.*")):
                    return found[0]
        return None


def numbers(version: str) -> list[int]:
    """Return what versions are sorted by."""
    return [int(part) for part in re.findall(r"\d+", version)]


def build(folder: Path) -> str:
    """Build an interpreter below the folder; return its path."""
    if not shutil.which("apt-get"):
        raise SystemExit(
            "no Python without a global lock was found, and no apt to get its source: name one in FREE_THREADED_PYTHON"
        )
    tarball = Archive(folder / "source").tarball()
    if tarball is None:
        raise SystemExit("Debian's archive gives no source of CPython: name an interpreter in FREE_THREADED_PYTHON")
    print(f"building {tarball.name} ...", flush=True)
    with tarfile.open(tarball) as content:
        content.extractall(folder / "source", filter="tar")
    (tree,) = (path.parent for path in (folder / "source").glob("*/configure"))
    prefix = folder / "python"
    options = ["-q", "--disable-gil", f"--prefix={prefix}", "--with-ensurepip=install", "CFLAGS=-g0"]
    with open(folder / "build.log", "w", encoding="utf-8") as log:
        for command in (["./configure", *options], ["make", "-s", f"-j{os.cpu_count()}"], ["make", "-s", "install"]):
            if subprocess.run(command, cwd=tree, stdout=log, stderr=log, check=False).returncode:
                raise SystemExit(f"{' '.join(command)} failed: see {log.name}")
    shutil.rmtree(folder / "source")
    return next(map(str, prefix.glob("bin/python3.*t")))


def main() -> None:
    """Make the environment, unless it is there."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    environment = Path(sys.argv[1]).resolve()
    if not is_free(str(environment / "bin/python")):
        built = map(str, environment.parent.glob("python/bin/python3.*t"))
        python = next((python for python in (*candidates(), *built) if is_free(python)), None)
        python = python or build(environment.parent)
        subprocess.run([python, "-m", "venv", "--clear", str(environment)], check=True)
    subprocess.run([str(environment / "bin/python"), "-VV"], check=True)


if __name__ == "__main__":
    main()
