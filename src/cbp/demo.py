"""`cbp demo`: a network learns real handwritten digits (the 1,797 that come with scikit-learn).

The three lines of Python that it shows at the end are the very text that it ran. Called by cli/demo.py.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import cbp
from cbp._samples import split_rows
from cbp.cli._words import check_writable
from cbp.plot import learning_curve

NEEDS = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}

HELD_OUT = 0.2
EPOCHS = 40

IMPORTS = "import cbp, sklearn.datasets"
LINES = """\
X, y = sklearn.datasets.load_digits(return_X_y=True)
net = cbp.Network([64, 256, 128, 10], activation="relu", output="softmax", seed={seed})
history = net.fit(X / 16, y, epochs={epochs}, batch_size=8, validation={held_out}, progress=True)
"""

MODEL, PICTURE = "digits.npz", "learning-curve.png"
INK = " .:-=+*#%@"
SHOWN = 4


def run(seed: int = 0, epochs: int | None = None, output_dir: Path = Path("cbp-demo")) -> float:
    """Train on handwritten digits, show what came out, keep the model and the learning curve.

    Parameters
    ----------
    seed : int, default 0
        Decides the initial weights, which rows are held out, and the order of the others.
    epochs : int, optional
        Passes over the training rows. Default: 40.
    output_dir : Path, default cbp-demo
        Made if it is not there; gets digits.npz and learning-curve.png.

    Returns
    -------
    float
        Accuracy on the rows held out, a fifth of them.

    Raises
    ------
    ImportError
        scikit-learn, matplotlib or tqdm is not installed.
    ValueError, OSError
        The folder cannot be made or written to.
    """
    _check_installed()
    output_dir.mkdir(parents=True, exist_ok=True)
    check_writable(str(output_dir / MODEL))
    lines = LINES.format(seed=seed, epochs=epochs or EPOCHS, held_out=HELD_OUT)
    print(
        f"cbp {cbp.__version__} ({cbp.isa()}) learns the handwritten digits that come with scikit-learn.\n", flush=True
    )
    made, seconds = _execute(lines)
    net, X, y = made["net"], made["X"], made["y"]
    train, held = split_rows(len(X), HELD_OUT, net.seed)
    output = net.predict(X[held] / 16)
    wrong = np.flatnonzero(output.argmax(axis=1) != y[held])
    accuracy = 1 - len(wrong) / len(held)
    print(_figures(net, made["history"], len(train), len(held), accuracy, seconds))
    print(_mistakes(X, y, held, output, wrong))
    _keep(made, output_dir)
    _reload(X, net, output_dir / MODEL)
    print(f"\nThree lines of Python did it:\n\n{_indented(IMPORTS)}\n\n{_indented(lines)}")
    return accuracy


def _check_installed() -> None:
    absent = [package for module, package in NEEDS.items() if find_spec(module) is None]
    if absent:
        raise ImportError(f'the demo needs {", ".join(absent)}: pip install "cbpnet[demo]"')


def _execute(lines: str) -> tuple[dict[str, Any], float]:
    """Run the lines; returns the names they make and the seconds that the last one, the training, took."""
    names: dict[str, Any] = {}
    exec(IMPORTS, names)
    for line in lines.splitlines():
        begin = time.perf_counter()
        exec(line, names)
    return names, time.perf_counter() - begin


def _figures(net: cbp.Network, history: cbp.History, n_train: int, n_held: int, accuracy: float, seconds: float) -> str:
    passes = len(history["loss"])
    return (
        f"\n{net}\n"
        f"  trained on   {n_train:,} digits, {passes} times each, in {seconds:.2f} seconds: "
        f"{n_train * passes / seconds:,.0f} samples per second\n"
        f"  tested on    {n_held:,} digits held out, which it never learnt from\n"
        f"  accuracy     {accuracy:.2%} of them right"
    )


def _mistakes(X: Any, y: Any, held: Any, output: Any, wrong: Any) -> str:
    """The held-out digits that the network got wrong: a list, and pictures of the first few."""
    if not len(wrong):
        return "\nNone of the held-out digits was taken for another."
    lines = [f"\nThe {len(wrong)} it got wrong:\n", "  row   digit  taken for  sure by"]
    for i in wrong:
        answer = int(output[i].argmax())
        lines.append(f"  {held[i]:4}  {y[held[i]]:5}  {answer:9}  {output[i, answer]:7.0%}")
    first = wrong[:SHOWN]
    titles = [f"row {held[i]}: {y[held[i]]}, not {output[i].argmax()}" for i in first]
    return "\n".join([*lines, "", *_side_by_side(titles, [X[held[i]] for i in first])])


def _side_by_side(titles: list[str], digits: list[Any]) -> list[str]:
    """Digits of 8 x 8 numbers from 0 to 16 as rows of text under their titles."""
    width = 22
    lines = ["  " + "".join(title.ljust(width) for title in titles).rstrip()]
    for row in range(8):
        drawn = [_row_of_ink(digit.reshape(8, 8)[row]) for digit in digits]
        lines.append("  " + "".join(ink.ljust(width) for ink in drawn).rstrip())
    return lines


def _row_of_ink(values: Any) -> str:
    return "".join(INK[round(value / 16 * (len(INK) - 1))] * 2 for value in values.tolist())


def _keep(made: dict[str, Any], folder: Path) -> None:
    made["net"].save(folder / MODEL)
    _draw(made["history"], folder / PICTURE)
    print(f"\nSaved {folder / MODEL} and {folder / PICTURE}.")


def _draw(history: cbp.History, path: Path) -> None:
    """Two panels: the losses, and what share of the held-out digits was right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy = figure.subplots(1, 2)
    learning_curve({name: history[name] for name in ("loss", "val_loss")}, losses)
    epochs, percent = range(1, history.epochs + 1), [100 * share for share in history["val_accuracy"]]
    accuracy.plot(epochs, percent, color="tab:green", marker=".", clip_on=False)
    losses.set_title("Loss, on a logarithmic scale")
    accuracy.set(title=f"Held-out digits recognised: {percent[-1]:.2f} %", xlabel="epoch", ylabel="per cent")
    accuracy.set_ylim(None, 100)
    for axes in (losses, accuracy):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _reload(X: Any, net: cbp.Network, path: Path) -> None:
    again = cbp.load(path).predict(X / 16)
    before = net.predict(X / 16)
    if again.tobytes() != before.tobytes():
        raise ValueError(f"{path}: the reloaded network does not predict what the saved one did")
    print(f"Loaded it again: all {before.size:,} outputs for the {len(X):,} digits are the same, bit for bit.")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
