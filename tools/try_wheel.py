"""Install a wheel with NumPy alone into a fresh environment of every Python found, and try it there.

    python tools/try_wheel.py dist/cbpnet-*.whl

Looks for Python 3.11 and newer on PATH, in pyenv and in the usual folders. In each: `cbp selftest`, an export
to C, which reads files of the package, and how long `import cbp` takes once NumPy is imported (the median of several
processes; printed, not judged).
"""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PROCESSES = 9
TIMED = "import numpy, time; t = time.perf_counter(); import cbp; print(1000 * (time.perf_counter() - t))"
EXPORTED = "import cbp; cbp.Network([2, 3, 1]).export('try.c', train=True)"
DESCRIBE = "import sys, ensurepip, venv; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)"


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


def interpreters() -> dict[str, str]:
    """Return one working interpreter of each version: full version to path."""
    found: dict[str, str] = {}
    for version in VERSIONS:
        for path in candidates(version):
            try:
                done = subprocess.run([path, "-c", DESCRIBE], capture_output=True, text=True, check=False)
            except OSError:
                continue
            if done.returncode == 0 and done.stdout.startswith(version):
                found[done.stdout.split()[0]] = path
                break
    return found


def output(*command: str) -> str:
    """Run a command outside the checkout; return what it printed, or stop with it."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=ROOT / "build", env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_in(version: str, interpreter: str, wheel: Path) -> None:
    """Make the environment, install, test, time."""
    folder = ROOT / "build" / "try" / version
    shutil.rmtree(folder, ignore_errors=True)
    output(interpreter, "-m", "venv", str(folder))
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    output(str(scripts / "python"), "-m", "pip", "install", "-q", str(wheel))
    verdict = output(str(scripts / "cbp"), "selftest").strip().splitlines()[-1]
    output(str(scripts / "python"), "-c", EXPORTED)
    times = [float(output(str(scripts / "python"), "-c", TIMED)) for _ in range(PROCESSES)]
    print(f"Python {version}: {verdict}; import cbp adds {statistics.median(times):.1f} ms", flush=True)


def main() -> int:
    """Try the wheel named on the command line."""
    (wheel,) = (Path(name).resolve() for name in sys.argv[1:])
    found = interpreters()
    for version, interpreter in found.items():
        try_in(version, interpreter, wheel)
    print(f"{wheel.name}: tried on {len(found)} versions of Python")
    return not found


if __name__ == "__main__":
    sys.exit(main())
