"""What `tools/check_release.py` refuses, and that this checkout is in order."""

import datetime
import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("pyproject.toml", "csrc/cbp.h", "CITATION.cff")
TODAY = datetime.date(2026, 12, 2)
CHANGELOG = """# Changelog

Said at the top.

## [Unreleased]

## [{version}] - 2026-12-01

### Added

- A thing.

## [0.0.1] - 2026-11-01

- The first thing.
"""


@pytest.fixture(scope="module")
def tool():
    """Return what the tool defines."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return runpy.run_path(str(ROOT / "tools/check_release.py"))
    finally:
        sys.path.pop(0)


@pytest.fixture
def project(tool, tmp_path):
    """Return a folder with the files of a release that is in order."""
    (tmp_path / "csrc").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    version = tool["stated"](ROOT)["pyproject.toml"]
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG.format(version=version))
    citation = tmp_path / "CITATION.cff"
    lines = [line for line in citation.read_text().splitlines() if not line.startswith("date-released")]
    citation.write_text("\n".join([*lines, "date-released: 2026-12-01", ""]))
    return tmp_path


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def faults(tool, root, tag=None):
    version = tool["stated"](root)["pyproject.toml"]
    found = [*tool["versions"](root), *tool["changelog"](root)]
    return found + list(tool["release"](root, tag or f"v{version}", TODAY))


def test_this_checkout_is_in_order(tool):
    assert [*tool["versions"](ROOT), *tool["changelog"](ROOT)] == []


def test_a_release_in_order_is_accepted(tool, project):
    assert faults(tool, project) == []
    assert tool["notes"](project) == "### Added\n\n- A thing."


WRONG = {
    "project": (
        "pyproject.toml",
        'version = "0.1.0"',
        'version = "0.2.0"',
        "csrc/cbp.h states version 0.1.0, not 0.2.0",
    ),
    "citation": ("CITATION.cff", "version: 0.1.0", "version: 0.0.9", "CITATION.cff states version 0.0.9, not 0.1.0"),
    "day": ("CITATION.cff", "2026-12-01", "2026-11-30", "date-released 2026-11-30, CHANGELOG.md 2026-12-01"),
    "no day": ("CITATION.cff", "date-released", "when", "date-released none"),
    "left over": ("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- Half a thing.\n", "under [Unreleased]"),
    "no place": ("CHANGELOG.md", "## [Unreleased]\n", "", "does not begin with [Unreleased]"),
    "no heading": ("CHANGELOG.md", "## [0.1.0] - 2026-12-01\n", "", "no heading [0.1.0] below [Unreleased]"),
    "future": ("CHANGELOG.md", "2026-12-01", "2026-12-03", "2026-12-03 is still to come"),
    "no date": ("CHANGELOG.md", "[0.1.0] - 2026-12-01", "[0.1.0]", "0.1.0 has no date"),
    "wrong date": ("CHANGELOG.md", "2026-12-01", "2026-13-01", "0.1.0 has no date"),
    "nothing said": ("CHANGELOG.md", "- The first thing.", "", "says nothing of 0.0.1"),
    "order": ("CHANGELOG.md", "[0.0.1]", "[0.1.1]", "has 0.1.0 above 0.1.1"),
    "twice": ("CHANGELOG.md", "[0.0.1]", "[0.1.0]", "has 0.1.0 above 0.1.0"),
    "time": ("CHANGELOG.md", "2026-11-01", "2026-12-02", "0.1.0 came before 0.0.1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_agree_is_named(tool, project, case):
    name, old, new, sentence = WRONG[case]
    version = tool["stated"](ROOT)["pyproject.toml"]
    replace(project / name, old.replace("0.1.0", version), new.replace("0.1.0", version))
    found = faults(tool, project)
    assert any(sentence.replace("0.1.0", version) in fault for fault in found), found


def test_a_tag_of_another_version_is_refused(tool, project):
    (fault,) = faults(tool, project, "v9.9.9")
    assert fault.startswith("the tag is v9.9.9, the version ")


def test_a_candidate_comes_before_its_release(tool):
    order = tool["order"]
    assert sorted(["1.2.3", "1.2.3rc1", "1.2.10", "1.2.3a2", "1.2.3a10", "1.2.3b1"], key=order) == (
        ["1.2.3a2", "1.2.3a10", "1.2.3b1", "1.2.3rc1", "1.2.3", "1.2.10"]
    )
    with pytest.raises(SystemExit, match="not of the form"):
        order("1.2")


def test_a_heading_of_another_form_is_named(tool, project):
    replace(project / "CHANGELOG.md", "## [0.0.1] - 2026-11-01", "## Version 0.0.1")
    with pytest.raises(SystemExit, match=r"'Version 0\.0\.1' is not of the form"):
        tool["sections"](project)


def test_the_number_of_a_header_is_read_in_both_forms(tool, project):
    (project / "csrc/cbp.h").write_text('#define CBP_VERSION "1.2.3"\n')
    assert tool["stated"](project)["csrc/cbp.h"] == "1.2.3"
    (project / "csrc/cbp.h").write_text(
        "#define CBP_VERSION_MAJOR 1\n#define CBP_VERSION_MINOR 2\n#define CBP_VERSION_PATCH 4\n"
    )
    assert tool["stated"](project)["csrc/cbp.h"] == "1.2.4"


# ---- the files ----

SOME = [
    "cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64",
    "cp315-cp315t-musllinux_1_2_riscv64",
    "cp311-abi3-macosx_11_0_arm64",
    "cp314-cp314t-win_arm64",
    "cp311-abi3-pyemscripten_2026_0_wasm32",
]


def test_the_files_of_a_release_are_counted(tool, tmp_path):
    version = tool["stated"](ROOT)["pyproject.toml"]
    assert len(list(tool["files"](ROOT, tmp_path))) == 38  # 37 wheels and the source distribution
    for tags in SOME:
        (tmp_path / f"cbpnet-{version}-{tags}.whl").touch()
    (tmp_path / f"cbpnet-{version}.tar.gz").touch()
    found = list(tool["files"](ROOT, tmp_path))
    assert len(found) == 32
    assert all("has no files" in fault for fault in found)
    (tmp_path / f"cbpnet-{version}-cp311-abi3-macosx_12_0_arm64.whl").touch()
    (tmp_path / "cbpnet-0.0.0.tar.gz").touch()
    assert sorted(set(tool["files"](ROOT, tmp_path)) - set(found)) == [
        "cbpnet-0.0.0.tar.gz is no file of the release",
        f"{tmp_path.name} has 2 files cbpnet-{version}-cp311-abi3-macosx*_arm64.whl",
    ]
