"""How good the answers are: figures for programs, and the same in words and tables for people."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbp.cli._answers import Answers
from cbp.cli._words import count_of, table_of
from cbp.tabular import Target

MOST_CLASSES = 20
"""With more classes there is no room for a table of their confusion."""

Figures = dict[str, Any]


def judge(answers: Answers, outputs: NDArray[Any], y: list[NDArray[Any]], learnt: list[Any] | None) -> list[Figures]:
    """The figures of each target.

    Parameters
    ----------
    answers : Answers
    outputs : ndarray, shape (m, n_L)
    y : list of ndarray, shape (m,)
        The truth: labels or numbers.
    learnt : list of ndarray, or None
        The same for the rows that were trained on, whose commonest class is what a guess without inputs would say.
    """
    found = []
    for j, (target, part) in enumerate(answers.parts(outputs)):
        if target.classes is None:
            found.append(_of_numbers(target, part[:, 0].astype(np.float64), y[j]))
        else:
            guess = y[j] if learnt is None else learnt[j]
            found.append(_of_classes(target, answers.labels(part), y[j], guess))
    return found


def _of_classes(target: Target, said: NDArray[np.int64], y: NDArray[np.int64], learnt: NDArray[np.int64]) -> Figures:
    classes = target.classes or ()
    k, n = len(classes), len(y)
    confusion = np.bincount(y * k + said, minlength=k * k).reshape(k, k)
    common = Counter(learnt.tolist()).most_common(1)[0][0]
    each: list[Figures] = []
    for j, name in enumerate(classes):
        right, is_one, called = int(confusion[j, j]), int(confusion[j].sum()), int(confusion[:, j].sum())
        precision, recall = _ratio(right, called), _ratio(right, is_one)
        f1 = _ratio(2 * right, is_one + called)
        each.append({"name": name, "precision": precision, "recall": recall, "f1": f1, "rows": is_one})
    right = int(np.trace(confusion))
    present = [one["f1"] for one in each if one["f1"] is not None]
    return {
        "target": target.name,
        "kind": "classes",
        "rows": n,
        "right": right,
        "accuracy": right / n,
        "guess": {"class": classes[common], "right": int(np.count_nonzero(y == common))},
        "macro_f1": math.fsum(present) / len(present),
        "classes": each,
        "confusion": confusion.tolist(),
    }


def _ratio(a: int, b: int) -> float | None:
    return a / b if b else None


def _of_numbers(target: Target, said: NDArray[np.float64], y: NDArray[np.float64]) -> Figures:
    errors = y - said
    rmse, spread = _root_mean_square(errors), _root_mean_square(y - _mean(y))
    return {
        "target": target.name,
        "kind": "number",
        "rows": len(y),
        "rmse": rmse,
        "mae": _mean(np.abs(errors)),
        "bias": _mean(errors),
        "r2": 1 - (rmse / spread) ** 2 if spread else None,
    }


def _mean(values: NDArray[np.float64]) -> float:
    peak = float(np.abs(values).max()) or 1.0
    return peak * (math.fsum((values / peak).tolist()) / len(values))


def _root_mean_square(values: NDArray[np.float64]) -> float:
    peak = float(np.abs(values).max()) or 1.0
    return peak * math.sqrt(math.fsum(((values / peak) ** 2).tolist()) / len(values))


# ---- in words ----


def in_words(figures: Figures, what: str) -> str:
    """The figures of one target as a paragraph, and tables where there are classes; `what` the rows are."""
    return (_class_words if figures["kind"] == "classes" else _number_words)(figures, what)


def _class_words(figures: Figures, what: str) -> str:
    n, right, guess = figures["rows"], figures["right"], figures["guess"]
    sentence = (
        f"Right on {right:,} of {count_of(n, what)} ({right / n:.1%}); "
        f'always answering "{guess["class"]}" would be right on {guess["right"]:,} ({guess["right"] / n:.1%}).'
    )
    return "\n\n".join([sentence, _indented(class_table(figures)), _indented(confusion_table(figures)), ""])


def class_table(figures: Figures) -> str:
    """Precision, recall and f1 of every class under each other."""
    rows = [
        [one["name"], *(percent(one[name]) for name in ("precision", "recall", "f1")), f"{one['rows']:,}"]
        for one in figures["classes"]
    ]
    return table_of([["", "precision", "recall", "f1", "rows"], *rows])


def percent(value: float | None) -> str:
    """A share, or a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def confusion_table(figures: Figures) -> str:
    """How often rows of each class were taken for each; of many classes the commonest mistakes alone."""
    names = [one["name"] for one in figures["classes"]]
    if len(names) > MOST_CLASSES:
        return _mistakes(names, np.array(figures["confusion"]))
    head = ["is, taken for", *names]
    return table_of([head, *([name, *map(str, row)] for name, row in zip(names, figures["confusion"], strict=True))])


def _mistakes(names: list[str], confusion: NDArray[np.int64]) -> str:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [divmod(int(at), len(names)) for at in order if wrong.flat[at]]
    rows = [["is", "taken for", "rows"], *([names[i], names[j], str(wrong[i, j])] for i, j in pairs)]
    return table_of(rows, left=2)


def _number_words(figures: Figures, what: str) -> str:
    rows = count_of(figures["rows"], what)
    verdict = (
        f'On {rows} a typical error of "{figures["target"]}" is {figures["rmse"]:.4g} (root mean square; '
        f"mean absolute {figures['mae']:.4g})"
    )
    r2 = figures["r2"]
    if r2 is None:
        return f"{verdict}."
    share = f"{r2:.1%} of its variation is explained" if r2 > 0 else "no better than always answering the mean"
    return f"{verdict}; R2 = {r2:.4f}: {share}."


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
