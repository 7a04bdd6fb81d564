"""Floors under shares, and whether traffic followed the shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_pipeline import bandit

weights = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).filter(lambda w: sum(w) > 1e-3)


@settings(derandomize=True)  # the same histories on every machine
@given(weights, st.floats(0.0, 1.0), st.floats(0.0, 0.5))
def test_shares_sum_to_1_and_every_floor_holds(raw, exploration, control_floor):
    w = np.array(raw) / sum(raw)
    floors = np.zeros_like(w)
    floors[0] = control_floor
    shares = bandit.explore(w, exploration, floors)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    least = np.maximum(exploration / len(w), floors)
    if least.sum() < 1.0:
        assert (shares >= least - 1e-12).all()
    else:
        assert shares == pytest.approx(np.full(len(w), 1 / len(w)))


def test_no_exploration_and_no_floor_change_no_bit():
    w = np.array([[0.25, 0.75, np.nan], [0.125, 0.5, 0.375]])
    assert bandit.explore(w, 0.0).tobytes() == w.tobytes()


def test_padding_takes_no_part():
    shares = bandit.explore([[0.9, 0.1, np.nan]], 0.2)
    assert shares[0, :2] == pytest.approx([0.82, 0.18])
    assert np.isnan(shares[0, 2])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0.5, 0.5], 1.1), "exploration must lie between 0 and 1"),
        (([0.5, 0.5], -0.1), "exploration must lie between 0 and 1"),
        (([0.5, 0.5], float("nan")), "exploration must lie between 0 and 1"),
        (([0.5, 0.6], 0.1), "the weights of experiment 0 sum to 1.1"),
        (([1.5, -0.5], 0.1), "weights must be finite and not negative; variant 1"),
        (([0.5, 0.5], 0.1, [0.1, 1.1]), "floors must lie in 0 to 1; variant 1"),
        (([0.5, 0.5], 0.1, [0.1]), "must have one shape"),
    ],
)
def test_what_cannot_be_a_share_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        bandit.explore(*arguments)


def test_traffic_that_follows_moving_shares_is_no_mismatch():
    """Two days of 1,000 sessions at 50/50 and 90/10: 1,400 and 600 are as promised."""
    assert bandit.sample_ratio_p_value([1400, 600], [1400, 600]) == 1.0
    assert bandit.sample_ratio_p_value([1000, 1000], [1400, 600]) < 1e-60


def test_traffic_where_nothing_was_promised_is_a_mismatch():
    assert bandit.sample_ratio_p_value([500, 500, 1], [500, 500, 0]) == 0.0
    without = bandit.sample_ratio_p_value([500, 500, 0], [500, 500, 0])
    assert without == bandit.sample_ratio_p_value([500, 500], [500, 500]) == 1.0


@pytest.mark.parametrize("counts", [([0, 0], [0.5, 0.5]), ([10], [1]), ([5, 5], [1, 0])])
def test_without_traffic_or_a_second_variant_there_is_nothing_to_test(counts):
    p = bandit.sample_ratio_p_value(*counts)
    assert np.isnan(p) or p == 0.0


def test_a_batch_gives_what_each_experiment_gives():
    observed = np.array([[1000, 1200, np.nan], [310, 98, 5]])
    expected = np.array([[1, 1, np.nan], [300, 100, 13]])
    batch = bandit.sample_ratio_p_value(observed, expected)
    assert batch[0] == bandit.sample_ratio_p_value([1000, 1200], [1, 1])
    assert batch[1] == bandit.sample_ratio_p_value(observed[1], expected[1])
