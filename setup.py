"""Build of the one extension module, cbp._core. Everything else is said in pyproject.toml.

CBP_STRICT=1 turns compiler warnings into errors. CFLAGS come after the flags below, so they have the last word.
SOURCE_DATE_EPOCH is the time of all that is put in an archive: two builds of one commit then give the same bytes.
"""

import gzip
import os
import shlex
import shutil
import sys
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

C_FLAGS = {
    "msvc": ["/std:c11", "/O2", "/fp:precise", "/Zc:preprocessor"],
    "unix": ["-std=c11", "-O3", "-ffp-contract=off", "-g0", "-fvisibility=hidden"],
}
# What Cython writes has unused parameters; `make strict` compiles the C library without this exception
STRICT_FLAGS = {"msvc": ["/W3", "/WX"], "unix": ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]}
# Where an editable install leaves its objects: the C tests can be linked with them (tests/_c_programs.py)
OBJECTS = "build/objects"
LIBRARIES = {"msvc": [], "unix": ["m", "pthread"]}

# Built with any NumPy from 2.0 on, it runs with any other
NUMPY = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
LIMITED_API = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")


def family(compiler):
    """Row of the flag tables for a compiler object."""
    return "msvc" if compiler.compiler_type == "msvc" else "unix"


def c_files(*suffixes):
    """Files of the C library, as paths from this folder on, with forward slashes: kernels first, which take longest."""
    found = (path for path in Path("csrc").rglob("*") if path.suffix in suffixes)
    return [path.as_posix() for path in sorted(found, key=lambda path: (path.parent.name != "kern", path))]


def side_by_side(compiler, compile_all, processors):
    """Return a compiler's own `compile`, given a source at a time from as many threads."""
    if compiler.compiler_type == "msvc" and not compiler.initialized:
        compiler.initialize()  # looks for itself at the first call, which must not be several calls

    def compile_each(sources, **settings):
        with ThreadPoolExecutor(processors) as threads:
            return list(chain.from_iterable(threads.map(lambda source: compile_all([source], **settings), sources)))

    return compile_each


class BuildExtension(build_ext):
    """Compile with the flags of the compiler at hand, a source on every processor (`build_ext -j 1`: on one)."""

    def build_extension(self, ext):
        """Add this compiler's flags, then build."""
        kind = family(self.compiler)
        strict = STRICT_FLAGS[kind] if os.environ.get("CBP_STRICT") == "1" else []
        ext.extra_compile_args = [*C_FLAGS[kind], *strict, *shlex.split(os.environ.get("CFLAGS", ""))]
        ext.libraries = LIBRARIES[kind]
        if self.editable_mode:
            self.build_temp = OBJECTS
            shutil.rmtree(OBJECTS, ignore_errors=True)  # it may have those of files that are gone
        self.compiler.compile = side_by_side(self.compiler, self.compiler.compile, self.parallel or os.cpu_count())
        super().build_extension(ext)


class BuildPython(build_py):
    """Put the C header, the tables, and the kernels that exported C is made of, beside the modules as cbp/include."""

    def run(self):
        """Copy modules, then headers; an editable install finds csrc itself."""
        super().run()
        if not self.editable_mode:
            for name, copy in self.headers().items():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, copy)

    def headers(self):
        """Return what is copied, and where to: the place below csrc stays the same."""
        include = Path(self.build_lib, "cbp", "include")
        return {name: include / Path(name).relative_to("csrc") for name in ["csrc/cbp.h", *c_files(".def", ".inc")]}

    def get_outputs(self, include_bytecode=1):
        """List the headers among the files this command makes."""
        return super().get_outputs(include_bytecode) + list(map(str, self.headers().values()))


class BuildWheel(bdist_wheel):
    """Put the bill of materials beside the metadata."""

    def write_wheelfile(self, wheelfile_base, *arguments):
        """Write WHEEL, then the bill: both need to know what was built."""
        sys.path.append(str(Path(__file__).with_name("tools")))
        import sbom

        super().write_wheelfile(wheelfile_base, *arguments)
        path = Path(wheelfile_base, sbom.FILE)
        path.parent.mkdir(exist_ok=True)
        compiler = self.get_finalized_command("build_ext").compiler
        path.write_text(sbom.bill(self.distribution, compiler), encoding="utf-8")


class SourceArchive(sdist):
    """Write an archive that the clock and the owner of the files do not alter."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owner):
        """Write NAME.tar.gz where SOURCE_DATE_EPOCH says what time it is."""
        if format != "gztar" or "SOURCE_DATE_EPOCH" not in os.environ:
            return super().make_archive(base_name, format, root_dir, base_dir, **owner)
        when = int(os.environ["SOURCE_DATE_EPOCH"])

        def plain(member):
            member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.mtime = when
            return member

        Path(base_name).parent.mkdir(parents=True, exist_ok=True)
        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=when) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=plain)  # in alphabetical order
        return path


def extension():
    """Return cbp._core: its Cython part, translated to C under build/cython, and the C library."""
    import numpy
    from Cython.Build import cythonize

    skin = Extension(
        "cbp._core",
        sources=["src/cbp/_core.pyx"],
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[*NUMPY, *([("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [])],
        py_limited_api=LIMITED_API,
    )
    (core,) = cythonize([skin], build_dir="build/cython", language_level=3)
    core.sources = [*c_files(".c"), *core.sources]
    core.depends += c_files(".h", ".def", ".inc")
    return core


if __name__ == "__main__":
    setup(
        ext_modules=[extension()],
        cmdclass={
            "bdist_wheel": BuildWheel,
            "build_ext": BuildExtension,
            "build_py": BuildPython,
            "sdist": SourceArchive,
        },
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
    )
