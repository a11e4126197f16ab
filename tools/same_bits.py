"""The same bits everywhere: one training program, built and run in every way at hand, against one stored hash.

    python tools/same_bits.py [--all]

tests/c/test_bits.c is the program, tests/c/bits.def has the hashes. It runs here, with each compiler and level, with
every instruction set of this CPU and 1 to 4 threads; for other processors in an emulator (qemu); and with the AVX-512
kernels translated to AVX2 (SIMDe). What cannot be built or run on this machine is skipped, or, with --all, a failure.
tests/bits.py then makes the same runs through Python. Builds go to build/bits.
"""

import os
import platform
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bits"
SIMDE = "tools/avx512_by_simde.c"
MINUTES = 15


class Run(NamedTuple):
    """One run of a build: `emulator` goes before the program, `isas` must be among what it reports."""

    isas: tuple[str, ...] = ("scalar",)
    emulator: str = ""
    case: str = ""


HERE = (Run(),)
SLOWLY = (Run(case="one_thread"), Run(case="four_threads"))


class Build(NamedTuple):
    """One build of the program. `packages` are Debian's."""

    name: str
    compiler: str
    runs: tuple[Run, ...] = HERE
    packages: str = ""
    only_on: tuple[str, ...] = ()
    simde: bool = False


X86 = ("x86_64", "AMD64")
# The last level of each compiler asks it to fuse products and sums, which the sources forbid. clang's own `fast` would
# overrule the sources. gcc says FLT_EVAL_METHOD 1 on s390x unless GNU's C is asked for.
BUILDS = (
    Build("gcc -O0", "gcc -std=c11 -O0", SLOWLY, packages="gcc"),
    Build("gcc -O3", "gcc -std=c11 -O3", packages="gcc"),
    Build("gcc native", "gcc -std=c11 -O2 -march=native -ffp-contract=fast", packages="gcc"),
    Build("clang -O0", "clang -std=c11 -O0", SLOWLY, packages="clang"),
    Build("clang -O3", "clang -std=c11 -O3", packages="clang"),
    Build("clang native", "clang -std=c11 -O2 -march=native -ffp-contract=on", packages="clang"),
    Build(
        "AVX-512 by SIMDe",
        "gcc -std=c11 -O0 -mavx2 -mfma -Wno-psabi",  # more than that takes minutes
        packages="gcc libsimde-dev, a CPU with AVX2",
        only_on=X86,
        simde=True,
        runs=(Run(("simde", "scalar"), case="one_thread"),),
    ),
    Build(
        "x86-64 emulated",
        "gcc -std=c11 -O2 -static",
        packages="gcc qemu-user",
        only_on=X86,
        runs=(
            Run(("scalar",), "qemu-x86_64 -cpu qemu64", "one_thread"),
            Run(("avx2", "scalar"), "qemu-x86_64 -cpu max", "one_thread"),
        ),
    ),
    Build(
        "aarch64 emulated",
        "aarch64-linux-gnu-gcc -std=c11 -O2 -static",
        packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
        runs=(Run(("neon", "scalar"), "qemu-aarch64"),),
    ),
    Build(
        "s390x emulated",
        "s390x-linux-gnu-gcc -std=gnu11 -O2 -static",
        packages="gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
        runs=(Run(("scalar",), "qemu-s390x", "one_thread"),),
    ),
)


def call(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder."""
    return subprocess.run(
        [*shlex.split(command), *more], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * MINUTES
    )


def possible(build: Build) -> bool:
    """Whether a program of one line can be built and run this way."""
    if build.only_on and platform.machine() not in build.only_on:
        return False
    source = FOLDER / f"{build.name} probe.c"
    header = "simde/x86/avx512.h" if build.simde else "stdio.h"
    source.write_text(f"#include <{header}>\nint main(void) {{ return 0; }}\n")
    program = str(source.with_suffix(""))
    try:
        return call(build.compiler, str(source), "-o", program, "-lm").returncode == 0 and all(
            call(run.emulator, program).returncode == 0 for run in build.runs
        )
    except OSError:
        return False


def sources(build: Build) -> list[str]:
    """C files of the program, relative to the project's folder."""
    library = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "csrc").rglob("*.c"))]
    if build.simde:
        library[library.index("csrc/kern/avx2.c")] = SIMDE
    return ["tests/c/test_bits.c", *library]


def report(build: Build, run: Run, done: subprocess.CompletedProcess[str]) -> tuple[list[str], int]:
    """Return lines to print, one for each hash, and how many are wrong."""
    lines, reported = [], set()
    for line in done.stdout.splitlines():
        if line.startswith("bits "):
            isa, dtype, threads, digest, verdict = line.split()[1:]
            isa = "simde" if build.simde and isa == "avx2" else isa
            reported.add(isa)
            where = f"{build.name}{run.emulator and ' ' + run.emulator.split()[-1]}"
            lines.append(f"{where:28} {isa:8} {dtype} threads {threads}  {digest}  {verdict}")
    wrong = sum(line.endswith("DIFFERS") for line in lines)
    for isa in sorted(set(run.isas) - reported):
        lines.append(f"{build.name:28} {isa:8} was not run")
        wrong += 1
    if done.returncode and not wrong:
        lines.append(f"{build.name}: {run.emulator} failed\n{done.stdout}{done.stderr}")
        wrong += 1
    return lines, wrong


def prove(build: Build) -> tuple[list[str], int, int]:
    """Build and run; return lines to print, how many hashes are wrong, and how many builds were skipped."""
    if not possible(build):
        return [f"{build.name:28} skipped: needs {build.packages}"], 0, 1
    program = str(FOLDER / build.name)
    made = call(build.compiler, "-Icsrc", "-Itests/c", *sources(build), "-o", program, "-lm", "-lpthread")
    if made.returncode:
        return [f"{build.name} does not compile:\n{made.stderr}"], 1, 0
    lines, wrong = [], 0
    for run in build.runs:
        found, bad = report(build, run, call(run.emulator, program, *filter(None, [run.case])))
        lines += found
        wrong += bad
    return lines, wrong, 0


def main() -> int:
    """Every build, then Python."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = skipped = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines, bad, missing in pool.map(prove, BUILDS):
            print("\n".join(lines), flush=True)
            wrong += bad
            skipped += missing
    python = subprocess.run([sys.executable, ROOT / "tests" / "bits.py"], check=False)
    wrong += python.returncode != 0
    print(f"{len(BUILDS) - skipped} builds and Python: {wrong} wrong, {skipped} skipped")
    return wrong > 0 or (skipped > 0 and "--all" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
