"""The C compiler of the PyPI package ziglang, to be named as CC: it compiles for any processor and any system.

    CC="python tools/zig_cc.py -target aarch64-linux-gnu.2.17"

A build of Python hands on the flags that this Python was compiled with. Those that zig refuses, that are for one
processor or one compiler, or that would leave a path of this machine in the result are dropped; the rest goes through.
"""

import os
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import version

import ziglang

DROPPED = (
    "-Wl,-rpath*",
    "-Wl,-Bsymbolic*",
    "-Wl,--exclude-libs*",
    "-Wl,-O?",
    "-Wp,*",
    "-flto*",
    "-ffat-lto-objects",
    "-fcf-protection*",
    "-specs=*",
    "-grecord-gcc-switches",
    "-m32",
    "-m64",
    "-march=*",
    "-mtune=*",
)


def command(arguments: list[str]) -> list[str]:
    """Return what zig is called with for these arguments of a C compiler."""
    zig = os.path.join(os.path.dirname(ziglang.__file__), "zig")
    return [zig, "cc", *(word for word in arguments if not any(fnmatch(word, flag) for flag in DROPPED))]


if __name__ == "__main__":
    if "--version" in sys.argv:
        print(f"zig {version('ziglang')}, ", end="", flush=True)
    sys.exit(subprocess.run(command(sys.argv[1:]), check=False).returncode)
