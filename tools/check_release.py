"""Do version, changelog, citation and files of a release agree? What does not is named, and the exit status is 1.

    python tools/check_release.py                 the version is the same everywhere, the changelog is in order
    python tools/check_release.py --tag v1.2.3    and this commit is the release of that tag
    python tools/check_release.py --files dist    and the folder holds its files: every wheel, the source distribution
    python tools/check_release.py --notes         print what the changelog says of the version

docs/release.md tells when each is run; .github/workflows/release.yml runs all of them.
"""

import argparse
import datetime
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import identifiers

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
"""1.2.3, and what comes before it: 1.2.3a1, 1.2.3b1, 1.2.3rc1."""


class Section(NamedTuple):
    """What the changelog says of a version; "Unreleased" is one without a date."""

    version: str
    date: str
    text: str


def sections(root: Path) -> list[Section]:
    """Return the sections of the changelog, the newest first."""
    parts = re.split(r"^## (.+)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    headings = [re.fullmatch(r"\[([^\]]+)\](?: - (\S+))?", heading.strip()) for heading in parts[::2]]
    wrong = [heading for heading, found in zip(parts[::2], headings, strict=True) if not found]
    if wrong:
        raise SystemExit(f"CHANGELOG.md: the heading {wrong[0]!r} is not of the form [1.2.3] - 2026-01-31")
    found = zip(headings, parts[1::2], strict=True)
    return [Section(match[1], match[2] or "", text.strip()) for match, text in found if match]


def stated(root: Path) -> dict[str, str]:
    """Return the version that each file states."""
    header = (root / "csrc/cbp.h").read_text(encoding="utf-8")
    numbers = re.findall(r"^#define CBP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.MULTILINE)
    text = re.search(r'^#define CBP_VERSION "(.+)"$', header, re.MULTILINE)
    return {
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "csrc/cbp.h": ".".join(numbers) if numbers else text[1] if text else "",
        "CITATION.cff": cited(root, "version"),
    }


def cited(root: Path, key: str) -> str:
    """Return a value of CITATION.cff, or nothing."""
    found = re.search(rf"^{key}: *['\"]?([^'\"\n]*)", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else ""


def order(version: str) -> tuple[int, int, int, str, int]:
    """Return what puts versions in order: 1.2.3a1 < 1.2.3b1 < 1.2.3rc1 < 1.2.3."""
    found = VERSION.fullmatch(version)
    if not found:
        raise SystemExit(f"{version!r} is not of the form 1.2.3 or 1.2.3rc1")
    major, minor, patch, stage, number = found.groups()
    return int(major), int(minor), int(patch), stage or "~", int(number or 0)


def is_date(text: str) -> bool:
    """Whether this is a day, written 2026-01-31."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def versions(root: Path) -> Iterator[str]:
    """Yield what differs between the files, a sentence each. The header has no place for rc1 and its like."""
    found = stated(root)
    version = found["pyproject.toml"]
    release = "{}.{}.{}".format(*order(version))
    for name, other in found.items():
        expected = release if name.endswith(".h") else version
        if other != expected:
            yield f"{name} states version {other or 'none'}, not {expected}"


def changelog(root: Path) -> Iterator[str]:
    """Yield what is out of order in the changelog."""
    first, *released = sections(root)
    if first.version != "Unreleased" or first.date:
        yield "CHANGELOG.md does not begin with [Unreleased]"
    for section in released:
        if not is_date(section.date):
            yield f"CHANGELOG.md: {section.version} has no date of the form 2026-01-31"
        if not section.text:
            yield f"CHANGELOG.md says nothing of {section.version}"
    for newer, older in pairwise(released):
        if order(newer.version) <= order(older.version):
            yield f"CHANGELOG.md has {newer.version} above {older.version}"
        if newer.date < older.date:
            yield f"CHANGELOG.md: {newer.version} came before {older.version}"


def release(root: Path, tag: str, today: datetime.date) -> Iterator[str]:
    """Yield why this commit is not the release that a tag names."""
    version = stated(root)["pyproject.toml"]
    if tag != f"v{version}":
        yield f"the tag is {tag}, the version {version}: it would be v{version}"
    first, *released = sections(root)
    if first.text:
        yield "CHANGELOG.md has entries under [Unreleased]: they belong to the release, or not into it"
    if not released or released[0].version != version:
        yield f"CHANGELOG.md has no heading [{version}] below [Unreleased]"
        return
    date = released[0].date
    if date > today.isoformat():
        yield f"CHANGELOG.md: {date} is still to come"
    if cited(root, "date-released") != date:
        yield f"CITATION.cff has date-released {cited(root, 'date-released') or 'none'}, CHANGELOG.md {date}"


def pattern(identifier: str, version: str) -> str:
    """Return what the name of a wheel looks like that cibuildwheel builds for an identifier."""
    python, _, platform = identifier.partition("-")
    tags = f"{python[:-1]}-{python}" if python in identifiers.FREE_THREADED else f"{identifiers.ABI3}-abi3"
    system, _, cpu = platform.replace("pyodide", "pyemscripten").partition("_")
    return f"cbpnet-{version}-{tags}-{system}*_{cpu}.whl"


def files(root: Path, folder: Path) -> Iterator[str]:
    """Yield which files of the release are missing, and which are none of it."""
    version = stated(root)["pyproject.toml"]
    expected = [pattern(name, version) for platform in identifiers.PLATFORMS for name in identifiers.wanted(platform)]
    expected.append(f"cbpnet-{version}.tar.gz")
    names = sorted(path.name for path in folder.iterdir())
    for wanted in sorted(expected):
        n = sum(fnmatch(name, wanted) for name in names)
        if n != 1:
            yield f"{folder.name} has {n or 'no'} files {wanted}"
    yield from (f"{name} is no file of the release" for name in names if not any(fnmatch(name, w) for w in expected))


def notes(root: Path) -> str:
    """Return what the changelog says of the version."""
    version = stated(root)["pyproject.toml"]
    for section in sections(root):
        if section.version == version:
            return section.text
    raise SystemExit(f"CHANGELOG.md has no heading [{version}]")


def main() -> int:
    """Check what the command line asks for."""
    parser = argparse.ArgumentParser(description="Do version, changelog, citation and files of a release agree?")
    parser.add_argument("--tag", help="this commit is to be the release of this tag")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="this folder is to hold the release's files")
    parser.add_argument("--notes", action="store_true", help="print what the changelog says of the version")
    asked = parser.parse_args()
    if asked.notes:
        print(notes(ROOT))
        return 0
    faults = [*versions(ROOT), *changelog(ROOT)]
    faults += release(ROOT, asked.tag, datetime.datetime.now(datetime.UTC).date()) if asked.tag else []
    faults += files(ROOT, asked.files) if asked.files else []
    print("\n".join(faults) or f"{stated(ROOT)['pyproject.toml']}: everything agrees")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
