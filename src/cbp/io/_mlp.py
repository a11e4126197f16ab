"""From a network to an estimator of scikit-learn, as if that had been fitted; used by sklearn.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.errors import optional
from cbp.io import _chain
from cbp.network import network_of

if TYPE_CHECKING:
    from cbp._typing import Array
    from cbp.io._chain import Link
    from cbp.network import Network

PURPOSE = "an estimator of scikit-learn"
TARGET = "a multi-layer perceptron of scikit-learn"

HIDDEN = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
"""Rows of `cbp.activations` and what scikit-learn calls them; one for all hidden layers."""
OUTPUTS = {"identity": "identity", "sigmoid": "logistic", "softmax": "softmax", "exp": "exp"}
"""Those of outputs."""


def to_estimator(net: Network, *, classes: Sequence[Any] | None = None, **params: Any) -> Any:
    """Make an estimator of scikit-learn that predicts what a network does.

    Parameters
    ----------
    net : Network
        Hidden layers: identity, sigmoid, tanh or relu, the same for all. Output: softmax, or sigmoid, for a classifier;
        identity or exp for a regressor.
    classes : sequence, optional
        What the outputs stand for, with one sigmoid output the two classes. Default: ``net.metadata["classes"]``, else
        0, 1, 2 and so on. Several sigmoid outputs are labels of their own, numbered.
    **params
        Of MLPClassifier or MLPRegressor, for training on: ``solver="sgd"``, ``warm_start=True``.

    Returns
    -------
    MLPClassifier, MLPRegressor, Pipeline or TransformedTargetRegressor
        A Pipeline with a StandardScaler where the network scales its inputs, a TransformedTargetRegressor where it
        scales its targets. All can be trained on, `partial_fit` of the perceptron too. Coefficients are copies, in the
        network's dtype; a steepness is in them, rounded once, and so is the difference that takes the place of two
        softmax outputs. Classes are sorted, as scikit-learn has them. Loss, penalties, dropout and optimiser are not
        part of it.

    Raises
    ------
    ValueError
        scikit-learn's perceptrons cannot express the network, or there is not a class for every output.
    RuntimeError
        The scaling is not learned yet.
    ImportError
        scikit-learn is not installed.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 8, 3], activation="tanh", output="softmax", seed=0)
    >>> model = cbp.io.sklearn.to_estimator(net, classes=["iron", "lead", "zinc"], solver="sgd")
    >>> model
    MLPClassifier(activation='tanh', hidden_layer_sizes=(8,), solver='sgd')
    >>> model.predict([[0.0, 1.0]]).shape, model.predict_proba([[0.0, 1.0]]).shape
    ((1,), (1, 3))
    """
    net = network_of(net)
    neural = optional("sklearn.neural_network", PURPOSE, "sklearn")
    links = [link.plain() for link in _chain.chain(net, TARGET, ("steepness",))]
    output = links[-1].row.name
    params = {"hidden_layer_sizes": net.widths[1:-1], "activation": _hidden(links), **params}
    if output not in OUTPUTS:
        raise ValueError(f"{TARGET} has no output {links[-1].row}; it has {', '.join(OUTPUTS)}")
    if output in ("softmax", "sigmoid"):
        labels = _labels(net, classes)
        model = _classifier(neural.MLPClassifier(**params), links, labels)
    elif classes is not None:
        raise ValueError(f"classes are for outputs that are probabilities; the output is {output}")
    else:
        model = _regressor(neural, params, links)
    return _scaled(model, net)


def _hidden(links: Sequence[Link]) -> str:
    """Return the activation of the hidden layers."""
    rows = {link.row for link in links[:-1]}
    for row in sorted(rows, key=str):
        if row.name not in HIDDEN:
            raise ValueError(f"{TARGET} has no {row} in hidden layers; it has {', '.join(HIDDEN)}")
    if len(rows) > 1:
        raise ValueError(f"{TARGET} has one activation for all hidden layers, not {', '.join(sorted(map(str, rows)))}")
    return HIDDEN[rows.pop().name] if rows else "relu"


def _regressor(neural: Any, params: dict[str, Any], links: Sequence[Link]) -> Any:
    """Return an MLPRegressor with these weights."""
    output = links[-1].row.name
    if output == "exp":
        if "loss" not in neural.MLPRegressor().get_params():
            raise ValueError("an output exp needs scikit-learn 1.7 or newer, whose MLPRegressor has loss='poisson'")
        params = {**params, "loss": "poisson"}
    model = neural.MLPRegressor(**params)
    _fitted(model, [(link.W.copy(), link.b.copy()) for link in links], OUTPUTS[output])
    return model


# ---- classes ----


def _labels(net: Network, classes: Sequence[Any] | None) -> Array | None:
    """Return the class of each output, of both for a single sigmoid; None where each output is a label of its own."""
    (row,), n = net._spec.layers[-1].rows, net.widths[-1]
    sigmoid = row.name == "sigmoid"
    if sigmoid and n > 1:
        if classes is not None:
            raise ValueError("several sigmoid outputs are labels of their own, which scikit-learn numbers: no classes")
        return None
    needed = 2 if sigmoid else n
    if needed < 2:
        raise ValueError("a classifier needs two classes, but the network has one softmax output")
    found = np.asarray(net.metadata.get("classes", range(needed)) if classes is None else list(classes))
    if found.shape != (needed,) or len(np.unique(found)) != needed:
        raise ValueError(f"classes must be {needed} different ones, not {found.tolist()}")
    return found


def _classifier(model: Any, links: Sequence[Link], labels: Array | None) -> Any:
    """Return an MLPClassifier with these weights."""
    preprocessing = optional("sklearn.preprocessing", PURPOSE, "sklearn")
    weights = [(link.W.copy(), link.b.copy()) for link in links]
    W, b = weights[-1]
    if labels is None:
        targets: Array = np.eye(W.shape[1], dtype=int)
    else:
        targets = labels
        order = np.argsort(labels)
        if links[-1].row.name == "softmax":
            W, b = W[:, order], b[order]
            if len(labels) == 2:
                W, b = W[:, 1:] - W[:, :1], b[1:] - b[:1]
        elif order[0] == 1:
            W, b = -W, -b
    weights[-1] = W, b
    model._label_binarizer = preprocessing.LabelBinarizer().fit(targets)
    model.classes_ = model._label_binarizer.classes_
    _fitted(model, weights, "softmax" if labels is not None and len(labels) > 2 else "logistic")
    return model


# ---- what fit leaves behind ----


def _fitted(model: Any, weights: Sequence[tuple[Array, Array]], output: str) -> None:
    """Give a perceptron what `fit` would have given it before its first step."""
    model.coefs_, model.intercepts_ = ([np.ascontiguousarray(pair[k]) for pair in weights] for k in (0, 1))
    model._best_coefs, model._best_intercepts = (
        [x.copy() for x in arrays] for arrays in (model.coefs_, model.intercepts_)
    )
    model.n_features_in_, model.n_outputs_ = len(model.coefs_[0]), len(model.intercepts_[-1])
    model.n_layers_, model.out_activation_ = len(weights) + 1, output
    model.n_iter_ = model.t_ = model._no_improvement_count = 0
    model.loss_curve_, model.loss_ = [], np.inf
    early = model.early_stopping
    model.best_loss_ = None if early else np.inf
    model.validation_scores_, model.best_validation_score_ = ([], -np.inf) if early else (None, None)
    utils = optional("sklearn.utils", PURPOSE, "sklearn")
    model._random_state = utils.check_random_state(model.random_state)


def _scaled(model: Any, net: Network) -> Any:
    """Put scalers before and after a perceptron, where the network scales, and the names of its columns."""
    names = net.metadata.get("features")
    outermost = model
    if net.input_scaling is not None:
        pipeline = optional("sklearn.pipeline", PURPOSE, "sklearn")
        outermost = _scaler(*net.input_scaling.as_array())
        model = pipeline.Pipeline([("scaler", outermost), ("mlp", model)])
    if names is not None:
        outermost.feature_names_in_ = np.asarray(names, object)
    if net.target_scaling is None:
        return model
    compose = optional("sklearn.compose", PURPOSE, "sklearn")
    base = optional("sklearn.base", PURPOSE, "sklearn")
    transformer = _scaler(*net.target_scaling.as_array())
    whole = compose.TransformedTargetRegressor(base.clone(model), transformer=base.clone(transformer))
    whole.regressor_, whole.transformer_ = model, transformer
    whole._training_dim = 1 if net.widths[-1] == 1 else 2
    if names is not None:
        whole.feature_names_in_ = np.asarray(names, object)
    return whole


def _scaler(center: Array, scale: Array) -> Any:
    """Return a StandardScaler as if fitted, to rows that it has forgotten."""
    preprocessing = optional("sklearn.preprocessing", PURPOSE, "sklearn")
    scaler = preprocessing.StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = center, scale, scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(center), 0
    return scaler
