"""The rows that `fit` trains on and validates with: class weights, and the split between the two.

Nothing here may depend on the machine: counts are integers, a quotient is rounded once, the split comes from the
core's generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cbp import _core
from cbp._arguments import real

if TYPE_CHECKING:
    from cbp._data import Reader
    from cbp._typing import Array, ClassWeight, Labels

SPLIT_STREAM = 2**63  # epochs count from 0 and never get here


class Samples(NamedTuple):
    """Inputs (n, n_0), targets (n, n_L) or labels (n,), weights (n,) or None: as the core reads them."""

    X: Array
    y: Array | Labels
    weight: Array | None

    def take(self, rows: Labels) -> Samples:
        """Return the samples of some rows."""
        return Samples(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def weighted(self, class_weight: ClassWeight | None, reader: Reader) -> Samples:
        """Return the samples with each weight multiplied by that of its class."""
        if class_weight is None:
            return self
        n_classes = reader.n_classes
        weight = class_weights(class_weight, classes_of(self.y), n_classes)
        if self.weight is not None:
            weight *= self.weight
        return self._replace(weight=reader.weights(weight, len(weight), "class_weight"))


def split(samples: Samples, validation: Any, reader: Reader, seed: int, finite: bool) -> tuple[Samples, Samples | None]:
    """Return the samples for training, and those for validation or None."""
    if validation is None or isinstance(validation, (tuple, list)):
        return samples, validation_samples(validation, reader, finite)
    train, held = shares(len(samples.X), validation, seed)
    return samples.take(train), samples.take(held)


def validation_samples(validation: Any, reader: Reader, finite: bool) -> Samples | None:
    """Return the samples of (X, y) or (X, y, sample_weight), or None for None."""
    if validation is None:
        return None
    if len(validation) not in (2, 3):
        raise ValueError(f"validation must be (X, y) or (X, y, sample_weight), not {len(validation)} things")
    X, y, weight = (*validation, None)[:3]
    return Samples(*reader.batch(X, y, weight, finite, ("validation X", "validation y")))


def shares(n: int, validation: Any, seed: int) -> tuple[Labels, Labels]:
    """Return what `split_rows` does, for the share that a person asks for."""
    fraction = real(validation, "validation")
    if not 0 < fraction < 1:
        raise ValueError(f"validation must be between 0 and 1, or (X, y), not {fraction:g}")
    if n < 2:
        raise ValueError("validation needs at least 2 rows, one to train with and one to validate with")
    return split_rows(n, fraction, seed)


def split_rows(n: int, fraction: float, seed: int) -> tuple[Labels, Labels]:
    """Return the numbers of the rows to train on and of those to hold out, each in order; a fraction of 0 holds none.

    >>> train, held = split_rows(10, 0.2, seed=0)
    >>> len(train), len(held), sorted({*train.tolist(), *held.tolist()}) == list(range(10))
    (8, 2, True)
    """
    count = min(max(round(fraction * n), 1), n - 1) if fraction else 0
    order = _core.permutation(seed, SPLIT_STREAM, n)
    return np.sort(order[count:]), np.sort(order[:count])


def class_weights(wanted: ClassWeight, classes: Labels, n_classes: int) -> Array:
    """Return the weight of every sample by its class: of a dict, or n / (k * count) for "balanced"."""
    if isinstance(wanted, str) and wanted == "balanced":
        counts = np.bincount(classes, minlength=n_classes)
        n, present = len(classes), int(np.count_nonzero(counts))
        table = np.array([n / (present * max(count, 1)) for count in counts.tolist()])
    elif isinstance(wanted, Mapping):
        table = np.ones(n_classes)
        for key, weight in wanted.items():
            if key not in range(n_classes):
                raise ValueError(f"class_weight has a weight for {key!r}, but the classes are 0 to {n_classes - 1}")
            table[key] = real(weight, f"class_weight[{key!r}]", low=0.0)
    else:
        raise TypeError(f"class_weight must be a dict or 'balanced', not {wanted!r}")
    return table[classes]


def classes_of(y: Array | Labels) -> Labels:
    """Return the class of every sample: a label, the 0 or 1 of a single output, or the place of the 1 in a row."""
    if y.ndim == 1:
        return y
    gone = np.isnan(y).any(axis=1)
    if gone.any():
        raise ValueError(f"class_weight needs the class of every row, that of row {int(np.argmax(gone))} is missing")
    if not ((y == 0) | (y == 1)).all() or (y.shape[1] > 1 and (np.count_nonzero(y, axis=1) != 1).any()):
        raise ValueError("class_weight needs targets that name a class: labels, 0 and 1, or rows with a single 1")
    found: Labels = y[:, 0].astype(np.int64) if y.shape[1] == 1 else np.argmax(y, axis=1)
    return found
