"""What machine this is: processor, caches, cores, system, compiler. Linux tells most, others what they can."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CPUS = Path("/sys/devices/system/cpu")


def usable() -> list[int]:
    """Return the logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores() -> list[int]:
    """Return one logical CPU for each core that may be used: two threads of one core would share its arithmetic."""
    chosen, seen = [], set()
    for cpu in usable():
        siblings = read(CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        if siblings not in seen:
            chosen.append(cpu)
        seen.add(siblings)
    return chosen


def read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def output(*command: str) -> str:
    """Return what a command prints, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def cpu_model() -> str:
    found = re.search(r"^model name\s*: (.+)$", read(Path("/proc/cpuinfo")), re.MULTILINE)
    if found:
        return found[1].strip()
    if sys.platform == "darwin":
        return output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


def cache_sizes() -> dict[str, int]:
    """Return bytes of L1 (data), L2 and L3 as one core sees them."""
    if sys.platform == "darwin":
        names = {"L1": "hw.l1dcachesize", "L2": "hw.l2cachesize", "L3": "hw.l3cachesize"}
        sizes = {level: output("sysctl", "-n", name) for level, name in names.items()}
        return {level: int(size) for level, size in sizes.items() if size.isdigit() and int(size)}
    found = {}
    for index in sorted(CPUS.glob("cpu0/cache/index*")):
        size = re.fullmatch(r"(\d+)([KM])", read(index / "size"))
        if size and read(index / "type") != "Instruction":
            found["L" + read(index / "level")] = int(size[1]) << {"K": 10, "M": 20}[size[2]]
    return found


def describe(compiler: list[str]) -> dict[str, Any]:
    """Return all of it, as the report keeps it."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": len(cores()),
        "logical_cpus": len(usable()),
        "caches": cache_sizes(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "compiler": (output(*compiler, "--version").splitlines() or [""])[0],
        "load_before": load,
    }
