"""A network as units and lines: weights by colour and width, biases as rings, activations of a sample in the units."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp._naming import names_in
from cbp.network import network_of
from cbp.plot._axes import FAINT, INK, MINUS, PLUS, diverging, ink_on, module, new, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbp._typing import Array, ArrayLike
    from cbp.network import Network

RADIUS = 0.36
INCHES = 0.52  # of the figure from one unit to the next
THIN, THICK = 0.4, 2.4  # points, of a line whose weight is next to nothing, and of the largest of its layer
LETTER, LINE = 0.125, 0.3  # width of a letter and height of a line of text, in units
STEPS = np.linspace(0.0, 1.0, 33)[:, None]  # along an arc


def network(
    net: Network,
    x: ArrayLike | None = None,
    ax: Any = None,
    *,
    features: Iterable[Any] | None = None,
    classes: Iterable[Any] | None = None,
    max_units: int = 12,
) -> Any:
    """Draw units and weights: blue where they are positive, orange where they are negative, thick where they are large.

    Lines are as thick, relative to the largest weight of their layer, as their weight is large; a weight of 0, or one
    that is no number, has none. The ring around a unit is its bias in the same way. Skip connections are arcs.

    Parameters
    ----------
    net : Network
        It is only read.
    x : array_like, shape (n_0,), optional
        A sample, whose activations are written into the units and shown by their colour, relative to the largest of
        the layer. Inputs and outputs are written in units of their own.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot, as large as it takes.
    features, classes : iterable of str, optional
        Names of the inputs and of the outputs. Default: "features" and "classes" in `Network.metadata`, if there.
    max_units : int, default 12
        Of a layer that has more, the first and the last half of so many are drawn, and how many there are between.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The sample does not fit, there are not as many names as units, or `max_units` is less than 2.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([4, 6, 3], activation="tanh", output="softmax", seed=0)
    >>> ax = cbp.plot.network(net, features=["sl", "sw", "pl", "pw"])  # doctest: +SKIP
    """
    net = network_of(net)
    places = Places(net, whole(max_units, "max_units", 2))
    names = _names(features, net, "features", places.widths[0]), _names(classes, net, "classes", places.widths[-1])
    values = None if x is None else _values(net, x)
    left, right = (0.9 + LETTER * max(map(len, side), default=0) for side in names)
    notes = [_notes(net, l, places.across) for l in range(len(places.widths))]
    below = places.low - 0.9 - LINE * max(note.count("\n") + 1 for note in notes)
    limits = (-left, places.across * len(net.layers) + right, below, places.high + 0.7)
    if ax is None:
        ax = new(max(INCHES * (limits[1] - limits[0]), 4.2), INCHES * (limits[3] - limits[2]) + 0.5)
    ax.set(xlim=limits[:2], ylim=limits[2:], aspect="equal")
    ax.set_axis_off()
    for l in range(1, len(places.widths)):
        _draw_weights(ax, net, places, l)
    for l in range(len(places.widths)):
        _draw_units(ax, net, places, l, None if values is None else values[l])
        ax.text(places.across * l, places.low - 0.8, notes[l], ha="center", va="top", fontsize=8, color=INK)
    _draw_names(ax, places, *names)
    _legend(ax)
    return ax


class Places:
    """Where everything is: which units of every layer are drawn, and at what height."""

    def __init__(self, net: Network, most: int) -> None:
        self.widths = net.widths
        self.shown = [_shown(width, most) for width in net.widths]
        self.slots = [len(shown) + (len(shown) < width) for shown, width in zip(self.shown, net.widths, strict=True)]
        self.across = max(2.9, 0.3 * max(self.slots))
        self.sources = [(), *(net._spec.sources(l) for l in range(1, len(net.widths)))]
        self.high, self.low = max(self.slots) / 2 - 0.5, 0.5 - max(self.slots) / 2
        self.reach = {(k, l): self._over(k, l) for l, ks in enumerate(self.sources) for k in ks if k < l - 1}
        rise = max(self.reach.values(), default=0.0)
        self.high, self.low = max(self.high, rise), min(self.low, -rise)

    def height(self, l: int, unit: int) -> float:
        """Return the height of a unit that is drawn; those after a gap are one place lower."""
        place = self.shown[l].index(unit)
        gap = self.slots[l] > len(self.shown[l]) and place >= len(self.shown[l]) // 2
        return (self.slots[l] - 1) / 2 - place - gap

    def gap(self, l: int) -> float | None:
        """Return the height of the gap of a layer that is not drawn as a whole."""
        return None if self.slots[l] == len(self.shown[l]) else (self.slots[l] - 1) / 2 - len(self.shown[l]) // 2

    def _over(self, k: int, l: int) -> float:
        """Return how far from the middle arcs from layer k to layer l run: past all that is between."""
        return max(self.slots[k + 1 : l]) / 2 + 0.35 * (l - k)


def _shown(width: int, most: int) -> list[int]:
    if width <= most:
        return list(range(width))
    half = most // 2
    return [*range(half), *range(width - half, width)]


def _names(given: Iterable[Any] | None, net: Network, key: str, n: int) -> list[str]:
    """Return the names of the units of the first or the last layer; those in the metadata only where they fit."""
    if given is None:
        of_two = names_in(net.metadata, key, 2) if key == "classes" and n == 1 else []
        return of_two[1:] or names_in(net.metadata, key, n)  # one output says how sure it is of the second of two
    names = list(map(str, given))
    if len(names) != n:
        raise ValueError(f"{len(names)} {key} are named, the network has {n}")
    return names


def _values(net: Network, x: ArrayLike) -> list[tuple[Array, Array]]:
    """Return what is written into the units of each layer, and what their colours say, both (n_l,)."""
    x = np.asarray(x)
    sample = x[0] if x.ndim == 2 and len(x) == 1 else x
    if sample.shape != net.widths[:1]:
        raise ValueError(f"x must be one sample of {net.widths[0]} numbers, not an array of shape {x.shape}")
    memory = net._scratch()
    memory.forward(net._reader.inputs(sample)[0])
    computed = [a[0].astype(np.float64) for a in memory.activations()]
    written = [sample, *computed[1:-1], net.predict(sample)]
    return list(zip(written, computed, strict=True))


def _notes(net: Network, l: int, across: float) -> str:
    """Return what stands under a layer: its name, its size, its activation, and what else there is to say."""
    width = int((across - 0.3) / LETTER)
    if l == 0:
        scaling = net._spec.scale_inputs
        return f"inputs\n{net.widths[0]:,}" + ("" if scaling is None else f"\nscaled, {scaling.kind}")
    dense, heads = net._spec.layers[l - 1], net._spec.heads if l == len(net.layers) else None
    if heads is not None:
        told = " + ".join(map(str, heads.all))
    else:
        kinds = list(dict.fromkeys(map(str, dense.rows)))
        told = ", ".join([*kinds[:3], "..."] if len(kinds) > 4 else kinds)
    others = [extra for extra in dense.extras() if not extra.startswith("skip")]
    others += [] if net.layers[l - 1].trainable else ["frozen"]
    told = told if len(told) <= width else told.replace("(", " (")
    lines = [part for text in (told, *map(words, others)) for part in textwrap.wrap(text, width)]
    return "\n".join([f"layer {l}" if l < len(net.layers) else "outputs", f"{net.widths[l]:,}", *lines])


def _finite(parameters: Array) -> Array:
    """Return parameters in double, 0 where they are no numbers: those are not drawn."""
    return np.where(np.isfinite(parameters), parameters, 0.0).astype(np.float64)


def _draw_weights(ax: Any, net: Network, places: Places, l: int) -> None:
    """Draw the lines into layer l, and the arcs from layers further up."""
    W, row = _finite(net.layers[l - 1].W), 0
    largest = float(np.abs(W).max()) or 1.0
    for k in places.sources[l]:
        pairs = [(i, j) for i in places.shown[k] for j in places.shown[l] if W[row + i, j] != 0]
        segments = [_line(places, k, i, l, j) for i, j in pairs]
        _collect(ax, segments, np.array([W[row + i, j] for i, j in pairs]) / largest, f"weights {k} > {l}")
        row += places.widths[k]


def _collect(ax: Any, segments: Sequence[Array], sizes: Array, gid: str) -> None:
    """Draw lines whose weights are `sizes` times the largest of the layer."""
    strength = np.abs(sizes)
    colours = [(*module("colors").to_rgb(PLUS if size > 0 else MINUS), 0.25 + 0.65 * abs(size)) for size in sizes]
    lines = module("collections").LineCollection(
        segments, colors=colours, linewidths=THIN + (THICK - THIN) * strength, zorder=1, capstyle="round"
    )
    lines.set_gid(gid)
    ax.add_collection(lines, autolim=False)


def _line(places: Places, k: int, i: int, l: int, j: int) -> Array:
    """Return the points of the line from unit i of layer k to unit j of layer l; past a layer, those of an arc."""
    start = np.array([places.across * k, places.height(k, i)])
    end = np.array([places.across * l, places.height(l, j)])
    if k == l - 1:
        return np.array([start, end])
    side = 1.0 if start[1] > 0 or (start[1] == 0 and end[1] >= 0) else -1.0
    apex = (
        side * places.reach[k, l] - (start[1] + end[1]) / 8
    ) / 0.75  # of the two points between: half-way it is there
    bend = 0.3 * (end[0] - start[0])
    b, c = np.array([start[0] + bend, apex]), np.array([end[0] - bend, apex])
    t, s = STEPS, 1 - STEPS
    arc: Array = s**3 * start + 3 * s * s * t * b + 3 * s * t * t * c + t**3 * end
    return arc


def _draw_units(ax: Any, net: Network, places: Places, l: int, values: tuple[Array, Array] | None) -> None:
    """Draw the units of layer l: their rings, what is in them, and how many are left out."""
    circle, colours = module("patches").Circle, diverging()
    bias = np.zeros(places.widths[0]) if l == 0 else _finite(net.layers[l - 1].b)
    largest = float(np.abs(bias).max()) or 1.0
    for j in places.shown[l]:
        at = places.across * l, places.height(l, j)
        share = bias[j] / largest
        edge = FAINT if share == 0 else PLUS if share > 0 else MINUS
        fill = "white"
        if values is not None:
            fill = colours(0.5 + 0.5 * float(values[1][j]) / (float(np.abs(values[1]).max()) or 1.0))
            number = _brief(float(values[0][j]))
            size = 7 if len(number) < 5 else 6
            ax.text(*at, number, ha="center", va="center", fontsize=size, color=ink_on(fill), zorder=4)
        width = 0.8 if share == 0 else 1.0 + 2.0 * abs(share)
        ax.add_patch(circle(at, RADIUS, facecolor=fill, edgecolor=edge, linewidth=width, zorder=3))
    if (gap := places.gap(l)) is not None:
        x = places.across * l
        ax.plot([x] * 3, [gap - 0.22, gap, gap + 0.22], ".", color=INK, markersize=3.5, zorder=3)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        left_out = f"{places.widths[l] - len(places.shown[l]):,} more"
        ax.text(x + 0.22, gap, left_out, fontsize=7, va="center", color=INK, bbox=box, zorder=3)


def _brief(value: float) -> str:
    """Return a number in at most five characters or so, since it has to fit into a circle."""
    size = abs(value)
    if size and (size >= 9999.5 or size < 0.0005):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    if size and size < 0.005:
        return f"{value:.3f}"
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:.0f}"


def _draw_names(ax: Any, places: Places, features: list[str], classes: list[str]) -> None:
    """Write the names of inputs to their left, those of outputs to their right."""
    last = len(places.widths) - 1
    for l, names, side, anchor in ((0, features, -1, "right"), (last, classes, 1, "left")):
        for j in places.shown[l] if names else ():
            at = places.across * l + side * (RADIUS + 0.2), places.height(l, j)
            ax.text(*at, names[j], ha=anchor, va="center", fontsize=8, color=INK)


def _legend(ax: Any) -> None:
    line = module("lines").Line2D
    ring = {"marker": "o", "markersize": 8, "markerfacecolor": "white", "linestyle": "none"}
    handles = [
        line([], [], color=PLUS, linewidth=2, label="positive weight"),
        line([], [], color=MINUS, linewidth=2, label="negative weight"),
        line([], [], color=PLUS, **ring, markeredgewidth=2, label="ring: bias"),
    ]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, fontsize=8,
        handlelength=1.4, columnspacing=1.6,
    )  # fmt: skip
