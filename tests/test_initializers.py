"""Initialisers: their distributions and shapes, stored bits, layers with their own, functions of the user's."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from reference import rows

import cbp


def weights(init, n_in, n_out, seed=0, dtype="float64"):
    layer = cbp.Network([n_in, n_out], init=init, seed=seed, dtype=dtype).layers[0]
    return layer.W, layer.b


# Variances by the papers' formulas
VARIANCE = {
    "glorot_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "glorot_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "lecun_uniform": lambda n_in, n_out: 1 / n_in,
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
}


@pytest.mark.parametrize("name", VARIANCE)
def test_variance_is_the_papers(name):
    W, b = weights(name, 300, 200)
    expected = VARIANCE[name](300, 200)
    assert abs(W.mean()) < 5 * np.sqrt(expected / W.size)
    assert W.var() == pytest.approx(expected, rel=0.03)
    assert (np.abs(W).max() <= np.sqrt(3 * expected)) == name.endswith("uniform")
    assert not b.any()


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (7, 7), (64, 64), (300, 20), (20, 300), (5, 257), (257, 5)])
@pytest.mark.parametrize("gain", [1.0, 1.4142135623730951])
def test_orthogonal_weights_keep_lengths(n_in, n_out, gain):
    W, b = weights(cbp.initializers.orthogonal(gain=gain), n_in, n_out)
    product = W.T @ W if n_in >= n_out else W @ W.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(n_in, n_out)), rtol=0, atol=1e-12)
    assert not b.any()


def test_orthogonal_weights_are_the_q_of_normal_numbers():
    """The Q of LAPACK's QR, with the signs that make the diagonal of R positive."""
    A = weights("lecun_normal", 40, 30, seed=4)[0] * np.sqrt(40)
    Q, R = np.linalg.qr(A)
    np.testing.assert_allclose(weights("orthogonal", 40, 30, seed=4)[0], Q * np.sign(np.diag(R)), rtol=0, atol=1e-12)


def test_orthogonal_matrices_are_uniform_among_all():
    """Haar measure: E of trace(Q) is 0, of its square 1 (Diaconis and Shahshahani, 1994)."""
    traces = np.array([np.trace(weights("orthogonal", 6, 6, seed=seed)[0]) for seed in range(2000)])
    assert abs(traces.mean()) < 5 / np.sqrt(2000)
    assert abs((traces**2).mean() - 1) < 5 * np.sqrt(2 / 2000)


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 10), (2, 300), (13, 257), (300, 3)])
@pytest.mark.parametrize("gain", [0.7, 2.0])
def test_nguyen_and_widrows_units_have_their_length(n_in, n_out, gain):
    W, b = weights(cbp.initializers.nguyen_widrow(gain), n_in, n_out)
    length = gain * n_out ** (1 / n_in)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), length, rtol=1e-14)
    assert (np.abs(b) <= length).all()


def test_nguyen_and_widrows_biases_are_uniform():
    _, b = weights("nguyen_widrow", 3, 5000)
    r = 0.7 * 5000 ** (1 / 3)
    assert abs(b.mean()) < 5 * r / np.sqrt(3 * 5000)
    assert b.var() == pytest.approx(r**2 / 3, rel=0.05)


@pytest.mark.parametrize("span", [6.0, 2.0])
def test_glorots_biases_are_like_the_weights(span):
    W, b = weights(cbp.initializers.glorot_biases(span), 300, 700)
    r = np.sqrt(span / 1000)
    for values in (W, b):
        assert 0.99 * r < np.abs(values).max() <= r
        assert abs(values.mean()) < 5 * r / np.sqrt(3 * values.size)
        assert values.var() == pytest.approx(r**2 / 3, rel=0.1)
    assert np.array_equal(weights("glorot_biases", 300, 700)[0], weights("glorot_uniform", 300, 700)[0])


def test_constants_are_what_they_say():
    assert (weights(cbp.initializers.constant(0.25), 300, 2)[0] == 0.25).all()
    assert not weights("constant", 3, 2)[0].any()
    assert not weights("zeros", 3, 2)[0].any()


# Weights of a layer of 3 inputs and 2 units, from seed 7, row by row: on every machine
BITS = {
    "glorot_uniform": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.7039e61a612fap-1",
        "-0x1.3425875956e86p-1",
        "0x1.886d323a4a0b4p-1",
        "-0x1.5747434235520p-2",
        "0x1.6adcd3555f5bcp-2",
        "0x1.031803e270560p-1",
    ],
    "glorot_normal": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.32c2feafebcabp-1",
        "-0x1.e898a93b1282dp-2",
        "0x1.4f64186ebb630p-1",
        "-0x1.fda4c11cdefdcp-3",
        "0x1.0e34e3d58dfb7p-2",
        "0x1.8ecab4a4e62d1p-2",
    ],
    "glorot_biases": [
        "-0x1.d8c5bdeddb2a1p-5",
        "-0x1.f48dd8fc3b6cdp-3",
        "-0x1.7039e61a612fap-1",
        "-0x1.3425875956e86p-1",
        "0x1.886d323a4a0b4p-1",
        "-0x1.5747434235520p-2",
        "0x1.6adcd3555f5bcp-2",
        "0x1.031803e270560p-1",
    ],
    "he_uniform": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.db60c08a1ef6ap-1",
        "-0x1.8dd0c796e5ffep-1",
        "0x1.fa9ed8bb6f881p-1",
        "-0x1.bb2ba3ed767afp-2",
        "0x1.d4741f4057e35p-2",
        "0x1.4e7d19714f253p-1",
    ],
    "he_normal": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.8c071414338d5p-1",
        "-0x1.3b6338336eb70p-1",
        "0x1.b0fce815a8cf6p-1",
        "-0x1.48f938031e695p-2",
        "0x1.5cd5d1248954bp-2",
        "0x1.016b446250014p-1",
    ],
    "lecun_uniform": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.5024994205146p-1",
        "-0x1.194c4e4ec14f2p-1",
        "0x1.663c1b038ca4ap-1",
        "-0x1.395e6c99db554p-2",
        "0x1.4b3f28f2512d4p-2",
        "0x1.d909d56c568ecp-2",
    ],
    "lecun_normal": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.1808a989b8c6cp-1",
        "-0x1.be067fd0ea0f3p-2",
        "0x1.322b2f62e9fe3p-1",
        "-0x1.d13d220cdeec7p-3",
        "0x1.ed53d737c488cp-3",
        "0x1.6c0ba32753461p-2",
    ],
    "orthogonal": [
        "0x0.0p+0",
        "0x0.0p+0",
        "-0x1.4b3b43ed2af78p-1",
        "-0x1.08bb64562813fp-1",
        "0x1.6a24fe9a1c5eep-1",
        "-0x1.5cf0c53052a0ep-1",
        "0x1.23c2ae931d798p-2",
        "0x1.0924ef9418b3ep-1",
    ],
    "nguyen_widrow": [
        "-0x1.7ca1408bab5a3p-5",
        "-0x1.92ff3877ecf43p-3",
        "-0x1.24ca560ec6488p-1",
        "-0x1.3deea4198129cp-1",
        "0x1.380872cc9f76ep-1",
        "-0x1.622dfb94138ebp-2",
        "0x1.20868de64aa39p-2",
        "0x1.0b5258ebbfdcap-1",
    ],
    "constant": ["0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0"],
    "zeros": ["0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0", "0x0.0p+0"],
}


def test_there_are_bits_for_every_initialiser():
    assert list(BITS) == list(rows("initializers"))


@pytest.mark.parametrize("name", BITS)
def test_weights_have_the_same_bits_everywhere(name):
    assert [w.hex() for w in cbp.Network([3, 2], init=name, seed=7, dtype="float64").params.tolist()] == BITS[name]


def test_large_orthogonal_weights_have_the_same_bits_everywhere():
    """More columns than are made orthonormal at a time."""
    W, _ = weights("orthogonal", 50, 40, seed=7)
    assert hashlib.sha256(W.astype("<f8").tobytes()).hexdigest()[:16] == "8b5cf779c88415de"


# ---- a layer's own ----


def test_a_layer_may_have_an_initialiser_of_its_own():
    mixed = cbp.Network([4, cbp.Dense(5, "tanh", init="orthogonal"), 3], init="he_normal", seed=1)
    first, second = (
        cbp.Network([4, cbp.Dense(5, "tanh"), 3], init=init, seed=1) for init in ("orthogonal", "he_normal")
    )
    assert mixed.layers[0].theta.tobytes() == first.layers[0].theta.tobytes()
    assert mixed.layers[1].theta.tobytes() == second.layers[1].theta.tobytes()


def test_a_layers_initialiser_stays_when_the_network_gives_the_activation():
    assert not cbp.Network([4, cbp.Dense(5, init="zeros"), 1], activation="tanh").layers[0].W.any()


@pytest.mark.parametrize(
    "init", ["orthogonal", cbp.initializers.orthogonal(gain=1.5), {"name": "constant", "value": 2}]
)
def test_initialisers_with_arguments_go_through_json(init):
    for net in (cbp.Network([3, cbp.Dense(4, "tanh", init), 2], seed=3), cbp.Network([3, 4, 2], init=init, seed=3)):
        again = cbp.Network.from_config(json.loads(json.dumps(net.get_config())))
        assert again == net
        assert again.get_config() == net.get_config()


def test_initialisers_go_through_a_file(tmp_path):
    net = cbp.Network([3, cbp.Dense(4, "tanh", cbp.initializers.orthogonal(2)), 2], init="nguyen_widrow", seed=3)
    net.save(tmp_path / "net.npz")
    assert cbp.load(tmp_path / "net.npz") == net == pickle.loads(pickle.dumps(net))


def test_a_layer_prints_its_initialiser():
    assert repr(cbp.Dense(3, init="zeros")) == "Dense(3, init='zeros')"
    assert repr(cbp.Dense(3, "tanh", cbp.initializers.constant(2))) == (
        "Dense(3, 'tanh', init={'name': 'constant', 'value': 2.0})"
    )
    assert cbp.Dense(3, "tanh", "zeros") != cbp.Dense(3, "tanh")
    assert len({cbp.Dense(3, "tanh", "zeros"), cbp.Dense(3, "tanh"), cbp.Dense(3, "tanh", "zeros")}) == 2


# ---- a function ----


def test_a_function_makes_the_weights_of_every_layer():
    seen = []

    def counting(fan_in, fan_out, seed):
        seen.append((fan_in, fan_out, seed))
        return np.arange(fan_in * fan_out).reshape(fan_in, fan_out)

    net = cbp.Network([2, 3, 4], init=counting, seed=2**64 - 1)
    for layer in net.layers:
        assert layer.W.ravel().tolist() == list(range(layer.W.size))
        assert not layer.b.any()
    assert [shape[:2] for shape in seen] == [(2, 3), (3, 4)]
    assert seen[0][2] != seen[1][2]
    assert all(0 <= seed < 2**64 for *_, seed in seen)


def test_the_seeds_of_a_function_depend_on_the_networks_seed_alone():
    def seeds(seed):
        found = []
        cbp.Network([2, 3, 4], init=lambda n, m, own: found.append(own) or np.zeros((n, m)), seed=seed)
        return found

    assert seeds(5) == seeds(5)
    assert not set(seeds(5)) & set(seeds(6))


def test_a_function_may_make_one_layer():
    net = cbp.Network([2, cbp.Dense(3, "tanh", init=lambda *_: [[1, 2, 3], [4, 5, 6]]), 1], seed=0)
    assert net.layers[0].W.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert net.layers[1].theta.tobytes() == cbp.Network([2, cbp.Dense(3, "tanh"), 1], seed=0).layers[1].theta.tobytes()


def test_a_function_acts_once_and_is_not_kept(tmp_path):
    net = cbp.Network(
        [2, cbp.Dense(3, "tanh", init=lambda *_: np.ones((2, 3))), 1], init=lambda n, m, _: np.ones((n, m))
    )
    assert net.get_config()["init"] is None
    assert "init" not in net.get_config()["layers"][1]
    net.save(tmp_path / "net.npz")
    assert net == net.copy() == pickle.loads(pickle.dumps(net)) == cbp.load(tmp_path / "net.npz")


def returning(value):
    return lambda: cbp.Network([2, 3], init=lambda *_: value)


ERRORS = {
    "shape": (
        returning(np.zeros((3, 2))),
        ValueError,
        "init must return an array of shape (2, 3) for layer 1, not (3, 2)",
    ),
    "a number": (returning(0.5), ValueError, "init must return an array of shape (2, 3) for layer 1, not ()"),
    "nan": (returning(np.full((2, 3), np.nan)), ValueError, "init must return finite numbers for layer 1"),
    "too large": (returning(np.full((2, 3), 1e39)), ValueError, "init makes weights that are too large for float32"),
    "too large a constant": (
        lambda: cbp.Network([2, 3], init=cbp.initializers.constant(-1e39)),
        ValueError,
        "init makes weights that are too large for float32",
    ),
    "text": (returning([["a"] * 3] * 2), TypeError, "init must return numbers, not an array of <U1, for layer 1"),
    "nothing": (returning(None), TypeError, "init must return numbers, not an array of object, for layer 1"),
    "a number as init": (
        lambda: cbp.Dense(3, init=3),
        TypeError,
        "initialiser must be a name or one of cbp.initializers, not 3",
    ),
    "an activation": (
        lambda: cbp.Network([2, 3], init=cbp.activations.tanh),
        TypeError,
        "initialiser must be a name or one of cbp.initializers, not tanh",
    ),
    "argument": (
        lambda: cbp.initializers.orthogonal(gain=float("inf")),
        ValueError,
        "orthogonal's gain must be finite, not inf",
    ),
    "no argument": (
        lambda: cbp.initializers.zeros(value=1),
        TypeError,
        "zeros has no argument 'value'; it has none",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_says_what_is_wrong(name):
    call, kind, sentence = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence
