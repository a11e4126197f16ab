"""What a network says of every point of a plane: regions of classes, or the heights of a regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp._naming import names_in
from cbp.metrics import ACCURACIES
from cbp.network import network_of
from cbp.plot._axes import COLOURS, INK, MARKERS, bare, module, new
from cbp.plot.classes import are_known, labels_of, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbp._typing import Array, ArrayLike
    from cbp.network import Network

MARGIN = 0.08  # of the plane beyond the data, on each side
PALE, FULL = 0.12, 0.62  # how much of its colour a region has where the network is not sure, and where it is
HEIGHTS = "viridis"
MOST_NAMES = 20


def decision_regions(
    net: Network,
    X: ArrayLike,
    y: ArrayLike | None = None,
    ax: Any = None,
    *,
    features: Sequence[int | str] = (0, 1),
    classes: Iterable[Any] | None = None,
    output: int = 0,
    resolution: int = 200,
) -> Any:
    """Draw what the network predicts over a plane of two inputs, and the data in it.

    Of a classifier, the region of each class in its colour, the stronger the surer the network is, and the lines
    between them; of any other network, the heights of an output.

    Parameters
    ----------
    net : Network
        It is only read.
    X : array_like, shape (n, n_0)
        Rows that say where to look. Inputs beside the two are fixed at their medians.
    y : array_like, shape (n,) or as for `Network.fit`, optional
        Targets, which colour the points; labels may be the names of the classes. None: no points are drawn.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.
    features : (int or str, int or str), default (0, 1)
        The inputs along x and y: numbers from 0, or names among "features" in `Network.metadata`.
    classes : iterable of str, optional
        Names of the classes. Default: "classes" in `Network.metadata`, if there, else their numbers.
    output : int, default 0
        Which output, of a network that has several and tells no classes apart by the largest of them.
    resolution : int, default 200
        Points along each side at which the network is asked.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        The data do not fit, there are not two such inputs, no such output, or not as many names as classes.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = cbp.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=1)
    >>> ax = cbp.plot.decision_regions(net, X, y)  # doctest: +SKIP
    """
    net = network_of(net)
    X = np.asarray(X, np.float64)
    if X.ndim != 2 or X.shape[1] != net.widths[0] or len(X) == 0:
        raise ValueError(f"X must have at least one row of {net.widths[0]} numbers, not the shape {X.shape}")
    first, second = _columns(net, features)
    if not 0 <= output < net.widths[-1]:
        raise ValueError(f"the network has the outputs 0 to {net.widths[-1] - 1}, not {output}")
    names = _class_names(net, classes, output)
    resolution = whole(resolution, "resolution", 2)
    axis_x, axis_y = _axis(X[:, first], resolution), _axis(X[:, second], resolution)
    found = net.predict(_plane(X, first, second, axis_x, axis_y)).astype(np.float64)
    points = None if y is None else _points(net, y, X, names, output)
    is_given = ax is not None
    ax = ax if is_given else new(6.4, 4.8)
    if names:
        _draw_regions(ax, _probabilities(net, found, output), names, axis_x, axis_y)
    else:
        _draw_heights(ax, found[:, output], points, axis_x, axis_y)
    if points is not None:
        _draw_points(ax, X[:, [first, second]], points, names)
    if points is not None and names and len(names) <= MOST_NAMES and (points >= 0).any():
        beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0, "frameon": False}
        ax.legend(fontsize="small", **({"loc": "best", "framealpha": 0.9} if is_given else beside))
    _describe(ax, net, (first, second))
    ax.set(xlim=axis_x[[0, -1]], ylim=axis_y[[0, -1]])
    return ax


def _columns(net: Network, features: Sequence[int | str]) -> tuple[int, int]:
    """Return the numbers of the two inputs."""
    known, n = net.metadata.get("features"), net.widths[0]
    if n < 2:
        raise ValueError("the network has one input, a plane takes two")
    found = []
    for feature in features:
        if isinstance(feature, str):
            if not isinstance(known, (list, tuple)) or feature not in known:
                raise ValueError(f"no input is called {feature!r}: net.metadata['features'] is {known!r}")
            feature = list(known).index(feature)
        found.append(whole(feature, "a number in features", 0, n - 1))
    if len(found) != 2 or found[0] == found[1]:
        raise ValueError(f"features must be two different inputs, not {features!r}")
    return found[0], found[1]


def _class_names(net: Network, classes: Iterable[Any] | None, output: int) -> list[str]:
    """Return the names of the classes that the picture tells apart; empty for a regression."""
    spec = net._spec
    if spec.outputs is not None and spec.outputs.row_wise:
        k = spec.n_out
    elif ACCURACIES.get(spec.loss.name) is not None:
        k = 2
    else:
        return []
    if classes is None:
        return names_in(net.metadata, "classes", k) or [f"class {number}" for number in range(k)]
    names = list(map(str, classes))
    if len(names) != k:
        raise ValueError(f"{len(names)} classes are named, the network tells {k} apart")
    return names


def _axis(values: Array, n: int) -> Array:
    """Return n places from below the least value to above the largest."""
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, n)


def _plane(X: Array, first: int, second: int, axis_x: Array, axis_y: Array) -> Array:
    """Return rows for all points of the plane, y by y, other inputs at their medians."""
    rows = np.tile(np.median(X, axis=0), (len(axis_x) * len(axis_y), 1))
    rows[:, first], rows[:, second] = np.tile(axis_x, len(axis_y)), np.repeat(axis_y, len(axis_x))
    return rows


def _probabilities(net: Network, found: Array, output: int) -> Array:
    """Return a number from 0 to 1 for each class, (points, k), the largest being the class."""
    spec = net._spec
    if spec.outputs is not None and spec.outputs.row_wise:
        return np.exp(found) if spec.outputs.name == "log_softmax" else found
    p = found[:, output]
    if spec.loss.name == "hinge":  # from -1 to 1, and the margins beyond
        p = (np.clip(p, -1, 1) + 1) / 2
    return np.column_stack([1 - p, p])


def _points(net: Network, y: Any, X: Array, names: list[str], output: int) -> Array:
    """Return the class of each row, -1 where it is missing; or its target."""
    given = np.asarray(y)
    several = given.ndim == 2 and given.shape[1] > 1
    binary = bool(names) and not (net._spec.outputs is not None and net._spec.outputs.row_wise)
    if several and (binary or not names):
        given = given[:, output]
    if len(given) != len(X):
        raise ValueError(f"X has {len(X)} rows, y has {len(given)}")
    if not names:
        return given.astype(np.float64).reshape(len(X))
    if net._spec.loss.name == "hinge" and given.dtype.kind in "fi":
        given = np.where(np.isnan(given), np.nan, given > 0)
    labels, _ = labels_of(given, "y")
    numbers, known = np.full(len(X), -1), are_known(labels)
    numbers[known] = numbered(labels[known], names)
    return numbers


def _draw_regions(ax: Any, p: Array, names: list[str], axis_x: Array, axis_y: Array) -> None:
    """Colour the regions, and draw the lines between them."""
    k = len(names)
    winner = p.argmax(axis=1)
    sure = np.clip((p.max(axis=1) - 1 / k) / (1 - 1 / k), 0, 1)
    full = np.array([module("colors").to_rgb(COLOURS[number % len(COLOURS)]) for number in range(k)])[winner]
    strength = (PALE + (FULL - PALE) * sure)[:, None]
    shape = len(axis_y), len(axis_x)
    extent = _extent(axis_x, axis_y)
    image = (1 - strength * (1 - full)).reshape(*shape, 3)
    ax.imshow(image, extent=extent, origin="lower", aspect="auto", zorder=0, interpolation="nearest")
    for number in range(k if k > 2 else 1):
        others = np.delete(p, number, axis=1).max(axis=1)
        lead = (p[:, number] - others).reshape(shape)
        if lead.min() < 0 < lead.max():
            ax.contour(axis_x, axis_y, lead, levels=[0.0], colors=INK, linewidths=0.9, zorder=1)


def _extent(axis_x: Array, axis_y: Array) -> tuple[float, float, float, float]:
    """Return the outer edges of pixels whose middles are at these places."""
    half_x, half_y = (axis_x[1] - axis_x[0]) / 2, (axis_y[1] - axis_y[0]) / 2
    return axis_x[0] - half_x, axis_x[-1] + half_x, axis_y[0] - half_y, axis_y[-1] + half_y


def _draw_heights(ax: Any, heights: Array, points: Array | None, axis_x: Array, axis_y: Array) -> None:
    """Draw heights as colours with their scale beside, which is that of the points too."""
    seen = heights if points is None else np.concatenate([heights, points[np.isfinite(points)]])
    levels = module("ticker").MaxNLocator(12).tick_values(float(seen.min()), float(seen.max()))
    surface = heights.reshape(len(axis_y), len(axis_x))
    drawn = ax.contourf(axis_x, axis_y, surface, levels=levels, cmap=HEIGHTS, zorder=0)
    ax.contour(axis_x, axis_y, surface, levels=levels, colors="white", linewidths=0.4, alpha=0.6, zorder=1)
    ax.figure.colorbar(drawn, ax=ax, label="output" if points is None else "output; points: targets")


def _draw_points(ax: Any, places: Array, points: Array, names: list[str]) -> None:
    """Draw the rows: a colour and a marker for every class, or the colour of their target's height."""
    look = {"s": 26 if len(places) <= 300 else 12, "edgecolors": "white", "linewidths": 0.6, "zorder": 2}
    if not names:
        known = np.isfinite(points)
        scale = ax.collections[0]
        ax.scatter(*places[known].T, c=points[known], cmap=HEIGHTS, norm=scale.norm, **{**look, "linewidths": 0.9})
        return
    for number, name in enumerate(names):
        own = points == number
        if own.any():
            marker = MARKERS[number % len(MARKERS)]
            ax.scatter(*places[own].T, color=COLOURS[number % len(COLOURS)], marker=marker, label=name, **look)


def _describe(ax: Any, net: Network, columns: tuple[int, int]) -> None:
    """Name the axes, and say what the other inputs are."""
    n = net.widths[0]
    names = names_in(net.metadata, "features", n)
    labels = [names[column] if names else f"input {column}" for column in columns]
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if n > 2:
        ax.set_title(f"{n - 2} other input{'s' if n > 3 else ''} at the median", fontsize="small", loc="left")
    bare(ax)
