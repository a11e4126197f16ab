"""`make abi` lets pass what old programs do not notice, and refuses what would break them, naming it."""

import platform
import re
import runpy
import shutil
import subprocess
import sys

import clib
import pytest
from clib import ROOT

LACKING = bool(clib.lacks("abidiff", "abidw")) or platform.machine() != "x86_64"
pytestmark = pytest.mark.skipif(LACKING, reason="needs x86-64 Linux and abigail-tools")

GOOD = {
    "nothing": ("cbp.h", "", ""),
    "a function more": ("cbp.h", "CBP_API int cbp_cpus(void);", "CBP_API int cbp_cpus(void);\nCBP_API int cbp_x(int);"),
    "a row behind the others": ("act.def", "\n#undef ACT\n", "\nACT(brand_new, none)\n#undef ACT\n"),
    "a parameter by another name": ("cbp.h", "cbp_isa_at(int i)", "cbp_isa_at(int index)"),
    "a patch": ("cbp.h", "CBP_VERSION_PATCH 0", "CBP_VERSION_PATCH 1"),
}
BAD = {
    "a row among the others": ("act.def", "\nACT(relu,", "\nACT(brand_new, none)\nACT(relu,", "CBP_ACT_relu"),
    "a status among the others": (
        "status.def",
        "\nSTATUS(BAD_LOSS,",
        '\nSTATUS(N, N, "")\nSTATUS(BAD_LOSS,',
        "BAD_LOSS",
    ),
    "a field behind the others": ("cbp.h", "} cbp_dense;", "    double more;\n} cbp_dense;", "double more"),
    "a field in what was padding": ("cbp.h", "} cbp_spec;", "    int more;\n} cbp_spec;", "int more"),
    "a field of another type": ("cbp.h", "    int head; ", "    long head; ", "int head"),
    "a function less": ("cbp.h", "CBP_API int cbp_cpus(void);", "", "cbp_cpus"),
    "another parameter": ("cbp.h", "cbp_isa_at(int i)", "cbp_isa_at(double i)", "cbp_isa_at"),
}


@pytest.fixture
def headers(tmp_path):
    """A folder with a copy of the header and the tables."""
    for path in [ROOT / "csrc/cbp.h", *ROOT.glob("csrc/*.def")]:
        shutil.copy(path, tmp_path)
    return tmp_path


def change(headers, name, old, new):
    """Put one text in the place of another that is there once."""
    text = (headers / name).read_text()
    assert not old or text.count(old) == 1
    (headers / name).write_text(text.replace(old, new) if old else text)


def check(headers):
    """Run the check on these headers."""
    command = [sys.executable, ROOT / "tools/abi.py", "--headers", headers]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", GOOD)
def test_what_old_programs_do_not_notice_passes(name, headers):
    change(headers, *GOOD[name])
    done = check(headers)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", BAD)
def test_what_would_break_them_is_refused_by_name(name, headers):
    *wanted, named = BAD[name]
    change(headers, *wanted)
    done = check(headers)
    assert done.returncode == 1
    assert "Programs that were built with the last libcbp.so.0.1 would break" in done.stderr
    assert named in done.stderr


def test_with_another_so_name_everything_may_change(headers):
    change(headers, "cbp.h", "CBP_API int cbp_cpus(void);", "")
    change(headers, "cbp.h", "CBP_VERSION_MINOR 1", "CBP_VERSION_MINOR 2")
    done = check(headers)
    assert done.returncode == 0
    assert "cbp_cpus" in done.stdout
    assert "libcbp.so.0.1" in done.stdout


def test_the_file_of_the_last_release_names_no_machine():
    text = (ROOT / "abi/libcbp.abi").read_text()
    assert set(re.findall(r"='([^']*/[^']*)'", text)) == set()
    assert len(text) < 100_000


@pytest.mark.parametrize(("version", "name"), [("0.1", "0.1"), ("0.12", "0.12"), ("1.0", "1"), ("2.7", "2")])
def test_the_so_name_carries_what_must_be_the_same(version, name):
    soname = runpy.run_path(str(ROOT / "tools/abi.py"))["soname"]
    major, minor = version.split(".")
    assert soname(f"#define CBP_VERSION_MAJOR {major}\n#define CBP_VERSION_MINOR {minor}\n") == f"libcbp.so.{name}"
