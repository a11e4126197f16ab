"""Callbacks: when they run, what they see, how they steer; stopping, smaller rates, the progress bar."""

import math
import sys

import numpy as np
import pytest

import cbp

X = np.linspace(-1, 1, 12)[:, None]
Y = 2 * X + 1


def net(**kwargs):
    return cbp.Network([1, 1], output="identity", seed=0, **kwargs)


class Recorder(cbp.Callback):
    def __init__(self):
        self.events = []

    def on_fit_begin(self, state):
        self.events.append(("begin", state.epoch, state.epochs))

    def on_epoch_end(self, state):
        self.events.append(("epoch", state.epoch, sorted(state.logs)))

    def on_fit_end(self, state):
        self.events.append(("end", state.epoch, state.history.epochs))


def test_callbacks_run_at_begin_every_epoch_and_end():
    recorder, network = Recorder(), net()
    network.fit(X, Y, epochs=2, callbacks=[recorder])
    names = ["learning_rate", "loss", "seconds"]
    assert recorder.events == [("begin", -1, 2), ("epoch", 0, names), ("epoch", 1, names), ("end", 1, 2)]


def test_a_function_serves_as_a_callback_and_sees_the_network():
    network, seen = net(), []
    network.fit(X, Y, epochs=3, callbacks=lambda state: seen.append((state.network is network, state.logs["loss"])))
    assert seen == [(True, loss) for _, loss in seen]
    assert len(seen) == 3


def test_stop_makes_the_epoch_the_last():
    def stop(state):
        state.stop = state.epoch == 1

    assert net().fit(X, Y, epochs=9, callbacks=[stop]).epochs == 2


def test_callbacks_run_in_their_order():
    order = []
    net().fit(X, Y, epochs=1, callbacks=(lambda state, i=i: order.append(i) for i in range(3)))
    assert order == [0, 1, 2]


def test_a_class_is_made_an_object():
    made = []

    class Mine(cbp.Callback):
        def __init__(self):
            made.append(self)

    net().fit(X, Y, epochs=1, callbacks=[Mine])
    assert len(made) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_the_end_is_told_when_training_is_broken_off(error):
    def fail(state):
        raise error

    recorder = Recorder()
    with pytest.raises(error):
        net().fit(X, Y, epochs=5, callbacks=[recorder, fail])
    assert recorder.events[-1] == ("end", 0, 1)


# ---- early stopping ----


def watch(values, **kwargs):
    """Let early stopping see these values of val_loss; return it and the parameter the network is left with."""
    network, stopping = net(), cbp.EarlyStopping(**kwargs)
    state = cbp.FitState(network, len(values), cbp.History())
    stopping.on_fit_begin(state)
    for epoch, value in enumerate(values):
        network.params[0] = epoch
        state.epoch, state.logs = epoch, {stopping.monitor: value}
        stopping.on_epoch_end(state)
        if state.stop:
            break
    stopping.on_fit_end(state)
    return stopping, network.params[0]


@pytest.mark.parametrize(
    ("values", "kwargs", "best_epoch", "stopped_epoch", "left"),
    [
        ([3, 2, 1], {"patience": 1}, 2, None, 2),
        ([3, 1, 2, 2, 0], {"patience": 2}, 1, 3, 1),
        ([3, 1, 2, 0, 2], {"patience": 2}, 3, None, 3),
        ([3, 2.9, 2.8], {"patience": 2, "min_delta": 0.5}, 0, 2, 0),
        ([3, 1, 2, 2], {"patience": 2, "restore_best": False}, 1, 3, 3),
        ([0.1, 0.3, 0.2, 0.2], {"patience": 2, "monitor": "val_accuracy"}, 1, 3, 1),
        ([0.1, 0.3, 0.2, 0.2], {"patience": 2, "monitor": "r2", "mode": "max"}, 1, 3, 1),
        ([3, 1, 2, 2], {"patience": 2, "monitor": "wrong_accuracy", "mode": "min"}, 1, 3, 1),
        ([math.nan, 1, math.nan, math.nan], {"patience": 2}, 1, 3, 1),
        ([math.nan, math.nan], {"patience": 2}, None, 1, 1),
    ],
)
def test_early_stopping(values, kwargs, best_epoch, stopped_epoch, left):
    stopping, parameter = watch(values, **kwargs)
    assert (stopping.best_epoch, stopping.stopped_epoch, parameter) == (best_epoch, stopped_epoch, left)
    if best_epoch is not None:
        assert stopping.best == values[best_epoch]


def test_early_stopping_restores_the_network_that_had_the_best_validation():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(30, 3))
    network = cbp.Network([3, 20, 1], activation="tanh", output="identity", seed=0)
    stopping = cbp.EarlyStopping(patience=20)
    validation = (noise[20:], noise[20:, :1] + rng.normal(size=(10, 1)))
    targets = noise[:20, :1] + rng.normal(size=(20, 1))
    history = network.fit(
        noise[:20], targets, epochs=2000, optimizer=cbp.optimizers.Adam(0.02), validation=validation, callbacks=stopping
    )
    assert stopping.stopped_epoch == history.epochs - 1 < 1999
    assert stopping.best == min(history.val_loss) == network.loss(*validation)


def test_early_stopping_watches_the_training_loss_where_there_is_no_validation():
    stopping = cbp.EarlyStopping(patience=1, min_delta=1e6)
    assert net().fit(X, Y, epochs=9, callbacks=stopping).epochs == 2


def test_early_stopping_starts_anew_with_every_fit():
    stopping, network = cbp.EarlyStopping(patience=1, min_delta=1e6), net()
    assert [network.fit(X, Y, epochs=9, callbacks=stopping).epochs for _ in range(2)] == [2, 2]


def test_early_stopping_restores_after_divergence():
    network, stopping = net(reduction="sum"), cbp.EarlyStopping()
    with pytest.raises(cbp.DivergenceError):
        network.fit(
            X, Y, epochs=5, optimizer="sgd", schedule=[0.1, 3e38, 3e38, 3e38, 3e38].__getitem__, callbacks=stopping
        )
    assert stopping.best_epoch == 0
    assert np.isfinite(network.params).all()


def test_early_stopping_prints_its_arguments():
    assert repr(cbp.EarlyStopping(patience=3)) == (
        "EarlyStopping(monitor='val_loss', patience=3, min_delta=0.0, restore_best=True, mode=None)"
    )


# ---- plateaus ----


def reduced(values, rate=1.0, **kwargs):
    """Let ReduceOnPlateau see these values of val_loss; return the rate after every epoch, and the callback."""
    network, plateau = net(), cbp.ReduceOnPlateau(factor=0.5, **kwargs)
    network.fit(X, Y, epochs=0, optimizer=cbp.optimizers.SGD(rate))
    state, rates = cbp.FitState(network, len(values), cbp.History()), []
    plateau.on_fit_begin(state)
    for epoch, value in enumerate(values):
        state.epoch, state.logs = epoch, {plateau.monitor: value}
        plateau.on_epoch_end(state)
        rates.append(network.optimizer.learning_rate)
    return rates, plateau


@pytest.mark.parametrize(
    ("values", "kwargs", "rates"),
    [
        ([3, 2, 1, 0], {"patience": 1}, [1, 1, 1, 1]),
        ([3, 3, 3, 3, 3], {"patience": 2}, [1, 1, 0.5, 0.5, 0.25]),
        ([3, 3, 2, 2, 2], {"patience": 2}, [1, 1, 1, 1, 0.5]),
        ([3, 3, 3, 3, 3, 3, 3], {"patience": 1, "cooldown": 2}, [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
        ([3, 2.9, 2.8], {"patience": 2, "min_delta": 0.5}, [1, 1, 0.5]),
        ([3, 3, 3, 3], {"patience": 1, "lowest": 0.4}, [1, 0.5, 0.4, 0.4]),
        ([3, 3, 3], {"patience": 1, "lowest": 2}, [1, 1, 1]),
        ([1, 2, 2, 1], {"patience": 2, "monitor": "val_accuracy"}, [1, 1, 1, 0.5]),
        ([1, 2, 2, 1], {"patience": 2, "mode": "max"}, [1, 1, 1, 0.5]),
        ([math.nan, math.nan, 1], {"patience": 2}, [1, 0.5, 0.5]),
    ],
)
def test_a_plateau_makes_the_rate_smaller(values, kwargs, rates):
    found, plateau = reduced(values, **kwargs)
    assert found == rates
    before = [1.0, *rates]
    assert plateau.reductions == [epoch for epoch, rate in enumerate(rates) if rate < before[epoch]]


def test_the_epochs_after_a_plateau_are_trained_with_the_smaller_rate():
    network, by_hand = net(), net()
    plateau = cbp.ReduceOnPlateau(factor=0.25, patience=1, min_delta=1e6)
    history = network.fit(X, Y, epochs=3, optimizer=cbp.optimizers.SGD(0.1), callbacks=plateau)
    assert history.learning_rate == [0.1, 0.1, 0.025]
    by_hand.fit(X, Y, epochs=3, optimizer="sgd", schedule=[0.1, 0.1, 0.025].__getitem__)
    assert network == by_hand


def test_a_plateau_refuses_a_schedule():
    with pytest.raises(ValueError, match="which a schedule takes the place of"):
        net().fit(X, Y, schedule=cbp.schedules.Constant(0.1), callbacks=cbp.ReduceOnPlateau())


# ---- time ----


def test_a_budget_of_time_ends_with_an_epoch(monkeypatch):
    clock = iter([100.0, 101.0, 102.5, 103.0, 104.0])
    monkeypatch.setattr("cbp.callbacks.time.monotonic", lambda: next(clock))
    assert net().fit(X, Y, epochs=9, callbacks=cbp.TimeBudget(3)).epochs == 3


# ---- arguments ----

ERRORS = {
    "mode": (lambda: cbp.EarlyStopping(mode="up"), ValueError, "mode must be 'min', 'max' or None, not 'up'"),
    "factor 0": (lambda: cbp.ReduceOnPlateau(factor=0), ValueError, "factor must be greater than 0"),
    "factor 1": (
        lambda: cbp.ReduceOnPlateau(factor=1),
        ValueError,
        "factor must be at least 0 and less than 1, not 1",
    ),
    "cooldown": (lambda: cbp.ReduceOnPlateau(cooldown=-1), ValueError, "cooldown must be at least 0, not -1"),
    "patience": (lambda: cbp.ReduceOnPlateau(patience=1.5), TypeError, "patience must be a whole number, not 1.5"),
    "lowest": (lambda: cbp.ReduceOnPlateau(lowest=math.inf), ValueError, "lowest must be finite, not inf"),
    "no figure": (
        lambda: net().fit(X, Y, callbacks=cbp.ReduceOnPlateau("val_accuracy")),
        ValueError,
        "no figure of this training is called 'val_accuracy'; there are: loss, learning_rate, seconds",
    ),
    "seconds": (lambda: cbp.TimeBudget(-1), ValueError, "seconds must be at least 0, not -1"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_says_what_is_wrong(name):
    call, kind, sentence = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "callback",
    [
        cbp.ReduceOnPlateau("loss", 0.5, 3, 0.1, 2, 1e-4, "min"),
        cbp.TimeBudget(2.5),
        cbp.WeightAverage(None, 3),
        cbp.Checkpoint("a-{epoch}.npz", seconds=3, monitor="val_loss", mode="max"),
        cbp.CSVLogger("a.csv"),
    ],
)
def test_a_callback_prints_its_arguments(callback):
    again = eval(repr(callback), vars(cbp))
    assert vars(again) | {"best": 0} == vars(callback) | {"best": 0}  # NaN before the first fit


# ---- progress ----


def test_a_bar_shows_epochs_and_figures(capsys):
    pytest.importorskip("tqdm", reason="a progress bar needs tqdm, which the demo extra brings")
    net().fit(X, Y, epochs=3, progress=True)
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert "loss=" in shown.err
    assert not shown.out


@pytest.mark.parametrize("progress", [False, None])
def test_no_bar_when_nobody_watches(capsys, progress):
    net().fit(X, Y, epochs=3, progress=progress)
    assert capsys.readouterr() == ("", "")


def test_a_bar_by_itself_on_a_terminal(capsys, monkeypatch):
    pytest.importorskip("tqdm", reason="a progress bar needs tqdm, which the demo extra brings")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    net().fit(X, Y, epochs=3)
    assert "3/3" in capsys.readouterr().err


def test_a_bar_by_itself_in_a_notebook(capsys, monkeypatch):
    pytest.importorskip("tqdm", reason="a progress bar needs tqdm, which the demo extra brings")
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    net().fit(X, Y, epochs=3)
    assert "3/3" in capsys.readouterr().err


def test_a_terminal_without_tqdm_has_no_bar(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    net().fit(X, Y, epochs=3)
    assert capsys.readouterr() == ("", "")
