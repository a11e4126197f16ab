"""A training on the command line: going on, being broken off, ending in time, and the report about it."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from command_tables import IRIS_LIKE, LINEAR, QUICK, refused

import cbp

pytest_plugins = ["commands"]

FOREVER = ["--epochs", "100000000", "--patience", "100000000"]


def test_resumed_training_has_the_bits_of_one_that_never_stopped(run, put, tmp_path):
    put(LINEAR)
    words = ["--patience", "0", "--schedule", "cosine_decay(steps=200)", "--dropout", "0.1", "-q"]
    assert run("train", "data.csv", "--target", "target", "--epochs", "12", "-o", "whole.npz", *words)[0] == 0
    run("train", "data.csv", "--target", "target", "--epochs", "5", "-o", "x.npz", "--checkpoint", "part.npz", *words)
    del words[words.index("--dropout") : words.index("--dropout") + 2]
    assert run("train", "data.csv", "--resume", "part.npz", "--epochs", "12", "-o", "again.npz", *words)[0] == 0
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_resume_refuses_what_cannot_go_on(run, put, classifier):
    words = ["train", "data.csv", "-o", "n.npz"]
    assert refused(run(*words, "--resume", classifier, "--hidden", "3"), "--hidden", "--resume")
    assert refused(run(*words, "--resume", classifier, "--epochs", "30"), "30 epochs already")
    cbp.Network([2, 3], seed=0).save("plain.npz")
    assert refused(run(*words, "--resume", "plain.npz"), "was not made by cbp train")
    put(IRIS_LIKE.replace(",a\n", ",d\n", 1), "more.csv")
    assert refused(run("train", "more.csv", "-o", "n.npz", "--resume", classifier), '"d" is none of the classes')
    put("length,kind\n1,a\n", "less.csv")
    assert refused(run("train", "less.csv", "-o", "n.npz", "--resume", classifier), 'no column "width"')


def test_checkpoints_can_have_the_epoch_in_their_name(run, put, tmp_path):
    run(
        "train", put(LINEAR), "--target", "target", "--epochs", "3", "-o", "m.npz", "--checkpoint", "c{epoch}.npz", "-q"
    )
    assert sorted(path.name for path in tmp_path.glob("c*.npz")) == ["c1.npz", "c2.npz", "c3.npz"]


def test_figures_of_every_epoch_are_written_down(run, put, tmp_path):
    put(LINEAR)
    for epochs, words in ((3, ["--target", "target"]), (5, ["--resume", "m.npz"])):
        words = [*words, "--epochs", epochs, "-o", "m.npz", "--patience", "0", "--log", "log.jsonl"]
        facts = json.loads(run("train", "data.csv", *words, "--json")[1])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    assert [line["val_loss"] for line in lines[3:]] == facts["history"]["val_loss"]
    run("train", "data.csv", "--target", "target", "--epochs", "2", "-o", "m.npz", "-q", "--log", "log.csv")
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    result = run("train", "data.csv", "--target", "target", "-o", "m.npz", "--log", "none/log.csv")
    assert refused(result, "cannot write none/log.csv")


def test_figures_for_tensorboard_go_into_a_folder(run, put, tmp_path):
    pytest.importorskip("tensorboardX")
    run("train", put(LINEAR), "--target", "target", "--epochs", "2", "-o", "m.npz", "-q", "--log", "runs")
    assert [path.name.startswith("events") for path in (tmp_path / "runs").iterdir()] == [True]


def test_time_is_over(run, put):
    out = run("train", put(LINEAR), "--target", "target", *FOREVER, "--time", "0.01s", "-o", "m.npz")[1]
    assert "then the time was over" in out


def test_methods_say_why_they_stopped(run, put):
    words = ["--optimizer", "levenberg_marquardt", "--dtype", "float64", "--hidden", "3", "--activation", "tanh"]
    status, out, _ = run("train", put(LINEAR), "--target", "target", "-o", "m.npz", *words)
    assert status == 0
    assert re.search(r"stopped: [a-z ]+\.|brought nothing better", out)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_the_best_network_beside_the_old_model(run, put, tmp_path, classifier):
    old = (tmp_path / classifier).read_bytes()
    words = ["train", "data.csv", "--target", "kind", "-o", classifier, *FOREVER, "--checkpoint", "c.npz", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", "cbp", *words], **pipes) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "c.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert re.fullmatch(r"cbp: interrupted after [\d,]+ epochs?: the network.* is m.interrupted.npz\n", err)
    assert json.loads(out) == {"command": "train", "model": "m.interrupted.npz", "interrupted": True}
    assert (tmp_path / classifier).read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.npz", "data.csv", "m.interrupted.npz", "m.npz"]
    assert run("predict", "m.interrupted.npz", "data.csv")[0] == 0


def test_ctrl_c_puts_the_best_weights_back(run, put, monkeypatch):
    """The third epoch is broken off; the first was the best by the figure that is watched."""
    put(LINEAR)
    fit, seen = cbp.Network.fit, []

    def broken(net, *args, callbacks, **named):
        def stop(state):
            seen.append(net.params.copy())
            if state.epoch == 2:
                raise KeyboardInterrupt

        return fit(net, *args, callbacks=[*callbacks, stop], **named)

    monkeypatch.setattr(cbp.Network, "fit", broken)
    words = ["--monitor", "val_loss", "--min-delta", "1e9", "--patience", "9", "-o", "m.npz"]
    status, _, err = run("train", "data.csv", "--target", "target", *words)
    assert status == 130
    assert "interrupted after 3 epochs: the network, as it was at its best, after epoch 1, is m.interrupted.npz" in err
    assert cbp.load("m.interrupted.npz").params.tobytes() == seen[0].tobytes() != seen[2].tobytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another error for this")
def test_training_goes_on_where_nobody_reads_what_it_says(put, tmp_path):
    put(IRIS_LIKE)
    words = [sys.executable, "-m", "cbp", "train", "data.csv", "--target", "kind", "-o", "m.npz", "--epochs", "30"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert cbp.load(tmp_path / "m.npz").epoch == 30


# ---- reports ----


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


@pytest.mark.usefixtures("matplotlib")
def test_report_of_classes_is_one_page(run, put, tmp_path):
    put(IRIS_LIKE.replace("kind", "<kind>"))
    assert run("train", "data.csv", "--target", "<kind>", "-o", "m.npz", *QUICK, "--report", "r.html")[0] == 0
    page = (tmp_path / "r.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "&lt;kind&gt;, on the 12 rows held out" in page
    assert "<kind>" not in page
    assert "http" not in page
    assert "Learning curves" in page


@pytest.mark.usefixtures("matplotlib")
def test_report_of_numbers_is_a_folder_with_figures_and_pictures(run, put, tmp_path):
    out = run("train", put(LINEAR), "--target", "target", "-o", "m.npz", "--epochs", "5", "--report", "report")[1]
    assert "The report is report/index.html." in out.replace("\\", "/")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    pictures = {"errors-target.png", "learning-curves.png", "regression-target.png"}
    assert names == {*pictures, "index.html", "report.json"}
    for name in pictures:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")
        assert f'src="{name}"' in (tmp_path / "report/index.html").read_text()
    figures = json.loads((tmp_path / "report/report.json").read_text())
    assert figures["metrics"][0]["r2"] < 1
    assert len(figures["history"]["val_loss"]) == 5


@pytest.mark.usefixtures("matplotlib")
def test_report_has_tables_of_mistakes_where_classes_are_many(run, put, tmp_path):
    put("x,y\n" + "".join(f"{i % 25},k{i % 25:02}\n" for i in range(100)))
    run("train", "data.csv", "--target", "y", "-o", "m.npz", "--epochs", "2", "-q", "--report", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "taken for" in page
    assert page.count("data:image/png") == 1


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("place", ["r.pdf", "none/r.html", "data.csv"])
def test_place_of_a_report_is_checked_before_training(run, put, tmp_path, place):
    put(LINEAR)
    assert refused(run("train", "data.csv", "--target", "target", "-o", "m.npz", "--report", place), place)
    assert not (tmp_path / "m.npz").exists()


def test_report_without_matplotlib_says_what_to_install(run, put, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("train", put(LINEAR), "--target", "target", "-o", "m.npz", "--report", "r.html")
    assert refused(result, 'pip install "cbpnet[plot]"')
