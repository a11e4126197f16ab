"""The numbers of one update, all from the core, and their numeric checks. The network itself is only read.

What the core keeps to itself is asked of it in a roundabout way, exact to the bit: the net inputs of a layer are the
outputs of the layers up to it with the identity in its place; its slopes are its deltas under a huge, exact error.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cbp import _core
from cbp._data import one_hot
from cbp._spec import Spec
from cbp.errors import DivergenceError
from cbp.gradcheck import FLOOR, numeric, twin
from cbp.layers import Dense

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbp._state import State
    from cbp._typing import Array, ArrayLike
    from cbp.tables import Row

HUGE = 2.0**60  # a power of two next to which every activation vanishes: a + HUGE rounds to HUGE
NOTHING: Array = np.empty(0)


class Check(NamedTuple):
    """A derivative by central differences, the step h that was taken, and how far the analytic one is from it.

    The error is relative to the larger of the two, or, where both are tiny, to a thousandth of the objective or of
    the largest entry of its layer.
    """

    numeric: float
    step: float
    error: float


class Numbers:
    """One update of a copy of the network's parameters, and everything that led to it.

    A[l], Z[l], D[l]: activations, net inputs, deltas (m, n_l); theta[l], grad[l], new[l]: row 0 the bias, and a row for
    every unit of the layers that feed layer l. Entry 0 of all but A is empty. `y` (m, n_L) are targets, `s` (m,)
    sample weights or None.
    """

    def __init__(self, net: State, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None, learning_rate: float) -> None:
        self._net = net
        if net._spec.heads is not None:
            raise ValueError("trace shows networks whose outputs have one loss, not several heads")
        X, y, s = net._reader.batch(X, y, weight)
        if np.isnan(y).any():
            raise ValueError("trace shows complete samples; some of these targets are missing")
        X, y, self.s = X.copy(), y.copy(), None if s is None else s.copy()
        self._data = X, y, self.s
        self._spec, self._plan, self.learning_rate = net._spec, net._plan, learning_rate
        self.flat = net.params.copy()
        memory = _core.Memory(self._plan, self.flat.copy())
        self.loss = memory.gradient(X, y, self.s)
        self.A = [a.copy() for a in memory.activations()]
        self._require_finite()
        self.D = [NOTHING if d is None else d.copy() for d in memory.deltas()]
        self.theta, self.grad = self._blocks(self.flat), self._blocks(memory.grad)
        memory.descend(learning_rate)
        self.new = self._blocks(memory.theta)
        self.y = one_hot(y, self._plan.n_targets, net.dtype) if y.ndim == 1 else y
        self.m, self.L, self.widths = len(X), len(self._spec.layers), self._plan.widths
        self.loss_row, self.reduction = self._spec.loss, self._spec.reduction
        self.costs = [self._plan.evaluate(self.flat, X[r : r + 1], y[r : r + 1]) for r in range(self.m)]
        self._slopes: dict[int, Array] = {}
        self._twins: dict[int, Callable[[Array], float]] = {}

    def loss_after(self, biases: bool = True) -> float:
        """Return the objective after the update, of the weights alone if so wished."""
        blocks = self.new[1:] if biases else [np.vstack([o[:1], n[1:]]) for o, n in self._pairs()]
        return self._plan.evaluate(np.concatenate([block.ravel() for block in blocks]), *self._data)

    def _pairs(self) -> Iterator[tuple[Array, Array]]:
        return zip(self.theta[1:], self.new[1:], strict=True)

    def activation(self, l: int, j: int) -> Row:
        """Return the activation of unit j of layer l."""
        rows = self._spec.layers[l - 1].rows
        return rows[0] if len(rows) == 1 else rows[j]

    def steepness(self, l: int) -> float:
        """Return the s of a = g(s z) in layer l."""
        return self._spec.layers[l - 1].steepness

    def sources(self, l: int) -> list[tuple[int, int]]:
        """Return the layers that feed layer l, each with the row of W that its first unit has, from 0."""
        found, row = [], 0
        for k in self._spec.sources(l):
            found.append((k, row))
            row += self.widths[k]
        return found

    def consumers(self, l: int) -> list[tuple[int, int]]:
        """Return the layers that layer l feeds, the last first, each with the row of its W that l's first unit has."""
        return [(c, row) for c in range(self.L, l, -1) for k, row in self.sources(c) if k == l]

    @property
    def row_wise(self) -> bool:
        """Whether the outputs are a function of their whole row."""
        return self.activation(self.L, 0).row_wise

    @cached_property
    def Z(self) -> list[Array]:
        """Net inputs of every layer."""
        found: list[Array] = [NOTHING]
        for l in range(1, self.L + 1):
            plan, theta = self._up_to(l, Dense(self.widths[l], "identity", skip=self._spec.layers[l - 1].skip))
            out = np.empty((self.m, self.widths[l]), self._plan.dtype)
            plan.predict(theta, self.A[0], out)
            found.append(out)
        return found

    def slopes(self, l: int) -> Array:
        """Return da/dz of layer l, (m, n_l); of outputs that are a function of their row, da_k/dz_j, (m, k, j)."""
        if l not in self._slopes:
            plan, theta = self._up_to(l, self._spec.layers[l - 1])
            n = self.widths[l]
            if not self.activation(l, 0).row_wise:
                self._slopes[l] = self._probe(plan, theta, np.ones(n))
            else:
                self._slopes[l] = np.stack([self._probe(plan, theta, np.eye(n)[k]) for k in range(n)], axis=1)
        return self._slopes[l]

    @cached_property
    def errors(self) -> Array:
        """dC/da of the outputs, (m, n_L), for a loss that goes with any output: what it tells an identity layer."""
        n = self.widths[-1]
        config = {**self._spec.config(), "layers": [n, Dense(n, "identity")]}
        plan = Spec.from_config(config).plan()
        memory = _core.Memory(plan, np.vstack([np.zeros(n), np.eye(n)]).astype(plan.dtype).ravel())
        memory.gradient(self.A[-1], self.y)
        return np.array(memory.deltas()[-1])

    def check_gradient(self, l: int, i: int, j: int) -> Check:
        """Check dJ/dtheta[l][i, j]: the objective of all samples, one parameter moved."""
        offset, _, cols = self._plan.blocks[l - 1]
        largest = float(abs(self.grad[l]).max())
        value, exact = float(self.grad[l][i, j]), float(self._exact[1][l][i, j])
        return self._check(self._objective, offset + i * cols + j, value, exact, largest)

    def check_delta(self, l: int, r: int, j: int) -> Check:
        """Check dC_r/dz_j of layer l: the cost of sample r, the bias of the unit moved, which moves z and no more."""
        X, y, _ = self._data
        if r not in self._twins:
            self._twins[r] = twin(self._net, X[r : r + 1], y[r : r + 1], None)
        largest = float(abs(self.D[l]).max())
        value, exact = float(self.D[l][r, j]), float(self._exact[0][l][r, j])
        return self._check(self._twins[r], self._plan.blocks[l - 1][0] + j, value, exact, largest)

    def _check(
        self, objective: Callable[[Array], float], index: int, value: float, exact: float, largest: float
    ) -> Check:
        """Differentiate by one parameter, with the step that suits the value in float64; compare the network's own."""
        theta = self.flat.astype(np.float64)
        scale = max(abs(exact), FLOOR * max(largest, abs(self.loss)))
        found, step = numeric(objective, theta, index, exact, scale)
        return Check(found, step, abs(value - found) / (max(scale, abs(found)) or 1.0))

    @cached_property
    def _exact(self) -> tuple[list[Array], list[Array]]:
        """Deltas and gradient of the float64 copy of the network, which is the network itself if it is of float64."""
        if self._plan.dtype == np.float64:
            return self.D, self.grad
        plan = Spec.from_config({**self._spec.config(), "dtype": "float64"}).plan()
        memory = _core.Memory(plan, self.flat.astype(np.float64))
        memory.gradient(*_double(self._data))
        return [NOTHING if d is None else d for d in memory.deltas()], self._blocks(memory.grad)

    @cached_property
    def _objective(self) -> Callable[[Array], float]:
        return twin(self._net, *self._data)

    def _up_to(self, l: int, last: Dense) -> tuple[_core.Plan, Array]:
        """Return layers 1 to l, the last one as given, with half squared error; and their parameters."""
        last = copy(last)
        last.dropout = 0.0  # an output has none
        config = {
            **self._spec.config(),
            "layers": [self.widths[0], *self._spec.layers[: l - 1], last],
            "loss": "half_squared_error",
        }
        offset, rows, cols = self._plan.blocks[l - 1]
        return Spec.from_config(config).plan(), self.flat[: offset + rows * cols].copy()

    def _probe(self, plan: _core.Plan, theta: Array, at: Array) -> Array:
        """Return the deltas of the last layer for errors that are 1 where `at` says so, else as good as 0."""
        memory = _core.Memory(plan, theta)
        targets = np.tile(-HUGE * at, (self.m, 1)).astype(plan.dtype)
        memory.gradient(self.A[0], targets)
        return np.array(memory.deltas()[-1]) / plan.dtype.type(HUGE)

    def _blocks(self, vector: Array) -> list[Array]:
        parts = [vector[offset : offset + rows * cols].reshape(rows, cols) for offset, rows, cols in self._plan.blocks]
        return [NOTHING, *(part.copy() for part in parts)]

    def _require_finite(self) -> None:
        if not np.isfinite(self.loss):
            layers = [l for l, a in enumerate(self.A) if not np.isfinite(a).all()]
            raise DivergenceError(layers[0] if layers else len(self.A) - 1)


def _double(data: tuple[Array, Array, Array | None]) -> tuple[Array, Array, Array | None]:
    """Return inputs, targets and weights in float64; class labels stay as they are."""
    X, y, s = data
    return X.astype(np.float64), y if y.ndim == 1 else y.astype(np.float64), None if s is None else s.astype(np.float64)
