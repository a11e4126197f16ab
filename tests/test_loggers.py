"""The figures of every epoch in files: CSV, lines of JSON, TensorBoard. Read back with other software's readers."""

import csv
import json
import math
import struct
import sys

import numpy as np
import pytest

import cbp

X = np.linspace(-1, 1, 12)[:, None]
Y = 2 * X + 1


def net(**kwargs):
    return cbp.Network([1, 4, 1], activation="tanh", output="identity", seed=0, **kwargs)


def read_csv(path):
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def read_json(path):
    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


LOGGERS = {"csv": (cbp.CSVLogger, read_csv), "json": (cbp.JSONLogger, read_json)}


@pytest.fixture(params=LOGGERS)
def kind(request):
    return LOGGERS[request.param]


def fail_at(epoch):
    def fail(state):
        if state.epoch == epoch:
            raise ZeroDivisionError

    return fail


# ---- lines ----


def test_the_file_has_the_figures_of_every_epoch(tmp_path, kind):
    make, read = kind
    path, network = tmp_path / "figures", net()
    for epochs in (4, 3):
        history = network.fit(X, Y, epochs=epochs, validation=0.25, callbacks=make(path))
        rows = read(path)
        assert list(rows[0]) == ["epoch", *history]
        assert [int(row["epoch"]) for row in rows] == list(range(epochs))
        for name in history:
            assert [row[name] for row in rows] == history[name]


def test_the_file_has_what_was_known_when_training_broke_off(tmp_path, kind):
    make, read = kind
    path = tmp_path / "figures"
    with pytest.raises(ZeroDivisionError):
        net().fit(X, Y, epochs=5, callbacks=[make(path), fail_at(1)])
    assert len(read(path)) == 2


def test_a_file_that_cannot_be_written_is_an_error_before_training(tmp_path, kind):
    network = net()
    with pytest.raises(OSError, match="nowhere"):
        network.fit(X, Y, callbacks=kind[0](tmp_path / "nowhere" / "figures"))
    assert network.epoch == 0


def test_after_a_checkpoint_the_file_is_as_if_training_had_never_stopped(tmp_path, kind):
    make, read = kind
    path, kept = tmp_path / "figures", tmp_path / "net.npz"
    whole = net().fit(X, Y, epochs=9, batch_size=5)
    callbacks = [make(path, append=True), cbp.Checkpoint(kept, every=4), fail_at(6)]
    with pytest.raises(ZeroDivisionError):
        net().fit(X, Y, epochs=9, batch_size=5, callbacks=callbacks)
    assert len(read(path)) == 7
    part = cbp.load(kept)
    part.fit(X, Y, epochs=9 - part.epoch, batch_size=5, callbacks=make(path, append=True))
    rows = read(path)
    assert [int(row["epoch"]) for row in rows] == list(range(9))
    assert [row["loss"] for row in rows] == whole.loss


def test_a_fit_after_a_fit_goes_on_in_the_file(tmp_path, kind):
    make, read = kind
    path, network = tmp_path / "figures", net()
    logger = make(path, append=True)
    losses = [loss for _ in range(3) for loss in network.fit(X, Y, epochs=2, callbacks=logger).loss]
    rows = read(path)
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    assert [row["loss"] for row in rows] == losses


def test_a_new_network_begins_the_file_anew(tmp_path, kind):
    make, read = kind
    path = tmp_path / "figures"
    net().fit(X, Y, epochs=5, validation=0.25, callbacks=make(path, append=True))
    net().fit(X, Y, epochs=2, callbacks=make(path, append=True))
    assert len(read(path)) == 2
    assert "val_loss" not in read(path)[0]


def test_a_line_that_was_cut_off_is_dropped(tmp_path, kind):
    make, read = kind
    path, network = tmp_path / "figures", net()
    network.fit(X, Y, epochs=3, callbacks=make(path, append=True))
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    network.fit(X, Y, epochs=1, callbacks=make(path, append=True))
    assert [int(row["epoch"]) for row in read(path)] == [0, 1, 3]


@pytest.mark.parametrize("content", ["something else\n", "epoch,a\n0,1\nx,2\n", '{"loss": 1}\n', '["epoch"]\n', "[]\n"])
def test_another_file_is_left_alone(tmp_path, kind, content):
    path, network = tmp_path / "figures", net()
    network.fit(X, Y, epochs=1)
    path.write_text(content)
    with pytest.raises(ValueError, match=r"figures cannot be gone on with: line \d is not that of an epoch"):
        network.fit(X, Y, epochs=1, callbacks=kind[0](path, append=True))
    assert path.read_text() == content
    assert network.epoch == 1


def odd(state):
    state.logs.update(bad=math.nan, large=math.inf, small=-math.inf, narrow=np.float32(0.5), **{'a "name", odd': 1.0})


def test_what_is_no_number_is_written_so_that_it_can_be_read(tmp_path):
    rows, lines = tmp_path / "figures.csv", tmp_path / "figures.jsonl"
    net().fit(X, Y, epochs=2, callbacks=[odd, cbp.CSVLogger(rows), cbp.JSONLogger(lines)])
    (first, _), (line, _) = read_csv(rows), read_json(lines)
    assert math.isnan(first["bad"])
    assert (first["large"], first["small"], first["narrow"], first['a "name", odd']) == (math.inf, -math.inf, 0.5, 1.0)
    assert (line["bad"], line["large"], line["small"], line["narrow"], line['a "name", odd']) == (
        None,
        None,
        None,
        0.5,
        1,
    )


def test_pandas_reads_both(tmp_path):
    pandas = pytest.importorskip("pandas")
    rows, lines = tmp_path / "figures.csv", tmp_path / "figures.jsonl"
    history = net().fit(X, Y, epochs=3, callbacks=[odd, cbp.CSVLogger(rows), cbp.JSONLogger(lines)])
    for frame in (pandas.read_csv(rows), pandas.read_json(lines, lines=True, precise_float=True)):
        assert list(frame["loss"]) == history.loss
        assert frame["bad"].isna().all()


def test_figures_that_come_later_have_no_column_but_a_place_in_json(tmp_path):
    def late(state):
        if state.epoch:
            state.logs["late"] = 1.0

    rows, lines = tmp_path / "figures.csv", tmp_path / "figures.jsonl"
    net().fit(X, Y, epochs=2, callbacks=[late, cbp.CSVLogger(rows), cbp.JSONLogger(lines)])
    assert ["late" in line for line in read_json(lines)] == [False, True]
    assert "late" not in read_csv(rows)[1]


def test_a_table_without_a_column_is_not_gone_on_with(tmp_path):
    path, network = tmp_path / "figures.csv", net()
    network.fit(X, Y, epochs=1, callbacks=cbp.CSVLogger(path, append=True))
    with pytest.raises(ValueError, match="has no column for 'val_loss': it has loss, learning_rate, seconds"):
        network.fit(X, Y, epochs=1, validation=0.25, callbacks=cbp.CSVLogger(path, append=True))


def test_loggers_show_how_they_were_made(tmp_path):
    assert repr(cbp.CSVLogger("a.csv")) == "CSVLogger('a.csv')"
    assert repr(cbp.JSONLogger("a.jsonl", append=True)) == "JSONLogger('a.jsonl', append=True)"


# ---- TensorBoard ----


@pytest.fixture
def board():
    pytest.importorskip("tensorboardX", reason="needs tensorboardX, which the tensorboard extra brings")
    return cbp.TensorBoard


def masked_crc(data):
    """CRC-32C of TensorFlow's records: bit by bit, then turned and moved."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder):
    """All events of a folder's files in the order of their names, as TensorBoard reads them."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("*tfevents*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            assert struct.unpack_from("<I", content, at + 8)[0] == masked_crc(content[at : at + 8])
            record = content[at + 12 : at + 12 + length]
            assert struct.unpack_from("<I", content, at + 12 + length)[0] == masked_crc(record)
            yield Event.FromString(record)
            at += length + 16


def scalars(folder):
    """Steps and values by tag; a start purges what is at its step or later, as in TensorBoard."""
    found = {}
    for event in events(folder):
        if event.HasField("session_log"):
            found = {tag: {s: v for s, v in steps.items() if s < event.step} for tag, steps in found.items()}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return {tag: steps for tag, steps in found.items() if steps}


def histograms(folder):
    return {
        (event.step, value.tag): value.histo
        for event in events(folder)
        for value in event.summary.value
        if value.HasField("histo")
    }


def test_tensorboard_has_the_figures_of_every_epoch(tmp_path, board):
    history = net().fit(X, Y, epochs=4, validation=0.25, metrics="r2", callbacks=board(tmp_path))
    tags = {"loss": "loss/training", "val_loss": "loss/validation", "r2": "r2/training", "val_r2": "r2/validation",
            "learning_rate": "state/learning_rate", "seconds": "state/seconds"}  # fmt: skip
    found = scalars(tmp_path)
    assert set(found) == set(tags.values())
    for name, tag in tags.items():
        assert list(found[tag]) == [0, 1, 2, 3]
        np.testing.assert_array_equal(np.float32(list(found[tag].values())), np.float32(history[name]))


def test_a_method_tells_of_itself_in_the_group_state(tmp_path, board):
    history = net(dtype="float64").fit(X, Y, epochs=2, optimizer="levenberg_marquardt", callbacks=board(tmp_path))
    assert {f"state/{name}" for name in history if name != "loss"} | {"loss/training"} == set(scalars(tmp_path))


def test_the_figures_are_there_before_the_next_epoch(tmp_path, board):
    seen = []

    def look(state):
        seen.append(len(scalars(tmp_path)["loss/training"]))

    net().fit(X, Y, epochs=3, callbacks=[board(tmp_path), look])
    assert seen == [1, 2, 3]


def test_it_goes_on_at_the_right_step_after_a_checkpoint(tmp_path, board):
    folder, kept = tmp_path / "run", tmp_path / "net.npz"
    whole = net().fit(X, Y, epochs=9, batch_size=5)
    with pytest.raises(ZeroDivisionError):
        net().fit(X, Y, epochs=9, batch_size=5, callbacks=[board(folder), cbp.Checkpoint(kept, every=4), fail_at(6)])
    assert list(scalars(folder)["loss/training"]) == list(range(7))
    part = cbp.load(kept)
    part.fit(X, Y, epochs=2, batch_size=5, callbacks=board(folder))
    assert list(scalars(folder)["loss/training"]) == list(range(6))
    part.fit(X, Y, epochs=3, batch_size=5, callbacks=board(folder))
    found = scalars(folder)["loss/training"]
    np.testing.assert_array_equal(np.float32([found[step] for step in range(9)]), np.float32(whole.loss))
    assert len(list(folder.glob("*tfevents*"))) == 3


def test_weights_and_gradients_are_counted(tmp_path, board):
    network, batch = net(dtype="float64"), (X[:6], Y[:6])
    seen = {}

    def look(state):
        if state.epoch in (1, 3):
            twin = state.network.copy()
            twin.gradient(*batch)
            for l, layer in enumerate(twin.layers, 1):
                seen[state.epoch, f"layer_{l}/weights"] = layer.W.copy()
                seen[state.epoch, f"layer_{l}/biases"] = layer.b.copy()
                seen[state.epoch, f"layer_{l}/gradients"] = layer.grad_theta.copy()
                seen[state.epoch, f"layer_{l}/activations"] = twin.activations[l].copy()

    network.fit(X, Y, epochs=5, callbacks=[board(tmp_path, histograms=2, batch=batch), look])
    found = histograms(tmp_path)
    assert set(found) == set(seen)
    for key, values in seen.items():
        histogram = found[key]
        assert (histogram.min, histogram.max, histogram.num) == (values.min(), values.max(), values.size)
        assert histogram.sum == pytest.approx(values.sum())
        assert sum(histogram.bucket) == values.size
    only = tmp_path / "only"
    net().fit(X, Y, epochs=1, callbacks=board(only, histograms=1))
    assert {tag.split("/")[1] for _, tag in histograms(only)} == {"weights", "biases"}


def test_the_configuration_is_there_as_text(tmp_path, board):
    network = net()
    network.fit(X, Y, epochs=1, callbacks=board(tmp_path))
    (shown,) = [
        value.tensor.string_val[0].decode()
        for event in events(tmp_path)
        for value in event.summary.value
        if value.tag == "network/text_summary"
    ]
    title, _, config = shown.partition("\n\n")
    assert title == repr(network)
    assert cbp.Network.from_config(json.loads(config)).get_config() == network.get_config()


def own_loss(y, a):
    return ((a - y) ** 2).sum(axis=1) / 2, a - y


def test_a_loss_of_ones_own_is_no_obstacle(tmp_path, board):
    network = cbp.Network([1, 2, 1], output="identity", loss=own_loss, seed=0)
    network.fit(X, Y, epochs=2, callbacks=board(tmp_path, histograms=1, batch=(X, Y)))
    assert len(scalars(tmp_path)["loss/training"]) == 2


def test_what_is_no_number_does_not_break_it(tmp_path, board):
    def spoil(state):
        odd(state)
        state.network.params[:3] = [np.nan, np.inf, 1.0]

    net().fit(X, Y, epochs=1, callbacks=[spoil, board(tmp_path, histograms=1)])
    assert math.isnan(scalars(tmp_path)["bad/training"][0])
    histogram = histograms(tmp_path)[0, "layer_1/biases"]
    assert (histogram.num, histogram.max) == (2, 1.0)


def test_logging_changes_no_bit(tmp_path, board):
    plain, logged = net(), net()
    plain.fit(X, Y, epochs=4)
    callbacks = [board(tmp_path / "run", histograms=1, batch=(X, Y)), cbp.CSVLogger(tmp_path / "a"),
                 cbp.JSONLogger(tmp_path / "b", append=True)]  # fmt: skip
    logged.fit(X, Y, epochs=4, callbacks=callbacks)
    assert plain == logged


def test_what_cannot_be_logged_is_an_error_before_training(tmp_path, board):
    network = net()
    with pytest.raises(ValueError, match="X has 2 features, the network expects 1"):
        network.fit(X, Y, callbacks=board(tmp_path, histograms=1, batch=(np.ones((3, 2)), np.ones(3))))
    with pytest.raises(ValueError, match="a batch is for histograms"):
        board(tmp_path, batch=(X, Y))
    with pytest.raises(ValueError, match="histograms must be at least 1, not 0"):
        board(tmp_path, histograms=0)
    assert network.epoch == 0
    assert repr(board("runs", histograms=3, batch=(X, Y))) == "TensorBoard('runs', histograms=3, batch=...)"


def test_without_tensorboardx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "tensorboardX.summary", None)
    with pytest.raises(
        ImportError, match=r'a log for TensorBoard needs tensorboardX: pip install "cbpnet\[tensorboard'
    ):
        cbp.TensorBoard("runs")
