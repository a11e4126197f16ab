"""Every way that the C library can be built and run on this machine: the one table of them, and the machinery.

Used by same_bits.py (the hashes of tests/c/bits.def) and test_machines.py (all C tests). A build compiles the library
once, into build/ways/<hash of all that goes in>, where it is found the next time. Compilers by name are Debian's; `zig`
is that of the PyPI package ziglang, which brings headers and C libraries for every machine.
"""

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "ways"
CSRC, TESTS = ROOT / "csrc", ROOT / "tests" / "c"
MINUTES = 15
COMPILERS = ThreadPoolExecutor(os.cpu_count())
X86 = ("x86_64", "AMD64")


class Run(NamedTuple):
    """One run of test_bits: `emulator` goes before the program, `isas` must be among what it reports."""

    isas: tuple[str, ...] = ("scalar",)
    emulator: str = ""
    case: str = ""


class Build(NamedTuple):
    """One way to build. `packages` are Debian's, or pip's; `replaced` has other files in the place of the library's.

    It is for the machines `only_on`, unless the processor has a feature that makes it needless, as Linux names it.
    With `tests` all C programs run, by the emulator of the first run; `left_out` are cases that it does not survive.
    """

    name: str
    compiler: str
    runs: tuple[Run, ...] = (Run(),)
    packages: str = ""
    only_on: tuple[str, ...] = ()
    unless: str = ""
    replaced: tuple[tuple[str, str], ...] = ()
    tests: bool = False
    left_out: tuple[str, ...] = ()


# qemu does not survive forks in the middle of threads. Windows has none, so its program has no such cases.
FORKS = ("children_and_parent_keep_their_pools", "forks_in_the_middle_of_others_runs")
QEMU_AARCH64 = "qemu-aarch64 -L /usr/aarch64-linux-gnu"
QEMU_S390X = "qemu-s390x -L /usr/s390x-linux-gnu"
QEMU_RISCV64 = "qemu-riscv64 -L /usr/riscv64-linux-gnu"
OPTIONS = "-O2 -ffp-contract=off -fvisibility=hidden -s"  # those of setup.py, but -O3, which takes longer

# The lowest level, and the highest with all that this CPU has and products and sums to be fused, which the sources
# forbid (clang's own `fast` would overrule them). The levels between are those of `make test`, `make sanitize` and
# `make test-c CC=clang`, whose programs have the same hashes. gcc says FLT_EVAL_METHOD 1 on s390x unless GNU's C is
# asked for.
BUILDS = (
    Build("gcc -O0", "gcc -std=c11 -O0", (Run(case="four_threads"),), packages="gcc"),
    Build("gcc -O3 native", "gcc -std=c11 -O3 -march=native -ffp-contract=fast", packages="gcc"),
    Build("clang -O3 native", "clang -std=c11 -O3 -march=native -ffp-contract=on", packages="clang"),
    Build(
        "AVX-512 by SIMDe",  # -O0: more than that takes minutes
        "gcc -std=c11 -O0",
        (Run(("simde", "scalar"), case="one_thread"),),
        packages="gcc libsimde-dev, a CPU with AVX2",
        only_on=X86,
        unless="avx512dq",  # there the kernels are run as they are
        replaced=(("csrc/kern/avx2.c", "tools/avx512_by_simde.c"),),
    ),
    Build(
        "static musl",
        f"musl-gcc -std=c11 {OPTIONS} -static",
        (Run(), Run(("scalar",), "qemu-x86_64 -cpu qemu64", "one_thread")),  # no AVX2, no FMA
        packages="gcc musl-tools qemu-user",
        only_on=X86,
        tests=True,
    ),
    Build(
        "aarch64, gcc",  # what zig makes of it is in the wheel, whose tests compare the same hashes
        f"aarch64-linux-gnu-gcc -std=c11 {OPTIONS}",
        (Run(("neon", "scalar"), QEMU_AARCH64),),
        packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
        tests=True,
        left_out=FORKS,
    ),
    Build(
        "s390x, gcc",  # big-endian; not by zig, for qemu before 8.2 has products wrong that clang makes (mdebr)
        f"s390x-linux-gnu-gcc -std=gnu11 {OPTIONS}",
        (Run(("scalar",), QEMU_S390X, "two_threads"),),
        packages="gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
        tests=True,
        left_out=FORKS,
    ),
    Build(
        "riscv64, zig",
        f"zig cc -target riscv64-linux-gnu -std=c11 {OPTIONS}",
        (Run(("scalar",), QEMU_RISCV64, "two_threads"),),
        packages="ziglang (pip), libc6-riscv64-cross qemu-user",
        tests=True,
        left_out=FORKS,
    ),
    Build(
        "Windows, gcc",  # whose stack there is not aligned for vectors of 32 bytes, which gcc does not mind
        f"x86_64-w64-mingw32-gcc -std=c11 {OPTIONS} -Wa,-muse-unaligned-vector-move",
        (Run(("scalar",), "wine64"),),
        packages="gcc-mingw-w64-x86-64-win32 wine64",
        only_on=X86,
        tests=True,
    ),
)


def environment() -> dict[str, str]:
    """Return the variables of compilers and programs: caches in the project's folder; wine silent, without a screen."""
    caches = os.environ.get("XDG_CACHE_HOME", str(ROOT / ".cache"))
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return kept | {
        "CBP_QUICK": "1",
        "PATH": os.pathsep.join([os.environ["PATH"], "/usr/lib/wine"]),  # where Debian has wine64
        "ZIG_GLOBAL_CACHE_DIR": f"{caches}/zig",
        "ZIG_LOCAL_CACHE_DIR": f"{caches}/zig",
        "WINEPREFIX": str(ROOT / "build" / "wine"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=;mshtml=",  # it would like to install .NET and a browser
    }


def call(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder. Its input is empty: wine would wait for a terminal's."""
    words = shlex.split(command)
    if words[:1] == ["zig"]:
        found = importlib.util.find_spec("ziglang")
        words[0] = str(Path(found.origin).with_name("zig")) if found and found.origin else "zig"
    return subprocess.run(
        [*words, *more],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=60 * MINUTES,
    )


def features() -> list[str]:
    """Return what this processor has, as Linux names it; nothing on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return []


def meant(build: Build) -> bool:
    """Whether it is for this machine, whatever is installed."""
    return (not build.only_on or platform.machine() in build.only_on) and build.unless not in features()


def possible(build: Build) -> bool:
    """Whether a program of one line can be built and run this way."""
    source = folder_of(build) / f"probe{'-replaced' if build.replaced else ''}.c"
    header = "simde/x86/avx512.h" if build.replaced else "stdio.h"
    source.write_text(f"#include <{header}>\nint main(void) {{ return 0; }}\n")
    program = str(source.with_suffix(".exe"))
    try:
        return call(build.compiler, str(source), "-o", program, "-lm").returncode == 0 and all(
            call(run.emulator, program).returncode == 0 for run in build.runs
        )
    except OSError:
        return False


def digest(text: str, paths: list[Path]) -> str:
    """Hash of a text and of files."""
    found = hashlib.sha256(text.encode())
    for path in sorted(paths):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def folder_of(build: Build) -> Path:
    """Return the folder of a build's objects and programs: for each compiler, command and library another."""
    try:
        version = call(build.compiler.split(" -")[0], "--version").stdout
    except OSError:  # no such compiler
        version = ""
    sources = [*CSRC.rglob("*.*"), *(ROOT / new for _, new in build.replaced)]
    folder = FOLDER / digest(build.compiler + version, sources)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made(target: Path, command: str, *more: str) -> str:
    """Run a command that makes a file, unless it is there; return what was wrong."""
    if target.exists():
        return ""
    new = target.with_name(f"new-{target.name}")
    done = call(command, *more, "-o", str(new))
    if done.returncode:
        return f"{target.name} cannot be made:\n{done.stdout}{done.stderr}"
    os.replace(new, target)
    return ""


def program_of(folder: Path, name: str) -> Path:
    """Return the path of a test program, whose name says what it is made of."""
    parts = [TESTS / f"{name}.c", *TESTS.glob("*.h"), *TESTS.glob("*.def")]
    return folder / f"{name}-{digest('', parts)}.exe"


def make(build: Build, names: list[str]) -> tuple[list[Path], str]:
    """Compile the library, then programs of tests/c; return the programs and what was wrong."""
    folder, replaced = folder_of(build), dict(build.replaced)
    library = [path.relative_to(ROOT).as_posix() for path in sorted(CSRC.rglob("*.c"))]
    sources = [replaced.get(path, path) for path in library]
    objects = [folder / f"{Path(source).stem}.o" for source in sources]
    wrong = "".join(COMPILERS.map(lambda o, c: made(o, build.compiler, "-Icsrc", "-c", c), objects, sources))
    if wrong:
        return [], wrong
    rest = [*map(str, objects), "-lm", *([] if "windows" in build.compiler else ["-lpthread"])]
    programs = [program_of(folder, name) for name in names]
    linked = COMPILERS.map(
        lambda program, name: made(program, build.compiler, "-Icsrc", "-Itests/c", f"tests/c/{name}.c", *rest),
        programs,
        names,
    )
    return programs, "".join(linked)


def forget_wine() -> None:
    """End what wine keeps running for a while after its last program."""
    if shutil.which("wineserver", path=environment()["PATH"]) and (ROOT / "build" / "wine").exists():
        call("wineserver -k")
