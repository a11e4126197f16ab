"""The objective of a network for other people's minimisers, such as SciPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbp._samples import Samples
from cbp.methods._objective import Objective

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike
    from cbp.network import Network


class NetworkObjective(Objective):
    """The objective J of a network as a function of all its parameters: what `objective` returns.

    Attributes
    ----------
    n : int
        Number of parameters.
    trained : ndarray of bool, shape (n,)
        Which parameters are not fixed. The derivatives by the others are 0.
    theta : ndarray, shape (n,)
        The network's parameters, a copy.
    """

    def __call__(self, theta: ArrayLike) -> tuple[float, Array]:
        """Return J and its gradient, float64; the network stays as it is.

        Parameters
        ----------
        theta : array_like, shape (n,)
            Parameters, which are rounded to the network's dtype.

        Raises
        ------
        ValueError
            Another shape.
        """
        return self.gradient(self._vector(theta, "theta"))

    def hessp(self, theta: ArrayLike, v: ArrayLike) -> Array:
        """Return H v, shape (n,), float64; H is the matrix of the second derivatives of J at theta.

        Parameters
        ----------
        theta, v : array_like, shape (n,)
            Parameters and direction.

        Raises
        ------
        ValueError
            Another shape, or a loss without second derivatives.
        """
        return self.hessian_times(self._vector(theta, "theta"), self._vector(v, "v"))

    def accept(self, theta: ArrayLike) -> None:
        """Make these the parameters of the network. Fixed parameters stay what they are.

        Parameters
        ----------
        theta : array_like, shape (n,)
            Parameters.

        Raises
        ------
        ValueError
            Another shape.
        """
        wanted = self._vector(theta, "theta")
        self.net.params[self.trained] = wanted[self.trained]

    def _vector(self, values: ArrayLike, name: str) -> Array:
        vector = np.ascontiguousarray(values, self.net.dtype)
        if vector.shape != (self.n,):
            raise ValueError(f"{name} must have shape ({self.n},), not {vector.shape}")
        return vector


def objective(
    net: Network, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, check_finite: bool = True
) -> NetworkObjective:
    """Return the objective of a network on some rows as a function of its parameters, with derivatives.

    For minimisers that are not cbp's: give it to ``scipy.optimize.minimize`` with ``jac=True``, and what comes out to
    `accept`. It includes the penalties of the layers; noise and dropout are left out, as in all full-batch training.

    Parameters
    ----------
    net : Network
        Whose objective it is. Its mask and frozen layers count as they are now; its parameters do not change before
        `accept`. A network that scales its data must have learned how: see `Network.learn_scaling`.
    X, y, sample_weight : array_like
        Data, as for `Network.fit`.
    check_finite : bool, default True
        Look for NaN, infinity and impossible targets first.

    Returns
    -------
    NetworkObjective
        A function of theta (n_params,) that returns J and its gradient; `hessp`, `accept`.

    Raises
    ------
    ValueError, TypeError
        The data do not fit the network.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> f = cbp.methods.objective(net, [[0.0], [1.0]], [1.0, 3.0])
    >>> J, gradient = f([1.0, 2.0])
    >>> J, gradient
    (0.0, array([0., 0.]))
    >>> f.accept([1.0, 2.0])
    >>> net.predict([[2.0]])
    array([[5.]])
    """
    return NetworkObjective(net, Samples(*net._reader.batch(X, y, sample_weight, check_finite)))
