"""Fixtures for the tests of the command line: run it in a folder of its own, and put tables there."""

import pytest
from command_tables import IRIS_LIKE, QUICK

from cbp.cli import main


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run a command in the test's folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def put(tmp_path):
    """Write a table into the test's folder; returns its name."""

    def put(text, name="data.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return put


@pytest.fixture
def classifier(run, put):
    """Name of a model trained on IRIS_LIKE, which is data.csv."""
    assert run("train", put(IRIS_LIKE), "--target", "kind", "-o", "m.npz", *QUICK)[0] == 0
    return "m.npz"
