"""How well classes are told apart: confusion, calibration of probabilities, ROC, precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbp._arguments import whole
from cbp.plot._axes import BLUE, COLOURS, FAINT, INK, bare, divide, ink_on, module, new, percent, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbp._typing import Array, ArrayLike

MOST_NUMBERS, MOST_SHARES, MOST_NAMES = 25, 12, 40  # classes that leave room for counts, for shares, for every name
Z = 1.959963984540054  # 95 % of a normal distribution are within so many standard deviations


def confusion(y: ArrayLike, predicted: ArrayLike, ax: Any = None, *, labels: Iterable[Any] | None = None) -> Any:
    """Draw how many rows of each class were taken for which: a row of the picture a class, the diagonal is right.

    A cell has the number, and its share of the row's class, by which it is coloured.

    Parameters
    ----------
    y : array_like, shape (n,), (n, 1) or (n, k)
        Classes: labels of any kind, or rows whose largest entry is at the class. Rows that are NaN are left out.
    predicted : array_like, shape (n,), (n, 1) or (n, k)
        The same, or the outputs of a network: of k > 1 the largest counts, of one that is no label whether it is at
        least one half.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.
    labels : iterable, optional
        The classes in order: the labels themselves, or names for 0, 1, 2 ... Default: those that occur, sorted.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are not as many predictions as classes, no rows at all, or a label that is not among `labels`.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import confusion
    >>> ax = confusion([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.9], labels=["no", "yes"])  # doctest: +SKIP
    >>> ax.get_title()  # doctest: +SKIP
    '3 of 4 right: 75 %'
    """
    own, said, names = _both(y, predicted, labels)
    k = len(names)
    table = np.bincount(own * k + said, minlength=k * k).reshape(k, k)
    ax = _square(k) if ax is None else ax
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    colours = module("colors").LinearSegmentedColormap.from_list("cbp", ["white", "#9ECAE1", BLUE, "#08306B"])
    ax.imshow(shares, cmap=colours, vmin=0, vmax=1)
    if k <= MOST_NUMBERS:
        _write_cells(ax, table, shares, colours)
    step = -(-k // MOST_NAMES)
    ticks = range(0, k, step)
    turned = max(map(len, names)) > 11 or (k > 4 and max(map(len, names)) > 4)  # letters that stand side by side
    look = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    ax.set_xticks(ticks, names[::step], **look)
    ax.set_yticks(ticks, names[::step])
    ax.tick_params(length=0)
    ax.spines[:].set_color(FAINT)
    right, n = int(np.trace(table)), len(own)
    ax.set(xlabel="predicted", ylabel="class", title=f"{right:,} of {n:,} right: {_exact(right / n)}")
    return ax


def reliability(
    y: ArrayLike, probabilities: ArrayLike, ax: Any = None, *, bins: int = 10, labels: Iterable[Any] | None = None
) -> Any:
    """Draw how often what was predicted with each probability happened: the diagonal is as it should be.

    Below the diagonal probabilities are too high: the network is too sure. Bars are 95 % intervals (Wilson); the panel
    below has the number of rows of each bin. The expected calibration error is the mean distance from the diagonal,
    each bin by its rows. `calibration` is the same for intervals of a regression.

    Parameters
    ----------
    y : array_like, shape (n,), (n, 1) or (n, k)
        Classes as for `confusion`; with one probability a row 0 and 1, or two labels, the second the one that is meant.
    probabilities : array_like, shape (n,), (n, 1) or (n, k)
        What `Network.predict` says of data that it was not trained on. Of k > 1 the largest counts, and whether it is
        at the class.
    ax : matplotlib Axes, optional
        Where to draw; divided in two. Default: a new figure of pyplot.
    bins : int, default 10
        Number of equal intervals from 0 to 1.
    labels : iterable, optional
        As for `confusion`.

    Returns
    -------
    matplotlib Axes
        The upper panel.

    Raises
    ------
    ValueError
        Something is not from 0 to 1, there are no rows, or classes and probabilities do not fit together.
    ImportError
        matplotlib is not installed.

    Notes
    -----
    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from cbp.plot import reliability
    >>> ax = reliability([0, 0, 1, 1], [0.1, 0.4, 0.8, 0.9], bins=5)  # doctest: +SKIP
    >>> ax.get_title()  # doctest: +SKIP
    'expected calibration error 0.2'
    """
    sure, happened = _probabilities(y, probabilities, labels)
    bins = whole(bins, "bins", 1)
    bin_of = np.minimum((sure * bins).astype(int), bins - 1)
    n = np.bincount(bin_of, minlength=bins)
    some = n > 0
    mean = np.bincount(bin_of, sure, bins)[some] / n[some]
    share = np.bincount(bin_of, happened, bins)[some] / n[some]
    low, high = _wilson(share, n[some])
    error = float(np.sum(n[some] * np.abs(share - mean)) / len(sure))
    upper, lower = divide(new(5.2, 5.6) if ax is None else ax, (3.5, 1.0))
    upper.plot((0, 1), (0, 1), color=FAINT, linewidth=1, zorder=0)
    bars = np.maximum([share - low, high - share], 0.0)
    upper.errorbar(mean, share, yerr=bars, fmt="o-", color=BLUE, ecolor="#7FB8D8", capsize=2, markersize=5)
    several = np.ndim(probabilities) == 2 and np.shape(probabilities)[1] > 1
    upper.set(ylabel="share of rows that are right" if several else "share of rows of the class", ylim=(-0.02, 1.02))
    upper.set_title(f"expected calibration error {error:.3g}")
    lower.bar((np.arange(bins) + 0.5) / bins, n, width=0.94 / bins, color="0.75")
    lower.set(xlabel="probability of the class predicted" if several else "probability predicted", ylabel="rows")
    lower.set_xlim(-0.02, 1.02)
    whole_numbers(lower.yaxis)
    bare(upper)
    bare(lower)
    return upper


def roc(y: ArrayLike, scores: ArrayLike, ax: Any = None, *, labels: Iterable[Any] | None = None) -> Any:
    """Draw which share of a class is found against which share of all others is taken for it, for every threshold.

    Parameters
    ----------
    y : array_like, shape (n,), (n, 1) or (n, k)
        As for `reliability`.
    scores : array_like, shape (n,), (n, 1) or (n, k)
        Outputs, the larger the surer: a column for the second of two classes, or one for each of k, which get a curve
        each, that class against the others.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.
    labels : iterable, optional
        As for `confusion`.

    Returns
    -------
    matplotlib Axes
        The legend has the areas under the curves.

    Raises
    ------
    ValueError
        Classes and scores do not fit together, or a class has no rows, or all.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import roc
    >>> ax = roc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])  # doctest: +SKIP
    >>> [text.get_text() for text in ax.get_legend().get_texts()]  # doctest: +SKIP
    ['area 0.75']
    """
    curves = _one_against_others(y, scores, labels)
    ax = new(5.0, 4.8) if ax is None else ax
    ax.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle="--", zorder=0)
    for place, (name, is_one, score) in enumerate(curves):
        found, taken = _sorted_counts(is_one, score)
        x, up = taken / taken[-1], found / found[-1]
        area = float(np.sum(np.diff(x) * (up[1:] + up[:-1])) / 2)
        ax.plot(x, up, color=COLOURS[place % len(COLOURS)], label=f"{name}area {area:.4g}", linewidth=1.6)
    ax.set(xlabel="share of the others taken for it", ylabel="share of the class found")
    return _finished(ax, "lower right")


def precision_recall(y: ArrayLike, scores: ArrayLike, ax: Any = None, *, labels: Iterable[Any] | None = None) -> Any:
    """Draw which share of what is taken for a class is of it against which share of it is found, for every threshold.

    Parameters
    ----------
    y, scores, labels
        As for `roc`.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure of pyplot.

    Returns
    -------
    matplotlib Axes
        The legend has the average precisions: the sums of precisions times the steps of the recall.

    Raises
    ------
    ValueError
        As for `roc`.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from cbp.plot import precision_recall
    >>> ax = precision_recall([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])  # doctest: +SKIP
    >>> [text.get_text() for text in ax.get_legend().get_texts()]  # doctest: +SKIP
    ['average precision 0.8333']
    """
    curves = _one_against_others(y, scores, labels)
    ax = new(5.0, 4.8) if ax is None else ax
    for place, (name, is_one, score) in enumerate(curves):
        colour = COLOURS[place % len(COLOURS)]
        found, taken = _sorted_counts(is_one, score)
        recall, precision = found[1:] / found[-1], found[1:] / (found[1:] + taken[1:])
        average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        x, up = np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])
        label = f"{name}average precision {average:.4g}"
        ax.step(x, up, where="pre", color=colour, label=label, linewidth=1.6)
        ax.axhline(is_one.mean(), color=colour, linewidth=0.8, linestyle=":", zorder=0)
    ax.set(xlabel="recall: share of the class found", ylabel="precision: share of it that is right")
    return _finished(ax, "lower left")


# ---- classes ----


def labels_of(values: Any, what: str) -> tuple[Array, int]:
    """Return labels (n,), NaN or None where one is missing, and how many columns of outputs they come from, or 0."""
    a = np.asarray(values)
    if a.ndim == 2 and a.shape[1] > 1:
        known = ~np.isnan(a).any(axis=1) if a.dtype.kind == "f" else np.ones(len(a), bool)
        return np.where(known, np.argmax(a, axis=1), np.nan), a.shape[1]
    if a.ndim == 2:
        a = a[:, 0]
    if a.ndim != 1:
        raise ValueError(f"{what} must be labels, (n,), or rows of outputs, (n, k), not an array of shape {a.shape}")
    if a.dtype.kind != "f" or not (np.floor(a) != a)[~np.isnan(a)].any():
        return a, 0
    if (a[~np.isnan(a)] < 0).any() or (a[~np.isnan(a)] > 1).any():
        raise ValueError(f"{what} has numbers that are neither labels nor probabilities")
    return np.where(np.isnan(a), np.nan, a >= 0.5), 0


def _both(y: Any, predicted: Any, labels: Iterable[Any] | None) -> tuple[Array, Array, list[str]]:
    """Return the classes of both as numbers from 0, (n,), without rows that are missing, and their names."""
    (own, k), (said, columns) = labels_of(y, "y"), labels_of(predicted, "predicted")
    if len(own) != len(said):
        raise ValueError(f"there are {len(own)} classes and {len(said)} predictions")
    known = are_known(own) & are_known(said)
    if not known.any():
        raise ValueError("there are no rows to draw")
    classes = _classes([own[known], said[known]], max(k, columns), labels)
    return numbered(own[known], classes), numbered(said[known], classes), list(map(str, classes))


def are_known(labels: Array) -> Array:
    """Return which labels are neither NaN nor None."""
    return np.array([label is not None and label == label for label in labels.tolist()], bool)


def _classes(found: list[Array], columns: int, labels: Iterable[Any] | None) -> list[Any]:
    """Return the classes in order: those that are named, or those that occur."""
    if labels is not None:
        return list(labels)
    words = [part for part in found if part.dtype.kind not in "fiub"]
    if words:
        classes = sorted(set(np.concatenate([part.astype(object) for part in words]).tolist()))
        if columns and len(classes) != columns:
            raise ValueError(
                f"{len(classes)} labels occur for {columns} outputs: name all of them, in order, in labels"
            )
        return classes
    if columns:
        return list(range(columns))
    return sorted({int(value) for part in found for value in part.tolist()})


def numbered(labels: Array, classes: list[Any]) -> Array:
    """Return the place of each label among the classes; a whole number that is none of them is a place itself."""
    places = {value: place for place, value in enumerate(classes)}
    by_place = not any(isinstance(value, (int, float, np.number)) for value in classes)
    numbers = np.empty(len(labels), np.int64)
    for row, label in enumerate(labels.tolist()):
        if label in places:
            numbers[row] = places[label]
        elif by_place and not isinstance(label, str) and 0 <= label < len(classes):
            numbers[row] = label
        else:
            raise ValueError(f"the label {label!r} is none of the classes: {', '.join(map(repr, classes[:12]))}")
    return numbers


def _probabilities(y: Any, given: Any, labels: Iterable[Any] | None) -> tuple[Array, Array]:
    """Return the probability that counts of each row, and 1 where what it is of happened, else 0."""
    p = np.asarray(given, np.float64)
    columns = p.shape[1] if p.ndim == 2 else 1
    if p.ndim not in (1, 2) or not ((p >= 0) & (p <= 1) | np.isnan(p)).all():
        raise ValueError("probabilities must be numbers from 0 to 1, (n,), (n, 1) or (n, k)")
    classes = _of_rows(y, len(p), columns, labels)[0]
    known = classes >= 0
    p = p.reshape(len(p), columns)[known]
    if not len(p):
        raise ValueError("there are no rows to draw")
    own = classes[known]
    sure = p[:, 0] if columns == 1 else p.max(axis=1)
    return sure, (own == (1 if columns == 1 else p.argmax(axis=1))).astype(np.float64)


def _of_rows(y: Any, n: int, columns: int, labels: Iterable[Any] | None) -> tuple[Array, list[str]]:
    """Return the class of each of n rows as a number, -1 where it is missing, and the names of the classes."""
    own, _ = labels_of(y, "y")
    if len(own) != n:
        raise ValueError(f"there are {len(own)} classes and {n} rows of predictions")
    known, k = are_known(own), max(columns, 2)
    whole_labels = labels is None and own.dtype.kind in "fiub"
    classes = list(range(k)) if whole_labels else _classes([own[known]], 0, labels)
    if len(classes) != k:
        raise ValueError(f"{k} classes are told apart, but {len(classes)} are named: {', '.join(map(repr, classes))}")
    numbers = np.full(n, -1)
    numbers[known] = numbered(own[known], classes)
    return numbers, list(map(str, classes))


def _one_against_others(y: Any, given: Any, labels: Iterable[Any] | None) -> list[tuple[str, Array, Array]]:
    """Return for every curve what its legend begins with, whether rows are of the class, and their scores."""
    scores = np.asarray(given, np.float64)
    columns = scores.shape[1] if scores.ndim == 2 else 1
    if scores.ndim not in (1, 2) or np.isnan(scores).any():
        raise ValueError("scores must be numbers, (n,), (n, 1) or (n, k)")
    classes, names = _of_rows(y, len(scores), columns, labels)
    scores, classes = scores.reshape(len(scores), columns)[classes >= 0], classes[classes >= 0]
    curves = []
    for j in range(columns):
        number = 1 if columns == 1 else j
        is_one = classes == number
        if is_one.all() or not is_one.any():
            raise ValueError(f"class {names[number]} has {'all' if len(is_one) and is_one.all() else 'no'} rows")
        curves.append(("" if columns == 1 else f"{names[number]}: ", is_one, scores[:, j]))
    return curves


def _sorted_counts(is_one: Array, score: Array) -> tuple[Array, Array]:
    """Return how many of the class, and of the others, have at least each score, from none to all."""
    order = np.argsort(-score, kind="stable")
    ordered, ones = score[order], is_one[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of rows that have the same score
    found, taken = np.cumsum(ones)[last], np.cumsum(~ones)[last]
    return np.append(0, found), np.append(0, taken)


# ---- drawing ----


def _square(k: int) -> Any:
    """Return axes for k by k cells."""
    size = min(max(3.6, 1.6 + 0.62 * k), 11.0)
    return new(size, size)


def _write_cells(ax: Any, table: Array, shares: Array, colours: Any) -> None:
    """Write the numbers into their cells, and the shares of their rows where there is room; nothing for 0."""
    k = len(table)
    size = 10 if k <= 6 else 8 if k <= MOST_SHARES else 6
    for (i, j), n in np.ndenumerate(table):
        if n:
            text = f"{n:,}\n{percent(float(shares[i, j]))}" if k <= MOST_SHARES else f"{n:,}"
            colour = ink_on(colours(float(shares[i, j])))
            ax.text(j, i, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.25)


def _exact(share: float) -> str:
    """Return a share with as many digits as can be read."""
    return f"{100 * share:.4g} %"


def _wilson(share: Array, n: Array) -> tuple[Array, Array]:
    """Return the ends of Wilson's 95 % intervals of shares of n rows (Journal of the ASA 22, 1927)."""
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return middle - half, middle + half


def _finished(ax: Any, place: str) -> Any:
    """Give axes from 0 to 1 a legend, and a frame that leaves room for curves along it."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    bare(ax)
    ax.legend(loc=place, frameon=False, fontsize="small", labelcolor=INK)
    return ax
