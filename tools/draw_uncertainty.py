"""Draw the pictures of docs/guide/uncertainty.md: a curve with its bands, and intervals for the diabetes data.

    python tools/draw_uncertainty.py

Needs scikit-learn and matplotlib, as `pip install "cbpnet[demo]"` brings them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from sklearn.datasets import load_diabetes

import cbp
from cbp.plot import calibration

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "_static" / "uncertainty"
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#767676"  # of Okabe and Ito
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=[BLUE, ORANGE]),
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "cbp",
}


def network(n_in: int, units: int) -> cbp.Network:
    """The network that both pictures are of."""
    return cbp.Network(
        [n_in, units, 1],
        activation="tanh",
        output="identity",
        scale_inputs="standard",
        scale_targets="standard",
        dtype="float64",
        seed=0,
    )


def bands(ax: Any) -> None:
    """A curve that was seen on two sides of a gap, with 95 % bands for its mean and for observations."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-3, -1, 40), rng.uniform(0.5, 2.5, 40)])[:, None]
    y = np.sin(2 * x) + 0.4 * x + rng.normal(0, 0.2, x.shape)
    net = network(1, 6)
    net.fit(x, y, epochs=200, optimizer=cbp.methods.BayesianRegularization())
    posterior = net.learn_uncertainty(x, y)
    grid = np.linspace(-4, 4, 401)[:, None]
    for observation, colour, label in ((True, "0.9", "95 %: an observation"), (False, "#9ecae1", "95 %: the mean")):
        low, high = posterior.interval(grid, observation=observation)
        ax.fill_between(grid[:, 0], low[:, 0], high[:, 0], color=colour, label=label, linewidth=0)
    ax.plot(grid, net.predict(grid), label="network")
    ax.plot(grid, np.sin(2 * grid) + 0.4 * grid, "--", color=GREY, linewidth=1, label="what made the data")
    ax.plot(x, y, ".", color="black", markersize=3, label="data")
    ax.set(xlabel="x", ylabel="y", ylim=(-4, 4), xlim=(-4, 4))
    ax.legend(loc="upper left", frameon=False, ncols=2)


def diabetes(left: Any, right: Any) -> None:
    """Intervals for the patients held out, and what share of them holds what was measured."""
    X, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    train, held = order[:300], order[300:]
    net = network(10, 4)
    net.fit(X[train], y[train], epochs=100, optimizer=cbp.methods.BayesianRegularization())
    posterior = net.learn_uncertainty(X[train], y[train])
    mean = net.predict(X[held])[:, 0]
    rows = np.argsort(mean)
    low, high = (end[rows, 0] for end in posterior.interval(X[held]))
    place, inside = np.arange(len(rows)), (low <= y[held][rows]) & (y[held][rows] <= high)
    left.fill_between(place, low, high, color="0.9", linewidth=0, label="95 % interval")
    left.plot(place, mean[rows], label="prediction")
    left.plot(place[inside], y[held][rows][inside], ".", color="black", markersize=3, label="measured")
    left.plot(place[~inside], y[held][rows][~inside], "x", color="C1", markersize=5, label="measured, outside")
    left.set(xlabel="patients held out, by prediction", ylabel="progression of the disease", title="Intervals")
    left.legend(loc="upper left", frameon=False)
    calibration(posterior, X[held], y[held], right).set(title="Calibration")


def main() -> None:
    """Draw both."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    keep = {"format": "svg", "metadata": {"Date": None, "Creator": None}}
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
        bands(ax)
        figure.savefig(PICTURES / "curve.svg", **keep)
        figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained", width_ratios=(1.25, 1))
        diabetes(*axes)
        figure.savefig(PICTURES / "diabetes.svg", **keep)


if __name__ == "__main__":
    main()
