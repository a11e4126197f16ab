"""Settings for every test, and the collection of the C unit tests in tests/c (see _c_programs.py)."""

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest
from _c_programs import CProgram, build
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
collect_ignore = [] if (ROOT / "bench").is_dir() else ["test_bench.py"]  # wheels are tested without it

os.environ.setdefault("KERAS_BACKEND", "numpy")  # which jax has to be there for
os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "cbp-keras"))  # Keras writes a file there
OPTIONAL = {"import torch": ("torch",), "KERAS_BACKEND": ("keras", "jax")}  # what stands in examples, and what it needs

settings.register_profile("cbp", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("cbp")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the C programs that are going to be asked for their cases, before there are processes that ask."""
    if not hasattr(session.config, "workerinput"):
        build(Path(session.config.invocation_params.dir, name.split("::")[0]) for name in session.config.args)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples in docstrings that need a package which is not there."""
    for item in (item for item in items if isinstance(item, pytest.DoctestItem)):
        text = "".join(example.source for example in item.dtest.examples)
        needed = [name for mark, packages in OPTIONAL.items() if mark in text for name in packages]
        missing = [name for name in needed if not importlib.util.find_spec(name)]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"no {missing[0]}"))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take tests/c/test_*.c as files of tests."""
    if file_path.suffix == ".c" and file_path.name.startswith("test_"):
        return CProgram.from_parent(parent, path=file_path)
    return None
