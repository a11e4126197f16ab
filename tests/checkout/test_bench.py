"""The benchmarks run, count right, notice other work; the documentation shows what was measured. No time is judged."""

import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import peers
import publish
import report
import session
import workloads
from peers.numpy_loop import NumPy
from problems import Problem, data, loss, outputs, start

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"


def run(script, *arguments, **kwargs):
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **kwargs)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a very short run prints, and the path of its report."""
    path = tmp_path_factory.mktemp("bench") / "report.json"
    tiny = ("-t", "1", "-r", "2", "--seconds", "0.001", "-o", path)
    chosen = ("-w", "xor-step,one-row-small", "-s", "outputs", "-p", "cbp,numpy", "--sweep-peers", "cbp")
    done = run("run.py", *chosen, *tiny)
    assert done.returncode == 0, done.stderr
    return done.stdout, path


def test_a_report_is_complete(measured):
    document = json.loads(measured[1].read_text(encoding="utf-8"))
    assert document["format"] == 1
    assert document["settings"]["workload"] == {"rounds": 2, "seconds": 0.001}
    assert {"cpu", "cores", "caches", "system", "python", "compiler"} <= set(document["machine"])
    assert set(document["libraries"]) == {"cbp", "numpy"}
    assert document["libraries"]["cbp"]["versions"]["isa"]
    names = [result["name"] for result in document["results"]]
    assert names[:2] == ["xor-step", "one-row-small"]
    assert len(names) == 2 + len(workloads.OUTPUTS)


def test_every_library_of_a_report_was_measured_and_did_the_same_work(measured):
    for result in json.loads(measured[1].read_text(encoding="utf-8"))["results"]:
        wanted = {"cbp", "numpy"} if result["group"] == "workload" else {"cbp"}
        assert set(result["libraries"]) == wanted
        assert len(result["peak"]) in (0, 2)  # 0: no compiler
        for found in result["libraries"].values():
            assert len(found["seconds"]) == 2
            assert min(found["seconds"]) > 0
            assert found["check"]["agrees"]


def test_a_run_prints_tables(measured):
    for text in ("xor-step: train 2-3-1, one row a call, 1 thread", "time/cbp", "NumPy", "time/best other"):
        assert text in measured[0]


def test_pictures_are_written(measured, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    done = run("plot.py", measured[1], "-o", tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert written == {"workloads.svg", "outputs.svg"}


# ---- counting ----


def test_useful_operations_by_hand():
    # 2-3-1: 6 + 3 weights. Forward 9, gradient 9, error back through the last 3, two operations each.
    assert Problem("train", (2, 3, 1), 4).flops == 2 * (9 + 9 + 3)
    assert Problem("step", (2, 3, 1), 4).flops == 42
    assert Problem("predict", (2, 3, 1), 4).flops == 18
    # 784-128-10: 100,352 + 1,280 weights
    assert Problem("train", (784, 128, 10), 128, batch=128).flops == 2 * (101_632 + 101_632 + 1_280)


def made_up(**libraries):
    problem = {"kind": "train", "widths": [2, 3, 1], "rows": 8, "batch": 4}
    found = {name: {"seconds": seconds} for name, seconds in libraries.items()}
    return {"problem": problem, "flops": 42, "peak": [1.0, 3.0, 2.0], "libraries": found}


def test_figures_by_hand():
    f = report.figures(made_up(cbp=[2e-8, 1e-8, 5e-8, 3e-8, 4e-8]), "cbp")
    assert f.seconds == 3e-8
    assert f.spread == pytest.approx(1e-8 / 3e-8)
    assert f.update_seconds == pytest.approx(4 * 3e-8)
    assert f.gflops == pytest.approx(42 / 3e-8 / 1e9)
    assert f.of_peak == pytest.approx(1.4 / 3)  # of the best round's


def test_ratios_are_of_medians():
    result = made_up(cbp=[1.0, 2.0, 9.0], numpy=[3.0, 4.0, 50.0], jax=[])
    assert report.ratio(result, "numpy") == 2
    assert report.ratio(result, "jax") is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.01684, "0.0168"), (9.999, "10"), (123.4, "123"), (1234, "1,230"), (15_823_456, "15,800,000")]
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text


def test_turns_begin_with_another_each_round():
    assert list(session.turns(["a", "b", "c"], 2)) == ["a", "b", "c", "b", "c", "a"]


# ---- the same work ----

TRAINING = [problem for problem, _ in workloads.WORKLOADS.values() if problem.trains and max(problem.widths) < 100]


@pytest.mark.parametrize("problem", TRAINING, ids=report.title)
def test_no_training_at_all_is_noticed(problem):
    X, Y, _ = data(problem)
    assert not session.reference_of(problem).agrees({"loss": loss(problem, start(problem), X, Y)})


@pytest.mark.parametrize("problem", TRAINING, ids=report.title)
def test_another_learning_rate_is_noticed(problem):
    peer = NumPy()
    peer.load(problem, 1, *data(problem))
    peer.problem = Problem.read(vars(problem) | {"rate": 0.9 * problem.rate})
    peer.train(1)
    X, Y, _ = data(problem)
    assert not session.reference_of(problem).agrees({"loss": loss(problem, peer.weights(), X, Y)})


def test_another_order_of_the_outputs_is_noticed():
    problem = Problem("predict", (5, 4, 3), 20)
    A = outputs(problem, start(problem), data(problem)[0])
    error = float(np.abs(A[:, ::-1] - A).max())
    assert session.reference_of(problem).agrees({"error": 1e-6})
    assert not session.reference_of(problem).agrees({"error": error})


def test_the_loop_in_numpy_follows_the_gradient():
    problem = Problem("train", (5, 4, 3), 6, batch=6, hidden="tanh", dtype="float64")
    X, Y, labels = data(problem)
    peer = NumPy()
    peer.load(problem, 1, X, Y, labels)
    grad = peer.gradient(X, Y)
    W = peer.theta[0]
    around = []
    for step in (1e-6, -1e-6):
        moved = peer.weights()
        moved[0] = (W + step * (np.arange(W.size).reshape(W.shape) == 7), moved[0][1])
        around.append(loss(problem, moved, X, Y))
    assert (around[0] - around[1]) / 2e-6 == pytest.approx(grad[0].ravel()[7], rel=1e-6)


def test_sweeps_are_of_whole_batches_and_names_are_told_apart():
    items = list(itertools.chain(*(workloads.sweep(name, [1, 2], 2) for name in workloads.SWEEPS)))
    assert all(item.problem.rows % item.problem.batch == 0 for item in items)
    assert len({(item.group, item.name, item.threads) for item in items}) == len(items)


def test_a_library_that_is_missing_is_left_out_with_its_reason(monkeypatch, tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ImportError('not here')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = run("run.py", "-w", "one-row-small", "-p", "sklearn", "-t", "1", "-r", "1", "--seconds", "0.001")
    assert done.returncode == 0, done.stderr
    assert "without scikit-learn (ImportError: not here)" in done.stdout


def test_a_run_in_which_cbp_fails_says_so(monkeypatch, tmp_path):
    (tmp_path / "cbp.py").write_text("raise ImportError('not here')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = run("run.py", "-w", "one-row-small", "-p", "cbp,numpy", "-t", "1", "-r", "1", "--seconds", "0.001")
    assert done.returncode == 1
    assert "cbp has failed" in done.stderr
    assert "without cbp (ImportError: not here)" in done.stdout


# ---- the documentation ----

kept = pytest.mark.skipif(not list(publish.RESULTS.glob("*.json")), reason="no report is kept")


@kept
@pytest.mark.parametrize("page", publish.PAGES, ids=lambda page: page.name)
def test_pages_show_the_newest_report(page):
    text = page.read_text(encoding="utf-8")
    document = json.loads(publish.newest().read_text(encoding="utf-8"))
    assert publish.MARK.search(text)
    assert publish.fill(text, document) == text, "python bench/publish.py writes the tables"


@kept
def test_pictures_are_of_the_newest_report():
    origin = publish.origin(publish.newest())
    page = publish.PAGES[1]
    shown = [page.parent / path for path in publish.PICTURE.findall(page.read_text(encoding="utf-8"))]
    assert shown
    for path in shown:
        assert origin in path.read_text(encoding="utf-8"), f"{path.name}: python bench/plot.py draws it"


@kept
def test_the_report_shown_has_all_workloads_and_sweeps():
    document = json.loads(publish.newest().read_text(encoding="utf-8"))
    groups = {result["group"] for result in document["results"]}
    names = {result["name"] for result in document["results"]}
    assert groups == {"workload", *workloads.SWEEPS}
    assert names >= set(workloads.WORKLOADS)
    spreads = [len(r["libraries"]["cbp"]["seconds"]) for r in document["results"]]
    assert statistics.median(spreads) >= 3


def test_every_library_has_a_module():
    for _, module, _ in peers.PEERS.values():
        assert (BENCH / "peers" / f"{module}.py").exists()
