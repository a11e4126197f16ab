"""Weights of 8 bits: about a quarter of the flash, for a loss that can be measured before anything is exported.

A weight is a whole number from -127 to 127 times a scale that the weights which lead to one unit share; biases stay as
they are. `quantized` makes the network that has these weights, so all there is to know about it can be asked of it, and
the exported file computes what it does, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.network import Network

MOST = 127


def quantized(net: Network) -> Network:
    """Return the network whose weights are those that 8 bits can hold: what ``export(..., weights="int8")`` exports.

    Parameters
    ----------
    net : Network
        It is not changed.

    Returns
    -------
    Network
        A copy; of its weights, those that lead to one unit are whole numbers from -127 to 127 times one scale, the
        largest in size being what it was, but for rounding.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([3, 1], output="identity", dtype="float64", seed=0)
    >>> net.layers[0].W[:] = [[0.5], [1.2], [-127]]
    >>> cbp.io.c.quantized(net).layers[0].W.ravel()
    array([   0.,    1., -127.])
    """
    net = network_of(net)
    other = net.copy()
    for layer in other.layers:
        codes, scale = coded(layer.W)
        layer.W[:] = codes.astype(scale.dtype) * scale
    return other


def coded(W: Array) -> tuple[Array, Array]:
    """Return whole numbers, int8 (n_in, n_out), and scales (n_out,) of the dtype of the weights."""
    most = np.abs(W).max(axis=0).astype(np.float64)
    scale = (most / MOST).astype(W.dtype)
    scale[scale == 0] = 1  # no weights, or none that could be told from 0
    with np.errstate(over="ignore"):
        lost = np.isinf(scale * scale.dtype.type(MOST))  # rounded up at the very end of the range
    scale[lost] = np.nextafter(scale[lost], scale.dtype.type(0))
    codes = np.clip(np.rint(W / scale.astype(np.float64)), -MOST, MOST)
    return codes.astype(np.int8), scale
