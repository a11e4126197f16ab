"""Look into the source distribution: has it every file of the commit, and nothing else but what setuptools adds?

python tools/check_sdist.py dist/*.tar.gz
"""

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDED = {"PKG-INFO", "setup.cfg"}


def tracked() -> set[str]:
    """Names of the files of the commit, which may have changed since."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def faults(path: Path) -> list[str]:
    """Everything that is wrong with the archive, a sentence each."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        top = members[0].name
        files = {
            member.name.removeprefix(f"{top}/"): archive.extractfile(member) for member in members if member.isfile()
        }
        own = {name for name in files if name not in ADDED and not name.startswith("src/cbpnet.egg-info/")}
        found = [f"{name} is missing" for name in sorted(tracked() - own)]
        found += [f"{name} does not belong" for name in sorted(own - tracked())]
        found += [
            f"{name} is not that of the commit"
            for name in sorted(own & tracked())
            if files[name].read() != (ROOT / name).read_bytes()
        ]
    found += [f"{member.name} is a link" for member in members if not (member.isfile() or member.isdir())]
    owners = {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members}
    return found if len(owners) == 1 else [*found, "times or owners differ"]


def main() -> int:
    """Check the archive named on the command line."""
    (path,) = map(Path, sys.argv[1:])
    found = faults(path)
    print(f"{path.name}: {path.stat().st_size:,} bytes, {'good' if not found else '; '.join(found)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
