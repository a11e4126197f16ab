"""What a network is, apart from its numbers: the arguments of `Network`, checked and made explicit.

A Spec is immutable by convention, makes the core's plan, and goes to and from the dict that files keep.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core, tables
from cbp._arguments import real, whole
from cbp._own_loss import OwnLoss, find_loss
from cbp.heads import Heads, canonical_loss, check_output, output_of, read_heads
from cbp.layers import MAX_UNITS, Dense, read_init
from cbp.scaling import read_scaling
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, DTypeLike, InitFunction, InitLike, LossLike, ScalingLike

DTYPES = ("float32", "float64")
REDUCTIONS = ("mean", "sum")
_FUNCTIONS = 2  # CBP_FUNCTIONS of net.h: what the random numbers are for that make seeds for functions in `init`


class Spec:
    """The explicit description: see `Network` for what the arguments mean."""

    def __init__(
        self,
        layers: Sequence[int | Dense],
        activation: ActivationLike | Sequence[ActivationLike] = "sigmoid",
        output: ActivationLike | Sequence[ActivationLike] | None = None,
        loss: LossLike | None = None,
        heads: Sequence[Any] | None = None,
        reduction: str = "mean",
        missing_targets: bool = False,
        scale_inputs: ScalingLike | None = None,
        scale_targets: ScalingLike | None = None,
        input_noise: float = 0.0,
        input_dropout: float = 0.0,
        init: InitLike | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        found = None if loss is None else find_loss(loss)
        self.n_in, self.layers = _read_layers(layers, activation, output, found)
        self.loss: Row | OwnLoss | Heads = canonical_loss(self.layers[-1].rows) if found is None else found
        if heads is not None:
            self._set_heads(heads, layers[-1], activation if output is None else output, loss)
        self.missing_targets = bool(missing_targets)
        self.init = read_init(init)
        self.dtype = read_dtype(dtype)
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
        self.reduction = reduction
        self.seed = int.from_bytes(os.urandom(8)) >> 1 if seed is None else whole(seed, "seed", 0, 2**64 - 1)
        self.input_noise = real(input_noise, "input_noise", low=0.0)
        self.input_dropout = real(input_dropout, "input_dropout", low=0.0, below=1.0)
        self.scale_inputs = read_scaling(scale_inputs, self.n_in, "scale_inputs")
        self.scale_targets = read_scaling(scale_targets, self.n_out, "scale_targets")
        self._check_rows()
        self._check_loss()
        self._check_scaling()
        if self.layers[-1].dropout:
            raise ValueError(f"dropout is for hidden layers and the inputs; the output is {self.layers[-1]}")

    @property
    def n_out(self) -> int:
        """Width of the output layer, n_L."""
        return self.layers[-1].units

    @property
    def heads(self) -> Heads | None:
        """The heads that share the output layer, if there are any."""
        return self.loss if isinstance(self.loss, Heads) else None

    @property
    def n_targets(self) -> int:
        """Number of targets of a sample: that of its outputs, or less where a loss takes outputs in pairs."""
        if isinstance(self.loss, Heads):
            return self.loss.n_targets
        return self.n_out // 2 if self.loss.pair else self.n_out

    @property
    def n_params(self) -> int:
        """Number of parameters, known before there is a plan."""
        widths = [self.n_in, *(layer.units for layer in self.layers)]
        return sum(
            (1 + sum(widths[k] for k in self.sources(l))) * layer.units for l, layer in enumerate(self.layers, 1)
        )

    def sources(self, l: int) -> tuple[int, ...]:
        """Return the numbers of the layers that feed layer l, 0 the inputs, in order."""
        return *self.layers[l - 1].skip, l - 1

    @property
    def outputs(self) -> Row | None:
        """The activation of the output layer, None where its units differ."""
        rows = self.layers[-1].rows
        return rows[0] if len(rows) == 1 else None

    def _set_heads(self, heads: Sequence[Any], last: Any, default: Any, loss: Any) -> None:
        """Give every unit of the output layer the activation of its head."""
        if loss is not None:
            raise ValueError("the heads have losses of their own: leave loss out")
        if isinstance(last, Dense) and last.activation is not None:
            raise ValueError(f"the heads have the activations of the output layer: {last!r} must leave its own out")
        self.loss = read_heads(heads, self.n_out, default)
        output = self.layers[-1].resolved("identity")
        output = Dense(output.units, None, output.init, **output._extras())
        output.activation = self.loss.activation
        self.layers = (*self.layers[:-1], output)

    def _check_rows(self) -> None:
        for number, layer in enumerate(self.layers[:-1], 1):
            for row in layer.rows:
                if row.row_wise:
                    raise ValueError(
                        f"{row.name} works on a whole row and is allowed at the output only, "
                        f"not in layer {number} of {len(self.layers)}"
                    )

    def _check_loss(self) -> None:
        if not isinstance(self.loss, Heads):
            output = self.layers[-1]
            check_output(self.loss, output.units, output.rows, f"the output is {output}")

    @property
    def scales(self) -> bool:
        """Whether inputs or targets are scaled."""
        return self.scale_inputs is not None or self.scale_targets is not None

    def _check_scaling(self) -> None:
        if self.scale_targets is None:
            return
        if self.heads is not None or self.loss.pair:
            kind = "several heads" if self.loss.pair == "" else f"the loss {self.loss.name}"
            raise ValueError(f"scale_targets is for outputs that all are in the targets' units, not for {kind}")
        if self.loss.targets != (-np.inf, np.inf) or (self.outputs is not None and self.outputs.row_wise):
            raise ValueError(
                f"scale_targets needs targets that may be any number, which those of {self.loss.name} with the output "
                f"{self.layers[-1]} are not"
            )

    def plan(self, isa: str | None = None) -> _core.Plan:
        """Make the core's plan; `isa` names the instruction set, None takes the best."""
        layers = [layer.core() for layer in self.layers]
        loss = self.loss if isinstance(self.loss, OwnLoss) else self.loss.name if self.heads is None else None
        heads = [] if self.heads is None else self.heads.core()
        return _core.Plan(
            self.dtype.name,
            self.n_in,
            layers,
            loss,
            tables.argument(self.loss),
            self.reduction,
            isa,
            heads=heads,
            missing=self.missing_targets,
            seed=self.seed,
            **self._input_noises(),
        )

    def _input_noises(self) -> dict[str, float]:
        """Return what noise the inputs have, if any."""
        noises = {"input_noise": self.input_noise, "input_dropout": self.input_dropout}
        return {name: value for name, value in noises.items() if value}

    def initial(self, plan: _core.Plan) -> Array:
        """Return new initial parameters, as `init` of layers and network and `seed` say."""
        chosen = [layer.init or self.init or tables.initializers[layer.rows[0].partner] for layer in self.layers]
        rows = [init if isinstance(init, Row) else tables.initializers["zeros"] for init in chosen]
        theta = plan.init([row.name for row in rows], [tables.argument(row) for row in rows], self.seed)
        for number, (init, (start, above, cols)) in enumerate(zip(chosen, plan.blocks, strict=True), 1):
            if not isinstance(init, Row):
                shape = above - 1, cols
                with np.errstate(over="ignore"):
                    theta[start + cols : start + above * cols] = _weights(init, shape, number, self.seed).ravel()
        if plan.first_nonfinite(theta) >= 0:
            raise ValueError(f"init makes weights that are too large for {self.dtype.name}")
        return theta

    def config(self) -> dict[str, Any]:
        """Return the arguments of `Network` that make the same one, as JSON can keep them.

        A loss of the user's own is there as the function, which JSON cannot keep.
        """
        layers = [layer.config() for layer in self.layers]
        scaling = {"scale_inputs": self.scale_inputs, "scale_targets": self.scale_targets}
        more: dict[str, Any] = {name: how.config() for name, how in scaling.items() if how is not None}
        if self.heads is not None:
            del layers[-1]["activation"]
            more["heads"] = [head.config() for head in self.heads.all]
        if self.missing_targets:
            more["missing_targets"] = True
        return {
            "layers": [self.n_in, *layers],
            "loss": self.loss.config(),
            "init": self.init.config() if isinstance(self.init, Row) else None,
            "dtype": self.dtype.name,
            "reduction": self.reduction,
            "seed": self.seed,
            **more,
            **self._input_noises(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Spec:
        """Read what `config` returned."""
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), Sequence):
            raise TypeError("a configuration is a dict with 'layers', as get_config returns it")
        layers = [Dense(**layer) if isinstance(layer, Mapping) else layer for layer in config["layers"]]
        return cls(**{**config, "layers": layers})

    def __str__(self) -> str:
        return self.shown(" > ", ", ")

    def shown(self, arrow: str, comma: str) -> str:
        """Return the network in words, with this between its layers, and before its loss."""
        inputs = " ".join([str(self.n_in), *(f"{name}={value:g}" for name, value in self._input_noises().items())])
        layers = list(map(str, self.layers))
        if self.heads is not None:
            layers[-1] = self.heads.layer(self.layers[-1])
        widths = arrow.join([inputs, *layers])
        summed = ", sum" if self.reduction == "sum" else ""
        scaled = "" if self.scale_inputs is None else f", inputs {self.scale_inputs}"
        scaled += "" if self.scale_targets is None else f", targets {self.scale_targets}"
        return f"Network({widths}{comma}{self.loss}{summed}, {self.dtype.name}{scaled})"


def _weights(init: InitFunction, shape: tuple[int, int], number: int, seed: int) -> Array:
    """Return the weights (fan_in, fan_out) that a user's function makes for layer `number`."""
    low, high, *_ = _core.philox((0, _FUNCTIONS << 16, number, 0), (seed % 2**32, seed >> 32))
    W = np.asarray(init(*shape, low | high << 32))
    if W.dtype.kind not in "fiub":
        raise TypeError(f"init must return numbers, not an array of {W.dtype}, for layer {number}")
    if W.shape != shape:
        raise ValueError(f"init must return an array of shape {shape} for layer {number}, not {W.shape}")
    if not np.isfinite(W).all():
        raise ValueError(f"init must return finite numbers for layer {number}")
    return W


def _read_layers(layers: Any, hidden: Any, output: Any, loss: Row | OwnLoss | None) -> tuple[int, tuple[Dense, ...]]:
    if isinstance(layers, (str, bytes)) or not isinstance(layers, (Sequence, np.ndarray)):
        raise TypeError(f"layers must be a list like [64, 128, 10], not {layers!r}")
    if len(layers) < 2:
        raise ValueError("layers needs the number of inputs and at least one layer, like [64, 10]")
    if isinstance(layers[0], Dense):
        raise TypeError("layers must start with the number of inputs, like [64, Dense(10)]")
    n_in = whole(layers[0], "the number of inputs", 1, MAX_UNITS)
    top = layers[-1]
    units = top.units if isinstance(top, Dense) else whole(top, "the number of units", 1, MAX_UNITS)
    last = output_of(units, loss, hidden) if output is None else output
    wanted = [(layer, hidden) for layer in layers[1:-1]] + [(top, last)]
    # What was not made here is copied
    return n_in, tuple(
        layer.resolved(default).placed(number, len(wanted)) if isinstance(layer, Dense) else Dense(layer, default)
        for number, (layer, default) in enumerate(wanted, 1)
    )


def read_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64; ValueError where something else is wanted."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if dtype is None or found is None or found.kind != "f" or found.itemsize not in (4, 8):
        raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
    return np.dtype(f"f{found.itemsize}")
