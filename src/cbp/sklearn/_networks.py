"""From the parameters of an estimator to a Network, and from that to one with other parameters and the same state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import tables
from cbp._spec import Spec
from cbp.layers import Dense
from cbp.network import Network
from cbp.sklearn._goals import Goal, activation
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import DTypeLike
    from cbp.sklearn._perceptron import Perceptron


def describe(
    estimator: Perceptron, n_in: int, goal: Goal, dtype: DTypeLike, seed: int, penalty: float
) -> dict[str, Any]:
    """Return the arguments of the Network that an estimator asks for; every weight costs penalty / 2 * w**2."""
    hidden = [_penalized(layer, penalty) for layer in hidden_layers(estimator)]
    own: dict[str, Any] = {"loss": goal.loss}
    rows: Any = goal.rows if len(goal.rows) > 1 else goal.rows[0]
    if goal.weight != 1:
        own = {"heads": [(slice(0, goal.units), rows, goal.loss, goal.weight)]}
        rows = None
    return {
        "layers": [n_in, *hidden, Dense(goal.units, rows, l2=penalty)],
        "scale_inputs": estimator.scale_inputs,
        "scale_targets": getattr(estimator, "scale_targets", None),
        "input_noise": estimator.input_noise,
        "input_dropout": estimator.input_dropout,
        "init": _initial(estimator),
        "seed": seed,
        "dtype": dtype,
        **own,
    }


def _initial(estimator: Perceptron) -> Any:
    """Return how the weights start: by default in the way of scikit-learn."""
    if not isinstance(estimator.init, str) or estimator.init != "auto":
        return estimator.init
    logistic = isinstance(estimator.activation, str) and estimator.activation in ("logistic", "sigmoid")
    return tables.initializers.glorot_biases(2.0 if logistic else 6.0)


def hidden_layers(estimator: Perceptron) -> list[Dense]:
    """Return the hidden layers with activation and dropout, without penalty."""
    sizes = estimator.hidden_layer_sizes
    sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    rows = _each(estimator.activation, len(sizes), "activation", (str, Row, dict))
    dropout = _each(estimator.dropout, len(sizes), "dropout", (int, float, np.number))
    return [_completed(size, activation(row), share) for size, row, share in zip(sizes, rows, dropout, strict=True)]


def _each(given: Any, n: int, name: str, single: tuple[type, ...]) -> Sequence[Any]:
    """Return one value for each of n hidden layers."""
    if isinstance(given, single):
        return [given] * n
    values = list(given)
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries for {n} hidden layers")
    return values


def _completed(size: Any, row: Row, dropout: float) -> Dense:
    """Return a hidden layer: a Dense keeps what it says itself."""
    if not isinstance(size, Dense):
        if size <= 0:
            raise ValueError(f"hidden_layer_sizes must be greater than 0, not {size}")
        return Dense(size, row, dropout=dropout)
    layer = size.resolved(row)
    extras = layer._extras()
    return Dense(layer.units, layer.activation, layer.init, **({"dropout": dropout} | extras))


def _penalized(layer: Dense, penalty: float) -> Dense:
    """Return a layer whose weights cost so much more."""
    extras = layer._extras()
    return Dense(layer.units, layer.activation, layer.init, **(extras | {"l2": layer.l2 + penalty}))


def adapted(net: Network, arguments: dict[str, Any]) -> Network:
    """Return the network if these arguments describe it; else one that they describe, in the same state."""
    spec = Spec(**arguments)
    if spec.config() == net._spec.config():
        return net
    other = Network(**arguments)
    if other.widths != net.widths or other.dtype != net.dtype or other.n_params != net.n_params:
        raise ValueError(
            f"training goes on with a network of {_words(net)}, but the parameters describe one of {_words(other)}: "
            "fit anew with warm_start=False"
        )
    other.params[:] = net.params
    other.metadata = net.metadata
    if net.mask is not None:
        other.mask = net.mask
    for layer, before in zip(other.layers, net.layers, strict=True):
        layer.trainable = before.trainable
    other._reader = other._reader.with_numbers(net._reader.numbers())
    other._memory.epochs = net._memory.epochs
    if net._optimizer is not None:
        other._use(net._optimizer)
        other._memory.t = net._memory.t
        other._memory.slots[...] = net._memory.slots
    return other


def _words(net: Network) -> str:
    return f"{'-'.join(map(str, net.widths))} units in {net.dtype}"
