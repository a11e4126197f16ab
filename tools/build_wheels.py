"""Build wheels for Linux with the zig compiler, all of them on one machine, without a container: `make wheels`.

    python tools/build_wheels.py [--to dist] [PLATFORM...]

The source distribution is made first; every wheel is built from that, unpacked into a folder of its own. What could
differ between two builds of one commit is settled here: times, permissions, the names of folders.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "wheels"
FRONTEND = (sys.executable, "-m", "build")
ZIG = shlex.join([sys.executable, str(ROOT / "tools" / "zig_cc.py")])

# What headers made for the Python and the NumPy of this machine say of another one, and must be right about
SIZES = {
    "SIZEOF_SHORT": "short",
    "SIZEOF_INT": "int",
    "SIZEOF_LONG": "long",
    "SIZEOF_LONG_LONG": "long long",
    "SIZEOF_FLOAT": "float",
    "SIZEOF_DOUBLE": "double",
    "SIZEOF_VOID_P": "void *",
    "SIZEOF_SIZE_T": "size_t",
    "SIZEOF_WCHAR_T": "wchar_t",
    "SIZEOF_OFF_T": "off_t",
    "SIZEOF_TIME_T": "time_t",
    "SIZEOF_PTHREAD_T": "pthread_t",
    "NPY_SIZEOF_LONG": "long",
    "NPY_SIZEOF_LONGDOUBLE": "long double",
}
TRUTHS = """
#include <Python.h>
#include <numpy/ndarraytypes.h>
#if defined(WORDS_BIGENDIAN) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#error "another order of bytes"
#endif
_Static_assert((NPY_BYTE_ORDER == NPY_BIG_ENDIAN) == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__), "order of bytes");
"""


@dataclass(frozen=True)
class Platform:
    """What zig calls a platform, what Python calls its machine, and the tag its wheel gets."""

    target: str
    machine: str
    tag: str


PLATFORMS = {
    "manylinux-x86_64": Platform("x86_64-linux-gnu.2.17", "x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64"),
    "manylinux-aarch64": Platform("aarch64-linux-gnu.2.17", "aarch64", "manylinux2014_aarch64.manylinux_2_17_aarch64"),
    "musllinux-x86_64": Platform("x86_64-linux-musl", "x86_64", "musllinux_1_2_x86_64"),
}


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command; return what it printed, or stop with that."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=cwd, env=os.environ | environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def commit_time() -> str:
    """Seconds from 1970 to the commit that is built; in a source distribution, whose files are that old, to that."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    if (ROOT / ".git").exists():
        return run("git", "log", "-1", "--format=%ct").strip()
    return str(int((ROOT / "PKG-INFO").stat().st_mtime))


def python_headers(folder: Path) -> Path:
    """Copy the headers of this Python. Debian's pyconfig.h only names that of the machine, which takes its place."""
    include = Path(sysconfig.get_path("include"))
    shutil.copytree(include, folder)
    of_machine = include.parent / (sysconfig.get_config_var("MULTIARCH") or "") / include.name / "pyconfig.h"
    if of_machine.exists():
        shutil.copy(of_machine, folder)
    return folder


def check_headers(compiler: str, headers: Path, folder: Path) -> None:
    """Stop unless the headers, made for this machine, hold on that of a compiler as well."""
    program = folder / "truths.c"
    sizes = (f'_Static_assert({name} == sizeof({kind}), "{kind}");\n' for name, kind in SIZES.items())
    program.write_text(TRUTHS + "".join(sizes))
    includes = [f"-I{headers}", f"-I{numpy.get_include()}"]
    run(*shlex.split(compiler), "-std=c11", "-c", program, *includes, "-o", program.with_suffix(".o"))


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack a source distribution; return the one folder in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if (path / "PKG-INFO").exists())


def build(name: str, sdist: Path, to: Path, how: list[str]) -> Path:
    """Build the wheel of a platform; return its path."""
    platform, folder = PLATFORMS[name], WORK / name
    source, headers = unpack(sdist, folder), python_headers(folder / "python")
    compiler = f"{ZIG} -target {platform.target}"
    check_headers(compiler, headers, folder)
    settings = {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared -s",
        "LDFLAGS": "",
        "CFLAGS": shlex.join([f"-I{headers}", f"-ffile-prefix-map={folder}=.", f"-ffile-prefix-map={sys.prefix}=."]),
    }
    machine = f"--config-setting=--build-option=--plat-name=linux_{platform.machine}"
    run(*FRONTEND, "--wheel", *how, machine, "--outdir", folder, source, **settings)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", platform.tag, wheel)
    (wheel,) = folder.glob("*.whl")
    return Path(shutil.copy(wheel, to))


def main() -> None:
    """Build the wheels of the platforms that the command line names, or of all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"{', '.join(PLATFORMS)}; without any: all")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="a folder, which is emptied first")
    parser.add_argument(
        "--isolated", metavar="CONSTRAINTS", help="build in an environment of these versions, made by uv"
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.platforms if name not in PLATFORMS]
    if unknown:
        parser.error(f"no such platform: {', '.join(unknown)}; there are {', '.join(PLATFORMS)}")
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = commit_time()
    isolated = ["--installer", "uv", "--dependency-constraints-txt", asked.isolated]
    to, how = asked.to.resolve(), isolated if asked.isolated else ["--no-isolation"]
    for folder in (to, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    run(*FRONTEND, "--sdist", *how, "--outdir", to)
    (sdist,) = to.iterdir()
    print(f"{sdist.name}: {sdist.stat().st_size:,} bytes", flush=True)
    with ThreadPoolExecutor() as threads:
        for wheel in threads.map(lambda name: build(name, sdist, to, how), asked.platforms or PLATFORMS):
            print(f"{wheel.name}: {wheel.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
