"""One new activation is one new row: added to a scratch copy, built, and found in C, in Python and in the tests.

The row and the C program are those of docs/howto/activation.md.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, needs, prepare, run_page

PAGE = ROOT / "docs" / "howto" / "activation.md"
EXAMPLES = ROOT / "docs" / "examples"
PARTS = ("csrc", "src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
ROOMS = ("elements", "curves", "tables", "train")
CYTHONS = ROOT / "build" / "cython"
BUILT = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.egg-info")


class Copy:
    """A copy of the project with one more row, and ways to run something in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part, **({"ignore": BUILT} if (ROOT / part).is_dir() else {}))
        if CYTHONS.is_dir():  # which a row does not change
            shutil.copytree(CYTHONS, folder / "build" / "cython")
        table = folder / "csrc" / "act.def"
        text, row = table.read_text(), (EXAMPLES / "hard_swish.def").read_text()
        table.write_text(text.replace("\n#undef ACT\n", f"{row}\n#undef ACT\n"))
        assert row in table.read_text()

    def run(self, *command: str) -> str:
        """Run Python with these arguments in the copy, its package before any other."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "CFLAGS": "-Og",
            "CBP_C_OBJECTS": str(self.folder / "build"),
        }
        done = subprocess.run(
            [sys.executable, *command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def objects(self) -> list[str]:
        """Paths of the C library's objects, which the extension was linked from."""
        return [str(path) for path in (self.folder / "build").glob("temp*/csrc/**/*.o")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("new_row"))
    made.run("setup.py", "-q", "build_ext", "--inplace")
    return made


def test_the_copy_is_what_runs(copy: Copy) -> None:
    assert str(copy.folder) in copy.run("-c", "import cbp._core; print(cbp._core.__file__)")


def test_it_is_in_the_table_of_c(copy: Copy) -> None:
    names = copy.run("-c", "from cbp import _core; print(*[row['name'] for row in _core.table('activations')])")
    assert "hard_swish" in names.split()


def test_the_page_runs(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := needs(PAGE):
        pytest.skip(reason)
    prepare(tmp_path, monkeypatch)
    run_page(PAGE, {"mine/*.c mine/kern/*.c": copy.objects()})
    for file in (copy.folder / "csrc").rglob("*.*"):
        assert (tmp_path / "mine" / file.relative_to(copy.folder / "csrc")).read_bytes() == file.read_bytes()


@pytest.fixture(scope="module")
def its_tests(copy: Copy) -> dict[str, list[str]]:
    """Outcomes of the copy's own tests that are named after the row, and of the C tests of tables, by file."""
    rooms = [f"test_{room}.c" for room in ROOMS]
    files = ["tests/test_gradients.py", "tests/test_curvature_rows.py"]
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        files += ["tests/test_onnx.py", "tests/test_onnx_in.py"]
    named = " or ".join(["hard_swish", *rooms])
    text = copy.run("-m", "pytest", "-v", "-k", named, *(f"tests/c/{room}" for room in rooms), *files)
    found: dict[str, list[str]] = {}
    for name, test, outcome in re.findall(r"^(tests/\S+?)::(\S+) ([A-Z]+)", text, re.MULTILINE):
        assert outcome == "PASSED", test
        found.setdefault(name, []).append(test)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_the_c_tests_take_it(its_tests: dict[str, list[str]], room: str) -> None:
    assert len(its_tests[f"tests/c/test_{room}.c"]) > 1


def test_it_is_in_the_tables_of_python(copy: Copy) -> None:
    code = "import cbp; print(cbp.activations.hard_swish.name, cbp.Network([2, 3, 1], activation='hard_swish', seed=0))"
    assert copy.run("-c", code).startswith("hard_swish Network(2 > 3 hard_swish >")


def test_it_computes_what_the_row_says(copy: Copy) -> None:
    code = "import cbp; net = cbp.Network([1, 1], activation='hard_swish', loss='half_squared_error', seed=0)"
    assert copy.run("-c", f"{code}; net.params[:] = 0, 2; print(net.predict([[1.0]])[0, 0])").startswith("1.666")


def test_the_gradient_test_knows_its_name_and_passes(its_tests: dict[str, list[str]]) -> None:
    assert its_tests["tests/test_gradients.py"] == ["test_every_activation_with_every_output[hard_swish]"]


def test_its_second_derivative_is_that_of_its_slope(its_tests: dict[str, list[str]]) -> None:
    assert "test_text_is_the_derivative_of_the_slope[hard_swish-0.0]" in its_tests["tests/test_curvature_rows.py"]


def test_it_goes_to_onnx_and_comes_back(its_tests: dict[str, list[str]]) -> None:
    pytest.importorskip("onnxruntime")
    assert "test_activation[hard_swish-0.0]" in its_tests["tests/test_onnx.py"]
    assert "test_the_graph_alone_says_which_activation_it_is[hard_swish-0.0]" in its_tests["tests/test_onnx_in.py"]


def test_exported_c_has_it(copy: Copy, tmp_path: Path) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler called cc")
    net = "net = cbp.Network([3, 4, 2], activation='hard_swish', seed=0); net.export('new.c', train=True)"
    proof = (
        "report = cbp.verify_export(net, 'new.c', compiler='cc'); assert report.rows and report.steps; print(report)"
    )
    assert "the same bytes" in copy.run("-c", f"import cbp, os; os.chdir({str(tmp_path)!r}); {net}; {proof}")
    assert "new_hard_swish_slope(" in (tmp_path / "new.c").read_text()


def test_the_self_test_has_one_more_activation_and_passes(copy: Copy) -> None:
    code = "import cbp; report = cbp.selftest(verbose=True); print(report); assert report.ok"
    assert "hard_swish" in copy.run("-c", code)
