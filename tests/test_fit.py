"""fit and partial_fit: what goes on, what starts anew, what the figures mean."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import cbp

rng = np.random.default_rng(5)
X = rng.normal(size=(23, 3)).astype(np.float32)
LABELS = rng.integers(0, 3, 23)
TARGETS = rng.normal(size=(23, 2)).astype(np.float32)


def classifier(**kwargs):
    return cbp.Network([3, 5, 3], **{"activation": "tanh", "output": "softmax", "seed": 4, **kwargs})


def regressor(**kwargs):
    return cbp.Network([3, 5, 2], **{"activation": "tanh", "output": "identity", "seed": 4, **kwargs})


def fitted(net, *args, **kwargs):
    net.fit(*args, **{"batch_size": 5, **kwargs})
    return net


def state(net):
    return net.params.tobytes(), net._memory.slots.tobytes(), net._memory.t, net.epoch


# ---- going on ----


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
def test_two_fits_are_one_long_fit(optimizer):
    once = fitted(classifier(), X, LABELS, epochs=5, optimizer=optimizer)
    twice = fitted(classifier(), X, LABELS, epochs=2, optimizer=optimizer)
    assert state(fitted(twice, X, LABELS, epochs=3)) == state(once)


def test_partial_fit_is_one_epoch_of_fit():
    net, other = classifier(), classifier()
    losses = [net.partial_fit(X, LABELS, batch_size=5) for _ in range(3)]
    assert other.fit(X, LABELS, epochs=3, batch_size=5).loss == losses
    assert state(net) == state(other)


def test_the_same_object_continues():
    optimizer = cbp.optimizers.Adam(0.01)
    net = fitted(classifier(), X, LABELS, epochs=2, optimizer=optimizer)
    assert net.optimizer is optimizer
    net.fit(X, LABELS, epochs=1, batch_size=5, optimizer=optimizer)
    assert net._memory.t == 15


@pytest.mark.parametrize("other", ["adam", cbp.optimizers.Adam, cbp.optimizers.Adam()])
def test_a_name_a_class_or_another_object_starts_anew(other):
    net = fitted(classifier(), X, LABELS, epochs=2, optimizer="adam")
    net.fit(X, LABELS, epochs=1, batch_size=5, optimizer=other)
    assert net._memory.t == 5


def test_the_first_optimizer_is_adam():
    assert fitted(classifier(), X, LABELS, epochs=1).optimizer == cbp.optimizers.Adam()


def test_epochs_are_counted_over_all_calls():
    net = fitted(classifier(), X, LABELS, epochs=2)
    net.partial_fit(X, LABELS)
    assert net.epoch == 3
    assert net.fit(X, LABELS, epochs=0).epochs == 0


def test_every_epoch_has_its_own_order_and_one_seed_gives_one_result():
    assert fitted(classifier(), X, LABELS, epochs=3) == fitted(classifier(), X, LABELS, epochs=3)
    orders = [cbp._core.permutation(4, epoch, 23).tolist() for epoch in range(3)]
    net = classifier()
    for order in orders:
        net.fit(X[order], LABELS[order], epochs=1, batch_size=5, shuffle=False)
    assert net == fitted(classifier(), X, LABELS, epochs=3)


def test_batches_may_be_larger_than_the_data():
    whole, larger = (fitted(classifier(), X, LABELS, epochs=2, batch_size=size) for size in (23, 10**6))
    assert whole == larger


def test_one_row_is_enough():
    assert fitted(classifier(), X[:1], LABELS[:1], epochs=2)._memory.t == 2


@pytest.mark.parametrize("output", ["identity", "tanh"])
def test_batches_of_one_are_single_steps(output):
    fit, steps = regressor(output=output), regressor(output=output)
    fit.fit(X, TARGETS, epochs=2, batch_size=1, shuffle=False, optimizer=cbp.optimizers.SGD(0.05), progress=False)
    for _ in range(2):
        for x, y in zip(X, TARGETS, strict=True):
            steps.train_step(x[None], y[None], 0.05)
    assert fit.params.tobytes() == steps.params.tobytes()


# ---- schedule ----


def test_a_schedule_is_asked_for_every_step_of_the_optimiser():
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.1 / (1 + step)

    net = classifier()
    history = net.fit(X, LABELS, epochs=2, batch_size=10, optimizer="sgd", schedule=schedule)
    assert asked == list(range(6))
    assert history.learning_rate == [0.1 / 3, 0.1 / 6]
    net.fit(X, LABELS, epochs=1, batch_size=10, schedule=schedule)
    assert asked == list(range(9))


def test_a_constant_schedule_is_a_learning_rate():
    scheduled = fitted(classifier(), X, LABELS, epochs=2, optimizer="momentum", schedule=lambda step: 0.25)
    plain = fitted(classifier(), X, LABELS, epochs=2, optimizer=cbp.optimizers.SGD(0.25, momentum=0.9))
    assert scheduled.params.tobytes() == plain.params.tobytes()


def test_a_schedule_acts_within_the_epoch():
    rates = [0.5, 0.0, 0.0]
    scheduled = fitted(
        regressor(), X, TARGETS, epochs=1, batch_size=10, shuffle=False, optimizer="sgd", schedule=rates.__getitem__
    )
    step = regressor()
    step.train_step(X[:10], TARGETS[:10], 0.5)
    assert scheduled == step


def test_learning_rate_may_be_changed_between_fits():
    optimizer = cbp.optimizers.SGD(0.5)
    net = fitted(regressor(), X, TARGETS, epochs=1, optimizer=optimizer)
    optimizer.learning_rate = 0.0
    before = net.params.copy()
    assert net.fit(X, TARGETS, epochs=1).learning_rate == [0.0]
    assert net.params.tobytes() == before.tobytes()


# ---- weights ----


def test_sample_weights_reach_the_core():
    weights = rng.uniform(0, 2, 23)
    net = fitted(
        regressor(), X, TARGETS, epochs=1, batch_size=23, shuffle=False, sample_weight=weights, optimizer="sgd"
    )
    step = regressor()
    step.train_step(X, TARGETS, 0.01, sample_weight=weights)
    assert net == step


BALANCED = 23 / (3 * np.bincount(LABELS))


@pytest.mark.parametrize("y", [LABELS, np.eye(3)[LABELS]], ids=["labels", "rows"])
@pytest.mark.parametrize("wanted", ["balanced", dict(enumerate(BALANCED.tolist()))], ids=["balanced", "dict"])
def test_class_weights_multiply_sample_weights(y, wanted):
    weights = rng.uniform(0, 2, 23).astype(np.float32)
    by_class = fitted(classifier(), X, y, epochs=2, class_weight=wanted, sample_weight=weights)
    by_hand = fitted(classifier(), X, y, epochs=2, sample_weight=BALANCED[LABELS] * weights)
    assert by_class == by_hand


def test_class_weights_of_one_sigmoid_and_classes_left_out():
    y = (LABELS > 0).astype(float)
    net = [cbp.Network([3, 1], seed=0) for _ in range(2)]
    net[0].fit(X, y, epochs=1, class_weight={1: 3})
    net[1].partial_fit(X, y, sample_weight=1 + 2 * y)
    assert net[0] == net[1]


def test_class_weights_may_name_classes_that_these_rows_have_not():
    nets = [cbp.Network([3, 4], output="softmax", seed=0) for _ in range(2)]
    nets[0].partial_fit(X[:2], [0, 1], class_weight={0: 1, 1: 2, 3: 5})
    nets[1].partial_fit(X[:2], [0, 1], sample_weight=[1, 2])
    assert nets[0] == nets[1]


# ---- validation ----


def test_a_share_is_taken_away_by_the_seed():
    net, other = classifier(), classifier()
    history = net.fit(X, LABELS, epochs=2, batch_size=5, validation=0.25)
    order = cbp._core.permutation(4, 2**63, 23)
    held, rest = np.sort(order[:6]), np.sort(order[6:])
    expected = other.fit(X[rest], LABELS[rest], epochs=2, batch_size=5, validation=(X[held], LABELS[held]))
    assert net == other
    assert history.val_loss == expected.val_loss
    assert history.val_loss[-1] == net.loss(X[held], LABELS[held])


def test_both_sides_of_a_split_get_a_row():
    for share in (0.01, 0.99):
        assert np.isfinite(classifier().fit(X[:2], LABELS[:2], epochs=1, validation=share).val_loss).all()


def test_validation_has_its_own_weights():
    weights = rng.uniform(0, 1, 23)
    net = regressor()
    history = net.fit(X, TARGETS, epochs=1, validation=(X, TARGETS, weights))
    assert history.val_loss == [net.loss(X, TARGETS, weights)]
    assert "val_accuracy" not in history


@pytest.mark.parametrize("y", [LABELS, np.eye(3)[LABELS]], ids=["labels", "rows"])
def test_accuracy_is_the_share_of_largest_outputs_that_are_right(y):
    net = classifier()
    history = net.fit(X, y, epochs=1, validation=(X, y))
    assert history.val_accuracy == [np.mean(net.predict(X).argmax(axis=1) == LABELS)]


def test_accuracy_of_sigmoids_is_the_share_of_outputs_on_the_right_side():
    y = rng.integers(0, 2, (23, 2))
    net = cbp.Network([3, 2], seed=0)
    assert net.fit(X, y, epochs=1, validation=(X, y)).val_accuracy == [np.mean((net.predict(X) >= 0.5) == y)]


# ---- figures ----


def test_history_is_a_mapping_with_attributes():
    history = classifier().fit(X, LABELS, epochs=3, validation=0.2)
    assert list(history) == ["loss", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert all(len(values) == 3 for values in history.values())
    assert history["loss"] is history.loss
    assert history.epochs == 3
    assert repr(history).startswith("History(3 epochs: loss ")
    with pytest.raises(AttributeError, match="no figure 'accuracy'; there are: loss, "):
        history.accuracy  # noqa: B018


def test_loss_of_an_epoch_is_by_the_weights_before_each_update():
    net = regressor()
    before = net.loss(X, TARGETS)
    assert net.fit(X, TARGETS, epochs=1, batch_size=23, shuffle=False).loss == [pytest.approx(before)]


def test_the_history_becomes_a_data_frame(monkeypatch):
    fake = SimpleNamespace(DataFrame=lambda columns, index: (columns, index), RangeIndex=lambda n, name: (n, name))
    monkeypatch.setitem(sys.modules, "pandas", fake)
    history = regressor().fit(X, TARGETS, epochs=3, validation=0.2)
    columns, index = history.to_dataframe()
    assert columns == dict(history)
    assert index == (3, "epoch")


def test_the_learning_curve_is_drawn():
    matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib, which the demo extra brings")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    ax = classifier().fit(X, LABELS, epochs=3, validation=0.2).plot()
    assert [line.get_label() for line in ax.get_lines()] == ["training loss", "validation loss"]
    assert regressor().fit(X, TARGETS, epochs=3).plot(ax) is ax
    pyplot.close("all")


# ---- divergence ----


def test_divergence_tells_where_and_leaves_the_weights_before_it():
    net = regressor()
    y = TARGETS.copy()
    y[12] = 3e38
    with pytest.raises(
        cbp.DivergenceError, match=r"in epoch 0, batch 2 \(counted from 0\): layer 2 .* than 0\.5"
    ) as caught:
        net.fit(X, y, epochs=2, batch_size=5, shuffle=False, optimizer=cbp.optimizers.SGD(0.5))
    error = caught.value
    assert (error.epoch, error.batch, error.layer, error.learning_rate) == (0, 2, 2, 0.5)
    assert net == fitted(regressor(), X[:10], y[:10], epochs=1, shuffle=False, optimizer=cbp.optimizers.SGD(0.5))


def test_divergence_counts_epochs_within_the_fit():
    net = fitted(regressor(), X, TARGETS, epochs=2)
    with pytest.raises(cbp.DivergenceError) as caught:
        net.fit(
            X,
            TARGETS,
            epochs=4,
            batch_size=5,
            optimizer=cbp.optimizers.SGD(),
            schedule=[*[0.01] * 10, *[3e38] * 10].__getitem__,
        )
    assert caught.value.epoch == 2


def test_a_divergence_error_survives_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(cbp.DivergenceError(2, 3, 4, 0.5)))
    assert (error.layer, error.epoch, error.batch, error.learning_rate) == (2, 3, 4, 0.5)
    assert "epoch 3, batch 4" in str(error)
