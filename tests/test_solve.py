"""Cholesky's factors, what is solved with them, and products of vectors: right to what theory promises, and the same
bits with every instruction set and any number of threads.

Bounds are those of Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition; sums are exact (fractions).
"""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from cases import each_of

import cbp
from cbp import _core

U = 2.0**-53
SIZES = [1, 2, 7, 8, 9, 23, 24, 25, 49, 121, 144, 145, 300]


@pytest.fixture(autouse=True)
def _number_of_threads():
    """Put the number of threads back afterwards."""
    before = cbp.get_num_threads()
    yield
    cbp.set_num_threads(before)


def with_values(values, seed):
    """Return a symmetric matrix with these eigenvalues, about."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
    a = (q * values) @ q.T
    return (a + a.T) / 2


def hilbert(n):
    return 1 / (np.arange(1.0, n + 1)[:, None] + np.arange(n))


def scaled_badly(n):
    a, d = with_values(np.linspace(1, 9, n), n), 10.0 ** np.linspace(-70, 70, n)
    return a * d * d[:, None]


HARD = {
    "Hilbert 5": hilbert(5),
    "Hilbert 12": hilbert(12),
    "eigenvalues 1 .. 1e-14": with_values(np.logspace(0, -14, 18), 1),
    "eigenvalues 1e-10 .. 1e3": with_values(np.logspace(-10, 3, 27), 2),
    "one small eigenvalue": with_values(np.r_[1e-13, np.ones(24)], 3),
    "rows of all sizes": scaled_badly(20),
}
hard = pytest.mark.parametrize("a", HARD.values(), ids=HARD)


def factor_of(a):
    """L, with zeros above the diagonal."""
    l = a.copy()
    _core.cholesky(l)
    return np.tril(l)


def exactly(x):
    return np.array([Fraction(v) for v in x.ravel()], dtype=object).reshape(x.shape)


def gamma(n):
    return n * U / (1 - n * U)


# ---- against NumPy ----


@pytest.mark.parametrize("n", SIZES)
def test_well_conditioned_systems_agree_with_numpy(n):
    a, b = with_values(np.linspace(1, 4, n), n), np.random.default_rng(n).normal(size=n)
    l, x = factor_of(a), b.copy()
    _core.cholesky_solve(l, x)
    np.testing.assert_allclose(l, np.linalg.cholesky(a), rtol=0, atol=1e-13)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=0, atol=1e-13)
    np.testing.assert_allclose(_core.cholesky_inverse(l), np.linalg.inv(a), rtol=0, atol=1e-13)
    np.testing.assert_allclose(_core.times(a, b), a @ b, rtol=0, atol=1e-13)
    np.testing.assert_allclose(_core.dot(a[0], b), a[0] @ b, rtol=0, atol=1e-13)


# ---- bounds ----


@hard
def test_the_factor_is_that_of_a_matrix_nearby(a):
    """Theorem 10.3: |A - L L^T| <= gamma(n + 1) |L| |L^T|; two units more for the reciprocal of the pivot."""
    l = factor_of(a)
    exact = exactly(l)
    error = np.abs(exactly(a) - exact @ exact.T).astype(float)
    assert (np.tril(error) <= gamma(len(a) + 3) * (np.abs(l) @ np.abs(l.T))).all()


@hard
def test_the_solution_is_that_of_a_matrix_nearby(a):
    """Theorem 10.4: |b - A x| <= gamma(3 n + 1) |L| |L^T| |x|; two units more for the reciprocal of the pivot."""
    b = np.random.default_rng(4).normal(size=len(a))
    l, x = factor_of(a), b.copy()
    _core.cholesky_solve(l, x)
    error = np.abs(exactly(b) - exactly(a) @ exactly(x)).astype(float)
    assert (error <= gamma(3 * len(a) + 3) * (np.abs(l) @ (np.abs(l.T) @ np.abs(x)))).all()


@pytest.mark.parametrize("name", [name for name in HARD if name != "rows of all sizes"])
def test_the_inverse_is_as_good_as_the_condition_allows(name):
    """Section 14.3: ||A X - I|| <= c n u ||A|| ||A^-1||."""
    a = HARD[name]
    inverse = _core.cholesky_inverse(factor_of(a))
    error = (exactly(a) @ exactly(inverse) - np.eye(len(a), dtype=int)).astype(float)
    assert np.linalg.norm(error) <= 4 * len(a) * U * np.linalg.norm(a) * np.linalg.norm(inverse)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 500])
def test_a_dot_product_has_the_error_of_short_chains(n):
    """Chains of n / 32 terms, and five additions: |error| <= gamma(n / 32 + 6) |x| |y|."""
    x, y = np.random.default_rng(n).normal(size=(2, n)) * 10.0 ** np.linspace(-8, 8, n)
    exact = exactly(x) @ exactly(y)
    assert abs(Fraction(_core.dot(x, y)) - exact) <= gamma(n // 32 + 6) * float(np.abs(x) @ np.abs(y))


# ---- what is read and written ----


def test_above_the_diagonal_nothing_is_used_and_nothing_changed():
    a = with_values(np.linspace(1, 2, 61), 5)
    above = np.triu_indices(61, 1)
    filled = a.copy()
    filled[above] = np.nan
    _core.cholesky(filled)
    assert np.isnan(filled[above]).all()
    b = np.ones(61)
    _core.cholesky_solve(filled, b)
    assert np.tril(filled).tobytes() == factor_of(a).tobytes()
    assert np.isfinite(b).all()
    assert np.isfinite(_core.cholesky_inverse(filled)).all()


@each_of("n", SIZES)
def test_the_inverse_is_symmetric_to_the_bit(n):
    inverse = _core.cholesky_inverse(factor_of(with_values(np.logspace(0, -6, n), n)))
    assert inverse.tobytes() == inverse.T.copy().tobytes()


def test_nothing_of_nothing():
    none = np.empty((0, 0))
    _core.cholesky(none)
    _core.cholesky_solve(none, np.empty(0))
    assert _core.cholesky_inverse(none).shape == (0, 0)
    assert _core.times(none, np.empty(0)).shape == (0,)
    assert _core.dot(np.empty(0), np.empty(0)) == 0


# ---- the same bits ----


def outcome(n):
    """Bytes of all that can be made of one system."""
    a, b = with_values(np.linspace(1, 3, n), n), np.linspace(-1, 1, n)
    l, x = a.copy(), b.copy()
    _core.cholesky(l)
    _core.cholesky_solve(l, x)
    inverse = _core.cholesky_inverse(l)
    return [v.tobytes() for v in (l, x, inverse, _core.times(a, b), np.array(_core.dot(x, b)))]


@pytest.mark.parametrize("n", [33, 200])
def test_every_instruction_set_gives_the_same_bits(n, monkeypatch):
    found = []
    for isa in _core.isas():
        monkeypatch.setenv("CBP_ISA", isa)
        found.append(outcome(n))
    assert all(other == found[0] for other in found)


def test_threads_change_no_bit():
    found = []
    for threads in (1, 2, 3):
        cbp.set_num_threads(threads)
        found.append(outcome(400))
    assert found[0] == found[1] == found[2]


def test_several_callers_at_once():
    cbp.set_num_threads(2)
    want = outcome(330)
    with ThreadPoolExecutor(3) as callers:
        assert all(got == want for got in callers.map(outcome, [330] * 9))


# ---- refusals ----


def fixed(x):
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("a", [-np.eye(3), np.ones((30, 30)) - np.eye(30), np.full((2, 2), np.nan), np.zeros((1, 1))])
def test_a_matrix_without_factor_is_an_arithmetic_error(a):
    with pytest.raises(ArithmeticError, match="not positive definite"):
        _core.cholesky(a.copy())


@pytest.mark.parametrize("n", [0, 1, 3, 8, 33, 121])
def test_a_damped_system_is_solved_to_the_bits_of_its_parts(n):
    rng = np.random.default_rng(n)
    half, b, work = rng.normal(size=(n, n)), rng.normal(size=n), np.full((n, n), np.nan)
    a = np.tril(half @ half.T) + np.triu(np.full((n, n), np.nan), 1)
    before, shifted, x = a.copy(), a + 0.25 * np.eye(n), b.copy()
    _core.cholesky(shifted)
    _core.cholesky_solve(shifted, x)
    found = _core.damped_solve(a, 0.25, b, work)
    assert found.tobytes() == x.tobytes()
    assert np.tril(work).tobytes() == np.tril(shifted).tobytes() or n == 0
    assert a.tobytes() == before.tobytes()


def test_a_damped_system_that_is_not_positive_definite_has_no_solution():
    a, work = np.diag([1.0, -2.0]), np.empty((2, 2))
    assert not _core.damped(a, 2.0, work)
    assert _core.damped_solve(a, 1.0, np.ones(2), work) is None
    assert _core.damped_solve(a, 3.0, np.ones(2), work).tolist() == [0.25, 1.0]


@pytest.mark.parametrize("n", [0, 1, 5, 64])
def test_an_update_of_rank_two_is_rounded_as_it_is_written(n):
    rng = np.random.default_rng(n)
    a, s, w = rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n)
    expected = a + (s[:, None] * w + w[:, None] * s)
    assert _core.updated(a, s, w).tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="expected shape"):
        _core.updated(a, s, np.ones(n + 1))


REFUSED = {
    "not square": (ValueError, lambda: _core.cholesky(np.ones((2, 3)))),
    "a vector": (ValueError, lambda: _core.cholesky(np.ones(4))),
    "by columns": (ValueError, lambda: _core.cholesky(np.asfortranarray(np.eye(3)[:, ::-1]))),
    "read only": (ValueError, lambda: _core.cholesky(fixed(np.eye(3)))),
    "float32": (TypeError, lambda: _core.cholesky(np.eye(3, dtype=np.float32))),
    "a list": (TypeError, lambda: _core.cholesky([[1.0]])),
    "b too short": (ValueError, lambda: _core.cholesky_solve(np.eye(3), np.ones(2))),
    "b too wide": (ValueError, lambda: _core.cholesky_solve(np.eye(3), np.ones((3, 1)))),
    "b read only": (ValueError, lambda: _core.cholesky_solve(np.eye(3), fixed(np.ones(3)))),
    "l not square": (ValueError, lambda: _core.cholesky_solve(np.ones((3, 2)), np.ones(3))),
    "inverse of a rectangle": (ValueError, lambda: _core.cholesky_inverse(np.ones((3, 2)))),
    "two lengths": (ValueError, lambda: _core.dot(np.ones(3), np.ones(4))),
    "dot of matrices": (ValueError, lambda: _core.dot(np.eye(3), np.eye(3))),
    "every other number": (ValueError, lambda: _core.dot(np.ones(6)[::2], np.ones(3))),
    "whole numbers": (TypeError, lambda: _core.dot(np.ones(3, int), np.ones(3))),
    "times a rectangle": (ValueError, lambda: _core.times(np.ones((3, 4)), np.ones(4))),
    "damped rectangle": (ValueError, lambda: _core.damped(np.ones((2, 3)), 1.0, np.eye(2))),
    "damped elsewhere": (ValueError, lambda: _core.damped(np.eye(3), 1.0, np.eye(2))),
    "damped, read only": (ValueError, lambda: _core.damped(np.eye(3), 1.0, fixed(np.eye(3)))),
    "damped, b too short": (ValueError, lambda: _core.damped_solve(np.eye(3), 1.0, np.ones(2), np.eye(3))),
    "times too short": (ValueError, lambda: _core.times(np.eye(3), np.ones(2))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    error, call = REFUSED[name]
    with pytest.raises(error):
        call()
