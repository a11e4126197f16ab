"""One layer, twice: Dense says what it should be, Layer shows the numbers of one that exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cbp import tables
from cbp._arguments import whole
from cbp.tables import Row

if TYPE_CHECKING:
    from cbp._typing import ActivationLike, Array, InitFunction, InitLike

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

    Raises
    ------
    TypeError, ValueError
        `units` is not a positive whole number, a name is unknown, or there is not an activation for every unit.

    Examples
    --------
    >>> import cbp
    >>> cbp.Dense(3, ["sigmoid", "tanh", "relu"])
    Dense(3, ['sigmoid', 'tanh', 'relu'])
    >>> print(cbp.Network([2, cbp.Dense(5, cbp.activations.leaky_relu(alpha=0.1)), 1], output="identity"))
    Network(2 > 5 leaky_relu(alpha=0.1) > 1 identity, half_squared_error, float32): 21 parameters
    """

    units: int
    activation: Row | tuple[Row, ...] | None

    init: Row | InitFunction | None

    def __init__(
        self,
        units: int,
        activation: ActivationLike | Sequence[ActivationLike] | None = None,
        init: InitLike | None = None,
    ) -> None:
        self.units = whole(units, "the number of units", 1, MAX_UNITS)
        self.activation = None if activation is None else self._read(activation)
        self.init = read_init(init)

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
        return self if self.activation is not None else Dense(self.units, default, self.init)

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
        return config | {"init": self.init.config()} if isinstance(self.init, Row) else config

    def core(self) -> tuple[int, Any, Any]:
        """Return the layer as `_core.Plan` wants it: units, name or names, argument or arguments."""
        names = [row.name for row in self.rows]
        args = [next(iter(row.args.values()), 0.0) for row in self.rows]
        return (self.units, names[0], args[0]) if len(names) == 1 else (self.units, names, args)

    def __repr__(self) -> str:
        activation = self.config()["activation"]
        shown = [str(self.units)] if activation is None else [str(self.units), repr(activation)]
        if self.init is not None:
            shown.append(f"init={self.init.config() if isinstance(self.init, Row) else self.init!r}")
        return f"Dense({', '.join(shown)})"

    def __str__(self) -> str:
        names = [str(row) for row in self.rows]
        shown = names if len(names) <= 4 else [*names[:3], "..."]
        return f"{self.units} {shown[0] if len(names) == 1 else '[' + ', '.join(shown) + ']'}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dense) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.units, self.activation, self.init


class Layer:
    """Views of the parameters and of the gradient of one layer: write into them to change what the network uses.

    Attributes
    ----------
    theta : ndarray, shape (n_in + 1, n_out)
        Bias in row 0, weights in the other rows.
    W : ndarray, shape (n_in, n_out)
        Weights, index (from, to).
    b : ndarray, shape (n_out,)
        Biases.
    grad_theta, grad_W, grad_b : ndarray
        The gradient of the same.
    n_in, n_out : int
        Units before the layer and in it.
    units : int
        The same as `n_out`.
    activation : row of `cbp.activations`, or tuple of rows
        One for all units, or one for each.

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

    def __init__(self, dense: Dense, params: Array, grad: Array, block: tuple[int, int, int]) -> None:
        offset, rows, cols = block
        theta = params[offset : offset + rows * cols].reshape(rows, cols)
        grad = grad[offset : offset + rows * cols].reshape(rows, cols)
        self.__dict__.update(
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

    def __setattr__(self, name: str, value: object) -> None:
        # `layer.W -= step` works in place and then assigns the same object: that is fine.
        if name not in self.__dict__ or value is not self.__dict__[name]:
            raise AttributeError(f"layer.{name} cannot be replaced; to change its numbers write layer.{name}[:] = ...")

    def __repr__(self) -> str:
        units = "per unit" if isinstance(self.activation, tuple) else str(self.activation)
        return f"Layer({self.n_in} > {self.n_out} {units})"
