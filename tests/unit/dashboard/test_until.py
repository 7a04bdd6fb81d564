from datetime import date

import numpy as np
import pytest

from mab_dashboard.counts import Counts
from mab_dashboard.until import advice_now, wait
from tests.unit.dashboard.test_what_if import RULE

FIRST = date(2026, 1, 1)


def counts(n_days: int, impressions: int, *clicks: int) -> Counts:
    shape = (n_days, len(clicks))
    names = ("control", "b", "c")[: len(clicks)]
    return Counts(FIRST, names, np.full(shape, impressions), np.tile(np.array(clicks), (n_days, 1)))


def test_a_clear_leader_wins_once_there_are_two_weeks_and_it_is_the_same_twice():
    given = counts(7, 1000, 50, 100)
    told: list[float] = []
    found = wait(given, RULE, stop_loss=0.005, follow=told.append)
    assert found == wait(given, RULE, stop_loss=0.005)
    assert found is not None
    assert found.now.verdict == "keep_running"
    assert (found.changed, found.days) == (found.reps, (7, 7, 7))
    assert {variant for _, variant, _ in found.verdicts} == {"b"}
    assert sum(count for *_, count in found.verdicts) == found.reps
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert found.rates == pytest.approx((0.05, 0.1), rel=0.02)
    assert found.traffic == 2000


def test_advice_that_holds_is_said_to_hold():
    found = wait(counts(28, 5000, 100, 500), RULE, stop_loss=0.005)
    assert found is not None
    assert found.now == advice_now(counts(28, 5000, 100, 500), 0.005)
    assert (found.changed, found.days, found.verdicts) == (0, (None, None, None), ())


@pytest.mark.parametrize("given", [counts(20, 100, 5), counts(20, 0, 0, 0), counts(0, 1, 1, 1)])
def test_one_variant_or_no_traffic_is_nothing_to_simulate(given):
    assert wait(given, RULE, stop_loss=0.005) is None


def test_only_whole_weeks_of_the_last_26_count():
    old = counts(27 * 7, 100, 50, 1)
    new = counts(26 * 7 + 3, 1000, 10, 40)
    joined = old._replace(
        impressions=np.concatenate([old.impressions, new.impressions]),
        clicks=np.concatenate([old.clicks, new.clicks]),
    )
    assert advice_now(joined, 0.005) == advice_now(counts(26 * 7 - 4, 1000, 10, 40), 0.005)
