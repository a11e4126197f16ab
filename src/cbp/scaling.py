"""Scaling of inputs and targets: what `scale_inputs` and `scale_targets` of a network mean, and how it is learned.

Center and scale enter the weights, so they have the same bits everywhere: additions in a fixed order, no reductions of
NumPy's (rule 10 of docs/numerics.md). Used by _spec.py, and by _scaled.py, which applies it to what a person passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import real

if TYPE_CHECKING:
    from cbp._typing import Array, ArrayLike, ScalingLike

Blocks = Callable[[], Iterator["Array"]]
"""Yields all rows, float64, `BLOCK` of them at a time; called once for each pass over them."""

KINDS = ("standard", "minmax", "robust")
BLOCK = 1024
"""Rows whose sum is taken by halves; it decides the order of every sum and so belongs to the definition."""
SORTED_BYTES = 2**26
"""About as much is sorted at once."""


class Scaling:
    """How the inputs or the targets of a network are scaled: x' = (x - center) / scale, column by column.

    `Network.input_scaling` and `Network.target_scaling` are of this type.

    Attributes
    ----------
    kind : {"standard", "minmax", "robust", "given"}
        Where the numbers come from.
    limits : (float, float)
        Of "minmax": what the least and the largest value become.
    center, scale : ndarray, shape (n,), or None
        In float64, read-only; None until they are learned.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([2, 1], output="identity", scale_inputs="standard", seed=0)
    >>> net.learn_scaling([[1, 10], [3, 30]])
    >>> net.input_scaling.center, net.input_scaling.scale
    (array([ 2., 20.]), array([ 1., 10.]))
    >>> net.input_scaling.transform([[4, 0]])
    array([[ 2., -2.]])
    """

    def __init__(
        self,
        kind: str,
        center: Array | None = None,
        scale: Array | None = None,
        limits: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.kind, self.limits, self.center, self.scale = kind, limits, center, scale
        for array in (center, scale):
            if array is not None:
                array.flags.writeable = False

    @property
    def known(self) -> bool:
        """Whether there are numbers to scale by."""
        return self.center is not None

    def transform(self, X: ArrayLike) -> Array:
        """Return (X - center) / scale in float64.

        Parameters
        ----------
        X : array_like, shape (m, n) or (n,)

        Raises
        ------
        RuntimeError
            Center and scale are not known yet.
        """
        center, scale = self._numbers()
        scaled: Array = np.subtract(X, center, dtype=np.float64)
        scaled /= scale
        return scaled

    def inverse(self, X: ArrayLike) -> Array:
        """Return X * scale + center in float64.

        Parameters
        ----------
        X : array_like, shape (m, n) or (n,)

        Raises
        ------
        RuntimeError
            Center and scale are not known yet.
        """
        center, scale = self._numbers()
        restored: Array = np.multiply(X, scale, dtype=np.float64)
        restored += center
        return restored

    def _numbers(self) -> tuple[Array, Array]:
        if self.center is None or self.scale is None:
            raise not_known()
        return self.center, self.scale

    def learned(self, blocks: Blocks, name: str) -> Scaling:
        """Return the same kind of scaling with what these rows say, which errors call `name`."""
        center, scale = learn(self.kind, blocks, name, self.limits)
        return Scaling(self.kind, center, scale, self.limits)

    def with_numbers(self, numbers: Array) -> Scaling:
        """Return the same kind of scaling with center and scale (2, n) as `numbers` has them."""
        center, scale = numbers
        if not np.isfinite(numbers).all() or not (scale > 0).all():
            raise ValueError("a center or a scale is not what it can be")
        return Scaling(self.kind, center.copy(), scale.copy(), self.limits)

    def as_array(self) -> Array:
        """Return center and scale as one array (2, n)."""
        return np.stack(self._numbers())

    def config(self) -> Any:
        """Return what JSON can keep and `read_scaling` can read: how it is learned, or the numbers that were given."""
        if self.kind == "given":
            return [[float(value) for value in array] for array in self._numbers()]
        return self.kind if self.limits == (0.0, 1.0) else [self.kind, *self.limits]

    def __str__(self) -> str:
        return self.kind if self.limits == (0.0, 1.0) else f"{self.kind} from {self.limits[0]:g} to {self.limits[1]:g}"

    def __repr__(self) -> str:
        return f"Scaling({self}, center={self.center}, scale={self.scale})"


def not_known() -> RuntimeError:
    """Return the error for a scaling that has yet to be learned."""
    return RuntimeError("the scaling is not learned yet: call fit, or net.learn_scaling(X, y)")


# ---- the argument ----


def read_scaling(value: ScalingLike | None, n: int, name: str) -> Scaling | None:
    """Return what the argument `name`, for n columns, means."""
    if value is None:
        return None
    if isinstance(value, str):
        if value in KINDS:
            return Scaling(value)
        raise ValueError(f"{name} must be {_expected()}, not {value!r}")
    try:
        if isinstance(value, Mapping):
            raise TypeError
        parts = tuple(value)
    except TypeError:
        raise TypeError(f"{name} must be {_expected()}, not {value!r}") from None
    if len(parts) == 3 and isinstance(parts[0], str) and parts[0] == "minmax":
        low, high = real(parts[1], f"{name}: low"), real(parts[2], f"{name}: high")
        if not low < high or np.isinf(high - low):
            raise ValueError(f"{name}: low must be less than high, not {low:g} and {high:g}")
        return Scaling("minmax", limits=(low, high))
    if len(parts) != 2:
        raise ValueError(f"{name} must be {_expected()}, not {value!r}")
    center, scale = _column_wise(parts[0], n, f"{name}: center"), _column_wise(parts[1], n, f"{name}: scale")
    if not (scale > 0).all():
        raise ValueError(f"{name}: scale must be positive, but has {scale[~(scale > 0)][0]:g}")
    return Scaling("given", center, scale)


def _expected() -> str:
    return f"{', '.join(map(repr, KINDS))}, ('minmax', low, high) or (center, scale)"


def _column_wise(given: Any, n: int, name: str) -> Array:
    """Return a finite number for each of n columns."""
    try:
        array = np.array(given, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers, not {given!r}") from None
    except OverflowError:
        raise ValueError(f"{name} must be finite") from None
    if array.shape not in ((), (n,)):
        raise ValueError(f"{name} has shape {array.shape}, expected ({n},) or a number")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return np.full(n, array) if array.ndim == 0 else array


# ---- learning ----


def blocks_of(rows: Array) -> Blocks:
    """Return the blocks of rows that are in memory, float64."""
    return lambda: (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def learn(kind: str, blocks: Blocks, name: str, limits: tuple[float, float]) -> tuple[Array, Array]:
    """Return center and scale of every column; the scale is 1 where a column has no spread."""
    least, most = _extremes(blocks)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if kind == "minmax":
            center, scale = least, (most - least) / (limits[1] - limits[0])
        else:
            center, scale = (_moments if kind == "standard" else _quartiles)(blocks, least, most)
        flat = (least == most) | (scale == 0)
        center, scale = np.where(least == most, least, center), np.where(flat, 1.0, scale)
        if kind == "minmax":
            center = center - limits[0] * scale
    bad = ~(np.isfinite(center) & np.isfinite(scale))
    if bad.any():
        raise ValueError(f"column {int(np.argmax(bad))} of {name} cannot be scaled: its numbers are too far apart")
    return center + 0.0, scale  # + 0.0: of two zeros, either may be the least


def _extremes(blocks: Blocks) -> tuple[Array, Array]:
    """Return the least and the largest value of every column, which have no order that could matter."""
    least, most = np.array(np.inf), np.array(-np.inf)
    for block in blocks():
        least, most = np.minimum(least, block.min(axis=0)), np.maximum(most, block.max(axis=0))
    return least, most


def _moments(blocks: Blocks, least: Array, most: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation, divisor n, in two passes; the second corrects the first one's rounding.

    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983). Powers
    of two as units keep squares from overflow and underflow.
    """
    exponent = np.frexp(np.maximum(-least, most))[1]
    unit = np.ldexp(1.0, -np.clip(exponent, -1000, 1000))
    n, sums = 0, np.zeros_like(least)
    for block in blocks():
        n, sums = n + len(block), sums + total(block * unit)
    mean = sums / n
    drift, squares = np.zeros_like(least), np.zeros_like(least)
    for block in blocks():
        deviations = block * unit - mean
        drift, squares = drift + total(deviations), squares + total(deviations * deviations)
    variance = (squares - drift * drift / n) / n
    return (mean + drift / n) / unit, np.sqrt(np.maximum(variance, 0.0)) / unit


def total(rows: Array) -> Array:
    """Return the sum of the rows by halves, in an order that depends on their number alone."""
    while len(rows) > 1:
        half = len(rows) // 2
        odd = rows[2 * half :]
        rows = rows[:half] + rows[half : 2 * half]
        if len(odd):
            rows[0] += odd[0]
    row: Array = rows[0]
    return row


def _quartiles(blocks: Blocks, least: Array, most: Array) -> tuple[Array, Array]:
    """Return median and interquartile range; some columns at a time are in memory, and sorted."""
    n, n_columns = sum(len(block) for block in blocks()), len(least)
    center, scale = np.empty(n_columns), np.empty(n_columns)
    step = max(SORTED_BYTES // (8 * n), 1)
    for start in range(0, n_columns, step):
        chosen = slice(start, start + step)
        values = np.sort(np.concatenate([block[:, chosen].T for block in blocks()], axis=1), axis=1)
        center[chosen] = _quantile(values, 2)
        scale[chosen] = _quantile(values, 3) - _quantile(values, 1)
    return center, scale


def _quantile(values: Array, quarters: int) -> Array:
    """Return a quartile of each sorted row, on the line between the two values next to it."""
    at, beyond = divmod((values.shape[1] - 1) * quarters, 4)
    below, above = values[:, at], values[:, min(at + 1, values.shape[1] - 1)]
    quantile: Array = below + (above - below) * (beyond / 4)
    return quantile
