"""NumPy: the training loop that one writes oneself. In float64 it is also the reference that all are compared with."""

import numpy as np

from peers import Peer
from problems import ACTIVATIONS

SLOPES = {  # g'(z) from a = g(z)
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: a > 0,
}


class NumPy(Peer):
    """Matrix products by NumPy's BLAS, everything else array by array, updates in place."""

    def versions(self):
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {"numpy": np.__version__, "blas": f"{blas.get('name', '?')} {blas.get('version', '')}".strip()}

    def build(self):
        p = self.problem
        last = len(p.widths) - 2
        self.functions = [ACTIVATIONS[p.output if l == last else p.hidden] for l in range(last + 1)]
        self.slope = SLOPES.get(p.hidden)
        self.update = {"sgd": self.sgd, "adam": self.adam}[p.optimizer]

    def hold(self, X, Y, labels):
        self.X, self.Y = X, Y
        if self.problem.single:
            self.pairs = [(X[i : i + 1], Y[i : i + 1]) for i in range(len(X))]

    def reset(self):
        self.theta = [array.copy() for layer in self.start for array in layer]
        self.t = 0
        if self.problem.optimizer == "adam":
            self.m = [np.zeros_like(array) for array in self.theta]
            self.v = [np.zeros_like(array) for array in self.theta]

    def forward(self, X):
        A = [X]
        for l, g in enumerate(self.functions):
            A.append(g(A[-1] @ self.theta[2 * l] + self.theta[2 * l + 1]))
        return A

    def gradient(self, X, Y):
        """Back-propagation; the gradient in the order of theta."""
        A = self.forward(X)
        D = A[-1] - Y
        if self.problem.loss == "half_squared_error" and self.problem.output != "identity":
            D *= SLOPES[self.problem.output](A[-1])
        D /= len(X)
        grad = [None] * len(self.theta)
        for l in reversed(range(len(self.functions))):
            grad[2 * l], grad[2 * l + 1] = A[l].T @ D, D.sum(axis=0)
            if l:
                D = (D @ self.theta[2 * l].T) * self.slope(A[l])
        return grad

    def step(self, x, y):
        self.update(self.gradient(x, y))

    def train(self, passes):
        X, Y, batch = self.X, self.Y, self.problem.batch
        for _ in range(passes):
            for i in range(0, len(X), batch):
                self.step(X[i : i + batch], Y[i : i + batch])

    def sgd(self, grad):
        for w, g in zip(self.theta, grad, strict=True):
            g *= self.problem.rate
            w -= g

    def adam(self, grad, beta1=0.9, beta2=0.999, eps=1e-8):
        self.t += 1
        rate = self.problem.rate / (1 - beta1**self.t)
        scale = 1 / (1 - beta2**self.t)
        for w, g, m, v in zip(self.theta, grad, self.m, self.v, strict=True):
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            w -= rate * m / (np.sqrt(scale * v) + eps)

    def predict(self, X):
        return self.forward(X)[-1]

    def predict_one(self, x):
        return self.forward(x)[-1][0]

    def weights(self):
        return list(zip(self.theta[::2], self.theta[1::2], strict=True))
