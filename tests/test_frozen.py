"""What PyInstaller is told to take along is all of the package; `make try-frozen` freezes a program in earnest."""

import importlib
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest

import cbp
import cbp.io

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(cbp.__file__).parent


def hook(folder):
    """Return what the hook of a package in this folder says."""
    return runpy.run_path(str(folder / "__pyinstaller" / "hook-cbp.py"))


def test_every_module_is_taken_along():
    named = hook(PACKAGE)["hiddenimports"]
    assert len(set(named)) == len(named) > 100
    assert {
        "cbp",
        "cbp.cli.train",
        "cbp.methods",
        "cbp.sklearn",
        *cbp.io.FORMATS.values(),
        *cbp.io.EXPORTS.values(),
    } <= {*named}
    assert not any("pyinstaller" in name for name in named)


def test_the_headers_are_taken_along_where_cbp_looks_for_them(tmp_path):
    copy = shutil.copytree(PACKAGE / "__pyinstaller", tmp_path / "cbp" / "__pyinstaller").parent
    assert hook(copy)["datas"] == []
    (copy / "include").mkdir()
    assert hook(copy)["datas"] == [(str(copy / "include"), "cbp/include")]


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="the tests of a wheel, not a checkout")
def test_the_entry_point_leads_to_the_hook():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    (folder,) = getattr(importlib.import_module(module), function)()
    assert (Path(folder) / "hook-cbp.py").is_file()
