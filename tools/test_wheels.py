"""Install a wheel into a fresh environment of every Python found; run everything there.

    python tools/test_wheels.py dist [--musl] [--quick] [--python 3.12]... [--pytest "tests/test_io.py -x"]

Looks for Python 3.11 and newer on PATH, in pyenv and in the usual folders; with --musl, builds Pythons that use it, as
Alpine Linux has them (musl_python.py). Makes environments with uv. In each: first with NumPy alone `cbp selftest`, an
export to C, which reads files of the package, and how long `import cbp` takes once NumPy is imported (the median of
several processes; printed, not judged); then all Python tests, but those of what only a checkout has, and the examples
in the docstrings of the installed modules. The tests are those of the source distribution, unpacked, where nothing is
compiled: cbp can only be the installed one, and the archive has all that they want. What needs a package that has no
wheels for musl, scikit-learn and ONNX for two, is left out there.

As many Pythons are tried at a time as there are processors, each by one process, which takes less than to share the
tests of one among several: each of these would have to collect them all. The last Pythons share theirs among the
processors that are left over. What a Python had to say comes when it ends.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from build_wheels import ROOT, unpack
from musl_python import pythons
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

UV = find_uv_bin()
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PROMISED = ("3.11", "3.12", "3.13")
PROCESSES = 9
TIMED = "import numpy, time; t = time.perf_counter(); import cbp; print(1000 * (time.perf_counter() - t))"
EXPORTED = "import cbp; cbp.Network([2, 3, 1]).export('try.c', train=True)"
DESCRIBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
WHERE = "import cbp; print(cbp.__file__); print(cbp._core.__file__)"
SHARED = ("--dist", "loadfile", "--no-loadscope-reorder")
WHAT = "--ignore=tests/c --ignore=tests/checkout tests --pyargs cbp"


class Trial(NamedTuple):
    """What is tested, where and with what: folders of environments and of unpacked sources; what pytest leaves out."""

    folder: Path
    wheel: Path
    source: Path
    group: str
    extras: str
    left_out: tuple[str, ...] = ()


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


def interpreters(versions: Iterable[str]) -> dict[str, str]:
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


def output(*command: str | Path, cwd: Path) -> str:
    """Run a command; return what it printed, or stop with that."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def uv(*command: str | Path, cwd: Path) -> str:
    """Run the uv that is installed beside this Python; it must fetch no interpreter and build nothing."""
    return output(UV, "--no-config", "--no-python-downloads", "-q", *command, cwd=cwd)


def only(wheels: list[Path], folder: Path, what: str) -> Path:
    """Return the one wheel of a list."""
    if len(wheels) != 1:
        raise SystemExit(f"{folder}: {len(wheels)} wheels for {what}, not one; `make wheels` makes them")
    return wheels[0]


def trial(folder: Path, musl: bool) -> Trial:
    """Return what is to be tested, of what lies in a folder."""
    wheels, name = sorted(folder.glob("*.whl")), "test-wheels-musl" if musl else "test-wheels"
    there = ROOT / "build" / name
    source = prepared(folder, there)
    if musl:
        fit = [path for path in wheels if "musllinux" in path.name and "x86_64" in path.name]
        left_out = (f"--ignore-glob={there}/*/cbp/sklearn/*",)
        return Trial(there, only(fit, folder, "musl"), source, "test-musl", "plot,progress", left_out)
    here = set(sys_tags())
    fit = [path for path in wheels if parse_wheel_filename(path.name)[3] & here]
    return Trial(there, only(fit, folder, "this machine"), source, "test", "demo")


def environment(version: str, interpreter: str, tried: Trial) -> Path:
    """Make a fresh environment, try the wheel there, install what the tests want; return the folder of its programs."""
    folder, wheel, source = tried.folder / version, tried.wheel, tried.source
    shutil.rmtree(folder, ignore_errors=True)
    uv("venv", "--python", interpreter, folder, cwd=source)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    install = ("pip", "install", "--only-binary", ":all:", "--python", python)
    uv(*install, wheel, cwd=source)
    alone(version, scripts, tried.folder)
    uv(*install, "--group", tried.group, f"cbpnet[{tried.extras}] @ {wheel.as_uri()}", cwd=source)
    for place in output(python, "-c", WHERE, cwd=source).split():
        if not Path(place).is_relative_to(scripts.parent):
            raise SystemExit(f"not the installed cbp: {place}")
    return scripts


def alone(version: str, scripts: Path, folder: Path) -> None:
    """Try the wheel with NumPy alone."""
    verdict = output(scripts / "cbp", "selftest", cwd=folder).strip().splitlines()[-1]
    output(scripts / "python", "-c", EXPORTED, cwd=folder)
    times = [float(output(scripts / "python", "-c", TIMED, cwd=folder)) for _ in range(PROCESSES)]
    print(f"Python {version}: {verdict}; import cbp adds {statistics.median(times):.1f} ms", flush=True)


def suite(scripts: Path, tried: Trial, arguments: list[str], processes: int, quick: bool) -> tuple[bool, str]:
    """Run the tests, where what is tested can only be what is installed; return whether they pass, and the output."""
    how = ("-n", str(processes), *SHARED) if processes > 1 else ("-p", "no:xdist")
    command = [str(scripts / "python"), "-m", "pytest", *how, "-q", *tried.left_out, *arguments]
    more = {"PATH": os.pathsep.join([str(scripts), os.environ["PATH"]])} | ({"CBP_QUICK": "1"} if quick else {})
    done = subprocess.run(
        command, cwd=tried.source, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode == 0, done.stdout.decode(errors="replace")


def prepared(folder: Path, there: Path) -> Path:
    """Unpack the source distribution; what C programs of the tests were built here will do there as well."""
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    (sdist,) = folder.glob("*.tar.gz")
    source, programs = unpack(sdist, there), ROOT / "build" / "c-tests"
    programs.mkdir(parents=True, exist_ok=True)
    (source / "build").mkdir()
    (source / "build" / "c-tests").symlink_to(programs)
    return source


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--musl", action="store_true", help="the wheel for musl, in Pythons that are built with it")
    parser.add_argument(
        "--quick", action="store_true", help="of long lists of like cases a part, but for the first Python without musl"
    )
    parser.add_argument("--python", action="append", metavar="VERSION", help="one version, instead of all")
    parser.add_argument("--pytest", default=WHAT, metavar="ARGUMENTS", help=f"of pytest, instead of {WHAT}")
    return parser.parse_args()


def main() -> int:
    """Test the wheel of the folder that the command line names."""
    asked = parsed()
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    found = pythons(asked.python or PROMISED) if asked.musl else interpreters(asked.python or VERSIONS)
    if not found:
        wanted = " or ".join(asked.python or VERSIONS)
        raise SystemExit(f"no Python {wanted} is found on PATH, in pyenv or in the usual folders")
    tried = trial(asked.folder.resolve(), asked.musl)
    processors = os.cpu_count() or 1
    in_full = None if asked.musl or not asked.quick else next(iter(found))

    def test(version: str, left: int) -> bool:
        start = time.perf_counter()
        scripts = environment(version, found[version], tried)
        quick = asked.quick and version != in_full
        good, said = suite(scripts, tried, shlex.split(asked.pytest), processors // left, quick)
        took = time.perf_counter() - start
        print(f"{said}Python {version}: {'passed' if good else 'FAILED'}, {took:.0f} s", flush=True)
        return good

    with ThreadPoolExecutor(processors) as pool:
        good = all(list(pool.map(test, found, range(len(found), 0, -1))))
    lacking = [version for version in asked.python or PROMISED if version not in found]
    also = f"; not found: {', '.join(lacking)}" if lacking else ""
    print(f"{tried.wheel.name}: tested on Python {', '.join(found)}{also}")
    return not good or bool(lacking)


if __name__ == "__main__":
    sys.exit(main())
