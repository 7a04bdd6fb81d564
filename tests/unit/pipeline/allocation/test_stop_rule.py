"""The stop advice: hand-computed scores, and both sides of each threshold."""

import numpy as np
import pytest

from mab_pipeline import bandit
from mab_pipeline.allocation import stop_rule
from mab_pipeline.allocation.stop_rule import advise, lead, whole_weeks, winner


def constant(days, impressions, clicks):
    """Return counts that are the same on each day, but for a click more or less in turn."""
    shown = np.tile(np.array(impressions, dtype=float), (days, 1))
    hits = np.tile(np.array(clicks, dtype=float), (days, 1))
    hits[::2, 0] += 1
    hits[1::2, 0] -= 1
    return shown, hits


def advice(counts, names=("a", "b"), *, stop_loss=0.005, faults=()):
    return advise(names, *counts, stop_loss=stop_loss, faults=faults)


def test_the_score_of_two_days_is_that_of_a_computation_by_hand():
    found = bandit.stratified_score([[100, 100], [50, 150]], [[10, 20], [5, 10]])
    # day 1: 10 - 30 * 1/2 = -5; day 2: 5 - 15 * 1/4 = 1.25
    assert found.score[0, 1] == pytest.approx(-3.75)
    assert found.score[1, 0] == pytest.approx(3.75)
    first = 100 * 100 * 30 * 170 / (200**2 * 199)
    second = 50 * 150 * 15 * 185 / (200**2 * 199)
    assert found.variance[0, 1] == found.variance[1, 0] == pytest.approx(first + second)
    days = (first + second) ** 2 / (first**2 + second**2)
    slope = -3.75 / (first + second)
    rest = (-5 - slope * first) ** 2 + (1.25 - slope * second) ** 2
    assert found.effective_days[0, 1] == pytest.approx(days)
    assert found.residual[0, 1] == pytest.approx(rest * days / (days - 1))
    assert found.days[0, 1] == 2
    assert not np.diagonal(found.score).any()


def test_the_score_is_zero_if_the_rates_are_equal_each_day_however_days_and_shares_move():
    shown = np.array([[900.0, 100.0], [100.0, 900.0], [500.0, 500.0]])
    found = bandit.stratified_score(shown, shown * [[0.1], [0.02], [0.5]])
    assert np.allclose(found.score, 0.0)


def test_days_of_one_variant_alone_tell_nothing():
    found = bandit.stratified_score([[0, 10], [10, 0], [5, 5]], [[0, 5], [5, 0], [0, 0]])
    assert not found.days.any()
    assert not found.variance.any()


@pytest.mark.parametrize(
    ("impressions", "clicks", "message"),
    [
        ([[1, 2]], [[2, 2]], "clicks must not exceed impressions"),
        ([[-1, 2]], [[-1, 2]], "not negative"),
        ([[np.nan, 2]], [[0, 2]], "must be finite"),
        ([1, 2], [0, 0], "must have the shape"),
    ],
)
def test_rubbish_is_refused(impressions, clicks, message):
    with pytest.raises(ValueError, match=message):
        bandit.stratified_score(impressions, clicks)


@pytest.mark.parametrize(
    ("days", "counted"), [(0, 0), (13, 0), (14, 14), (20, 14), (21, 21), (182, 182)]
)
def test_whole_weeks_count_and_at_least_two(days, counted):
    assert whole_weeks(days) == counted


def test_permuting_the_variants_permutes_the_lead():
    rng = np.random.default_rng(3)
    shown = rng.integers(100, 1000, (21, 4)).astype(float)
    hits = rng.binomial(shown.astype(int), [0.04, 0.05, 0.06, 0.05]).astype(float)
    order = [2, 0, 3, 1]
    assert np.allclose(lead(shown[:, order], hits[:, order]), lead(shown, hits)[order])


def test_many_runs_at_once_are_each_run_alone():
    rng = np.random.default_rng(4)
    shown = rng.integers(100, 1000, (5, 14, 3)).astype(float)
    hits = rng.binomial(shown.astype(int), 0.05).astype(float)
    together = lead(shown, hits)
    for run in range(5):
        assert np.array_equal(together[run], lead(shown[run], hits[run]))


def test_a_winner_is_named_from_the_least_probability_on():
    counts = constant(14, (1000, 1000), (58, 50))
    probability = lead(*counts)[0]
    assert 0.9 < probability < 1.0
    assert stop_rule.fit_weeks([counts])[0].phi == 1.0
    assert winner(*counts, least=probability) == 0
    assert winner(*counts, least=np.nextafter(probability, 1.0)) is None


def test_a_winner_needs_fourteen_days_against_each_other_variant():
    shown, hits = constant(21, (1000, 1000, 1000), (90, 50, 50))
    assert winner(shown, hits) == 0
    shown[:8, 2] = hits[:8, 2] = 0  # the third has 13 days
    assert winner(shown, hits) is None
    shown[7, 2], hits[7, 2] = 1000, 50  # and now 14
    assert winner(shown, hits) == 0


def test_noise_across_days_takes_the_winner_away():
    shown, hits = constant(14, (1000, 1000), (70, 50))
    assert winner(shown, hits) == 0
    hits[::2, 0] += 60
    hits[1::2, 0] -= 60
    assert winner(shown, hits) is None


def test_the_advice_names_the_winner_with_its_error_rate():
    found = advice(constant(14, (1000, 1000), (90, 50)))
    assert (found.verdict, found.variant_name) == ("winner", "a")
    assert found.error_rate == stop_rule.WINNER_ERROR
    assert found.reason.startswith("a beats each other variant day by day over 14 days")


def test_thirteen_days_are_too_few_for_any_advice():
    found = advice(constant(13, (1000, 1000), (90, 50)))
    assert (found.verdict, found.variant_name, found.error_rate) == ("keep_running", None, None)
    assert found.reason == "There are 13 days of data; the advice needs 14."
    one = advice(constant(1, [1000, 1000], [50, 50]))
    assert one.reason == "There is 1 day of data; the advice needs 14."


def test_stopping_is_safe_just_below_stop_loss_and_not_at_it():
    counts = constant(14, (20_000, 20_000), (1005, 1000))
    leader, loss = stop_rule.leader_loss(*counts)
    assert leader == 0
    assert 0.0 < loss < 0.02
    above = advice(counts, stop_loss=np.nextafter(loss, 1.0))
    assert (above.verdict, above.variant_name) == ("safe_to_stop", "a")
    assert above.error_rate == stop_rule.SAFE_ERROR
    at = advice(counts, stop_loss=loss)
    assert (at.verdict, at.variant_name, at.error_rate) == ("keep_running", None, None)


def test_bad_data_come_before_any_other_advice():
    found = advice(constant(14, (1000, 1000), (90, 50)), faults=("x is missing", "y too"))
    assert found.verdict == "data_problem"
    assert found.reason == "See to the data first: x is missing; y too."


@pytest.mark.parametrize("days", [0, 30])
def test_one_variant_or_no_click_is_no_reason_to_stop(days):
    none = np.zeros((days, 1))
    assert advice((none, none), ("a",)).reason == "There is one variant and nothing to compare."
    shown = np.full((days, 2), 100.0)
    assert advice((shown, shown * 0)).verdict == "keep_running"
    assert advice((shown * 0, shown * 0)).verdict == "keep_running"
