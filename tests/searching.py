"""For the tests of the full-batch searches: objectives that are no network, and a loop that makes steps."""

import numpy as np

from cbp.methods import MethodState


class Function:
    """What a search sees of an objective, for a function of n variables and its derivatives."""

    def __init__(self, loss, gradient, start, hessian=None):
        self.value, self.slope, self.hessian = loss, gradient, hessian
        self.point = np.array(start, float)
        self.n = len(self.point)
        self.n_trained = self.n
        self.evaluations = self.products = 0

    @property
    def theta(self):
        return self.point.copy()

    def accept(self, theta):
        self.point[:] = theta

    def moved(self, theta, step):
        return theta + step

    def gradient(self, theta):
        self.evaluations += 1
        with np.errstate(all="ignore"):
            return float(self.value(theta)), np.asarray(self.slope(theta), float)

    def along(self, theta, direction, length):
        there = self.moved(theta, direction * length)
        loss, gradient = self.gradient(there)
        return loss, float(direction @ gradient), there, gradient

    def hessian_times(self, theta, v):
        self.products += 1
        return self.hessian(theta) @ v

    gauss_newton_times = hessian_times


def quadratic(n, seed, condition=100.0):
    """Return 1/2 x^T A x - b x with eigenvalues from 1 to `condition`, and where it is least."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = basis @ np.diag(np.linspace(1, condition, n)) @ basis.T
    A = (A + A.T) / 2
    b = rng.normal(size=n)
    f = Function(lambda x: x @ A @ x / 2 - b @ x, lambda x: A @ x - b, rng.normal(size=n), lambda x: A)
    return f, np.linalg.solve(A, b)


def rosenbrock(start=(-1.2, 1.0)):
    """Rosenbrock's valley (The Computer Journal 3, 1960), whose minimum is 0 at (1, 1)."""
    return Function(
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        lambda x: [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)],
        start,
        lambda x: np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200]]),
    )


def drive(method, objective, steps, state=None):
    """Make steps until there is a reason to stop; return the state, J before and after each, and the points."""
    state = MethodState() if state is None else state
    losses, points = [method.begin(objective, state)], [objective.theta]
    for _ in range(steps):
        losses.append(method.step(objective, state))
        points.append(objective.theta)
        if state.stop:
            break
    return state, losses, points
