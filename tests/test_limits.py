"""What holds an update back: penalties, max_norm, clipping, averages, frozen layers, fixed parameters.

Judged by a training loop in NumPy that shares nothing with the library, in float64; and by the two ways the library has
to make an update, in an epoch and step by step, which must give the same bits.
"""

import itertools
import json
import pickle

import numpy as np
import pytest
from cases import each_of
from helpers import same_bytes

import cbp
from cbp import Dense
from cbp.optimizers import SGD, Adam, AdamW, IRpropPlus

X = np.random.default_rng(1).normal(0, 1, (11, 3))
Y = np.random.default_rng(2).normal(0, 1, (11, 2))
S = np.random.default_rng(3).uniform(0.2, 2, 11)

LIMITS = {
    "nothing": {},
    "l1": {"l1": (0.03, 0.0, 0.1)},
    "l2": {"l2": (0.0, 0.2, 0.05)},
    "max_norm": {"max_norm": (0.6, None, 0.4)},
    "clip_value": {"clip_value": 0.05},
    "clip_norm": {"clip_norm": 0.1},
    "average": {"average": 0.7},
    "frozen": {"frozen": (1,)},
    "lowest frozen": {"frozen": (0,), "average": 0.5},
    "all frozen": {"frozen": (0, 1, 2)},
    "mask": {"mask": True},
    "everything": {
        "l1": (0.03, 0.01, 0.1),
        "l2": (0.1, 0.2, 0.05),
        "max_norm": (0.6, 0.8, 0.4),
        "clip_value": 0.08,
        "clip_norm": 0.15,
        "average": 0.7,
        "frozen": (1,),
        "mask": True,
    },
}
OPTIMIZERS = {
    "sgd": lambda **limits: SGD(0.1, **limits),
    "momentum": lambda **limits: SGD(0.05, 0.8, **limits),
    "adam": lambda **limits: Adam(0.05, **limits),
    "adamw": lambda **limits: AdamW(0.05, weight_decay=0.1, **limits),
    "irprop_plus": lambda **limits: IRpropPlus(**limits),
}
STEP_LIMITS = ("clip_value", "clip_norm", "average")


def network(limits, widths=(3, 5, 4, 2), dtype="float64", reduction="mean"):
    """A network that the limits hold back, with every third parameter fixed if there is a mask."""
    kinds = ["tanh"] * (len(widths) - 2) + ["identity"]
    rows = {name: limits.get(name, (0.0, 0.0, 0.0)) for name in ("l1", "l2")}
    rows["max_norm"] = limits.get("max_norm", (None,) * 3)
    layers = [
        Dense(n, kind, trainable=i not in limits.get("frozen", ()), **{name: row[i] for name, row in rows.items()})
        for i, (n, kind) in enumerate(zip(widths[1:], kinds, strict=True))
    ]
    net = cbp.Network([widths[0], *layers], loss="half_squared_error", dtype=dtype, reduction=reduction, seed=4)
    if limits.get("mask"):
        net.mask = np.arange(net.n_params) % 3 != 1
    return net


def optimizer(name, limits):
    return OPTIMIZERS[name](**{key: limits[key] for key in STEP_LIMITS if key in limits})


# ---- the loop in NumPy ----


class Loop:
    """The same training, written down from the formulas."""

    def __init__(self, net, name, limits):
        self.W = [layer.theta.copy() for layer in net.layers]
        self.sizes = [theta.size for theta in self.W]
        self.limits, self.name, self.mean = limits, name, net.get_config()["reduction"] == "mean"
        self.fixed = np.zeros(net.n_params, bool) if net.mask is None else net.mask == 0
        for layer in limits.get("frozen", ()):
            start = sum(self.sizes[:layer])
            self.fixed[start : start + self.sizes[layer]] = True
        self.slots = np.zeros((3, net.n_params))
        self.t, self.average = 0, None

    def rates(self, name):
        return self.limits.get(name, (0.0, 0.0, 0.0))

    def penalty(self):
        return sum(
            l1 * abs(W[1:]).sum() + l2 / 2 * (W[1:] ** 2).sum()
            for W, l1, l2 in zip(self.W, self.rates("l1"), self.rates("l2"), strict=True)
        )

    def gradient(self, X, y, s):
        """J and its gradient as one vector."""
        A = [X]
        for i, W in enumerate(self.W):
            z = A[-1] @ W[1:] + W[0]
            A.append(z if i == 2 else np.tanh(z))
        share = s / s.sum() if self.mean else s
        loss = float((share * (((A[-1] - y) ** 2).sum(axis=1) / 2 + self.penalty())).sum())
        delta, grads = A[-1] - y, []
        for i in (2, 1, 0):
            g = np.vstack([share @ delta, (A[i] * share[:, None]).T @ delta])
            g[1:] += share.sum() * (self.rates("l2")[i] * self.W[i][1:] + self.rates("l1")[i] * np.sign(self.W[i][1:]))
            grads.insert(0, g.ravel())
            delta = (delta @ self.W[i][1:].T) * (1 - A[i] ** 2)
        return loss, np.where(self.fixed, 0, np.concatenate(grads))

    def clipped(self, g):
        g = np.clip(g, -self.limits.get("clip_value", np.inf), self.limits.get("clip_value", np.inf))
        norm, most = np.sqrt((g**2).sum()), self.limits.get("clip_norm", np.inf)
        return g * (most / norm) if norm > most else g

    def step(self, X, y, s):
        loss, g = self.gradient(X, y, s)
        self.t += 1
        w, before = np.concatenate([W.ravel() for W in self.W]), self.slots.copy()
        new = np.where(self.fixed, w, getattr(self, self.name)(w, self.clipped(g), loss))
        self.slots = np.where(self.fixed, before, self.slots)
        parts = np.split(new, np.cumsum(self.sizes)[:-1])
        self.W = [part.reshape(W.shape) for part, W in zip(parts, self.W, strict=True)]
        self.shorten()
        now = np.concatenate([W.ravel() for W in self.W])
        if "average" in self.limits:
            a = self.limits["average"]
            self.average = now if self.t == 1 else a * self.average + (1 - a) * now
        return loss

    def shorten(self):
        parts = np.split(self.fixed, np.cumsum(self.sizes)[:-1])
        for W, most, fixed in zip(self.W, self.limits.get("max_norm", (None,) * 3), parts, strict=True):
            length = np.sqrt((W[1:] ** 2).sum(axis=0))
            if most is not None:
                factor = np.where(length > most, most / length, 1)
                W[1:] *= np.where(fixed.reshape(W.shape)[1:], 1, factor)

    def sgd(self, w, g, _):
        return w - 0.1 * g

    def momentum(self, w, g, _):
        self.slots[0] = 0.8 * self.slots[0] - 0.05 * g
        return w + self.slots[0]

    def adam(self, w, g, _, decay=0.0):
        self.slots[0] = 0.9 * self.slots[0] + (1 - 0.9) * g
        self.slots[1] = 0.999 * self.slots[1] + (1 - 0.999) * g**2
        m, v = self.slots[0] / (1 - 0.9**self.t), self.slots[1] / (1 - 0.999**self.t)
        return w - 0.05 * (m / (np.sqrt(v) + 1e-8) + decay * w)

    def adamw(self, w, g, _):
        return self.adam(w, g, _, 0.1)

    def irprop_plus(self, w, g, loss):
        sign, length, last = self.slots
        if self.t == 1:
            length = np.full_like(w, 0.0125)
        p = sign * np.sign(g)
        back = np.where((p < 0) & (loss > last), sign * length, 0)
        length = np.where(p > 0, np.minimum(1.2 * length, 50), np.where(p < 0, 0.5 * length, length))
        sign = np.where(p < 0, 0, np.sign(g))
        self.slots = np.stack([sign, length, np.full_like(w, loss)])
        return w + back - sign * length


BATCHES = (slice(0, 4), slice(4, 8), slice(8, 11))


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@each_of("name", OPTIMIZERS)
def test_training_is_what_the_formulas_say(name, limits):
    net, whole = network(limits), name == "irprop_plus"
    loop, ours = Loop(net, name, limits), optimizer(name, limits)
    for _ in range(4):
        batches = (slice(None),) if whole else BATCHES
        losses = [loop.step(X[rows], Y[rows], S[rows]) for rows in batches]
        loss = net.partial_fit(X, Y, sample_weight=S, optimizer=ours, batch_size=11 if whole else 4, shuffle=False)
        total = [S[rows].sum() for rows in batches]
        assert loss == pytest.approx(np.dot(losses, total) / sum(total), rel=1e-12)
    for layer, W in zip(net.layers, loop.W, strict=True):
        np.testing.assert_allclose(layer.theta, W, rtol=1e-12, atol=1e-13)
    if "average" in limits:
        np.testing.assert_allclose(net.averaged().params, loop.average, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, S], ids=["alike", "weighted"])
def test_the_objective_has_the_penalty_once_a_sample(reduction, weight):
    limits = LIMITS["everything"]
    net = network(limits, reduction=reduction)
    want, g = Loop(net, "sgd", limits).gradient(X, Y, np.ones(11) if weight is None else weight)
    assert net.loss(X, Y, weight) == pytest.approx(want, rel=1e-13)
    assert net.gradient(X, Y, weight) == pytest.approx(want, rel=1e-13)
    np.testing.assert_allclose(net.grad, g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradcheck_with_penalties_and_fixed_parameters(reduction):
    net = network(LIMITS["everything"] | {"frozen": (0,)}, reduction=reduction)
    report = cbp.gradcheck(net, X, Y, S)
    assert report.max_error < 1e-9
    assert [layer.checked for layer in report.layers] == [0, *(int(layer.mask.sum()) for layer in net.layers[1:])]


def test_history_has_the_penalty_on_both_sides():
    net = network(LIMITS["l2"])
    history = net.fit(X, Y, epochs=2, batch_size=11, optimizer=SGD(0.0), validation=(X, Y))
    assert history.val_loss[0] == net.loss(X, Y)
    assert history.loss[0] == pytest.approx(net.loss(X, Y), rel=1e-15)
    assert net.loss(X, Y) > network({}).loss(X, Y)


# ---- the two ways of an update ----


def by_steps(net, ours, batch, weight, X, Y):
    for start in range(0, len(X), batch):
        rows = slice(start, start + batch)
        net.gradient(X[rows], Y[rows], None if weight is None else weight[rows])
        ours.step(net)


def same_state(one, other):
    return same_bytes(one.params, other.params) and same_bytes(one._memory.slots, other._memory.slots)


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@each_of("dtype", ["float32", "float64"])
def test_an_epoch_is_its_steps_bit_for_bit(dtype, limits):
    for name, batch, weight in itertools.product(("sgd", "adamw"), (1, 4), (None, S)):
        ours = optimizer(name, limits)
        epoch, steps = network(limits, dtype=dtype), network(limits, dtype=dtype)
        for _ in range(2):
            epoch.partial_fit(X, Y, batch_size=batch, optimizer=ours, sample_weight=weight, shuffle=False)
            by_steps(steps, ours, batch, weight, X, Y)
        assert same_state(epoch, steps)


@pytest.mark.parametrize("clips", [True, False])
def test_batches_of_more_terms_than_a_block_too(clips):
    limits = {name: value for name, value in LIMITS["everything"].items() if clips or not name.startswith("clip")}
    rng, ours = np.random.default_rng(7), optimizer("adamw", limits)
    X, Y = rng.normal(0, 1, (1100, 3)), rng.normal(0, 1, (1100, 2))
    epoch, steps = network(limits), network(limits)
    epoch.partial_fit(X, Y, batch_size=540, optimizer=ours, shuffle=False)
    by_steps(steps, ours, 540, None, X, Y)
    assert same_state(epoch, steps)


@pytest.fixture
def many_threads():
    before = cbp.get_num_threads()
    yield cbp.set_num_threads
    cbp.set_num_threads(before)


@pytest.mark.parametrize("limits", [LIMITS["everything"], LIMITS["everything"] | {"frozen": (0,), "clip_norm": 1e9}])
def test_threads_change_no_bit(many_threads, limits):
    rng, found = np.random.default_rng(5), []
    X, Y = rng.normal(0, 1, (96, 130)).astype("f"), rng.normal(0, 1, (96, 70)).astype("f")
    for threads in (1, 2, 3, 4):
        many_threads(threads)
        for steps in (False, True):
            for kind in (limits, {k: v for k, v in limits.items() if not k.startswith("clip")}):
                net, ours = network(kind, (130, 257, 190, 70), "float32"), optimizer("adamw", kind)
                if steps:
                    by_steps(net, ours, 48, None, X, Y)
                else:
                    net.partial_fit(X, Y, batch_size=48, optimizer=ours, shuffle=False)
                found.append((net.params.tobytes(), net._memory.slots.tobytes()))
    assert len(set(found)) == 2  # with clipping, and without


# ---- what each promises ----


def test_the_loss_of_an_epoch_does_not_depend_on_the_batch():
    losses = [network(LIMITS["l2"]).partial_fit(X, Y, batch_size=b, optimizer=SGD(0.0)) for b in (1, 3, 11)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-13)


def test_a_batch_without_weight_has_no_gradient_of_the_penalty():
    net = network(LIMITS["l2"])
    before = net.params.copy()
    net.partial_fit(X[:4], Y[:4], sample_weight=[1, 1, 0, 0], batch_size=2, optimizer=SGD(0.1), shuffle=False)
    once = network(LIMITS["l2"])
    once.partial_fit(X[:2], Y[:2], batch_size=2, optimizer=SGD(0.1), shuffle=False)
    assert same_bytes(net.params, once.params)
    assert (net.params != before).any()


@pytest.mark.parametrize("train", ["fit", "train_step", "update"])
def test_no_weights_are_longer_than_max_norm(train):
    net = cbp.Network([3, Dense(300, "tanh", max_norm=0.5), 2], output="identity", dtype="float32", seed=0)
    net.params[:] = np.random.default_rng(6).normal(0, 1, net.n_params)
    if train == "fit":
        net.fit(X, Y, epochs=1, optimizer="sgd")
    elif train == "train_step":
        net.train_step(X[0], Y[0], 0.1)
    else:
        net.update(0.0)
    lengths = np.sqrt((net.layers[0].W.astype("d") ** 2).sum(axis=0))
    assert (abs(lengths - 0.5) < 1e-6).sum() > 290
    assert lengths.max() < 0.5 + 1e-6
    assert (net.layers[1].W ** 2).sum(axis=0).max() > 0.25


def test_step_clips_the_gradient_in_place():
    net = network({})
    net.grad[:] = np.linspace(-2, 2, net.n_params)
    SGD(0.0, clip_value=0.5).step(net)
    assert abs(net.grad).max() == 0.5
    SGD(0.0, clip_norm=0.25).step(net)
    assert np.linalg.norm(net.grad) == pytest.approx(0.25, rel=1e-15)
    before = net.grad.copy()
    SGD(0.0, clip_norm=0.3, clip_value=0.5).step(net)
    assert same_bytes(net.grad, before)


def test_fixed_parameters_do_not_count_in_the_norm():
    net = network({"mask": True, "frozen": (1,)})
    net.grad[:] = 1
    SGD(0.0, clip_norm=1e-3).step(net)
    free = (net.mask != 0) & (np.arange(net.n_params) < net.layers[0].theta.size)
    free |= (net.mask != 0) & (np.arange(net.n_params) >= net.n_params - net.layers[2].theta.size)
    np.testing.assert_allclose(net.grad, np.where(free, 1e-3 / np.sqrt(free.sum()), 0), rtol=1e-14)


def test_a_norm_that_is_not_finite_clips_nothing():
    net = network({})
    net.grad[:], net.grad[0] = 1e200, 3
    SGD(0.0, clip_norm=1.0).step(net)
    assert net.grad[0] == 3


@pytest.mark.parametrize("name", cbp._core._INDEX["optimizers"])
def test_a_mask_of_zeros_is_a_frozen_layer_and_thaws_with_its_state(name):
    nets = [network({}), network({})]
    for net in nets:
        net.fit(X, Y, epochs=3, batch_size=11, optimizer=name)
    middle, state = nets[0].layers[1].theta.copy(), nets[0]._memory.slots.copy()
    nets[0].layers[1].trainable = False
    nets[1].layers[1].mask = np.zeros((6, 4))
    for net in nets:
        net.fit(X, Y, epochs=3, batch_size=11)
        assert same_bytes(net.layers[1].theta, middle)
    assert same_state(*nets)
    start = nets[0].layers[0].theta.size
    part = slice(start, start + middle.size)
    assert same_bytes(nets[0]._memory.slots[:, part], state[:, part])
    nets[0].layers[1].trainable, nets[1].mask = True, None
    for net in nets:
        net.fit(X, Y, epochs=1, batch_size=11)
        assert (net.layers[1].theta != middle).any()
    assert same_state(*nets)
    assert nets[0] == nets[1]


def test_the_gradient_of_what_is_fixed_is_zero_and_deltas_are_all_there():
    plain, net = network({}), network({"mask": True, "frozen": (0,)})
    plain.gradient(X, Y)
    net.gradient(X, Y)
    free = (net.mask != 0) & (np.arange(net.n_params) >= net.layers[0].theta.size)
    assert same_bytes(net.grad, np.where(free, plain.grad, 0))
    assert all(same_bytes(one, other) for one, other in zip(plain.deltas[1:], net.deltas[1:], strict=True))


def test_what_masks_and_frozen_layers_look_like():
    net = network({})
    assert net.mask is None
    assert net.layers[0].mask is None
    net.layers[1].mask = np.eye(6, 4)
    assert net.mask.dtype == net.dtype
    assert net.mask.sum() == net.n_params - 20
    assert not net.mask.flags.writeable
    np.testing.assert_array_equal(net.layers[1].mask, np.eye(6, 4))
    net.layers[0].mask = np.zeros((4, 5), bool)
    net.layers[1].mask = None
    assert net.mask.sum() == net.n_params - 20
    net.mask = [1] * net.n_params
    assert net.mask is None
    net.layers[2].trainable = False
    assert repr(net.layers[2]) == "Layer(4 > 2 identity, frozen)"
    assert cbp.Network.from_config(json.loads(json.dumps(net.get_config()))).layers[2].trainable is False
    net.layers[2].trainable = True
    assert net.get_config() == network({}).get_config()


def test_all_layers_are_frozen_at_once():
    net = network({})
    assert net.trainable
    net.trainable = False
    assert not any(layer.trainable for layer in net.layers)
    net.layers[0].trainable = True
    assert not net.trainable
    net.trainable = True
    assert all(layer.trainable for layer in net.layers)
    with pytest.raises(TypeError, match="trainable must be True or False, not 'yes'"):
        net.trainable = "yes"


def test_equality_sees_mask_and_frozen_layers():
    net, other = network({}), network({})
    net.mask = np.arange(net.n_params) > 0
    assert net != other
    other.mask = np.arange(net.n_params) > 0
    assert net == other
    other.layers[0].trainable = False
    assert net != other


# ---- what is kept ----


def saved(net, path):
    net.save(path / "net.npz")
    return cbp.load(path / "net.npz")


@pytest.mark.parametrize("keep", [saved, lambda net, _: net.copy(), lambda net, _: pickle.loads(pickle.dumps(net))])
def test_resuming_is_never_having_stopped(keep, tmp_path):
    limits = LIMITS["everything"]
    net = network(limits)
    net.fit(X, Y, epochs=3, batch_size=4, optimizer=optimizer("momentum", limits))
    other = keep(net, tmp_path)
    assert other == net
    assert other.optimizer == net.optimizer
    assert same_bytes(other.mask, net.mask)
    for each in (net, other):
        each.fit(X, Y, epochs=3, batch_size=4)
    assert same_state(net, other)
    assert same_bytes(net.averaged().params, other.averaged().params)


def test_limits_of_an_optimiser_are_shown_when_set():
    plain, limited = Adam(0.1), Adam(0.1, clip_norm=1, average=0.5)
    assert "clip" not in repr(plain)
    assert plain.get_config().keys() == {"name", "learning_rate", "beta1", "beta2", "eps"}
    assert repr(limited).endswith("eps=1e-08, clip_norm=1.0, average=0.5)")
    assert cbp.optimizers.get(limited.get_config()) == limited != plain
    assert pickle.loads(pickle.dumps(limited)) == limited


def test_the_average_begins_anew_with_another_optimiser():
    net = network({})
    net.fit(X, Y, epochs=2, optimizer=SGD(0.1, average=0.9))
    net.partial_fit(X, Y, optimizer=SGD(0.1, average=0.5))
    assert same_bytes(net.averaged().params, net.params)
