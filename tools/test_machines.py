"""The C tests on machines that this one is not: every program of tests/c, built and run in an emulator.

    python tools/test_machines.py [--all] [NAME...]

The builds of builds.py that are marked for it, or those whose names begin with NAME: other processors by qemu, Windows
by wine, Linux with musl. A program runs once, with all its cases, of long ones a part (CBP_QUICK). test_bits is left to
same_bits.py. What cannot be built or run on this machine is skipped, or, with --all, a failure.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from builds import BUILDS, MINUTES, TESTS, Build, call, forget_wine, make, meant, possible

NAMES = sorted(path.stem for path in TESTS.glob("test_*.c") if path.stem != "test_bits")


class Result(NamedTuple):
    """What came of a program: lines to print, cases that passed and failed."""

    lines: str
    passed: int
    failed: int


def run(build: Build, program: Path, name: str) -> Result:
    """Run a program with all cases but those that are left out."""
    start = time.perf_counter()
    emulator = build.runs[0].emulator
    listed = call(emulator, str(program), "--list")
    if listed.returncode:
        said = f"{listed.stdout}{listed.stderr}\nexit status {listed.returncode}"
        return Result(f"{build.name:16} {name:18} FAILED: does not tell its cases\n{said}", 0, 1)
    cases = listed.stdout.split()
    left_out = [case for case in build.left_out if case in cases]
    if not cases:
        return Result(f"{build.name:16} {name:18} has no case for this machine", 0, 0)
    try:
        done = call(emulator, str(program), *(["--but", *left_out] if left_out else []))
    except subprocess.TimeoutExpired:
        return Result(f"{build.name:16} {name:18} FAILED: still running after {MINUTES} minutes", 0, 1)
    counts = re.search(r"(\d+) passed, (\d+) failed\s*$", done.stdout)
    passed, failed = map(int, counts.groups()) if counts else (0, 1)
    failed = max(failed, int(done.returncode != 0))
    verdict = f"{passed} passed, {failed} failed, {time.perf_counter() - start:.1f} s"
    without = f", without {' and '.join(left_out)}" if left_out else ""
    what = f"\n{done.stdout}{done.stderr}\nexit status {done.returncode}" if failed else ""
    return Result(f"{build.name:16} {name:18} {verdict}{without}{what}", passed, failed)


def main() -> int:
    """Make everything, then run it, as many programs at once as there are processors."""
    wanted = [word for word in sys.argv[1:] if word != "--all"]
    builds = [build for build in BUILDS if build.tests and meant(build)]
    builds = [build for build in builds if not wanted or build.name.startswith(tuple(wanted))]
    passed = failed = skipped = 0
    work = []
    for build in builds:
        if not possible(build):
            print(f"{build.name:16} skipped: needs {build.packages}", flush=True)
            skipped += 1
            continue
        programs, fault = make(build, NAMES)
        if fault:
            print(f"{build.name}: {fault}", flush=True)
            failed += 1
            continue
        work += [(build, program, name) for program, name in zip(programs, NAMES, strict=True)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda job: run(*job), work):
            print(result.lines, flush=True)
            passed, failed = passed + result.passed, failed + result.failed
    forget_wine()
    print(f"{len(builds) - skipped} machines, {skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return failed > 0 or not builds or (skipped > 0 and "--all" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
