"""JAX on the CPU: one compiled function for a step, and one for a whole pass, which is a scan over the batches."""

import jax
import jax.numpy as jnp
import numpy as np

from peers import Peer, Refusal

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "softmax": lambda z: jax.nn.softmax(z, axis=-1),
}
each = jax.tree_util.tree_map


class Jax(Peer):
    """Weights and optimiser state are given away to the compiled function, which may update them in place."""

    def versions(self):
        return {"jax": jax.__version__, "numpy": np.__version__}

    def build(self):
        p = self.problem
        if p.rows % p.batch:
            raise Refusal("a last batch of another size is not written here")
        jax.config.update("jax_enable_x64", p.dtype == "float64")
        update = {"sgd": self.sgd, "adam": self.adam}[p.optimizer]

        def step(state, x, y):
            return update(state, jax.grad(self.loss)(state[0], x, y))

        def one_pass(state, X, Y):
            return jax.lax.scan(lambda s, xy: (step(s, *xy), None), state, (X, Y))[0]

        self.compiled_step = jax.jit(step, donate_argnums=0)
        self.compiled_pass = jax.jit(one_pass, donate_argnums=0)
        self.compiled_outputs = jax.jit(lambda theta, x: ACTIVATIONS[p.output](self.logits(theta, x)))

    def hold(self, X, Y, labels):
        self.X, self.Y = jnp.asarray(X), jnp.asarray(Y)
        if self.problem.kind == "train":
            shape = (-1, self.problem.batch)
            self.X, self.Y = self.X.reshape(*shape, X.shape[1]), self.Y.reshape(*shape, Y.shape[1])
        elif self.problem.single:
            rows = X if self.problem.kind == "predict one" else X[:, None]
            self.pairs = [(jnp.asarray(x), jnp.asarray(y)) for x, y in zip(rows, Y[:, None], strict=True)]

    def reset(self):
        theta = [(jnp.array(W), jnp.array(b)) for W, b in self.start]
        self.state = (theta,)
        if self.problem.optimizer == "adam":
            m, v = each(jnp.zeros_like, theta), each(jnp.zeros_like, theta)
            self.state = theta, m, v, jnp.zeros((), self.problem.dtype)
        jax.block_until_ready(self.state)

    def logits(self, theta, A):
        for W, b in theta[:-1]:
            A = ACTIVATIONS[self.problem.hidden](A @ W + b)
        return A @ theta[-1][0] + theta[-1][1]

    def loss(self, theta, X, Y):
        z = self.logits(theta, X)
        if self.problem.loss == "categorical_cross_entropy":
            cost = -Y * jax.nn.log_softmax(z)
        elif self.problem.loss == "binary_cross_entropy":
            cost = jnp.logaddexp(0, z) - Y * z
        else:
            cost = (ACTIVATIONS[self.problem.output](z) - Y) ** 2 / 2
        return cost.sum() / len(X)

    def sgd(self, state, grad):
        return (each(lambda w, g: w - self.problem.rate * g, state[0], grad),)

    def adam(self, state, grad, beta1=0.9, beta2=0.999, eps=1e-8):
        theta, m, v, t = state
        t = t + 1
        m = each(lambda m, g: beta1 * m + (1 - beta1) * g, m, grad)
        v = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grad)
        rate, scale = self.problem.rate / (1 - beta1**t), 1 / (1 - beta2**t)
        return each(lambda w, m, v: w - rate * m / (jnp.sqrt(scale * v) + eps), theta, m, v), m, v, t

    def train(self, passes):
        for _ in range(passes):
            self.state = self.compiled_pass(self.state, self.X, self.Y)
        jax.block_until_ready(self.state)

    def step(self, x, y):
        self.state = self.compiled_step(self.state, x, y)

    def predict(self, X):
        return self.compiled_outputs(self.state[0], X).block_until_ready()

    predict_one = predict

    def weights(self):
        return [(np.asarray(W), np.asarray(b)) for W, b in self.state[0]]
