"""The race of the estimators: the same parameters for both, as many epochs, honest tables. No time is judged."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="what is raced with")

import estimators

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "estimators.py"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a very short race prints, and its report."""
    path = tmp_path_factory.mktemp("bench") / "report.json"
    command = [sys.executable, str(SCRIPT), "-i", "digits-adam,one-digit", "-r", "1", "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_a_report_is_complete(measured):
    document = measured[1]
    assert document["settings"] == {"rounds": 1, "threads": 1}
    assert [result["item"] for result in document["results"]] == ["digits-adam", "one-digit"]
    for result in document["results"]:
        for name in estimators.LIBRARIES:
            assert [len(result[name][what]) for what in ("seconds", "score", "epochs")] == [1, 1, 1]
            assert result[name]["seconds"][0] > 0


def test_both_make_all_epochs_and_learn(measured):
    for result in measured[1]["results"]:
        for name in estimators.LIBRARIES:
            assert result[name]["epochs"] == [estimators.ITEMS[result["item"]].epochs]
            assert result[name]["score"][0] > 0.5


def test_what_is_printed_is_the_table_of_the_report(measured):
    printed, document = measured
    assert estimators.report.as_markdown(estimators.table(document["results"])) in printed
    assert estimators.about(document) in printed


@pytest.mark.parametrize("name", estimators.ITEMS)
def test_the_parameters_are_the_same(name):
    own, other = (
        estimators.estimator(library, estimators.ITEMS[name], 3).get_params() for library in ("cbp", "sklearn")
    )
    assert {key: own[key] for key in other} == other


def test_the_data_are_what_the_titles_say():
    X, X_test, y, y_test = estimators.tabular()
    assert (X.shape, X_test.shape, len(y), len(y_test)) == ((20_000, 100), (10_000, 100), 20_000, 10_000)
    X, X_test, y, y_test = estimators.digits()
    assert (len(X), len(X_test), sorted(np.unique(y_test))) == (1347, 450, list(range(10)))


def made_up():
    return {
        "item": "one-row",
        "cbp": {"seconds": [3e-6, 1e-6, 2e-6], "score": [0.5], "epochs": [2]},
        "sklearn": {"seconds": [8e-5, 7e-5, 9e-5], "score": [0.25], "epochs": [3]},
    }


def test_ratios_are_of_medians():
    head, row = estimators.table([made_up()])
    assert head == ["", "cbp", "scikit-learn", "ratio", "epochs", "score, cbp", "score, scikit-learn"]
    assert row == ["predict one row of 100", "2 µs", "80 µs", "40", "2 or 3", "0.500", "0.250"]


def test_the_table_goes_between_its_marks():
    here = {"cpu": "a", "system": "b", "python": "c", "load_before": None}
    document = {"results": [made_up()], "date": "2026-11-22", "machine": here, "versions": {"cbp": "1"}}
    document |= {"settings": {"rounds": 3, "threads": 1}}
    page = estimators.PAGE.read_text(encoding="utf-8")
    filled = estimators.fill(page, document)
    assert "| predict one row of 100 | 2 µs |" in filled
    assert "22 November 2026. a; b, c. cbp 1. One core, CPU time; medians of 3 rounds." in filled
    assert estimators.fill(filled, document) == filled


@pytest.mark.skipif(not list(estimators.RESULTS.glob("*.json")), reason="no report is kept")
def test_the_page_shows_the_newest_report():
    document = json.loads(estimators.newest().read_text(encoding="utf-8"))
    text = estimators.PAGE.read_text(encoding="utf-8")
    assert estimators.fill(text, document) == text, "python bench/estimators.py --publish REPORT writes the table"
