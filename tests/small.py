"""A network of one hidden layer of tanh and one linear output written out again, with its Jacobian, for the methods."""

import numpy as np

import cbp


def net(hidden=3, n_in=2, seed=0, scale=1.0, **kwargs):
    """A network as `outputs` computes it."""
    layers = [n_in, *kwargs.pop("layers", [hidden, 1])]
    found = cbp.Network(
        layers, **{"activation": "tanh", "output": "identity", "dtype": "float64", "seed": seed, **kwargs}
    )
    found.params[:] *= scale
    return found


def outputs(theta, X, hidden):
    """The outputs (m,) and their derivatives by theta (m, n_params)."""
    m, n = X.shape
    first = theta[: (n + 1) * hidden].reshape(n + 1, hidden)
    second = theta[(n + 1) * hidden :]
    H = np.tanh(X @ first[1:] + first[0])
    D = (1 - H**2) * second[1:]
    by_weights = [X[:, [i]] * D for i in range(n)]
    return second[0] + H @ second[1:], np.concatenate([D, *by_weights, np.ones((m, 1)), H], axis=1)


def teacher(hidden=3, n_in=2, m=60, seed=0, noise=0.0):
    """Rows that such a network makes, and its parameters."""
    rng = np.random.default_rng(seed)
    X, theta = rng.uniform(-2, 2, (m, n_in)), rng.normal(0, 1, (n_in + 2) * hidden + 1)
    return X, outputs(theta, X, hidden)[0] + noise * rng.normal(size=m), theta


def everything(network):
    """All that training by a method changes, to compare on bytes."""
    state = network._method_state
    vectors = {key: vector.tobytes() for key, vector in state.vectors.items()}
    return network.epoch, state.iterations, state.numbers, vectors, network.optimizer, network.params.tobytes()
