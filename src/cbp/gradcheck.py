"""The analytic gradient against a numeric one, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp import _core
from cbp._arguments import draw, whole
from cbp._spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbp._state import State
    from cbp._typing import Array, ArrayLike

TOLERANCE = {"float32": 1e-3, "float64": 1e-7}
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # the last is rounded to about 1e-8, still less than what is allowed
ENOUGH = {"float32": 1e-6, "float64": 1e-10}  # a smaller step is tried where the two differ by more than this share
FLOOR = 1e-3  # errors count relative to the layer's gradient, or to this share of the largest number around


class LayerCheck(NamedTuple):
    """One line of the report: the layer, 1 to L; its units and activations; parameters, checked ones; error."""

    layer: int
    text: str
    parameters: int
    checked: int
    error: float


class GradCheck:
    """What `gradcheck` found; print it to read it.

    Attributes
    ----------
    layers : tuple of LayerCheck
        For every layer `layer`, `text`, `parameters`, `checked`, and `error`: the largest difference between the two
        gradients, relative to the largest entry of the layer's gradient.
    max_error : float
        The largest of these errors.
    tolerance : float
        What is allowed: 1e-7 for a float64 network, 1e-3 for float32.
    ok : bool
        Whether `max_error` is within the tolerance.
    """

    def __init__(self, layers: tuple[LayerCheck, ...], dtype: str, rows: int) -> None:
        self.layers, self.dtype, self.rows = layers, dtype, rows
        self.tolerance = TOLERANCE[dtype]
        self.max_error = max(layer.error for layer in layers)
        self.ok = self.max_error <= self.tolerance

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else "WRONG"
        width = max(len("layer"), *(len(layer.text) for layer in self.layers))
        title = (
            f"gradient check, {self.rows} rows, {self.dtype}: {verdict} "
            f"(largest relative error {self.max_error:.1e}, allowed {self.tolerance:.0e})"
        )
        head = f"   {'layer':{width}}  parameters     checked     error"
        body = [
            f"{i:2} {text:{width}}  {n:10,}  {checked:10,}  {error:8.1e}" for i, text, n, checked, error in self.layers
        ]
        return "\n".join([title, head, *body])


def gradcheck(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    per_layer: int = 1000,
    noise: int | None = None,
) -> GradCheck:
    """Compare the gradient that back-propagation gives with central differences of the objective.

    The differences are of fourth order and are taken in a float64 twin of the network, which itself is left as it
    is, `grad` included. Where the two disagree, smaller steps are tried: a relu may have its kink within the step.
    Fixed parameters, those of frozen layers and where the mask is 0, are not checked.

    Parameters
    ----------
    net : Network
        The network to check, with the parameters that it has.
    X, y, sample_weight
        A few samples, as for `Network.loss`. Every parameter costs at least four evaluations of the objective.
    per_layer : int, default 1000
        How many parameters of a layer are checked at most, evenly spread at random.
    noise : int, optional
        Check the gradient of a noisy pass, by the number of its draw, as for `Network.loss`.

    Returns
    -------
    GradCheck
        With `ok`, `max_error`, and a table when printed.

    Raises
    ------
    ValueError, TypeError
        The data do not fit the network.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 3, 1], dtype="float64", seed=0)
    >>> report = cbp.gradcheck(net, [[0, 1], [1, 1]], [1, 0])
    >>> report.ok, report.max_error < 1e-9
    (True, True)
    """
    per_layer, noise = whole(per_layer, "per_layer", 1), draw(noise)
    X, y, weight = net._reader.batch(X, y, sample_weight)
    memory = _core.Memory(net._plan, net.params.copy())
    loss = memory.gradient(X, y, weight, None, noise)
    analytic = memory.grad.astype(np.float64)
    objective = twin(net, X, y, weight, noise)
    theta, trained = net.params.astype(np.float64), net._trained()
    largest = FLOOR * max(float(abs(analytic).max()), abs(loss))
    enough = ENOUGH[net.dtype.name]
    lines = []
    for number, (dense, (offset, rows, cols)) in enumerate(zip(net._spec.layers, net._plan.blocks, strict=True), 1):
        size = rows * cols
        scale = max(float(abs(analytic[offset : offset + size]).max()), largest) or 1.0
        picked = offset + _core.permutation(0, number, size)
        picked = picked[trained[picked]][:per_layer]
        found = (
            (float(analytic[i]), numeric(objective, theta, int(i), float(analytic[i]), scale, enough)[0])
            for i in picked
        )
        error = max((abs(one - other) for one, other in found), default=0.0)
        lines.append(LayerCheck(number, str(dense), size, len(picked), error / scale))
    return GradCheck(tuple(lines), net.dtype.name, len(X))


def twin(net: State, X: Array, y: Array, weight: Array | None, noise: int | None = None) -> Callable[[Array], float]:
    """Return the objective as a function of the parameters, all in float64."""
    plan = Spec.from_config({**net.get_config(), "dtype": "float64"}).plan()
    X = X.astype(np.float64)
    y = y if y.ndim == 1 else y.astype(np.float64)
    weight = None if weight is None else weight.astype(np.float64)
    return lambda theta: plan.evaluate(theta, X, y, weight, noise)


def numeric(
    objective: Callable[[Array], float],
    theta: Array,
    i: int,
    analytic: float,
    scale: float,
    enough: float = ENOUGH["float64"],
) -> tuple[float, float]:
    """Return the numeric derivative by theta[i] and its step: the first that agrees, or else the one that is closest.

    `analytic` is what it is compared with, `scale` what the size of their difference is measured by, `enough` how large
    a share of it may be left.
    """
    best = (np.inf, 0.0, 0.0)
    for step in STEPS:
        step *= max(1.0, abs(float(theta[i])))
        value = float(central_difference(objective, theta, i, step))
        best = min(best, (abs(analytic - value), value, step))
        if best[0] <= enough * scale:
            break
    return best[1:]


def central_difference(objective: Callable[[Array], float], theta: Array, i: int, step: float) -> float:
    """Return the derivative by theta[i], (8 (J(+h) - J(-h)) - (J(+2h) - J(-2h))) / 12h; theta is as it was after."""
    centre = theta[i]
    values = []
    for shift in (step, -step, 2 * step, -2 * step):
        theta[i] = centre + shift
        values.append(objective(theta))
    theta[i] = centre
    near, far = values[0] - values[1], values[2] - values[3]
    return (8 * near - far) / (12 * step)
