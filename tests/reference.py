"""The oracle: the mathematics of cbp in plain NumPy, by formula, sharing no code with the C core.

Activations and losses are evaluated from the NumPy texts of the tables' rows, so a new row needs nothing here. The
layers, the deltas, the gradient and the updates are written out. Everything works for complex parameters: `numeric`
differentiates the cost by a complex step (Squire and Trapp, SIAM Review 40, 1998), exact to the last digits.

A network's parameters are one flat vector as in cbp, cut into blocks (n_in + 1, n_out) whose row 0 is the bias.
"""

import math
import re
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from cbp import _core


def absolute(z):
    """|z| that a complex step can differentiate."""
    return np.where(z > 0, z, -z)


def sign(z):
    """The sign of z, whose complex step is 0."""
    return np.where(z > 0, 1.0, np.where(z < 0, -1.0, 0.0))


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
NAMESPACE |= {"abs": absolute, "sign": sign, "erfc": erfc, "sqrt": square_root, "pi": 4 * np.arctan(np.longdouble(1))}
OF_A_ROW = re.compile(r"\b(sum|max|min|mean|outer|diag)\(")  # a text that takes one sample at a time


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


def each_row(z):
    """The rows of a stack of matrices, one after the other."""
    return z.reshape(math.prod(z.shape[:-1]), z.shape[-1])


def default_or(value, default):
    return default if value is None else value


@dataclass(frozen=True)
class Oracle:
    """A network: widths n_0 .. n_L, and for each of the layers 1 .. L one (activation, argument) per unit."""

    widths: tuple
    units: tuple
    loss: str
    reduction: str = "mean"
    loss_arg: float | None = None

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
        """Cut a flat vector, or many (..., n_params), into the layers' (n_in + 1, n_out) views."""
        ends = np.cumsum([(n_in + 1) * n_out for n_in, n_out in self.shapes])
        parts = np.split(vector, ends[:-1], axis=-1)
        shapes = [(*vector.shape[:-1], n_in + 1, n_out) for n_in, n_out in self.shapes]
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def forward(self, theta, X):
        """Return [None, Z^1 .. Z^L] and [X, A^1 .. A^L]."""
        Z, A = [None], [np.asarray(X)]
        for block, groups in zip(self.blocks(theta), self.groups, strict=True):
            z = block[..., :1, :] + A[-1] @ block[..., 1:, :]
            Z.append(z)
            A.append(self.by_unit(groups, z))
        return Z, A

    def by_unit(self, groups, z):
        a = np.empty_like(z)
        for (name, arg), columns in groups.items():
            if rows("activations")[name]["row_wise"]:
                a[:] = np.reshape([activate(name, row) for row in each_row(z)], z.shape)
            else:
                a[..., columns] = activate(name, z[..., columns], arg)
        return a

    def costs(self, theta, X, y):
        """Return C of every sample: (m,), or (..., m) for many theta."""
        Z, A = self.forward(theta, X)
        text, n = rows("losses")[self.loss]["formula"], self.n_targets
        values = {"z": Z[-1], "a": A[-1][..., :n], "v": A[-1][..., n:], "y": y}
        if not OF_A_ROW.search(text):
            return evaluate(text, **values, **self.constants).sum(axis=-1)
        shape = Z[-1].shape[:-1]
        samples = zip(*(each_row(np.broadcast_to(v, (*shape, v.shape[-1]))) for v in values.values()), strict=True)
        sums = [evaluate(text, **dict(zip(values, one, strict=True)), **self.constants).sum() for one in samples]
        return np.reshape(sums, shape)

    @cached_property
    def n_targets(self):
        return self.widths[-1] // 2 if rows("losses")[self.loss]["pair"] else self.widths[-1]

    @cached_property
    def constants(self):
        """What the texts of a loss speak of beside z, a and y: its argument, and n, of outputs or their pairs."""
        args = rows("losses")[self.loss]["args"]
        return {"n": self.n_targets} | {name: default_or(self.loss_arg, default) for name, default in args}

    def cost(self, theta, X, y, s=None):
        """Return J, the weighted mean or sum of the samples' costs."""
        s = np.ones(len(X)) if s is None else s
        total = (s * self.costs(theta, X, y)).sum(axis=-1)
        return total / s.sum() if self.reduction == "mean" else total

    def deltas(self, theta, X, y):
        """Return [None, delta^1 .. delta^L], delta^l = dC/dZ^l of every sample."""
        Z, A = self.forward(theta, X)
        row = rows("losses")[self.loss]
        n = self.n_targets
        back = evaluate(row["slope"], z=Z[-1], a=A[-1][:, :n], v=A[-1][:, n:], y=y, **self.constants)
        back = np.hstack(back) if row["pair"] else back
        D = [None] * len(self.widths)
        for l in range(len(self.widths) - 1, 0, -1):
            is_head = row["head"] and l == len(self.widths) - 1
            D[l] = back if is_head else self.through(self.groups[l - 1], back, Z[l], A[l])
            back = D[l] @ self.blocks(theta)[l - 1][1:].T
        return D

    def through(self, groups, back, z, a):
        """Take dC/da (m, n) to dC/dz (m, n)."""
        delta = np.empty_like(back, np.result_type(back, z))
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
        points = theta + 1j * step * np.eye(theta.size)
        return self.cost(points, X, y, s).imag / step


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


def adam_hat(w, grads, learning_rate, beta1, beta2, eps):
    """Kingma and Ba, ICLR 2015, Algorithm 1 with the last line of section 2 in the place of its last three."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        step = learning_rate * math.sqrt(1 - math.pow(beta2, t)) / (1 - math.pow(beta1, t))
        w = w - step * m / (np.sqrt(v) + eps)
        yield w


def adamw(w, grads, learning_rate, beta1, beta2, eps, weight_decay):
    """Loshchilov and Hutter, ICLR 2019, Algorithm 2, its decay multiplied by the learning rate."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - math.pow(beta1, t))
        v_hat = v / (1 - math.pow(beta2, t))
        w = w - learning_rate * m_hat / (np.sqrt(v_hat) + eps) - learning_rate * weight_decay * w
        yield w


def amsgrad(w, grads, learning_rate, beta1, beta2, eps):
    """Reddi, Kale and Kumar, ICLR 2018, Algorithm 2, with the corrections of Adam."""
    m, v, v_hat = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        v_hat = np.maximum(v_hat, v)
        step = m / (1 - math.pow(beta1, t))
        w = w - learning_rate * step / (np.sqrt(v_hat / (1 - math.pow(beta2, t))) + eps)
        yield w


def nadam(w, grads, learning_rate, beta1, beta2, eps):
    """Dozat, Incorporating Nesterov Momentum into Adam, 2016, with the schedule of the momentum that it recommends."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    mu = [beta1 * (1 - 0.5 * math.pow(0.96, 1 / 250))]
    for t, g in enumerate(grads, start=1):
        mu.append(beta1 * (1 - 0.5 * math.pow(0.96, (t + 1) / 250)))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = mu[t] * m / (1 - math.prod(mu[: t + 1])) + (1 - mu[t - 1]) * g / (1 - math.prod(mu[:t]))
        w = w - learning_rate * m_hat / (np.sqrt(v / (1 - math.pow(beta2, t))) + eps)
        yield w


def radam(w, grads, learning_rate, beta1, beta2, eps):
    """Liu et al., ICLR 2020, Algorithm 2; eps beside the root as in the authors' program."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    rho_infinity = 2 / (1 - beta2) - 1
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - math.pow(beta1, t))
        rho = rho_infinity - 2 * t * math.pow(beta2, t) / (1 - math.pow(beta2, t))
        if rho > 4:
            adaptive = math.sqrt(1 - math.pow(beta2, t)) / (np.sqrt(v) + eps)
            over = (rho_infinity - 4) * (rho_infinity - 2) * rho
            w = w - learning_rate * math.sqrt((rho - 4) * (rho - 2) * rho_infinity / over) * m_hat * adaptive
        else:
            w = w - learning_rate * m_hat
        yield w


def rmsprop(w, grads, learning_rate, rho, eps):
    """Tieleman and Hinton, Lecture 6.5, 2012: the gradient over the root of its running mean square."""
    mean_square = np.zeros_like(w)
    for g in grads:
        mean_square = rho * mean_square + (1 - rho) * g**2
        w = w - learning_rate * g / (np.sqrt(mean_square) + eps)
        yield w


def adagrad(w, grads, learning_rate, eps):
    """Duchi, Hazan and Singer, JMLR 12, 2011, with a diagonal matrix."""
    seen = []
    for g in grads:
        seen.append(g)
        w = w - learning_rate * g / (np.linalg.norm(seen, axis=0) + eps)
        yield w


def adadelta(w, grads, learning_rate, rho, eps):
    """Zeiler, arXiv 1212.5701, 2012, Algorithm 1, its step multiplied by the learning rate."""
    mean_g, mean_x = np.zeros_like(w), np.zeros_like(w)
    for g in grads:
        mean_g = rho * mean_g + (1 - rho) * g**2
        x = -np.sqrt(mean_x + eps) / np.sqrt(mean_g + eps) * g
        mean_x = rho * mean_x + (1 - rho) * x**2
        w = w + learning_rate * x
        yield w


def lion(w, grads, learning_rate, beta1, beta2, weight_decay):
    """Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, Algorithm 2."""
    m = np.zeros_like(w)
    for g in grads:
        update = np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        w = w - learning_rate * (update + weight_decay * w)
        yield w


def rprop(w, grads, learning_rate, eta_minus, eta_plus, step_min, step_max, losses=None, improved=False):
    """The Rprop family weight by weight, after Igel and Huesken, Neurocomputing 50, 2003: with `losses` iRprop+."""
    w, before, delta, move = w.copy(), np.zeros_like(w), np.full_like(w, learning_rate), np.zeros_like(w)
    backtracks = losses is not None
    for t, given in enumerate(grads):
        g = given.copy()
        for i in range(w.size):
            product = before[i] * g[i]
            if product > 0:
                delta[i] = min(delta[i] * eta_plus, step_max)
            elif product < 0:
                delta[i] = max(delta[i] * eta_minus, step_min)
                if improved:
                    g[i] = 0
            move[i] = -move[i] if backtracks and product < 0 else -np.sign(g[i]) * delta[i]
            if not backtracks or product >= 0 or losses[t] > losses[t - 1]:
                w[i] += move[i]
        before = g
        yield w.copy()


def rprop_minus(w, grads, *args, **named):
    """Rprop without backtracking."""
    return rprop(w, grads, *args, **named)


def irprop_minus(w, grads, *args, **named):
    """Rprop that forgets the gradient where the sign changed."""
    return rprop(w, grads, *args, improved=True, **named)


def irprop_plus(w, grads, *args, losses, **named):
    """The same, and such a weight goes back where the loss grew; losses may grow with the gradients."""
    return rprop(w, grads, *args, losses=losses, improved=True, **named)


def quickprop(w, grads, learning_rate, mu, weight_decay):
    """Fahlman, CMU-CS-88-162, 1988, weight by weight, the steps bounded and started as in his program of that year."""
    w, p, d = w.copy(), np.zeros_like(w), np.zeros_like(w)
    shrink = mu / (1 + mu)
    for g in grads:
        s = g + weight_decay * w
        for i in range(w.size):
            step = 0.0
            if d[i] < 0:
                if s[i] > 0:
                    step -= learning_rate * s[i]
                step += mu * d[i] if s[i] >= shrink * p[i] else d[i] * s[i] / (p[i] - s[i])
            elif d[i] > 0:
                if s[i] < 0:
                    step -= learning_rate * s[i]
                step += mu * d[i] if s[i] <= shrink * p[i] else d[i] * s[i] / (p[i] - s[i])
            else:
                step -= learning_rate * s[i]
            d[i] = step
        p, w = s, w + d
        yield w


OPTIMIZERS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adam_hat": adam_hat,
    "adamw": adamw,
    "amsgrad": amsgrad,
    "nadam": nadam,
    "radam": radam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "lion": lion,
    "rprop_minus": rprop_minus,
    "irprop_minus": irprop_minus,
    "irprop_plus": irprop_plus,
    "quickprop": quickprop,
}
