"""Error bars, and what is behind them: how sure training data make a network of its parameters and predictions.

`laplace` makes the posterior that all others come from; `report` shows most of them in one table. Every function takes
a trained network and the data it was trained on, and leaves the network as it is; all is computed in float64. These
numbers go through LAPACK and do not have the same bits on every machine; no weight depends on them.
"""

from cbp.diagnostics._laplace import Laplace, laplace
from cbp.diagnostics._parameters import covariance, effective_parameters, standard_errors
from cbp.diagnostics._report import Report, report
from cbp.diagnostics._rows import Influence, LeaveOneOut, coverage, influence, leave_one_out, leverage
from cbp.diagnostics._spectrum import condition_number, curvature_eigenvalues

__all__ = [
    "laplace",
    "Laplace",
    "covariance",
    "standard_errors",
    "effective_parameters",
    "leverage",
    "leave_one_out",
    "LeaveOneOut",
    "influence",
    "Influence",
    "curvature_eigenvalues",
    "condition_number",
    "report",
    "Report",
    "coverage",
]
