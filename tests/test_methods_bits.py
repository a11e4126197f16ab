"""The full-batch methods give the stored bits: with every instruction set, any number of threads, in both precisions.

`python tests/test_methods_bits.py` prints the hashes. No floating-point arithmetic makes the data.
"""

import sys
from functools import cache
from itertools import product

import bits
import numpy as np
import pytest

import cbp
from cbp import _core, methods

ROWS, STEPS = 700, 8
THREADS = (1, 2, 3)
STORED = {
    ("levenberg_marquardt", "float32"): 0xABE92987F463AE2F,
    ("levenberg_marquardt", "float64"): 0xA555EF7A656FD348,
    ("bayesian_regularization", "float32"): 0x3801B9F53F11DD8F,
    ("bayesian_regularization", "float64"): 0x523954D473F2C0F5,
    ("scg", "float32"): 0xB11999FD1747BFCE,
    ("scg", "float64"): 0xDA1DAADFBCA19078,
    ("conjugate_gradient", "float32"): 0x3CC7D433D2C27383,
    ("conjugate_gradient", "float64"): 0xF10FE4C84438BA14,
    ("bfgs", "float32"): 0x5B55E728853FEAA4,
    ("bfgs", "float64"): 0xA989EC3FD2A23AB7,
    ("lbfgs", "float32"): 0x9B2713E5E0A2D3F1,
    ("lbfgs", "float64"): 0x60384B7E06E94B1A,
    ("truncated_newton", "float32"): 0x39F34186F2935C5D,
    ("truncated_newton", "float64"): 0x51978E77DA4A32BD,
}


@cache
def data():
    """Inputs in sixteenths, two targets that are products and sums of them, and weights in quarters."""
    x = np.array([bits.sixteenths(0, row, 3) for row in range(ROWS)])
    y = np.stack([x[:, 0] * x[:, 1], 8 * (x[:, 1] + x[:, 2] - x[:, 0])], axis=1)
    return x / 16, y / 256, (1 + np.arange(ROWS) % 5) / 4


def train(name, dtype):
    """Return the loss and the length of the gradient after every step, and the parameters after the last."""
    layers = [3, cbp.Dense(7, ["tanh", "sigmoid", "softplus", "gelu", "tanh", "silu", "elu"]), 2]
    net = cbp.Network(layers, output="identity", dtype=dtype, seed=bits.SEED)
    X, y, weight = data()
    history = net.fit(X, y, epochs=STEPS, optimizer=name, sample_weight=weight, progress=False)
    return np.array(history.loss), np.array(history.gradient), net.params


def result(name, dtype, isa, threads):
    """Return the hash of a training."""
    before = cbp.get_num_threads()
    cbp.set_num_threads(threads)
    try:
        with bits.instruction_set(isa):
            return bits.fnv1a(train(name, dtype))
    finally:
        cbp.set_num_threads(before)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize(("name", "dtype"), STORED)
def test_the_fixed_trainings_have_the_stored_hash(name, dtype, isa, threads):
    assert result(name, dtype, isa, threads) == STORED[name, dtype]


def test_every_method_is_stored():
    assert list(STORED) == list(product(methods.by_name, ("float32", "float64")))


@pytest.mark.parametrize(("name", "dtype"), STORED)
def test_the_fixed_trainings_are_trainings(name, dtype):
    losses, lengths, _ = train(name, dtype)
    assert len(losses) == len(lengths) == STEPS
    assert losses[-1] < losses[0]
    assert len(set(losses)) > STEPS // 2


if __name__ == "__main__":
    for name, dtype in product(methods.by_name, ("float32", "float64")):
        found = {result(name, dtype, isa, threads) for isa in _core.isas() for threads in THREADS}
        print(f'    ("{name}", "{dtype}"): {", ".join(f"{digest:#018x}" for digest in found)},')
        if found != {STORED.get((name, dtype))}:
            print("DIFFERS", file=sys.stderr)
