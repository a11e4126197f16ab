"""What single rows do to a fit: leverage, what is left out, influence. And what share of others an interval holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cbp.diagnostics._laplace import Laplace, own_prior
from cbp.diagnostics._twin import Problem, family_of, times

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike

ALONE = 1e-10  # a leverage so near to 1 is 1: the row determines a direction of the parameters alone


class LeaveOneOut(NamedTuple):
    """What `leave_one_out` returns.

    Attributes
    ----------
    residuals : ndarray, shape (m, n_L)
        Target less what would be predicted without the row, in units of the targets; NaN where there is no target, and
        infinite where a row determines a direction of the parameters alone.
    rms : float
        Root of the weighted mean of their squares.
    press : float
        Weighted sum of their squares: Allen's prediction sum of squares.
    """

    residuals: Array
    rms: float
    press: float


class Influence(NamedTuple):
    """What `influence` returns.

    Attributes
    ----------
    distance : ndarray, shape (m,)
        Cook's distance: how far all predictions go without the row, squared, in units of their own uncertainty. More
        than 1 is much.
    change : ndarray, shape (m, n_params)
        What each parameter would change by.
    """

    distance: Array
    change: Array


class Fit:
    """A posterior with the rows it was made of.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`.
    """

    def __init__(
        self,
        net: State,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        prior: float | str | None = None,
        noise: ArrayLike | None = None,
        squares: bool = True,
    ) -> None:
        if not family_of(net).squares and squares:
            raise ValueError(f"leverage is that of least squares, the loss is {net._spec.loss.name}")
        self.problem = Problem(net, X, y, sample_weight)
        self.posterior = Laplace(net, self.problem, own_prior(net) if prior is None else prior, noise)

    def _rows(self) -> Iterator[tuple[slice, Array, Array]]:
        """Yield rows, their Z = J half, (rows, n_L, rank), 0 where no target is known, and their weights."""
        known = self.problem.residuals()[1]
        for span, J in self.problem.slopes():
            yield span, times(J, self.posterior._half) * known[span][:, :, None], self.problem.weights[span]

    def leverage(self) -> Array:
        """Return the diagonal of the hat matrix, (m, n_L)."""
        found = np.empty(self.problem.samples.y.shape)
        for span, Z, weights in self._rows():
            found[span] = weights[:, None] * np.einsum("rki,rki->rk", Z, Z)
        return found

    def left_out(self) -> Array:
        """Return the residuals of rows left out, (m, n_L), in the network's units, 0 where there is no target."""
        residuals, _ = self.problem.residuals()
        for span, Z, weights in self._rows():
            residuals[span] = _without(weights[:, None, None] * (Z @ Z.transpose(0, 2, 1)), residuals[span])
        return residuals

    def leave_one_out(self) -> LeaveOneOut:
        """Return what `leave_one_out` does."""
        residuals = self.left_out() * self.problem.scale
        weights, known = self.problem.weights, self.problem.residuals()[1]
        press = float(weights @ (residuals**2).sum(axis=1))
        return LeaveOneOut(np.where(known, residuals, np.nan), root_mean_square(residuals, known, weights), press)

    def distance(self) -> Array:
        """Return Cook's distances, (m,)."""
        posterior = self.posterior
        variance = float(posterior._variance @ posterior._targets / posterior._targets.sum())
        found = np.empty(len(self.problem.weights))
        for span, moved in self._moves():
            found[span] = np.einsum("ri,ri->r", moved, moved)
        return found / (posterior.effective_parameters * variance)

    def influence(self) -> Influence:
        """Return what `influence` does."""
        change = np.zeros((len(self.problem.weights), self.problem.net.n_params))
        for span, moved in self._moves():
            with np.errstate(invalid="ignore"):
                change[span, self.problem.columns] = -moved @ self.posterior._half.T
        return Influence(self.distance(), change)

    def _moves(self) -> Iterator[tuple[slice, Array]]:
        """Yield rows, and half' J' e of each, e being its residual when left out: minus the change, whitened."""
        left_out = self.left_out()
        for span, Z, weights in self._rows():
            yield span, weights[:, None] * np.einsum("rki,rk->ri", Z, left_out[span])


def root_mean_square(residuals: Array, known: Array, weights: Array) -> float:
    """Return the root of the weighted mean of the squares of residuals (m, n_L), which are 0 where not known."""
    return float((weights @ residuals**2).sum() / (weights @ known).sum()) ** 0.5


def _without(hat: Array, residuals: Array) -> Array:
    """Return (1 - hat)**-1 residuals, row by row: (rows, n_L, n_L), (rows, n_L); infinite where hat is 1."""
    alone = np.linalg.eigvalsh(hat)[:, -1] > 1 - ALONE
    rest = np.eye(hat.shape[1]) - np.where(alone[:, None, None], 0.0, hat)
    found = np.linalg.solve(rest, residuals[:, :, None])[:, :, 0]
    found[alone] = np.inf
    return found


def leverage(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> Array:
    """Return the leverages of rows: how much of what is predicted for them is their own target.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`. The loss must be one of squares.

    Returns
    -------
    ndarray, shape (m, n_L)
        The diagonal of the hat matrix J H**-1 J', each row times its weight: from 0 to 1. Their sum is the number of
        effective parameters.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> cbp.diagnostics.leverage(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1]).ravel()
    array([0.7, 0.3, 0.3, 0.7])
    """
    return Fit(net, X, y, sample_weight, prior, noise).leverage()


def leave_one_out(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> LeaveOneOut:
    """Return what each row's residual would be had the network been trained without it, to first order.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`. The loss must be one of squares.

    Returns
    -------
    LeaveOneOut
        With `residuals`, (m, n_L), `rms` and `press`.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Notes
    -----
    A residual e becomes e / (1 - h) with the leverage h; (1 - H_rr)**-1 e with several outputs. That is exact where the
    outputs are linear in the parameters. Penalties stay as strong as they were with all rows. Allen, Technometrics 16
    (1974).

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> left_out = cbp.diagnostics.leave_one_out(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    >>> left_out.residuals.ravel().round(4)
    array([-0.3333,  0.4286, -0.4286,  0.3333])
    >>> round(left_out.rms, 4)
    0.3839
    """
    return Fit(net, X, y, sample_weight, prior, noise).leave_one_out()


def influence(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> Influence:
    """Return what leaving out each row would do, to first order.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`. The loss must be one of squares.

    Returns
    -------
    Influence
        With `distance`, (m,), and `change`, (m, n_params).

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Notes
    -----
    Without row r the parameters change by d = -H**-1 s_r J_r' e, e being the residual that `leave_one_out` gives it.
    Cook's distance is d' H d / (gamma sigma**2): Cook, Technometrics 19 (1977).

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> effect = cbp.diagnostics.influence(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    >>> effect.distance.round(3)
    array([0.389, 0.276, 0.276, 0.389])
    """
    return Fit(net, X, y, sample_weight, prior, noise).influence()


def coverage(model: Any, X: ArrayLike, y: ArrayLike, level: ArrayLike = 0.95) -> Any:
    """Return the share of targets that lie in intervals for new observations.

    Parameters
    ----------
    model : Laplace, or Network that has learned its uncertainty
    X, y : array_like
        Data that the network was not trained on, as for `Network.fit`. Missing targets do not count.
    level : float or array_like, default 0.95
        What share there should be, between 0 and 1.

    Returns
    -------
    float, or ndarray like `level`
        Of the targets of all outputs together.

    Raises
    ------
    ValueError, TypeError
        The data do not fit, or the loss is none of the squares or gaussian_nll.
    RuntimeError
        The network has learned no uncertainty.

    Examples
    --------
    >>> import cbp, numpy as np
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> posterior = cbp.diagnostics.laplace(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    >>> cbp.diagnostics.coverage(posterior, [[0], [1], [2]], [1.1, 2.2, 8.0], [0.5, 0.95]).round(2)
    array([0.33, 0.67])
    """
    posterior = posterior_of(model)
    if not (posterior._family.squares or posterior._pair):
        raise ValueError("there are intervals for observations where these are normal around their mean")
    reader = posterior._net._reader
    X, targets, _ = reader.batch(X, y)
    mean, std = posterior._predict(X, True)
    n = targets.shape[1]
    distance = abs(reader.restored(targets) - mean[:, :n]) / std[:, :n]
    known = ~np.isnan(distance)
    levels = np.asarray(level, np.float64)
    shares = [float((distance <= posterior.factor(one)[:n])[known].mean()) for one in levels.ravel()]
    return shares[0] if levels.ndim == 0 else np.array(shares).reshape(levels.shape)


def posterior_of(model: Any) -> Laplace:
    """Return the posterior itself, or the one that a network has learned."""
    if isinstance(model, Laplace):
        return model
    posterior: Laplace = model._learned_posterior()
    return posterior
