"""How many threads the core may use."""

from __future__ import annotations

import os
import warnings

from cbp._arguments import whole

MAX_THREADS = 1024
VARIABLE = "CBP_NUM_THREADS"


def _initial() -> int:
    """Return the number that the environment asks for, or 1."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return 1
    try:
        return whole(int(text), VARIABLE, 1, MAX_THREADS)
    except ValueError:
        message = f"{VARIABLE}={text!r} is ignored: it must be a whole number from 1 to {MAX_THREADS}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return 1


_number = _initial()


def set_num_threads(n: int) -> None:
    """Set how many threads training and predicting may use. The results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to 1024. At the start it is what the environment variable CBP_NUM_THREADS says, or 1.

    Raises
    ------
    TypeError, ValueError
        `n` is no such number.

    Notes
    -----
    This version computes in the calling thread; the number is kept for the thread pool to come.

    Examples
    --------
    >>> import cbp
    >>> before = cbp.get_num_threads()
    >>> cbp.set_num_threads(2)
    >>> cbp.get_num_threads()
    2
    >>> cbp.set_num_threads(before)
    """
    global _number
    _number = whole(n, "the number of threads", 1, MAX_THREADS)


def get_num_threads() -> int:
    """Return how many threads training and predicting may use.

    Examples
    --------
    >>> import cbp
    >>> cbp.get_num_threads() >= 1
    True
    """
    return _number
