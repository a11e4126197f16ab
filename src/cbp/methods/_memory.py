"""Whether a matrix can be had: what this machine, its control group and the limits of the process still leave.

Linux tells all of it, other systems less or nothing; what nobody tells is no limit. Used before matrices are allocated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

SMALL = 2**26
"""Nobody is asked about fewer bytes."""
WITHOUT = "LBFGS() and SCG() of cbp.methods keep no matrix"
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)


def require(size: int, who: str, what: str, instead: str = WITHOUT) -> None:
    """Raise MemoryError where `size` bytes cannot be had; the message has who needs them, what for, and a way out."""
    if size < SMALL:
        return
    left = min(_limits(), default=None)
    if left is not None and size > left:
        raise MemoryError(
            f"{who} needs {_in_words(size)} for {what}, and {_in_words(max(left, 0))} can be had: {instead}"
        )


def _in_words(size: int) -> str:
    for unit, name in ((2**30, "GB"), (2**20, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _limits() -> Iterator[int]:
    """Yield how many bytes can still be had, by everyone who can tell."""
    about = _table("/proc/meminfo")
    if "MemAvailable" in about:
        yield about["MemAvailable"] * 1024 + about.get("SwapFree", 0) * 1024
    else:
        yield from _physical()
    for limit, used, statistics in _CGROUPS:
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            yield most - now + _table(statistics).get("inactive_file", 0)
    yield from _of_process()


def _physical() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return


def _of_process() -> Iterator[int]:
    """Yield what the limits of the process leave."""
    try:
        import resource
    except ImportError:
        return
    mine = _table("/proc/self/status")
    for limit, used in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            yield most - mine.get(used, 0) * 1024


def _number(path: str) -> int | None:
    """Return the number in a file, None where there is no such file or it says "max"."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _table(path: str) -> dict[str, int]:
    """Return the numbers by name in a file of lines like "name: 12 kB"; nothing where there is none."""
    found = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                name, *rest = line.replace(":", " ").split()
                if rest and rest[0].isdigit():
                    found[name] = int(rest[0])
    except (OSError, ValueError):
        return {}
    return found
