"""The installed C library: the same files from make and from CMake, the names it exports, and programs built with it.

The kernels are compiled once, by make; CMake is given their objects (ready_objects.py).
"""

import os
import re
import shutil
import subprocess
import sys

import clib
import numpy as np
import pytest
from clib import ROOT, STRICT, run

import cbp

EXAMPLES = ROOT / "docs/examples"
pytestmark = pytest.mark.skipif(bool(clib.lacks()), reason=str(clib.lacks()))
MULTIARCH = ["PREFIX=/usr", "LIBDIR=/usr/lib/x86_64-linux-gnu"]


@pytest.fixture(scope="module")
def prefix():
    return clib.installed()


@pytest.fixture(scope="module")
def as_subdirectory(prefix, tmp_path_factory):
    """Build folder of a project that has the library's sources below it."""
    clib.needs("cmake", "c++")
    folder = tmp_path_factory.mktemp("subdirectory")
    launcher = f"{sys.executable};{ROOT / 'tests/ready_objects.py'};{clib.OBJECTS}"
    options = [f"-DCBP_SOURCE={ROOT}", "-DCBP_INSTALL=ON", "-DCBP_SHARED=ON", "-DCBP_STATIC=ON"]
    place = ["-DCMAKE_INSTALL_PREFIX=/usr/local", "-DCMAKE_INSTALL_LIBDIR=lib"]
    run("cmake", "-S", EXAMPLES, "-B", folder, *options, *place, f"-DCMAKE_C_COMPILER_LAUNCHER={launcher}")
    run("cmake", "--build", folder, "--parallel", "2")
    return folder


@pytest.fixture(scope="module")
def iris():
    """The parameters that Python learns from the same flowers."""
    rows = np.loadtxt(EXAMPLES / "iris.csv", delimiter=",")
    train = rows[np.arange(len(rows)) % 5 != 0]
    net = cbp.Network([4, 8, 3], activation="tanh", output="softmax", dtype="float64", seed=1)
    adam = cbp.optimizers.Adam(0.01)
    net.fit(train[:, :4], train[:, 4].astype(int), epochs=60, batch_size=16, optimizer=adam, progress=False)
    return net.params


def learned(program, folder, **environment):
    """Parameters that a build of iris.c has learned."""
    printed = run(program, EXAMPLES / "iris.csv", "iris.weights", folder=folder, **environment)
    assert "29 of 30 flowers" in printed
    return np.fromfile(folder / "iris.weights")


def files(folder):
    """Every file below a folder, and where it leads if it is a link."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else "" for path in found}


def symbols(*nm):
    """Names that nm prints."""
    lines = [line.split() for line in run("nm", *nm).splitlines()]
    return {words[-1] for words in lines if len(words) > 1}


def dynamic(library, tag):
    """Values of a tag of a shared library."""
    return re.findall(rf"\({tag}\).*\[(.*)\]", run("readelf", "-dW", library))


# ---- what is installed ----


def test_make_and_cmake_install_the_same_files(as_subdirectory, tmp_path):
    made, cmade = tmp_path / "make", tmp_path / "cmake"
    clib.make("install-c", "PREFIX=/usr/local", f"DESTDIR={made}")
    run("cmake", "--install", as_subdirectory, DESTDIR=str(cmade))
    assert files(made) == files(cmade)
    assert len(files(made)) >= 12
    for name in files(made):
        if not name.startswith("usr/local/lib/libcbp"):
            assert (made / name).read_bytes() == (cmade / name).read_bytes(), name
    shared, static = "usr/local/lib/libcbp.so.0.1.0", "usr/local/lib/libcbp.a"
    for nm, library in (("-D", shared), ("-g", static)):
        assert symbols(nm, "--defined-only", made / library) == symbols(nm, "--defined-only", cmade / library)
    for tag in ("SONAME", "NEEDED"):
        assert dynamic(made / shared, tag) == dynamic(cmade / shared, tag)


def test_what_was_installed_can_be_removed(as_subdirectory, tmp_path):
    made, cmade = tmp_path / "make", tmp_path / "cmake"
    clib.make("install-c", *MULTIARCH, f"DESTDIR={made}")
    clib.make("uninstall-c", *MULTIARCH, f"DESTDIR={made}")
    assert files(made) == {}
    run("cmake", "--install", as_subdirectory, DESTDIR=str(cmade))
    manifest = f"-DMANIFEST={as_subdirectory / 'install_manifest.txt'}"
    run("cmake", manifest, "-P", ROOT / "packaging/uninstall.cmake", DESTDIR=str(cmade))
    assert files(cmade) == {}


@pytest.mark.parametrize(("shared", "built"), [("ON", {"cbp_shared"}), ("OFF", {"cbp_static"})])
def test_build_shared_libs_says_what_cmake_builds(tmp_path, shared, built):
    clib.needs("cmake")
    run("cmake", "-S", ROOT, "-B", tmp_path, f"-DBUILD_SHARED_LIBS={shared}")
    targets = set(run("cmake", "--build", tmp_path, "--target", "help").replace("...", "").split())
    assert targets & {"cbp_shared", "cbp_static"} == built
    assert "uninstall" in targets


def test_a_so_name_that_carries_the_minor_version_before_1_0(prefix):
    major, minor, _ = cbp.__version__.split(".")
    library = prefix / "lib" / f"libcbp.so.{cbp.__version__}"
    assert dynamic(library, "SONAME") == [f"libcbp.so.{major}.{minor}" if major == "0" else f"libcbp.so.{major}"]


# ---- names ----


def test_the_shared_library_exports_the_functions_of_the_header_and_no_others(prefix):
    exported = symbols("-D", "--defined-only", prefix / "lib/libcbp.so")
    assert exported == clib.declared()
    assert len(exported) > 40


def test_the_static_library_has_no_name_of_another_kind(prefix):
    defined = symbols("-g", "--defined-only", prefix / "lib/libcbp.a")
    assert clib.declared() < defined
    assert {name for name in defined if not name.startswith("cbp_")} == set()


def test_the_extension_module_exports_none_of_them():
    assert symbols("-D", "--defined-only", cbp._core.__file__) & clib.declared() == set()


# ---- programs ----


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_a_program_built_with_pkg_config_learns_the_bits_of_python(cc, prefix, tmp_path, iris):
    clib.needs(cc, "pkg-config")
    where = clib.environment(prefix)
    flags = run("pkg-config", "--cflags", "--libs", "cbp", **where).split()
    run(cc, "-std=c11", "-O1", *STRICT, EXAMPLES / "iris.c", *flags, "-o", tmp_path / "iris")
    assert learned(tmp_path / "iris", tmp_path, **where).tobytes() == iris.tobytes()


def test_a_program_that_takes_the_library_in_needs_what_pkg_config_says(prefix, tmp_path, iris):
    clib.needs("pkg-config")
    where = clib.environment(prefix)
    cflags, libs = (run("pkg-config", *what, "cbp", **where).split() for what in (["--cflags"], ["--static", "--libs"]))
    taken_in = [str(prefix / "lib/libcbp.a") if flag == "-lcbp" else flag for flag in libs]
    run("cc", "-std=c11", *cflags, EXAMPLES / "iris.c", *taken_in, "-o", tmp_path / "iris")
    assert learned(tmp_path / "iris", tmp_path).tobytes() == iris.tobytes()
    assert not [name for name in dynamic(tmp_path / "iris", "NEEDED") if "cbp" in name]


def test_a_project_with_the_library_below_it_learns_the_bits_of_python(as_subdirectory, tmp_path, iris):
    assert learned(as_subdirectory / "iris", tmp_path).tobytes() == iris.tobytes()


def test_find_package_finds_the_library_wherever_it_was_moved_to(prefix, tmp_path, iris):
    """Installed for one folder, multiarch as Debian has it, then found in another."""
    clib.needs("cmake", "c++")
    clib.make("install-c", *MULTIARCH, f"DESTDIR={tmp_path / 'first'}")
    moved = shutil.move(tmp_path / "first/usr", tmp_path / "second")
    pc = (moved / "lib/x86_64-linux-gnu/pkgconfig/cbp.pc").read_text()
    assert "libdir=${prefix}/lib/x86_64-linux-gnu\nincludedir=${prefix}/include\n" in pc
    config = f"-Dcbp_DIR={moved / 'lib/x86_64-linux-gnu/cmake/cbp'}"
    run("cmake", "-S", EXAMPLES, "-B", tmp_path / "build", config)
    run("cmake", "--build", tmp_path / "build", "--parallel", "2")
    assert learned(tmp_path / "build/iris", tmp_path).tobytes() == iris.tobytes()
    assert dynamic(tmp_path / "build/iris", "NEEDED")[0].startswith("libcbp.so.")


ASKED = {"": True, "0.1": True, "0.1.0": True, "0.1.1": False, "0.0": False, "0.2": False, "1.0": False, "1": False}
RANGES = {"0.1...0.3": True, "0.1...<0.1.0": False, "0.2...0.3": False, "0.0...0.2": True}


def version_script(wanted, file):
    """Lines of CMake that set what find_package would, and print whether the version is good."""
    low, _, high = wanted.partition("...")
    parts = low.split(".") if low else []
    lines = [f"set(PACKAGE_FIND_VERSION {low or '0'})", f"set(PACKAGE_FIND_VERSION_COUNT {len(parts)})"]
    for name, part in zip(("MAJOR", "MINOR", "PATCH"), [*parts, "0", "0", "0"], strict=False):
        lines.append(f"set(PACKAGE_FIND_VERSION_{name} {part})")
    if high:
        end = "EXCLUDE" if high.startswith("<") else "INCLUDE"
        lines += [f"set(PACKAGE_FIND_VERSION_RANGE {wanted})", f"set(PACKAGE_FIND_VERSION_RANGE_MAX {end})"]
        lines += [f"set(PACKAGE_FIND_VERSION_MIN {low})", f"set(PACKAGE_FIND_VERSION_MAX {high.lstrip('<')})"]
    return "\n".join([*lines, f"include({file})", 'message("good: ${PACKAGE_VERSION_COMPATIBLE}")'])


@pytest.mark.parametrize("wanted", [*ASKED, *RANGES])
def test_find_package_takes_releases_that_go_with_the_one_asked_for(wanted, prefix, tmp_path):
    clib.needs("cmake")
    script = tmp_path / "ask.cmake"
    script.write_text(version_script(wanted, prefix / "lib/cmake/cbp/cbp-config-version.cmake"))
    done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True)
    assert ("good: TRUE" in done.stderr) == {**ASKED, **RANGES}[wanted]


@pytest.mark.parametrize(
    ("cxx", "more"),
    [("g++", []), ("clang++", ["-Weverything", "-Wno-c++98-compat", "-Wno-c++98-compat-pedantic", "-Wno-padded"])],
)
def test_the_header_and_the_class_are_clean_in_cxx11(cxx, more, prefix, tmp_path):
    clib.needs(cxx)
    flags = ["-std=c++11", *STRICT, *more, f"-I{prefix / 'include/cbp'}", f"-L{prefix / 'lib'}", "-lcbp", "-pthread"]
    run(cxx, EXAMPLES / "curve.cpp", *flags, "-o", tmp_path / "curve")
    printed = run(tmp_path / "curve", **clib.environment(prefix))
    assert printed.startswith("loss 0.0000")
    assert printed.endswith("and every layer at least one unit\n")


# ---- static memory ----

ALLOCATION = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "free", "mmap", "sbrk", "brk"}


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_a_program_with_static_memory_has_no_way_to_allocate(cc, prefix, tmp_path):
    clib.needs(cc)
    libraries = [prefix / "lib/libcbp.a", "-lm", "-lpthread", "-Wl,--gc-sections"]
    flags = ["-std=c11", "-O1", *STRICT, f"-I{prefix / 'include/cbp'}"]
    run(cc, *flags, EXAMPLES / "static_memory.c", *libraries, "-o", tmp_path / "static")
    wanted = {name.split("@")[0] for name in symbols("-D", "--undefined-only", tmp_path / "static")}
    assert "puts" in wanted
    assert wanted & ALLOCATION == set()
    assert run(tmp_path / "static") == (EXAMPLES / "static_memory.txt").read_text()


def sensor(n):
    """What the example's sensor says, and what is true."""
    state = 1
    for _ in range(n):
        numbers = []
        for _ in range(2):
            state = (state * 1664525 + 1013904223) % 2**32
            numbers.append(np.float32(state >> 20) * np.float32(2**-11) - np.float32(1))
        value, temperature = numbers
        x = value - np.float32(0.25) * temperature - np.float32(0.125) * value * value
        yield np.array([[x, temperature]]), np.array([[value]])


def test_it_learns_the_bits_of_python():
    text = (EXAMPLES / "static_memory.c").read_text()
    factory = re.search(r"factory\[PARAMS\] = \{(.*?)\};", text, re.DOTALL)[1]
    net = cbp.Network([2, 6, 1], activation="tanh", output="identity", loss="half_squared_error", dtype="float32")
    net.params[:] = [float(number) for number in re.findall(r"(-?\d\.\d)f", factory)]
    for x, y in sensor(4000):
        net.train_step(x, y, 0.05)
    hashed = 2166136261
    for byte in net.params.astype("<f4").tobytes():
        hashed = (hashed ^ byte) * 16777619 % 2**32
    assert (EXAMPLES / "static_memory.txt").read_text().endswith(f"hash of the weights: {hashed}\n")
