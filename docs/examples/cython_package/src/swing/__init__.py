"""A pendulum, and a network that learns to foresee it while it swings."""

from swing.pendulum import foresee, learn, rows_of, swing

__all__ = ["foresee", "learn", "rows_of", "swing"]
