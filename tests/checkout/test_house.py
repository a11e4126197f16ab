"""The rules of the house, read from the text of the files: who may include or import whom, how long things may be."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from cases import each_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "cbp"
C_FILES = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".c", ".h", ".inc", ".def"})
C_TESTS = sorted((ROOT / "tests" / "c").glob("*.[ch]"))
MODULES = sorted(PACKAGE.rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
BENCH_C = sorted((ROOT / "bench").glob("*.c"))
PYTHON = sorted([*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").glob("*.py"), ROOT / "setup.py", *BENCH])
CYTHON = sorted([*PACKAGE.glob("*.pyx"), *PACKAGE.glob("*.px[di]")])

LONGEST_FUNCTION = 60
LONGEST_FILE = 600
WIDEST_LINE = 120

# Arrows go down only: which of our own files a C file may include. The first pattern that fits counts.
INCLUDES = {
    "cbp.h": ["*.def"],
    "prim.h": [],
    "atomic.h": [],
    "os.h": ["atomic.h"],
    "pool.h": ["cbp.h"],
    "kern.h": ["cbp.h"],
    "net.h": ["kern.h", "pool.h"],
    "curve.h": ["net.h"],
    "along.c": ["curve.h"],
    "matrix.c": ["curve.h"],
    "curve.c": ["curve.h", "prim.h"],
    "tables.c": ["cbp.h", "*.def"],
    "cpu.c": ["atomic.h", "kern.h", "prim.h"],
    "pool.c": ["os.h", "pool.h", "prim.h"],
    "processors.c": ["os.h", "pool.h"],
    "*.def": [],
    "simd/*": ["fma.h"],
    "kern/*": ["../kern.h", "../prim.h", "../*.def", "../simd/*.h", "*.inc"],
    "*.c": ["net.h", "prim.h", "*.def"],
}
# The same for Cython: which of our own .pxd files a file may read
CIMPORTS = {
    "_core.pyx": {
        *("_arrays", "_atomic", "_c", "_describing", "_handle", "_method", "_own_loss", "_reading", "_tables"),
        "_turns",
    },
    "__init__.pxd": {"_c", "_core"},
    "_core.pxd": {"_c"},
    "_handle.pxd": {"_atomic", "_c", "_turns"},
    "_describing.pxd": {"_arrays", "_c", "_reading"},
    "_own_loss.pxd": {"_arrays"},
    "_reading.pxd": {"_arrays", "_c"},
    "_atomic.pxd": set(),
    "_tables.pxd": {"_c"},
    "_turns.pxd": {"_atomic"},
    "_arrays.pxd": {"_c"},
    "_method.pxd": set(),
    "_c.pxd": set(),
    **{f"_{part}.pxi": set() for part in ("curving", "direct", "embedding", "sharing", "solving")},
}
# What stands at the bottom of the Python side, and what of cbp it may import at the top of a module
GROUND = {
    "_arguments": set(),
    "errors": {"_core"},
    "tables": {"_core", "_arguments", "errors"},
    "_threadpool": {"_core"},
    "threads": {"_core", "_arguments", "_threadpool"},
    "_configured": set(),
    "optimizers": {"_core", "_arguments", "_configured", "errors", "tables"},
}
# Edges of the package: nobody but another edge imports them at the top, except the package itself for cbp.load
EDGES = {"notebook", "demo", "__main__"}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each_file(paths: list[Path]) -> Callable[[Callable], Callable]:
    """Run a test with every file."""
    return each_of("path", paths, ids=short)


# ---- C ----


@each_file(C_FILES)
def test_c_includes_go_down_only(path: Path) -> None:
    name = path.relative_to(ROOT / "csrc").as_posix()
    allowed = next(patterns for pattern, patterns in INCLUDES.items() if fnmatch(name, pattern))
    for included in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.MULTILINE):
        assert any(fnmatch(included, pattern) for pattern in allowed), f"{name} includes {included}"


@each_file([path for path in C_FILES if path.suffix == ".c"])
def test_the_operating_system_is_met_in_os_h_alone(path: Path) -> None:
    system = set(re.findall(r"#\s*include <([^>]+)>", path.read_text()))
    files = {"stdio.h"} if path.name == "processors.c" else set()  # the files of Linux about its control groups
    assert system <= {"float.h", "limits.h", "math.h", "stddef.h", "stdint.h", "stdlib.h", "string.h"} | files


@each_file(C_FILES)
def test_tables_take_the_place_of_switches(path: Path) -> None:
    assert not re.search(r"\bswitch\s*\(", path.read_text())


def c_blocks(text: str) -> Iterator[tuple[str, int]]:
    """Yield (first line, number of lines) of functions and of macros of several lines."""
    lines = text.split("\n")
    start, inside = 0, None
    for number, line in enumerate(lines):
        if inside is None and line.endswith("\\") and line.startswith("#define"):
            start, inside = number, "macro"
        elif inside is None and line.endswith("{") and re.match(r"[A-Za-z].*\(|[A-Za-z]\w* \w+\(", line):
            start, inside = number, "function"
        elif inside is None and re.match(r" +.*\) \{$", line) and re.match(r"[A-Za-z].*[,(]$", lines[number - 1]):
            start, inside = number - 1, "function"
        elif (inside == "function" and line == "}") or (inside == "macro" and not line.endswith("\\")):
            yield lines[start], number - start + 1
            inside = None


@each_file([*C_FILES, *C_TESTS, *BENCH_C])
def test_no_c_function_is_long(path: Path) -> None:
    for name, length in c_blocks(path.read_text()):
        assert length <= LONGEST_FUNCTION, f"{name} has {length} lines"


def test_the_reader_of_c_sees_functions() -> None:
    found = [block for file in ("plan.c", "net.c") for block in c_blocks((ROOT / "csrc" / file).read_text())]
    assert any("cbp_net_new(" in name and length > 10 for name, length in found)
    assert len(found) > 30


# ---- Python ----


def top_level(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield imports that run when the module is imported."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


@cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> frozenset[str]:
    """Full names of what a module imports at its top."""
    names = set()
    for node in top_level(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def module_name(path: Path) -> str:
    """`io.npz` for src/cbp/io/npz.py, `io` for its package, "" for cbp itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


NAMES = {module_name(path): path for path in MODULES} | {"_core": None}
EDGES |= {
    name
    for name in NAMES
    if name.partition(".")[0] in ("cli", "diagnostics", "io", "plot", "sklearn", "tabular", "trace")
}


def own(path: Path) -> set[str]:
    """Modules of cbp that a module imports at its top."""
    found = set()
    for name in imported(path):
        parts = name.split(".")[1:] if name.split(".")[0] == "cbp" else None
        while parts and ".".join(parts) not in NAMES:
            parts.pop()
        if parts is not None:
            found.add(".".join(parts))
    return found - {module_name(path)}


def test_python_imports_have_no_circles() -> None:
    graph = {name: own(path) - {""} for name, path in NAMES.items() if path and name}
    TopologicalSorter(graph).prepare()


@each_of("name", GROUND)
def test_the_ground_imports_only_what_lies_below_it(name: str) -> None:
    assert own(NAMES[name]) <= GROUND[name]


@each_file([path for path in MODULES if module_name(path) not in EDGES])
def test_edges_are_imported_by_edges_only(path: Path) -> None:
    assert own(path) & EDGES <= ({"io"} if module_name(path) == "" else set())


@each_file(MODULES)
def test_optional_packages_are_imported_on_use(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert roots <= {*sys.stdlib_module_names, "numpy", "cbp"}


def test_pointers_are_in_one_module() -> None:
    assert [short(path) for path in CYTHON if path.suffix == ".pyx"] == ["src/cbp/_core.pyx"]
    assert not any("ctypes" in name or "cffi" in name for path in MODULES for name in imported(path))


@each_file(CYTHON)
def test_cython_cimports_go_down_only(path: Path) -> None:
    assert set(re.findall(r"^from cbp\.(\w+) cimport", path.read_text(), re.MULTILINE)) <= CIMPORTS[path.name]


@each_file(BENCH)
def test_the_benchmarks_know_only_what_users_know(path: Path) -> None:
    ours = {name for name in imported(path) if name.split(".")[0] == "cbp"}
    assert ours <= ({"cbp"} if path.name in {"network.py", "serving.py"} else set())


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (name, number of lines without the docstring) of every function."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            has_text = ast.get_docstring(node, clean=False) is not None
            text = (first.end_lineno or 0) - first.lineno + 1 if has_text else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - text


@each_file(PYTHON)
def test_no_python_function_is_long(path: Path) -> None:
    for name, length in python_functions(path):
        assert length <= LONGEST_FUNCTION, f"{name} has {length} lines"


def cython_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield (first line, number of lines) of every def and cdef with a body."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not re.match(r" *(def|cdef(?! class)|cpdef) .*\(", line):
            continue
        indent = len(line) - len(line.lstrip())
        end = number + 1
        while end < len(lines) and (
            not lines[end].strip() or lines[end].startswith((" " * (indent + 1), " " * indent + ")"))
        ):
            end += 1
        yield line.strip(), len("\n".join(lines[number:end]).rstrip().split("\n"))


@each_file(CYTHON)
def test_no_cython_function_is_long(path: Path) -> None:
    for name, length in cython_functions(path.read_text()):
        assert length <= LONGEST_FUNCTION, f"{name} has {length} lines"


# ---- every file ----


@each_file([*C_FILES, *C_TESTS, *BENCH_C, *PYTHON, *CYTHON])
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").split("\n")) <= LONGEST_FILE


@each_file([path for path in [*C_FILES, *C_TESTS, *BENCH_C, *CYTHON] if path.suffix != ".def"])
def test_lines_fit_the_page(path: Path) -> None:
    wide = [number for number, line in enumerate(path.read_text().split("\n"), 1) if len(line) > WIDEST_LINE]
    assert not wide, f"lines {wide}"


@each_file([*C_FILES, *C_TESTS, *MODULES, *CYTHON, *BENCH, *BENCH_C])
def test_nothing_is_left_for_later(path: Path) -> None:
    assert not re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", path.read_text(encoding="utf-8"))


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    header = re.findall(r"#define CBP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", (ROOT / "csrc/cbp.h").read_text(), re.M)
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation
    assert ".".join(header) == citation[1] == version


def test_extras_that_messages_and_pages_name_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in (*MODULES, *pages))
    named = {name for found in re.findall(r"cbpnet\[([\w,-]+)\]", text) for name in found.split(",")}
    asked = {
        call.args[2].value
        for path in MODULES
        for call in ast.walk(parsed(path))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "optional"
        if isinstance(call.args[2], ast.Constant)
    }
    assert {"onnx", "plot", "demo"} <= named
    assert {"onnx", "tensorboard"} <= asked
    assert named | asked <= extras.keys()
