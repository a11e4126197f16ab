"""Quantiles of Student's t distribution, and of the normal one that it becomes: NumPy has neither.

The distribution function is an incomplete beta integral, by Lentz's continued fraction (Numerical Recipes, 6.4); its
inverse is found by Newton's method.
"""

from __future__ import annotations

import math
from statistics import NormalDist

SERIES_FROM = 1000  # degrees of freedom, from which on Fisher's series about the normal quantile has all digits
_TINY = 1e-300
_STEPS = 200


def quantile(p: float, dof: float) -> float:
    """Return t with P(T <= t) = p for 0 < p < 1 and dof > 0, which need not be whole; dof may be infinite.

    >>> round(quantile(0.975, 10), 4), round(quantile(0.975, math.inf), 4)
    (2.2281, 1.96)
    """
    if p < 0.5:
        return -quantile(1 - p, dof)
    if dof >= SERIES_FROM:
        return _series(NormalDist().inv_cdf(p), dof)
    low, high = 0.0, 1.0
    while _upper(high, dof) > 1 - p:
        low, high = high, 2 * high
    t = (low + high) / 2
    for _ in range(_STEPS):
        excess = _upper(t, dof) - (1 - p)
        low, high = (t, high) if excess > 0 else (low, t)
        following = t + excess / _density(t, dof)
        following = following if low < following < high else (low + high) / 2
        if abs(following - t) <= 1e-14 * max(t, 1.0):
            break
        t = following
    return t


def _series(z: float, dof: float) -> float:
    """Return the quantile that belongs to z, that of the normal distribution (Abramowitz and Stegun, 26.7.5)."""
    square = z * z
    first = (square + 1) * z / 4
    second = ((5 * square + 16) * square + 3) * z / 96
    third = (((3 * square + 19) * square + 17) * square - 15) * z / 384
    return z + (first + (second + third / dof) / dof) / dof


def _density(t: float, dof: float) -> float:
    log = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - math.log(dof * math.pi) / 2
    return max(math.exp(log - (dof + 1) / 2 * math.log1p(t * t / dof)), _TINY)


def _upper(t: float, dof: float) -> float:
    """Return P(T > t) for t >= 0."""
    return _beta(dof / 2, 0.5, dof / (dof + t * t), t * t / (dof + t * t)) / 2


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), with rest = 1 - x."""
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, rest, x)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(log) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """Return 1 + d_1/(1 + d_2/(1 + ...)), the continued fraction that the integral's power is divided by."""
    value, c, d = 1.0, 1.0, 0.0
    for j in range(1, 10_000):
        m = j // 2
        if j % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value
