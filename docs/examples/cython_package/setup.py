"""A package of one Cython module that uses cbp. Nothing is linked: its functions come from the installed cbp.

SWING_LIMITED_API=1 makes one wheel for Python 3.11 and all later ones.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

import cbp

LIMITED_API = os.environ.get("SWING_LIMITED_API") == "1"

module = Extension(
    "swing.pendulum",
    sources=["src/swing/pendulum.pyx"],
    include_dirs=[cbp.get_include()],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
    py_limited_api=LIMITED_API,
)

setup(
    ext_modules=cythonize([module], build_dir="build"),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
