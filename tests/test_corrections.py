"""Each mistake printed in derivations A to E, as printed, against the numeric gradient; and its correction with it.

A case is a pair of functions of a `Setting`, the printed formula and the corrected one, and the number both claim to
be. The printed one must miss it (a wrong value, a wrong shape, or no value at all), the corrected one must hit it.

Only notation, or something left out, and therefore no test here:

- A: k indexes layer l + 2; d_i is the target of output unit i; the cost J is never stated.
- B: a_{i,j}^(L-1) stands for a_j^(L-1); the bias unit is not shown.
- D: omega^{L_k} is defined as layer k - 1 to k and used as k to k + 1; net is called the output of a unit, but is its
  input; equations (10) and (30) are empty.
- E: "y_i is the activation function" means sigma.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import network, uniform_layer
from reference import Oracle, complex_step

RATE = 1e-3
CLOSE = {"rtol": 1e-9, "atol": 1e-13}


class Setting(SimpleNamespace):
    """A network of cbp after forward and backward, with everything a formula may want, and numeric derivatives.

    Layers count from 0 as in cbp: a[l] (m, n_l), delta[l] (m, n_l), theta[l] (n_{l-1} + 1, n_l), W[l], b[l], z[l].
    """

    def numeric(self, l, m=None):
        """dJ/dtheta[l] by complex steps; of one sample's cost if m is given."""
        X, y = (self.X, self.y) if m is None else (self.X[m : m + 1], self.y[m : m + 1])
        return self.oracle.blocks(self.oracle.numeric(self.flat, X, y))[l - 1]

    def numeric_delta(self, l, m=0):
        """dC/dz^l of one sample by complex steps: moving z is moving the bias."""
        return self.numeric(l, m)[0]

    def numeric_back(self, l, m=0):
        """dC/da^l of one sample by complex steps: an identity network from layer l on."""
        above = Oracle(self.oracle.widths[l:], self.oracle.units[l:], self.oracle.loss)
        theta = np.concatenate([t.ravel() for t in self.theta[l + 1 :]])
        return complex_step(lambda a: above.cost(theta, a[None], self.y[m : m + 1]), self.a[l][m])

    def cost(self, theta):
        return self.oracle.cost(np.concatenate([t.ravel() for t in theta[1:]]), self.X, self.y)


def setting(widths, loss="half_squared_error", activation="sigmoid", m=1):
    oracle = Oracle(tuple(widths), tuple(uniform_layer(n, activation) for n in widths[1:]), loss)
    rng = np.random.default_rng(6)
    flat = rng.uniform(0.2, 1, oracle.n_params) * rng.choice([-1, 1], oracle.n_params)
    X, y = rng.uniform(0.5, 2, (m, widths[0])), rng.uniform(0.1, 0.9, (m, widths[-1]))
    net = network(oracle, flat)
    net.forward(X)
    net.backward(y)
    theta = [None, *(layer.theta.copy() for layer in net.layers)]
    return Setting(
        oracle=oracle, flat=flat, X=X, y=y, L=len(widths) - 1, theta=theta,
        W=[None, *(t[1:] for t in theta[1:])], b=[None, *(t[0] for t in theta[1:])],
        z=oracle.forward(flat, X)[0], a=[a.copy() for a in net.activations],
        delta=[None, *(d.copy() for d in net.deltas[1:])],
        grad=[None, *(np.vstack([layer.grad_b, layer.grad_W]) for layer in net.layers)],
    )  # fmt: skip


def with_bias(a):
    return np.concatenate([[1.0], a])


def prime(a):
    return a * (1 - a)


def descended(s, sign):
    """J after theta[l] + sign * RATE * grad[l]."""
    return s.cost([None, *(t + sign * RATE * g for t, g in zip(s.theta[1:], s.grad[1:], strict=True))])


def bias_only(s):
    pairs = zip(s.theta[1:], s.grad[1:], strict=True)
    return s.cost([None, *(np.vstack([t[0] - RATE * g[0], t[1:]]) for t, g in pairs)])


def predicted_fall(s):
    """J to first order after one step of gradient descent."""
    return s.cost(s.theta) - RATE * sum((s.numeric(l) ** 2).sum() for l in range(1, s.L + 1))


# A case: its derivation's setting, the formula as printed, the formula corrected, what both claim to be.
A = {"widths": (3, 4, 2)}
B = {"widths": (2, 4, 3), "loss": "binary_cross_entropy"}
B_MEAN = {**B, "m": 5}
B_WIDE = {"widths": (3, 2, 3, 4), "loss": "binary_cross_entropy"}
C = {"widths": (4, 3, 3, 2)}
D = {"widths": (3, 3, 2)}
D_TANH = {**D, "activation": "tanh"}
E = {"widths": (3, 2, 4)}

CASES = {
    "A-3-summation-index-reused": (
        A,
        lambda s: np.outer(np.full(4, with_bias(s.a[0][0]).sum()), s.delta[1][0]),
        lambda s: np.outer(with_bias(s.a[0][0]), s.delta[1][0]),
        lambda s: s.numeric(1),
    ),
    "A-matrix-hidden-delta-transposed": (
        A,
        lambda s: (s.theta[2].T @ s.delta[2][0]) * prime(s.a[1][0]),
        lambda s: (s.theta[2][1:] @ s.delta[2][0]) * prime(s.a[1][0]),
        lambda s: s.numeric_delta(1),
    ),
    "A-matrix-gradient-transposed": (
        A,
        lambda s: np.outer(s.delta[2][0], with_bias(s.a[1][0])),
        lambda s: np.outer(with_bias(s.a[1][0]), s.delta[2][0]),
        lambda s: s.numeric(2),
    ),
    "A-update-adds-the-gradient": (A, lambda s: descended(s, +1), lambda s: descended(s, -1), predicted_fall),
    "B-loss-lacks-the-sum-over-k": (
        B,
        lambda s: -(s.y[0] * np.log(s.a[2][0]) + (1 - s.y[0]) * np.log(1 - s.a[2][0])),
        lambda s: -sum(y * np.log(a) + (1 - y) * np.log(1 - a) for y, a in zip(s.y[0], s.a[2][0], strict=True)),
        lambda s: s.cost(s.theta),
    ),
    "B-gradient-lacks-the-mean-over-samples": (
        B_MEAN,
        lambda s: np.outer(with_bias(s.a[1][0]), s.delta[2][0]),
        lambda s: sum(np.outer(with_bias(a), d) for a, d in zip(s.a[1], s.delta[2], strict=True)) / 5,
        lambda s: s.numeric(2),
    ),
    "B-sum-over-k-runs-to-the-layer-below-narrower": (
        B_WIDE,
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, k] for k in range(2)) * prime(s.a[2][0]),
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, k] for k in range(4)) * prime(s.a[2][0]),
        lambda s: s.numeric_delta(2),
    ),
    "B-sum-over-k-runs-to-the-layer-below-wider": (
        {**B_WIDE, "widths": (2, 5, 4, 3)},
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, k] for k in range(5)) * prime(s.a[2][0]),
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, k] for k in range(3)) * prime(s.a[2][0]),
        lambda s: s.numeric_delta(2),
    ),
    "B-theta-lacks-the-index-k": (
        B,
        lambda s: sum(s.delta[2][0][k] * s.W[2][0] for k in range(3)) * prime(s.a[1][0, 0]),
        lambda s: sum(s.delta[2][0][k] * s.W[2][0, k] for k in range(3)) * prime(s.a[1][0, 0]),
        lambda s: s.numeric_delta(1)[0],
    ),
    "B-section-4-slope-by-the-activation-named-by-theta": (
        B,
        lambda s: s.W[2] @ s.delta[2][0],
        lambda s: np.outer(with_bias(s.a[0][0]), (s.W[2] @ s.delta[2][0]) * prime(s.a[1][0])),
        lambda s: s.numeric(1),
    ),
    "B-output-delta-has-a-factor-too-many": (
        B,
        lambda s: (s.a[2][0] - s.y[0]) * s.a[1][0, 1],
        lambda s: s.a[2][0] - s.y[0],
        lambda s: s.numeric_delta(2),
    ),
    "B-final-formula-names-the-slope-by-z": (
        B,
        lambda s: np.outer(with_bias(s.a[0][0]), s.numeric_delta(1) * s.a[0][0, 0]),
        lambda s: np.outer(with_bias(s.a[0][0]), s.delta[1][0]),
        lambda s: s.numeric(1),
    ),
    "C-BP1-slope-by-z-in-place-of-a": (
        C,
        lambda s: s.numeric_delta(3) * prime(s.a[3][0]),
        lambda s: (s.a[3][0] - s.y[0]) * prime(s.a[3][0]),
        lambda s: s.numeric_delta(3),
    ),
    "C-BP2-proof-z-of-unit-i": (
        C,
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, 1] for k in range(2)) * prime(s.a[2][0]),
        lambda s: sum(s.delta[3][0][k] * s.W[3][:, k] for k in range(2)) * prime(s.a[2][0]),
        lambda s: s.numeric_delta(2),
    ),
    "C-BP2-proof-one-slope-too-many": (
        C,
        lambda s: (s.W[3] @ s.delta[3][0]) * prime(s.a[2][0]) * prime(s.a[2][0]),
        lambda s: (s.W[3] @ s.delta[3][0]) * prime(s.a[2][0]),
        lambda s: s.numeric_delta(2),
    ),
    "C-BP2-proof-slope-of-unit-i": (
        C,
        lambda s: (s.W[2] @ s.delta[2][0]) * prime(s.a[1][0, [1, 2, 0]]),
        lambda s: (s.W[2] @ s.delta[2][0]) * prime(s.a[1][0]),
        lambda s: s.numeric_delta(1),
    ),
    "C-BP3-activation-of-the-same-layer": (
        C,
        lambda s: np.outer(s.a[2][0], s.delta[2][0]),
        lambda s: np.outer(s.a[1][0], s.delta[2][0]),
        lambda s: s.numeric(2)[1:],
    ),
    "C-update-of-the-weights-missing": (C, bias_only, lambda s: descended(s, -1), predicted_fall),
    "D-4-net-sums-two-of-three-units": (
        D,
        lambda s: sum(s.W[1][i] * s.a[0][0, i] for i in range(2)) + s.b[1],
        lambda s: sum(s.W[1][i] * s.a[0][0, i] for i in range(3)) + s.b[1],
        lambda s: s.z[1][0],
    ),
    "D-28-weights-of-unit-3-for-every-unit": (
        D,
        lambda s: sum(s.delta[2][0, k] * s.W[2][2, k] for k in range(2)) * prime(s.a[1][0]),
        lambda s: sum(s.delta[2][0, k] * s.W[2][:, k] for k in range(2)) * prime(s.a[1][0]),
        lambda s: s.numeric_delta(1),
    ),
    "D-41-base-weight-of-the-layer-above": (
        D,
        lambda s: s.W[2][1, 2] - RATE * s.delta[1][0, 2] * s.a[0][0, 1],
        lambda s: s.W[1][1, 2] - RATE * s.delta[1][0, 2] * s.a[0][0, 1],
        lambda s: s.W[1][1, 2] - RATE * s.numeric(1)[2, 2],
    ),
    "D-48-base-weight-in-place-of-the-bias": (
        D,
        lambda s: s.W[1][1, 2] - RATE * s.delta[1][0, 2],
        lambda s: s.b[1][2] - RATE * s.delta[1][0, 2],
        lambda s: s.b[1][2] - RATE * s.numeric(1)[0, 2],
    ),
    "D-8-f-times-1-minus-f-at-the-output-of-tanh": (
        D_TANH,
        lambda s: (s.a[2][0] - s.y[0]) * prime(s.a[2][0]),
        lambda s: (s.a[2][0] - s.y[0]) / np.cosh(s.z[2][0]) ** 2,
        lambda s: s.numeric_delta(2),
    ),
    "D-28-f-times-1-minus-f-in-a-hidden-layer-of-tanh": (
        D_TANH,
        lambda s: (s.W[2] @ s.delta[2][0]) * prime(s.a[1][0]),
        lambda s: (s.W[2] @ s.delta[2][0]) / np.cosh(s.z[1][0]) ** 2,
        lambda s: s.numeric_delta(1),
    ),
    "E-sign-of-the-error": (
        E,
        lambda s: np.outer(s.a[1][0], -(s.a[2][0] - s.y[0]) * prime(s.a[2][0])),
        lambda s: np.outer(s.a[1][0], (s.a[2][0] - s.y[0]) * prime(s.a[2][0])),
        lambda s: s.numeric(2)[1:],
    ),
    "E-descent-with-the-printed-sign": (E, lambda s: descended(s, +1), lambda s: descended(s, -1), predicted_fall),
    "E-slope-by-the-output-kept-after-substitution": (
        E,
        lambda s: (s.a[2][0] - s.y[0]) * (s.a[2][0] - s.y[0]) * prime(s.a[2][0]),
        lambda s: (s.a[2][0] - s.y[0]) * prime(s.a[2][0]),
        lambda s: s.numeric_delta(2),
    ),
    "E-error-split-by-a-column": (
        E,
        lambda s: s.W[2] @ s.delta[2][:1],
        lambda s: s.delta[2][:1] @ s.W[2].T,
        lambda s: s.numeric_back(1)[None],
    ),
    "E-error-split-lacks-the-slope": (
        E,
        lambda s: (s.a[2][:1] - s.y[:1]) @ s.W[2].T,
        lambda s: ((s.a[2][:1] - s.y[:1]) * prime(s.a[2][:1])) @ s.W[2].T,
        lambda s: s.numeric_back(1)[None],
    ),
}  # fmt: skip
FALLS = ("A-update-adds-the-gradient", "C-update-of-the-weights-missing", "E-descent-with-the-printed-sign")
RISES = ("A-update-adds-the-gradient", "E-descent-with-the-printed-sign")


def value(formula, s):
    """Value of a formula; none where its shapes do not fit or an index does not exist."""
    try:
        return np.asarray(formula(s))
    except (ValueError, IndexError):
        return None


def tolerance(name):
    """A fall of J is predicted to first order in RATE, the rest is exact."""
    return {"rtol": 1e-6, "atol": 0} if name in FALLS else CLOSE


@pytest.mark.parametrize("name", CASES)
def test_printed_formula_is_wrong(name):
    inputs, printed, _, claim = CASES[name]
    s = setting(**inputs)
    got, want = value(printed, s), np.asarray(claim(s))
    assert got is None or got.shape != want.shape or not np.allclose(got, want, **tolerance(name))


@pytest.mark.parametrize("name", CASES)
def test_corrected_formula_is_right(name):
    inputs, _, corrected, claim = CASES[name]
    s = setting(**inputs)
    np.testing.assert_allclose(corrected(s), claim(s), **tolerance(name))


@pytest.mark.parametrize("name", RISES)
def test_cost_rises_as_printed_and_falls_as_corrected(name):
    inputs, printed, corrected, _ = CASES[name]
    s = setting(**inputs)
    assert corrected(s) < s.cost(s.theta) < printed(s)
