"""Eigenvalues of the curvature of the objective: all of them from its matrix, or the largest from products with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cbp._arguments import whole
from cbp.diagnostics._twin import Problem, need_room
from cbp.errors import unknown

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike

MATRICES = ("gauss_newton", "hessian")
TOLERANCE = 1e-10  # of an eigenvalue, relative to the largest: Lanczos' method goes on until all k are as good


def curvature_eigenvalues(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    matrix: str = "gauss_newton",
    k: int | None = None,
) -> Array:
    """Return eigenvalues of the curvature of the objective J, penalties included, in the trained parameters.

    Parameters
    ----------
    net : Network
        It is left as it is.
    X, y, sample_weight
        As for `Network.loss`.
    matrix : {"gauss_newton", "hessian"}, default "gauss_newton"
        The generalised Gauss-Newton matrix, which has no negative ones, or that of the second derivatives of J.
    k : int, optional
        How many, those farthest from 0, by Lanczos' method: no matrix is made, so that large networks are fine. None:
        all of them.

    Returns
    -------
    ndarray, shape (p,) or (k,)
        The largest first. Where several are equal, those by Lanczos' method may have them once.

    Raises
    ------
    ValueError, TypeError
        The data or an argument does not fit.
    MemoryError
        The matrix is more than the machine has memory for.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> cbp.diagnostics.curvature_eigenvalues(net, [[-1], [0], [1], [2]], [0, 1, 2, 3]).round(4)
    array([1.809, 0.691])
    """
    if matrix not in MATRICES:
        raise unknown("curvature", matrix, MATRICES)
    problem = Problem(net, X, y, sample_weight)
    p = len(problem.columns)
    if k is not None:
        k = whole(k, "k", 1, p)
        return largest(_product(problem, matrix), p, k)
    if matrix == "gauss_newton":
        found = problem.gauss_newton()
    else:
        need_room(problem.net.n_params)
        times = _product(problem, matrix)
        found = np.array([times(unit) for unit in np.eye(p)])
        found = (found + found.T) / 2
    return np.linalg.eigvalsh(found)[::-1]


def condition_number(net: State, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the condition number of the Gauss-Newton matrix: its largest eigenvalue over its smallest.

    The number of steps that plain gradient descent needs grows with it; infinity says that the data leave directions of
    the parameters open.

    Parameters
    ----------
    net, X, y, sample_weight
        As for `curvature_eigenvalues`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `curvature_eigenvalues`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> round(cbp.diagnostics.condition_number(net, [[-1], [0], [1], [2]], [0, 1, 2, 3]), 4)
    2.618
    """
    return condition(curvature_eigenvalues(net, X, y, sample_weight))


def condition(values: Array) -> float:
    """Return the quotient of the first and the last of eigenvalues in order; the last may be nothing but rounding."""
    noise = values[0] * len(values) * float(np.finfo(np.float64).eps)
    return float(values[0] / values[-1]) if values[-1] > noise else float("inf")


def _product(problem: Problem, matrix: str) -> Callable[[Array], Array]:
    """Return what multiplies a vector (p,) by the matrix."""
    net, (X, y, weight), columns = problem.net, problem.samples, problem.columns
    times = net.gauss_newton if matrix == "gauss_newton" else net.hvp

    def product(v: Array) -> Array:
        full = np.zeros(net.n_params)
        full[columns] = v
        return times(X, y, full, weight, check_finite=False)[columns]

    return product


def largest(times: Callable[[Array], Array], n: int, k: int) -> Array:
    """Return the k eigenvalues farthest from 0 of a symmetric matrix (n, n) that `times` multiplies a vector by.

    Lanczos' method, every vector made orthogonal to all before it (Golub and Van Loan, Matrix Computations, 10.3). The
    residual of an eigenvalue is the last off-diagonal element times the last element of its eigenvector.
    """
    rng = np.random.default_rng(0)
    basis, diagonal, beside = np.empty((0, n)), [], [0.0]
    v = _normal(rng.standard_normal(n), basis)
    while True:
        basis = np.vstack([basis, v])
        w = times(v)
        diagonal.append(float(v @ w))
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside[1:], 1) + np.diag(beside[1:], -1))
        w = w - basis.T @ (basis @ w)
        w -= basis.T @ (basis @ w)
        beside.append(float(np.linalg.norm(w)))
        order = np.argsort(-abs(values))[:k]
        scale = float(abs(values).max())
        if len(diagonal) == n or (
            len(diagonal) >= k and (beside[-1] * abs(vectors[-1, order]) <= TOLERANCE * scale).all()
        ):
            return np.sort(values[order])[::-1]
        if beside[-1] <= 1e-14 * scale:  # a part of the space that the matrix never leaves: begin again beside it
            w, beside[-1] = rng.standard_normal(n), 0.0
        v = _normal(w, basis)


def _normal(v: Array, basis: Array) -> Array:
    """Return v of length 1 and orthogonal to the rows of the basis."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v / np.linalg.norm(v)
