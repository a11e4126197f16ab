"""Look into the compiled part of a wheel for Linux: what it gives, what it takes, what it should have left behind.

check_wheel.py calls `elf_faults`.
"""

import io
import re

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection

EXPORTED = {"PyInit__core"}
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "ppc64le": "EM_PPC64", "riscv64": "EM_RISCV"}
SYSTEM = {
    "manylinux": {"libc.so.6", "libm.so.6", "libpthread.so.0"},
    "musllinux": {"libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"},
}
FORBIDDEN = {"DT_RPATH", "DT_RUNPATH", "DT_TEXTREL"}
A_BUILDER_S_FOLDER = re.compile(rb"/(?:tmp|root|home|Users|builds?)/[\w./-]+")


def exported(elf: ELFFile) -> set[str]:
    """Names that others can find in the library."""
    return {
        symbol.name
        for section in elf.iter_sections()
        if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF"
        and symbol["st_info"]["bind"] != "STB_LOCAL"
        and symbol["st_other"]["visibility"] == "STV_DEFAULT"
    }


def dynamic(elf: ELFFile) -> tuple[set[str], set[str]]:
    """Return the tags of the dynamic section, and the libraries that are loaded with this one."""
    tags = [
        tag for section in elf.iter_sections() if isinstance(section, DynamicSection) for tag in section.iter_tags()
    ]
    return {tag.entry.d_tag for tag in tags}, {tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"}


def versioned(elf: ELFFile) -> set[str]:
    """Libraries that a symbol is taken from; musl gives no versions, so its symbols do not tell."""
    sections = (section for section in elf.iter_sections() if isinstance(section, GNUVerNeedSection))
    return {library.name for section in sections for library, _ in section.iter_versions()}


def elf_faults(content: bytes, platform: str) -> list[str]:
    """Everything that is wrong with a library for a platform like manylinux_2_17_x86_64, a sentence each."""
    elf = ELFFile(io.BytesIO(content))
    system = platform[: len("manylinux")]
    machine = next(name for name in MACHINES if platform.endswith(name))
    tags, needed = dynamic(elf)
    found = []
    if elf["e_machine"] != MACHINES[machine]:
        found.append(f"the extension module is for {elf['e_machine']}")
    found += [f"it exports {name}" for name in sorted(exported(elf) - EXPORTED)]
    found += [f"it does not export {name}" for name in sorted(EXPORTED - exported(elf))]
    found += [f"it needs {name}" for name in sorted(needed - SYSTEM[system])]
    if system == "manylinux":
        found += [f"it names {name} and takes nothing from it" for name in sorted(needed - versioned(elf))]
    found += [f"it has {tag}" for tag in sorted(tags & FORBIDDEN)]
    found += [
        f"it is not stripped of {s.name}" for s in elf.iter_sections() if s.name.startswith((".symtab", ".debug"))
    ]
    stacks = [segment["p_flags"] for segment in elf.iter_segments() if segment["p_type"] == "PT_GNU_STACK"]
    if not stacks or any(flags & 1 for flags in stacks):
        found.append("its stack can be executed")
    found += [f"it names the folder {path.decode()}" for path in sorted(set(A_BUILDER_S_FOLDER.findall(content)))]
    return found
