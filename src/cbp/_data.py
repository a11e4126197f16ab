"""From what a person passes as data to what the core reads: C-contiguous arrays of the network's dtype.

A Reader belongs to one network. Arrays that are ready pass through without a copy; for everything else there is
one sentence that names the row and the column at fault. Used by network.py and training.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import tables

if TYPE_CHECKING:
    from cbp import _core
    from cbp._spec import Spec
    from cbp._typing import Array, Labels
    from cbp.heads import Head
    from cbp.scaling import Scaling

NUMBERS = "biuf"
SUM_TOLERANCE = 1e-3


class Reader:
    """Reads inputs, targets and weights for the network that `spec` describes and `plan` belongs to."""

    input_scaling: Scaling | None = None
    target_scaling: Scaling | None = None

    def __init__(self, spec: Spec, plan: _core.Plan) -> None:
        self.first_nonfinite = plan.first_nonfinite
        self.dtype = spec.dtype
        self.n_in = spec.n_in
        self.n_out = spec.n_out
        self.n_targets = spec.n_targets
        self.loss, self.range = spec.loss.name, spec.loss.targets
        self.distributions = are_distributions(spec.loss)
        self.takes_labels = spec.outputs is not None and spec.outputs.row_wise
        self.missing = spec.missing_targets
        self.owner = "network"
        self.spans = [] if spec.heads is None else spec.heads.spans()
        self.heads = [] if spec.heads is None else [HeadReader(self, head) for head in spec.heads.all]

    def inputs(self, X: Any, check_finite: bool = True, name: str = "X", first: int = 0) -> tuple[Array, bool]:
        """Return `X` as (m, n_0), and whether it was one sample, (n_0,). Errors call its first row `first`."""
        single = False
        if type(X) is not np.ndarray or X.dtype is not self.dtype or not X.flags.carray:
            X = convert(X, self.dtype, name)
        if X.ndim == 1 and len(X) == self.n_in:
            X, single = X.reshape(1, -1), True
        elif X.ndim != 2 or X.shape[1] != self.n_in:
            raise self._wrong_inputs(X.shape, name)
        if check_finite and self.first_nonfinite(X) >= 0:
            raise not_finite(X[0] if single else X, name, first)
        return X, single

    def targets(self, y: Any, m: int, single: bool = False, check: bool = True, name: str = "y") -> Array | Labels:
        """Return the targets of m samples: (m, n), or int64 class labels (m,) where the core takes them."""
        if self.heads and self._is_divided(y, m, single):
            return self._joined(y, m, single, check, name)
        if type(y) is not np.ndarray or y.dtype is not self.dtype or not y.flags.carray:
            y = convert(y, None, name)
            if self.takes_labels and y.dtype.kind in "biu" and self._are_labels(y, m, single):
                return self._labels(y.reshape(-1), m, name)
            y = convert(y, self.dtype, name)
        rows = y
        if self.missing and self.takes_labels and self._are_labels(y, m, single):
            return self._labels_with_gaps(y.reshape(-1), m, name)
        if y.ndim < 2 and (self.n_targets == 1 or (single and y.shape == (self.n_targets,))):
            rows = y.reshape(-1, self.n_targets)
        if rows.shape != (m, self.n_targets):
            raise self._wrong_targets(y, m, single, name)
        if check:
            self._check(rows, y, name)
        return rows

    def _check(self, rows: Array, y: Array, name: str) -> None:
        """Check that targets (m, n), which came as y, are numbers, and such as the loss can take."""
        if self.first_nonfinite(rows) >= 0:
            known = np.where(np.isnan(y), 0, y) if self.missing else y
            if not np.isfinite(known).all():
                raise not_finite(known, name)
        self._check_range(rows, y.shape, name)

    @property
    def n_classes(self) -> int:
        """Number of classes that the targets can tell apart."""
        if self.heads:
            raise ValueError(f"class_weight needs an output of one part, the network has {len(self.heads)} heads")
        return max(self.n_targets, 2)

    def _is_divided(self, y: Any, m: int, single: bool) -> bool:
        """Whether y has the targets of each head apart: a tuple, or a list that is no matrix for all of them."""
        if isinstance(y, list):
            try:
                return np.shape(y) != ((self.n_targets,) if single else (m, self.n_targets))
            except ValueError:
                return True
        return isinstance(y, tuple)

    def _joined(self, y: Any, m: int, single: bool, check: bool, name: str) -> Array:
        """Return the targets of all heads side by side."""
        if len(y) != len(self.heads):
            raise ValueError(f"{name} has targets for {len(y)} heads, the network has {len(self.heads)}")
        parts = []
        for number, (head, part) in enumerate(zip(self.heads, y, strict=True)):
            found = head.targets(part, m, single, check, f"{name}[{number}]")
            parts.append(one_hot(found, head.n_targets, self.dtype) if found.ndim == 1 else found)
        return np.concatenate(parts, axis=1)

    def weights(self, weight: Any, m: int, name: str = "sample_weight") -> Array | None:
        """Return sample weights (m,), or None."""
        if weight is None:
            return None
        weight = np.atleast_1d(convert(weight, self.dtype, name))
        if weight.shape != (m,):
            raise ValueError(f"{name} has shape {weight.shape}, expected ({m},): one weight per row")
        if self.first_nonfinite(weight) >= 0:
            raise not_finite(weight, name)
        if (weight < 0).any():
            row = int(np.argmax(weight < 0))
            raise ValueError(f"{name}[{row}] is {weight[row]:g}, but weights must not be negative")
        if not weight.any():
            raise ValueError(f"{name}: all weights are zero")
        return weight

    def batch(
        self, X: Any, y: Any, weight: Any = None, check_finite: bool = True, names: tuple[str, str] = ("X", "y")
    ) -> tuple[Array, Array | Labels, Array | None]:
        """Return inputs, targets and weights of at least one sample."""
        X, single = self.inputs(X, check_finite, names[0])
        m = len(X)
        if m == 0:
            raise ValueError(f"{names[0]} has no rows")
        return X, self.targets(y, m, single, check_finite, names[1]), self.weights(weight, m)

    # What a network that scales does more: see ScalingReader

    def restore(self, outputs: Array) -> None:
        """Bring outputs into the units of the targets, in place: here they are."""

    def restored(self, y: Array | Labels) -> Array | Labels:
        """Return targets in units of their own: here they are."""
        return y

    def restore_jacobian(self, jacobian: Array, by_inputs: bool) -> None:
        """Bring derivatives of the outputs (m, n_L, ...) into units of their own, in place: here they are."""

    def prepared(self, X: Any, y: Any, validation: Any, seed: int, check_finite: bool) -> Reader:
        """Return a reader that can read what is to be trained on: this one."""
        return self

    def need_no_rows(self) -> None:
        """Refuse to train on batches where rows are needed before: they are not."""

    def numbers(self) -> dict[str, Array]:
        """Return what was learned: center and scale (2, n), by the name of the scaling."""
        return {}

    def with_numbers(self, numbers: dict[str, Array]) -> Reader:
        """Return a reader that knows what `numbers` returned."""
        return self

    def learned(self, X: Any, y: Any, check_finite: bool) -> Reader:
        """Return a reader that knows what these rows say of the scaling."""
        raise ValueError("the network has no scaling to learn: see scale_inputs and scale_targets of Network")

    def _are_labels(self, y: Array, m: int, single: bool) -> bool:
        return y.ndim == (0 if single else 1) or (y.size == m == 1 and self.n_targets > 1)

    def _labels(self, y: Array, m: int, name: str) -> Array | Labels:
        if len(y) != m:
            raise ValueError(f"{name} has {len(y)} labels, but X has {m} rows")
        wrong = (y < 0) | (y >= self.n_targets)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"{name}[{row}] is {y[row]}, but the {self.owner} has {self.n_targets} classes "
                f"(0 to {self.n_targets - 1})"
            )
        labels = y.astype(np.int64, copy=False)
        return labels if self.distributions else one_hot(labels, self.n_targets, self.dtype)

    def _labels_with_gaps(self, y: Array, m: int, name: str) -> Array:
        """Return rows that are 1 at the label, and NaN where the label is."""
        gone = np.isnan(y)
        known = y[~gone]
        if not (np.isfinite(known) & (np.floor(known) == known)).all():
            raise ValueError(f"{name} must have whole numbers as class labels, and NaN where one is missing")
        labels = self._labels(np.where(gone, 0, y).astype(np.int64), m, name)
        rows = labels if labels.ndim == 2 else one_hot(labels, self.n_targets, self.dtype)
        rows[gone] = np.nan
        return rows

    def _check_range(self, y: Array, given: tuple[int, ...], name: str) -> None:
        """Check targets (m, n), which came in the shape `given`, against what the loss can take; NaN is fine here."""
        for head, span in zip(self.heads, self.spans, strict=True):
            part = y[:, span]
            head._check_range(part, part.shape, f"{name}[:, {span.start}:{span.stop}]")
        if self.distributions:
            self._check_distributions(y, name)
            return
        low, high = self.range
        if low == -np.inf and high == np.inf:
            return
        wrong = (y < low) | (y > high)
        if wrong.any():
            first = int(np.argmax(wrong))
            at = tuple(int(i) for i in np.unravel_index(first, given))
            limits = f"from {low:g} to {high:g}" if high < np.inf else f"of at least {low:g}"
            raise ValueError(f"{place(name, at)} is {y.flat[first]:g}, but {self.loss} needs targets {limits}")

    def _check_distributions(self, y: Array, name: str) -> None:
        """Check that rows of targets are from 0 on and sum to 1, or are missing as a whole."""
        gone = np.isnan(y) if self.missing else np.zeros((len(y), 1), bool)
        halved = gone.any(axis=1) & ~gone.all(axis=1)
        if halved.any():
            raise ValueError(
                f"row {int(np.argmax(halved))} of {name} is missing in part: a distribution is there or not"
            )
        unequal = abs(y.sum(axis=1) - 1) > SUM_TOLERANCE
        if unequal.any() or (y < 0).any():
            row = int(np.argmax((y < 0).any(axis=1) | unequal))
            raise ValueError(
                f"row {row} of {name} is no distribution over the classes: it needs values from 0 that sum to 1"
            )

    def _wrong_inputs(self, shape: tuple[int, ...], name: str) -> ValueError:
        n = self.n_in
        if len(shape) == 1 and n == 1:
            return ValueError(f"{name} has shape {shape}, which is one sample; for one feature write {name}[:, None]")
        if len(shape) in (1, 2):
            return ValueError(f"{name} has {shape[-1]} features, the network expects {n}")
        hint = f": write {name}.reshape(len({name}), -1)" if len(shape) > 2 else ""
        return ValueError(f"{name} has {len(shape)} dimensions, expected (rows, {n}) or ({n},){hint}")

    def _wrong_targets(self, y: Array, m: int, single: bool, name: str) -> ValueError:
        expected = f"({m}, {self.n_targets})" if not single else f"({self.n_targets},)"
        if self.n_targets == 1 and not single:
            expected += f" or ({m},)"
        hint = "; or a tuple with the targets of each head" if self.heads else ""
        if self.takes_labels and y.ndim == 1:
            hint = "; class labels must be integers"
        elif self.takes_labels:
            hint = f"; class labels have shape ({m},)"
        return ValueError(f"{name} has shape {y.shape}, the {self.owner} expects {expected}{hint}")


class HeadReader(Reader):
    """Reads the targets of one head of the network that `whole` reads for."""

    def __init__(self, whole: Reader, head: Head) -> None:
        assert head.loss is not None
        self.first_nonfinite, self.dtype, self.missing = whole.first_nonfinite, whole.dtype, whole.missing
        self.n_targets, self.owner = head.n_targets, "head"
        self.loss, self.range = head.loss.name, head.loss.targets
        self.distributions = are_distributions(head.loss)
        self.takes_labels = head.rows[0].row_wise
        self.spans, self.heads = [], []


def are_distributions(loss: Any) -> bool:
    """Whether the targets of a loss are probabilities that sum to 1: its canonical output is of the whole row."""
    return bool(loss.partner) and tables.activations[loss.partner].row_wise


def convert(data: Any, dtype: np.dtype[Any] | None, name: str) -> Array:
    """Return data as a C-contiguous, aligned array of `dtype` (None: its own), without a copy where it is one."""
    if hasattr(data, "toarray"):
        raise TypeError(
            f"{name} is a sparse matrix, which only fit, partial_fit and predict read; pass {name}.toarray()"
        )
    if hasattr(data, "filled"):
        raise TypeError(f"{name} is a masked array; fill it first: {name}.filled(value)")
    try:
        array = np.asarray(data)
    except ValueError:
        raise ValueError(f"{name} is not a rectangular table of numbers: its rows differ in length") from None
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers{_remedy(array, name)}")
    with np.errstate(over="ignore"):
        ready = np.asarray(array, dtype, order="C")
    if not ready.flags.aligned:
        ready = ready.copy()
    if dtype is not None and ready is not array:
        _check_overflow(array, ready, name)
    return ready


def _remedy(array: Array, name: str) -> str:
    if array.dtype.kind in "US":
        return f"; turn names into numbers first, as np.unique({name}, return_inverse=True) does"
    if array.dtype.kind == "c":
        return f"; pass {name}.real and {name}.imag as columns"
    return ""


def _check_overflow(before: Array, after: Array, name: str) -> None:
    """Refuse a finite number that the network's dtype cannot hold."""
    if before.dtype.kind == "f" and before.dtype.itemsize > after.dtype.itemsize:
        lost = np.isinf(after) & np.isfinite(before)
        if lost.any():
            at = tuple(int(i) for i in np.argwhere(lost)[0])
            raise ValueError(f"{place(name, at)} is {before[at]:g}, which {after.dtype} cannot hold")


def not_finite(array: Array, name: str, first: int = 0) -> ValueError:
    """Return the error for the first NaN or infinity in `array`, which has one; its rows count from `first`."""
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return ValueError(f"{place(name, (at[0] + first, *at[1:]) if first else at)} is {array[at]}")


def place(name: str, at: tuple[int, ...]) -> str:
    """Return an element as a person writes it: X[3, 2]; a number that is no array has no index."""
    return f"{name}[{', '.join(map(str, at))}]" if at else name


def one_hot(labels: Labels, n: int, dtype: np.dtype[Any]) -> Array:
    """Return rows that are 1 at the label and 0 elsewhere."""
    rows = np.zeros((len(labels), n), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def check_out(out: Any, shape: tuple[int, ...], X: Array) -> Array:
    """Check that `out` can take outputs of this shape and of X's dtype; return X, or a copy where the two overlap."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if out.dtype != X.dtype:
        raise TypeError(f"out has dtype {out.dtype}, the network computes in {X.dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the outputs have {shape}")
    if not out.flags.carray:
        raise ValueError("out must be C-contiguous, aligned and writable")
    return X.copy() if np.may_share_memory(out, X) else X
