"""Derivatives beyond the gradient: the Jacobian of the outputs, and products with the matrices of curvature.

Base class of `Network`. What computes them is in the core; full-batch methods are in `cbp.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._data import convert
from cbp._state import State

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike

WITH_RESPECT_TO = ("params", "inputs")


class Curvature(State):
    """A network whose curvature can be asked for."""

    def jacobian(
        self, X: ArrayLike, wrt: str = "params", out: Array | None = None, *, check_finite: bool = True
    ) -> Array:
        """Return the derivatives of the outputs, row by row.

        Parameters
        ----------
        X : array_like, shape (m, n_0) or (n_0,)
            Rows, or a single one. m = 0 is fine.
        wrt : {"params", "inputs"}, default "params"
            By which numbers: the parameters, in the order of `params`, of which the fixed ones get 0; or the inputs.
        out : ndarray, shape (m, n_L, n_params) or (m, n_L, n_0), optional
            Where to put them: of the network's dtype, C-contiguous, writable. Without m for a single row.
        check_finite : bool, default True
            Refuse NaN and infinity.

        Returns
        -------
        ndarray, shape (m, n_L, n_params) or (m, n_L, n_0), without m for a single row
            `out` if it was given. Of the outputs of `predict`, in units of their own where the network scales.

        Raises
        ------
        ValueError, TypeError
            `X`, `wrt` or `out` does not fit.
        MemoryError
            They do not fit into memory: pass fewer rows at a time.

        Notes
        -----
        One pass down the network for every output, from the slope of that output alone; delta is per row, and the
        derivative by a weight is delta times what it is fed with.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", seed=0)
        >>> net.jacobian([[3, 4]])
        array([[[1., 3., 4.]]], dtype=float32)
        >>> net.params[:] = [0, 5, 6]
        >>> net.jacobian([3, 4], wrt="inputs")
        array([[5., 6.]], dtype=float32)
        """
        if wrt not in WITH_RESPECT_TO:
            raise ValueError(f"wrt must be 'params' or 'inputs', not {wrt!r}")
        X, single = self._reader.inputs(X, check_finite)
        columns = self.n_params if wrt == "params" else self.widths[0]
        shape = (len(X), self.widths[-1], columns)
        out = _result(out, shape[1:] if single else shape, self.dtype, X)
        _core.jacobian(self._memory, self._params, X, out.reshape(len(X) * shape[1], columns), wrt == "inputs")
        self._reader.restore_jacobian(out.reshape(shape), wrt == "inputs")
        return out

    def hvp(
        self,
        X: ArrayLike,
        y: ArrayLike,
        v: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: Array | None = None,
        *,
        check_finite: bool = True,
    ) -> Array:
        """Return H v, where H holds the second derivatives of the objective J by the parameters.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As for `loss`.
        v : array_like, shape (n_params,)
            What to multiply. Its entries for fixed parameters count as 0.
        out : ndarray, shape (n_params,), optional
            Where to put it: of the network's dtype, C-contiguous, writable.

        Returns
        -------
        ndarray, shape (n_params,)
            `out` if it was given. 0 for fixed parameters.

        Raises
        ------
        ValueError, TypeError
            The data or v do not fit; or the loss is one of your own, whose second derivatives are not known.

        Notes
        -----
        The R-operator (Pearlmutter, Neural Computation 6, 1994): the exact product, by one more pass up and down the
        network; H is never formed. Where an activation has a kink, its second derivative counts as 0. Rows are taken
        512 at a time, so it needs no memory that grows with them.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", dtype="float64", seed=0)
        >>> net.hvp([[1, 2], [3, 4]], [0, 0], [1, 0, 0])
        array([1., 2., 3.])
        """
        return self._product("hessian_v", X, y, v, sample_weight, out, check_finite)

    def gauss_newton(
        self,
        X: ArrayLike,
        y: ArrayLike,
        v: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        out: Array | None = None,
        *,
        check_finite: bool = True,
    ) -> Array:
        """Return the generalised Gauss-Newton matrix G of the objective J, or G v.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As for `loss`.
        v : array_like, shape (n_params,), optional
            What to multiply; its entries for fixed parameters count as 0. None: the matrix itself is wanted, which
            takes n_params * n_params numbers.
        out : ndarray, shape (n_params,) or (n_params, n_params), optional
            Where to put it: of the network's dtype, C-contiguous, writable.

        Returns
        -------
        ndarray, shape (n_params,) or (n_params, n_params)
            `out` if it was given. 0 for fixed parameters. The matrix is symmetric to the bit.

        Raises
        ------
        ValueError, TypeError
            The data or v do not fit; or the loss is one of your own, whose second derivatives are not known.
        MemoryError
            The matrix does not fit into memory.

        Notes
        -----
        G = sum_r s_r J_r^T H_r J_r / sum_r s_r (with reduction="sum" not divided), where J_r is the Jacobian of what
        the loss sees of row r, and H_r the Hessian of the loss by that (Schraudolph, Neural Computation 14, 2002). A
        loss sees the activations; one that is computed together with its output activation, or belongs to a row-wise
        one, sees the net inputs. For squared errors G is J^T J. Penalties l2 add to the diagonal.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", dtype="float64", seed=0)
        >>> net.gauss_newton([[1, 2], [3, 4]], [0, 0])
        array([[ 1.,  2.,  3.],
               [ 2.,  5.,  7.],
               [ 3.,  7., 10.]])
        """
        if v is not None:
            return self._product("gauss_newton_v", X, y, v, sample_weight, out, check_finite)
        data = self._reader.batch(X, y, sample_weight, check_finite)
        out = _result(out, (self.n_params, self.n_params), self.dtype, data[0])
        _core.curve(self._memory, self._params, *data, matrix=out)
        return out

    def _product(
        self, what: str, X: Any, y: Any, v: Any, sample_weight: Any, out: Array | None, check_finite: bool
    ) -> Array:
        """Return the product of a matrix with v."""
        data = self._reader.batch(X, y, sample_weight, check_finite)
        v = convert(v, self.dtype, "v")
        if v.shape != (self.n_params,):
            raise ValueError(f"v has shape {v.shape}, the network has {self.n_params} parameters")
        if check_finite and not np.isfinite(v).all():
            raise ValueError(f"v[{int(np.argmin(np.isfinite(v)))}] is not finite")
        out = _result(out, v.shape, self.dtype, v)
        products: dict[str, Any] = {"v": v, what: out}
        _core.curve(self._memory, self._params, *data, **products)
        return out


def _result(out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], other: Array) -> Array:
    """Return `out`, which has to have this shape, or a new array; it shares no memory with `other`."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}, the network computes in {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the result has {shape}")
    if not out.flags.carray:
        raise ValueError("out must be C-contiguous, aligned and writable")
    if np.may_share_memory(out, other):
        raise ValueError("out shares memory with what it is computed from")
    return out
