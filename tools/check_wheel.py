"""Look into wheels: are they abi3, small, complete, what their names say, and free of what does not belong?

    python tools/check_wheel.py dist/*.whl

check_elf.py looks at the compiled part, check_sdist.py at the archive of sources; make runs abi3audit as well.
"""

import base64
import csv
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

from check_elf import elf_faults
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import parse_wheel_filename
from sbom import FILE as BILL

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LARGEST = 2_000_000
WRITTEN = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE", BILL}
ABI3 = ("cp311", "abi3")
# What auditwheel may call a wheel with the tag on the left, and the libraries it may find outside the policy: what it
# knows of musl's is the name that Alpine gives it, which the musl of others need not have; musl itself takes either
POLICIES = {"manylinux_2_17": ("manylinux_2_17", set()), "musllinux_1_2": ("linux", {"libc.so"})}


class Wheel:
    """A wheel, read: `files` by name, `own` those below .dist-info, `module` the name of the extension module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.infos = archive.infolist()
            self.files = {info.filename: archive.read(info) for info in self.infos}
        _, self.version, _, self.tags = parse_wheel_filename(path.name)
        self.top = f"cbpnet-{self.version}.dist-info/"
        self.own = {name.removeprefix(self.top): text for name, text in self.files.items() if name.startswith(self.top)}
        self.module = next((name for name in self.files if re.fullmatch(r"cbp/_core\.[\w.-]*(so|pyd)", name)), "")
        self.platforms = sorted(tag.platform for tag in self.tags)


def copied() -> dict[str, Path]:
    """Name of each file that is copied from the sources into every wheel, and where it is there."""
    package, library = ROOT / "src" / "cbp", ROOT / "csrc"
    data = (package.glob(pattern) for pattern in PROJECT["tool"]["setuptools"]["package-data"]["cbp"])
    modules = {*package.rglob("*.py"), *(path for found in data for path in found)}
    headers = {library / "cbp.h", *library.rglob("*.def"), *library.rglob("*.inc")}
    return {f"cbp/{path.relative_to(package).as_posix()}": path for path in modules} | {
        f"cbp/include/{path.relative_to(library).as_posix()}": path for path in headers
    }


def contents(wheel: Wheel) -> list[str]:
    """What is missing, what is not as in the sources, and what does not belong."""
    expected = copied()
    found = [f"{name} is missing" for name in sorted(expected.keys() - wheel.files.keys())]
    found += [f"{name} is missing" for name in sorted(WRITTEN - wheel.own.keys())]
    known = {*expected, *(wheel.top + name for name in WRITTEN), wheel.module}
    found += [f"{name} does not belong" for name in sorted(wheel.files.keys() - known)]
    same = expected.keys() & wheel.files.keys()
    found += [
        f"{name} is not that of the sources"
        for name in sorted(same)
        if wheel.files[name] != expected[name].read_bytes()
    ]
    return found if wheel.module else [*found, "the extension module is missing"]


def record(wheel: Wheel) -> list[str]:
    """What RECORD has wrong: every file but itself, its hash and its size."""
    listed = {name: rest for name, *rest in csv.reader(wheel.own["RECORD"].decode().splitlines())}
    found = [] if listed.keys() == wheel.files.keys() else ["RECORD does not list what there is"]
    for name, (said, size) in listed.items():
        content = wheel.files.get(name, b"")
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if name != wheel.top + "RECORD" and (said, size) != (f"sha256={digest}", str(len(content))):
            found.append(f"RECORD is wrong about {name}")
    return found


def metadata(wheel: Wheel) -> list[str]:
    """What does not agree: tags of the name and of the file WHEEL, the version, the license."""
    about, inside = message_from_bytes(wheel.own["METADATA"]), message_from_bytes(wheel.own["WHEEL"])
    found = (
        [] if set(inside.get_all("Tag", [])) == set(map(str, wheel.tags)) else ["WHEEL has other tags than the name"]
    )
    if not all((tag.interpreter, tag.abi) == ABI3 or tag.abi == f"{tag.interpreter}t" for tag in wheel.tags):
        found.append("the name has neither a cp311-abi3 tag nor that of a free-threaded Python")
    if inside["Root-Is-Purelib"] != "false":
        found.append("WHEEL takes it for pure Python")
    for key, said in (
        ("Version", "version"),
        ("License-Expression", "license"),
        ("Requires-Python", "requires-python"),
    ):
        if about[key] != PROJECT["project"][said]:
            found.append(f"its {key} is {about[key]}")
    if wheel.own["licenses/LICENSE"] != (ROOT / "LICENSE").read_bytes():
        found.append("its license is another")
    return found


def bill(wheel: Wheel) -> list[str]:
    """What is wrong with the bill of materials: against CycloneDX's schema, and against the metadata."""
    text = wheel.own[BILL].decode()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    about = json.loads(text)
    named = {part["name"] for part in about["components"] if part["scope"] == "required"}
    required = {re.split(r"[^\w.-]", name)[0] for name in PROJECT["project"]["dependencies"]}
    found = [f"{BILL}: {error}"] if error else []
    if (about["metadata"]["component"]["name"], about["metadata"]["component"]["version"]) != (
        "cbpnet",
        str(wheel.version),
    ):
        found.append(f"{BILL} is about something else")
    return found if required <= named else [*found, f"{BILL} lacks {required - named}"]


def audit(wheel: Wheel) -> list[str]:
    """What auditwheel says of a wheel for Linux that its name does not."""
    named = [name for name in POLICIES if wheel.platforms[-1].startswith(name)]
    if not named:
        return [f"{wheel.platforms[-1]} is no policy that is known here"]
    policy, allowed = POLICIES[named[0]]
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, "-m", "auditwheel", "show", "--json", "--ldpaths", empty, str(wheel.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"auditwheel refuses it: {(done.stderr or done.stdout).strip().splitlines()[-1]}"]
    said = json.loads(done.stdout)
    wanted, machine = wheel.platforms[-1], wheel.platforms[-1].removeprefix(f"{named[0]}_")
    found = [] if said["sym_tag"] == wanted else [f"auditwheel finds symbols of {said['sym_tag']}"]
    if said["overall_tag"] != f"{policy}_{machine}":
        found.append(f"auditwheel calls it {said['overall_tag']}")
    found += [f"auditwheel finds that it wants {name}" for name in sorted(set(said["external_libs"]) - allowed)]
    return (
        found if not said["unsupported_isa"] else [*found, "auditwheel finds instructions that not every machine has"]
    )


def faults(path: Path) -> list[str]:
    """Everything that is wrong with a wheel, a sentence each."""
    wheel = Wheel(path)
    found = contents(wheel)
    if path.stat().st_size >= LARGEST:
        found.append(f"{path.stat().st_size:,} bytes are too many")
    if any(name.endswith("is missing") for name in found):
        return found
    found += [*record(wheel), *metadata(wheel), *bill(wheel)]
    if "linux" in wheel.platforms[-1]:
        found += [*elf_faults(wheel.files[wheel.module], wheel.platforms[-1]), *audit(wheel)]
    return found


def main() -> int:
    """Check every wheel named on the command line."""
    wheels = [Path(name) for name in sys.argv[1:]]
    if not wheels:
        print("usage: check_wheel.py WHEEL...")
        return 2
    bad = 0
    for wheel in wheels:
        found = faults(wheel)
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {'good' if not found else '; '.join(found)}")
        bad += bool(found)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
