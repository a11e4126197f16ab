"""A network as a plain chain of weights, biases and activations: what all foreign formats have in common.

The modules of this folder that read other libraries' networks make Links and call `network`; those that write them ask
`chain` for Links. What a plain chain cannot express is refused by name, so that nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.layers import Dense, Layer
from cbp.network import Network

if TYPE_CHECKING:
    from cbp._typing import Array, DTypeLike, LossLike, ScalingLike
    from cbp.heads import Head
    from cbp.tables import Row


_TRAINING = ("dropout", "l1", "l2", "max_norm")


@dataclass(frozen=True)
class Link:
    """One layer.

    Attributes
    ----------
    W : ndarray, shape (n_in, n_out)
    b : ndarray, shape (n_out,)
    rows : tuple of rows of `cbp.activations`
        One for all units, or one for each.
    steepness : float
        The s of a = g(s z).
    sources : tuple of int
        The layers whose outputs stand side by side in its input, 0 the inputs; empty: the layer before.
    extras : dict
        What only training sees, as arguments of `Dense` that are not the defaults: dropout, l1, l2, max_norm,
        trainable.
    """

    W: Array
    b: Array
    rows: tuple[Row, ...]
    steepness: float = 1.0
    sources: tuple[int, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The activation of all units."""
        (row,) = self.rows
        return row

    def plain(self) -> Link:
        """Return the layer without a steepness: it is in the weights and biases, each rounded once."""
        if self.steepness == 1.0:
            return self
        return replace(self, W=self.W * self.steepness, b=self.b * self.steepness, steepness=1.0)


def network(
    links: Sequence[Link],
    *,
    loss: LossLike | None = None,
    dtype: DTypeLike = "float32",
    scale_inputs: ScalingLike | None = None,
    scale_targets: ScalingLike | None = None,
    heads: Sequence[Head] | None = None,
    **more: Any,
) -> Network:
    """Make a network of these layers; its seed is 0. `more` are other arguments of `Network`.

    With `heads` the activations of the last layer are theirs.

    Raises
    ------
    ValueError
        A shape does not fit, a number is not finite or too large for the dtype, or activations and loss do not go
        together.
    """
    n_in = links[0].W.shape[0]
    layers = [
        Dense(
            link.W.shape[1],
            None if heads and link is links[-1] else link.row if len(link.rows) == 1 else link.rows,
            steepness=link.steepness,
            skip=link.sources[:-1],
            **link.extras,
        )
        for link in links
    ]
    net = Network(
        [n_in, *layers],
        loss=loss,
        heads=heads,
        dtype=dtype,
        scale_inputs=scale_inputs,
        scale_targets=scale_targets,
        seed=0,
        **more,
    )
    for number, (link, layer) in enumerate(zip(links, net.layers, strict=True), 1):
        if link.W.shape != layer.W.shape or link.b.shape != layer.b.shape:
            raise ValueError(
                f"layer {number} has weights {link.W.shape} and biases {link.b.shape}, where {layer.W.shape} and "
                f"{layer.b.shape} are needed"
            )
        with np.errstate(over="ignore"):
            layer.W[:], layer.b[:] = link.W, link.b
        if not np.isfinite(layer.theta).all():
            raise ValueError(f"layer {number} has weights that are not finite in {net.dtype}")
    return net


def chain(net: Network, target: str, allowed: Iterable[str] = ()) -> list[Link]:
    """Return the layers of a network.

    Parameters
    ----------
    net : Network
    target : str
        What they are for, as a message would name it: "a Sequential of PyTorch".
    allowed : iterable of {"skip", "units", "steepness", "heads"}
        What the target can express beyond a plain chain: skip connections, an activation per unit, a steepness, several
        heads.

    Raises
    ------
    ValueError
        The network has something else.
    """
    for name, text in _beyond(net):
        if name not in allowed:
            raise ValueError(f"{target} cannot express {text}")
    links = []
    for number, (layer, dense) in enumerate(zip(net.layers, net._spec.layers, strict=True), 1):
        sources = net._spec.sources(number) if dense.skip else ()
        links.append(Link(layer.W, layer.b, dense.rows, dense.steepness, sources, _unseen(layer, dense)))
    return links


def _unseen(layer: Layer, dense: Dense) -> dict[str, Any]:
    """Return what only training sees of a layer."""
    frozen = {} if layer.trainable else {"trainable": False}
    return {name: value for name, value in dense._extras().items() if name in _TRAINING} | frozen


def _beyond(net: Network) -> Iterable[tuple[str, str]]:
    """Yield what a network has that a plain chain has not, and how it is called."""
    spec = net._spec
    if spec.heads is not None:
        yield "heads", "several heads"
    for number, dense in enumerate(spec.layers, 1):
        extras: list[tuple[str, Any, str]] = [
            ("skip", dense.skip, f"the skip connections of layer {number}"),
            ("units", len(dense.rows) > 1, f"an activation per unit, as in layer {number}"),
            ("steepness", dense.steepness != 1.0, f"the steepness of layer {number}"),
        ]
        yield from ((name, text) for name, present, text in extras if present)
