"""Install the wheel for this machine into a fresh environment of every Python found; run everything there.

    python tools/test_wheels.py dist [--python 3.12]... [--pytest "tests/test_io.py -x"]

Looks for Python 3.11 and newer on PATH, in pyenv and in the usual folders, and makes environments with uv. In each:
first with NumPy alone `cbp selftest`, an export to C, which reads files of the package, and how long `import cbp` takes
once NumPy is imported (the median of several processes; printed, not judged); then all Python tests, but those of what
only a checkout has, and the examples in the docstrings of the installed modules. The tests are those of the source
distribution, unpacked, where nothing is compiled: cbp can only be the installed one, and the archive has all that they
want.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build_wheels import ROOT, unpack
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

FOLDER = ROOT / "build" / "test-wheels"
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PROMISED = ("3.11", "3.12", "3.13")
PROCESSES = 9
TIMED = "import numpy, time; t = time.perf_counter(); import cbp; print(1000 * (time.perf_counter() - t))"
EXPORTED = "import cbp; cbp.Network([2, 3, 1]).export('try.c', train=True)"
DESCRIBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
WHERE = "import cbp; print(cbp.__file__); print(cbp._core.__file__)"
COLLECTION = ("-p", "no:xdist", "--collect-only", "-qq", "--ignore=tests/c", "--ignore=tests/checkout", "tests")
PYTEST = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "-q")
WHAT = "--ignore=tests/c --ignore=tests/checkout tests --pyargs cbp"


def candidates(version: str) -> Iterator[str]:
    """Yield where an interpreter of this version might be."""
    name = f"python{version}"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if shutil.which(name, path=folder):
            yield str(Path(folder, name))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for folder in (*sorted(pyenv.glob(f"{version}.*")), Path("/usr/local"), Path("/opt/homebrew"), Path("/usr")):
        yield str(folder / "bin" / name)
    yield from map(str, sorted(Path("/opt/python").glob(f"cp{version.replace('.', '')}-*/bin/python")))


def interpreters(versions: list[str]) -> dict[str, str]:
    """Return one working interpreter of each version that is found: version to path."""
    found: dict[str, str] = {}
    for version in versions:
        for path in candidates(version):
            try:
                done = subprocess.run([path, "-c", DESCRIBE], capture_output=True, text=True, check=False)
            except OSError:
                continue
            if done.returncode == 0 and done.stdout.startswith(f"{version} "):
                found[version] = done.stdout.rstrip().partition(" ")[2]
                break
    return found


def output(*command: str | Path, cwd: Path = FOLDER) -> str:
    """Run a command; return what it printed, or stop with that."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def uv(*command: str | Path, cwd: Path = FOLDER) -> str:
    """Run the uv that is installed beside this Python; it must fetch no interpreter."""
    return output(find_uv_bin(), "--no-config", "--no-python-downloads", "-q", *command, cwd=cwd)


def fitting(folder: Path) -> Path:
    """Return the wheel that fits this machine."""
    here = set(sys_tags())
    wheels = [path for path in folder.glob("*.whl") if parse_wheel_filename(path.name)[3] & here]
    if len(wheels) != 1:
        raise SystemExit(f"{folder}: {len(wheels)} wheels for this machine, not one; `make wheels` makes them")
    return wheels[0]


def environment(version: str, interpreter: str, wheel: Path, source: Path) -> Path:
    """Make a fresh environment, try the wheel there, install what the tests want; return the folder of its programs."""
    folder = FOLDER / version
    shutil.rmtree(folder, ignore_errors=True)
    uv("venv", "--python", interpreter, folder)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    uv("pip", "install", "--python", python, wheel)
    alone(version, scripts)
    uv("pip", "install", "--python", python, "--group", "test", f"cbpnet[demo] @ {wheel.as_uri()}", cwd=source)
    for place in output(python, "-c", WHERE, cwd=source).split():
        if not Path(place).is_relative_to(scripts.parent):
            raise SystemExit(f"not the installed cbp: {place}")
    # Python compiles what is imported: once here, not in each worker
    output(python, "-m", "pytest", *COLLECTION, cwd=source)
    return scripts


def alone(version: str, scripts: Path) -> None:
    """Try the wheel with NumPy alone."""
    verdict = output(scripts / "cbp", "selftest").strip().splitlines()[-1]
    output(scripts / "python", "-c", EXPORTED)
    times = [float(output(scripts / "python", "-c", TIMED)) for _ in range(PROCESSES)]
    print(f"Python {version}: {verdict}; import cbp adds {statistics.median(times):.1f} ms", flush=True)


def suite(version: str, scripts: Path, source: Path, arguments: list[str]) -> bool:
    """Run the tests, where what is tested can only be what is installed; return whether they pass."""
    start = time.perf_counter()
    command = [str(scripts / "python"), "-m", "pytest", *PYTEST, *arguments]
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])
    done = subprocess.run(command, cwd=source, env=os.environ | {"PATH": path}, check=False)
    verdict = "passed" if done.returncode == 0 else "FAILED"
    print(f"Python {version}: {verdict}, {time.perf_counter() - start:.0f} s", flush=True)
    return done.returncode == 0


def prepared(folder: Path) -> Path:
    """Unpack the source distribution; what C programs of the tests were built here will do there as well."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (sdist,) = folder.glob("*.tar.gz")
    source, programs = unpack(sdist, FOLDER), ROOT / "build" / "c-tests"
    programs.mkdir(parents=True, exist_ok=True)
    (source / "build").mkdir()
    (source / "build" / "c-tests").symlink_to(programs)
    return source


def main() -> int:
    """Test the wheel of the folder that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", action="append", metavar="VERSION", help="one version, instead of all")
    parser.add_argument("--pytest", default=WHAT, metavar="ARGUMENTS", help=f"of pytest, instead of {WHAT}")
    asked = parser.parse_args()
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    folder = asked.folder.resolve()
    found = interpreters(asked.python or list(VERSIONS))
    if not found:
        wanted = " or ".join(asked.python or VERSIONS)
        raise SystemExit(f"no Python {wanted} is found on PATH, in pyenv or in the usual folders")
    source, wheel = prepared(folder), fitting(folder)
    good = True
    with ThreadPoolExecutor(1) as ahead:  # while one is tested, the next is made
        ready = [ahead.submit(environment, *pair, wheel, source) for pair in found.items()]
        for version, scripts in zip(found, ready, strict=True):
            good &= suite(version, scripts.result(), source, shlex.split(asked.pytest))
    lacking = [version for version in asked.python or PROMISED if version not in found]
    print(
        f"{wheel.name}: tested on Python {', '.join(found)}" + (f"; not found: {', '.join(lacking)}" if lacking else "")
    )
    return not good or bool(lacking)


if __name__ == "__main__":
    sys.exit(main())
