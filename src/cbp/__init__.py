"""cbp: fully connected neural networks with a C core that gives the same bits everywhere.

>>> import cbp
>>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
>>> net = cbp.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=1)
>>> history = net.fit(X, y, epochs=200, batch_size=4, optimizer=cbp.optimizers.Adam(0.05))
>>> net.predict(X).round().ravel()
array([0., 1., 1., 0.], dtype=float32)
"""

from typing import TYPE_CHECKING, Any

from cbp import metrics, optimizers
from cbp._core import version as _version
from cbp._isa import isa
from cbp.callbacks import Callback, EarlyStopping, FitState, ReduceOnPlateau, TimeBudget
from cbp.errors import DivergenceError, ExportError, FormatError
from cbp.gradcheck import gradcheck
from cbp.heads import Head
from cbp.history import History
from cbp.io import load
from cbp.keeping import Checkpoint, Publish, WeightAverage
from cbp.layers import Dense, Layer
from cbp.loggers import CSVLogger, JSONLogger, TensorBoard
from cbp.network import Network
from cbp.selftest import selftest
from cbp.splitting import split
from cbp.tables import activations, initializers, losses
from cbp.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from cbp import diagnostics, methods, plot, schedules
    from cbp.io.c import verify_export

__version__ = _version()


_LATER = ("diagnostics", "methods", "plot", "schedules", "sklearn")
_FUNCTIONS_LATER = {"verify_export": "cbp.io.c"}


def __getattr__(name: str) -> Any:
    """Import what few need, and what takes a third of the time of all others, when it is asked for."""
    if name in _LATER:
        from importlib import import_module

        return import_module(f"cbp.{name}")
    if name in _FUNCTIONS_LATER:
        from importlib import import_module

        return getattr(import_module(_FUNCTIONS_LATER[name]), name)
    raise AttributeError(f"module 'cbp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER})


def get_include() -> str:
    """Return the folder that holds cbp.h, for programs in C that build on the library.

    Examples
    --------
    >>> import cbp, os
    >>> os.path.exists(os.path.join(cbp.get_include(), "cbp.h"))
    True
    """
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(here, "include")
    return installed if os.path.isdir(installed) else os.path.normpath(os.path.join(here, "..", "..", "csrc"))


__all__ = [
    "Network",
    "Dense",
    "Head",
    "Layer",
    "load",
    "verify_export",
    "activations",
    "losses",
    "initializers",
    "metrics",
    "optimizers",
    "methods",
    "schedules",
    "diagnostics",
    "Callback",
    "EarlyStopping",
    "ReduceOnPlateau",
    "TimeBudget",
    "WeightAverage",
    "Checkpoint",
    "Publish",
    "CSVLogger",
    "JSONLogger",
    "TensorBoard",
    "FitState",
    "History",
    "split",
    "plot",
    "gradcheck",
    "selftest",
    "DivergenceError",
    "FormatError",
    "ExportError",
    "isa",
    "get_num_threads",
    "set_num_threads",
    "get_include",
]
