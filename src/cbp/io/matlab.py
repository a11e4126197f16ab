"""Networks of MATLAB's toolbox for shallow networks: feedforwardnet, fitnet, patternnet, cascadeforwardnet.

`load` reads a struct that a few lines of MATLAB save, or the text that genFunction writes; `export` writes both. What
stands in them is the business of _matlab_file.py and _matlab_function.py, what it means that of _matlab_net.py.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cbp._spec import read_dtype
from cbp.errors import FormatError
from cbp.io import _matlab_file, _matlab_function, replacing
from cbp.io._matlab_net import build, describe
from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import DTypeLike, Path
    from cbp.network import Network

_ENDINGS = (".mat", ".m")


def load(path: Path, *, dtype: DTypeLike = "float64") -> Network:
    """Read a network that was made in MATLAB.

    Layers may be fed by inputs and by any layers before, which become skip connections; what is not connected are
    weights of 0 that training leaves alone (`Network.mask`). The transfer functions are tansig, logsig, purelin,
    poslin, satlin, satlins, radbas, elliotsig and, at the output, softmax; mapminmax, mapstd and removeconstantrows
    become `scale_inputs` and `scale_targets`. The loss is that of `performFcn`, as far as cbp has it, else the mean
    squared error.

    Parameters
    ----------
    path : str or path-like
        A .mat file, saved with -v6 or -v7, with the struct that the guide's lines make of a network, or a .m file with
        the text that ``genFunction`` wrote.
    dtype : "float32" or "float64", default "float64"

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The file describes no network, is damaged, or has something that cbp has not: the message names it.
    ValueError
        The ending is another one, or the dtype.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([2, 3, 1], activation="tanh", output="identity", dtype="float64", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "compute.m")
    ...     net.export(path)
    ...     other = cbp.io.matlab.load(path)
    >>> bool((other.params == net.params).all())
    True
    """
    ending, dtype = _ending(path), read_dtype(dtype)
    with open(path, "rb") as file:
        data = file.read()
    try:
        if ending == ".m":
            return build(_matlab_function.read(data.decode("utf-8", "replace")), dtype)
        return build(_matlab_file.read(data), dtype)
    except ValueError as error:
        raise FormatError(f"{os.fspath(path)} is not a network of MATLAB that cbp can read: {error}") from None


def from_function(text: str, *, dtype: DTypeLike = "float64") -> Network:
    """Make a network of the text of a function that MATLAB's genFunction wrote; nothing is executed.

    Parameters
    ----------
    text : str
        With the constants (``x1_step1.xoffset``, ``b1``, ``IW1_1``, ``LW2_1`` …) and the lines that use them.
    dtype : "float32" or "float64", default "float64"

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The text is of another kind, or has something that cbp has not: the message names it.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.io.matlab.from_function('''
    ... x1_step1.xoffset = [0; 10];  x1_step1.gain = [2; 0.2];  x1_step1.ymin = -1;
    ... b1 = [0.5; -0.5];  IW1_1 = [1 2; -1 0.25];
    ... b2 = 0.1;  LW2_1 = [1 -2];
    ... xp1 = mapminmax_apply(x1, x1_step1);
    ... a1 = tansig_apply(repmat(b1,1,Q) + IW1_1*xp1);
    ... a2 = repmat(b2,1,Q) + LW2_1*a1;
    ... ''')
    >>> print(net)
    Network(2 > 2 tanh > 1 identity, mean_squared_error, float64, inputs given): 9 parameters
    """
    dtype = read_dtype(dtype)
    try:
        return build(_matlab_function.read(text), dtype)
    except ValueError as error:
        raise FormatError(f"this is not a function of MATLAB that cbp can read: {error}") from None


def export(net: Network, path: Path) -> None:
    """Write a network for MATLAB.

    Parameters
    ----------
    net : Network
        With one activation a layer: tanh, sigmoid, identity, relu, hard_sigmoid, hard_tanh, gaussian, softsign, and
        softmax at the output. A steepness goes into the weights.
    path : str or path-like
        A name that ends in .mat: the struct that `load` reads, of which the guide's lines make a network object again.
        One that ends in .m: a function of the file's name, which MATLAB and Octave run without a toolbox. An existing
        file is replaced.

    Raises
    ------
    ValueError
        The network has something that MATLAB has not: the message names it; or the name cannot be that of a function.
    RuntimeError
        The scaling is not learned yet.
    ImportError
        SciPy is not installed, which writes .mat files: the extra ``matlab``.
    OSError
        The file cannot be written; one that was there before is untouched.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "compute.m")
    ...     cbp.io.matlab.export(cbp.Network([2, 1], output="sigmoid", seed=0), path)
    ...     with open(path) as file:
    ...         print(file.readline().strip())
    function [y1] = compute(x1)
    """
    net = network_of(net)
    if _ending(path) == ".m":
        name = os.path.splitext(os.path.basename(os.fspath(path)))[0]
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
            raise ValueError(f"a function of MATLAB cannot be called {name!r}: name the file otherwise")
        data = _matlab_function.write(describe(net), name).encode()
    else:
        data = _matlab_file.write(describe(net))
    with replacing(path) as file:
        file.write(data)


def _ending(path: Path) -> str:
    ending = os.path.splitext(os.fspath(path))[1]
    if ending not in _ENDINGS:
        raise ValueError(f"a network of MATLAB is in a file that ends in .mat or .m, not {ending or 'nothing'}: {path}")
    return ending
