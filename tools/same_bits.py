"""Build the extension with every compiler and level at hand, and compare the weights of a fixed training run.

    python tools/same_bits.py

tests/bits.py holds the run, tests/bits.json the hashes that must come out of every instruction set of this CPU, in both
precisions. Builds go to build/bits. The level "native" asks the compiler to fuse products and sums, which the sources
forbid. (clang's own `fast` would override what the sources say, so it is not among the flags.)
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILERS = ("gcc", "clang")
LEVELS = {"O0": "-O0", "O3": "-O3", "native": "-O2 -march=native"}
FUSING = {"gcc": " -ffp-contract=fast", "clang": " -ffp-contract=on"}  # each compiler's own default in GNU mode


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment, so that `import cbp` finds the build in `folder`."""
    return {**os.environ, "PYTHONPATH": str(folder), **settings}


def build(compiler: str, flags: str, folder: Path) -> None:
    """Build the package with this compiler into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "cbp", folder / "cbp", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "-b", str(folder), "-t", str(folder / "objects")],
        cwd=ROOT,
        env=environment(folder, CC=compiler, LDSHARED=f"{compiler} -shared", CFLAGS=flags),
        check=True,
    )


def hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Run the training with the build in `folder`: instruction set to precision to hash."""
    check = "import sys, cbp._core; sys.exit(not cbp._core.__file__.startswith(sys.argv[1]))"
    for command in (["-c", check, str(folder)], [str(ROOT / "tests" / "bits.py")]):
        done = subprocess.run(
            [sys.executable, *command], env=environment(folder), check=True, capture_output=True, text=True
        )
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def compare(name: str, found: dict[str, dict[str, str]], wanted: dict[str, str]) -> int:
    """Print a line per instruction set and precision; return how many differ."""
    differing = 0
    for isa, by_dtype in found.items():
        for dtype, text in by_dtype.items():
            same = text == wanted[dtype]
            differing += not same
            print(f"{name:14} {isa:8} {dtype:8} {text[:16]} {'same' if same else 'DIFFERS'}", flush=True)
    return differing


def main() -> int:
    """Build, run, compare."""
    wanted = json.loads((ROOT / "tests" / "bits.json").read_text())
    compilers = [name for name in COMPILERS if shutil.which(name)] or [os.environ.get("CC", "cc")]
    differing = 0
    for compiler in compilers:
        for level, flags in LEVELS.items():
            folder = ROOT / "build" / "bits" / f"{compiler}-{level}"
            build(compiler, flags + (FUSING.get(compiler, "") if level == "native" else ""), folder)
            differing += compare(f"{compiler} {level}", hashes(folder), wanted)
    runs = len(compilers) * len(LEVELS)
    print(f"{runs} builds ({', '.join(compilers)}): {differing} hashes differ from tests/bits.json")
    return differing > 0


if __name__ == "__main__":
    sys.exit(main())
