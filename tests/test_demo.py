"""The demo: what it prints is what happened, and the three lines that it shows really do it."""

import re
import subprocess
import sys

import numpy as np
import pytest

import cbp
from cbp import demo
from cbp.cli import main

NEEDS = "the demo needs its extra: scikit-learn, matplotlib, tqdm"
datasets = pytest.importorskip("sklearn.datasets", reason=NEEDS)
pytest.importorskip("matplotlib", reason=NEEDS)
pytest.importorskip("tqdm", reason=NEEDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "made" / "here"


@pytest.fixture(scope="module")
def shown(folder):
    """The words of `cbp demo`, in a process of its own."""
    words = [sys.executable, "-m", "cbp", "demo", "--output-dir", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True)


def lines_shown(text):
    return "\n".join(re.findall(r"^    (\S.*)$", text.partition("Three lines of Python did it")[2], re.MULTILINE))


def test_defaults_recognise_97_of_100_digits_never_seen(shown):
    accuracy = float(re.search(r"accuracy +([\d.]+)%", shown.stdout)[1])
    assert accuracy >= 97


def test_lines_run_as_printed_and_make_the_saved_network(shown, folder, tmp_path):
    lines = lines_shown(shown.stdout)
    assert len(lines.splitlines()) == 1 + 3
    again = tmp_path / "again.npz"
    names = {}
    exec(lines, names)
    names["net"].save(again)
    assert again.read_bytes() == (folder / demo.MODEL).read_bytes()


def test_accuracy_and_mistakes_are_those_of_the_saved_network(shown, folder):
    X, y = datasets.load_digits(return_X_y=True)
    net = cbp.load(folder / demo.MODEL)
    _, held = demo.split_rows(len(X), demo.HELD_OUT, net.seed)
    answers = net.predict(X[held] / 16).argmax(axis=1)
    wrong = [(row, digit, answer) for row, digit, answer in zip(held, y[held], answers, strict=True) if digit != answer]
    listed = re.findall(r"^ +(\d+) +(\d) +(\d) +\d+%$", shown.stdout, re.MULTILINE)
    assert [tuple(map(int, line)) for line in listed] == wrong
    assert f"The {len(wrong)} it got wrong" in shown.stdout
    assert f"accuracy     {1 - len(wrong) / len(held):.2%} of them right" in shown.stdout
    assert f"tested on    {len(held)} digits" in shown.stdout


def test_digits_held_out_are_those_that_fit_judged(tmp_path, capsys):
    made, _ = demo._execute(demo.LINES.format(seed=3, epochs=2, held_out=demo.HELD_OUT))
    accuracy = demo.run(seed=3, epochs=2, output_dir=tmp_path)
    assert accuracy == pytest.approx(made["history"].val_accuracy[-1], abs=1e-12)
    capsys.readouterr()


def test_progress_speed_and_reload_are_shown(shown):
    assert "40/40" in shown.stderr
    assert re.search(r"in \d+\.\d\d seconds: [\d,]+ samples per second", shown.stdout)
    assert "all 17,970 outputs for the 1,797 digits are the same, bit for bit" in shown.stdout


def test_pictures_of_mistakes_are_drawn(shown):
    picture = [line for line in shown.stdout.splitlines() if re.fullmatch(r"[ .:\-=+*#%@]{20,}", line)]
    assert len(picture) >= 6
    assert demo._row_of_ink(np.array([0.0, 16.0, 4.0])) == "  @@::"


def test_learning_curve_is_a_picture(shown, folder):
    image = pytest.importorskip("matplotlib.image", reason=NEEDS)
    assert f"{demo.PICTURE}." in shown.stdout
    height, width, _ = image.imread(folder / demo.PICTURE).shape
    assert width >= 1000
    assert height >= 500


def test_without_mistakes_the_demo_says_so():
    held = np.arange(3)
    assert "None" in demo._mistakes(np.zeros((3, 64)), held, held, np.eye(3), np.array([], int))


def test_missing_packages_are_named_with_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(demo, "NEEDS", {"sklearn": "scikit-learn", "no_such_module": "no-such-package"})
    assert main(["demo", "--output-dir", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err == 'cbp: error: the demo needs no-such-package: pip install "cbpnet[demo]"\n'
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_made_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--output-dir", str(tmp_path / "file")]) == 2
    assert re.fullmatch(r"cbp: error: [^\n]*file: [^\n]+\n", capsys.readouterr().err)
