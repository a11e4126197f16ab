"""What a network has: description, plan, parameters, optimiser; and what follows from that alone.

Base class of the trainer (training.py) and of `Network` (network.py): views, configuration, copies, comparison.
"""

from __future__ import annotations

import copy
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
    from cbp._data import Reader
    from cbp._typing import Array, ArrayLike, OptimizerLike
    from cbp.diagnostics import Laplace
    from cbp.methods import Method, MethodState
    from cbp.optimizers import Optimizer
    from cbp.scaling import Scaling


LINE = 120  # a network that takes more columns is printed in several lines


class State(_core.Network):
    """The numbers of one network and the views of them."""

    metadata: dict[str, Any]
    """Anything of yours that JSON can hold: it is saved, copied and pickled with the network."""
    _posterior: Laplace | None = None  # see Uncertain

    def _setup(self, spec: Spec, plan: _core.Plan, params: Array) -> None:
        """Make this a new network that trains in `params`."""
        announce()
        self._spec, self._plan = spec, plan
        self._memory = _core.Memory(plan, params)
        self._params = self._memory.theta
        self._reader = reader_for(spec, plan)
        self._layers: tuple[Layer, ...] | None = None  # made when they are first asked for
        for number, dense in enumerate(spec.layers):
            if not dense.trainable:
                self._memory.freeze(number, True)
        self._optimizer: Optimizer | None = None
        self._method: Method | None = None  # in the place of an optimiser
        self._method_state: MethodState | None = None
        self._pass_shape = [0, 0]  # rows and batch size of the pass that `unfinished` tells of
        self.metadata = {}

    @property
    def _reader(self) -> Reader:
        """What makes data of a person's ready for the core."""
        return self._current_reader

    @_reader.setter
    def _reader(self, reader: Reader) -> None:
        self._current_reader = reader
        self._memory.scale_by(reader.input_scaling, reader.target_scaling)

    def _chosen(self, wanted: OptimizerLike | None) -> Optimizer | Method:
        """Return what to train with: the one in use, Adam where there is none, unless something else is wanted."""
        return self.optimizer or optimizers.get("adam") if wanted is None else optimizers.get(wanted)

    def _use(self, chosen: Optimizer | Method) -> None:
        """Continue with the optimiser in use, if that is what was chosen, or start another one anew."""
        if chosen is self.optimizer:
            return
        if isinstance(chosen, optimizers.Optimizer):

            def use() -> None:
                self._optimizer, self._method, self._method_state = chosen, None, None

            self._memory.set_optimizer(chosen.row, chosen.args, *chosen.limits, then=use)
        else:
            from cbp.methods import MethodState

            def use() -> None:
                self._optimizer, self._method, self._method_state = None, chosen, MethodState()

            self._memory.set_optimizer("sgd", (), then=use)  # which has no slots: what the last one had is free

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
        return self._memory.grad

    @grad.setter
    def grad(self, value: Array) -> None:
        self._refuse("grad", value is self._memory.grad)

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
        with self._memory:
            other = self._copied()
            other._params[:] = self._memory.slots[-1]
        return other

    def _refuse(self, name: str, same: bool) -> None:
        # `net.params -= step` works in place and then assigns the same object: that is fine.
        if not same:
            raise AttributeError(f"net.{name} cannot be replaced; to change its numbers write net.{name}[:] = ...")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, 0 to L - 1: ``layers[i]`` is layer i + 1 of the book. See `Layer`."""
        if self._layers is None:
            memory = self._memory
            self._layers = tuple(Layer(dense, memory, number) for number, dense in enumerate(self._spec.layers))
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
        for layer, entry in zip(self.layers, config["layers"][1:], strict=True):
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
        """Return an independent copy: parameters, mask, optimiser and its state, epoch counter, metadata.

        While another thread trains it is of a moment between two updates, which it waits for, as `snapshot` does.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> other = net.copy()
        >>> loss = other.train_step([0, 1], 1, learning_rate=0.5)
        >>> other == net
        False
        """
        with self._memory:
            return self._copied()

    def snapshot(self) -> Self:
        """Return the network as it is between two updates, to be read by any number of threads while this one trains.

        The way to serve a network that learns: take a snapshot now and then, or have `Publish` hand them to you, and
        let the threads that predict use the newest. It costs one copy of the parameters; all else that never changes
        is shared.

        Returns
        -------
        Network
            It has the parameters, scaling, mask, metadata, epoch counter and uncertainty of this one, but neither its
            optimiser nor that one's state. `params` is read-only, and what would train it is refused: `copy` returns
            a network that trains, and so does what was saved or pickled.

        Raises
        ------
        TypeError
            `metadata` holds something that JSON cannot.
        RuntimeError
            In a process that was forked while another thread trained the network.

        Notes
        -----
        It may be called from any thread at any time, and is never of the middle of an update, nor does it wait long:
        not at all where nobody trains, and in callbacks; while another thread trains with `fit` or `partial_fit`, until
        that one's next pause between two updates, some hundredths of a second, or one update where that takes longer.
        Who steps by `train_step`, or `gradient` and `update`, is waited for until a call ends. The step of a full-batch
        method is not waited for: the snapshot is of the moment before it.

        `copy`, `averaged`, `save`, ``==`` and pickling take the same care. To read `params`, and to predict with this
        very network, waits for nobody, and meets numbers of two updates side by side while another thread trains.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> served = net.snapshot()
        >>> loss = net.train_step([0, 1], 1, learning_rate=0.5)
        >>> served == net, served.epoch, served.params.flags.writeable
        (False, 0, False)
        >>> served.train_step([0, 1], 1, learning_rate=0.5)
        Traceback (most recent call last):
            ...
        RuntimeError: this is a snapshot, which nobody trains: train a copy() of it
        """
        with self._memory:
            other = self._likeness()
        other._posterior = self._posterior
        other._memory.seal()
        return other

    def _likeness(self) -> Self:
        """Return a network of the same plan, with all that this one has but its optimiser. Within ``with _memory:``."""
        memory = self._memory
        other = type(self).__new__(type(self))
        other._setup(self._spec, self._plan, memory.theta if memory.before is None else memory.before)
        for number, fixed in enumerate(memory.frozen.tolist()):
            if other._memory.frozen[number] != fixed:
                other._memory.freeze(number, fixed)
        if memory.mask is not None:
            other._memory.set_mask(memory.mask)
        other._reader = self._reader
        other._memory.epochs = memory.epochs
        other.metadata = _packing.copied(self.metadata)
        return other

    def _copied(self) -> Self:
        """Return a copy that goes on training as this one would. Within ``with self._memory:``."""
        other, mine = self._likeness(), self._memory
        memory = other._memory
        if self.optimizer is not None:
            other._use(copy.copy(self.optimizer))
        if self._optimizer is not None:
            memory.slots[...] = mine.slots
        if self._method_state is not None:
            other._method_state = self._method_state.lasting()
        memory.t, memory.batches, memory.cost, memory.weight = mine.t, mine.batches, mine.cost, mine.weight
        other._pass_shape = list(self._pass_shape)
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
        with self._memory as memory:
            params = self._params if memory.before is None else memory.before
            arrays = {"params": params, **fixed, **self._reader.numbers()}
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
        for number, layer in enumerate(self.layers):
            memory.freeze(number, not layer.trainable)
        memory.set_mask(self.mask)
        return memory

    def _trained(self) -> Array:
        """Return which parameters are not fixed, (n_params,)."""
        trained = np.ones(self.n_params, bool) if self.mask is None else self.mask != 0
        for layer in self.layers:
            trained[layer._part] &= layer.trainable
        return trained
