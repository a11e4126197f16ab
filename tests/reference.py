"""The oracle: the mathematics of cbp in plain NumPy, by formula, sharing no code with the C core.

Activations and losses are evaluated from the NumPy texts of the tables' rows, so a new row needs nothing here. The
layers, the deltas, the gradient and the updates are written out. Everything works for complex parameters: `numeric`
differentiates the cost by a complex step (Squire and Trapp, SIAM Review 40, 1998), exact to the last digits.

A network's parameters are one flat vector as in cbp, cut into blocks (n_in + 1, n_out) whose row 0 is the bias.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from cbp import _core


def absolute(z):
    """|z| that a complex step can differentiate."""
    return np.where(z > 0, z, -z)


def erfc(x):
    """1 - erf(x) in the precision of x, real or complex, which NumPy does not have.

    A trapezoidal rule for its integral, with the residues of the poles that the line passes (Chiarella and Reichel,
    Mathematics of Computation 22, 1968); near 0 the series of erf.
    """
    x = np.asarray(x)
    far = np.where(x.real < 0, -x, x)
    near = np.abs(x) < 0.5
    far = np.where(near, 2, far)
    head = np.minimum(far.real, 200).astype("float32").astype(far.real.dtype)  # its square is exact
    n, h = np.arange(1, 24), far.real.dtype.type(0.4)
    terms = np.exp(-((n * h) ** 2)) / ((n * h) ** 2 + far[..., None] ** 2)
    pi = 4 * np.arctan(far.real.dtype.type(1))
    weight = np.exp(-head * head) * np.exp(-(far - head) * (far + head))
    tail = 2 * h * far * weight / pi * (1 / (2 * far * far) + terms.sum(axis=-1))
    tail = tail - np.where(far.real * h < pi, 2 / np.expm1(2 * pi * far / h), 0)
    small = np.where(near, x, 0)
    term, series = small, small
    for k in range(1, 20):
        term = -term * small * small / k
        series = series + term / (2 * k + 1)
    return np.where(near, 1 - 2 / np.sqrt(pi) * series, np.where(x.real < 0, 2 - tail, tail))


def square_root(x):
    """A number's in the widest type, so that a formula's constants are as exact as its variables can be."""
    return np.sqrt(np.longdouble(x) if isinstance(x, int | float | np.longdouble) else x)


NAMESPACE = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
NAMESPACE |= {"abs": absolute, "erfc": erfc, "sqrt": square_root, "pi": 4 * np.arctan(np.longdouble(1))}


@cache
def rows(kind):
    """Rows of a table of the core by name."""
    return {row["name"]: row for row in _core.table(kind)}


@cache
def code(text):
    return compile(text, text, "eval")


def evaluate(text, **names):
    """Value of a NumPy text of the tables."""
    with np.errstate(all="ignore"):
        return eval(code(text), {**NAMESPACE, **names})


def argument(row, value):
    """An activation's or a loss's argument under its own name."""
    return {name: value for name, _ in row["args"][:1]}


def activate(name, z, arg=0.0):
    """Return a = g(z), elementwise, or of the whole of z for a row-wise function."""
    row = rows("activations")[name]
    return evaluate(row["formula"], z=z, **argument(row, arg))


def slope(name, z, a, arg=0.0):
    """Return g'(z), elementwise, or the Jacobian (n, n) of a row-wise function."""
    row = rows("activations")[name]
    return evaluate(row["slope"], z=z, a=a, **argument(row, arg))


@dataclass(frozen=True)
class Oracle:
    """A network: widths n_0 .. n_L, and for each of the layers 1 .. L one (activation, argument) per unit."""

    widths: tuple
    units: tuple
    loss: str
    reduction: str = "mean"

    @cached_property
    def n_params(self):
        return sum((n_in + 1) * n_out for n_in, n_out in self.shapes)

    @cached_property
    def shapes(self):
        return list(zip(self.widths[:-1], self.widths[1:], strict=True))

    @cached_property
    def groups(self):
        """For each layer its activations, each with the columns that have it."""
        return [{unit: [j for j, u in enumerate(layer) if u == unit] for unit in layer} for layer in self.units]

    def blocks(self, vector):
        """Cut a flat vector into the layers' (n_in + 1, n_out) views."""
        ends = np.cumsum([(n_in + 1) * n_out for n_in, n_out in self.shapes])
        parts = np.split(vector, ends[:-1])
        return [part.reshape(n_in + 1, n_out) for part, (n_in, n_out) in zip(parts, self.shapes, strict=True)]

    def forward(self, theta, X):
        """Return [None, Z^1 .. Z^L] and [X, A^1 .. A^L]."""
        Z, A = [None], [np.asarray(X)]
        for block, groups in zip(self.blocks(theta), self.groups, strict=True):
            z = block[0] + A[-1] @ block[1:]
            Z.append(z)
            A.append(self.by_unit(groups, z))
        return Z, A

    def by_unit(self, groups, z):
        a = np.empty_like(z)
        for (name, arg), columns in groups.items():
            if rows("activations")[name]["row_wise"]:
                a[:] = [activate(name, row) for row in z]
            else:
                a[:, columns] = activate(name, z[:, columns], arg)
        return a

    def costs(self, theta, X, y):
        """Return C of every sample: (m,)."""
        Z, A = self.forward(theta, X)
        text = rows("losses")[self.loss]["formula"]
        return np.array([evaluate(text, z=z, a=a, y=t).sum() for z, a, t in zip(Z[-1], A[-1], y, strict=True)])

    def cost(self, theta, X, y, s=None):
        """Return J, the weighted mean or sum of the samples' costs."""
        s = np.ones(len(X)) if s is None else s
        total = (s * self.costs(theta, X, y)).sum()
        return total / s.sum() if self.reduction == "mean" else total

    def deltas(self, theta, X, y):
        """Return [None, delta^1 .. delta^L], delta^l = dC/dZ^l of every sample."""
        Z, A = self.forward(theta, X)
        row = rows("losses")[self.loss]
        back = evaluate(row["slope"], z=Z[-1], a=A[-1], y=y)
        D = [None] * len(self.widths)
        for l in range(len(self.widths) - 1, 0, -1):
            is_head = row["head"] and l == len(self.widths) - 1
            D[l] = back if is_head else self.through(self.groups[l - 1], back, Z[l], A[l])
            back = D[l] @ self.blocks(theta)[l - 1][1:].T
        return D

    def through(self, groups, back, z, a):
        """Take dC/da (m, n) to dC/dz (m, n)."""
        delta = np.empty_like(back)
        for (name, arg), columns in groups.items():
            if rows("activations")[name]["row_wise"]:
                delta[:] = [slope(name, *za).T @ e for *za, e in zip(z, a, back, strict=True)]
            else:
                delta[:, columns] = back[:, columns] * slope(name, z[:, columns], a[:, columns], arg)
        return delta

    def gradient(self, theta, X, y, s=None):
        """Return dJ/dtheta, flat, by back-propagation."""
        s = np.ones(len(X)) if s is None else s
        A = self.forward(theta, X)[1]
        D = self.deltas(theta, X, y)
        sums = []
        for a, delta in zip(A[:-1], D[1:], strict=True):
            weighted = s[:, None] * delta
            sums += [weighted.sum(axis=0), (a.T @ weighted).ravel()]
        flat = np.concatenate(sums)
        return flat / s.sum() if self.reduction == "mean" else flat

    def numeric(self, theta, X, y, s=None, step=1e-40):
        """Return dJ/dtheta, flat, by complex steps: no formula of back-propagation takes part."""
        return complex_step(lambda point: self.cost(point, X, y, s), theta, step)


def complex_step(function, point, step=1e-40):
    """Gradient of a function of a flat vector, from its continuation to complex arguments."""
    gradient = np.empty(point.size)
    for i in range(point.size):
        moved = point.astype(complex)
        moved[i] += 1j * step
        gradient[i] = function(moved).imag / step
    return gradient


def sgd(w, grads, learning_rate):
    """w(t) for every gradient of grads, by plain gradient descent."""
    for g in grads:
        w = w - learning_rate * g
        yield w


def momentum(w, grads, learning_rate, momentum):
    """Polyak, USSR Computational Mathematics 4, 1964."""
    v = np.zeros_like(w)
    for g in grads:
        v = momentum * v - learning_rate * g
        w = w + v
        yield w


def nesterov(w, grads, learning_rate, momentum):
    """Sutskever et al., ICML 2013, in the variables of the look-ahead point: its gradient is the one given."""
    v = np.zeros_like(w)
    for g in grads:
        before, v = v, momentum * v - learning_rate * g
        w = w - momentum * before + (1 + momentum) * v
        yield w


def adam(w, grads, learning_rate, beta1, beta2, eps):
    """Kingma and Ba, ICLR 2015, Algorithm 1."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - math.pow(beta1, t))
        v_hat = v / (1 - math.pow(beta2, t))
        w = w - learning_rate * m_hat / (np.sqrt(v_hat) + eps)
        yield w


OPTIMIZERS = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}
