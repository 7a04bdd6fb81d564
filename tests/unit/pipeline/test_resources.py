"""Results that the steps of a run share."""

import pytest

from mab_pipeline.resources import LastResult


def test_an_equal_input_is_computed_once_and_another_again():
    computed = []

    def double(values):
        def compute():
            computed.append(values)
            return [2 * value for value in values]

        return compute

    last = LastResult()
    first = last.of([1, 2], double([1, 2]))
    assert last.of([1, 2], double([1, 2])) is first
    assert last.of([3], double([3])) == [6]
    assert last.of([1, 2], double([1, 2])) == [2, 4]
    assert computed == [[1, 2], [3], [1, 2]]


def test_a_computation_that_fails_leaves_nothing_behind():
    last = LastResult()
    last.of(1, lambda: "one")
    with pytest.raises(ZeroDivisionError):
        last.of(2, lambda: 1 / 0)
    assert last.of(2, lambda: "two") == "two"
