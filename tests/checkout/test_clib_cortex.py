"""The C library on a microcontroller: an emulated Cortex-M7 with 512 KB of flash learns the numbers of a desk.

With the headers and the mathematics of newlib and nothing else of it: no heap, no operating system.
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from cortex import CC, EXAMPLE, PROCESSORS, emulated, lacks
from exported_once import compiled_once

pytestmark = pytest.mark.skipif(bool(lacks()), reason=str(lacks()))
LIBRARY = ["-std=gnu11", "-O1", "-ffunction-sections", "-fdata-sections", "-fno-math-errno", "-DCBP_NO_THREADS"]
M7 = ["-mthumb", "-mcpu=cortex-m7", *PROCESSORS["cortex-m7"][1]]
CSRC = EXAMPLE.parents[2] / "csrc"


def has_newlib():
    """Whether there are headers of a C library for these processors."""
    return subprocess.run([CC, "-E", "-"], input=b"#include <math.h>", capture_output=True, check=False).returncode == 0


def made(*words):
    """Compile with the flags of the library."""
    done = compiled_once([CC, *M7, *LIBRARY, *words])
    assert done.returncode == 0, done.stderr.decode()


def library(folder):
    """Objects of the C library for a Cortex-M7."""
    sources = [CSRC / "kern/scalar.c", *sorted(CSRC.glob("*.c"))]
    objects = [folder / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda source, to: made("-c", source, "-o", to), sources, objects))
    return objects


@pytest.mark.skipif(bool(lacks()) or not has_newlib(), reason="needs libnewlib-arm-none-eabi")
def test_the_library_learns_there_as_on_a_desk_without_a_heap(tmp_path):
    """A program that wanted malloc would not link: newlib's calls _sbrk, which nobody has."""
    sources = [EXAMPLE / "start.c", EXAMPLE / "desk.c", EXAMPLE.parent / "static_memory.c"]
    places = [f"-I{EXAMPLE}", f"-I{CSRC}", f"-T{EXAMPLE / 'cortex.ld'}"]
    linked = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--defsym=FLASH_SIZE=512K"]
    program = tmp_path / "static.elf"
    made(*places, *linked, *sources, *library(tmp_path), "-lm", "-o", program)
    assert emulated(program, "cortex-m7") == (EXAMPLE.parent / "static_memory.txt").read_text().splitlines()
