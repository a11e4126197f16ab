"""For the tests of error bars: Levenberg and Marquardt's method in a few lines, and linear regression."""

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


def marquardt(net, X, y, steps=200, mu=1e-2):
    """Train to a minimum."""
    loss = net.loss(X, y)
    for _ in range(steps):
        net.gradient(X, y)
        slope, G, theta = net.grad.copy(), net.gauss_newton(X, y), net.params.copy()
        while mu < 1e12:
            net.params[:] = theta - np.linalg.solve(G + mu * np.eye(len(G)), slope)
            if (new := net.loss(X, y)) < loss:
                break
            mu *= 10
        else:
            net.params[:] = theta
            break
        gain, loss, mu = loss - new, new, mu / 10
        if gain < 1e-13 * loss:
            break
    return net
