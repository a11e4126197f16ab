"""A table in one test fails where one of its rows would, and says which."""

import inspect

import pytest
from cases import each_of


@each_of("a, b", [(1, 2), (2, 3), (4, 5)])
def test_every_row_is_tried(a, b):
    assert b == a + 1


def test_all_that_fail_are_named():
    tried = []

    @each_of("isa", ["scalar", "avx2"])
    @each_of("n, unit", [(number, ("tanh", 0.5)) for number in range(8)])
    def odd(n, unit, isa):
        tried.append((isa, n))
        assert n % 2, "even"

    with pytest.raises(ExceptionGroup) as caught:
        odd()
    assert len(tried) == 16
    assert str(caught.value).startswith("2 of 2 cases failed: 0: isa=scalar; 1: isa=avx2")
    inner = caught.value.exceptions[0]
    assert "4 of 8 cases failed: 0: n=0, unit=tanh-0.5; 2: n=2, unit=tanh-0.5;" in str(inner)
    assert inner.exceptions[1].__notes__ == ["case 2: n=2, unit=tanh-0.5"]


def test_fixtures_are_left_to_pytest():
    @each_of("a", [1])
    def takes(a, tmp_path):
        assert (a, tmp_path) == (1, 2)

    assert list(inspect.signature(takes).parameters) == ["tmp_path"]
    takes(tmp_path=2)


def test_a_table_of_nothing_or_of_something_else_is_refused():
    with pytest.raises(ValueError, match="no case for a"):
        each_of("a", [])
    with pytest.raises(ValueError, match="does not take b"):
        each_of("b", [1])(lambda a: None)
