"""One layer, twice: Dense says what it should be, Layer shows the numbers of one that exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import tables
from cbp._arguments import positive, real, whole
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._core import Memory
    from cbp._typing import ActivationLike, Array, ArrayLike, InitFunction, InitLike

MAX_UNITS = 2**31 - 1


def read_init(wanted: InitLike | None) -> Row | InitFunction | None:
    """Return the row that is meant, or the function itself."""
    if wanted is None or (callable(wanted) and not isinstance(wanted, Row)):
        return wanted
    return tables.initializers.find(wanted)


class Dense:
    """A fully connected layer, to be put in the list that makes a `Network`.

    Parameters
    ----------
    units : int
        Number of units n_l.
    activation : str, row of `cbp.activations`, or a sequence of `units` of them, optional
        One activation for all units, or one for each (derivation D). Default: what the network says.
    init : str, row of `cbp.initializers`, or function, optional
        How this layer's weights start, as for `Network`. Default: what the network says.
    steepness : float, default 1
        The s of a = g(s z), which is what scales the slope too: g is steeper for a larger s.
    skip : sequence of int or "all", default ()
        Skip connections: layers whose outputs this layer gets too, beside those of the layer before. Their numbers, 0
        for the inputs, or all that there are. The rows of W are in the order of the layers, those of the layer before
        being the last.
    dropout : float, default 0
        Share of the units that training leaves out, from 0 to less than 1, drawn anew for every sample and update; the
        others count 1 / (1 - dropout) times (Srivastava et al., JMLR 15, 2014). Not at the output.
    l1, l2 : float, default 0
        Every sample costs ``l1 * sum(|w|) + l2 / 2 * sum(w**2)`` more, over this layer's weights, not the biases.
    max_norm : float, optional
        The greatest length of the weights that lead to one unit: an update that makes them longer is followed by a
        shortening.
    trainable : bool, default True
        Whether the layer is trained at first: see `Layer.trainable`.

    Raises
    ------
    TypeError, ValueError
        `units` is not a positive whole number, a name is unknown, there is not an activation for every unit, or a
        number is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.Dense(3, ["sigmoid", "tanh", "relu"])
    Dense(3, ['sigmoid', 'tanh', 'relu'])
    >>> print(cbp.Network([2, cbp.Dense(5, cbp.activations.leaky_relu(alpha=0.1)), 1], output="identity"))
    Network(2 > 5 leaky_relu(alpha=0.1) > 1 identity, half_squared_error, float32): 21 parameters
    >>> print(cbp.Network([2, 5, cbp.Dense(1, "sigmoid", skip=[0])]))
    Network(2 > 5 sigmoid > 1 sigmoid skip=[0], binary_cross_entropy, float32): 23 parameters
    """

    units: int
    activation: Row | tuple[Row, ...] | None
    init: Row | InitFunction | None
    steepness: float
    skip: tuple[int, ...] | str
    dropout: float
    l1: float
    l2: float
    max_norm: float | None
    trainable: bool

    def __init__(
        self,
        units: int,
        activation: ActivationLike | Sequence[ActivationLike] | None = None,
        init: InitLike | None = None,
        *,
        steepness: float = 1.0,
        skip: Sequence[int] | str = (),
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        trainable: bool = True,
    ) -> None:
        self.units = whole(units, "the number of units", 1, MAX_UNITS)
        self.activation = None if activation is None else self._read(activation)
        self.init = read_init(init)
        self.steepness = positive(steepness, "steepness")
        self.skip = _read_skip(skip)
        self.dropout = real(dropout, "dropout", low=0.0, below=1.0)
        self.l1, self.l2 = real(l1, "l1", low=0.0), real(l2, "l2", low=0.0)
        self.max_norm = None if max_norm is None else positive(max_norm, "max_norm")
        self.trainable = _read_trainable(trainable)

    def _read(self, activation: ActivationLike | Sequence[ActivationLike]) -> Row | tuple[Row, ...]:
        if isinstance(activation, (str, Row, dict)) or not isinstance(activation, Sequence):
            return tables.activations.find(activation)
        rows = tuple(map(tables.activations.find, activation))
        if len(rows) != self.units:
            raise ValueError(f"a layer of {self.units} units needs as many activations, {len(rows)} were given")
        for row in rows:
            if row.row_wise and row != rows[0]:
                raise ValueError(f"{row.name} works on a whole row: it must be the activation of all units")
        return rows[0] if len(set(rows)) == 1 else rows

    def resolved(self, default: ActivationLike | Sequence[ActivationLike]) -> Dense:
        """Return this layer with an activation: its own, or else `default`."""
        if self.activation is not None:
            return self
        return Dense(self.units, default, self.init, **self._extras())

    def placed(self, number: int, of: int) -> Dense:
        """Return this layer as number `number` of so many, `skip` as numbers; ValueError where one of them is wrong."""
        skip = tuple(range(number - 1)) if isinstance(self.skip, str) else self.skip
        for source in skip:
            if source > number - 2:
                raise ValueError(f"layer {number} of {of} cannot skip from layer {source}: {_reason(source - number)}")
        return Dense(self.units, self.activation, self.init, **{**self._extras(), "skip": skip})

    def _extras(self) -> dict[str, Any]:
        """Return the keyword arguments that are not the defaults."""
        return {name: getattr(self, name) for name, value in _DEFAULTS.items() if getattr(self, name) != value}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The activation of all units, alone, or else that of every unit, in order."""
        if self.activation is None:
            return ()
        return (self.activation,) if isinstance(self.activation, Row) else self.activation

    def config(self) -> dict[str, Any]:
        """Return the layer as JSON can keep it; `Dense(**config)` makes it again, without a function in `init`."""
        rows = [row.config() for row in self.rows]
        config = {"units": self.units, "activation": rows[0] if len(rows) == 1 else rows or None}
        if isinstance(self.init, Row):
            config["init"] = self.init.config()
        extras = self._extras()
        return config | extras | ({"skip": list(self.skip)} if isinstance(extras.get("skip"), tuple) else {})

    def core(self) -> tuple[int, Any, Any, dict[str, Any]]:
        """Return the layer as `_core.Plan` wants it: units, name or names, argument or arguments, all else."""
        names = [row.name for row in self.rows]
        args = [tables.argument(row) for row in self.rows]
        one = len(names) == 1
        return self.units, names[0] if one else names, args[0] if one else args, self._extras()

    def __repr__(self) -> str:
        activation = self.config()["activation"]
        shown = [str(self.units)] if activation is None else [str(self.units), repr(activation)]
        if self.init is not None:
            shown.append(f"init={self.init.config() if isinstance(self.init, Row) else self.init!r}")
        shown += [f"{name}={value!r}" for name, value in self._extras().items()]
        return f"Dense({', '.join(shown)})"

    def __str__(self) -> str:
        names = [str(row) for row in self.rows]
        shown = names if len(names) <= 4 else [*names[:3], "..."]
        units = f"{self.units} {shown[0] if len(names) == 1 else '[' + ', '.join(shown) + ']'}"
        return " ".join([units, *self.extras()])

    def extras(self) -> list[str]:
        """Return what else there is to say of the layer, but for `trainable`, which may change, and the initialiser."""
        extras = {name: value for name, value in self._extras().items() if name != "trainable"}
        if isinstance(self.skip, tuple) and self.skip:
            extras["skip"] = list(self.skip)
        return [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in extras.items()
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dense) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.units, self.activation, self.init, *self._extras().items()


_DEFAULTS = {"steepness": 1.0, "skip": (), "dropout": 0.0, "l1": 0.0, "l2": 0.0, "max_norm": None, "trainable": True}


def _read_trainable(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"trainable must be True or False, not {value!r}")
    return bool(value)


def _read_skip(skip: Sequence[int] | str) -> tuple[int, ...] | str:
    """Return the numbers of the layers in order, or "all"."""
    if isinstance(skip, str):
        if skip != "all":
            raise ValueError(f"skip must be numbers of layers, or 'all', not {skip!r}")
        return skip
    if not isinstance(skip, Sequence):
        raise TypeError(f"skip must be a list of numbers of layers, or 'all', not {skip!r}")
    numbers = tuple(sorted(whole(number, "a number in skip", 0, MAX_UNITS) for number in skip))
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"skip names a layer twice: {list(skip)}")
    return numbers


def _reason(distance: int) -> str:
    """Return why a layer does not skip from one that is so far above it."""
    if distance == -1:
        return "it has the outputs of the layer before anyway"
    return "a layer is not fed by itself" if distance == 0 else "only layers before it can feed it"


class Layer:
    """Views of the parameters and of the gradient of one layer: write into them to change what the network uses.

    Attributes
    ----------
    theta : ndarray, shape (n_in + 1, n_out)
        Bias in row 0, weights in the other rows.
    W : ndarray, shape (n_in, n_out)
        Weights, index (from, to). With skip connections "from" goes over the layers that feed this one, in their order.
    b : ndarray, shape (n_out,)
        Biases.
    grad_theta, grad_W, grad_b : ndarray
        The gradient of the same.
    n_in, n_out : int
        Units that feed the layer, and units in it.
    units : int
        The same as `n_out`.
    activation : row of `cbp.activations`, or tuple of rows
        One for all units, or one for each.
    trainable : bool
        Whether training changes the layer. Assign False to freeze it: its parameters stay what they are, and so does
        the optimiser's state about them; its gradient is 0, and `fit` saves the work for it and for all that only
        frozen layers would need.
    mask : ndarray, shape (n_in + 1, n_out), or None
        This layer's part of `Network.mask`: 0 where a parameter is fixed, biases in row 0. Assign an array or None.

    Examples
    --------
    >>> import cbp
    >>> layer = cbp.Network([3, 2], seed=0).layers[0]
    >>> layer.W[:] = 0.5
    >>> layer.theta
    array([[0. , 0. ],
           [0.5, 0.5],
           [0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """

    theta: Array
    W: Array
    b: Array
    grad_theta: Array
    grad_W: Array
    grad_b: Array
    n_in: int
    n_out: int
    units: int
    activation: Row | tuple[Row, ...]
    _memory: Memory
    _number: int
    _part: slice

    def __init__(self, dense: Dense, memory: Memory, number: int) -> None:
        offset, rows, cols = memory.plan.blocks[number]
        part = slice(offset, offset + rows * cols)
        theta, grad = memory.theta[part].reshape(rows, cols), memory.grad[part].reshape(rows, cols)
        self.__dict__.update(
            _memory=memory,
            _number=number,
            _part=part,
            theta=theta,
            W=theta[1:],
            b=theta[0],
            grad_theta=grad,
            grad_W=grad[1:],
            grad_b=grad[0],
            n_in=rows - 1,
            n_out=cols,
            units=cols,
            activation=dense.activation,
        )

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer."""
        return not self._memory.frozen[self._number]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._memory.freeze(self._number, not _read_trainable(value))

    @property
    def mask(self) -> Array | None:
        """Which of the layer's parameters are trained, (n_in + 1, n_out), or None for all of the network."""
        mask = self._memory.mask
        return None if mask is None else mask[self._part].reshape(self.theta.shape)

    @mask.setter
    def mask(self, value: ArrayLike | None) -> None:
        set_mask(self._memory, value, self._part, self.theta.shape, "layer.mask")

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("trainable", "mask"):
            object.__setattr__(self, name, value)
            return
        # `layer.W -= step` works in place and then assigns the same object: that is fine.
        if name not in self.__dict__ or value is not self.__dict__[name]:
            raise AttributeError(f"layer.{name} cannot be replaced; to change its numbers write layer.{name}[:] = ...")

    def __repr__(self) -> str:
        units = "per unit" if isinstance(self.activation, tuple) else str(self.activation)
        return f"Layer({self.n_in} > {self.n_out} {units}{'' if self.trainable else ', frozen'})"


def set_mask(memory: Memory, value: ArrayLike | None, part: slice, shape: tuple[int, ...], name: str) -> None:
    """Fix some of a part of the parameters, those where `value` of this shape is 0; None: none of the part."""
    wanted = np.ones(shape) if value is None else np.asarray(value)
    if wanted.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {wanted.shape}")
    wrong = np.argwhere((wanted != 0) & (wanted != 1))
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise ValueError(f"{name} must be 0 where a parameter is fixed, else 1; it is {wanted[at]!s} at {at}")
    mask = np.ones(memory.plan.n_params, memory.theta.dtype) if memory.mask is None else memory.mask.copy()
    mask[part] = wanted.ravel()
    mask.flags.writeable = False
    memory.set_mask(None if mask.all() else mask)
