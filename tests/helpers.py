"""Shared by the tests: what the tables hold, small problems to learn, networks to learn them, and distances."""

import os

import numpy as np
from reference import rows

import cbp

DTYPES = ("float32", "float64")
PAIR_LOSSES = [name for name, row in rows("losses").items() if row["pair"]]
SINGLE_LOSSES = [name for name, row in rows("losses").items() if not row["pair"]]


def one_in(n):
    """Return n where CBP_QUICK is set, so that one in n of a long list of like cases is tried, else 1: all of them.

    `cases[:: one_in(5)]`, `1000 // one_in(5)`: what one_in of c/harness.h is for the tests in C. Where kinds of cases
    take turns in a list, an odd n meets all of them.
    """
    return n if os.environ.get("CBP_QUICK") else 1


def unit_activations():
    """Every activation of a single unit as (name, argument): its default and, where it has one, another."""
    for name, row in rows("activations").items():
        if not row["row_wise"]:
            for _, default in row["args"][:1] or [("none", 0.0)]:
                yield name, default
                if row["args"]:
                    yield name, default + 0.375


def outputs():
    """Every (activation, argument, loss) that an output layer can have; losses that take outputs in pairs are apart."""
    units = [*unit_activations(), *((name, 0.0) for name, row in rows("activations").items() if row["row_wise"])]
    for loss in SINGLE_LOSSES:
        row = rows("losses")[loss]
        for name, arg in units:
            if (not row["head"] or row["partner"] == name) and (name, loss) != ("exp", "log_poisson"):
                yield name, arg, loss  # the exponential of an exponential leaves the finite range at once


def hidden_and_output():
    """Every activation of a hidden layer with each loss's own output, and every output with one hidden layer."""
    for name, arg, loss in outputs():
        is_partner = name == rows("losses")[loss]["partner"]
        for hidden in unit_activations() if is_partner else [("tanh", 0.0)]:
            if hidden[0] != "exp" or loss not in ("log_poisson", "poisson"):
                yield hidden, (name, arg, loss)


def by_activation():
    """Each case of these in both precisions, one with sample weights, by turns, under the activation it is for."""
    found = {name: [] for name in rows("activations")}
    for i, (hidden, output) in enumerate(hidden_and_output()):
        is_partner = output[0] == rows("losses")[output[2]]["partner"]
        cases = [(hidden, output, dtype, (i + j) % 2 == 1) for j, dtype in enumerate(DTYPES)]
        found[hidden[0] if is_partner else output[0]] += cases
    return found


def uniform_layer(n, name, arg=0.0):
    """One activation for the n units of a layer, as the oracle wants it."""
    return ((name, arg),) * n


def pairs_layer(loss, n):
    """The units of an output layer for a loss that takes outputs in pairs: n targets, 2n units."""
    row = rows("losses")[loss]
    return uniform_layer(n, row["partner"]) + uniform_layer(n, row["pair"])


def problem(oracle, m, seed, dtype="float64"):
    """Return theta, X, y, s in a dtype: parameters, data, targets that suit the loss, and sample weights."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 1.4 / max(oracle.widths) ** 0.5, oracle.n_params)
    X = rng.normal(0, 1, (m, oracle.widths[0]))
    y = targets(rng, oracle.loss, (m, oracle.n_targets))
    s = rng.uniform(0.25, 3, m)
    return tuple(v.astype(dtype) for v in (theta, X, y, s))


def targets(rng, loss, shape):
    """Targets that suit a loss."""
    row = rows("losses")[loss]
    if rows("activations")[row["partner"]]["row_wise"]:
        y = rng.uniform(0.1, 1, shape)
        return y / y.sum(axis=1, keepdims=True)
    low, high = row["targets"]
    if low == high - 2:
        return rng.choice([low, high], shape)
    return rng.normal(0, 1, shape) if low == -np.inf else rng.uniform(low, min(high, low + 3), shape)


def activation(name, arg):
    """Return the activation of cbp with its argument."""
    row = cbp.activations[name]
    arguments = rows("activations")[name]["args"]
    return row(**{arguments[0][0]: arg}) if arguments else row


def network(oracle, theta, dtype="float64", **kwargs):
    """Build the oracle's network in cbp, with these parameters."""
    layers = [oracle.widths[0]]
    for layer in oracle.units:
        same = len(set(layer)) == 1
        layers.append(cbp.Dense(len(layer), activation(*layer[0]) if same else [activation(*unit) for unit in layer]))
    loss = cbp.losses[oracle.loss](**{name: oracle.constants[name] for name in cbp.losses[oracle.loss].args})
    net = cbp.Network(layers, loss=loss, reduction=oracle.reduction, dtype=dtype, seed=0, **kwargs)
    net.params[:] = theta
    return net


def core_plan(oracle, dtype, **kwargs):
    """Build the oracle's network below the Python layer: its plan."""
    layers = [(len(layer), [name for name, _ in layer], [arg for _, arg in layer]) for layer in oracle.units]
    loss_arg = next((oracle.constants[name] for name, _ in rows("losses")[oracle.loss]["args"]), 0.0)
    return cbp._core.Plan(dtype, oracle.widths[0], layers, oracle.loss, loss_arg, oracle.reduction, **kwargs)


def relative(got, want):
    """Largest |got - want| against |want|, numbers below a thousandth of the largest |want| counted as that."""
    got, want = np.asarray(got, "float64"), np.asarray(want, "float64")
    if want.size == 0:
        return 0.0
    floor = 1e-3 * np.abs(want).max()
    return float(np.max(np.abs(got - want) / np.maximum(np.abs(want), floor or 1.0)))


def ulps(got, want):
    """Distance from exact numbers, given in a wider type, in units of the last place of got's type."""
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(want).astype(got.dtype)).astype(want.dtype)
        distance = np.abs(got.astype(want.dtype) - want) / unit
    with np.errstate(over="ignore"):
        same = (got == want.astype(got.dtype)) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0, distance).astype(float)


def same_bytes(a, b):
    """Two arrays of the same dtype and shape hold the same bits."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
