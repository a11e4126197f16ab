"""The Reader of a network that scales: what a person passes, in units of their own, becomes what the core reads.

All that follows from data read in their own units, checks and messages included, stays with Reader; a second one
reads in float64, so that numbers which the network's dtype cannot tell apart, or hold, are scaled before they are
rounded. Made by _state.py.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._data import Reader, place
from cbp._samples import shares
from cbp._sources import Inputs, is_mapped, is_sparse
from cbp.scaling import BLOCK, Blocks, blocks_of, not_known

if TYPE_CHECKING:
    from cbp import _core
    from cbp._spec import Spec
    from cbp._typing import Array, Labels
    from cbp.scaling import Scaling


def reader_for(spec: Spec, plan: _core.Plan) -> Reader:
    """Return the reader that the network's scaling, if there is any, needs."""
    return ScalingReader(spec, plan) if spec.scales else Reader(spec, plan)


class _WideReader(Reader):
    """Reads in float64, whatever the network's dtype."""

    def __init__(self, spec: Spec, plan: _core.Plan) -> None:
        super().__init__(spec, plan)
        self.dtype = np.dtype(np.float64)
        self.first_nonfinite = _first_nonfinite


def _first_nonfinite(x: Array) -> int:
    return -1 if np.isfinite(x).all() else int(np.argmin(np.isfinite(x)))


class ScalingReader(Reader):
    """Reads and scales. Immutable: `learned` returns another one."""

    def __init__(self, spec: Spec, plan: _core.Plan) -> None:
        super().__init__(spec, plan)
        self.input_scaling, self.target_scaling = spec.scale_inputs, spec.scale_targets
        self.wide = _WideReader(spec, plan)

    def inputs(self, X: Any, check_finite: bool = True, name: str = "X", first: int = 0) -> tuple[Array, bool]:
        """Return `X` scaled, as Reader does."""
        self._require()
        if self.input_scaling is None:
            return super().inputs(X, check_finite, name, first)
        X, single = self.wide.inputs(X, check_finite, name, first)
        return self._scaled(X, self.input_scaling, name, single, first), single

    def targets(self, y: Any, m: int, single: bool = False, check: bool = True, name: str = "y") -> Array | Labels:
        """Return the targets scaled, as Reader does."""
        self._require()
        if self.target_scaling is None:
            return super().targets(y, m, single, check, name)
        return self._scaled(self.wide.targets(y, m, single, check, name), self.target_scaling, name, single)

    def restore(self, outputs: Array) -> None:
        """Bring outputs into the units of the targets, in place."""
        if self.target_scaling is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                outputs[...] = self.target_scaling.inverse(outputs)

    def restored(self, y: Array | Labels) -> Array | Labels:
        """Return scaled targets in units of their own."""
        if self.target_scaling is not None:
            y = y.copy()
            self.restore(y)
        return y

    def restore_jacobian(self, jacobian: Array, by_inputs: bool) -> None:
        """Bring derivatives of the outputs (m, n_L, ...) into units of their own, in place."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.target_scaling is not None and self.target_scaling.scale is not None:
                jacobian *= self.target_scaling.scale[:, None].astype(self.dtype)
            if by_inputs and self.input_scaling is not None and self.input_scaling.scale is not None:
                jacobian /= self.input_scaling.scale.astype(self.dtype)

    def numbers(self) -> dict[str, Array]:
        """Return what was learned: center and scale (2, n), by the name of the scaling."""
        both = {"input_scaling": self.input_scaling, "target_scaling": self.target_scaling}
        learned = {name: how for name, how in both.items() if how is not None and how.known and how.kind != "given"}
        return {name: how.as_array() for name, how in learned.items()}

    def with_numbers(self, numbers: dict[str, Array]) -> ScalingReader:
        """Return a reader that knows what `numbers` returned."""
        other = copy.copy(self)
        for name, scaling in (("input_scaling", self.input_scaling), ("target_scaling", self.target_scaling)):
            if name in numbers and scaling is not None:
                setattr(other, name, scaling.with_numbers(numbers[name]))
        return other

    @property
    def unknown(self) -> bool:
        """Whether there is something left to learn."""
        return any(scaling is not None and not scaling.known for scaling in (self.input_scaling, self.target_scaling))

    def _require(self) -> None:
        if self.unknown:
            raise not_known()

    def _scaled(self, values: Array, scaling: Scaling, name: str, single: bool, first: int = 0) -> Array:
        """Return values (m, n), float64, scaled and rounded to the network's dtype."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = scaling.transform(values).astype(self.dtype, copy=False)
        lost = np.isinf(scaled)
        if lost.any() and (lost := lost & np.isfinite(values)).any():
            row, column = (int(i) for i in np.argwhere(lost)[0])
            at = (column,) if single else (row + first, column)
            raise ValueError(f"{place(name, at)} is {values[row, column]:g}, which scaled {self.dtype} cannot hold")
        return scaled

    # ---- learning ----

    def prepared(self, X: Any, y: Any, validation: Any, seed: int, check_finite: bool) -> ScalingReader:
        """Return a reader that knows what the training rows say, those that `validation` leaves; or this one."""
        return self.learned(X, y, check_finite, validation, seed) if self.unknown else self

    def need_no_rows(self) -> None:
        """Refuse to train on batches while there is something to learn."""
        if self.unknown:
            raise ValueError(
                "the scaling cannot be learned from batches: call net.learn_scaling(X, y) before, "
                "or give (center, scale)"
            )

    def learned(self, X: Any, y: Any, check_finite: bool, validation: Any = None, seed: int = 0) -> ScalingReader:
        """Return a reader that knows what these rows say; numbers that were given stay."""
        wanted = [how is not None and how.kind != "given" for how in (self.input_scaling, self.target_scaling)]
        if not any(wanted):
            raise ValueError("the network has no scaling to learn: see scale_inputs and scale_targets of Network")
        if y is None and wanted[1]:
            raise ValueError("y is missing: the scaling of the targets is learned from it")
        other = copy.copy(self)
        X, m, single = self._rows(X, check_finite)
        rows = None
        if validation is not None and not isinstance(validation, (tuple, list)):
            rows, _ = shares(m, validation, seed)
        if wanted[0] and self.input_scaling is not None:
            other.input_scaling = self.input_scaling.learned(_blocks(X, rows), "X")
        if wanted[1] and self.target_scaling is not None:
            y = self.wide.targets(y, m, single, check_finite)
            other.target_scaling = _of_targets(self.target_scaling, y if rows is None else y[rows])
        return other

    def _rows(self, X: Any, check_finite: bool) -> tuple[Any, int, bool]:
        """Return inputs in float64, or where they are read from; how many; and whether it was one sample."""
        single = False
        if is_sparse(X) or is_mapped(X):
            X = Inputs(X, self.wide, check_finite)
        else:
            X, single = self.wide.inputs(X, check_finite)
        if len(X) == 0:
            raise ValueError("X has no rows")
        return X, len(X), single


def _blocks(X: Any, rows: Labels | None) -> Blocks:
    """Return the blocks of some rows of an array or of Inputs: the same ones, so that the bits are."""
    if rows is None and not isinstance(X, Inputs):
        return blocks_of(X)
    read = X.read if isinstance(X, Inputs) else X.__getitem__
    n = len(X) if rows is None else len(rows)
    spans = [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    return lambda: (read(span if rows is None else rows[span]) for span in spans)


def _of_targets(scaling: Scaling, y: Array) -> Scaling:
    """Return the scaling that targets say; those that are NaN, which is to say missing, say nothing."""
    missing = np.isnan(y)
    if not missing.any():
        return scaling.learned(blocks_of(y), "y")
    numbers = np.empty((2, y.shape[1]))
    for j, absent in enumerate(missing.T):
        if absent.all():
            raise ValueError(f"column {j} of y has no numbers to learn a scaling from")
        column = scaling.learned(blocks_of(y[~absent, j : j + 1]), "y")
        numbers[:, j : j + 1] = column.center, column.scale
    return scaling.with_numbers(numbers)
