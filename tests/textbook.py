"""The textbook loop: one training step as chains of fma in index order, which defines every number of cbp to the bit.

    net input         z = b;  for k:  z = fma(a[k], W[k], z)
    propagated error  e = 0;  for j:  e = fma(delta[j], W[i][j], e);  delta = e * g'
    gradient          g = 0;  for r:  g = fma(a[r], s[r] * delta[r], g), then once times 1 / sum(s)
    update            w = fma(-learning_rate, g, w)

Here the chains run in Python and each fma is exact by error-free transformations, so the machine's fma takes no part.
The activations are those that need no exp: identity, relu and leaky_relu; the loss is half the squared error.
"""

import numpy as np


def two_sum(a, b):
    """Return s, e with s = a + b rounded and s + e = a + b exactly (Knuth)."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def two_product(a, b):
    """Return p, e with p = a * b rounded and p + e = a * b exactly (Dekker, with Veltkamp's split of a float64)."""
    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def split(a):
    c = 134217729.0 * a
    high = c - (c - a)
    return high, a - high


def add_to_odd(a, b):
    """Return a + b rounded to odd: of the two neighbours of an inexact sum, the one whose last bit is set."""
    s, e = two_sum(a, b)
    is_even = (np.asarray(s).view(np.uint64) & 1) == 0
    return np.where((e != 0) & is_even, np.nextafter(s, np.copysign(np.inf, e)), s)


def fma(a, b, c):
    """Return a * b + c rounded once, elementwise; exact away from overflow and underflow."""
    dtype = np.result_type(a, b, c)
    a, b, c = (np.asarray(v, "float64") for v in np.broadcast_arrays(a, b, c))
    if dtype == np.float32:
        return add_to_odd(a * b, c).astype(np.float32)
    return fma64(a, b, c)


def fma64(a, b, c):
    """Boldo and Melquiond, IEEE Transactions on Computers 57, 2008."""
    high, low = two_product(a, b)
    t, t_low = two_sum(c, low)
    v, v_low = two_sum(high, t)
    r = v + add_to_odd(t_low, v_low)
    return np.where(r == 0, a * b + c, r)


def forward(blocks, activations, X):
    """Return [X, A^1 .. A^L] and [None, g'(Z^1) .. g'(Z^L)]."""
    A, slopes = [X], [None]
    for block, (name, arg) in zip(blocks, activations, strict=True):
        z = np.tile(block[0], (len(X), 1))
        for k in range(block.shape[0] - 1):
            z = fma(A[-1][:, k, None], block[1 + k], z)
        a, g = piecewise(name, z, arg)
        A.append(a)
        slopes.append(g)
    return A, slopes


def piecewise(name, z, arg):
    """Return g(z) and g'(z) of an activation made of two straight lines."""
    one, below = np.ones_like(z), {"identity": 1, "relu": 0, "leaky_relu": arg}[name] * np.ones_like(z)
    left = {"identity": z, "relu": 0 * one, "leaky_relu": below * z}[name]
    return np.where(z < 0, left, z), np.where(z > 0, one, below)


def deltas(blocks, A, slopes, y):
    """Return [None, delta^1 .. delta^L] of half the squared error."""
    D = [None] * len(A)
    error = A[-1] - y
    for l in range(len(A) - 1, 0, -1):
        D[l] = error * slopes[l]
        W = blocks[l - 1][1:]
        error = np.zeros_like(A[l - 1])
        for j in range(W.shape[1]):
            error = fma(D[l][:, j, None], W[:, j], error)
    return D


def gradient(A, D, s, mean):
    """Return the layers' (n_in + 1, n_out) gradients, summed over samples in order."""
    scale = A[0].dtype.type(1.0 / (len(A[0]) if s is None else float_sum(s)))
    grads = []
    for a, delta in zip(A[:-1], D[1:], strict=True):
        g = np.zeros((a.shape[1] + 1, delta.shape[1]), a.dtype)
        for r in range(len(a)):
            d = delta[r] if s is None else s[r] * delta[r]
            g = fma(np.append(a.dtype.type(1), a[r])[:, None], d, g)
        grads.append(g * scale if mean else g)
    return grads


def float_sum(s):
    """Sum in double, in index order."""
    total = 0.0
    for value in s:
        total += float(value)
    return total


def step(blocks, activations, X, y, learning_rate, s=None, mean=True):
    """Return A, D, gradients and new blocks of one training step."""
    A, slopes = forward(blocks, activations, X)
    D = deltas(blocks, A, slopes, y)
    grads = gradient(A, D, s, mean)
    rate = X.dtype.type(-learning_rate)
    return A, D, grads, [fma(rate, g, w) for g, w in zip(grads, blocks, strict=True)]
