"""Cython modules of others, built against the cbp that is installed here: the example package and a probe.

Without isolation and without optimisation, which would take most of the time. Used by test_cython.py.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "cython_package"
PROBE = ROOT / "tests" / "probe.pyx"
WHEEL = "import setuptools.build_meta as backend; backend.build_wheel('dist')"
SETUP = """\
import cbp
from Cython.Build import cythonize
from setuptools import Extension, setup

probe = Extension("probe", ["probe.pyx"], include_dirs=[cbp.get_include()], define_macros={macros}, {limited})
setup(ext_modules=cythonize([probe]), packages=[])
"""


def run(folder: Path, *args: str) -> None:
    """Run Python in a folder, with the compiler told to be quick."""
    environment = {**os.environ, "CFLAGS": "-O0 -g0"}
    done = subprocess.run([sys.executable, *args], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def build_example(folder: Path) -> tuple[Path, list[str]]:
    """Build the package's wheel and unpack it; return where, and the names of its files."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source)
    run(source, "-c", WHEEL)
    (wheel,) = source.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        return site, archive.namelist()


def build_probe(folder: Path, limited: bool) -> Path:
    """Build the probe, under the limited API or not; return the folder that it can be imported from."""
    macros = [("Py_LIMITED_API", "0x030B0000")] if limited else []
    (folder / "setup.py").write_text(SETUP.format(macros=macros, limited=f"py_limited_api={limited}"))
    shutil.copy(PROBE, folder)
    run(folder, "setup.py", "-q", "build_ext", "--inplace")
    return folder
