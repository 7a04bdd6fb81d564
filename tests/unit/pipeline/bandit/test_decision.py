"""Rounding to hundredths of a percent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_pipeline.bandit import to_hundredths

NAN = float("nan")
WEIGHTS = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=90).filter(lambda w: sum(w) > 1e-3)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1 / 3, 1 / 3, 1 / 3], [3334, 3333, 3333]),  # a tie goes to the earlier position
        ([1 / 6] * 6, [1667, 1667, 1667, 1667, 1666, 1666]),
        ([0.2874, 0.7126], [2874, 7126]),  # 0.2874 * 10_000 is 2874.0000000000005
        ([1.0], [10_000]),
        ([0.00004, 0.99996], [0, 10_000]),
        ([0.00006, 0.99994], [1, 9_999]),
        ([0.5, NAN, 0.5, 0.0], [5_000, 0, 5_000, 0]),
        ([0.0, 0.33333, 0.66667 - 1e-7], [0, 3_333, 6_667]),
    ],
)
def test_the_largest_remainders_get_what_is_left(shares, expected):
    hundredths = to_hundredths(shares)
    assert hundredths.dtype == np.int64
    np.testing.assert_array_equal(hundredths, expected)


def test_each_row_is_rounded_by_itself():
    rows = [[0.25, 0.75, NAN], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_array_equal(to_hundredths(rows), [[2500, 7500, 0], [3334, 3333, 3333]])
    assert to_hundredths(np.empty((0, 3))).shape == (0, 3)


@given(weights=WEIGHTS)
def test_the_sum_is_exact_and_nobody_is_off_by_one(weights):
    shares = np.array(weights) / sum(weights)
    hundredths = to_hundredths(shares)
    assert hundredths.sum() == 10_000
    assert (np.abs(hundredths - shares * 10_000) < 1.0 + 1e-6).all()


@given(weights=WEIGHTS, zeros=st.integers(1, 10))
def test_a_zero_or_padded_cell_never_gets_a_hundredth(weights, zeros):
    shares = np.array(weights) / sum(weights)
    for filler in (0.0, NAN):
        padded = np.concatenate([np.full(zeros, filler), shares])
        np.testing.assert_array_equal(to_hundredths(padded)[:zeros], 0)
        np.testing.assert_array_equal(to_hundredths(padded)[zeros:], to_hundredths(shares))


@given(cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_shares_that_are_hundredths_already_stay(cuts):
    exact = np.diff([0, *sorted(cuts), 10_000])
    np.testing.assert_array_equal(to_hundredths(exact / 10_000), exact)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], "shares of experiment 1 sum to 1.1"),
        ([[1.5, -0.5]], "experiment 0, variant 1 has shares = -0.5"),
        ([np.inf, 0.5], "variant 0 has shares = inf"),
        ([NAN, NAN], "sum to 0, not to 1"),
        ([1.0 + 2e-6], "sum to 1.0000020"),
        (1.0, "n_variants"),
        ([], "sum to 0"),
    ],
)
def test_shares_that_are_none_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        to_hundredths(shares)
