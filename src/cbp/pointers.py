"""A network as addresses: what ctypes, cffi, Numba and SciPy call without Python in between.

`Network.pointers` makes the one class here. The functions are in the core (_embedding.pxi).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbp import _core

if TYPE_CHECKING:
    from cbp.network import Network

__all__ = ["DECLARATIONS", "Pointers"]

DECLARATIONS = """\
typedef int (*cbp_predict_at)(void *handle, int64_t m, const void *x, void *out);
typedef int (*cbp_gradient_at)(void *handle, int64_t m, const void *x, const void *y, const int64_t *labels,
                               const void *weight, double *loss);
typedef int (*cbp_step_at)(void *handle, int64_t m, const void *x, const void *y, const int64_t *labels,
                           const void *weight, double learning_rate, double *loss);
typedef const char *(*cbp_message_at)(int status);
"""
"""The types of the functions, in C, as cffi's ``cdef`` reads them too."""


class Pointers:
    """Addresses of a network and of C functions that take it, as integers. Made by `Network.pointers`.

    The network lives as long as this object: keep it as long as the addresses are in use.

    Parameters
    ----------
    net : Network

    Attributes
    ----------
    handle : int
        The network: the first argument of the functions.
    predict : int
        ``int (void *handle, int64_t m, const void *x, void *out)``: outputs (m, n_L) for inputs x (m, n_0), which lie
        apart. Any number of threads at once.
    gradient : int
        ``int (void *handle, int64_t m, const void *x, const void *y, const int64_t *labels, const void *weight,
        double *loss)``: the objective J of samples into ``loss``, its gradient into `Network.grad`. Targets y (m, n_L),
        or else labels (m,) where targets are distributions; weights of the samples (m,), or NULL.
    step : int
        The same with ``double learning_rate`` before ``loss``: `Network.train_step`.
    message : int
        ``const char *(int status)``: the sentence of a status.

    Notes
    -----
    Numbers are of the network's dtype, rows contiguous, in units of their own where the network scales; neither they
    nor their number are looked at, so NaN gives NaN, and too small an array is written beyond its end. The functions
    return 0, or a status of ``cbp.h``: one that says BUSY while another thread trains the network, SEALED for a
    snapshot, OWN_LOSS for a loss that is a Python function, NOT_LEARNED before the scaling is learned, DIVERGED where
    the objective is not finite. They need no interpreter, and may be called with or without its lock.
    `DECLARATIONS` of this module has their types in C.

    The bits are those of `predict`, `gradient` and `train_step`. `activations` and `deltas` remain those of the last
    call from Python. The first calls allocate a workspace, which later ones use again.

    Examples
    --------
    >>> import cbp, ctypes, numpy as np
    >>> net = cbp.Network([2, 3, 1], seed=0)
    >>> at = net.pointers()
    >>> address = ctypes.c_void_p
    >>> predict = ctypes.CFUNCTYPE(ctypes.c_int, address, ctypes.c_int64, address, address)(at.predict)
    >>> x, out = np.ones((4, 2), net.dtype), np.empty((4, 1), net.dtype)
    >>> predict(at.handle, 4, x.ctypes.data, out.ctypes.data)
    0
    >>> np.array_equal(out, net.predict(x))
    True
    """

    handle: int
    predict: int
    gradient: int
    step: int
    message: int

    def __init__(self, net: Network) -> None:
        self._memory = net._memory
        vars(self).update(_core.addresses(self._memory))

    def capsule(self, signature: str) -> Any:
        """Return a function of the network for ``scipy.LowLevelCallable``, which keeps the network alive.

        Parameters
        ----------
        signature : str
            What SciPy calls it with, in doubles whatever the network's dtype is: ``"double (double, void *)"`` for
            ``scipy.integrate.quad``, ``"double (int, double *, void *)"`` for ``quad`` and ``nquad``, with one
            argument for every input; ``"int (double *, npy_intp, double *, void *)"`` for
            ``scipy.ndimage.generic_filter``, whose window has as many elements as the network has inputs.

        Returns
        -------
        PyCapsule
            An integrand that cannot be computed is NaN, a filter that cannot be is an error of SciPy's.

        Raises
        ------
        ValueError
            There is no such signature, or the network has not one output, or more than 1,024 inputs.
        TypeError
            The signature is not text.

        Examples
        --------
        >>> import cbp
        >>> from scipy import LowLevelCallable, integrate
        >>> net = cbp.Network([2, 1], activation="identity", dtype="float64", seed=0)
        >>> net.params[:] = [1, 2, 4]
        >>> integrand = LowLevelCallable(net.pointers().capsule("double (int, double *, void *)"))
        >>> round(integrate.nquad(integrand, [[0, 1], [0, 1]])[0], 12)
        4.0
        """
        if not isinstance(signature, str):
            raise TypeError(f"signature must be text, not {signature!r}")
        return _core.capsule(self._memory, signature)

    def __repr__(self) -> str:
        return f"Pointers(handle={self.handle:#x})"
