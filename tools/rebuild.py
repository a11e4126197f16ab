"""Is what one commit gives the same in another place, to the byte? `make test-reproducible`

    python tools/rebuild.py dist [PLATFORM...]

The source distribution in a folder is unpacked elsewhere and asked for itself and for wheels: in a clean environment,
under another umask, time zone and language, with nothing that the compiler remembers. All that comes out must equal
what lies in the folder. A wheel of one platform proves it for each, since they are made alike; the default is the one
that takes least time.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from build_wheels import ROOT, unpack

ELSEWHERE = ROOT / "build" / "again" / "a folder elsewhere"
OTHER_WAYS = {"TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
BUILT_WITH = ("setuptools", "Cython", "numpy")  # of the same versions
QUICKEST = "manylinux-aarch64"


def settings() -> dict[str, str]:
    """Return the environment variables of the other build."""
    kept = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    caches = {f"ZIG_{kind}_CACHE_DIR": str(ELSEWHERE / kind) for kind in ("GLOBAL", "LOCAL")}
    return kept | OTHER_WAYS | caches


def rebuild(sdist: Path, platforms: list[str]) -> Path:
    """Build again what a source distribution gives; return the folder it is in."""
    shutil.rmtree(ELSEWHERE, ignore_errors=True)
    ELSEWHERE.mkdir(parents=True)
    source = unpack(sdist, ELSEWHERE)
    os.umask(0o077)
    for file in (path for path in source.rglob("*") if path.is_file()):
        file.chmod(file.stat().st_mode & 0o700)
    made, versions = ELSEWHERE / "dist", ELSEWHERE / "versions.txt"
    versions.write_text("".join(f"{name}=={version(name)}\n" for name in BUILT_WITH))
    tool = str(source / "tools" / "build_wheels.py")
    command = [sys.executable, tool, "--isolated", str(versions), "--to", str(made), *platforms]
    subprocess.run(command, cwd=ELSEWHERE, env=settings(), check=True)
    return made


def differences(one: Path, other: Path) -> list[str]:
    """Name the files of two wheels that differ, or say where else the difference is."""
    if one.suffix != ".whl":
        return ["the archive"]
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
        both = [
            {info.filename: (info.CRC, info.date_time, info.external_attr) for info in a.infolist()}
            for a in (first, second)
        ]
    return sorted(name for name in both[0].keys() | both[1].keys() if both[0].get(name) != both[1].get(name)) or [
        "order"
    ]


def main() -> int:
    """Compare what is in the folder that the command line names with what is built again."""
    folder, *platforms = sys.argv[1:]
    (sdist,) = Path(folder).resolve().glob("*.tar.gz")
    made = sorted(rebuild(sdist, platforms or [QUICKEST]).iterdir())
    wrong = 0
    for again in made:
        first = sdist.with_name(again.name)
        same = first.read_bytes() == again.read_bytes()
        print(f"{again.name}: {'the same bytes' if same else ', '.join(differences(first, again))}", flush=True)
        wrong += not same
    return wrong > 0 or len(made) < 2


if __name__ == "__main__":
    sys.exit(main())
