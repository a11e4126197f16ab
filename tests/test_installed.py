"""What every copy of cbp must hold, however it was compiled, packed and installed."""

import json
from importlib import metadata
from pathlib import Path

import pytest

import cbp

CPUINFO = Path("/proc/cpuinfo")
BEST_FIRST = {"avx512": {"avx512f", "avx512dq", "avx2", "fma"}, "avx2": {"avx2", "fma"}, "scalar": set()}


def flags_of_the_processor() -> set[str]:
    """What Linux says that this processor can do; nothing elsewhere."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


@pytest.mark.skipif("fma" not in flags_of_the_processor(), reason="no x86-64 with FMA, or a system that does not tell")
def test_the_best_instruction_set_of_the_processor_is_taken(monkeypatch):
    monkeypatch.delenv("CBP_ISA", raising=False)
    flags = flags_of_the_processor()
    assert cbp.isa() == next(name for name, wanted in BEST_FIRST.items() if wanted <= flags)


def test_the_metadata_are_of_this_version():
    assert metadata.version("cbpnet") == cbp.__version__


def test_a_wheel_has_a_bill_of_materials():
    files = [file for file in metadata.files("cbpnet") or [] if file.match("*.dist-info/sboms/*.cdx.json")]
    (file,) = files
    bill = json.loads(file.read_text(encoding="utf-8"))
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/cbpnet@{cbp.__version__}"
    assert {"Cython", "numpy"} <= {part["name"] for part in bill["components"] if part["scope"] == "required"}
