"""ONNX, out and in: a network as a graph that other programs run, and their dense graphs as a network.

The graph holds all that `predict` does, scaling included, and nothing of training. What is exact and what is rounded
is said in the documentation's page on ONNX.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cbp.errors import FormatError, optional
from cbp.io.onnx._options import OPSET, read_options
from cbp.io.onnx._own import read_own
from cbp.io.onnx._protobuf import parse
from cbp.io.onnx._reading import read_graph
from cbp.io.onnx._writing import write_model
from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import DTypeLike, Path
    from cbp.network import Network

__all__ = ["export", "from_model", "load", "to_model"]


def export(net: Network, path: Path, **options: Any) -> None:
    """Write a network as an ONNX file, which ONNX Runtime and many others run.

    Parameters
    ----------
    net : Network
    path : str or path-like
        An existing file is replaced, by a whole one or not at all.
    **options
        Those of `to_model`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As for `to_model`.
    ImportError
        The package onnx is not installed.
    OSError
        The file cannot be written; one that was there before is untouched.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> net = cbp.Network([4, 8, 3], output="softmax", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.onnx")
    ...     net.export(path)
    ...     cbp.io.onnx.load(path) == net
    True
    """
    from cbp.io import replacing

    data = to_model(net, **options).SerializeToString()
    with replacing(path) as file:
        file.write(data)


def to_model(
    net: Network,
    *,
    labels: bool | Sequence[Any] = False,
    split_heads: bool | Sequence[str] = False,
    input_dtype: DTypeLike | None = None,
    opset: int = OPSET,
) -> Any:
    """Return a network as an ONNX model.

    The graph has an input ``input``, (batch, n_0), and an output ``output``, (batch, n_L): what `predict` returns.

    Parameters
    ----------
    net : Network
    labels : bool or sequence of int or str, default False
        For outputs that are probabilities of classes, softmax, log_softmax or one sigmoid: two outputs instead of one,
        ``label`` (batch,), the most probable class, and ``probabilities`` (batch, number of classes), as scikit-learn's
        classifiers have when exported. The names of the classes; True: those in ``net.metadata["classes"]``, or else
        their numbers. One sigmoid has two classes; its output is the probability of the second.
    split_heads : bool or sequence of str, default False
        An output for every head instead of one for all: their names; True: ``head_1``, ``head_2`` and so on.
    input_dtype : "float32" or "float64", optional
        The type of the input; default: that of the network. Scaling is computed in float64 either way, so float64 is of
        use where float32 cannot hold the data as they are, such as times in seconds.
    opset : int, default 20
        The highest version of ONNX's operators to use, at least 13. The model asks for the lowest one that has its
        operators, and activations whose operator is newer are made of others.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ValueError
        An option does not fit the network.
    TypeError
        `net.metadata` holds something that JSON cannot.
    RuntimeError
        The scaling is not learned yet.
    ImportError
        The package onnx is not installed.

    Notes
    -----
    What a graph does not say, such as the loss, is in the model's metadata under ``cbp``, with names of columns and
    classes under ``features`` and ``classes``, all as JSON. Not kept are which parameters are fixed, and the state of
    the optimiser, for which there is `Network.save`; with a loss that is a function of your own nothing is under
    ``cbp``.

    Examples
    --------
    >>> import cbp
    >>> model = cbp.io.onnx.to_model(cbp.Network([4, 8, 3], activation="relu", output="softmax", seed=0))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax']
    >>> model.opset_import[0].version
    13
    """
    net = network_of(net)
    optional("onnx", "writing ONNX", "onnx")
    return write_model(net, read_options(net, labels, split_heads, input_dtype, opset))


def load(path: Path) -> Network:
    """Read an ONNX file as a network: one of cbp's, or a dense graph of another library's.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The file is damaged, or it is something else than a network of dense layers: the message names the operator, and
        the node, that is in the way. Tensors in other files are not read.
    ImportError
        The package onnx is not installed.
    OSError
        The file cannot be read.

    See Also
    --------
    from_model : what is understood
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return from_model(parse(data))
    except FormatError as error:
        raise FormatError(f"{os.fspath(path)} is not a model that cbp can read: {error}") from None


def from_model(model: Any) -> Network:
    """Read an ONNX model as a network.

    Parameters
    ----------
    model : onnx.ModelProto
        Not modified.

    Returns
    -------
    Network
        Of a model that `to_model` has made, the same network: parameters, configuration, metadata. Of another, or of
        one that has been changed since, what the graph says; the loss is the one that belongs to the output. float64 if
        a matrix of weights is. Names of classes, and of several inputs, are in `metadata`.

    Raises
    ------
    FormatError
        It is something else than a network of dense layers.
    TypeError
        It is no model.
    ImportError
        The package onnx is not installed.

    Notes
    -----
    A layer is Gemm, or MatMul and Add. What follows is known as an activation by the values that it computes, within
    1e-6, however many operators it is written with. Steps like x + c and x * c, among them BatchNormalization and the
    Scaler of ai.onnx.ml, become the scaling of inputs or targets, a steepness, or go into the weights, computed in
    float64 and rounded once. Concat of layers becomes skip connections, branches side by side one layer with weights
    fixed at 0, several outputs heads. 1 - p beside p at the end, as classifiers of scikit-learn have it, is one output.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([4, 8, 3], activation="gelu", output="softmax", seed=0)
    >>> model = cbp.io.onnx.to_model(net)
    >>> cbp.io.onnx.from_model(model) == net
    True
    >>> model.graph.node[1].op_type = "Round"
    >>> cbp.io.onnx.from_model(model)
    Traceback (most recent call last):
    cbp.errors.FormatError: there is an operator that is not read: Round (node 'layer_1/Gelu')
    """
    optional("onnx", "reading ONNX", "onnx")
    if not hasattr(model, "graph"):
        raise TypeError(f"model must be an onnx.ModelProto, not {type(model).__name__}; files are for cbp.io.onnx.load")
    net = read_own(model)
    return read_graph(model) if net is None else net
