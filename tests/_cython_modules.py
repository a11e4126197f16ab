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
SETUP = """\
import cbp
from Cython.Build import cythonize
from setuptools import Extension, setup

probe = Extension("probe", ["probe.pyx"], include_dirs=[cbp.get_include()], define_macros={macros}, {limited})
setup(ext_modules=cythonize([probe]), packages=[])
"""
BUILD = """\
import os, runpy, sys
import setuptools.build_meta as backend

os.chdir("example")
backend.build_wheel("dist")
os.chdir("../probe")
sys.argv[1:] = ["-q", "build_ext", "--inplace"]
runpy.run_path("setup.py", run_name="__main__")
"""


def build(folder: Path, limited: bool) -> tuple[Path, list[str], Path]:
    """Build the example and the probe, this one under the limited API or not.

    Both in one process, in which Cython is imported once, and with the compiler told to be quick. Return the folder
    that the example's wheel is unpacked in, the names of the wheel's files, and the folder of the probe.
    """
    example, probe, site = folder / "example", folder / "probe", folder / "site"
    shutil.copytree(EXAMPLE, example)
    probe.mkdir()
    macros = [("Py_LIMITED_API", "0x030B0000")] if limited else []
    (probe / "setup.py").write_text(SETUP.format(macros=macros, limited=f"py_limited_api={limited}"))
    shutil.copy(PROBE, probe)
    environment = {**os.environ, "CFLAGS": "-O0 -g0 -w"}
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = example.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        return site, archive.namelist(), probe
