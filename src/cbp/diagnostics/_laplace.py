"""The posterior of the parameters: a normal distribution around where training ended. See `Laplace`."""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import positive, real
from cbp._sources import Inputs, is_mapped, is_sparse
from cbp.diagnostics._student import quantile
from cbp.diagnostics._twin import Problem, family_of, need_room, slopes, times, twin

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
ROUNDS, SETTLED = 1000, 1e-12  # of the evidence's fixed point: at most so many, and the change that counts as none
LIMITS = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "exp": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "log_softmax": (-math.inf, 0.0),
}
"""What an output can be, where its activation says so."""


class Ratio(float):
    """A prior as alpha times the variance of the noise, which is what a Bayesian training settles."""


class Laplace:
    r"""What the data say about the parameters of a trained network, and how sure its predictions are.

    The posterior of the parameters is taken to be normal around the network's own (Laplace's approximation; seen from
    the other side, the delta method of nonlinear regression). With the slopes of the outputs of row r, J_r, the
    curvature is H = sum of s_r J_r' J_r + P, where P is what penalties or a prior add to the diagonal. The covariance
    of the parameters is sigma**2 times the inverse of H, and the variance of an output J sigma**2 H**-1 J'; that of a
    new observation is sigma**2 more. `laplace` and `Network.learn_uncertainty` make one.

    Attributes
    ----------
    noise : ndarray, shape (n_L,), or None
        Standard deviation of a target of weight 1 around its mean, in units of the targets; None where the loss is a
        log-likelihood, which leaves none to estimate.
    effective_parameters : float
        gamma: how many parameters the data determine, the trace of H**-1 (H - P).
    dof : ndarray, shape (n_L,)
        Degrees of freedom of each output's noise: targets less their share of gamma; infinite where it was given.
    alpha : float or None
        Precision of the prior, one over the variance of each parameter, where there is one; see `laplace`.
    undetermined : int
        How many directions of the parameters neither data nor prior determine; they are left out of everything. Where a
        prediction depends on them, `predict` warns; invariances, such as those of softmax and relu, it does not feel.
    covariance : ndarray, shape (n_params, n_params)
    standard_errors : ndarray, shape (n_params,)

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2                                     # 1 + 2 x, the line of least squares
    >>> posterior = cbp.diagnostics.laplace(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    >>> posterior.noise.round(4), posterior.dof
    (array([0.3162]), array([2.]))
    >>> mean, std = posterior.predict([[0], [5]])
    >>> std.ravel().round(4)
    array([0.3606, 0.728 ])
    """

    def __init__(self, net: State, problem: Problem, prior: Any, noise: Any) -> None:
        self._net, self._columns, self._scale = twin(net), problem.columns, problem.scale
        self._family, self._pair = family_of(net), bool(net._spec.loss.pair)
        self.alpha: float | None = None
        self._count(problem)
        known = self._known_variance(noise)
        penalty = self._curvature(problem, prior, known)
        self._spread(problem, penalty, known)

    # ---- how it is made ----

    def _count(self, problem: Problem) -> None:
        """Find the sum of the squared residuals, and how many targets there are, by output."""
        width = self._net.widths[-1]
        self._rss, self._targets = np.zeros(width), np.full(width, float((problem.weights > 0).sum()))
        if self._family.squares:
            residuals, known = problem.residuals()
            self._rss = (problem.weights[:, None] * residuals**2).sum(axis=0)
            self._targets = known[problem.weights > 0].sum(axis=0).astype(np.float64)

    def _known_variance(self, noise: Any) -> Array | None:
        """Return the variance (n_L,) of the noise in the network's units where it need not be estimated."""
        width = self._net.widths[-1]
        if not self._family.squares:
            if noise is not None:
                raise ValueError("noise: the loss is a log-likelihood, which has no noise beside its own")
            return np.ones(width)
        if noise is None:
            return None
        given = np.asarray(noise, np.float64)
        if given.shape not in ((), (width,)) or not (np.isfinite(given).all() and (given > 0).all()):
            raise ValueError(f"noise must be a positive standard deviation, or one for each of {width} outputs")
        return np.broadcast_to((given / self._scale) ** 2, width)

    def _curvature(self, problem: Problem, prior: Any, known: Array | None) -> Array:
        """Find the inverse of H as half half'; return the diagonal that is added to the data's part of H, (p,)."""
        H, penalty = problem.curvature(self._family)
        if prior is not None:
            diagonal = np.einsum("ii->i", H)
            diagonal -= penalty
            w = problem.net.params[problem.columns]
            penalty = np.full(len(H), self._ratio(np.maximum(np.linalg.eigvalsh(H), 0.0), float(w @ w), prior, known))
            diagonal += penalty
        self._half, self._blind = inverse_root(H)
        self.effective_parameters = self._half.shape[1] - float(penalty @ _squares(self._half))
        return penalty

    def _ratio(self, eigenvalues: Array, squares: float, prior: Any, known: Array | None) -> float:
        """Return alpha times the variance of the noise: what a prior adds to the eigenvalues of the data's part.

        MacKay, Neural Computation 4 (1992): alpha = gamma / w'w and variance = RSS / (N - gamma), each found from the
        other, with gamma the sum of lambda / (lambda + alpha variance).
        """
        if isinstance(prior, str) and prior != "evidence":
            raise ValueError(f'prior must be None, "evidence" or a positive number, not {prior!r}')
        alpha = None if prior == "evidence" else float(prior) if isinstance(prior, Ratio) else positive(prior, "prior")
        if alpha is None and squares == 0:
            raise ValueError('prior="evidence" needs parameters that are not all 0')
        rss, n = float(self._rss.sum()), float(self._targets.sum())
        gamma, ratio = min(len(eigenvalues), n) / 2, 0.0
        for _ in range(ROUNDS):
            variance = float(known.mean()) if known is not None else max(rss / (n - gamma), TINY)
            self.alpha = gamma / squares if alpha is None else alpha / (variance if isinstance(prior, Ratio) else 1)
            before, ratio = ratio, self.alpha * variance
            gamma = float((eigenvalues / (eigenvalues + ratio)).sum())
            if abs(ratio - before) <= SETTLED * ratio or (known is None and n - gamma < 1):
                break
        return ratio

    def _spread(self, problem: Problem, penalty: Array, known: Array | None) -> None:
        """Find the variance of the noise of each output, and with it the covariance of the parameters."""
        width = len(self._targets)
        self.dof = np.full(width, np.inf)
        if known is not None:
            variance = known
        else:
            self.dof = self._targets - self._gammas(problem)
            if (self.dof < 1).any():
                raise ValueError(
                    f"{self.effective_parameters:.1f} effective parameters leave nothing of {self._targets.sum():.0f} "
                    "targets to estimate the noise from: give noise=, or prior="
                )
            variance = self._rss / self.dof
        self._variance: Array = variance
        self.noise = np.sqrt(variance) * self._scale if self._family.squares else None
        self._root, self._sigma = self._half, math.sqrt(variance[0])
        if (variance != variance[0]).any():
            self._root, self._sigma = self._mixed(problem, variance, penalty), 1.0

    def _gammas(self, problem: Problem) -> Array:
        """Return the share of each output in gamma, (n_L,): the sum of its leverages."""
        if len(self._targets) == 1:
            return np.array([self.effective_parameters])
        known, shares = problem.residuals()[1], np.zeros(len(self._targets))
        for span, J in problem.slopes():
            weight = problem.weights[span, None] * known[span]
            shares += np.einsum("rk,rki->k", weight, times(J, self._half) ** 2)
        return shares

    def _mixed(self, problem: Problem, variance: Array, penalty: Array) -> Array:
        """Return a root of the covariance H**-1 (sum of variance_k s J_k' J_k + mean variance P) H**-1."""
        known = problem.residuals()[1]
        mean = float(variance @ self._targets / self._targets.sum())
        inner = mean * (self._half.T * penalty) @ self._half
        for span, J in problem.slopes():
            Z = times(J, self._half) * np.sqrt(problem.weights[span, None] * known[span] * variance)[:, :, None]
            Z = Z.reshape(-1, Z.shape[2])
            inner += Z.T @ Z
        values, vectors = np.linalg.eigh(inner)
        return self._half @ (vectors * np.sqrt(np.maximum(values, 0.0)))

    # ---- what it knows ----

    @property
    def undetermined(self) -> int:
        """How many directions of the parameters neither data nor prior determine."""
        return self._blind.shape[1]

    def _warn(self, what: str) -> None:
        """Say that something is surer than it should be."""
        warnings.warn(
            f"{what} {self.undetermined} of {len(self._columns)} directions of the parameters, which neither the data "
            'nor a prior determine: standard deviations leave them out and are too small; prior="evidence" settles all',
            RuntimeWarning,
            stacklevel=_outside(),
        )

    @property
    def covariance(self) -> Array:
        """Covariance of the parameters, (n_params, n_params): 0 for those that are fixed."""
        n = self._net.n_params
        need_room(n)
        if self.undetermined:
            self._warn("the parameters move along")
        full = np.zeros((n, n))
        full[np.ix_(self._columns, self._columns)] = self._sigma**2 * (self._root @ self._root.T)
        return full

    @property
    def standard_errors(self) -> Array:
        """Standard errors of the parameters, (n_params,): 0 for those that are fixed."""
        if self.undetermined:
            self._warn("the parameters move along")
        errors = np.zeros(self._net.n_params)
        errors[self._columns] = self._sigma * np.sqrt(_squares(self._root))
        return errors

    def predict(self, X: ArrayLike, *, observation: bool = True, check_finite: bool = True) -> tuple[Array, Array]:
        """Return the outputs for `X` and their standard deviations.

        Parameters
        ----------
        X : array_like, shape (m, n_0) or (n_0,)
            As for `Network.predict`.
        observation : bool, default True
            The standard deviation of a new observation of weight 1, noise included; or, if False, that of the mean,
            which goes to 0 with more and more data. The two are the same where the outputs are probabilities, counts
            or their logarithms, of which only the latter is given. With the loss gaussian_nll the noise of the means
            is the variance that the network predicts itself.
        check_finite : bool, default True
            Refuse NaN and infinity.

        Returns
        -------
        mean, std : ndarray, shape (m, n_L) or (n_L,)
            In float64, in units of the targets.

        Raises
        ------
        ValueError, TypeError
            `X` does not fit.

        Warns
        -----
        RuntimeWarning
            A prediction depends on directions of the parameters that are not determined.
        """
        if is_sparse(X) or (is_mapped(X) and np.ndim(X) == 2):
            inputs = Inputs(X, self._net._reader, check_finite)
            spans = list(inputs.spans()) or [(0, 0)]
            parts = [self._predict(inputs.read(slice(*span)), observation) for span in spans]
            mean, std = (np.concatenate(some) for some in zip(*parts, strict=True))
            return mean, std
        X, single = self._net._reader.inputs(X, check_finite)
        mean, std = self._predict(X, observation)
        return (mean[0], std[0]) if single else (mean, std)

    def _predict(self, X: Array, observation: bool) -> tuple[Array, Array]:
        """Return what `predict` does for rows that are scaled."""
        mean = np.empty((len(X), self._net.widths[-1]))
        self._net._plan.predict(self._net.params, X, mean)
        variance, unsure = np.empty(mean.shape), 0
        for span, J in slopes(self._net, X, self._columns):
            Z, blind = times(J, self._root), times(J, self._blind)
            variance[span] = self._sigma**2 * np.einsum("rki,rki->rk", Z, Z)
            unsure += int((np.einsum("rki,rki->rk", blind, blind) > 1).any(axis=1).sum())
        if unsure:
            self._warn(f"the outputs of {unsure:,} of {len(X):,} rows depend on")
        if observation and self._family.squares:
            variance += self._variance
        if observation and self._pair:
            half = mean.shape[1] // 2
            variance[:, :half] += mean[:, half:]
        self._net._reader.restore(mean)
        return mean, np.sqrt(variance) * self._scale

    def interval(
        self, X: ArrayLike, level: float = 0.95, *, observation: bool = True, check_finite: bool = True
    ) -> tuple[Array, Array]:
        """Return the ends of intervals that hold a new observation, or the mean, with probability `level`.

        Parameters
        ----------
        X : array_like, shape (m, n_0) or (n_0,)
            As for `Network.predict`.
        level : float, default 0.95
            Between 0 and 1.
        observation, check_finite : bool, default True
            As for `predict`.

        Returns
        -------
        low, high : ndarray, shape (m, n_L) or (n_L,)
            Of Student's t distribution with `dof` degrees of freedom, or of the normal one where the noise was not
            estimated. The ends for a mean are cut off where its activation cannot get: at 0 and 1 for probabilities.

        Raises
        ------
        ValueError, TypeError
            An argument does not fit.
        """
        mean, std = self.predict(X, observation=observation, check_finite=check_finite)
        half = self.factor(level) * std
        low, high = mean - half, mean + half
        if not (observation and self._family.squares):
            least, most = self._bounds()
            low, high = np.maximum(low, least), np.minimum(high, most)
        return low, high

    def factor(self, level: float) -> Array:
        """Return how many standard deviations an interval of this level reaches to either side, (n_L,)."""
        level = real(level, "level")
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, not {level:g}")
        return np.array([quantile((1 + level) / 2, dof) for dof in self.dof.tolist()])

    def _bounds(self) -> Array:
        """Return the least and the largest number that each output can be, (2, n_L), in units of its target."""
        width, rows = self._net.widths[-1], self._net._spec.layers[-1].rows
        bounds = np.array([LIMITS.get(row.name, (-math.inf, math.inf)) for row in rows])
        bounds = np.array(np.broadcast_to(bounds, (width, 2)))
        for end in bounds.T:
            self._net._reader.restore(end)
        return bounds.T

    def describes(self, net: State) -> bool:
        """Whether the network still is what it was when this was made."""
        mine, its = self._net._reader.numbers(), net._reader.numbers()
        return np.array_equal(net.params, self._net.params) and all(np.array_equal(mine[k], its[k]) for k in mine)

    def __repr__(self) -> str:
        noise = "" if self.noise is None else f", noise {', '.join(f'{value:.4g}' for value in self.noise)}"
        prior = "" if self.alpha is None else f", alpha {self.alpha:.4g}"
        left = f", {self.undetermined} directions undetermined" if self.undetermined else ""
        return f"Laplace({self.effective_parameters:.1f} of {len(self._columns)} parameters{noise}{prior}{left})"


def inverse_root(H: Array) -> tuple[Array, Array]:
    """Return root, (p, rank), with root root' the pseudo-inverse of H; and the directions that H leaves open.

    H is lost. It is first brought to a diagonal of ones, so that what counts as nothing does not depend on the
    parameters' units. The length of J times an open direction is more than 1 where one more row with these slopes would
    settle it.
    """
    diagonal = np.sqrt(np.diagonal(H))
    diagonal = np.where(diagonal > 0, diagonal, 1.0)
    H /= diagonal[:, None]
    H /= diagonal
    values, vectors = np.linalg.eigh(H)
    vectors /= diagonal[:, None]
    least = max(values[-1] * len(H) * 10 * EPS, TINY)
    kept = values > least
    return vectors[:, kept] / np.sqrt(values[kept]), vectors[:, ~kept] / math.sqrt(least)


def _squares(root: Array) -> Array:
    """Return the diagonal of root root'."""
    return np.einsum("ij,ij->i", root, root)


def _outside() -> int:
    """Return the stacklevel of whoever called cbp."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cbp."):
        level, frame = level + 1, frame.f_back
    return level


def laplace(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
    check_finite: bool = True,
) -> Laplace:
    """Return the posterior of a network's parameters: what it was trained on, and how sure that makes it.

    Parameters
    ----------
    net : Network
        Trained to the end: the posterior stands around a minimum. It is left as it is.
    X, y : array_like
        The data it was trained on, as for `Network.fit`.
    sample_weight : array_like, shape (m,), optional
        As in training. A target of weight s has the variance noise**2 / s; where the loss is a log-likelihood it
        counts s times.
    prior : float or "evidence", optional
        What the parameters were thought to be before the data came. None: what training took for granted, that is the
        l2 of the layers (an l1 says nothing) or what `BayesianRegularization` has found. A number: each parameter
        normal around 0 with this precision, one over its variance. "evidence": the same, with the precision and the
        noise that make the data likeliest, by MacKay's fixed point at the parameters as they are.
    noise : float or array_like, shape (n_L,), optional
        Standard deviation of a target around its mean, in units of the targets. None: estimated for each output, from
        the sum of squared residuals over the number of targets less the effective parameters.
    check_finite : bool, default True
        Refuse NaN and infinity.

    Returns
    -------
    Laplace

    Raises
    ------
    ValueError, TypeError
        Data or arguments do not fit; error bars do not follow from the loss; too few data to estimate the noise.
    MemoryError
        Six n x n matrices, for n parameters, are more than the machine has memory.

    Notes
    -----
    Gauss-Newton matrix: Foresee and Hagan, ICNN 1997. Evidence: MacKay, Neural Computation 4 (1992). The delta method
    for several outputs with noises of their own takes them for independent of each other. Where the loss is a
    log-likelihood (cross-entropies, Poisson, gaussian_nll) H is its curvature, sigma is 1, and so the standard
    deviation of a probability is that of the linearised network.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> cbp.diagnostics.laplace(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    Laplace(2.0 of 2 parameters, noise 0.3162)
    """
    family_of(net)
    return Laplace(
        net, Problem(net, X, y, sample_weight, check_finite), own_prior(net) if prior is None else prior, noise
    )


def own_prior(net: State) -> Ratio | None:
    """Return the prior that a Bayesian training has found for the network, if there was one."""
    numbers = {} if net._method_state is None else net._method_state.numbers
    return Ratio(numbers["alpha"] / numbers["beta"]) if numbers.keys() >= {"alpha", "beta"} else None
