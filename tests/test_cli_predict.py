"""`cbp predict`: formats, columns, how sure answers are, and tables that are larger than memory."""

import contextlib
import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_tables import IRIS_LIKE, LINEAR, QUICK, refused, rows_of

import cbp
from cbp.tabular import BLOCK_ROWS

pytest_plugins = ["commands"]


@pytest.fixture
def quantity(run, put):
    """Name of a model trained on LINEAR, which is numbers.csv."""
    assert run("train", put(LINEAR, "numbers.csv"), "--target", "target", "-o", "q.npz", *QUICK)[0] == 0
    return "q.npz"


def test_json_lines_and_tabs_say_what_csv_says(run, classifier, tmp_path):
    head, *rows = rows_of(run("predict", classifier, "data.csv", "--proba")[1])
    numbers = [[row[0], *map(float, row[1:])] for row in rows]
    wanted = [dict(zip(head, row, strict=True)) for row in numbers]
    assert run("predict", classifier, "data.csv", "--proba", "-o", "out.jsonl") == (0, "", "")
    text = (tmp_path / "out.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == wanted
    assert run("predict", classifier, "data.csv", "--proba", "--format", "jsonl")[1] == text
    assert json.loads(run("predict", classifier, "data.csv", "--proba", "--json")[1])["answers"] == wanted
    run("predict", classifier, "data.csv", "--proba", "-o", "out.tsv")
    assert (tmp_path / "out.tsv").read_text().splitlines() == ["\t".join(row) for row in (head, *rows)]


def test_parquet_answers_are_those_of_csv(run, classifier):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    assert run("predict", classifier, "data.csv", "--proba", "--keep", "kind", "-o", "out.parquet")[0] == 0
    frame = pandas.read_parquet("out.parquet")
    head, *rows = rows_of(run("predict", classifier, "data.csv", "--proba", "--keep", "kind")[1])
    assert list(frame.columns) == head == ["kind", "predicted_kind", "p_a", "p_b", "p_c"]
    assert frame[["kind", "predicted_kind"]].to_numpy().tolist() == [row[:2] for row in rows]
    assert frame.p_a.to_numpy().tobytes() == np.array([row[2] for row in rows], np.float32).tobytes()
    assert refused(run("predict", classifier, "data.csv", "--format", "parquet"), "Parquet", "-o")


def test_answers_go_where_a_program_has_put_standard_output(run, classifier):
    wanted, text = run("predict", classifier, "data.csv")[1], io.StringIO()
    with contextlib.redirect_stdout(text):
        assert run("predict", classifier, "data.csv")[0] == 0
    assert text.getvalue() == wanted


def test_compressed_answers_hold_the_same_text(run, classifier, tmp_path):
    import gzip

    run("predict", classifier, "data.csv", "-o", "out.csv.gz")
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode() == run("predict", classifier, "data.csv")[1]


def test_kept_columns_come_first_as_they_were(run, put, classifier):
    put("id,length,width,note\n007,1,2,a b\n008,2,3,\n", "new.csv")
    head, *rows = rows_of(run("predict", classifier, "new.csv", "--keep", "note,id")[1])
    assert head == ["note", "id", "kind"]
    assert [row[:2] for row in rows] == [["a b", "007"], ["", "008"]]
    assert refused(run("predict", classifier, "new.csv", "--keep", "nota"), 'no column "nota"')


def test_probabilities_of_what_has_none_are_refused(run, quantity):
    assert refused(run("predict", quantity, "numbers.csv", "--proba"), "--proba", "no probabilities")


def test_std_is_that_of_the_network_s_uncertainty(run, quantity):
    head, *rows = rows_of(run("predict", quantity, "numbers.csv", "--std", "--train", "numbers.csv")[1])
    net = cbp.load(quantity)
    X, y = np.split(np.array(rows_of(LINEAR)[1:], float), [2], axis=1)
    net.learn_uncertainty(X, y, prior="evidence")
    outputs, std = net.predict(X, return_std=True)
    assert head == ["target", "target_std"]
    assert np.array(rows, np.float32).tobytes() == np.hstack([outputs, std]).tobytes()
    assert refused(run("predict", quantity, "numbers.csv", "--std"), "--std needs --train")
    assert refused(run("predict", quantity, "numbers.csv", "--train", "numbers.csv"), "--train is for --std")


def test_std_of_a_network_with_variances_is_its_own(run, put):
    run("train", put(LINEAR), "--target", "target", "--loss", "gaussian_nll", "-o", "g.npz", *QUICK)
    head, *rows = rows_of(run("predict", "g.npz", "data.csv", "--std")[1])
    outputs = cbp.load("g.npz").predict(np.array(rows_of(LINEAR)[1:], float)[:, :2])
    assert head == ["target", "target_std"]
    expected = np.stack([outputs[:, 0], np.sqrt(outputs[:, 1])], axis=1)
    assert np.array(rows, np.float32).tobytes() == expected.tobytes()


def test_std_of_classes_is_refused(run, classifier):
    assert refused(run("predict", classifier, "data.csv", "--std"), "--proba says how sure")


def test_classes_of_a_model_from_python_are_named_by_its_metadata(run, put):
    net = cbp.Network([2, 3], output="softmax", seed=0)
    net.metadata = {"classes": ["red", "green", "blue"]}
    net.save("plain.npz")
    head, *rows = rows_of(run("predict", "plain.npz", put("1,2\n3,4\n"), "--proba")[1])
    assert head == ["class", "p_red", "p_green", "p_blue"]
    said = net.predict([[1, 2], [3, 4]]).argmax(axis=1)
    assert [row[0] for row in rows] == [["red", "green", "blue"][label] for label in said]


def test_columns_of_a_model_from_python_are_named_by_its_metadata(run, put):
    net = cbp.Network([2, 3], output="identity", seed=0)
    net.metadata = {"features": ["u", "v"]}
    net.save("named.npz")
    _, *rows = rows_of(run("predict", "named.npz", put("v,note,u\n1,x,2\n3,y,4\n"))[1])
    assert np.array(rows, np.float32).tobytes() == net.predict([[2, 1], [4, 3]]).tobytes()
    assert refused(run("predict", "named.npz", put("u,w\n1,2\n")), "lacks 1 column", "v")


def test_gaps_and_kept_columns_have_their_types_in_parquet(run, put, quantity):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2024-01-01", periods=BLOCK_ROWS + 2)
    frame = pandas.DataFrame({"id": range(BLOCK_ROWS + 2), "at": times, "u": 1.0, "v": 2.0})
    frame.loc[: BLOCK_ROWS - 1, "u"] = None
    frame.to_parquet("in.parquet")
    assert run("predict", quantity, "in.parquet", "--missing", "empty", "--keep", "id,at", "-o", "out.parquet")[0] == 0
    table = pyarrow.parquet.read_table("out.parquet")
    assert [str(kind) for kind in table.schema.types] == [
        "int64",
        str(pyarrow.parquet.read_schema("in.parquet").types[1]),
        "float",
    ]
    assert table["target"].null_count == BLOCK_ROWS
    assert table["id"].to_pylist() == list(range(BLOCK_ROWS + 2))
    text = run("predict", quantity, "in.parquet", "--missing", "empty", "--keep", "id,at", "--format", "jsonl")[1]
    assert json.loads(text.splitlines()[0]) == {"id": 0, "at": "2024-01-01 00:00:00", "target": None}
    assert json.loads(text.splitlines()[-1])["target"] == pytest.approx(table["target"][-1].as_py(), rel=1e-6)


# ---- tables that are larger than memory ----


class Lines(io.RawIOBase):
    """Standard input of so many rows, which remembers how many were read while answers came out."""

    def __init__(self, n, answered):
        self.n, self.answered = n, answered
        self.made = self.most = 0
        self.left = b"length,width\n"

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.left and self.made < self.n:
            self.left = b"1,2\n"
            self.made += 1
            self.most = max(self.most, self.made - self.answered())
        n = min(len(buffer), len(self.left))
        buffer[:n], self.left = self.left[:n], self.left[n:]
        return n


def test_few_rows_are_in_flight(run, classifier, monkeypatch):
    out = io.BytesIO()
    lines = Lines(12 * BLOCK_ROWS + 17, lambda: out.getbuffer().nbytes // len("a\n"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(lines, buffer_size=16)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8"))
    status = run("predict", classifier, "-")[0]
    assert status == 0
    assert out.getvalue().count(b"\n") == lines.n + 1
    buffered = 8192  # what the text layers may hold before and after
    assert BLOCK_ROWS <= lines.most <= BLOCK_ROWS + 2 * buffered


def test_blocks_make_no_difference(run, put, classifier):
    rows = IRIS_LIKE.partition("\n")[2] * (BLOCK_ROWS // 50)
    put("length,width,kind\n" + rows, "long.csv")
    out = rows_of(run("predict", classifier, "long.csv", "--proba")[1])
    once = rows_of(run("predict", classifier, "data.csv", "--proba")[1])
    assert len(out) > BLOCK_ROWS + 2
    assert out == [once[0], *once[1:] * (BLOCK_ROWS // 50)]


def test_blocks_of_parquet_make_no_difference(run, put, classifier):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    put("length,width,kind\n" + IRIS_LIKE.partition("\n")[2] * (BLOCK_ROWS // 50), "long.csv")
    pandas.read_csv("long.csv").to_parquet("long.parquet", row_group_size=999)
    assert run("predict", classifier, "long.parquet", "--proba") == run("predict", classifier, "long.csv", "--proba")


def test_parquet_without_pyarrow_says_what_to_install(run, put, classifier, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    put("PAR1", "x.parquet")
    assert refused(run("predict", classifier, "x.parquet"), 'pip install "cbpnet[parquet]"')
    assert refused(run("predict", classifier, "data.csv", "-o", "y.parquet"), 'pip install "cbpnet[parquet]"')


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_no_answers_half_written(put, classifier, tmp_path):
    rows = IRIS_LIKE.partition("\n")[2]
    words = [sys.executable, "-m", "cbp", "predict", classifier, "-", "-o", "out.csv"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:
        process.stdin.write(("length,width,kind\n" + rows * (3 * BLOCK_ROWS // 60)).encode())
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.csv.*.tmp")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, b"", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "m.npz"]


def test_fault_in_a_later_block_leaves_the_old_answers(run, put, tmp_path, classifier):
    rows = IRIS_LIKE.partition("\n")[2] * (BLOCK_ROWS // 50)
    put(f"length,width,kind\n{rows}1,x,a\n", "long.csv")
    put("old", "out.csv")
    line = 2 + rows.count("\n")
    result = run("predict", classifier, "long.csv", "-o", "out.csv")
    assert refused(result, f"line {line} of long.csv", '"x" is not a number')
    assert (tmp_path / "out.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "long.csv", "m.npz", "out.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes of this kind")
def test_pipe_into_head_ends_quietly(put, classifier):
    put(IRIS_LIKE + IRIS_LIKE.partition("\n")[2] * 2000, "long.csv")
    line = f"{sys.executable} -m cbp predict {classifier} - < long.csv | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("kind\n", "")
