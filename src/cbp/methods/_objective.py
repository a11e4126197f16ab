"""What a full-batch method sees: the objective of one network on one set of rows, and its derivatives.

Points are parameter vectors (n_params,) of the network's dtype; everything else is float64. Fixed parameters have
derivatives of 0 throughout. Nothing here depends on the number of threads or on the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbp import _core

if TYPE_CHECKING:
    from cbp._samples import Samples
    from cbp._state import State
    from cbp._typing import Array


class Objective:
    """The objective J of a network on some samples.

    Attributes
    ----------
    n : int
        Number of parameters.
    weight : float
        What J has to be multiplied by to be a sum over the samples: sum of the sample weights where the reduction is
        "mean", else 1.
    trained : ndarray of bool, shape (n,)
        Which parameters are not fixed.
    n_trained : int
        How many those are.
    """

    def __init__(self, net: State, samples: Samples) -> None:
        self.net, self.samples = net, samples
        self.n = net.n_params
        self._some = None if net._all_trained() else net._trained()
        self.n_trained = self.n if self._some is None else int(np.count_nonzero(self._some))
        self._surface = _core.Surface(net._memory, *samples)
        self._wide = net.dtype == np.float64
        self.weight = 1.0
        if net._spec.reduction == "mean":
            rows = len(samples.X)
            weight = samples.weight
            self.weight = float(rows) if weight is None else _core.dot(weight.astype(np.float64), np.ones(rows))

    @property
    def trained(self) -> Array:
        """Which parameters are not fixed."""
        return np.ones(self.n, bool) if self._some is None else self._some

    @property
    def theta(self) -> Array:
        """The parameters of the network, a copy."""
        return self.net.params.copy()

    def accept(self, theta: Array) -> None:
        """Make these the parameters of the network: the one place where a method changes them."""
        self.net.params[:] = theta

    def moved(self, theta: Array, step: Array) -> Array:
        """Return the point theta + step, rounded to the network's dtype."""
        there = theta + step
        return there if self._wide else there.astype(theta.dtype)

    def loss(self, theta: Array) -> float:
        """Return J."""
        return self.net._plan.evaluate(theta, *self.samples)

    def gradient(self, theta: Array) -> tuple[float, Array]:
        """Return J and its gradient."""
        loss, gradient = self._surface.gradient(theta)
        return loss, gradient if self._wide else gradient.astype(np.float64)

    def along(self, theta: Array, direction: Array, length: float) -> tuple[float, float, Array, Array]:
        """Return J and its slope along the direction at the point theta + length * direction; the point; the gradient.

        The point is that of `moved`.
        """
        if self._wide:
            return self._surface.along(theta, direction, length)
        there = self.moved(theta, direction * length)
        loss, gradient = self.gradient(there)
        return loss, _core.dot(direction, gradient), there, gradient

    def gauss_newton(self, theta: Array, matrix: Array | None = None) -> tuple[float, Array, Array]:
        """Return J, its gradient and its generalised Gauss-Newton matrix (n, n), of the network's dtype.

        It is made in `matrix`, where one is given.
        """
        out = np.empty(self.n, theta.dtype)
        matrix = np.empty((self.n, self.n), theta.dtype) if matrix is None else matrix
        loss = _core.curve(self.net._memory, theta, *self.samples, gradient=out, matrix=matrix)
        return loss, out.astype(np.float64, copy=False), matrix

    def hessian_times(self, theta: Array, v: Array) -> Array:
        """Return H v, H being the matrix of the second derivatives of J."""
        out = np.empty(self.n, theta.dtype)
        _core.curve(self.net._memory, theta, *self.samples, v=v.astype(theta.dtype, copy=False), hessian_v=out)
        return out.astype(np.float64, copy=False)

    def gauss_newton_times(self, theta: Array, v: Array) -> Array:
        """Return G v, G being the generalised Gauss-Newton matrix of J."""
        out = np.empty(self.n, theta.dtype)
        _core.curve(self.net._memory, theta, *self.samples, v=v.astype(theta.dtype, copy=False), gauss_newton_v=out)
        return out.astype(np.float64, copy=False)
