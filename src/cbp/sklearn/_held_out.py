"""The share of the training rows that early stopping validates with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._sources import is_sparse
from cbp.sklearn._progress import Samples
from cbp.sklearn._scikit import train_test_split

if TYPE_CHECKING:
    from cbp._typing import Array

LEAST = 2
SEEDS = 2**32  # of scikit-learn's generators


def to_hold_out(n: int, fraction: float, strata: Array | None, seed: int) -> tuple[Array, Array]:
    """Return the numbers of the rows to train on, and of those to validate with; the same seed holds out the same.

    Raises
    ------
    ValueError
        They are too few.
    """
    train, held = train_test_split(np.arange(n), test_size=fraction, stratify=strata, random_state=seed % SEEDS)
    if len(held) < LEAST:
        raise ValueError(
            f"The validation set is too small: {len(held)} of {n} rows, where it takes {LEAST}. Give X_val, more rows, "
            "or a larger validation_fraction"
        )
    return train, held


def part(samples: Samples, rows: Any, dense: bool = False) -> Samples:
    """Return some of the rows, as a dense matrix if wanted."""
    taken = samples.take(rows)
    if dense and is_sparse(taken.X):
        return replace(taken, X=taken.X.toarray())
    return taken
