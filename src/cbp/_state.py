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
from cbp._threadpool import announce
from cbp.layers import Layer, set_mask

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike, OptimizerLike
    from cbp.methods import Method, MethodState
    from cbp.optimizers import Optimizer
    from cbp.scaling import Scaling


LINE = 120  # a network that takes more columns is printed in several lines


class State(_core.Direct):
    """The numbers of one network and the views of them."""

    metadata: dict[str, Any]
    """Anything of yours that JSON can hold: it is saved, copied and pickled with the network."""

    def _setup(self, spec: Spec, plan: _core.Plan, params: Array) -> None:
        """Make this a new network that trains in `params`."""
        announce()
        self._spec, self._plan = spec, plan
        self._memory = _core.Memory(plan, params)
        self._params, self._grad = self._memory.theta, self._memory.grad
        self._reader = reader_for(spec, plan)
        self._memory.scales = spec.scales
        self._layers = tuple(Layer(dense, self._memory, number) for number, dense in enumerate(spec.layers))
        for number, dense in enumerate(spec.layers):
            if not dense.trainable:
                self._memory.freeze(number, True)
        self._optimizer: Optimizer | None = None
        self._method: Method | None = None  # in the place of an optimiser
        self._method_state: MethodState | None = None
        self._pass_shape = [0, 0]  # rows and batch size of the pass that `unfinished` tells of
        self._trainers: dict[int, tuple[int]] = {}  # the thread that trains, by process; see Trainer._alone
        self.metadata = {}

    def _chosen(self, wanted: OptimizerLike | None) -> Optimizer | Method:
        """Return what to train with: the one in use, Adam where there is none, unless something else is wanted."""
        return self.optimizer or optimizers.get("adam") if wanted is None else optimizers.get(wanted)

    def _use(self, chosen: Optimizer | Method) -> None:
        """Continue with the optimiser in use, if that is what was chosen, or start another one anew."""
        if chosen is self.optimizer:
            return
        self._optimizer = self._method = self._method_state = None
        if isinstance(chosen, optimizers.Optimizer):
            self._memory.set_optimizer(chosen.row, chosen.args, *chosen.limits)
            self._optimizer = chosen
        else:
            from cbp.methods import MethodState

            self._memory.set_optimizer("sgd", ())  # which has no slots: what the last one had is free
            self._method, self._method_state = chosen, MethodState()

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

    @property
    def mask(self) -> Array | None:
        """Which parameters are trained: None for all, or an array (n_params,), flat like `params`, 1 trained, 0 fixed.

        Assign an array of zeros and ones, or of truth values, to fix parameters: none of them changes any more,
        whatever the optimiser, nor does its state; their gradient is 0. A fixed weight still costs its penalty. The
        array is copied, and the one that is shown is read-only. `Layer.mask` is the same for one layer;
        `Layer.trainable` fixes one as a whole, and saves the work for its gradient.
        """
        return self._memory.mask

    @mask.setter
    def mask(self, value: ArrayLike | None) -> None:
        set_mask(self._memory, value, slice(None), (self.n_params,), "net.mask")

    def averaged(self) -> Self:
        """Return a copy of the network with the average of the parameters that its optimiser keeps in their place.

        Raises
        ------
        RuntimeError
            The optimiser keeps none: it needs ``average=`` and an update.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([1, 1], output="identity", seed=0)
        >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], optimizer=cbp.optimizers.SGD(0.1, average=0.9))
        >>> smooth = net.averaged()
        >>> smooth == net
        False
        """
        if self._optimizer is None or self._optimizer.average is None:
            raise RuntimeError(
                "there is no average: train with an optimiser that keeps one, as Adam(average=0.999) does"
            )
        if self._memory.t == 0:
            raise RuntimeError("there is no average before the optimiser's first update")
        other = self.copy()
        other._params[:] = self._memory.slots[-1]
        return other

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
        """How many epochs the network was trained, over all calls of `fit` and `partial_fit`; a method's steps too."""
        return self._memory.epochs

    @property
    def trainable(self) -> bool:
        """Whether all layers are trained; set it for all of them at once. See `Layer.trainable`."""
        return all(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    @property
    def unfinished(self) -> int:
        """How many batches are made of an epoch that Ctrl-C broke off, or in which a checkpoint was written; else 0.

        ``fit(resume=True)`` goes on with the next one, any other training with the beginning of the epoch.
        """
        return self._memory.batches

    @property
    def optimizer(self) -> Optimizer | Method | None:
        """The optimiser or full-batch method in use, or None before the first one. Its state lives with the network."""
        return self._optimizer or self._method

    @property
    def method_state(self) -> MethodState | None:
        """What the full-batch method in use remembers, `numbers` such as mu, alpha and beta among it; else None."""
        return self._method_state

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
        config = self._spec.config()
        for layer, entry in zip(self._layers, config["layers"][1:], strict=True):
            entry.pop("trainable", None)
            entry |= {} if layer.trainable else {"trainable": False}
        return config

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
        """Return an independent copy: parameters, mask, optimiser and its state, epoch counter, metadata."""
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
        return self.get_config() == other.get_config() and self._numbers() == other._numbers()

    def _numbers(self) -> dict[str, bytes]:
        """Return all arrays that tell one network from another of the same configuration."""
        fixed = {} if self.mask is None else {"mask": self.mask}
        arrays = {"params": self._params, **fixed, **self._reader.numbers()}
        return {name: array.tobytes() for name, array in arrays.items()}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fixed = self.n_params - int(self._trained().sum())
        size = f": {self.n_params:,} parameters{f', {fixed:,} of them fixed' if fixed else ''}"
        shown = f"{self._spec}{size}"
        return shown if len(shown) <= LINE else self._spec.shown("\n        > ", ",\n        ") + size

    def _all_trained(self) -> bool:
        """Whether no parameter is fixed."""
        memory = self._memory
        return memory.mask is None and not any(memory.frozen.tolist())

    def _scratch(self) -> _core.Memory:
        """Return a memory that computes what the network does, in a copy of its parameters."""
        memory = _core.Memory(self._plan, self._params.copy())
        for number, layer in enumerate(self._layers):
            memory.freeze(number, not layer.trainable)
        memory.set_mask(self.mask)
        return memory

    def _trained(self) -> Array:
        """Return which parameters are not fixed, (n_params,)."""
        trained = np.ones(self.n_params, bool) if self.mask is None else self.mask != 0
        for layer in self._layers:
            trained[layer._part] &= layer.trainable
        return trained
