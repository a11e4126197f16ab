"""The wheels that cibuildwheel makes of pyproject.toml: exactly those that cbp promises? `make identifiers`

    python tools/identifiers.py

Prints them by platform. What is missing or too much is named, and the exit status is 1.
"""

import subprocess
import sys

LINUX = [f"{libc}_{cpu}" for libc in ("manylinux", "musllinux") for cpu in ("x86_64", "aarch64", "ppc64le", "riscv64")]
PLATFORMS = {
    "linux": LINUX,
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64", "win_arm64"],
    "pyodide": ["pyodide_wasm32"],
}
"""What cibuildwheel calls a platform, and the ends of the identifiers it builds there."""
ABI3 = "cp311"
"""One wheel for this and every later Python with the global lock."""
FREE_THREADED = ["cp314t", "cp315t"]
PYODIDE = "cp314"
"""A Pyodide holds one Python."""


def wanted(platform: str) -> set[str]:
    """Return the identifiers that are promised for a platform."""
    pythons = [PYODIDE] if platform == "pyodide" else [ABI3, *FREE_THREADED]
    return {f"{python}-{end}" for python in pythons for end in PLATFORMS[platform]}


def found(platform: str) -> set[str]:
    """Return what cibuildwheel would build for a platform with all its processors."""
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform]
    return set(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split())


def main() -> int:
    """Compare all platforms."""
    wrong = 0
    for platform in PLATFORMS:
        promised, built = wanted(platform), found(platform)
        print(f"{platform}: {' '.join(sorted(built))}")
        for name in sorted(promised ^ built):
            print(f"{name} {'is missing' if name in promised else 'is not wanted'}", file=sys.stderr)
            wrong += 1
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
