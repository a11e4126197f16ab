"""One training step of cbp equals the textbook loop, byte for byte (textbook.py says what that is)."""

from fractions import Fraction

import numpy as np
import pytest
import textbook
from helpers import DTYPES, core_plan, network, problem, same_bytes, uniform_layer
from reference import Oracle

# widths, activations, rows
SHAPES = {
    "one of each": ((1, 1), "i", 1),
    "odd": ((5, 7, 3), "ri", 9),
    "deep": ((3, 4, 5, 6, 2), "lrli", 6),
    "wide": ((37, 53, 29, 7), "rli", 13),
    "vector widths": ((16, 32, 8), "ri", 16),
    "one past": ((17, 33, 9), "li", 17),
    "many rows": ((6, 5, 1), "ri", 150),
    "wide inputs": ((300, 3), "l", 4),
    "wide outputs": ((2, 130), "r", 3),
}
NAMES = {"i": ("identity", 0.0), "r": ("relu", 0.0), "l": ("leaky_relu", 0.3)}


def oracle_of(widths, letters, reduction="mean"):
    units = tuple(uniform_layer(n, *NAMES[c]) for n, c in zip(widths[1:], letters, strict=True))
    return Oracle(widths, units, "half_squared_error", reduction)


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shape(request):
    return request.param


def exact(a, b, c):
    return float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))


def triples(n, seed):
    """Ordinary triples, and ones whose product and sum nearly cancel."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n)) * 2.0 ** rng.integers(-30, 30, (2, n))
    far = rng.normal(size=n) * 2.0 ** rng.integers(-90, 90, n)
    return a, b, np.where(rng.random(n) < 0.5, far, -(a * b) * (1 + rng.integers(-3, 4, n) * 2.0**-52))


def test_fma_of_the_textbook_rounds_once_in_float64():
    a, b, c = triples(3000, seed=7)
    assert textbook.fma(a, b, c).tolist() == [exact(*abc) for abc in zip(a, b, c, strict=True)]


def test_fma_of_the_textbook_rounds_once_in_float32():
    a, b, c = (v.astype(np.float32) for v in triples(3000, seed=8))
    got = textbook.fma(a, b, c)
    assert got.dtype == np.float32
    for near, abc in zip(got, zip(a, b, c, strict=True), strict=True):
        p, q, r = (Fraction(float(v)) for v in abc)
        neighbours = (np.nextafter(near, -np.inf), near, np.nextafter(near, np.inf))
        away = [abs(Fraction(float(v)) - (p * q + r)) for v in neighbours]
        assert min(away) == away[1]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_step(shape, dtype, weighted, reduction):
    widths, letters, m = shape
    oracle = oracle_of(widths, letters, reduction)
    theta, X, y, s = problem(oracle, m, seed=9, dtype=dtype)
    s = s if weighted else None
    net = network(oracle, theta, dtype)
    A, D, grads, new = textbook.step(
        oracle.blocks(theta), [NAMES[c] for c in letters], X, y, 0.125, s, mean=reduction == "mean"
    )
    net.train_step(X, y, learning_rate=0.125, sample_weight=s)
    for l in range(1, len(widths)):
        assert same_bytes(np.ascontiguousarray(net.activations[l]), A[l])
        assert same_bytes(np.ascontiguousarray(net.deltas[l]), D[l])
    assert same_bytes(np.array(net.grad), np.concatenate([g.ravel() for g in grads]))
    assert same_bytes(np.array(net.params), np.concatenate([w.ravel() for w in new]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_epoch_is_a_chain_of_steps(shape, dtype):
    widths, letters, m = shape
    oracle = oracle_of(widths, letters)
    theta, X, y, s = problem(oracle, m, seed=10, dtype=dtype)
    blocks, order, size = oracle.blocks(theta), np.random.default_rng(11).permutation(m), 4
    for start in range(0, m, size):
        r = order[start : start + size]
        blocks = textbook.step(blocks, [NAMES[c] for c in letters], X[r], y[r], 2.0**-7, s[r])[-1]
    memory = memory_of(oracle, theta, dtype)
    memory.epoch(X, y, s, order, size, 2.0**-7)
    assert same_bytes(np.array(memory.theta), np.concatenate([w.ravel() for w in blocks]))


def memory_of(oracle, theta, dtype):
    from cbp import _core

    memory = _core.Memory(core_plan(oracle, dtype), theta.copy())
    memory.set_optimizer("sgd", [])
    return memory
