"""The numbers of one update, all from the core, and their numeric checks. The network itself is only read.

What the core keeps to itself is asked of it in a roundabout way, exact to the bit: the net inputs of a layer are the
outputs of the layers up to it with the identity in its place; its slopes are its deltas under a huge, exact error;
what a head costs is what the network costs that has this head alone. Penalties and lengths are summed here, in double.
"""

from __future__ import annotations

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

    from cbp._own_loss import OwnLoss
    from cbp._state import State
    from cbp._typing import Array, ArrayLike, LossLike
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


class Part(NamedTuple):
    """Outputs that have a loss together, a head or all of them: their columns and those of their targets, from 0."""

    number: int
    units: range
    targets: range
    loss: Row | OwnLoss
    weight: float
    row_wise: bool


class Numbers:
    """One update of a copy of the network's parameters, and everything that led to it.

    A[l], Z[l], D[l]: activations, net inputs, deltas (m, n_l); theta[l], grad[l], new[l]: row 0 the bias, and a row for
    every unit of the layers that feed layer l; moved[l] is new[l] before its weights are shortened, fixed[l] says which
    parameters no update changes. Entry 0 of all but A is empty. `y` (m, n_targets) are targets, NaN where they are
    missing, `s` (m,) sample weights or None; costs[r] what a sample costs, without penalties.
    """

    def __init__(self, net: State, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None, learning_rate: float) -> None:
        self._net = net
        X, y, s = net._reader.batch(X, y, weight)
        X, y, self.s = X.copy(), y.copy(), None if s is None else s.copy()
        self._data = X, y, self.s
        self._spec, self._plan, self.learning_rate = net._spec, net._plan, learning_rate
        self.flat = net.params.copy()
        self._frozen, self._mask = [not layer.trainable for layer in net.layers], net.mask
        memory = self._memory(self._plan)
        self.loss = memory.gradient(X, y, self.s)
        self.A = [a.copy() for a in memory.activations()]
        self._require_finite()
        self.D = [NOTHING if d is None else d.copy() for d in memory.deltas()]
        self.theta, self.grad = self._blocks(self.flat), self._blocks(memory.grad)
        memory.descend(learning_rate)
        self.new = self._blocks(memory.theta)
        self.moved = self.new if all(layer.max_norm is None for layer in self._spec.layers) else self._not_shortened()
        self.fixed = self._fixed()
        self.y = one_hot(y, self._plan.n_targets, net.dtype) if y.ndim == 1 else y
        self.m, self.L, self.widths = len(X), len(self._spec.layers), self._plan.widths
        self.loss_row, self.reduction = self._spec.loss, self._spec.reduction
        self.parts = self._parts()
        self.part_costs = [self._costs(part) for part in self.parts]
        self.costs = [sum(p.weight * c for p, c in zip(self.parts, of_one, strict=True))
                      for of_one in zip(*self.part_costs, strict=True)]  # fmt: skip
        self._slopes: dict[tuple[int, int], Array] = {}
        self._errors: dict[int, Array] = {}
        self._twins: dict[int, Callable[[Array], float]] = {}

    def _memory(self, plan: _core.Plan) -> _core.Memory:
        """Return a memory of the parameters in which those are fixed that the network has fixed."""
        memory = _core.Memory(plan, self.flat.copy())
        for number, frozen in enumerate(self._frozen):
            if frozen:
                memory.freeze(number, True)
        if self._mask is not None:
            memory.set_mask(self._mask)
        return memory

    def _not_shortened(self) -> list[Array]:
        """Return the parameters after the same update of a network without max_norm."""
        config = self._spec.config()
        for layer in config["layers"][1:]:
            layer.pop("max_norm", None)
        memory = self._memory(Spec.from_config(config).plan())
        memory.gradient(*self._data)
        memory.descend(self.learning_rate)
        return self._blocks(memory.theta)

    def _fixed(self) -> list[Array]:
        fixed = np.zeros(len(self.flat), bool) if self._mask is None else self._mask == 0
        found = self._blocks(fixed)
        for l, frozen in enumerate(self._frozen, 1):
            found[l] |= frozen
        return found

    def _parts(self) -> list[Part]:
        """Return the heads, or all outputs as one of them."""
        heads = self._spec.heads
        if heads is None:
            whole = range(self.widths[-1]), range(self._plan.n_targets)
            return [Part(0, *whole, self.loss_row, 1.0, self.activation(self.L, 0).row_wise)]  # type: ignore[arg-type]
        found: list[Part] = []
        for number, (head, span) in enumerate(zip(heads.all, heads.spans(), strict=True)):
            assert head.loss is not None
            first = found[-1].units.stop if found else 0
            units, targets = range(first, first + head.units), range(span.start, span.stop)
            found.append(Part(number, units, targets, head.loss, head.weight, head.rows[0].row_wise))
        return found

    def _costs(self, part: Part) -> list[float]:
        """Return what every sample costs by the loss of a part."""
        X, y = self._data[:2]
        plan, theta = self._up_to(self.L, self._layer_of(part), part.units, part.loss.config())
        y = y if y.ndim == 1 else y[:, part.targets].copy()
        return [plan.evaluate(theta, X[r : r + 1], y[r : r + 1]) for r in range(self.m)]

    def _layer_of(self, part: Part) -> Dense:
        """Return the output layer with the units of a part only."""
        last = self._spec.layers[-1]
        rows = [self.activation(self.L, j) for j in part.units]
        return Dense(len(part.units), rows, steepness=last.steepness, skip=last.skip)

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
        """Whether outputs are a function of a whole row."""
        return any(part.row_wise for part in self.parts)

    # ---- what holds an update back ----

    def penalties(self, l: int) -> tuple[float, float]:
        """Return l1 and l2 of layer l."""
        return self._spec.layers[l - 1].l1, self._spec.layers[l - 1].l2

    def penalty(self, l: int) -> float:
        """Return what the weights of layer l cost every sample."""
        (one, two), W = self.penalties(l), self.theta[l][1:].astype(np.float64)
        return one * float(abs(W).sum()) + two / 2 * float((W * W).sum())

    def max_norm(self, l: int) -> float | None:
        """Return the greatest length of the weights that lead to a unit of layer l; None if nothing limits it."""
        return None if self._frozen[l - 1] else self._spec.layers[l - 1].max_norm

    def lengths(self, l: int) -> Array:
        """Return how long the weights that lead to every unit of layer l are before they are shortened, (n_l,)."""
        W = self.moved[l][1:].astype(np.float64)
        return np.sqrt((W * W).sum(axis=0))

    def shortened(self, l: int) -> list[int]:
        """Return the units of layer l whose weights are shortened."""
        return [j for j in range(self.widths[l]) if (self.moved[l][:, j] != self.new[l][:, j]).any()]

    # ---- what the core keeps to itself ----

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

    def slopes(self, l: int, part: Part | None = None) -> Array:
        """Return da/dz of layer l, (m, n_l); of the units of a part of the outputs, the first if none is given.

        Of units that are a function of their row, da_k/dz_j, (m, k, j).
        """
        part = (part or self.parts[0]) if l == self.L else None
        key = l, 0 if part is None else part.number
        if key not in self._slopes:
            if part is None:
                plan, theta = self._up_to(l, _bare(self._spec.layers[l - 1]))
            else:
                plan, theta = self._up_to(l, self._layer_of(part), part.units)
            n = plan.widths[-1]
            if part is None or not part.row_wise:
                self._slopes[key] = self._probe(plan, theta, np.ones(n))
            else:
                self._slopes[key] = np.stack([self._probe(plan, theta, np.eye(n)[k]) for k in range(n)], axis=1)
        return self._slopes[key]

    def errors(self, part: Part) -> Array:
        """Return dC/da of the outputs of a part, for a loss that goes with any: what it tells an identity layer."""
        if part.number not in self._errors:
            n = len(part.units)
            plan = self._plan_of([n, Dense(n, "identity")], part.loss.config())
            memory = _core.Memory(plan, np.vstack([np.zeros(n), np.eye(n)]).astype(plan.dtype).ravel())
            memory.gradient(self.A[-1][:, part.units].copy(), self.y[:, part.targets].copy())
            self._errors[part.number] = np.array(memory.deltas()[-1])
        return self._errors[part.number]

    # ---- checks ----

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

    def _up_to(
        self, l: int, last: Dense, columns: range | None = None, loss: LossLike = "half_squared_error"
    ) -> tuple[_core.Plan, Array]:
        """Return layers 1 to l, the last one as given, of these units and with this loss; and their parameters."""
        offset, rows, cols = self._plan.blocks[l - 1]
        block = self.flat[offset : offset + rows * cols].reshape(rows, cols)
        theta = np.concatenate([self.flat[:offset], (block if columns is None else block[:, columns]).ravel()])
        return self._plan_of([self.widths[0], *map(_bare, self._spec.layers[: l - 1]), last], loss), theta

    def _plan_of(self, layers: list[int | Dense], loss: LossLike) -> _core.Plan:
        spec = self._spec
        return Spec(layers, loss=loss, dtype=spec.dtype, missing_targets=spec.missing_targets, seed=0).plan()

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


def _bare(layer: Dense) -> Dense:
    """Return a layer without noise, penalties and limits."""
    return Dense(layer.units, layer.activation, steepness=layer.steepness, skip=layer.skip)


def _double(data: tuple[Array, Array, Array | None]) -> tuple[Array, Array, Array | None]:
    """Return inputs, targets and weights in float64; class labels stay as they are."""
    X, y, s = data
    return X.astype(np.float64), y if y.ndim == 1 else y.astype(np.float64), None if s is None else s.astype(np.float64)
