"""Learning rates that change: callables from the number of updates made so far to the rate of the next.

For `fit(schedule=...)`, which takes any function of the step; these can be compared, printed and kept as JSON. A rate
decides weights, so it has the same bits everywhere: no libm. Cosines are a polynomial in +, - and *; powers are
`decimal`'s exp and ln, which are rounded correctly to 25 digits, rounded once more to a double. Nothing else of cbp
imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any, ClassVar

from cbp._arguments import real, whole
from cbp.errors import unknown

__all__ = [
    "Schedule",
    "Constant",
    "StepDecay",
    "ExponentialDecay",
    "InverseScaling",
    "PolynomialDecay",
    "CosineDecay",
    "CosineRestarts",
    "OneCycle",
    "LinearWarmup",
    "get",
]

# ---- numbers ----

# Everything is given, so that nobody's changes of decimal's defaults reach a rate.
_DIGITS = Context(prec=25, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, capitals=1, clamp=0, flags=[], traps=[])

# sin(pi d) = d * sum of c[k] d**(2 k), k = 0, 1, ...: c[k] = (-1)**k pi**(2 k + 1) / (2 k + 1)!
_SINE = (
    3.141592653589793,
    -5.16771278004997,
    2.5501640398773455,
    -0.5992645293207921,
    0.08214588661112823,
    -0.0073704309457143504,
    0.00046630280576761255,
    -2.1915353447830217e-05,
    7.952054001475513e-07,
)


def _sine(d: float) -> float:
    """Return sin(pi d) for d from -1/4 to 1/4."""
    square, total = d * d, 0.0
    for coefficient in reversed(_SINE):
        total = total * square + coefficient
    return total * d


def _rise(x: float) -> float:
    """Return (1 - cos(pi x)) / 2 for x from 0 to 1, to three units in the last place; it is sin(pi x / 2)**2."""
    if x > 0.75:
        return 1.0 - _rise(1.0 - x)
    if x > 0.25:
        return 0.5 - 0.5 * _sine(0.5 - x)
    sine = _sine(0.5 * x)
    return sine * sine


@lru_cache(maxsize=256)
def _power(base: float, over: float, under: int = 1) -> float:
    """Return base ** (over / under), rounded correctly but for one case in ten thousand millions."""
    if base == 0 or over == 0:
        return 1.0 if over == 0 else 0.0
    if over == under:
        return base
    if 2 * over == under:
        return math.sqrt(base)
    exponent = _DIGITS.divide(Decimal(over), Decimal(under))
    return float(_DIGITS.exp(_DIGITS.multiply(exponent, _DIGITS.ln(Decimal(base)))))


def _between(low: float, high: float, share: float) -> float:
    """Return low + share (high - low), and exactly low or high at the ends."""
    return high if share == 1 else low + share * (high - low)


# ---- arguments ----


def _count(value: Any, name: str) -> int:
    return whole(value, name, 1)


def _positive(value: Any, name: str) -> float:
    if (number := real(value, name, low=0.0)) == 0:
        raise ValueError(f"{name} must be greater than 0")
    return number


def _not_negative(value: Any, name: str) -> float:
    return real(value, name, low=0.0)


def _share(value: Any, name: str) -> float:
    return real(value, name, low=0.0, below=1.0)


def _function(value: Any, name: str) -> Any:
    if not callable(value):
        raise TypeError(f"{name} must be a schedule or a function of the step, not {value!r}")
    return value


# What an argument may be: one meaning a name, in all schedules
_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "learning_rate": _not_negative,
    "final": _not_negative,
    "start": _not_negative,
    "factor": _positive,
    "power": _not_negative,
    "steps": _count,
    "every": _count,
    "growth": _count,
    "rise": _share,
    "divisor": _positive,
    "final_divisor": _positive,
    "schedule": _function,
}


@dataclass(frozen=True)
class Schedule:
    """Base of the schedules: call one with a number of updates made so far, 0 at first, to get the next one's rate.

    Two of them are equal if they are of one class and have equal attributes; these cannot be changed.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.StepDecay(0.1, every=100, factor=0.5)
    >>> schedule(99), schedule(100)
    (0.1, 0.05)
    >>> cbp.schedules.get(schedule.get_config()) == schedule
    True
    """

    _classes: ClassVar[dict[str, type[Schedule]]] = {}

    def __init_subclass__(cls) -> None:
        Schedule._classes[cls.__name__] = cls

    def __post_init__(self) -> None:
        for field in fields(self):
            if (check := _CHECKS.get(field.name)) is not None:  # a class of somebody else's may have other names
                object.__setattr__(self, field.name, check(getattr(self, field.name), field.name))

    def __call__(self, step: int) -> float:
        """Return the learning rate of the update after `step` others."""
        return self._rate(whole(step, "step", 0))

    def _rate(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def get_config(self) -> dict[str, Any]:
        """Return the name and the attributes, as JSON can keep them; `get` makes the same schedule from it.

        Raises
        ------
        TypeError
            A plain function is part of it.
        """
        config = {field.name: getattr(self, field.name) for field in fields(self)}
        inner = config.get("schedule")
        if isinstance(inner, Schedule):
            config["schedule"] = inner.get_config()
        elif inner is not None:
            raise TypeError(f"the function {inner!r} cannot be kept in a configuration")
        return {"name": type(self).__name__, **config}


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate always, to be warmed up to or compared with.

    Parameters
    ----------
    learning_rate : float
        The rate.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def _rate(self, step: int) -> float:
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay(Schedule):
    """A staircase: learning_rate * factor ** (step // every).

    Parameters
    ----------
    learning_rate : float
        The first rate.
    every : int
        Updates on one stair.
    factor : float, default 0.1
        What the rate is multiplied by, greater than 0.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.StepDecay(0.8, every=10, factor=0.5)
    >>> [schedule(step) for step in (0, 9, 10, 20)]
    [0.8, 0.8, 0.4, 0.2]
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def _rate(self, step: int) -> float:
        return self.learning_rate * _power(self.factor, step // self.every)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """A smooth decay: learning_rate * factor ** (step / every).

    Parameters
    ----------
    learning_rate : float
        The first rate.
    factor : float
        What the rate is multiplied by in the course of `every` updates, greater than 0.
    every : int, default 1
        In how many updates.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.ExponentialDecay(0.8, factor=0.25, every=10)
    >>> [schedule(step) for step in (0, 5, 10)]
    [0.8, 0.4, 0.2]
    """

    learning_rate: float
    factor: float
    every: int = 1

    def _rate(self, step: int) -> float:
        return self.learning_rate * _power(self.factor, step, self.every)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """learning_rate / (step + 1) ** power: what scikit-learn calls invscaling.

    Parameters
    ----------
    learning_rate : float
        The first rate.
    power : float, default 0.5
        How fast it falls; 1/2 is that of the classical bounds for convex objectives.

    Notes
    -----
    A step is an update here; scikit-learn counts samples.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.InverseScaling(0.1)
    >>> schedule(0), schedule(99)
    (0.1, 0.01)
    """

    learning_rate: float
    power: float = 0.5

    def _rate(self, step: int) -> float:
        return self.learning_rate / _power(float(step + 1), self.power)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """final + (learning_rate - final) * (1 - step / steps) ** power, and `final` from then on.

    Parameters
    ----------
    learning_rate : float
        The first rate.
    steps : int
        Updates until `final` is reached.
    final : float, default 0
        The last rate.
    power : float, default 1
        1 is a straight line.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.PolynomialDecay(0.4, steps=4)
    >>> [schedule(step) for step in (0, 1, 2, 4, 5)]
    [0.4, 0.30000000000000004, 0.2, 0.0, 0.0]
    """

    learning_rate: float
    steps: int
    final: float = 0.0
    power: float = 1.0

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        return _between(self.final, self.learning_rate, _power((self.steps - step) / self.steps, self.power))


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a wave down: final + (learning_rate - final) * (1 + cos(pi * step / steps)) / 2, then `final`.

    Parameters
    ----------
    learning_rate : float
        The first rate.
    steps : int
        Updates until `final` is reached: for the whole of a `fit`, epochs * ceil(rows / batch_size).
    final : float, default 0
        The last rate.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017, without the restarts.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.CosineDecay(0.1, steps=100)
    >>> schedule(0), schedule(50), schedule(100)
    (0.1, 0.05, 0.0)
    """

    learning_rate: float
    steps: int
    final: float = 0.0

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        return _between(self.final, self.learning_rate, _rise((self.steps - step) / self.steps))


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Cosine decay that begins again and again (SGDR), each time `growth` times as long.

    Parameters
    ----------
    learning_rate : float
        The first rate of every period.
    steps : int
        Updates of the first period.
    growth : int, default 1
        How many times as long as the one before a period is.
    final : float, default 0
        What the rate comes down to; the update that would reach it begins the next period.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017, equation 5: `steps` is
    T_0, `growth` T_mult.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.CosineRestarts(0.1, steps=10, growth=2)
    >>> [schedule(step) for step in (0, 5, 10, 20, 30)]
    [0.1, 0.05, 0.1, 0.05, 0.1]
    """

    learning_rate: float
    steps: int
    growth: int = 1
    final: float = 0.0

    def _rate(self, step: int) -> float:
        length = self.steps
        if self.growth == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.growth
        return _between(self.final, self.learning_rate, _rise((length - step) / length))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to a large rate and down to a tiny one, along two half waves.

    Parameters
    ----------
    learning_rate : float
        The largest rate.
    steps : int
        Updates of the cycle; the last of them has the lowest rate, as have all after it.
    rise : float, default 0.3
        Share of the updates on the way up, from 0 to less than 1.
    divisor : float, default 25
        The first rate is learning_rate / divisor.
    final_divisor : float, default 1e4
        The last rate is the first one / final_divisor.

    Notes
    -----
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018, in
    the form that PyTorch's OneCycleLR has by default: the top is at rise * steps - 1.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.OneCycle(1.0, steps=101, rise=51 / 101, divisor=10, final_divisor=100)
    >>> [round(schedule(step), 6) for step in (0, 25, 50, 75, 100)]
    [0.1, 0.55, 1.0, 0.5005, 0.001]
    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    divisor: float = 25.0
    final_divisor: float = 1e4

    def _rate(self, step: int) -> float:
        first = self.learning_rate / self.divisor
        top, last = max(self.rise * self.steps - 1.0, 0.0), self.steps - 1
        if step < top:
            return _between(first, self.learning_rate, _rise(step / top))
        share = (last - step) / (last - top) if step < last else 0.0
        return _between(first / self.final_divisor, self.learning_rate, _rise(share))


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """A straight line up to the first rate of another schedule, which then begins with its step 0.

    Parameters
    ----------
    schedule : Schedule or function of the step
        What comes after.
    steps : int
        Updates of the warm-up. Update number i of them, from 1, has the rate
        start + (schedule(0) - start) * i / (steps + 1).
    start : float, default 0
        Where the line comes from; the first update is one stair above it.

    Notes
    -----
    The gradual warm-up of Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.

    Examples
    --------
    >>> import cbp
    >>> schedule = cbp.schedules.LinearWarmup(cbp.schedules.StepDecay(0.5, every=10), steps=4)
    >>> [round(schedule(step), 6) for step in (0, 1, 2, 3, 4, 14)]
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.05]
    """

    schedule: Callable[[int], float]
    steps: int
    start: float = 0.0

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.schedule(step - self.steps)
        return _between(self.start, self.schedule(0), (step + 1) / (self.steps + 1))


def get(wanted: Schedule | Mapping[str, Any]) -> Schedule:
    """Return a schedule: the object itself, or one of the configuration that `get_config` returned.

    Parameters
    ----------
    wanted : Schedule or dict
        A dict has the "name" of a class and its arguments.

    Raises
    ------
    ValueError
        Unknown name, or an argument out of its range.
    TypeError
        Something else, or arguments that the class does not have.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.get({"name": "CosineDecay", "learning_rate": 0.1, "steps": 1000})
    CosineDecay(learning_rate=0.1, steps=1000, final=0.0)
    """
    if isinstance(wanted, Schedule):
        return wanted
    if not isinstance(wanted, Mapping) or "name" not in wanted:
        raise TypeError(f"a schedule's configuration is a dict with a 'name', not {wanted!r}")
    arguments = {name: value for name, value in wanted.items() if name != "name"}
    if isinstance(arguments.get("schedule"), Mapping):
        arguments["schedule"] = get(arguments["schedule"])
    if wanted["name"] not in Schedule._classes:
        raise unknown("schedule", wanted["name"], Schedule._classes)
    try:
        return Schedule._classes[wanted["name"]](**arguments)
    except TypeError as error:
        raise TypeError(f"{wanted['name']}: {error}") from None
