"""What the posterior says of the parameters, each in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbp.diagnostics._laplace import laplace

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike


def covariance(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> Array:
    """Return the covariance of the parameters.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`.

    Returns
    -------
    ndarray, shape (n_params, n_params)
        In float64; 0 for parameters that are fixed.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Warns
    -----
    RuntimeWarning
        Some directions of the parameters are not determined.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> cbp.diagnostics.covariance(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1]).round(4)
    array([[ 0.03, -0.01],
           [-0.01,  0.02]])
    """
    return laplace(net, X, y, sample_weight, prior=prior, noise=noise).covariance


def standard_errors(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> Array:
    """Return the standard error of each parameter, the root of the diagonal of `covariance`.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`.

    Returns
    -------
    ndarray, shape (n_params,)
        In float64; 0 for parameters that are fixed.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Warns
    -----
    RuntimeWarning
        Some directions of the parameters are not determined.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> cbp.diagnostics.standard_errors(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1]).round(4)
    array([0.1732, 0.1414])
    """
    return laplace(net, X, y, sample_weight, prior=prior, noise=noise).standard_errors


def effective_parameters(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> float:
    """Return how many parameters the data determine: gamma, the trace of H**-1 (H - P).

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`.

    Returns
    -------
    float
        The number of trained parameters where there is no prior and nothing is undetermined; less with a prior.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> X, y = [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1]
    >>> cbp.diagnostics.effective_parameters(net, X, y)
    2.0
    >>> round(cbp.diagnostics.effective_parameters(net, X, y, prior=20.0), 2)
    1.46
    """
    return laplace(net, X, y, sample_weight, prior=prior, noise=noise).effective_parameters
