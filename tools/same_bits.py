"""The same bits everywhere: one training program, built and run in every way at hand, against one stored hash.

    python tools/same_bits.py [--all]

tests/c/test_bits.c is the program, tests/c/bits.def has the hashes, builds.py the ways: compilers and levels, with
every instruction set of this CPU and 1 to 4 threads; other processors in an emulator (qemu); Windows (wine); the
AVX-512 kernels translated to AVX2 (SIMDe), where there is no AVX-512. What cannot be built or run on this machine is
skipped, or, with --all, a failure. tests/bits.py then makes the same runs through Python.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from builds import BUILDS, ROOT, Build, Run, call, make, meant, possible


def report(build: Build, run: Run, done: subprocess.CompletedProcess[str]) -> tuple[list[str], int]:
    """Return lines to print, one for each hash, and how many are wrong."""
    lines, reported = [], set()
    for line in done.stdout.splitlines():
        if line.startswith("bits "):
            isa, dtype, threads, digest, verdict = line.split()[1:]
            isa = "simde" if build.replaced and isa == "avx2" else isa
            reported.add(isa)
            where = f"{build.name}{' ' + run.emulator.split()[-1] if '-cpu' in run.emulator else ''}"
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
    programs, fault = make(build, ["test_bits"])
    if fault:
        return [f"{build.name}: {fault}"], 1, 0
    lines, wrong = [], 0
    for run in build.runs:
        found, bad = report(build, run, call(run.emulator, str(programs[0]), *filter(None, [run.case])))
        lines += found
        wrong += bad
    return lines, wrong, 0


def main() -> int:
    """Every build, then Python."""
    wrong = skipped = 0
    builds = [build for build in BUILDS if meant(build)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines, bad, missing in pool.map(prove, builds):
            print("\n".join(lines), flush=True)
            wrong += bad
            skipped += missing
    python = subprocess.run([sys.executable, ROOT / "tests" / "bits.py"], check=False)
    wrong += python.returncode != 0
    print(f"{len(builds) - skipped} builds and Python: {wrong} wrong, {skipped} skipped")
    return wrong > 0 or (skipped > 0 and "--all" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
