"""Look into a wheel: is it abi3, small, complete, and free of what does not belong?

python tools/check_wheel.py dist/*.whl
"""

import sys
import zipfile
from pathlib import Path

LARGEST = 2_000_000
NEEDED = [
    "cbp/__init__.py",
    "cbp/py.typed",
    "cbp/_core.pyi",
    "cbp/__init__.pxd",
    "cbp/_c.pxd",
    "cbp/_core.pxd",
    "cbp/include/cbp.h",
    "cbp/include/act.def",
    "cbp/include/kern/math.inc",
]
FOREIGN_SUFFIXES = (".c", ".o", ".pyx")


def faults(wheel: Path) -> list[str]:
    """Everything that is wrong with a wheel, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = [f"{name} is missing" for name in NEEDED if name not in names]
    found += [f"{name} does not belong" for name in names if foreign(name)]
    if not any(name.startswith("cbp/_core.") and name.endswith((".so", ".pyd")) for name in names):
        found.append("the extension module is missing")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        found.append("the license is missing")
    if "-cp311-abi3-" not in wheel.name:
        found.append("the name has no cp311-abi3 tag")
    if wheel.stat().st_size >= LARGEST:
        found.append(f"{wheel.stat().st_size:,} bytes are too many")
    return found


def foreign(name: str) -> bool:
    """Whether a file is a test, generated C, or outside the package."""
    top, *rest = name.split("/")
    inside = top == "cbp" or top.endswith(".dist-info")
    return not inside or name.endswith(FOREIGN_SUFFIXES) or any(part.startswith("test") for part in rest)


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
