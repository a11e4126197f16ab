"""The command line: what train, predict, info and selftest do. What they refuse is in test_cli_refusals.py."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from command_tables import IRIS_LIKE, LINEAR, QUICK, refused, rows_of

import cbp
from cbp._samples import split_rows
from cbp.cli import COMMANDS
from cbp.cli._data import stratified
from cbp.cli._models import KEY

pytest_plugins = ["commands"]


def test_text_target_is_learnt_as_classes(run, classifier):
    status, out, err = run("predict", classifier, "data.csv", "--proba")
    head, *rows = rows_of(out)
    assert (status, err) == (0, "")
    assert head == ["kind", "p_a", "p_b", "p_c"]
    assert [row[0] for row in rows] == ["abc"[i % 3] for i in range(60)]
    probabilities = np.array([row[1:] for row in rows], float)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    assert ["abc"[i] for i in probabilities.argmax(axis=1)] == [row[0] for row in rows]


def test_numeric_target_is_learnt_as_quantity_in_its_own_units(run, put):
    put(LINEAR)
    assert run("train", "data.csv", "--target", "target", "-o", "m.npz", *QUICK, "--hidden", "none")[0] == 0
    head, *rows = rows_of(run("predict", "m.npz", "data.csv")[1])
    expected = [float(row[2]) for row in rows_of(LINEAR)[1:]]
    assert head == ["target"]
    assert np.abs(np.array(rows, float)[:, 0] - expected).max() < 0.5


def test_classes_option_makes_integers_classes_in_order_of_value(run, put):
    put("x,y\n" + "".join(f"{i % 3},{[10, 9, -1][i % 3]}{'.0' * (i % 2)}\n" for i in range(30)))
    assert run("train", "data.csv", "--target", "y", "--classes", "-o", "m.npz", *QUICK)[0] == 0
    assert rows_of(run("predict", "m.npz", "data.csv", "--proba")[1])[0] == ["y", "p_-1", "p_9", "p_10"]


def test_few_whole_numbers_as_target_bring_a_hint(run, put):
    put("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(30)))
    assert "add --classes" in run("train", "data.csv", "--target", "y", "-o", "m.npz", "--epochs", "1")[1]
    put(LINEAR)
    assert "--classes" not in run("train", "data.csv", "--target", "target", "-o", "m.npz", "--epochs", "1")[1]


def test_prediction_finds_columns_by_name(run, put, classifier):
    whole = run("predict", classifier, "data.csv")[1]
    turned = "".join(f"{kind},extra,{width},{length}\n" for length, width, kind in rows_of(IRIS_LIKE))
    assert run("predict", classifier, put(turned.replace("extra", "note", 1), "turned.csv"))[1] == whole
    without = "".join(f"{length},{width}\n" for length, width, _ in rows_of(IRIS_LIKE))
    assert run("predict", classifier, put(without, "without.csv"))[1] == whole


def test_prediction_does_what_the_metadata_says(run, classifier):
    net = cbp.load(classifier)
    names = [column["name"] for column in net.metadata[KEY]["columns"]]
    assert (names, net.metadata["features"], net.metadata["classes"]) == (["length", "width"], names, ["a", "b", "c"])
    X = np.array([row[:2] for row in rows_of(IRIS_LIKE)[1:]], float)
    expected = net.predict(X)
    rows = rows_of(run("predict", classifier, "data.csv", "--proba")[1])[1:]
    assert np.array([row[1:] for row in rows], np.float32).tobytes() == expected.tobytes()


def test_standardisation_is_learnt_on_the_training_rows_only(run, put, classifier):
    train, held = stratified(np.arange(60) % 3, 0.2, seed=0)
    table = rows_of(IRIS_LIKE)
    X = np.array([row[:2] for row in table[1:]], float)[train]
    scaling = cbp.load(classifier).input_scaling
    np.testing.assert_allclose(scaling.center, X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(scaling.scale, X.std(axis=0), rtol=1e-14)
    table[1 + held[0]][0] = "99"
    put("".join(",".join(row) + "\n" for row in table), "other.csv")
    assert run("train", "other.csv", "--target", "kind", "-o", "other.npz", *QUICK)[0] == 0
    other = cbp.load("other.npz").input_scaling
    assert other.as_array().tobytes() == scaling.as_array().tobytes()


@pytest.mark.parametrize(("n", "fraction"), [(2, 0.5), (10, 0.01), (10, 0.99), (57, 0.2)])
def test_rows_held_out_are_those_that_fit_holds_out(n, fraction):
    X, y = np.linspace(-1, 1, n)[:, None], np.linspace(1, 2, n)
    train, held = split_rows(n, fraction, seed=7)
    nets = [cbp.Network([1, 3, 1], output="identity", seed=7) for _ in range(2)]
    nets[0].fit(X, y, epochs=2, batch_size=3, validation=fraction)
    nets[1].fit(X[train], y[train], epochs=2, batch_size=3, validation=(X[held], y[held]))
    assert nets[0] == nets[1]


def test_same_table_and_seed_give_the_same_file(run, tmp_path, classifier):
    run("train", "data.csv", "--target", "kind", "-o", "again.npz", *QUICK)
    run("train", "data.csv", "--target", "kind", "-o", "other.npz", "--seed", "1", *QUICK)
    bytes_of = [(tmp_path / name).read_bytes() for name in (classifier, "again.npz", "other.npz")]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_constant_column_has_scale_one_and_does_no_harm(run, put):
    put("one,x,y\n" + "".join(f"0.1,{i},{('even', 'odd')[i % 2]}\n" for i in range(20)))
    assert run("train", "data.csv", "--target", "y", "-o", "m.npz", *QUICK)[0] == 0
    scaling = cbp.load("m.npz").input_scaling
    assert (scaling.center[0], scaling.scale[0]) == (0.1, 1.0)
    assert run("predict", "m.npz", "data.csv")[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n").replace(",", " , "),
        lambda text: re.sub(r"(\w+)\n", r'"\1"\n', text),
    ],
    ids=["semicolons", "tabs", "BOM and CRLF", "blanks", "quotes"],
)
def test_dialects_of_csv_are_read(run, put, classifier, change):
    put(change(IRIS_LIKE), "dialect.csv")
    assert run("predict", classifier, "dialect.csv") == run("predict", classifier, "data.csv")


def test_options_of_training_reach_the_network(run, put):
    put(IRIS_LIKE)
    words = ["--hidden", "5,4", "--activation", "tanh", "--optimizer", "momentum", "--learning-rate", "0.05"]
    words += ["--dtype", "float64", "--seed", "3"]
    words += ["--epochs", "3", "--patience", "0", "--validation", "0", "--batch-size", "7", "--ignore", "width"]
    assert run("train", "data.csv", "--target", "kind", "-o", "m.npz", *words)[0] == 0
    net = cbp.load("m.npz")
    assert net.widths == (1, 5, 4, 3)
    assert [str(layer.activation) for layer in net.layers] == ["tanh", "tanh", "softmax"]
    assert net.optimizer == cbp.optimizers.SGD(0.05, momentum=0.9)
    assert (net.dtype, net.seed, net.epoch) == (np.float64, 3, 3)


def test_training_says_in_words_how_good_it_is(run, put, classifier):
    _, out, _ = run("train", "data.csv", "--target", "kind", "-o", "m.npz", "--hidden", "8", "--patience", "5")
    _, held = stratified(np.arange(60) % 3, 0.2, seed=0)
    truth = ["abc"[i % 3] for i in held]
    answers = [row[0] for row in rows_of(run("predict", "m.npz", "data.csv")[1])[1:]]
    right = sum(answers[row] == kind for row, kind in zip(held, truth, strict=True))
    assert f"Right on {right} of 12 held-out rows ({right / 12:.1%})" in out
    assert 'target "kind": 3 classes (a, b, c)' in out
    assert "Saved m.npz" in out
    out = run("train", "data.csv", "--target", "kind", "-o", "m.npz", "--validation", "0", "--epochs", "2")[1]
    assert "of 60 training rows" in out
    assert "on new ones expect less" in out


def test_training_says_r2_for_a_quantity(run, put):
    put(LINEAR)
    out = run("train", "data.csv", "--target", "target", "-o", "m.npz", "--dtype", "float64")[1]
    _, held = split_rows(80, 0.2, seed=0)
    y = np.array([row[2] for row in rows_of(LINEAR)[1:]], float)[held]
    answers = np.array(rows_of(run("predict", "m.npz", "data.csv")[1])[1:], float)[held, 0]
    r2 = 1 - ((answers - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert f"R2 = {r2:.4f}: {r2:.1%} of its variation is explained" in out
    assert f"is {np.sqrt(((answers - y) ** 2).mean()):.4g} (root mean square;" in out


def test_patience_stops_and_the_best_epoch_is_kept(run, put):
    put("x,y\n" + "".join(f"{i % 9},{i * 7919 % 13}\n" for i in range(60)))
    out = run("train", "data.csv", "--target", "y", "-o", "m.npz", "--patience", "3", "--learning-rate", "0.05")[1]
    found = re.search(r"for (\d+) epochs; the last 3 brought nothing better. Kept the best, epoch (\d+)", out)
    assert int(found[1]) == int(found[2]) + 3


def test_quiet_training_prints_nothing(run, put):
    assert run("train", put(IRIS_LIKE), "--target", "kind", "-o", "m.npz", *QUICK) == (0, "", "")


def test_answers_in_a_file_are_those_on_the_screen(run, tmp_path, classifier):
    whole = run("predict", classifier, "data.csv")[1]
    assert run("predict", classifier, "data.csv", "-o", "out.csv") == (0, "", "")
    assert (tmp_path / "out.csv").read_bytes().decode() == whole
    assert refused(run("predict", classifier, "data.csv", "-o", "none/out.csv"), "cannot write none/out.csv")
    assert refused(run("predict", classifier, "data.csv", "-o", "."), "is a folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_answers_go_into_a_pipe_or_device_without_replacing_it(run, tmp_path, classifier):
    os.mkfifo("pipe")
    reader = subprocess.Popen([sys.executable, "-c", "print(open('pipe').read(), end='')"], stdout=subprocess.PIPE)
    assert run("predict", classifier, "data.csv", "-o", "pipe")[0] == 0
    assert reader.communicate()[0].decode() == run("predict", classifier, "data.csv")[1]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("head", ["p,q\n", ""], ids=["header", "no header"])
def test_model_saved_from_python_takes_plain_columns(run, put, head):
    net = cbp.Network([2, 3], activation="tanh", dtype="float64", seed=0)
    net.save("plain.npz")
    put(head + "1,2\n3,4\n")
    names, *rows = rows_of(run("predict", "plain.npz", "data.csv")[1])
    assert names == ["y0", "y1", "y2"]
    assert np.array(rows, float).tobytes() == net.predict([[1, 2], [3, 4]]).tobytes()


def test_info_shows_network_training_and_table(run, classifier):
    status, out, err = run("info", classifier)
    assert (status, err) == (0, "")
    for fragment in [
        "Network(2 > 8 relu > 3 softmax, categorical_cross_entropy, float32, inputs standard): 51 parameters",
        "8 units, relu: 24 parameters",
        "30 epochs",
        "Adam(learning_rate=0.05",
        'target      "kind", 3 classes: a, b, c',
        '"length"  centre',
        "seed        0",
    ]:
        assert fragment in out


HEADS = [cbp.Head(2, "softmax"), cbp.Head(1, "identity")]


def test_info_shows_a_model_saved_from_python(run):
    net = cbp.Network([2, cbp.Dense(2, ["relu", "tanh"], l2=0.5, trainable=False), 3], heads=HEADS, seed=5)
    net.metadata = {"author": "Ada"}
    net.save("plain.npz")
    out = run("info", "plain.npz")[1]
    assert "2 units, relu, tanh, l2=0.5, frozen: 6 parameters" in out
    assert "3 units, 2 softmax + 1 identity: 9 parameters" in out
    assert "never" in out
    assert '"Ada"' in out


def test_info_shows_the_moments_of_a_numeric_target(run, put):
    put(LINEAR)
    run("train", "data.csv", "--target", "target", "-o", "m.npz", *QUICK)
    assert re.search(r'"target", a number: centre \d+\.\d+, scale \d+\.\d+', run("info", "m.npz")[1])


def test_selftest_prints_a_table_and_passes(run, monkeypatch):
    status, out, _ = run("selftest")
    assert status == 0
    assert re.search(r"gradient +\d+ checks  ok", out)
    assert "all passed" in out
    monkeypatch.setattr(sys.modules["cbp.selftest"], "combinations", lambda: iter(()))  # others are enough
    assert len(run("selftest", "--verbose")[1].splitlines()) > len(out.splitlines()) + 20


def test_failed_selftest_has_status_1(run, monkeypatch):
    report = sys.modules["cbp.selftest"].SelfTest((("gradient, a", True), ("gradient, b", False)))
    monkeypatch.setattr(cbp, "selftest", lambda verbose: report)
    status, out, _ = run("selftest")
    assert status == 1
    assert "1 FAILED" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: cbp {command}")


def test_help_has_examples_and_version_is_the_package_s(run):
    assert "cbp train iris.csv --target species -o iris.npz" in run("--help")[1]
    assert "cbp predict iris.npz new.csv" in run("predict", "--help")[1]
    assert run("--version") == (0, f"cbp {cbp.__version__}\n", "")


def test_python_m_cbp_is_the_command():
    done = subprocess.run([sys.executable, "-m", "cbp", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cbp {cbp.__version__}\n"


def test_ctrl_c_ends_quietly_and_writes_nothing(run, put, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    put(IRIS_LIKE)
    monkeypatch.setattr(cbp.Network, "fit", interrupted)
    status, _, err = run("train", "data.csv", "--target", "kind", "-o", "m.npz")
    assert (status, err) == (130, "cbp: interrupted before the first epoch was over: nothing is saved\n")
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has another error for this")
def test_reader_that_goes_away_is_no_error(put, classifier):
    put(IRIS_LIKE + IRIS_LIKE.partition("\n")[2] * 200, "long.csv")
    words = [sys.executable, "-m", "cbp", "predict", classifier, "long.csv"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
