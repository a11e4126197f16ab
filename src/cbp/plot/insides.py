"""What happens inside a network, layer by layer: activations, gradients, weights; the first weights as images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp.network import network_of
from cbp.plot._axes import BLUE, FAINT, INK, ORANGE, bare, count, diverging, given, new, panels, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbp._typing import Array, ArrayLike
    from cbp.network import Network
    from cbp.tables import Row

BINS = 40
FLAT = 0.05
"""A unit is saturated where its slope is less than this share of the largest slope that its activation has."""
EVERYWHERE = np.linspace(-30.0, 30.0, 6001)


def activations(net: Network, X: ArrayLike, axes: Any = None) -> Any:
    """Draw how often activations of each size occur, a panel for each layer, with the share that is saturated.

    An activation is saturated where the slope g'(z) is less than a twentieth of the largest that g has: there, hardly
    any error passes. A unit is dead if it is saturated for every row of `X`; of a relu that is one that never responds.
    Neither is said of an output that works on a whole row, such as softmax.

    Parameters
    ----------
    net : Network
        It is only read.
    X : array_like, shape (m, n_0)
        Rows; some hundreds tell enough.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each layer; default: a new figure of pyplot.

    Returns
    -------
    ndarray of matplotlib Axes, shape (L,)

    Raises
    ------
    ValueError, TypeError
        `X` does not fit, or there are not as many axes as layers.
    ImportError
        matplotlib is not installed.

    Notes
    -----
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 16, 16, 1], activation="tanh", seed=0)
    >>> axes = cbp.plot.activations(net, [[0.0, 1.0], [1.0, 0.0]])  # doctest: +SKIP
    """
    net = network_of(net)
    memory = net._scratch()
    memory.forward(net._reader.inputs(_rows(X))[0])
    A = [a.astype(np.float64) for a in memory.activations()]
    axes = _for_layers(net, axes)
    for l, ax in enumerate(axes, 1):
        _histogram(ax, A[l].ravel())
        ax.set_title(_of_layer(net, l, _saturation(net, l, A)), loc="left", fontsize="small")
    axes[-1].set_xlabel("activation")
    return axes


def gradients(
    net: Network, X: ArrayLike, y: ArrayLike, axes: Any = None, *, sample_weight: ArrayLike | None = None
) -> Any:
    """Draw how often entries of the gradient of each size occur, a panel for each layer, on one logarithmic scale.

    Where they become smaller by powers of ten from the last layer to the first they vanish on the way down; where they
    become larger, they explode. Each panel says what share of its entries is exactly 0.

    Parameters
    ----------
    net : Network
        It is only read.
    X, y, sample_weight
        As for `Network.loss`; the gradient is that of the objective of these rows.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each layer; default: a new figure of pyplot.

    Returns
    -------
    ndarray of matplotlib Axes, shape (L,)

    Raises
    ------
    ValueError, TypeError
        The data do not fit, or there are not as many axes as layers.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 16, 16, 1], seed=0)
    >>> axes = cbp.plot.gradients(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1])  # doctest: +SKIP
    """
    net = network_of(net)
    memory = net._scratch()
    memory.gradient(*net._reader.batch(X, y, sample_weight))
    sizes = [np.abs(memory.grad[layer._part].astype(np.float64)) for layer in net.layers]
    axes = _for_layers(net, axes)
    seen = np.concatenate(sizes)
    seen = seen[(seen > 0) & np.isfinite(seen)]
    low, high = (np.floor(np.log10(seen.min())), np.ceil(np.log10(seen.max()))) if len(seen) else (-1.0, 0.0)
    bins = np.logspace(low, max(high, low + 1), BINS + 1)
    for l, (ax, size) in enumerate(zip(axes, sizes, strict=True), 1):
        some = size[(size > 0) & np.isfinite(size)]
        told = [f"median {np.median(some):.1e}"] if len(some) else []
        told += [f"{percent(float((size == 0).mean()))} are 0"] if (size == 0).any() else []
        _histogram(ax, some, bins)
        ax.set_xscale("log")
        ax.set_xlim(bins[0], bins[-1])
        ax.minorticks_off()
        ax.tick_params(labelbottom=l == len(axes))
        if len(some):
            ax.axvline(np.median(some), color=INK, linewidth=1, linestyle="--")
        ax.set_title(_of_layer(net, l, told), loc="left", fontsize="small")
    axes[-1].set_xlabel("size of an entry of the gradient")
    return axes


def weights(net: Network, axes: Any = None) -> Any:
    """Draw how often weights of each size occur, a panel for each layer; marks below are the biases.

    Parameters
    ----------
    net : Network
        It is only read.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each layer; default: a new figure of pyplot.

    Returns
    -------
    ndarray of matplotlib Axes, shape (L,)

    Raises
    ------
    ValueError
        There are not as many axes as layers.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> axes = cbp.plot.weights(cbp.Network([2, 16, 16, 1], seed=0))  # doctest: +SKIP
    """
    net = network_of(net)
    axes = _for_layers(net, axes)
    for l, (ax, layer) in enumerate(zip(axes, net.layers, strict=True), 1):
        W, b = layer.W.astype(np.float64).ravel(), layer.b.astype(np.float64)
        _histogram(ax, W)
        ax.plot(b, np.full(len(b), -0.06), "|", color=ORANGE, markersize=7, transform=ax.get_xaxis_transform(),
                clip_on=False, zorder=3)  # fmt: skip
        ax.tick_params(axis="x", pad=8)
        told = [f"standard deviation {W.std():.3g}"]
        told += [f"{percent(float((W == 0).mean()))} are 0"] if (W == 0).any() else []
        ax.set_title(_of_layer(net, l, told), loc="left", fontsize="small")
    axes[-1].set_xlabel("weight; marks: biases")
    return axes


def filters(
    net: Network,
    shape: tuple[int, int] | None = None,
    axes: Any = None,
    *,
    units: int | Iterable[int] = 16,
) -> Any:
    """Draw the weights into units of the first layer as images: blue where positive, orange where negative.

    All images have one scale, symmetric about 0, which is white. Where inputs are scaled the weights are those of the
    scaled ones.

    Parameters
    ----------
    net : Network
        It is only read.
    shape : (int, int), optional
        Height and width of an image, whose pixels are the inputs row by row. Default: a square.
    axes : sequence of matplotlib Axes, optional
        Where to draw, one for each unit; default: a new figure of pyplot.
    units : int or iterable of int, default 16
        How many units, the first ones; or which, from 0.

    Returns
    -------
    ndarray of matplotlib Axes, shape (number of units,)

    Raises
    ------
    ValueError
        The inputs do not fill such an image, there is no such unit, or there are not as many axes.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> axes = cbp.plot.filters(cbp.Network([64, 16, 10], seed=0))  # doctest: +SKIP
    >>> axes[0].get_title()  # doctest: +SKIP
    'unit 0'
    """
    net = network_of(net)
    height, width = _image(net.widths[0], shape)
    chosen = list(range(min(whole(units, "units", 1), net.widths[1]))) if isinstance(units, int) else list(units)
    if wrong := [unit for unit in chosen if not 0 <= unit < net.widths[1]]:
        raise ValueError(f"layer 1 has the units 0 to {net.widths[1] - 1}, not {wrong[0]}")
    columns = min(len(chosen), 8 if len(chosen) > 4 else 4)
    names = [f"unit {unit}" for unit in chosen]
    axes = panels(len(chosen), columns, 1.15, 1.3 * height / width) if axes is None else given(axes, names)
    W = net.layers[0].W.astype(np.float64)
    limit = float(np.abs(W[:, chosen]).max()) or 1.0
    for ax, unit, name in zip(axes, chosen, names, strict=True):
        image = ax.imshow(W[:, unit].reshape(height, width), cmap=diverging(), vmin=-limit, vmax=limit)
        ax.set_title(name, fontsize="small")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color(FAINT)
    if len(chosen):
        axes[0].figure.colorbar(image, ax=list(axes), label="weight", shrink=0.9)
    return axes


def _image(n: int, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return height and width of an image of n pixels."""
    if shape is None:
        side = round(n**0.5)
        if side * side != n:
            raise ValueError(f"{n} inputs do not make a square: say which shape the images have")
        return side, side
    height, width = (whole(length, "a length in shape", 1) for length in shape)
    if height * width != n:
        raise ValueError(f"an image of {height} x {width} has {height * width} pixels, the network has {n} inputs")
    return height, width


# ---- what a network computes ----


def _rows(X: Any) -> Any:
    """Return the rows, at least one."""
    if hasattr(X, "__len__") and len(X) == 0:
        raise ValueError("X has no rows")
    return X


def _saturation(net: Network, l: int, A: Sequence[Array]) -> list[str]:
    """Return in words which share of the activations of layer l is saturated, and how many units are dead."""
    dense = net._spec.layers[l - 1]
    rows = dense.rows * (dense.units // len(dense.rows))
    if any(row.row_wise for row in rows):
        return []
    layer = net.layers[l - 1]
    below = np.concatenate([A[k] for k in net._spec.sources(l)], axis=1)
    Z = dense.steepness * (below @ layer.W.astype(np.float64) + layer.b.astype(np.float64))
    flat = np.empty(Z.shape, bool)
    for row in dict.fromkeys(rows):
        units = [j for j, own in enumerate(rows) if own == row]
        flat[:, units] = is_flat(row, Z[:, units])
    dead = int(flat.all(axis=0).sum())
    told = [f"{percent(float(flat.mean()))} saturated"]
    return [*told, f"{count(dead, 'unit')} dead"] if dead else told


def is_flat(row: Row, z: Array) -> Array:
    """Return where the slope of an activation is less than a twentieth of its largest, like z."""
    from cbp.network import Dense, Network

    one = Network([1, Dense(1, row)], loss="half_squared_error", dtype="float64", seed=0)
    one.params[:] = 0, 1

    def slopes(points: Array) -> Array:
        return np.abs(one.jacobian(points.reshape(-1, 1), wrt="inputs", check_finite=False)).reshape(points.shape)

    flat: Array = slopes(np.asarray(z, np.float64)) < FLAT * slopes(EVERYWHERE).max()
    return flat


# ---- panels ----


def _for_layers(net: Network, axes: Any) -> Any:
    """Return axes for each layer: given ones, or new ones."""
    L = len(net.layers)
    if axes is not None:
        return given(axes, [f"layer {l}" for l in range(1, L + 1)])
    if L == 1:
        return np.array([new(6.4, 3.0)])
    return panels(L, 1, 6.4, 1.7)


def _of_layer(net: Network, l: int, told: Sequence[str]) -> str:
    """Return the title of a panel."""
    kinds = list(dict.fromkeys(map(str, net._spec.layers[l - 1].rows)))
    heads = net._spec.heads if l == len(net.layers) else None
    activation = " + ".join(kinds) if len(kinds) < 4 or heads else "several activations"
    return "; ".join([f"layer {l}, {net.widths[l]:,} {activation}", *told])


def _histogram(ax: Any, values: Array, bins: Any = BINS) -> None:
    """Draw how often values occur, those that are finite."""
    values = values[np.isfinite(values)]
    if len(values) and np.ndim(bins) == 0 and np.ptp(values) <= 1e-12 * np.abs(values).max():
        middle = values[0]  # one value only: a bar where it is
        bins = np.linspace(middle - 0.5, middle + 0.5, BINS + 1)
    ax.hist(values, bins=bins, color=BLUE)
    ax.set_ylabel("how many", fontsize="small")
    ax.tick_params(labelsize="small")
    bare(ax)
