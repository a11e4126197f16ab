"""The command line refuses every bad input in one sentence with exit status 2, and leaves nothing half-written."""

import json

import numpy as np
import pytest
from command_tables import IRIS_LIKE, LINEAR, QUICK, refused, rows_of

import cbp
from cbp._samples import split_rows
from cbp.cli._models import KEY

pytest_plugins = ["commands"]


BAD_TABLES = {
    "ragged row": ("a,b,y\n1,2,3\n4,5\n", ["line 3 of data.csv", "2 cells", "names 3"]),
    "row too long": ("a,b,y\n1,2,3,4\n", ["line 2 of data.csv", "4 cells"]),
    "missing value": ("a,b,y\n1,2,3\n4,  ,6\n", ["line 3 of data.csv", 'column "b"', "missing"]),
    "missing target": ("a,b,y\n1,2,3\n4,5,\n", ["line 3 of data.csv", 'column "y"', "missing"]),
    "NA among numbers": ("a,b,y\n1,2,3\n4,NA,6\n", ["line 3 of data.csv", 'column "b"', 'missing ("NA")', "--missing"]),
    "text among numbers": ("a,b,y\n1,2,3\n4,x,6\n", ["line 3 of data.csv", 'column "b"', '"x" is not a number']),
    "number among text": ("a,b,y\n1,u,3\n4,7,6\n", ["line 3 of data.csv", 'column "b"', '"7"', "--categorical b"]),
    "no value at all": ("a,b,y\n1,,3\n4,,6\n", ["line 2 of data.csv", 'column "b"', "missing"]),
    "text without end": (
        "a,b,y\n" + "".join(f"{i},n{i},{i}\n" for i in range(200)),
        ['column "b" of data.csv', "more than 100 different values", "--ignore b", "--categorical b"],
    ),
    "text in the target": ("a,b,y\n1,2,3\n4,5,?\n", ["line 3 of data.csv", 'column "y"', '"?"', "--classes"]),
    "NaN": ("a,b,y\n1,2,3\nnan,5,6\n", ["line 3 of data.csv", 'column "a"', 'the value is missing ("nan")']),
    "infinity": ("a,b,y\n1,2,3\n4,-inf,6\n", ["line 3 of data.csv", 'column "b"', "-inf is not a finite number"]),
    "number too large": ("a,b,y\n1,2,3\n4,1e999,6\n", ["line 3 of data.csv", 'column "b"', "1e999 is not a finite"]),
    "NaN target": ("a,b,y\n1,2,nan\n4,5,6\n", ["line 2 of data.csv", 'column "y"', "nan is not a finite number"]),
    "unknown target": ("a,b,c\n1,2,3\n", ['no column "y"', "a, b, c"]),
    "empty file": ("", ["data.csv is empty"]),
    "blank file": ("\n\n", ["data.csv is empty"]),
    "header only": ("a,b,y\n", ["data.csv has a header but no rows"]),
    "duplicate columns": ("a,a,y\n1,2,3\n", ["2 columns", '"a"']),
    "nameless column": (",a,y\n0,1,2\n", ["column 1", "no name"]),
    "target alone": ("y\n1\n2\n", ["no columns", "left to learn from"]),
    "one class": ("a,y\n1,yes\n2,yes\n", ["same", '"y"', '"yes"']),
    "not text": (b"PK\x03\x04\xff\xfe\x00", ["data.csv is not UTF-8 text", "0xff"]),
    "open quote": ('a,y\n"1,2\n', ["data.csv is not valid CSV"]),
    "one row": ("a,y\n1,2\n", ["same", '"y"', "nothing to learn"]),
    "constant target": ("a,y\n1,2\n2,2\n", ["same", '"y"', "nothing to learn"]),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_bad_table_is_refused_in_one_sentence(run, put, tmp_path, fault):
    text, fragments = BAD_TABLES[fault]
    put(text)
    assert refused(run("train", "data.csv", "--target", "y", "-o", "m.npz"), *fragments)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_class_labels_must_be_whole_numbers(run, put):
    put("a,y\n1,2\n3,0.5\n")
    assert refused(run("train", "data.csv", "--target", "y", "--classes", "-o", "m.npz"), "line 3", "0.5", "integer")
    put("a,y\n1,2\n3,2.0\n")
    assert refused(run("train", "data.csv", "--target", "y", "--classes", "-o", "m.npz"), "nothing to learn")


def test_ignored_columns_may_hold_anything(run, put):
    put("id,x,id,y\n" + "".join(f"n{i},{i},,{('even', 'odd')[i % 2]}\n" for i in range(20)))
    assert run("train", "data.csv", "--target", "y", "--ignore", "id", "-o", "m.npz", *QUICK)[0] == 0
    assert refused(run("train", "data.csv", "--target", "y", "--ignore", "idd", "-o", "m.npz"), 'no column "idd"')


@pytest.mark.parametrize(
    ("output", "fragments"),
    [
        ("nowhere/m.npz", ["cannot write nowhere/m.npz", "No such file"]),
        ("data.csv/m.npz", ["cannot write data.csv/m.npz"]),
        ("folder.npz", ["folder.npz is a folder"]),
        ("m.pkl", ["m.pkl", ".npz"]),
    ],
)
def test_place_that_cannot_be_written_is_refused_before_training(run, put, tmp_path, monkeypatch, output, fragments):
    put(IRIS_LIKE)
    (tmp_path / "folder.npz").mkdir()
    monkeypatch.setattr(cbp.Network, "fit", lambda *_, **__: pytest.fail("it trained"))
    assert refused(run("train", "data.csv", "--target", "kind", "-o", output), *fragments)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["--activation", "rely"], ["--activation", "rely", "leaky_relu"]),
        (["--activation", "softmax"], ["softmax"]),
        (["--optimizer", "adamm"], ["adamm"]),
        (["--hidden", "64,,3"], ["--hidden", "64,,3"]),
        (["--hidden", "0"], ["--hidden"]),
        (["--epochs", "0"], ["--epochs", "whole number above 0"]),
        (["--learning-rate", "-1"], ["--learning-rate", "above 0"]),
        (["--learning-rate", "nan"], ["--learning-rate", "above 0"]),
        (["--validation", "1"], ["--validation", "below 1"]),
        (["--seed", "-1"], ["--seed"]),
        (["--dtype", "float16"], ["float16", "float32"]),
        (["--patiens", "3"], ["--patiens"]),
        (["--hidden", "99999999999"], ["number of units"]),
    ],
)
def test_bad_options_are_refused_in_one_sentence(run, put, words, fragments):
    put(IRIS_LIKE)
    assert refused(run("train", "data.csv", "--target", "kind", "-o", "m.npz", *words), *fragments)


def test_words_that_are_no_command_are_refused(run):
    assert refused(run("tarin"), "tarin", "train")
    assert refused(run(), "COMMAND")
    assert refused(run("train", "data.csv"), "--target", "-o")


def test_missing_table_is_named(run, classifier):
    assert refused(run("train", "none.csv", "--target", "y", "-o", "m.npz"), "none.csv: No such file")
    assert refused(run("predict", classifier, "none.csv"), "none.csv: No such file")


def test_divergence_is_told_and_nothing_is_written(run, put, tmp_path):
    put(LINEAR)
    words = ["--optimizer", "sgd", "--learning-rate", "1e30", "--quiet"]
    assert refused(run("train", "data.csv", "--target", "target", "-o", "m.npz", *words), "diverged", "learning rate")
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_failed_training_leaves_the_old_model(run, put, tmp_path, classifier):
    before = (tmp_path / classifier).read_bytes()
    put("length,kind\n1,a\n,b\n", "bad.csv")
    assert refused(run("train", "bad.csv", "--target", "kind", "-o", classifier), "line 3")
    assert (tmp_path / classifier).read_bytes() == before


def test_value_too_far_out_is_named_by_line_and_column(run, put, classifier):
    put("length,width\n1,2\n1,1e300\n", "far.csv")
    assert refused(run("predict", classifier, "far.csv"), 'line 3 of far.csv, column "width"', "1e+300", "too far")
    _, held = split_rows(80, 0.2, seed=0)
    table = rows_of(LINEAR)
    table[1 + held[0]][2] = "1e300"
    put("".join(",".join(row) + "\n" for row in table))
    result = run("train", "data.csv", "--target", "target", "-o", "m.npz")
    assert refused(result, f"line {held[0] + 2}", '"target"', "too far")


def test_missing_columns_at_prediction_are_listed(run, put, classifier):
    put("length,breadth,depth\n1,2,3\n", "new.csv")
    assert refused(run("predict", classifier, "new.csv"), "new.csv lacks 1 column", "width", "length, breadth, depth")


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("length,width\n1\n", ["line 2"]),
        ("length,width\n1,x\n", ["line 2", '"width"', '"x"']),
        ("length,width\n", ["no rows"]),
        ("length,width,width\n1,2,3\n", ["2 columns"]),
        ("", ["empty"]),
    ],
)
def test_bad_table_is_refused_at_prediction_and_no_answers_are_begun(run, put, tmp_path, classifier, text, fragments):
    put(text, "new.csv")
    before = sorted(tmp_path.iterdir())
    assert refused(run("predict", classifier, "new.csv", "-o", "out.csv"), *fragments)
    assert refused(run("predict", classifier, "new.csv"), *fragments)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["predict", "info"])
def test_file_that_is_no_model_is_refused(run, put, tmp_path, classifier, command):
    whole = (tmp_path / classifier).read_bytes()
    put(whole[: len(whole) // 2], "half.npz")
    put("hello", "foreign.npz")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    table = ["data.csv"] * (command == "predict")
    assert refused(run(command, "half.npz", *table), "half.npz is not a model")
    assert refused(run(command, "foreign.npz", *table), "foreign.npz is not a model")
    assert refused(run(command, "arrays.npz", *table), "arrays.npz is not a model")
    assert refused(run(command, "none.npz", *table), "none.npz: No such file")
    assert refused(run(command, "data.csv", *table), "data.csv", ".npz")


@pytest.mark.parametrize(
    "damage",
    [
        {"columns": [{"name": "length"}]},
        {"columns": "ab"},
        {"columns": [{"name": "length"}, 7]},
        {"columns": [{"name": "length"}, {"name": 7}]},
        {"columns": [{"name": "length"}, {"name": "width", "more": 1}]},
        {"columns": [{"name": "length"}, {"name": "width", "fill": "2"}]},
        {"columns": [{"name": "length"}, {"name": "width", "categories": ["u", "v"]}]},
        {"columns": [{"name": "length"}, {"name": "width", "categories": ["u", "u"]}]},
        {"targets": []},
        {"targets": [{"name": "kind", "classes": ["a", "b"]}]},
        {"targets": [{"name": "kind", "classes": None}]},
        {"targets": [{"name": "", "classes": ["a", "b", "c"]}]},
        {"targets": [{"name": "kind", "classes": ["a", "b", "c"]}, {"name": "more"}]},
        {"missing": "perhaps"},
        {"version": 2},
        {"more": 1},
    ],
    ids=json.dumps,
)
def test_damaged_description_of_the_table_is_refused(run, classifier, damage):
    net = cbp.load(classifier)
    net.metadata[KEY].update(damage)
    net.save("damaged.npz")
    assert refused(run("predict", "damaged.npz", "data.csv"), "damaged.npz", "description of its table")
    assert refused(run("info", "damaged.npz"), "damaged.npz", "description of its table")


def test_model_saved_from_python_refuses_another_width(run, put):
    cbp.Network([2, 3], seed=0).save("plain.npz")
    put("a,b,c\n1,2,3\n")
    assert refused(run("predict", "plain.npz", "data.csv"), "data.csv has 3 columns", "plain.npz expects 2")
    put("1,2\n3,x\n")
    assert refused(run("predict", "plain.npz", "data.csv"), "line 2", '"x" is not a number')


@pytest.mark.parametrize("name", ["model.c", "data.csv", "model"])
def test_files_that_are_no_models_are_told_by_their_names(run, name):
    words = f"{name} is no model that can be read: their names end in .npz, .safetensors, .onnx, .net, .mat, .m"
    assert refused(run("info", name), words)


def test_training_into_another_format_is_told_of_export(run):
    assert refused(run("train", "data.csv", "--target", "y", "-o", "model.onnx"), "there is cbp export")
