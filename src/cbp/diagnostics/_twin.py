"""A network and its data in float64 and in the units that the network computes in: what all diagnostics start from.

Nothing here reaches a weight, so NumPy's reductions and LAPACK are welcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp import _core
from cbp._samples import Samples
from cbp.methods._memory import require
from cbp.network import Network

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike

BLOCK_BYTES = 2**25
"""About as much of a Jacobian is in memory at once."""


class Family(NamedTuple):
    """What a loss says of the targets.

    `squares`: that they are normal around the outputs, with a variance to be estimated; otherwise the loss is minus a
    log-likelihood that leaves nothing to estimate. The cost times `factor`, and times the number of targets where
    `mean`, is that log-likelihood, or half the sum of the squares.
    """

    squares: bool
    factor: float = 1.0
    mean: bool = False


FAMILIES = {
    "half_squared_error": Family(True),
    "mean_squared_error": Family(True, 0.5, True),
    "binary_cross_entropy": Family(False),
    "categorical_cross_entropy": Family(False),
    "negative_log_likelihood": Family(False),
    "poisson": Family(False, 1.0, True),
    "log_poisson": Family(False, 1.0, True),
    "gaussian_nll": Family(False, 1.0, True),
}


class Problem:
    """A network with data, in float64 and scaled.

    Attributes
    ----------
    net : Network
        The twin in float64, without scaling, with parameters of its own.
    samples : Samples
    weights : ndarray, shape (m,)
        Those of the samples, 1 where there are none.
    columns : ndarray of int, shape (p,)
        Which parameters are trained.
    scale : ndarray, shape (n_L,)
        What an output is multiplied by to be in the units of its target.
    """

    def __init__(self, net: State, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None, check: bool = True) -> None:
        X, y, weight = net._reader.batch(X, y, weight, check)
        self.net = twin(net, scaled=False)
        y = y if y.ndim == 1 else y.astype(np.float64)
        self.samples = Samples(X.astype(np.float64), y, None if weight is None else weight.astype(np.float64))
        self.columns = np.flatnonzero(self.net._trained())
        if len(self.columns) == 0:
            raise ValueError("all parameters are fixed: there is nothing that the data could tell")
        scaling = net.target_scaling
        self.scale = np.ones(net.widths[-1]) if scaling is None or scaling.scale is None else scaling.scale
        self.weights = np.ones(len(X)) if self.samples.weight is None else self.samples.weight

    def gauss_newton(self) -> Array:
        """Return the generalised Gauss-Newton matrix of J, penalties included, by the trained parameters, (p, p)."""
        need_room(self.net.n_params)
        X, y, weight = self.samples
        return self.trained(self.net.gauss_newton(X, y, None, weight, check_finite=False))

    def trained(self, matrix: Array) -> Array:
        """Return the rows and columns of trained parameters."""
        return matrix if len(self.columns) == self.net.n_params else matrix[np.ix_(self.columns, self.columns)]

    def curvature(self, family: Family) -> tuple[Array, Array]:
        """Return H, (p, p), of half the sum of squares or minus the log-likelihood, and the penalties' share, (p,)."""
        factor = family.factor * (self.net._spec.n_targets if family.mean else 1)
        penalty = factor * self.penalties()
        if self.net._spec.loss.pair:
            return self._information() + np.diag(penalty), penalty
        mean = self.net._spec.reduction == "mean"
        matrix = self.gauss_newton()
        matrix *= factor * (float(self.weights.sum()) if mean else 1.0)
        return matrix, penalty

    def _information(self) -> Array:
        """Return Fisher's information of normal targets with means a and variances v: 1 / v, and 1 / 2 v**2.

        It is what the curvature of gaussian_nll is expected to be; the curvature itself may have negative eigenvalues.
        """
        need_room(self.net.n_params)
        p, loss = len(self.columns), self.net._spec.loss
        outputs, n, known = self.outputs(), self.net._spec.n_targets, ~np.isnan(self.samples.y)
        v = np.maximum(outputs[:, n:], loss.args["eps"])
        share = np.hstack([known / v, known * (outputs[:, n:] == v) / (2 * v**2)]) * self.weights[:, None]
        found = np.zeros((p, p))
        for span, J in self.slopes():
            J = (J * np.sqrt(share[span])[:, :, None]).reshape(-1, p)
            found += J.T @ J
        return found

    def penalties(self) -> Array:
        """Return the second derivative that the l2 of its layer gives each trained parameter, (p,): of J's sum."""
        l2 = np.zeros(self.net.n_params)
        for dense, (start, above, cols) in zip(self.net._spec.layers, self.net._plan.blocks, strict=True):
            l2[start + cols : start + above * cols] = dense.l2
        return l2[self.columns] * self.weights.sum()

    def outputs(self) -> Array:
        """Return the outputs, (m, n_L)."""
        return self.net.predict(self.samples.X, check_finite=False)

    def residuals(self) -> tuple[Array, Array]:
        """Return y - a, (m, n_L), 0 where there is no target; and whether there is one."""
        residuals = self.samples.y - self.outputs()
        known = ~np.isnan(residuals)
        return np.where(known, residuals, 0.0), known

    def slopes(self) -> Iterator[tuple[slice, Array]]:
        """Yield rows, and the derivatives of their outputs by the trained parameters, (rows, n_L, p)."""
        return slopes(self.net, self.samples.X, self.columns)


def twin(net: State, scaled: bool = True) -> Network:
    """Return the network in float64: as it is, or one without scaling, that takes and gives scaled numbers."""
    left_out = () if scaled else ("scale_inputs", "scale_targets")
    config = {name: value for name, value in net.get_config().items() if name not in left_out}
    first, *layers = config["layers"]
    config["layers"] = [first, *({**layer, "init": "zeros"} for layer in layers)]
    other = Network.from_config({**config, "dtype": "float64"})
    other.params[:] = net.params
    other.mask = net.mask
    other._reader = other._reader.with_numbers(net._reader.numbers() if scaled else {})
    return other


def family_of(net: State) -> Family:
    """Return what the network's loss says of its targets, or refuse."""
    name = net._spec.loss.name if net._spec.heads is None else "a loss for each head"
    if name not in FAMILIES:
        raise ValueError(
            f"no error bars follow from {name}: it is neither the sum of squares nor a log-likelihood; "
            f"there are some for {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def slopes(net: State, X: Array, columns: Array) -> Iterator[tuple[slice, Array]]:
    """Yield spans of rows X, and the derivatives of their outputs by some parameters, (rows, n_L, p), all unscaled.

    It works in memory of its own, so that any number of threads may predict at once.
    """
    n_out, n = net.widths[-1], net.n_params
    memory, step = _core.Memory(net._plan, net.params), max(BLOCK_BYTES // (8 * n_out * n), 1)
    for start in range(0, len(X), step):
        span = slice(start, min(start + step, len(X)))
        found = np.empty((span.stop - start, n_out, n))
        _core.jacobian(memory, net.params, X[span], found.reshape(-1, n))
        yield span, found if len(columns) == n else found[:, :, columns]


def times(J: Array, root: Array) -> Array:
    """Return J root, (rows, n_L, k), as one product of matrices."""
    return (J.reshape(-1, len(root)) @ root).reshape(*J.shape[:2], root.shape[1])


MATRICES = 6  # of n x n numbers, at most so many are there at once


def need_room(n: int) -> None:
    """Refuse to begin what this machine's memory cannot hold."""
    require(
        MATRICES * 8 * n * n,
        "the curvature",
        f"{MATRICES} matrices of {n:,} x {n:,}",
        "fix some parameters (Layer.trainable, net.mask); curvature_eigenvalues(..., k=10) needs no matrix",
    )
