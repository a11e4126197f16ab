"""`cbp train` and the columns of a table: what becomes an input, what is missing, which rows are held out."""

import gzip
import io
import sys

import numpy as np
import pytest
from command_tables import IRIS_LIKE, QUICK, refused, rows_of

import cbp
from cbp.cli._data import stratified
from cbp.cli._models import KEY

pytest_plugins = ["commands"]

CITIES = ["Rome", "Oslo", "Lima"]
HOUSES = "city,area,garden,price\n" + "".join(
    f"{CITIES[i % 3]},{20 + i * 7 % 31},{i % 2 == 0},{100 + 40 * (i % 3) + 2 * (i * 7 % 31) + 9 * (i % 2 == 0)}\n"
    for i in range(90)
)
ALL = ["--validation", "0", "--patience", "0", *QUICK]


def inputs_of(table):
    """City as 0 and 1 in the order of the alphabet, the area, the garden as 0 or 1."""
    rows = rows_of(table)[1:]
    cities = [[float(row[0] == city) for city in sorted(CITIES)] for row in rows]
    return np.array([[*city, float(row[1]), float(row[2] == "True")] for city, row in zip(cities, rows, strict=True)])


def answers(run, model, table="data.csv", *words):
    status, out, err = run("predict", model, table, *words)
    assert (status, err) == (0, "")
    return np.array([row[0] for row in rows_of(out)[1:]], np.float32)


def test_text_becomes_an_input_for_each_category_and_booleans_numbers(run, put):
    assert run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)[0] == 0
    net = cbp.load("m.npz")
    assert net.metadata["features"] == ["city=Lima", "city=Oslo", "city=Rome", "area", "garden"]
    assert answers(run, "m.npz").tobytes() == net.predict(inputs_of(HOUSES)).ravel().tobytes()


def test_categories_are_not_scaled_and_numbers_are(run, put):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *ALL)
    scaling, X = cbp.load("m.npz").input_scaling, inputs_of(HOUSES)
    assert scaling.center[:3].tolist() == [0, 0, 0]
    assert scaling.scale[:3].tolist() == [1, 1, 1]
    np.testing.assert_allclose(scaling.center[3:], X[:, 3:].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(scaling.scale[3:], X[:, 3:].std(axis=0), rtol=1e-14)


def test_model_is_that_of_the_same_training_in_python(run, put):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *ALL)
    saved, X = cbp.load("m.npz"), inputs_of(HOUSES)
    y = np.array([row[3] for row in rows_of(HOUSES)[1:]], float)
    scaling = (saved.input_scaling.center, saved.input_scaling.scale)
    layers = [5, cbp.Dense(8, "relu"), cbp.Dense(1, "identity")]
    net = cbp.Network(layers, scale_inputs=scaling, scale_targets="standard", seed=0)
    net.fit(X, y, epochs=30, batch_size=32, optimizer=cbp.optimizers.Adam(0.05))
    assert net.params.tobytes() == saved.params.tobytes()


def test_numbers_can_be_called_categories(run, put):
    run(
        "train",
        put("zip,x,y\n1,2,3\n02,3,4\n1,5,5\n3,1,1\n"),
        "--target",
        "y",
        "--categorical",
        "zip",
        "-o",
        "m.npz",
        *ALL,
    )
    assert cbp.load("m.npz").metadata["features"] == ["zip=02", "zip=1", "zip=3", "x"]


def test_many_words_are_taken_where_they_are_called_categories(run, put):
    put("name,y\n" + "".join(f"n{i:03},{i % 7}\n" for i in range(150)))
    assert run("train", "data.csv", "--target", "y", "--categorical", "name", "-o", "m.npz", *ALL)[0] == 0
    assert cbp.load("m.npz").widths[0] == 150


def test_numeric_says_that_a_column_holds_numbers(run, put):
    put("a,b,y\nx,1,2\n2,2,3\n")
    result = run("train", "data.csv", "--target", "y", "--numeric", "a", "-o", "m.npz")
    assert refused(result, "line 2", 'column "a"', '"x" is not a number')
    result = run("train", "data.csv", "--target", "y", "--numeric", "a", "--categorical", "a", "-o", "m.npz")
    assert refused(result, '"a"', "both")
    assert refused(run("train", "data.csv", "--target", "y", "--numeric", "y", "-o", "m.npz"), '"y"', "no input")


def test_inputs_names_what_is_learnt_from(run, put):
    run("train", put(HOUSES), "--target", "price", "--inputs", "garden,area", "-o", "m.npz", *ALL)
    assert cbp.load("m.npz").metadata["features"] == ["area", "garden"]
    assert refused(run("train", "data.csv", "--target", "price", "--inputs", "arae", "-o", "m.npz"), 'no column "arae"')


def test_category_never_met_is_none_of_them_with_a_warning_or_refused(run, put):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)
    put(HOUSES.replace("Rome", "Paris"), "new.csv")
    status, out, err = run("predict", "m.npz", "new.csv")
    X = inputs_of(HOUSES)
    X[:, 2] = 0
    got = np.array([row[0] for row in rows_of(out)[1:]], np.float32)
    assert (status, got.tobytes()) == (0, cbp.load("m.npz").predict(X).ravel().tobytes())
    assert err == 'cbp: warning: column "city": the model never met "Paris" (30 rows)\n'
    result = run("predict", "m.npz", "new.csv", "--unknown", "refuse")
    assert refused(result, "line 2 of new.csv", 'column "city"', '"Paris"')


def test_categories_of_held_out_rows_alone_are_unknown(run, put):
    put("city,x,y\n" + "".join(f"{'Rome' if i % 2 else 'Oslo'},{i},{i * i % 7}\n" for i in range(40)), "train.csv")
    put("city,x,y\nLima,3,2\nRome,2,4\n", "held.csv")
    words = ["--validation-file", "held.csv", "--target", "y", "-o", "m.npz", *QUICK]
    assert run("train", "train.csv", *words)[0] == 0
    assert cbp.load("m.npz").metadata["features"] == ["city=Oslo", "city=Rome", "x"]


# ---- cells without a value ----

GAPS = HOUSES.replace("Oslo,27,False", "Oslo,,False").replace("Lima,34,True", ",34,True")


def test_missing_cells_are_refused_by_line_and_column(run, put):
    assert GAPS.count(",,") == 1
    assert refused(run("train", put(GAPS), "--target", "price", "-o", "m.npz"), "line 4", '"city"', "missing")


def test_missing_mean_fills_numbers_and_leaves_categories_out(run, put):
    assert run("train", put(GAPS), "--target", "price", "--missing", "mean", "-o", "m.npz", *ALL)[0] == 0
    net, X = cbp.load("m.npz"), inputs_of(HOUSES)
    known = np.delete(X[:, 3], 1)
    fill = net.metadata[KEY]["columns"][1]["fill"]
    assert fill == pytest.approx(known.mean(), rel=1e-15)
    X[1, 3], X[2, :3] = fill, 0
    assert answers(run, "m.npz").tobytes() == net.predict(X).ravel().tobytes()


def test_missing_drop_leaves_rows_out_and_says_so(run, put):
    out = run("train", put(GAPS), "--target", "price", "--missing", "drop", "-o", "m.npz", "--epochs", "2")[1]
    assert "88 rows" in out
    assert "2 rows without a value left out" in out
    lines = [line for number, line in enumerate(HOUSES.splitlines(), 1) if number not in (3, 4)]
    put("\n".join(lines) + "\n", "left.csv")
    run("train", "left.csv", "--target", "price", "-o", "n.npz", "--epochs", "2")
    assert cbp.load("m.npz") == cbp.load("n.npz")


def test_predict_refuses_a_gap_or_leaves_its_answer_empty(run, put):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)
    put(GAPS, "gaps.csv")
    assert refused(run("predict", "m.npz", "gaps.csv"), "line 3 of gaps.csv", '"area"', "--missing")
    status, out, err = run("predict", "m.npz", "gaps.csv", "--missing", "empty")
    whole = rows_of(run("predict", "m.npz", "data.csv")[1])
    assert status == 0
    assert rows_of(out) == [*whole[:2], [""], [""], *whole[4:]]
    assert "2 rows without an answer" in err


# ---- targets and weights ----


def test_several_numbers_are_learnt_together(run, put):
    table = "a,b,u,v\n" + "".join(f"{i % 7},{i % 5},{3 * (i % 7) - 50},{1000 * (i % 5)}\n" for i in range(70))
    words = ["--hidden", "none", "--epochs", "200", "-o", "m.npz", "-q", "--learning-rate", "0.05"]
    assert run("train", put(table), "--target", "u,v", *words)[0] == 0
    head, *rows = rows_of(run("predict", "m.npz", "data.csv")[1])
    expected = [[float(row[2]), float(row[3])] for row in rows_of(table)[1:]]
    assert head == ["u", "v"]
    assert np.abs((np.array(rows, float) - expected) / [20, 2000]).max() < 0.05


def test_several_classes_are_heads(run, put):
    put("a,b,u,v\n" + "".join(f"{i % 3},{i % 2},{'xyz'[i % 3]},{'no' if i % 2 else 'yes'}\n" for i in range(60)))
    assert run("train", "data.csv", "--target", "u", "--target", "v", "-o", "m.npz", *QUICK)[0] == 0
    head, *rows = rows_of(run("predict", "m.npz", "data.csv", "--proba")[1])
    assert head == ["u", "p_u_x", "p_u_y", "p_u_z", "v", "p_v_no", "p_v_yes"]
    assert [(row[0], row[4]) for row in rows] == [("xyz"[i % 3], "no" if i % 2 else "yes") for i in range(60)]


def test_numbers_and_classes_together_are_refused(run, put):
    put("a,u,v\n1,2,x\n2,3,y\n")
    assert refused(run("train", "data.csv", "--target", "u,v", "-o", "m.npz"), '"u" a number', '"v" a class')


def test_weights_of_rows_are_those_of_fit(run, put):
    table = "x,w,y\n" + "".join(f"{i % 9},{i % 3},{i % 9 + (i % 3 == 0) * 5}\n" for i in range(45))
    words = ["--hidden", "none", "--dtype", "float64", "--epochs", "10", "--validation", "0", "--patience", "0", "-q"]
    assert run("train", put(table), "--target", "y", "--weight", "w", "-o", "m.npz", *words)[0] == 0
    X, w, y = np.array(rows_of(table)[1:], float).T
    net = cbp.Network(
        [1, cbp.Dense(1, "identity")], scale_inputs="standard", scale_targets="standard", dtype="float64", seed=0
    )
    net.fit(X[:, None], y, sample_weight=w, epochs=10, batch_size=32, optimizer="adam")
    assert net.params.tobytes() == cbp.load("m.npz").params.tobytes()
    put("x,w,y\n1,1,2\n2,-1,3\n")
    assert refused(run("train", "data.csv", "--target", "y", "--weight", "w", "-o", "m.npz"), "line 3", "negative")


# ---- rows that are held out ----


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_every_class_has_its_share_among_the_rows_held_out(fraction):
    labels = np.repeat([0, 1, 2, 3], [50, 20, 7, 1])
    train, held = stratified(labels, fraction, seed=3)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert len(held) == round(fraction * len(labels))
    counts = np.bincount(labels[held], minlength=4)
    assert (abs(counts - fraction * np.array([50, 20, 7, 1])) <= 1).all()
    assert counts[3] == 0


def test_validation_file_holds_its_rows_out(run, put):
    put(IRIS_LIKE, "train.csv")
    put(IRIS_LIKE.replace("a\n", "b\n", 3), "held.csv")
    out = run(
        "train", "train.csv", "--validation-file", "held.csv", "--target", "kind", "-o", "m.npz", "--epochs", "9"
    )[1]
    assert "Trained on 60 rows" in out
    assert "of 60 held-out rows" in out
    words = ["--validation-file", "held.csv", "--target", "kind", "-o", "m.npz"]
    put("length,width,kind\n1,2,d\n", "held.csv")
    assert refused(run("train", "train.csv", *words, "-q"), "line 2 of held.csv", '"d" is none of the classes: a, b, c')
    put("length,kind\n1,a\n", "held.csv")
    assert refused(run("train", "train.csv", *words, "-q"), 'held.csv has no column "width"')
    assert refused(run("train", "train.csv", *words, "--validation", "0.1"), "--validation-file")


# ---- files ----


def test_gzip_and_standard_input_are_read_like_the_file(run, put, tmp_path, monkeypatch):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(HOUSES.encode()))
    run("train", "data.csv.gz", "--target", "price", "-o", "z.npz", *QUICK)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HOUSES.encode())))
    run("train", "-", "--target", "price", "-o", "s.npz", *QUICK)
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "z.npz").read_bytes() == (tmp_path / "s.npz").read_bytes()
    put(b"hello", "no.csv.gz")
    assert refused(run("predict", "m.npz", "no.csv.gz"), "no.csv.gz", "gzip")
    put(gzip.compress(HOUSES.encode())[:-40], "half.csv.gz")
    assert refused(run("predict", "m.npz", "half.csv.gz"), "half.csv.gz", "gzip")


@pytest.fixture
def frame():
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(io.StringIO(HOUSES))


def test_parquet_is_read_like_csv(run, put, tmp_path, frame):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)
    frame.to_parquet("plain.parquet")
    frame.assign(city=frame.city.astype("category"), area=frame.area.astype("Int16")).to_parquet("typed.parquet")
    for name in ("plain.parquet", "typed.parquet"):
        assert run("train", name, "--target", "price", "-o", "p.npz", *QUICK) == (0, "", "")
        assert (tmp_path / "p.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()
        assert run("predict", "m.npz", name) == run("predict", "m.npz", "data.csv")


def test_parquet_has_gaps_and_places(run, put, frame):
    run("train", put(HOUSES), "--target", "price", "-o", "m.npz", *QUICK)
    frame.loc[4, "area"] = None
    frame.to_parquet("gap.parquet")
    assert refused(run("predict", "m.npz", "gap.parquet"), 'row 5 of gap.parquet, column "area"', "missing")
    frame.assign(area=float("inf")).to_parquet("far.parquet")
    assert refused(run("predict", "m.npz", "far.parquet"), "row 1 of far.parquet", "inf is not a finite number")
    frame.assign(area=frame.city).to_parquet("text.parquet")
    assert refused(run("predict", "m.npz", "text.parquet"), 'column "area" of text.parquet holds text')


def test_parquet_of_other_things_is_refused(run, put, frame):
    import pandas

    frame.assign(area=pandas.Timestamp("2024-01-01")).to_parquet("dates.parquet")
    result = run("train", "dates.parquet", "--target", "price", "-o", "m.npz")
    assert refused(result, 'column "area" of dates.parquet', "timestamp")
    put("hello", "no.parquet")
    assert refused(run("train", "no.parquet", "--target", "price", "-o", "m.npz"), "no.parquet is no Parquet file")
