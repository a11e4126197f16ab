"""evaluate, compare, check, export, info, bench, completion; JSON, exit statuses and help of all commands."""

import json
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from command_tables import IRIS_LIKE, LINEAR, QUICK, learns, refused, rows_of

import cbp
from cbp import io as models
from cbp.cli import COMMANDS, bench
from cbp.cli.check import random_samples

pytest_plugins = ["commands"]

MIXED = IRIS_LIKE.replace(",a\n", ",b\n", 7)


@pytest.fixture
def quantity(run, put):
    """Name of a model trained on LINEAR, which is numbers.csv."""
    assert run("train", put(LINEAR, "numbers.csv"), "--target", "target", "-o", "q.npz", *QUICK)[0] == 0
    return "q.npz"


def answers(run, model, table):
    return [row[0] for row in rows_of(run("predict", model, table)[1])[1:]]


# ---- evaluate ----


def test_figures_of_classes_are_those_of_scikit_learn(run, put, classifier):
    metrics = pytest.importorskip("sklearn.metrics")
    truth = [row[2] for row in rows_of(MIXED)[1:]]
    said = answers(run, classifier, put(MIXED, "mixed.csv"))
    (figures,) = json.loads(run("evaluate", classifier, "mixed.csv", "--json")[1])["metrics"]
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(truth, said)
    assert figures["accuracy"] == metrics.accuracy_score(truth, said) < 1
    assert figures["confusion"] == metrics.confusion_matrix(truth, said).tolist()
    assert figures["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"), rel=1e-15)
    for j, one in enumerate(figures["classes"]):
        assert one["name"] == "abc"[j]
        wanted = (precision[j], recall[j], f1[j], rows[j])
        assert (one["precision"], one["recall"], one["f1"], one["rows"]) == pytest.approx(wanted, rel=1e-15)


def test_figures_of_numbers_are_those_of_scikit_learn(run, quantity):
    metrics = pytest.importorskip("sklearn.metrics")
    truth = [float(row[2]) for row in rows_of(LINEAR)[1:]]
    said = np.array(answers(run, quantity, "numbers.csv"), np.float32).astype(float)
    (figures,) = json.loads(run("evaluate", quantity, "numbers.csv", "--json")[1])["metrics"]
    assert figures["r2"] == pytest.approx(metrics.r2_score(truth, said), rel=1e-12)
    assert figures["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, said), rel=1e-12)
    assert figures["mae"] == pytest.approx(metrics.mean_absolute_error(truth, said), rel=1e-12)
    assert figures["bias"] == pytest.approx(np.mean(truth - said), rel=1e-9)


def test_tables_of_classes_are_shown(run, put, classifier):
    out = run("evaluate", classifier, put(MIXED, "mixed.csv"))[1]
    lines = [line.split() for line in out.splitlines()]
    assert ["precision", "recall", "f1", "rows"] in lines
    assert ["is,", "taken", "for", "a", "b", "c"] in lines
    assert ["b", "7", "20", "0"] in lines


def test_evaluate_writes_a_report(run, put, classifier, tmp_path):
    pytest.importorskip("matplotlib")
    assert "r/index.html" in run("evaluate", classifier, "data.csv", "--report", "r")[1].replace("\\", "/")
    assert (tmp_path / "r" / "confusion-kind.png").exists()


def test_evaluate_needs_target_and_a_model_that_knows_its_columns(run, put, classifier):
    put("length,width\n1,2\n", "new.csv")
    assert refused(run("evaluate", classifier, "new.csv"), 'new.csv has no column "kind"')
    cbp.Network([2, 3], seed=0).save("plain.npz")
    assert refused(run("evaluate", "plain.npz", "data.csv"), "was not made by cbp train")
    put("length,width,kind\n1,2,d\n", "new.csv")
    assert refused(run("evaluate", classifier, "new.csv"), "line 2", '"d" is none of the classes')
    put("length,width,kind\n1,,a\n1,2,a\n", "new.csv")
    assert refused(run("evaluate", classifier, "new.csv"), "line 2", "--missing")
    assert json.loads(run("evaluate", classifier, "new.csv", "--missing", "drop", "--json")[1])["dropped"] == 1


# ---- compare ----


def test_compare_finds_what_differs(run, put, classifier):
    run("train", "data.csv", "--target", "kind", "-o", "n.npz", *QUICK, "--seed", "1", "--hidden", "8")
    first, second = cbp.load(classifier), cbp.load("n.npz")
    status, out, _ = run("compare", classifier, "n.npz", put(MIXED, "mixed.csv"), "--json")
    facts = json.loads(out)
    apart = np.abs(first.params.astype(float) - second.params)
    said = [answers(run, name, "mixed.csv") for name in (classifier, "n.npz")]
    assert status == 0
    assert facts["configuration"] == {"seed": [0, 1]}
    assert facts["parameters"]["largest_difference"] == apart.max() == max(facts["parameters"]["by_layer"])
    assert facts["agreement"][0]["same_class"] == sum(a == b for a, b in zip(*said, strict=True))
    for name, figures in zip((classifier, "n.npz"), facts["metrics"], strict=True):
        assert figures == json.loads(run("evaluate", name, "mixed.csv", "--json")[1])["metrics"]


def test_tolerance_decides_the_exit_status(run, tmp_path, classifier):
    shutil.copy(tmp_path / classifier, tmp_path / "same.npz")
    net = cbp.load(classifier)
    net.params[3] += 0.25
    net.save("other.npz")
    assert run("compare", classifier, "same.npz", "data.csv", "--tolerance", "0")[0] == 0
    assert run("compare", classifier, "other.npz", "--tolerance", "0.3")[0] == 0
    assert run("compare", classifier, "other.npz", "--tolerance", "0.2")[0] == 1
    cbp.Network([2, 3], seed=0).save("wide.npz")
    status, out, _ = run("compare", classifier, "wide.npz", "--tolerance", "1e9")
    assert (status, "differ in shape" in out) == (1, True)


def test_compare_of_numbers(run, quantity):
    run("train", "numbers.csv", "--target", "target", "-o", "n.npz", *QUICK, "--hidden", "3")
    facts = json.loads(run("compare", quantity, "n.npz", "numbers.csv", "--json")[1])
    said = [np.array(answers(run, name, "numbers.csv"), np.float32).astype(float) for name in (quantity, "n.npz")]
    assert facts["agreement"][0]["largest_difference"] == np.abs(said[0] - said[1]).max()
    assert facts["parameters"] is None


def test_compare_refuses_models_for_different_targets(run, classifier, quantity):
    assert refused(run("compare", classifier, quantity, "data.csv", "-q"), "do not predict the same")


# ---- check ----


@pytest.mark.parametrize("loss", cbp.losses.values(), ids=str)
def test_check_makes_samples_that_every_loss_takes(run, loss):
    n_out = 4 if loss.pair else 3
    net = cbp.Network([3, 5, n_out], loss=loss, output=None if loss.pair else loss.partner, dtype="float64", seed=1)
    net.save("m.npz")
    status, out, _ = run("check", "m.npz", "--json")
    assert status == 0
    assert json.loads(out)["gradient"]["largest_error"] < 1e-7


def test_check_takes_rows_of_a_table(run, classifier, quantity):
    for model, table in ((classifier, "data.csv"), (quantity, "numbers.csv")):
        status, out, _ = run("check", model, table, "--rows", "5")
        assert status == 0
        assert "5 rows, float32: ok" in out
        assert f"of {table}" in out
    assert refused(run("check", classifier, "numbers.csv", "-q"), "no column")


def test_check_takes_heads_and_scaling():
    net = cbp.Network([2, 5], heads=[cbp.Head(3, "softmax"), cbp.Head(2, "identity")], scale_inputs="minmax", seed=0)
    net.learn_scaling([[1000, 1], [3000, 2]])
    X, (labels, numbers) = random_samples(net, 50, 0)
    assert 500 < X[:, 0].mean() < 3000
    assert set(labels.tolist()) == {0, 1, 2}
    assert numbers.shape == (50, 2)


def test_damaged_parameters_and_wrong_gradients_have_status_1(run, classifier, monkeypatch):
    net = cbp.load(classifier)
    net.params[0] = np.nan
    net.save("nan.npz")
    status, out, _ = run("check", "nan.npz")
    assert (status, "NOT all finite" in out) == (1, True)
    monkeypatch.setattr("cbp.gradcheck", lambda *_: types.SimpleNamespace(ok=False, max_error=1.0, tolerance=0.1))
    status, out, _ = run("check", classifier, "--json")
    assert (status, json.loads(out)["ok"]) == (1, False)


# ---- export and info ----


def test_export_to_an_own_format_keeps_all(run, tmp_path, classifier):
    assert "Wrote copy.npz" in run("export", classifier, "copy.npz")[1]
    assert (tmp_path / "copy.npz").read_bytes() == (tmp_path / classifier).read_bytes()
    assert refused(run("export", classifier, "copy.npz", "-O", "a=1"), "no options")
    assert refused(run("export", classifier, "copy.xyz"), "copy.xyz", ".npz")
    assert refused(run("export", classifier, "none/copy.npz"), "cannot write none/copy.npz")


@pytest.fixture
def toy_format(monkeypatch):
    """A format of other programs: .toy."""
    module = types.ModuleType("cbp_toy_format")

    def export(net, path, *, name="model", train=False, scale=1.0):
        with models.replacing(path) as file:
            file.write(repr((net.n_params, name, train, scale)).encode())

    module.export = export
    module.load = lambda path: cbp.Network([2, 3], seed=len(path))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(models.EXPORTS, ".toy", module.__name__)


@pytest.mark.usefixtures("toy_format")
def test_formats_of_others_are_found_by_their_ending_and_get_their_options(run, tmp_path, classifier):
    words = ["-O", "name=iris", "-O", "train", "-O", "scale=0.5"]
    facts = json.loads(run("export", classifier, "out.toy", *words, "--json")[1])
    text = (tmp_path / "out.toy").read_text()
    assert text == repr((cbp.load(classifier).n_params, "iris", True, 0.5))
    assert facts["bytes"] == len(text)
    assert refused(run("export", classifier, "out.toy", "-O", "nome=iris"), "'nome'", "did you mean 'name'")
    assert refused(run("export", classifier, "out.toy", "-O", "=3"), "-O =3")


@pytest.mark.usefixtures("toy_format")
def test_models_of_others_are_read_where_their_module_can(run, put):
    put("", "model.toy")
    assert "Network(2 > 3 sigmoid" in run("info", "model.toy")[1]
    assert run("export", "model.toy", "model.npz")[0] == 0
    assert cbp.load("model.npz").seed == len("model.toy")


def test_info_in_json_is_the_configuration(run, classifier):
    facts, net = json.loads(run("info", classifier, "--json")[1]), cbp.load(classifier)
    assert facts["config"] == json.loads(json.dumps(net.get_config()))
    assert facts["input_scaling"]["center"] == net.input_scaling.center.tolist()
    assert facts["metadata"] == net.metadata


# ---- bench ----


def test_the_numpy_loop_of_the_bench_has_cbp_s_gradient():
    net = cbp.Network([4, 6, 5, 3], activation="relu", output="softmax", seed=0)
    plain = bench.NumPyNetwork((4, 6, 5, 3), seed=0)
    for layer, W, b in zip(net.layers, plain.theta[0::2], plain.theta[1::2], strict=True):
        layer.W[:], layer.b[:] = W, b
    random = np.random.default_rng(1)
    X, y = random.standard_normal((20, 4)).astype(np.float32), random.integers(0, 3, 20)
    net.gradient(X, y)
    for layer, g_W, g_b in zip(net.layers, *(plain.gradient(X, y)[i::2] for i in (0, 1)), strict=True):
        np.testing.assert_allclose(layer.grad_W, g_W, atol=1e-6)
        np.testing.assert_allclose(layer.grad_b, g_b, atol=1e-6)
    plain.update(plain.gradient(X, y))
    cbp.optimizers.Adam().step(net)
    np.testing.assert_allclose(net.layers[0].W, plain.theta[0], atol=1e-6)


def test_bench_times_what_is_installed(run, monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (bench.Size("tiny", (3, 4, 2), 20, 5),))
    words = ["--repeats", "1", "--seconds", "0.01", "--only", "cbp,numpy"]
    status, out, err = run("bench", *words)
    assert (status, err) == (0, "")
    assert "3-4-2, 20 rows, batches of 5" in out
    assert "Indicative only" in out
    (size,) = json.loads(run("bench", *words, "--json")[1])["sizes"]
    assert set(size["seconds"]) == {"cbp", "numpy"}
    assert all(time > 0 for times in size["seconds"].values() for time in times.values())
    assert refused(run("bench", "--only", "cpb"), "'cpb'", "cbp, numpy, sklearn, torch")


@pytest.mark.parametrize("name", ["cbp", "numpy", "sklearn"])
def test_contenders_of_the_bench_learn(name):
    pytest.importorskip(name)
    learns(name)


# ---- completion ----


def completed(words):
    script = 'eval "$(cat script)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cbp; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="no bash")
def test_bash_completes(run, put):
    put(run("completion", "bash")[1], "script")
    assert completed(["cbp", ""]) == [*COMMANDS, "--help", "--version"]
    assert completed(["cbp", "pre"]) == ["predict"]
    assert completed(["cbp", "train", "--sc"]) == ["--scale-inputs", "--scale-targets", "--schedule"]
    assert completed(["cbp", "train", "data.csv", "--missing", ""]) == ["refuse", "mean", "drop"]
    assert completed(["cbp", "train", "data.csv", "--loss", "hu"]) == ["huber"]
    assert completed(["cbp", "train", "data.csv", "-o", ""]) == []  # files, by bash itself
    assert completed(["cbp", "completion", ""]) == ["bash", "zsh", "fish"]


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish_completes(run, put):
    put(run("completion", "fish")[1], "script")
    for words, wanted in {"cbp pre": "predict", "cbp train --missing d": "drop", "cbp completion z": "zsh"}.items():
        done = subprocess.run(
            ["fish", "-c", f"source script; complete -C '{words}'"], capture_output=True, text=True, check=True
        )
        assert done.stdout.partition("\t")[0].strip() == wanted


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_takes_the_script(run, put):
    put(run("completion", "zsh")[1], "script")
    words = 'autoload -U compinit; compinit -u -D; eval "$(cat script)"; print $_comps[cbp]'
    done = subprocess.run(["zsh", "-fc", words], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("_cbp", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_option(run, shell):
    script = run("completion", shell)[1]
    for command in COMMANDS.values():
        for options in command.groups.values():
            for one in options:
                for name in one.names:
                    if name.startswith("--"):
                        assert (f"-l {name[2:]} " if shell == "fish" else name) in script


# ---- all commands ----


def test_errors_in_json_are_one_object_beside_the_sentence(run):
    for words in (
        ["info", "no.npz"],
        ["train", "no.csv", "--target", "y", "-o", "m.npz"],
        ["tarin"],
        ["info", "--jsan"],
    ):
        status, out, err = run(*words, "--json")
        error = json.loads(out)["error"]
        assert (status, error["status"]) == (2, 2)
        assert err == f"cbp: error: {error['message']}\n"
        assert error["type"]


def test_every_option_says_what_it_is_for_and_no_help_is_wide(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, command in COMMANDS.items():
        text = run(name, "--help")[1]
        body, _, examples = text.partition("examples:")
        wide = [line for line in body.splitlines() if len(line) > 80 and " --" not in line]
        assert not wide
        assert examples or name in ("info", "selftest", "demo", "completion")
        for options in command.groups.values():
            assert all(one.settings.get("help") or one.names[0] in PLAIN for one in options)


PLAIN = ("model", "first", "second")


def test_help_tells_the_exit_statuses(run):
    text = run("--help")[1]
    for status in ("0", "1", "2", "130", "141"):
        assert f"  {status}  " in text


@pytest.mark.parametrize(
    ("word", "meant"), [("--patiens", "--patience"), ("--lose", "--loss"), ("--hiden=3", "--hidden")]
)
def test_misspelt_options_are_answered_with_the_right_one(run, word, meant):
    assert refused(run("train", "data.csv", word, "3"), f"'{word.partition('=')[0]}'", f"did you mean '{meant}'")


def test_help_imports_nothing_that_is_slow():
    code = "import sys, cbp.cli\ntry: cbp.cli.main(['train', '--help'])\nexcept SystemExit: print('', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    slow = {"matplotlib", "pandas", "sklearn", "scipy", "pyarrow", "torch", "tqdm", "cbp.plot", "cbp.demo"}
    assert "cbp.cli.train" in imported
    assert not imported & slow


def test_no_option_is_a_sentence_with_a_pointer_to_help(run):
    assert refused(run("--halp"), "'--halp'", "did you mean '--help'", "cbp --help")
