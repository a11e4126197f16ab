"""Which instruction set the core uses."""

from __future__ import annotations

import os
import warnings

from cbp import _core

VARIABLE = "CBP_ISA"


def isa() -> str:
    """Return the instruction set that networks made from now on will use.

    Returns
    -------
    str
        The best one of this CPU, or the one that the environment variable CBP_ISA names. The results do not depend
        on it, only the time does.

    Examples
    --------
    >>> import cbp
    >>> cbp.isa() in ("avx512", "avx2", "neon", "scalar")
    True
    """
    return _core.isa()


def _check_environment() -> None:
    """Warn where the variable names what this CPU has not."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in _core.isas():
        known = ", ".join(_core.isas())
        message = f"{VARIABLE}={wanted!r} is ignored: this CPU has {known}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


_check_environment()
