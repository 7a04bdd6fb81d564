"""The exact binomial tail, against sums of fractions and in the far corners."""

import math
from fractions import Fraction

import numpy as np
import pytest

from mab_pipeline.bandit import binomial_tail

WIDEN = Fraction(1, 10**9)


def favourable_tail(low, high, n, p):
    def between(first, last, q):
        return sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(first, last + 1))

    p = Fraction(p)
    below = between(0, high, max(p - WIDEN, Fraction(0)))
    above = between(low, n, min(p + WIDEN, Fraction(1)))
    return float(min(below, above))


@pytest.mark.parametrize("p", [0.0, 1e-12, 1e-9, 1e-3, 0.3, 0.5, 0.999, 1 - 1e-9, 1.0])
@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 1), (3, 5), (39, 40), (40, 40), (0, 40)])
def test_the_tail_is_the_sum_of_its_terms(p, low, high):
    expected = favourable_tail(low, high, 40, p)
    # The widening by 1e-9 is itself rounded, to 1e-16 of p, and counts up to 40 times over.
    np.testing.assert_allclose(binomial_tail(low, high, 40, p), expected, rtol=1e-5, atol=0)


def test_a_rare_win_is_no_alarm_but_many_are():
    # One win at p = 1e-6 in 10,000 draws is 9.9 standard errors, and happens in 1 % of the runs.
    tail = binomial_tail([1, 2, 5], [1, 2, 5], 10_000, 1e-6)
    assert tail[0] == pytest.approx(1 - (1 - 1.001e-6) ** 10_000, rel=1e-6)
    assert tail[1] > 1e-9 > tail[2]


def test_a_win_of_the_impossible_is_excused_by_the_tolerance_only():
    assert binomial_tail(1, 1, 10_000, 0.0) == pytest.approx(1e-5, rel=1e-4)
    assert binomial_tail(3, 3, 10_000, 0.0) < 1e-9
    assert binomial_tail(9_997, 9_997, 10_000, 1.0) < 1e-9
    assert binomial_tail(9_999, 9_999, 10_000, 1.0) == pytest.approx(1e-5, rel=1e-4)
    assert binomial_tail(0, 0, 10_000, 0.0) == 1.0
    assert binomial_tail(10_000, 10_000, 10_000, 1.0) == 1.0


def test_the_tail_is_symmetric_in_wins_and_losses():
    wins = np.arange(0, 10_001, 137)
    for p in (0.25, 0.0625, 0.5):
        np.testing.assert_allclose(
            binomial_tail(wins, wins, 10_000, p),
            binomial_tail(10_000 - wins, 10_000 - wins, 10_000, 1 - p),
            rtol=1e-9,
        )


def test_a_wider_interval_is_never_less_favourable():
    narrow = binomial_tail(520, 520, 1_000, 0.4)
    wide = binomial_tail(515, 525, 1_000, 0.4)
    assert narrow < wide == binomial_tail(515, 515, 1_000, 0.4)


def test_arguments_broadcast_and_the_usual_case_is_calm():
    tail = binomial_tail([[2_000], [3_000]], [[2_000], [3_000]], 10_000, [0.2, 0.3])
    assert tail.shape == (2, 2)
    assert tail[0, 0] > 0.4
    assert tail[1, 1] > 0.4
    assert tail[0, 1] < 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1, 0, 0.5), "samples must be whole and at least 1"),
        ((2, 1, 10, 0.5), "wins must be whole, 0 <= wins_low <= wins_high <= samples"),
        ((-1, 1, 10, 0.5), "wins must be"),
        ((1, 11, 10, 0.5), "wins must be"),
        ((0.5, 1, 10, 0.5), "wins must be"),
        ((1, 1, 10, 1.5), "probability must lie between 0 and 1"),
        ((1, 1, 10, float("nan")), "probability"),
        (([1, 2], [1, 2], 10, [0.1, 0.2, 0.3]), "do not broadcast"),
        (([1, 30], [1, 30], 10, [0.1, 0.2]), "variant 1 has wins_low = 30"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        binomial_tail(*arguments)
