"""Tests that stop by themselves: Scott's example, in small; `make bench` runs all of it."""

import numpy as np
import pytest

from mab_pipeline.bandit import value_remaining
from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.stopping import Plan, _may_be_below, stop_test
from mab_store.settings import Settings

WHOLE_HISTORY = "DEFAULT_WINDOW_DAYS=365,MAX_WINDOW_DAYS=365,MIN_IMPRESSIONS=0"
RULE = parse_policy(f"{WHOLE_HISTORY},PRIOR_ALPHA=1,PRIOR_BETA=1", Settings(_env_file=None)).rule
PLAN = Plan(traffic=100, fixed_days=223, days=240)


def test_scotts_example_saves_most_of_the_223_days():
    test = stop_test(np.array([0.04, 0.05]), RULE, PLAN, reps=40, seed=1)
    assert test.days_saved == pytest.approx(177.9, abs=4.0 + 3.0 * test.days_se)
    assert test.clicks_saved == pytest.approx(98.2, abs=1.5 + 3.0 * test.clicks_se)
    assert test.right > 0.85


def test_no_test_ends_before_its_first_day_and_a_clear_one_ends_then():
    test = stop_test(np.array([0.1, 0.9]), RULE, PLAN, reps=3, seed=1)
    assert test.days_saved == 223 - 14
    assert test.days_se == 0.0
    assert test.right == 1.0
    # Of 223 days at 50 clicks lost a day hardly anything is lost after day 1.
    assert test.clicks_saved == pytest.approx(222 * 40, rel=0.01)


def test_equal_variants_end_when_little_is_left_to_gain():
    plan = Plan(traffic=1_000_000, fixed_days=100, days=30)
    test = stop_test(np.array([0.5, 0.5]), RULE, plan, reps=5, seed=1)
    assert test.days_saved == 100 - 14
    assert test.clicks_saved == 0.0


def test_a_test_without_a_decision_is_counted_as_unfinished():
    plan = Plan(traffic=10, fixed_days=100, days=20, confidence=0.999999)
    test = stop_test(np.array([0.05, 0.05]), RULE, plan, reps=5, seed=1)
    assert (test.unfinished, test.days_saved) == (1.0, 80.0)


def test_the_quick_look_never_misses_a_test_that_ends():
    generator = np.random.default_rng(3)
    shown = 10.0 ** generator.uniform(2, 6, (60, 1))
    alpha = shown * 0.05 * generator.uniform(0.95, 1.05, (60, 2)) + 1.0
    beta = shown - alpha + 2.0
    best = np.column_stack([alpha[:, 0] > alpha[:, 1], alpha[:, 0] <= alpha[:, 1]]).astype(float)
    ends = value_remaining(alpha, beta) < 0.01
    assert 5 < ends.sum() < 55
    assert _may_be_below(alpha, beta, best, 0.01)[ends].all()
