"""Callbacks that keep something: averaged weights, checkpoints."""

import os

import numpy as np
import pytest

import cbp

X = np.linspace(-1, 1, 12)[:, None]
Y = 2 * X + 1


def net(**kwargs):
    return cbp.Network([1, 4, 1], activation="tanh", output="identity", seed=0, **kwargs)


def every_epoch(found):
    """A callback that notes the weights."""
    return lambda state: found.append(state.network.params.copy())


# ---- averages ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("decay", [0.9, 0.0, 0.5])
def test_the_average_is_the_exponential_one(dtype, decay):
    weights, mean, network = [], cbp.WeightAverage(decay), net(dtype=dtype)
    network.fit(X, Y, epochs=9, callbacks=[every_epoch(weights), mean])
    shares = np.array([(1 - decay if k else 1.0) * decay ** (8 - k) for k in range(9)])
    expected = shares @ np.array(weights, float)
    np.testing.assert_allclose(network.params, expected, rtol=20 * np.finfo(dtype).eps)
    assert network.params.tobytes() == mean.average.tobytes()
    assert mean.last.tobytes() == weights[-1].tobytes()


def test_without_decay_it_is_the_mean_of_the_epochs_from_the_start():
    weights, network = [], net(dtype="float64")
    network.fit(X, Y, epochs=9, callbacks=[every_epoch(weights), cbp.WeightAverage(None, start=4)])
    np.testing.assert_allclose(network.params, np.mean(weights[4:], axis=0), rtol=1e-14)


def test_the_average_is_made_of_products_and_sums_one_after_the_other():
    weights, network = [], net()
    network.fit(X, Y, epochs=5, callbacks=[every_epoch(weights), cbp.WeightAverage(0.7)])
    for i, found in enumerate(network.params):
        value, share = weights[0][i], np.float32(1 - 0.7)
        for epoch in weights[1:]:
            value = value + np.float32(share * np.float32(epoch[i] - value))
        assert found == value


def test_averaging_leaves_training_as_it_is():
    plain, averaged, mean = net(), net(), cbp.WeightAverage()
    histories = [plain.fit(X, Y, epochs=5), averaged.fit(X, Y, epochs=5, callbacks=mean)]
    assert histories[0].loss == histories[1].loss
    averaged.params[:] = mean.last
    assert averaged == plain


def test_before_the_start_there_is_no_average():
    network, plain, mean = net(), net(), cbp.WeightAverage(start=5)
    network.fit(X, Y, epochs=5, callbacks=mean)
    plain.fit(X, Y, epochs=5)
    assert network == plain
    assert mean.average is None
    assert mean.last is None


def test_averaging_starts_anew_with_every_fit():
    mean, network, weights = cbp.WeightAverage(None), net(dtype="float64"), []
    network.fit(X, Y, epochs=3, callbacks=mean)
    network.fit(X, Y, epochs=2, callbacks=[mean, every_epoch(weights)])
    np.testing.assert_allclose(network.params, (weights[0] + weights[1]) / 2, rtol=1e-14)


def test_the_average_is_there_when_training_is_broken_off():
    def interrupt(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    network, mean = net(), cbp.WeightAverage()
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, Y, epochs=9, callbacks=[mean, interrupt])
    assert network.params.tobytes() == mean.average.tobytes() != mean.last.tobytes()


@pytest.mark.parametrize("last", ["average", "best"])
def test_the_last_callback_has_the_last_word(last):
    network, mean, weights = net(), cbp.WeightAverage(), []
    stopping = cbp.EarlyStopping("loss")
    order = [stopping, mean] if last == "average" else [mean, stopping]
    network.fit(X, Y, epochs=5, callbacks=[every_epoch(weights), *order])
    expected = mean.average if last == "average" else weights[stopping.best_epoch]
    assert network.params.tobytes() == expected.tobytes()


# ---- checkpoints ----


def test_a_checkpoint_is_written_every_so_many_epochs(tmp_path):
    weights, checkpoint = [], cbp.Checkpoint(tmp_path / "net-{epoch}.npz", every=3)
    net().fit(X, Y, epochs=8, callbacks=[every_epoch(weights), checkpoint])
    assert sorted(os.listdir(tmp_path)) == ["net-3.npz", "net-6.npz"]
    assert checkpoint.saved == str(tmp_path / "net-6.npz")
    for epoch in (3, 6):
        assert cbp.load(tmp_path / f"net-{epoch}.npz").params.tobytes() == weights[epoch - 1].tobytes()


def test_training_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path):
    whole, path = net(), tmp_path / "net.npz"
    whole.fit(X, Y, epochs=9, batch_size=5, callbacks=cbp.Checkpoint(path, every=4))
    part = cbp.load(path)
    assert part.epoch == 8
    part.fit(X, Y, epochs=1, batch_size=5)
    assert part == whole


def test_a_checkpoint_is_written_after_so_many_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("cbp.keeping.time.monotonic", lambda: now[0])

    def tick(state):
        now[0] += 4

    checkpoint = cbp.Checkpoint(tmp_path / "{epoch}.npz", seconds=10)
    net().fit(X, Y, epochs=7, callbacks=[tick, checkpoint])
    assert sorted(os.listdir(tmp_path)) == ["3.npz", "6.npz"]


def test_a_checkpoint_of_the_best(tmp_path):
    figures = iter([3.0, 4.0, 2.0, 2.0, 1.0])

    def figure(state):
        state.logs["mine"] = next(figures)

    for mode, files in (("min", ["1.npz", "3.npz", "5.npz"]), ("max", ["1.npz", "2.npz"])):
        figures = iter([3.0, 4.0, 2.0, 2.0, 1.0])
        folder = tmp_path / mode
        folder.mkdir()
        checkpoint = cbp.Checkpoint(folder / "{epoch}.npz", monitor="mine", mode=mode)
        net().fit(X, Y, epochs=5, callbacks=[figure, checkpoint])
        assert sorted(os.listdir(folder)) == files


def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    network, path = net(), tmp_path / "net.npz"
    network.fit(X, Y, epochs=1, callbacks=cbp.Checkpoint(path))
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        network.fit(X, Y, epochs=1, callbacks=cbp.Checkpoint(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_a_missing_folder_is_found_before_training(tmp_path):
    network = net()
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*nowhere' to save the network in"):
        network.fit(X, Y, callbacks=cbp.Checkpoint(tmp_path / "nowhere" / "net.npz"))
    assert network.epoch == 0


ERRORS = {
    "decay 1": (lambda: cbp.WeightAverage(1), ValueError, "decay must be at least 0 and less than 1, not 1"),
    "start": (lambda: cbp.WeightAverage(start=-1), ValueError, "start must be at least 0, not -1"),
    "ending": (
        lambda: cbp.Checkpoint("net.pickle"),
        ValueError,
        "a model file ends in .npz or .safetensors, not .pickle: net.pickle",
    ),
    "no epochs": (lambda: cbp.Checkpoint("a.npz", every=0), ValueError, "every must be at least 1, not 0"),
    "seconds": (lambda: cbp.Checkpoint("a.npz", seconds=-1), ValueError, "seconds must be at least 0, not -1"),
    "monitor": (lambda: cbp.Checkpoint("a.npz", monitor=3), TypeError, "monitor must be a name like 'val_loss', not 3"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_says_what_is_wrong(name):
    call, kind, sentence = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence
