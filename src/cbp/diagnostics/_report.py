"""All diagnostics of a fit in one table: see `report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cbp.diagnostics._laplace import Laplace
from cbp.diagnostics._rows import Fit, LeaveOneOut, root_mean_square
from cbp.diagnostics._spectrum import condition
from cbp.diagnostics._twin import family_of

if TYPE_CHECKING:
    from cbp._state import State
    from cbp._typing import Array, ArrayLike

SHOWN = 5  # rows that stand out, of each kind


class Report:
    """What `report` found; print it to read it.

    Attributes
    ----------
    posterior : Laplace
    rows, parameters, fixed : int
        Rows; trained parameters, and those that are fixed.
    loss : float
        The objective J.
    eigenvalues : ndarray, shape (p,)
        Of the Gauss-Newton matrix of J, penalties included, the largest first.
    condition_number : float
        The first of them over the last.
    residuals, leverage : ndarray, shape (m, n_L), or None
        Target less output in units of the targets, NaN where there is none; leverages. None where the loss is a
        log-likelihood, and so are the next two.
    left_out : LeaveOneOut or None
    distance : ndarray, shape (m,), or None
        Cook's distances.
    """

    def __init__(self, net: State, fit: Fit) -> None:
        self._text, problem = str(net), fit.problem
        self.posterior: Laplace = fit.posterior
        self.rows, self.parameters = len(problem.samples.X), len(problem.columns)
        self.fixed = problem.net.n_params - self.parameters
        self.loss = problem.net.loss(*problem.samples)
        self.eigenvalues: Array = np.linalg.eigvalsh(problem.gauss_newton())[::-1]
        self.condition_number = condition(self.eigenvalues)
        self.residuals: Array | None = None
        self.leverage: Array | None = None
        self.left_out: LeaveOneOut | None = None
        self.distance: Array | None = None
        if family_of(net).squares:
            residuals, known = problem.residuals()
            self.residuals = np.where(known, residuals * problem.scale, np.nan)
            self._rms = root_mean_square(residuals * problem.scale, known, problem.weights)
            self.leverage, self.left_out, self.distance = fit.leverage(), fit.leave_one_out(), fit.distance()

    def __repr__(self) -> str:
        lines = self._lines()
        width = max(len(name) for name, _ in lines)
        return "\n".join([self._text, *(f"{name:{width}}  {text}".rstrip() for name, text in lines)])

    def _repr_html_(self) -> str:
        from cbp import notebook

        return notebook.table(self._text, self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        """Return names and numbers in words."""
        posterior, lines = self.posterior, []
        fixed = f", {self.fixed:,} more are fixed" if self.fixed else ""
        lines.append(("rows", f"{self.rows:,}"))
        lines.append(("objective J", f"{self.loss:.6g}"))
        lines.append(("parameters", f"{self.parameters:,} trained{fixed}"))
        lines.append(("effective parameters", f"{posterior.effective_parameters:.1f}"))
        lines.append(("undetermined directions", f"{posterior.undetermined:,}"))
        lines.append(("curvature, eigenvalues", f"{self.eigenvalues[-1]:.3g} to {self.eigenvalues[0]:.3g}"))
        lines.append(("condition number", f"{self.condition_number:.3g}"))
        if posterior.alpha is not None:
            lines.append(("precision of the prior", f"{posterior.alpha:.4g}"))
        if posterior.noise is not None:
            lines.append(("noise", ", ".join(f"{value:.4g}" for value in posterior.noise)))
        return lines + self._of_rows()

    def _of_rows(self) -> list[tuple[str, str]]:
        if self.leverage is None or self.left_out is None or self.distance is None:
            return []
        largest = self.leverage.max(axis=1)
        return [
            ("residuals, root mean square", f"{self._rms:.4g}"),
            ("  each row left out", f"{self.left_out.rms:.4g}"),
            ("largest leverages", _largest(largest)),
            ("largest Cook's distances", _largest(self.distance)),
        ]


def _largest(values: Array) -> str:
    """Return the largest values with their rows, in words; of those that rounding alone tells apart, the first row."""
    order = np.argsort(-np.round(values / (values.max() or 1.0), 9), kind="stable")[:SHOWN]
    return ", ".join(f"{values[row]:.3g} (row {row})" for row in order)


def report(
    net: State,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    prior: float | str | None = None,
    noise: ArrayLike | None = None,
) -> Report:
    """Return the diagnostics of a fit in one table.

    Parameters
    ----------
    net, X, y, sample_weight, prior, noise
        As for `laplace`.

    Returns
    -------
    Report
        A table when printed; its attributes are the numbers.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As for `laplace`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    >>> net.params[:] = 1, 2
    >>> cbp.diagnostics.report(net, [[-1], [0], [1], [2]], [-1.1, 1.3, 2.7, 5.1])
    Network(1 > 1 identity, half_squared_error, float64): 2 parameters
    rows                         4
    objective J                  0.025
    parameters                   2 trained
    effective parameters         2.0
    undetermined directions      0
    curvature, eigenvalues       0.691 to 1.81
    condition number             2.62
    noise                        0.3162
    residuals, root mean square  0.2236
      each row left out          0.3839
    largest leverages            0.7 (row 0), 0.7 (row 3), 0.3 (row 1), 0.3 (row 2)
    largest Cook's distances     0.389 (row 0), 0.389 (row 3), 0.276 (row 1), 0.276 (row 2)
    """
    return Report(net, Fit(net, X, y, sample_weight, prior, noise, squares=False))
