"""The formulas of a network with one hidden layer in NumPy, and SciPy's ways down them."""

from __future__ import annotations

import contextlib

import numpy as np

from descents import Arrived, Refusal, Run, Task

STEPS = 20_000
PATIENCE = 500  # parameters that MINPACK gets


class Formulas:
    """Errors, their Jacobian, J and its gradient at theta."""

    def __init__(self, task: Task) -> None:
        self.task, self.jacobian_at = task, np.empty((len(task.X), task.n_params))

    def hidden(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the activations of the hidden layer (m, h) and the net input of the output (m,)."""
        W, b, w, c = self.task.cut(theta)
        A = np.tanh(self.task.X @ W + b)
        return A, A @ w + c

    def errors(self, theta: np.ndarray) -> np.ndarray:
        return self.hidden(theta)[1] - self.task.y

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return d errors / d theta (m, n_params), the same array every time."""
        A, _ = self.hidden(theta)
        W, b, w, c = self.parts()
        slope = (1 - A * A) * self.task.cut(theta)[2]
        np.multiply(self.task.X[:, :, None], slope[:, None, :], out=W)
        b[:], w[:], c[:] = slope, A, 1
        return self.jacobian_at

    def parts(self) -> tuple[np.ndarray, ...]:
        """Return the columns of the Jacobian for W1 (m, n, h), b1, w2 and b2."""
        m, n = self.task.X.shape
        h, J = self.task.hidden, self.jacobian_at
        a = n * h
        return J[:, :a].reshape(m, n, h), J[:, a : a + h], J[:, a + h : a + 2 * h], J[:, a + 2 * h :]

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        task, (A, z) = self.task, self.hidden(theta)
        if task.squared:
            delta = z - task.y
            loss = delta @ delta / 2
        else:
            delta = 1 / (1 + np.exp(-z)) - task.y
            loss = (np.maximum(z, 0) - z * task.y + np.log1p(np.exp(-np.abs(z)))).sum()
        back = (1 - A * A) * task.cut(theta)[2] * delta[:, None]
        parts = [(task.X.T @ back).ravel(), back.sum(axis=0), A.T @ delta, [delta.sum()]]
        return loss / len(z), np.concatenate(parts) / len(z)


def squared(task: Task) -> Formulas:
    if not task.squared:
        raise Refusal("for squared errors only")
    return Formulas(task)


def levenberg_marquardt(task: Task, theta: np.ndarray, goal: float, steps: int = 500) -> Run:
    """Straight from a textbook: normal equations by Cholesky, damping a tenth after a success, ten times after none."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    formulas, sum_goal = squared(task), 2 * goal * len(task.X)

    def improved(theta: np.ndarray, J: np.ndarray, e: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
        H, g, before = J.T @ J, J.T @ e, e @ e
        while mu < 1e10:
            damped = H + mu * np.eye(len(g))
            try:
                trial = theta - cho_solve(cho_factor(damped, check_finite=False), g, check_finite=False)
            except LinAlgError:
                mu *= 10
                continue
            after = formulas.errors(trial)
            if after @ after < before:
                return trial, after, mu / 10
            mu *= 10
        return theta, e, mu

    def run() -> tuple[int, float]:
        at, e, mu, count = theta.copy(), formulas.errors(theta), 0.01, 0
        while e @ e > sum_goal and count < steps and mu < 1e10:
            at, e, mu = improved(at, formulas.jacobian(at), e, mu)
            count += 1
        return count, e @ e / (2 * len(e))

    return run


def least_squares(task: Task, theta: np.ndarray, goal: float, steps: int = 2000) -> Run:
    """MINPACK's, by a QR decomposition in each step; Jacobians count as steps."""
    from scipy.optimize import least_squares

    formulas, sum_goal = squared(task), 2 * goal * len(task.X)
    if task.n_params > PATIENCE:
        raise Refusal(f"a minute or more with over {PATIENCE} parameters")

    def run() -> tuple[int, float]:
        last, count = [np.inf], [0]

        def errors(at: np.ndarray) -> np.ndarray:
            e = formulas.errors(at)
            last[0] = e @ e
            if last[0] <= sum_goal:
                raise Arrived
            return e

        def jacobian(at: np.ndarray) -> np.ndarray:
            count[0] += 1
            return formulas.jacobian(at)

        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
        with contextlib.suppress(Arrived):
            least_squares(errors, theta, jacobian, method="lm", max_nfev=steps, **tight)
        return count[0], last[0] / (2 * len(task.X))

    return run


def lbfgs(task: Task, theta: np.ndarray, goal: float, steps: int = STEPS) -> Run:
    """The Fortran code's successor, ten pairs; the goal is looked for in every evaluation."""
    from scipy.optimize import minimize

    formulas = Formulas(task)

    def run() -> tuple[int, float]:
        last, count = [np.inf], [1]

        def both(at: np.ndarray) -> tuple[float, np.ndarray]:
            last[0], gradient = formulas.loss_and_gradient(at)
            if last[0] <= goal:
                raise Arrived
            return last[0], gradient

        def step(_: np.ndarray) -> None:
            count[0] += 1

        options = {"maxiter": steps, "maxfun": 10 * steps, "ftol": 0, "gtol": 0}
        with contextlib.suppress(Arrived):
            minimize(both, theta, jac=True, method="L-BFGS-B", callback=step, options=options)
        return count[0], last[0]

    return run
