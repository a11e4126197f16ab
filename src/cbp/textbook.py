"""The textbook, step by step: forward, backward, update; and the gradient for loops of one's own.

Everything here works in the training workspace of one network, in place; activations and deltas are views of it.
A method marked `direct` goes from Python straight to C when its arguments are arrays that C can read as they are; the
text that stands here is for all others (see `_core.direct`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbp._arguments import draw, real
from cbp._core import direct
from cbp._state import State
from cbp.errors import DivergenceError

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike


class Textbook(State):
    """A network whose passes can be made and looked at one by one."""

    @direct
    def gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool = True,
        noise: int | None = None,
    ) -> float:
        """Compute the gradient of the objective into `grad`, and return the objective.

        Parameters
        ----------
        X, y, sample_weight, check_finite, noise
            As for `loss`.

        Returns
        -------
        float
            J. The gradient is in `grad` and in `layers`, activations and deltas in `activations` and `deltas`.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network.
        DivergenceError
            The objective is not finite.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", seed=0)
        >>> net.params[:] = 0
        >>> net.gradient([[1], [3]], [2, 4])
        5.0
        >>> net.grad
        array([-3., -7.], dtype=float32)
        """
        data = self._reader.batch(X, y, sample_weight, check_finite)
        return self._finite(self._memory.gradient(*data, noise=draw(noise)))

    @direct
    def forward(self, X: ArrayLike, *, check_finite: bool = True, noise: int | None = None) -> Array:
        """Propagate `X` up, keeping what `backward` needs.

        Parameters
        ----------
        X : array_like, shape (m, n_0) or (n_0,)
            At least one row.
        check_finite : bool, default True
            Refuse NaN and infinity.
        noise : int, optional
            As for `loss`. `backward` is that of the same noisy pass.

        Returns
        -------
        ndarray, shape (m, n_L) or (n_L,)
            A^L: a view of the training workspace, overwritten by the next call. See `activations`. Where targets are
            scaled so is this; ``net.target_scaling.inverse`` leads back.

        Raises
        ------
        ValueError, TypeError
            `X` does not fit.

        Examples
        --------
        The three steps of the textbook, by hand:

        >>> import cbp
        >>> net = cbp.Network([2, 2, 1], loss="half_squared_error", seed=0)
        >>> outputs = net.forward([[0, 1], [1, 1]])
        >>> before = net.backward([[1], [0]])
        >>> net.update(0.5)
        >>> net.loss([[0, 1], [1, 1]], [[1], [0]]) < before
        True
        """
        X, single = self._reader.inputs(X, check_finite)
        if len(X) == 0:
            raise ValueError("X has no rows")
        return self._memory.forward(X, single, draw(noise))

    @direct
    def backward(self, Y: ArrayLike, sample_weight: ArrayLike | None = None, *, check_finite: bool = True) -> float:
        """Propagate the errors of the last `forward` down: deltas, gradient, objective.

        Parameters
        ----------
        Y : array_like, shape (m, n_L), (m,) or (n_L,)
            Targets, as for `loss`.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples.
        check_finite : bool, default True
            Refuse NaN, infinity and impossible targets.

        Returns
        -------
        float
            J. `deltas` are per sample, neither weighted nor divided by m; `grad` is the gradient of J.

        Raises
        ------
        RuntimeError
            There was no `forward` since the last `backward`.
        ValueError, TypeError
            The targets do not fit.
        DivergenceError
            The objective is not finite.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", seed=0)
        >>> net.params[:] = 0
        >>> outputs = net.forward([[1], [3]])
        >>> net.backward([2, 4])
        5.0
        >>> net.deltas[1]
        array([[-2.],
               [-4.]], dtype=float32)
        """
        if self._memory.forwarded is None:
            raise RuntimeError("backward needs a forward before it: call net.forward(X) first")
        m, single = self._memory.forwarded
        y = self._reader.targets(Y, m, single, check_finite, "Y")
        weight = self._reader.weights(sample_weight, m)
        return self._finite(self._memory.backward(y, weight))

    @direct
    def update(self, learning_rate: float) -> None:
        """Go down the gradient: theta -= learning_rate * grad, in place.

        Parameters
        ----------
        learning_rate : float
            Step length. Negative values go up.

        Raises
        ------
        ValueError, TypeError
            It is not a finite number.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], seed=0)
        >>> net.params[:], net.grad[:] = 0, [2, 4]
        >>> net.update(0.5)
        >>> net.params
        array([-1., -2.], dtype=float32)
        """
        self._memory.descend(real(learning_rate, "learning_rate"))

    @direct
    def train_step(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        learning_rate: float,
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool = True,
        noise: int | None = None,
    ) -> float:
        """Do `forward`, `backward` and `update` in one call, bit for bit the same.

        Parameters
        ----------
        X, Y, sample_weight, check_finite, noise
            As for `loss`.
        learning_rate : float
            As for `update`.

        Returns
        -------
        float
            J before the update.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network.
        DivergenceError
            The objective is not finite; no update is made.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> first = net.train_step([0, 1], 1, learning_rate=0.5)
        >>> net.train_step([0, 1], 1, learning_rate=0.5) < first
        True
        """
        data = self._reader.batch(X, Y, sample_weight, check_finite, ("X", "Y"))
        rate = real(learning_rate, "learning_rate")
        return self._finite(self._memory.gradient(*data, rate, draw(noise)), rate)

    @property
    def activations(self) -> list[Array]:
        """A^0 = X to A^L of the last `forward`, `gradient` or `train_step`: views, overwritten by the next call.

        Those of a noisy pass are what it computed with: A^0 the inputs with their noise, 0 where a unit is left out.
        """
        return self._memory.activations()

    @property
    def deltas(self) -> list[Array | None]:
        """Deltas of the last `backward`, `gradient` or `train_step`: None, then delta^1 to delta^L, (m, n_l) each.

        They are per sample: neither weighted nor divided by m. Views, overwritten by the next call.
        """
        return self._memory.deltas()

    def _finite(self, loss: float, learning_rate: float | None = None) -> float:
        """Return the loss, or raise for the first layer that is not finite."""
        if loss - loss == 0:
            return loss
        layers = range(1, len(self.layers) + 1)
        sound = [bool(np.isfinite(A).all()) for A in self.activations[1:]]
        layer = next((l for l in layers if not sound[l - 1]), len(self.layers))
        raise DivergenceError(layer, learning_rate=learning_rate)
