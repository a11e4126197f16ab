"""Scaling kept in the network: what is learned, from which rows, and that nothing but the data is different."""

import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from cases import each_of
from scipy import sparse

import cbp
from cbp import _scaled, _sources, scaling

rng = np.random.default_rng(7)
X = rng.normal([3.0, -200.0, 0.02, 1e6], [2.0, 50.0, 0.001, 3.0], (2500, 4))
X[:, 1] = np.round(X[:, 1])
Y = np.column_stack([X[:, 0] * 1e3 + X[:, 1], X[:, 2] * 50 - 7]) + rng.normal(size=(2500, 2))
KINDS = ["standard", "minmax", ("minmax", -1, 1), ("minmax", 0.1, 0.9), "robust"]
ids = str


def formula(kind, A):
    """Center and scale by sums that are rounded once, and by NumPy's own percentiles."""
    if kind == "standard":
        mean = np.array([math.fsum(column) / len(A) for column in A.T])
        return mean, np.sqrt([math.fsum(column) / len(A) for column in ((A - mean) ** 2).T])
    if kind == "robust":
        low, center, high = np.percentile(A, [25, 50, 75], axis=0)
        return center, high - low
    low, high = (0, 1) if kind == "minmax" else kind[1:]
    scale = np.ptp(A, axis=0) / (high - low)
    return A.min(axis=0) - low * scale, scale


def make(inputs="standard", targets="standard", dtype="float32", **kwargs):
    return cbp.Network(
        [4, 6, 2],
        activation="tanh",
        output="identity",
        dtype=dtype,
        seed=3,
        scale_inputs=inputs,
        scale_targets=targets,
        **kwargs,
    )


def numbers(net):
    return [array.tobytes() for s in (net.input_scaling, net.target_scaling) for array in (s.center, s.scale)]


# ---- what is learned ----


@pytest.mark.parametrize("kind", KINDS, ids=ids)
@each_of("n", [1, 2, 5, 1023, 1024, 1025, 2500])
def test_center_and_scale_are_those_of_the_formulas(kind, n):
    net = make(kind, kind)
    net.learn_scaling(X[:n], Y[:n])
    for found, A in ((net.input_scaling, X[:n]), (net.target_scaling, Y[:n])):
        center, scale = formula(kind, A)
        if n == 1:
            center, scale = A[0] - (0 if isinstance(kind, str) else kind[1]), np.ones(A.shape[1])
        np.testing.assert_allclose(found.scale, scale, rtol=1e-12)
        np.testing.assert_allclose(found.center, center, rtol=1e-15, atol=1e-14 * scale.max() if n > 1 else 0)
        np.testing.assert_allclose(found.inverse(found.transform(A)), A, rtol=1e-14, atol=1e-15 * abs(A).max())


@pytest.mark.parametrize("unit", [1e-200, 1e-3, 1e200])
def test_the_standard_deviation_keeps_its_digits_where_the_mean_is_far_larger(unit):
    rows = (1e9 + np.tile([[-1.0], [1.0], [0.0], [0.0]], (300, 1))) * unit
    net = cbp.Network([1, 1], scale_inputs="standard", seed=0)
    net.learn_scaling(rows)
    np.testing.assert_allclose(net.input_scaling.scale, np.sqrt(0.5) * unit, rtol=1e-6)  # 1e9 * unit is rounded, too
    np.testing.assert_allclose(net.input_scaling.center, 1e9 * unit, rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_a_column_without_spread_has_scale_1(kind):
    net = make(kind, None)
    rows = np.tile([0.1, -3.0, 0.0, 1e300], (7, 1))
    net.learn_scaling(rows)
    low = kind[1] if isinstance(kind, tuple) else 0
    assert net.input_scaling.scale.tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(net.input_scaling.transform(rows[0]), [low, low, low, 0], atol=1e-15)


def test_a_column_that_is_mostly_one_value_has_a_robust_scale_of_1():
    net = cbp.Network([1, 1], scale_inputs="robust", seed=0)
    net.learn_scaling([[0.0]] * 9 + [[5.0]])
    assert (net.input_scaling.center, net.input_scaling.scale) == (0, 1)


def test_sums_are_taken_by_halves_of_blocks():
    rows = rng.normal(size=(2500, 3)) * 10.0 ** rng.integers(-9, 9, (2500, 3))

    def by_halves(values):
        values = list(values)
        while len(values) > 1:
            half = len(values) // 2
            pairs = [values[i] + values[half + i] for i in range(half)]
            if len(values) % 2:
                pairs[0] += values[-1]
            values = pairs
        return values[0]

    for n in (1, 2, 3, 7, 1024):
        assert scaling.total(rows[:n]).tolist() == [by_halves(rows[:n, j].tolist()) for j in range(3)]


PROGRAM = """
import numpy as np
from cbp import scaling
x = (np.arange(6000) * 7919 % 10007).reshape(-1, 2) / [3.0, 7e20] - [0.1, 0]
print([scaling.learn(kind, scaling.blocks_of(x), "X", (0, 1))[i].tobytes() for kind in scaling.KINDS for i in (0, 1)])
"""


def test_the_vector_instructions_that_numpy_uses_change_no_bit():
    found = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("NumPy uses no instructions here that could be turned off")
    environments = [os.environ, {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}]
    with_all, with_few = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True).stdout
        for env in environments
    ]
    assert with_all == with_few


def test_targets_that_are_nan_say_nothing():
    y = Y.copy()
    y[::3, 0] = np.nan
    found = _scaled._of_targets(scaling.Scaling("standard"), y)
    present = np.delete(Y, slice(None, None, 3), axis=0)
    np.testing.assert_allclose(found.center, [present[:, 0].mean(), Y[:, 1].mean()], rtol=1e-13)
    with pytest.raises(ValueError, match=r"^column 1 of y has no numbers to learn a scaling from$"):
        _scaled._of_targets(scaling.Scaling("standard"), np.array([[1.0, np.nan]]))


# ---- where it is learned ----


def test_fit_learns_from_the_training_rows_alone_and_once():
    net, same = make(), make()
    net.fit(X, Y, epochs=1, validation=0.2)
    train, held = cbp._samples.split_rows(len(X), 0.2, net.seed)
    same.learn_scaling(X[train], Y[train])
    assert numbers(net) == numbers(same)
    same.fit(X[train], Y[train], epochs=1, validation=(X[held], Y[held]))
    before = numbers(net)
    net.fit(X * 2, Y, epochs=1)
    net.partial_fit(X * 3, Y)
    assert numbers(net) == before


def test_partial_fit_learns_from_its_rows():
    net, same = make(), make()
    net.partial_fit(X[:100], Y[:100])
    same.learn_scaling(X[:100], Y[:100])
    assert numbers(net) == numbers(same)


@pytest.mark.parametrize("kind", KINDS, ids=ids)
@pytest.mark.parametrize("validation", [None, 0.25])
def test_rows_that_are_read_in_pieces_give_the_bits_of_an_array(tmp_path, monkeypatch, kind, validation):
    wanted = make(kind, kind)
    history = wanted.fit(X, Y, epochs=2, validation=validation, metrics="r2")
    np.save(tmp_path / "X.npy", X)
    monkeypatch.setattr(_sources, "PIECE_BYTES", 4096)
    monkeypatch.setattr(scaling, "SORTED_BYTES", 50000)
    for source in (np.load(tmp_path / "X.npy", mmap_mode="r"), sparse.csr_array(X)):
        net = make(kind, kind)
        found = net.fit(source, Y, epochs=2, validation=validation, metrics="r2")
        assert net == wanted
        assert numbers(net) == numbers(wanted)
        assert found.r2 == history.r2
        assert net.predict(source).tobytes() == wanted.predict(X).tobytes()


def test_a_fit_that_is_refused_learns_nothing():
    net = make()
    for wrong in (
        {"sample_weight": [1.0]},
        {"metrics": "nonsense"},
        {"optimizer": "nonsense"},
        {"validation": (X, Y[:3])},
    ):
        with pytest.raises(ValueError, match=r"needs|no |shape|rows|expected"):
            net.fit(X, Y, **wrong)
        assert net.input_scaling.center is None
        assert not net.target_scaling.known


# ---- nothing but the data is different ----


@pytest.mark.parametrize("given", [False, True])
def test_it_is_the_network_that_is_fed_scaled_data(given):
    net = make("standard", "robust", "float64")
    net.learn_scaling(X, Y)
    x, y = net.input_scaling, net.target_scaling
    if given:
        net = make((x.center, x.scale), (y.center, y.scale), "float64")
    plain = make(None, None, "float64")
    scaled_x, scaled_y = (X - x.center) / x.scale, (Y - y.center) / y.scale
    history = net.fit(X[:2000], Y[:2000], epochs=3, validation=(X[2000:], Y[2000:]))
    expected = plain.fit(scaled_x[:2000], scaled_y[:2000], epochs=3, validation=(scaled_x[2000:], scaled_y[2000:]))
    assert (history.loss, history.val_loss) == (expected.loss, expected.val_loss)
    assert net.params.tobytes() == plain.params.tobytes()
    assert net.predict(X).tobytes() == (plain.predict(scaled_x) * y.scale + y.center).tobytes()
    assert net.loss(X, Y) == plain.loss(scaled_x, scaled_y)
    assert (net.gradient(X, Y), plain.gradient(scaled_x, scaled_y)) == (net.loss(X, Y),) * 2
    assert net.grad.tobytes() == plain.grad.tobytes()
    one, other = net.forward(X[:5]), plain.forward(scaled_x[:5])
    assert one.tobytes() == other.tobytes()
    assert net.backward(Y[:5]) == plain.backward(scaled_y[:5])
    assert net.train_step(X[0], Y[0], 0.1) == plain.train_step(scaled_x[0], scaled_y[0], 0.1)
    net.update(0.1), plain.update(0.1)
    assert net.params.tobytes() == plain.params.tobytes()
    assert net.trace(X[0], Y[0]).loss == plain.trace(scaled_x[0], scaled_y[0]).loss


def test_what_float32_cannot_tell_apart_is_scaled_first():
    seconds = 1.7e9 + np.arange(64.0)[:, None]
    assert len(np.unique(seconds.astype(np.float32))) < 3
    net = cbp.Network([1, 1], output="identity", scale_inputs="minmax", scale_targets="standard", seed=0)
    net.learn_scaling(seconds, seconds)
    assert net.forward(seconds)[:, 0].tobytes() == (
        cbp.Network([1, 1], output="identity", seed=0)
        .forward(((seconds - 1.7e9) / 63).astype(np.float32))[:, 0]
        .tobytes()
    )


def test_predictions_and_metrics_are_in_units_of_the_targets():
    net = make()
    history = net.fit(X, Y, epochs=20, validation=(X[:99], Y[:99]), metrics="mean_absolute_error")
    outputs = net.predict(X)
    assert history.mean_absolute_error[-1] == pytest.approx(abs(outputs - Y).mean(), rel=1e-5)
    assert history.val_mean_absolute_error[-1] == pytest.approx(abs(outputs[:99] - Y[:99]).mean(), rel=1e-5)
    out = np.empty((9, 2), np.float32)
    assert net.predict(X[:9], out) is out
    assert out.tobytes() == outputs[:9].tobytes()
    assert net.predict(X[0], out[0]).tobytes() == outputs[0].tobytes()
    assert net.predict(X[:0]).shape == (0, 2)
    assert net.target_scaling.inverse(net.forward(X[:9])).astype(np.float32).tobytes() == out.tobytes()


def test_gradients_are_right():
    net = make(dtype="float64")
    net.learn_scaling(X, Y)
    assert cbp.gradcheck(net, X[:5], Y[:5]).ok


# ---- it stays with the network ----


def test_it_is_saved_copied_and_compared(tmp_path):
    net = make(("minmax", -1, 1), "robust")
    untrained = net.copy()
    net.fit(X, Y, epochs=1)
    net.save(tmp_path / "net.npz")
    for other in (cbp.load(tmp_path / "net.npz"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert other == net
        assert numbers(other) == numbers(net)
        assert other.predict(X).tobytes() == net.predict(X).tobytes()
    other.learn_scaling(X * 2, Y)
    assert other != net
    assert untrained.input_scaling.center is None
    assert "inputs minmax from -1 to 1, targets robust" in str(net)


def test_the_configuration_says_how_not_what():
    given = make((X.mean(axis=0), 2.5), None)
    for net in (make("minmax"), make(("minmax", -1, 1)), given, make(None, (1.0, [2, 3]))):
        other = cbp.Network.from_config(json.loads(json.dumps(net.get_config())))
        assert other == net
    assert given.input_scaling.scale.tolist() == [2.5] * 4
    assert cbp.Network.from_config(given.get_config()).input_scaling.center.tobytes() == X.mean(axis=0).tobytes()
    assert "scale_inputs" not in make(None).get_config()


def test_the_numbers_cannot_be_written_to():
    net = make((0, 1))
    with pytest.raises(ValueError, match="read-only"):
        net.input_scaling.center[0] = 1


DAMAGE = {
    "of no sense": ({"scaling": 5}, None, "its header describes no network: scaling must list what was learned"),
    "of nothing": (
        {"network": "scale_inputs"},
        None,
        "its header describes no network: it has a learned input_scaling, but nothing was to be learned",
    ),
    "not positive": ({}, 0.0, "its array 'input_scaling' has a scale that is not positive"),
    "not finite": ({}, np.nan, "its array 'input_scaling' has a number that is not finite"),
    "missing": ({"scaling": []}, None, "it has a member 'input_scaling' that does not belong"),
}


@pytest.mark.parametrize(("fields", "number", "sentence"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(tmp_path, fields, number, sentence):
    net = make(targets=None)
    net.learn_scaling(X)
    net.save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as members:
        arrays = dict(members)
    header = json.loads(arrays["header"].tobytes())
    if fields.get("network"):
        del header["network"][fields["network"]]
    else:
        header |= fields
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    if number is not None:
        arrays["input_scaling"][1, 2] = number
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())
    with pytest.raises(cbp.FormatError) as caught:
        cbp.load(tmp_path / "bad.npz")
    assert str(caught.value).endswith(f"that cbp can read: {sentence}")


# ---- what is refused ----

EXPECTED = "'standard', 'minmax', 'robust', ('minmax', low, high) or (center, scale)"
UNKNOWN = (RuntimeError, "the scaling is not learned yet: call fit, or net.learn_scaling(X, y)")
inf = float("inf")


def learn(inputs="standard", targets=None, X=X, y=None, **kwargs):
    return make(inputs, targets).learn_scaling(X, y, **kwargs)


REFUSED = {
    "name": (lambda: make("norm"), ValueError, f"scale_inputs must be {EXPECTED}, not 'norm'"),
    "number": (lambda: make(2.0), TypeError, f"scale_inputs must be {EXPECTED}, not 2.0"),
    "dict": (lambda: make(None, {}), TypeError, f"scale_targets must be {EXPECTED}, not {{}}"),
    "three": (lambda: make((1, 2, 3)), ValueError, f"scale_inputs must be {EXPECTED}, not (1, 2, 3)"),
    "limits": (
        lambda: make(("minmax", 1, 1)),
        ValueError,
        "scale_inputs: low must be less than high, not 1 and 1",
    ),
    "text for a limit": (
        lambda: make(("minmax", "a", 1)),
        TypeError,
        "scale_inputs: low must be a number, not 'a'",
    ),
    "shape": (
        lambda: make((np.zeros(3), 1)),
        ValueError,
        "scale_inputs: center has shape (3,), expected (4,) or a number",
    ),
    "text": (lambda: make(("a", 1)), TypeError, "scale_inputs: center must be numbers, not 'a'"),
    "infinite": (lambda: make((0, inf)), ValueError, "scale_inputs: scale must be finite"),
    "zero": (lambda: make((0, [1, 0, 2, 3])), ValueError, "scale_inputs: scale must be positive, but has 0"),
    "classes": (
        lambda: cbp.Network([4, 2], output="softmax", scale_targets="standard"),
        ValueError,
        "scale_targets needs targets that may be any number, which those of categorical_cross_entropy with the output "
        "2 softmax are not",
    ),
    "yes or no": (
        lambda: cbp.Network([4, 1], scale_targets="minmax"),
        ValueError,
        "scale_targets needs targets that may be any number, which those of binary_cross_entropy with the output "
        "1 sigmoid are not",
    ),
    "predict": (lambda: make().predict(X), *UNKNOWN),
    "predict of targets": (lambda: make(None).predict(X), *UNKNOWN),
    "forward": (lambda: make().forward(X[0]), *UNKNOWN),
    "train_step": (lambda: make().train_step(X[0], Y[0], 0.1), *UNKNOWN),
    "loss": (lambda: make().loss(X, Y), *UNKNOWN),
    "gradcheck": (lambda: cbp.gradcheck(make(), X, Y), *UNKNOWN),
    "transform": (lambda: make().input_scaling.transform(X), *UNKNOWN),
    "inverse": (lambda: make().input_scaling.inverse(X), *UNKNOWN),
    "batches": (
        lambda: make().fit([(X, Y)]),
        ValueError,
        "the scaling cannot be learned from batches: call net.learn_scaling(X, y) before, or give (center, scale)",
    ),
    "no y": (lambda: make().fit(X), TypeError, "y is missing"),
    "no y to learn from": (
        lambda: learn(targets="standard"),
        ValueError,
        "y is missing: the scaling of the targets is learned from it",
    ),
    "no scaling": (
        lambda: learn(None),
        ValueError,
        "the network has no scaling to learn: see scale_inputs and scale_targets of Network",
    ),
    "given": (
        lambda: learn((0, 1)),
        ValueError,
        "the network has no scaling to learn: see scale_inputs and scale_targets of Network",
    ),
    "no rows": (lambda: learn(X=X[:0]), ValueError, "X has no rows"),
    "nan": (lambda: learn(X=[[0, 1, 2, np.nan]]), ValueError, "X[0, 3] is nan"),
    "nan unseen": (
        lambda: learn(X=[[0, 1, 2, np.nan]], check_finite=False),
        ValueError,
        "column 3 of X cannot be scaled: its numbers are too far apart",
    ),
    "too far apart": (
        lambda: learn("minmax", X=[[0, 0, -1e308, 0], [0, 0, 1e308, 0]]),
        ValueError,
        "column 2 of X cannot be scaled: its numbers are too far apart",
    ),
    "far away": (
        lambda: make((0, 1e-300), None).predict(np.ones((3, 4))),
        ValueError,
        "X[0, 0] is 1, which scaled float32 cannot hold",
    ),
    "one far away": (
        lambda: make(([0, 1, 1, 1], 1e-30), None).predict([0, 1, 1, 1e10]),
        ValueError,
        "X[3] is 1e+10, which scaled float32 cannot hold",
    ),
    "target far away": (
        lambda: make(None, (0, 1e-30)).loss(X[:2], [[0, 0], [0, 1e9]]),
        ValueError,
        "y[1, 1] is 1e+09, which scaled float32 cannot hold",
    ),
}


@pytest.mark.parametrize(("act", "error", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(act, error, sentence):
    with pytest.raises(error) as caught:
        act()
    assert (type(caught.value), str(caught.value)) == (error, sentence)


def test_batches_follow_what_was_learned():
    net, same = make(), make()
    for each in (net, same):
        each.learn_scaling(X, Y)
    net.fit([(X[:64], Y[:64]), (X[64:90], Y[64:90])], epochs=2)
    same.fit(X[:90], Y[:90], epochs=2, shuffle=False)
    assert net == same
