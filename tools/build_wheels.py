"""Build wheels for Linux with the zig compiler, all of them on one machine without a container: `make wheels`.

    python tools/build_wheels.py [PLATFORM...] [--to dist]

The source distribution is made first, and every wheel is built from that, unpacked in a folder of its own. Everything
that could differ between two builds of one commit is set here: times, permissions, names of folders.
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

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Platform:
    """What zig calls a target, what Python calls it, and the tag its wheel gets."""

    target: str
    host: str
    tag: str


PLATFORMS = {
    "manylinux-x86_64": Platform("x86_64-linux-gnu.2.17", "linux-x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64"),
    "manylinux-aarch64": Platform(
        "aarch64-linux-gnu.2.17", "linux-aarch64", "manylinux2014_aarch64.manylinux_2_17_aarch64"
    ),
    "musllinux-x86_64": Platform("x86_64-linux-musl", "linux-x86_64", "musllinux_1_2_x86_64"),
}


def run(*command: str | Path, **environment: str) -> str:
    """Run a command; return what it printed, or stop with it."""
    words = list(map(str, command))
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)}\n{done.stdout}")
    return done.stdout


def commit_time() -> str:
    """Seconds since 1970 of the commit that is built."""
    return os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct").strip()


def python_headers(folder: Path) -> Path:
    """Copy the headers of this Python; Debian's pyconfig.h, which only names that of the processor, becomes that one."""
    include = Path(sysconfig.get_path("include"))
    processors_own = include.parent / (sysconfig.get_config_var("MULTIARCH") or "") / include.name / "pyconfig.h"
    shutil.copytree(include, folder, dirs_exist_ok=True)
    if processors_own.exists():
        shutil.copy(processors_own, folder)
    return folder


def build(platform: Platform, sdist: Path, folder: Path, to: Path) -> Path:
    """Build the wheel of a platform."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    headers = python_headers(folder / "python")
    compiler = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'tools/zig_cc.py'))} -target {platform.target}"
    settings = {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared -s",
        "CFLAGS": shlex.join([f"-ffile-prefix-map={folder}=.", f"-I{headers}"]),
        "LDFLAGS": "",
        "_PYTHON_HOST_PLATFORM": platform.host,
    }
    made = folder / "dist"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", made, source, **settings)
    (wheel,) = made.iterdir()
    name = run(sys.executable, "-m", "wheel", "tags", "--platform-tag", platform.tag, wheel).strip().split()[-1]
    return Path(shutil.copy(made / name, to))


def main() -> None:
    """Build the platforms named on the command line, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    parser.add_argument("--to", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    os.umask(0o022)
    os.environ["SOURCE_DATE_EPOCH"] = commit_time()
    to = asked.to.resolve()
    to.mkdir(parents=True, exist_ok=True)
    work = ROOT / "build" / "wheels"
    shutil.rmtree(work, ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", to, ROOT)
    (sdist,) = to.glob("*.tar.gz")
    chosen = asked.platforms or list(PLATFORMS)
    with ThreadPoolExecutor() as threads:
        for wheel in threads.map(lambda name: build(PLATFORMS[name], sdist, work / name, to), chosen):
            print(f"{wheel.name}: {wheel.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
