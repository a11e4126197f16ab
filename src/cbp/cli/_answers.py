"""What the outputs of a network say: classes and probabilities, numbers, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp
from cbp.tabular import Coding, Target

PROBABLE = ("softmax", "log_softmax", "sigmoid")


class Answers:
    """Reads the outputs of a network in the terms of its table.

    Parameters
    ----------
    net : Network
    coding : Coding
    """

    def __init__(self, net: cbp.Network, coding: Coding) -> None:
        self.coding, self._heads, self._loss = coding, net._spec.heads, net._spec.loss.name
        self.has_variance = self._heads is None and bool(net._spec.loss.pair)
        rows = net._spec.heads.all[0].rows if net._spec.heads is not None else net._spec.layers[-1].rows
        self._output = rows[0].name if len({row.name for row in rows}) == 1 else ""
        self._several = coding.classifies and len(coding.targets) > 1

    @property
    def probable(self) -> bool:
        """Whether the outputs are probabilities of classes."""
        return self.coding.classifies and self._output in PROBABLE

    def parts(self, outputs: NDArray[Any]) -> list[tuple[Target, NDArray[Any]]]:
        """Each target with the outputs (m, k) that are about it; k is 2 where one of them is a variance."""
        targets = self.coding.targets
        if self.has_variance:
            n = len(targets)
            return [(target, outputs[:, [j, n + j]]) for j, target in enumerate(targets)]
        if not self.coding.classifies:
            return [(target, outputs[:, j : j + 1]) for j, target in enumerate(targets)]
        ends = np.cumsum([len(target.classes or ()) for target in targets]).tolist() if self._several else [None]
        starts = [0, *ends[:-1]]
        return [(target, outputs[:, a:b]) for target, a, b in zip(targets, starts, ends, strict=True)]

    def labels(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """The place of the class that the outputs (m, k) of one target are for."""
        if outputs.shape[1] > 1:
            return np.argmax(outputs, axis=1)
        labels: NDArray[np.int64] = (outputs[:, 0] > (0.0 if self._loss == "hinge" else 0.5)).astype(np.int64)
        return labels

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The probability of each class, (m, classes)."""
        if self._output == "log_softmax":
            return np.exp(outputs)
        return outputs if outputs.shape[1] > 1 else np.hstack([1 - outputs, outputs])

    def names(self, proba: bool, std: bool) -> list[str]:
        """The names of the columns that `columns` returns."""
        found = []
        for target in self.coding.targets:
            found.append(target.name)
            prefix = "p" if not self._several else f"p_{target.name}"
            found += [f"{prefix}_{name}" for name in target.classes or () if proba]
            found += [f"{target.name}_std"] if std else []
        return found

    def columns(self, outputs: NDArray[Any], proba: bool, std: NDArray[Any] | None) -> list[Any]:
        """The answers, column by column: list of str for classes, arrays for numbers."""
        found: list[Any] = []
        for j, (target, part) in enumerate(self.parts(outputs)):
            if target.classes is None:
                found.append(part[:, 0])
            else:
                found.append([target.classes[label] for label in self.labels(part).tolist()])
                if proba:
                    found += list(self.probabilities(part).T)
            if std is not None:
                found.append(std[:, j])
        return found

    def own_std(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The standard deviations that a network with variances among its outputs says."""
        n = len(self.coding.targets)
        return np.sqrt(outputs[:, n:])


def scattered(columns: Sequence[Any], known: NDArray[np.bool_]) -> list[Any]:
    """The columns with a gap, None or masked, for every row that is not known."""
    return list(columns) if known.all() else [_scattered(column, known) for column in columns]


def _scattered(column: Any, known: NDArray[np.bool_]) -> Any:
    if isinstance(column, np.ndarray):
        gaps = np.ma.masked_array(np.zeros(len(known), column.dtype), ~known)
        gaps.data[known] = column
        return gaps
    cells = iter(column)
    return [next(cells) if there else None for there in known.tolist()]
