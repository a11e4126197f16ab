"""The race of the full-batch methods: the same start for all, right formulas, honest tables. No time is judged."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import descents
import second_order
from descents.arrays import Formulas, levenberg_marquardt

pytest.importorskip("sklearn", reason="the data come with scikit-learn")
pytest.importorskip("scipy", reason="the methods to compare with are SciPy's")

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "second_order.py"
SMALL = ("diabetes", "cancer")


def tasks(names=SMALL):
    return pytest.mark.parametrize("task", [descents.TASKS[name]() for name in names], ids=names)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a very short race prints, and its report."""
    path = tmp_path_factory.mktemp("bench") / "report.json"
    chosen = ("-t", "cancer,diabetes", "-w", "rprop,numpy-lm,scipy-lbfgs", "-n", "1", "-r", "1")
    command = [sys.executable, str(SCRIPT), *chosen, "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_a_report_is_complete(measured):
    document = measured[1]
    assert document["settings"] == {"starts": 1, "rounds": 1}
    assert [raced["task"] for raced in document["results"]] == ["cancer", "diabetes"]
    for raced in document["results"]:
        assert [result["way"] for result in raced["ways"]] == ["rprop", "numpy-lm", "scipy-lbfgs"]
        for result in raced["ways"]:
            if "reason" not in result:
                assert [len(runs) for runs in result["runs"]] == [1, 1]
                assert all(runs[0]["end"] <= goal for runs, goal in zip(result["runs"], raced["goals"], strict=True))


def test_what_cannot_go_is_named_with_its_reason(measured):
    assert "without NumPy, SciPy: LM: for squared errors only" in measured[0]


def test_methods_arrive_where_the_report_says_they_do(measured):
    raced = measured[1]["results"][1]
    lm = next(result for result in raced["ways"] if result["way"] == "numpy-lm")
    assert lm["runs"][0][0]["steps"] < 20 < raced["ways"][0]["runs"][0][0]["steps"]


# ---- the same work ----


@tasks()
def test_everybody_begins_with_the_same_loss(task):
    own = pytest.importorskip("descents.own")
    theta = task.start(3)
    net = own.network(task, theta)
    assert net.n_params == task.n_params == len(theta)
    assert net.loss(task.X, task.y) == pytest.approx(Formulas(task).loss_and_gradient(theta)[0], rel=1e-12)


@tasks()
def test_the_gradient_in_numpy_is_that_of_the_loss(task):
    formulas, theta = Formulas(task), task.start(1)
    v = np.random.default_rng(0).normal(size=theta.size)
    around = [formulas.loss_and_gradient(theta + h * v)[0] for h in (1e-5, -1e-5)]
    assert (around[0] - around[1]) / 2e-5 == pytest.approx(formulas.loss_and_gradient(theta)[1] @ v, rel=1e-7)


@tasks(["diabetes"])
def test_the_jacobian_in_numpy_is_that_of_the_errors(task):
    formulas, theta = Formulas(task), task.start(1)
    v = np.random.default_rng(0).normal(size=theta.size)
    around = [formulas.errors(theta + h * v) for h in (1e-5, -1e-5)]
    np.testing.assert_allclose(formulas.jacobian(theta) @ v, (around[0] - around[1]) / 2e-5, rtol=1e-6, atol=1e-8)


def test_every_way_has_its_function():
    for _, module, function, _ in descents.WAYS.values():
        assert callable(getattr(importlib.import_module(f"descents.{module}"), function))


def test_a_goal_that_is_not_reached_is_seen():
    task = descents.TASKS["diabetes"]()
    steps, end = levenberg_marquardt(task, task.start(0), 0.2, steps=3)()
    assert steps == 3
    assert end > 0.2


@pytest.mark.parametrize("way", [name for name, (_, module, *_) in descents.WAYS.items() if module == "own"])
def test_cbp_stops_where_it_reaches_the_goal(way):
    task = descents.TASKS["diabetes"]()
    theta, goal = task.start(0), 0.25
    assert Formulas(task).loss_and_gradient(theta)[0] > goal
    steps, end = descents.prepare(way, task, theta, goal)()
    assert end <= goal
    assert descents.prepare(way, task, theta, end - 1e-9)()[0] > steps > 1
    np.testing.assert_array_equal(theta, task.start(0))


# ---- tables ----


def made_up():
    def runs(*figures):
        return [[{"seconds": s, "steps": n, "end": end} for s, n, end in figures]]

    ways = [
        {"way": "lm", "runs": runs((0.001, 5, 0.1), (0.003, 7, 0.2), (0.5, 500, 0.3))},
        {"way": "numpy-lm", "runs": runs((0.008, 5, 0.1), (0.002, 5, 0.1), (0.004, 5, 0.1))},
        {"way": "scipy-lbfgs", "runs": runs(*[(0.01, 5, 0.9)] * 3)},
        {"way": "scg", "runs": [[]], "reason": "not here"},
    ]
    return {"task": "diabetes", "goals": [0.2], "shown": ["MSE ≤ 0.4"], "ways": ways}


def test_medians_are_of_the_starts_that_arrived():
    head, lm, numpy, lbfgs = second_order.table(made_up())
    assert head == ["", "MSE ≤ 0.4", "steps", "/ LM", "/ L-BFGS-B"]
    assert lm == ["cbp LevenbergMarquardt", "2 ms", "6 (2 of 3)", "0.50", "–"]
    assert numpy == ["NumPy, SciPy: LM", "4 ms", "5", "1.00", "–"]
    assert lbfgs == ["SciPy L-BFGS-B", "–", "– (0 of 3)", "–", "–"]


def test_tables_go_between_their_marks():
    page = "# Page\n\n<!-- bench: diabetes -->\n\nold\n\n<!-- end -->\n\n<!-- bench: cancer -->\nkept\n<!-- end -->\n"
    document = {"results": [made_up()], "date": "2026-11-22", "machine": {"cpu": "a", "system": "b", "python": "c"}}
    document |= {"versions": {"cbp": "1"}, "settings": {"starts": 3, "rounds": 1}}
    document["machine"]["load_before"] = None
    filled = second_order.fill(page, document)
    assert "old" not in filled
    assert "| cbp LevenbergMarquardt | 2 ms | 6 (2 of 3) | 0.50 | – |" in filled
    assert "kept" in filled
    assert second_order.fill(filled, document) == filled


@pytest.mark.skipif(not list(second_order.RESULTS.glob("*.json")), reason="no report is kept")
def test_the_page_shows_the_newest_report():
    document = json.loads(second_order.newest().read_text(encoding="utf-8"))
    text = second_order.PAGE.read_text(encoding="utf-8")
    assert {raced["task"] for raced in document["results"]} == set(descents.TASKS)
    assert second_order.fill(text, document) == text, "python bench/second_order.py --publish REPORT writes the tables"
