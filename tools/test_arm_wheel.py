"""The wheel for 64-bit Arm, tested by qemu.

    python tools/test_arm_wheel.py dist

The interpreter comes from Debian's archive (debian_root.py), everything else from PyPI, as it would there: pip takes
the wheels that fit. Then, in it: `cbp selftest`, the hashes of tests/bits.py with every instruction set and 1 to 4
threads, and some of the Python tests, for with qemu all of them would take half an hour.
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from debian_root import ROOT, own_suite, python, run

WANTED = ("pytest", "hypothesis", "setuptools")
PYTEST = ("-m", "pytest", "-q")
SOME = ("io", "network", "steps", "initializers", "optimizers", "keeping", "skip", "heads", "fit", "errors")
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in (17, 27, 28))
WHERE = "import cbp, site, sysconfig; print(sysconfig.get_platform(), site.getsitepackages()[0], cbp.__file__)"


def requirements() -> list[str]:
    """Return lines of pyproject.toml: what the tests want."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    lines = [line for name in ("build", "test-core") for line in groups[name] if isinstance(line, str)]
    return [line for line in lines if line.split(">")[0] in WANTED]


def install(wheel: Path, program: Path) -> None:
    """Install the wheel and what it needs for the other Python, into its folder, which is emptied first."""
    asked = "import site, sys; print('%d.%d' % sys.version_info[:2], site.getsitepackages()[0])"
    version, _, site = run(program, "-Ic", asked).strip().partition(" ")
    shutil.rmtree(site, ignore_errors=True)
    tags = [word for tag in PLATFORMS for word in ("--platform", tag)]
    target = ["--target", site, "--python-version", version, "--only-binary", ":all:", *tags]
    run(sys.executable, "-m", "pip", "install", "-q", *target, wheel, *requirements())
    platform, site, module = run(program, "-Ic", WHERE).split()
    assert module == str(Path(site, "cbp", "__init__.py")), module
    print(f"{wheel.name} in Python {version}, {platform}", flush=True)


def test(program: Path, what: tuple[str, ...]) -> tuple[str, bool]:
    """Run one program; return what it printed and whether it went well."""
    start = time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENBLAS"))}
    done = subprocess.run(
        [program, *what], cwd=ROOT, env=kept, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    printed = f"{done.stdout}{done.stderr}" if done.returncode else done.stdout
    took = f"{time.perf_counter() - start:.0f} s"
    return f"{printed}{' '.join(what[:2])}: exit status {done.returncode}, {took}", not done.returncode


def main() -> int:
    """Install and test the wheel of the folder that the command line names."""
    (folder,) = sys.argv[1:]
    (wheel,) = Path(folder).resolve().glob("*aarch64*.whl")
    program = python("arm64", own_suite(), "libstdc++6")  # the library that NumPy links with
    install(wheel, program)
    tests = [f"tests/test_{part}.py" for part in SOME]
    work = [("tests/bits.py",), ("-m", "cbp", "selftest"), (*PYTEST, *tests)]
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for printed, good in pool.map(lambda what: test(program, what), work):
            print(printed, flush=True)
            failed += not good
    print(f"{len(work) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
