"""Names for types, used in annotations only: nothing imports this module at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbp.callbacks import Callback, FitState
from cbp.heads import Head
from cbp.methods import Method
from cbp.optimizers import Optimizer
from cbp.tables import Row

Array = NDArray[Any]
Labels = NDArray[np.int64]
ActivationLike = str | Row | dict[str, Any]
LossLike = str | Row | dict[str, Any] | Callable[[Array, Array], tuple[Array, Array]]
InitFunction = Callable[[int, int, int], ArrayLike]
InitLike = str | Row | dict[str, Any] | InitFunction
HeadsLike = Sequence[Head | tuple[Any, ...] | dict[str, Any]]
OptimizerLike = str | Optimizer | Method | type[Optimizer] | type[Method]
CallbackLike = Callback | type[Callback] | Callable[[FitState], object]
BatchesLike = Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]]
ClassWeight = Mapping[int, float] | str
MetricLike = str | Callable[[Any, Any], float] | tuple[str, Callable[[Any, Any], float]]
ScalingLike = str | tuple[str, float, float] | tuple[ArrayLike, ArrayLike]
Schedule = Callable[[int], float]
Path = str | PathLike[str]

__all__ = [
    "ActivationLike",
    "Array",
    "ArrayLike",
    "BatchesLike",
    "CallbackLike",
    "ClassWeight",
    "DTypeLike",
    "HeadsLike",
    "InitFunction",
    "InitLike",
    "Labels",
    "LossLike",
    "MetricLike",
    "OptimizerLike",
    "Path",
    "ScalingLike",
    "Schedule",
]
