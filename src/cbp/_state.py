"""What a network has: description, plan, parameters, optimiser; and what follows from that alone.

Base class of the trainer (training.py) and of `Network` (network.py): views, configuration, copies, comparison.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cbp import _core, _packing, optimizers
from cbp._scaled import reader_for
from cbp._spec import Spec
from cbp.layers import Layer

if TYPE_CHECKING:
    from cbp._typing import Array, OptimizerLike
    from cbp.optimizers import Optimizer
    from cbp.scaling import Scaling


class State(_core.Direct):
    """The numbers of one network and the views of them."""

    metadata: dict[str, Any]
    """Anything of yours that JSON can hold: it is saved, copied and pickled with the network."""

    def _setup(self, spec: Spec, plan: _core.Plan, params: Array) -> None:
        """Make this a new network that trains in `params`."""
        self._spec, self._plan = spec, plan
        self._memory = _core.Memory(plan, params)
        self._params, self._grad = self._memory.theta, self._memory.grad
        self._reader = reader_for(spec, plan)
        self._memory.scales = spec.scales
        self._layers = tuple(
            Layer(dense, self._params, self._grad, block) for dense, block in zip(spec.layers, plan.blocks, strict=True)
        )
        self._optimizer: Optimizer | None = None
        self.metadata = {}

    def _use(self, wanted: OptimizerLike | None) -> Optimizer:
        """Continue with the optimiser in use, if that is what is wanted, or start another one anew."""
        if wanted is None:
            wanted = self._optimizer or optimizers.get("adam")
        optimizer = optimizers.get(wanted)
        if optimizer is not self._optimizer:
            self._memory.set_optimizer(optimizer.row, optimizer.args)
            self._optimizer = optimizer
        return optimizer

    @property
    def params(self) -> Array:
        """All parameters, one flat array, shape (n_params,): layer by layer, row by row, biases first.

        It is what the core trains on: write into it, ``net.params[:] = best``, to change the network.
        """
        return self._params

    @params.setter
    def params(self, value: Array) -> None:
        self._refuse("params", value is self._params)

    @property
    def grad(self) -> Array:
        """The gradient of the last loss that `gradient`, `backward` or `train_step` returned, flat like `params`.

        `fit` and `partial_fit` update parameters while a gradient is being made; they leave nothing of use here.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Array) -> None:
        self._refuse("grad", value is self._grad)

    def _refuse(self, name: str, same: bool) -> None:
        # `net.params -= step` works in place and then assigns the same object: that is fine.
        if not same:
            raise AttributeError(f"net.{name} cannot be replaced; to change its numbers write net.{name}[:] = ...")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, 0 to L - 1: ``layers[i]`` is layer i + 1 of the book. See `Layer`."""
        return self._layers

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self._plan.n_params

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of all layers, the inputs first: n_0 to n_L."""
        return self._plan.widths

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters: float32 or float64."""
        return self._spec.dtype

    @property
    def seed(self) -> int:
        """The seed of weights and shuffles: the one that was given, or else the one that was drawn."""
        return self._spec.seed

    @property
    def epoch(self) -> int:
        """How many epochs the network was trained, over all calls of `fit` and `partial_fit`."""
        return self._memory.epochs

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimiser in use, or None before the first one. Its state lives with the network."""
        return self._optimizer

    @property
    def input_scaling(self) -> Scaling | None:
        """How inputs are scaled: see `Scaling`. None where they are taken as they are."""
        return self._reader.input_scaling

    @property
    def target_scaling(self) -> Scaling | None:
        """How targets are scaled: see `Scaling`. None where they are taken as they are."""
        return self._reader.target_scaling

    def get_config(self) -> dict[str, Any]:
        """Return the description of the network, without its numbers, as a dict that JSON can keep.

        A loss of your own stands in it as the function itself, which JSON cannot keep.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], activation="tanh", output="identity", seed=0)
        >>> net.get_config()["layers"]
        [2, {'units': 3, 'activation': 'tanh'}, {'units': 1, 'activation': 'identity'}]
        >>> cbp.Network.from_config(net.get_config()) == net
        True
        """
        return self._spec.config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new network, untrained, from what `get_config` returned.

        Parameters
        ----------
        config : dict
            As from `get_config`; keys that are left out get the defaults of `Network`.

        Raises
        ------
        TypeError, ValueError
            The dict is not a configuration.
        """
        spec = Spec.from_config(config)
        plan = spec.plan()
        self = cls.__new__(cls)
        self._setup(spec, plan, spec.initial(plan))
        return self

    def copy(self) -> Self:
        """Return an independent copy: parameters, optimiser and its state, epoch counter, metadata."""
        other = type(self).__new__(type(self))
        _packing.unpack(other, _packing.pack(self))
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self),), self.__getstate__()  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Array]:
        return _packing.pack(self)

    def __setstate__(self, arrays: dict[str, Array]) -> None:
        _packing.unpack(self, arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return (
            self.get_config() == other.get_config()
            and self._params.tobytes() == other._params.tobytes()
            and self._learned_scaling() == other._learned_scaling()
        )

    def _learned_scaling(self) -> dict[str, bytes]:
        return {name: array.tobytes() for name, array in self._reader.numbers().items()}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self._spec}: {self.n_params:,} parameters"
