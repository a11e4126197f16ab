"""Settings for every test, and the collection of the C unit tests in tests/c (see _c_programs.py)."""

import gc
import importlib.util
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from _c_programs import CProgram, build
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait for each other at full speed
os.environ.setdefault("KERAS_BACKEND", "numpy")  # which jax has to be there for
os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "cbp-keras"))  # Keras writes a file there
# What stands in examples, and what it needs
OPTIONAL = {"import torch": ("torch",), "KERAS_BACKEND": ("keras", "jax"), "onnx": ("onnx",), "sklearn": ("sklearn",)}
# Files of tests, and what they need: without it they are left out, and the head of the report says so
NEEDED = {
    "test_embed_service.py": ("flask",),
    "onnx_models.py": ("onnx", "onnxruntime"),
    "test_onnx*.py": ("onnx", "onnxruntime"),
    "test_io_sklearn.py": ("sklearn", "pandas"),
    "test_io_state_dict.py": ("safetensors",),
    "test_matlab*.py": ("scipy",),
    "test_methods.py": ("scipy",),
    "test_plot_classes.py": ("sklearn",),
    "test_scaling.py": ("scipy",),
    "test_sklearn*.py": ("sklearn", "pandas", "polars", "joblib"),
}

settings.register_profile("cbp", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("cbp")


def lacking(packages: Iterable[str]) -> list[str]:
    """Return those of these packages that are not installed."""
    return [name for name in packages if not importlib.util.find_spec(name)]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files of tests whose packages are not installed."""
    left_out = any(collection_path.match(files) and lacking(packages) for files, packages in NEEDED.items())
    return True if left_out else None


def pytest_report_header() -> list[str]:
    """Name the files of tests that are left out."""
    missing = {files: lacking(packages) for files, packages in NEEDED.items()}
    return [f"left out: {files}, no {', '.join(names)}" for files, names in missing.items() if names]


def pytest_configure() -> None:
    """Collect tests without looking for garbage among them: there is none, and looking takes a third of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among what was collected."""
    gc.freeze()
    gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the C programs that are going to be asked for their cases, before there are processes that ask."""
    if not hasattr(session.config, "workerinput"):
        build(Path(session.config.invocation_params.dir, name.split("::")[0]) for name in session.config.args)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples in docstrings that need a package which is not there."""
    for item in (item for item in items if isinstance(item, pytest.DoctestItem)):
        text = "".join(example.source for example in item.dtest.examples)
        missing = lacking(name for mark, packages in OPTIONAL.items() if mark in text for name in packages)
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"no {missing[0]}"))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is heard, here and in processes that are started here; in the background of a script it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take tests/c/test_*.c as files of tests."""
    if file_path.suffix == ".c" and file_path.name.startswith("test_"):
        return CProgram.from_parent(parent, path=file_path)
    return None
