"""For the tests of error bars: networks at a minimum, and the formulas of linear regression."""

import numpy as np

import cbp


def linear(n_in=3, n_out=1, **options):
    """A network without hidden layers."""
    return cbp.Network([n_in, n_out], **{"output": "identity", "dtype": "float64", "seed": 0, **options})


def design(X):
    """A column of ones before X: the first row of theta is the bias."""
    return np.hstack([np.ones((len(X), 1)), X])


def solve(net, X, y, s=None, ridge=0.0):
    """Put the least-squares solution into a linear network."""
    A, s = design(X), np.ones(len(X)) if s is None else s
    P = ridge * np.diag([0.0, *np.ones(X.shape[1])])
    net.params[:] = np.linalg.solve(A.T * s @ A + P, A.T * s @ np.reshape(y, (len(X), -1))).ravel()
    return net


def marquardt(net, X, y):
    """Train to a minimum."""
    net.fit(X, y, epochs=300, optimizer=cbp.methods.LevenbergMarquardt(min_grad=1e-11))
    return net
