"""The line search, on functions of More and Thuente (ACM Transactions on Mathematical Software 20, 1994) and others."""

import math

import numpy as np
import pytest
from searching import Function

from cbp.methods.line_search import Point, strong_wolfe


def rational(a, beta=2.0):
    return -a / (a * a + beta), (a * a - beta) / (a * a + beta) ** 2


def fifth(a, beta=0.004):
    return (a + beta) ** 5 - 2 * (a + beta) ** 4, 5 * (a + beta) ** 4 - 8 * (a + beta) ** 3


def bumpy(a, beta=0.01, l=39):
    """Section 5, function 3: a parabola's middle between two lines, and small waves on all of it."""
    waves = 2 * (1 - beta) / (l * math.pi) * math.sin(l * math.pi / 2 * a)
    steep = (1 - beta) * math.cos(l * math.pi / 2 * a)
    if a <= 1 - beta:
        return 1 - a + waves, -1 + steep
    if a >= 1 + beta:
        return a - 1 + waves, 1 + steep
    return (a - 1) ** 2 / (2 * beta) + beta / 2 + waves, (a - 1) / beta + steep


def yanai(one, two):
    """Functions 4 to 6."""

    def weight(beta):
        return math.sqrt(1 + beta * beta) - beta

    def function(a):
        right, left = math.sqrt((1 - a) ** 2 + two**2), math.sqrt(a * a + one**2)
        value = weight(one) * right + weight(two) * left
        return value, weight(one) * (a - 1) / right + weight(two) * a / left

    return function


# The functions with the mu and eta that the paper uses for them: tables I to VI
PAPER = {
    "1": (rational, 1e-3, 1e-1),
    "2": (fifth, 0.1, 0.1 + 1e-12),
    "3": (bumpy, 0.1, 0.1 + 1e-12),
    "4": (yanai(0.001, 0.001), 1e-3, 1e-3 + 1e-12),
    "5": (yanai(0.01, 0.001), 1e-3, 1e-3 + 1e-12),
    "6": (yanai(0.001, 0.01), 1e-3, 1e-3 + 1e-12),
}


def line(function):
    """The function of one variable as an objective, and the point a = 0 of it."""
    objective = Function(lambda x: function(x[0])[0], lambda x: [function(x[0])[1]], [0.0])
    value, slope = function(0.0)
    return objective, Point(0.0, value, slope, objective.theta, np.array([slope]))


@pytest.mark.parametrize("first", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("name", PAPER)
def test_the_point_found_satisfies_the_strong_conditions(name, first):
    function, c1, c2 = PAPER[name]
    objective, start = line(function)
    found, count = strong_wolfe(objective, start, np.ones(1), first, c1, c2)
    value, slope = function(found.length)
    assert value <= start.loss + c1 * found.length * start.slope
    assert abs(slope) <= c2 * abs(start.slope)
    assert found.theta[0] == found.length
    assert (found.loss, found.slope) == (value, slope)
    assert count == objective.evaluations <= 20


@pytest.mark.parametrize("first", [1.0, 1.3, 0.2])
def test_the_first_length_is_taken_where_it_will_do(first):
    objective, start = line(lambda a: ((a - 1) ** 2, 2 * (a - 1)))
    found, count = strong_wolfe(objective, start, np.ones(1), first, 1e-4, 0.9)
    assert (found.length, count) == (first, 1)


@pytest.mark.parametrize("first", [0.05, 0.5, 1.6])
def test_a_parabola_takes_two_points(first):
    objective, start = line(lambda a: ((a - 1) ** 2, 2 * (a - 1)))
    found, count = strong_wolfe(objective, start, np.ones(1), first, 1e-4, 0.01)
    assert count == (2 if first > 0.1 else 3)
    assert found.length == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("outside", [math.nan, math.inf, -math.inf, 1e308])
def test_points_without_a_finite_loss_are_turned_away_from(outside):
    def function(a):
        return ((a - 1) ** 2, 2 * (a - 1)) if a < 2 else (outside, math.nan)

    objective, start = line(function)
    found, _ = strong_wolfe(objective, start, np.ones(1), 1e6, 1e-4, 0.5)
    assert abs(found.slope) <= 0.5 * 2


def test_a_finite_loss_with_a_slope_that_is_not_is_turned_away_from():
    objective, start = line(lambda a: ((a - 1) ** 2, 2 * (a - 1) if a < 0.9 else math.nan))
    found, _ = strong_wolfe(objective, start, np.ones(1), 1.0, 1e-4, 0.9)
    assert found.length < 0.9


def test_without_an_end_the_best_point_is_returned():
    objective, start = line(lambda a: (-a, -1.0))
    found, count = strong_wolfe(objective, start, np.ones(1), 1.0, 1e-4, 0.9, most=5)
    assert count == objective.evaluations == 5
    assert found.loss == -found.length < -100


def test_where_nothing_is_lower_nothing_is_found():
    objective, start = line(lambda a: (abs(a), 1.0 if a > 0 else -1.0))
    assert strong_wolfe(objective, start, np.ones(1), 1.0, 1e-4, 0.9) == (None, 25)


def test_an_equal_loss_is_no_success():
    objective, start = line(lambda a: (1.0, -1e-30))
    assert strong_wolfe(objective, start, np.ones(1), 1.0, 1e-4, 0.9)[0] is None
