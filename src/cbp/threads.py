"""How many threads the core may use: one pool for the whole process."""

from __future__ import annotations

import os
import warnings

from cbp import _core
from cbp._arguments import whole
from cbp._threadpool import announce

VARIABLE = "CBP_NUM_THREADS"
SHARED = "OMP_NUM_THREADS"
"""What the makers of processes (joblib, Dask, batch systems) set so that all of them together fit the machine."""


def _initial() -> int:
    """Return the number that the environment asks for, or that of the processors."""
    processors = min(_core.CPUS, _core.MAX_THREADS)
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        shared = os.environ.get(SHARED, "").partition(",")[0].strip()
        return min(processors, int(shared)) if shared.isdecimal() and int(shared) else processors
    try:
        return whole(int(text), VARIABLE, 1, _core.MAX_THREADS)
    except ValueError:
        message = f"{VARIABLE}={text!r} is ignored: it must be a whole number from 1 to {_core.MAX_THREADS}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return processors


def set_num_threads(n: int) -> None:
    """Set how many threads training and predicting may use. The results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to 1024. At the start it is what the environment variable CBP_NUM_THREADS says, or else the number of
        processors this process may use: those it may run on, no more than the quota of its container, and no more than
        OMP_NUM_THREADS, which joblib, Dask and batch systems set for the processes that share a machine.

    Raises
    ------
    TypeError, ValueError
        `n` is no such number.

    Notes
    -----
    The threads are one pool for the whole process. They are started by the first call whose work is worth sharing,
    sleep when there is none, and are there after a fork too. Calls from several Python threads at once take turns:
    while the pool works for one, another computes in its own thread. The number may be changed at any time;
    `threadpoolctl.threadpool_limits` changes it too.

    Examples
    --------
    >>> import cbp
    >>> before = cbp.get_num_threads()
    >>> cbp.set_num_threads(2)
    >>> cbp.get_num_threads()
    2
    >>> cbp.set_num_threads(before)
    """
    _core.threads(whole(n, "the number of threads", 1, _core.MAX_THREADS))


def get_num_threads() -> int:
    """Return how many threads training and predicting may use.

    Examples
    --------
    >>> import cbp
    >>> cbp.get_num_threads() >= 1
    True
    """
    return _core.threads()


_core.threads(_initial())
announce()
