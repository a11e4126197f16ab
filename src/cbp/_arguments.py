"""Checks of single numbers that a person passes. Arrays are checked in _data.py."""

from __future__ import annotations

from typing import Any

import numpy as np


def whole(value: Any, name: str, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high`; numbers with a fraction and booleans are refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None
    if number < low or (high is not None and number > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limits}, not {number}")
    return number


def draw(noise: Any) -> int | None:
    """Return the number of a draw of noise, or None for a pass without."""
    return None if noise is None else whole(noise, "noise", 0, 2**64 - 1)


def real(value: Any, name: str, low: float | None = None, below: float | None = None) -> float:
    """Return `value` as a finite float, at least `low` and less than `below`; text and arrays are refused."""
    try:
        if isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.ndim):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    except OverflowError:
        raise ValueError(f"{name} must be finite, and in float64 it is not") from None
    if number - number != 0:
        raise ValueError(f"{name} must be finite, not {number}")
    if (low is not None and number < low) or (below is not None and number >= below):
        limits = f"at least {low:g}" if low is not None else ""
        limits += " and " if low is not None and below is not None else ""
        limits += f"less than {below:g}" if below is not None else ""
        raise ValueError(f"{name} must be {limits}, not {number:g}")
    return number


def positive(value: Any, name: str, below: float | None = None) -> float:
    """Return `value` as a finite float greater than 0 and less than `below`."""
    number = real(value, name, below=below)
    if number <= 0:
        raise ValueError(f"{name} must be greater than 0, not {number:g}")
    return number
