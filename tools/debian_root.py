"""An interpreter for another processor, from Debian's packages: fetched, unpacked, run by qemu. Nothing is installed.

apt works in a folder of its own, with lists and packages of that processor alone, so it needs no rights and changes
nothing of this machine. What it unpacked lies in .cache/debian and is used again; the packages themselves are not kept.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", ROOT / ".cache")) / "debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What Debian calls a processor, and what qemu and the linker call it
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "s390x": "s390x", "riscv64": "riscv64"}

CONFIGURATION = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
"""


def run(*command: str | Path, **environment: str) -> str:
    """Run a command; return what it printed, or stop with that."""
    words = list(map(str, command))
    done = subprocess.run(words, env=os.environ | environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def own_suite() -> str:
    """Return the suite of this machine."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def source(suite: str) -> str:
    """Return the line of apt's sources for a suite, from the mirror that this machine has for its own."""
    signed = f"[signed-by={KEYS}] " if os.path.exists(KEYS) else ""
    columns = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    for line in run("apt-get", "indextargets", "--format", columns, "Created-By: Packages").splitlines():
        mirror, release, component = line.split()
        if (release, component) == (own_suite(), "main"):
            return f"deb {signed}{mirror} {suite} main\n"
    raise SystemExit(f"apt has no source for {own_suite() or 'this system'}, component main: is this Debian?")


def fetch(folder: Path, architecture: str, suite: str, packages: Sequence[str]) -> list[Path]:
    """Fetch packages of a processor, and all that they depend on, into a folder of apt's."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(source(suite))
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, architecture=architecture))
    run("apt-get", "-q", "update", APT_CONFIG=str(configuration))
    run("apt-get", "-qy", "install", "--download-only", *packages, APT_CONFIG=str(configuration))
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def link_libraries(root: Path, triplet: str) -> None:
    """Make the links that installing would have made: of folders that became one, and to the plain BLAS and LAPACK."""
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    for name in ("blas", "lapack"):
        for library in (root / "usr" / "lib" / triplet / name).glob("lib*.so.3"):
            library.parent.with_name(library.name).symlink_to(f"{name}/{library.name}")


def unpacked(architecture: str, suite: str, packages: Sequence[str]) -> Path:
    """Return the folder with these packages of a processor and all that they depend on."""
    folder = CACHE / f"{suite}-{architecture}"
    root, said = folder / "root", folder / "packages"
    if said.exists() and said.read_text().split() == list(packages):
        return root
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True)
    for package in fetch(folder / "apt", architecture, suite, packages):
        run("dpkg-deb", "-x", package, root)
    link_libraries(root, f"{MACHINES[architecture]}-linux-gnu")
    shutil.rmtree(folder / "apt")
    said.write_text(" ".join(packages))
    return root


def python(architecture: str, suite: str, *more: str) -> Path:
    """Return a program that is Python on a processor; `more` are further packages.

    It is a script, which Python takes for itself, so that it can start others of its kind. Where this Python has the
    same version, it compiles the standard library: bytecode is for every processor.
    """
    root = unpacked(architecture, suite, ("python3", *more))
    program = (root / "usr" / "bin" / "python3").resolve()
    version = program.name.removeprefix("python")
    script = program.with_name("python")
    words = f'exec qemu-{MACHINES[architecture]} -0 "$0" -L {shlex.quote(str(root))} {shlex.quote(str(program))} "$@"'
    script.write_text(f"#!/bin/sh\n{words}\n")
    script.chmod(0o755)
    if version == "{}.{}".format(*sys.version_info) and not list(root.glob("usr/lib/python3*/__pycache__")):
        run(sys.executable, "-m", "compileall", "-q", "-j0", root / "usr" / "lib" / f"python{version}")
    return script
