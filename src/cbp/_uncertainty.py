"""A network's own uncertainty: learned once from the data it was trained on, then told with every prediction.

Base class of `Network`. What computes it is cbp.diagnostics, imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbp._state import State

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike
    from cbp.diagnostics import Laplace

WHICH = (True, "observation", "mean")


class Uncertain(State):
    """A network that can tell how sure it is."""

    def learn_uncertainty(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        prior: float | str | None = None,
        noise: ArrayLike | None = None,
        check_finite: bool = True,
    ) -> Laplace:
        """Find out how sure the training data make the network, for ``predict(X, return_std=True)``.

        Parameters
        ----------
        X, y, sample_weight, prior, noise, check_finite
            As for `cbp.diagnostics.laplace`: the data that the network was trained on.

        Returns
        -------
        Laplace
            The posterior, which has intervals, covariance and more. The network keeps it for as long as its parameters
            stay what they are, in memory only: it is n_params * n_params numbers, which are neither saved nor copied
            nor pickled with the network. Learn it anew after loading.

        Raises
        ------
        ValueError, TypeError, MemoryError
            As for `cbp.diagnostics.laplace`.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
        >>> net.params[:] = 1, 2                                     # 1 + 2 x, the line of least squares
        >>> posterior = net.learn_uncertainty([[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
        >>> mean, std = net.predict([[0], [5]], return_std=True)
        >>> mean.ravel(), std.ravel().round(4)
        (array([ 1., 11.]), array([0.3606, 0.728 ]))
        """
        from cbp.diagnostics import laplace

        self._posterior = laplace(self, X, y, sample_weight, prior=prior, noise=noise, check_finite=check_finite)
        return self._posterior

    def _learned_posterior(self) -> Laplace:
        """Return the posterior, or say that there is none of the network as it is."""
        if self._posterior is None:
            raise RuntimeError(
                "the network has learned no uncertainty: call net.learn_uncertainty(X, y) after training"
            )
        if not self._posterior.describes(self):
            raise RuntimeError(
                "the network has changed since it learned its uncertainty: call net.learn_uncertainty(X, y) anew"
            )
        return self._posterior

    def _std(self, X: ArrayLike, which: bool | str, check_finite: bool) -> Array:
        """Return the standard deviations that go with the outputs for X, of the network's dtype."""
        if which not in WHICH:
            raise ValueError(f"return_std must be True, False, 'observation' or 'mean', not {which!r}")
        posterior = self._learned_posterior()
        std = posterior.predict(X, observation=which != "mean", check_finite=check_finite)[1]
        return std.astype(self.dtype)
