"""Days and variants kept apart, and estimates after moving shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_pipeline import bandit
from mab_pipeline.bandit.day_effects import scaled_day_effects

cell = st.integers(0, 2000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@st.composite
def histories(draw):
    days, arms = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    cells = draw(st.lists(cell, min_size=days * arms, max_size=days * arms))
    counts = np.array(cells, dtype=np.float64).reshape(days, arms, 2)
    return counts[..., 0], counts[..., 1]


@settings(derandomize=True)  # the same histories on every machine
@given(histories())
def test_any_history_gives_finite_effects_that_keep_the_impressions(history):
    impressions, clicks = history
    effective, hits = bandit.day_effects(impressions, clicks)
    assert np.isfinite(effective).all()
    assert (effective >= hits).all()
    assert (hits == clicks.sum(axis=0)).all()
    assert 0.0 <= bandit.information_kept(impressions, clicks) <= 1.0
    phi = bandit.overdispersion(impressions, clicks)
    assert np.isnan(phi) or phi >= 0.0


@settings(derandomize=True)  # the same histories on every machine
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_days_and_variants_changes_nothing_but_places(history, random):
    impressions, clicks = history
    days, arms = list(range(len(impressions))), list(range(impressions.shape[1]))
    random.shuffle(days)
    random.shuffle(arms)
    effective, _ = bandit.day_effects(impressions, clicks)
    moved, _ = bandit.day_effects(impressions[days][:, arms], clicks[days][:, arms])
    assert moved == pytest.approx(effective[arms], rel=1e-6, abs=1e-6)


def test_one_share_for_all_days_needs_no_correction():
    impressions = np.outer([1000.0, 3000.0, 500.0], [0.5, 0.3, 0.2])
    clicks = np.outer([30.0, 60.0, 25.0], [0.5, 0.3, 0.2])
    effective, _ = bandit.day_effects(impressions, clicks)
    assert effective == pytest.approx(impressions.sum(axis=0), rel=1e-12)
    assert bandit.information_kept(impressions, clicks) == pytest.approx(1.0, rel=1e-9)


def test_rates_under_a_trend_are_brought_to_an_average_day():
    """Variants of 2 % and 3 %, days at 0.5 and 1.5 times that, and shares that moved with them."""
    impressions = np.array([[9000.0, 1000.0], [1000.0, 9000.0]])
    clicks = impressions * np.array([[0.5], [1.5]]) * np.array([0.02, 0.03])
    effective, hits = bandit.day_effects(impressions, clicks)
    assert (hits / effective)[1] / (hits / effective)[0] == pytest.approx(1.5, rel=1e-9)
    pooled = clicks.sum(axis=0) / impressions.sum(axis=0)
    assert pooled[1] / pooled[0] == pytest.approx(3.5, rel=1e-9)  # .0280 / .0080... of the days


def test_plain_binomial_counts_are_not_overdispersed():
    rng = np.random.default_rng(5)
    impressions = np.full((200, 3), 2000.0)
    rates = rng.uniform(0.02, 0.04, (200, 1)) * np.array([1.0, 1.1, 0.9])
    phi = bandit.overdispersion(impressions, rng.binomial(2000, rates))
    assert phi == pytest.approx(1.0, abs=0.25)  # its standard error is sqrt(2 / 398), about 0.07


def test_the_batchwise_difference_covers_the_truth_after_adaptive_shares():
    """2 against 2.6 %, days between 0.5 and 1.5, and shares that follow the winner."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        share, impressions, clicks = 0.5, [], []
        for day in np.linspace(0.5, 1.5, 14):
            n = np.array([round(2000 * (1 - share)), round(2000 * share)])
            x = rng.binomial(n, day * np.array([0.02, 0.026]))
            impressions.append(n)
            clicks.append(x)
            totals, hits = np.sum(impressions, axis=0), np.sum(clicks, axis=0)
            share = min(max(bandit.probability_beats(1 + hits, 99 + totals - hits, 0)[1], 0.1), 0.9)
        difference, error = bandit.batchwise_difference(impressions, clicks, 0)
        # Days weigh alike in the estimate up to their noise; the true difference averages to 0.006.
        covered += abs(difference[1] - 0.006) < 1.96 * error[1] + 0.0006
    assert covered >= 270


def test_days_on_which_a_variant_was_alone_count_for_nothing():
    impressions = np.array([[1000.0, 1000.0], [5000.0, 0.0]])
    clicks = np.array([[20.0, 30.0], [500.0, 0.0]])
    alone = bandit.batchwise_difference(impressions[:1], clicks[:1], 0)
    both = bandit.batchwise_difference(impressions, clicks, 0)
    assert both[0][1] == alone[0][1] == pytest.approx(0.01)
    assert both[1][1] == alone[1][1]
    difference, error = bandit.batchwise_difference(impressions[1:], clicks[1:], 0)
    assert np.isnan([difference, error]).all()


def test_a_share_of_0_leaves_the_level_unknown():
    impressions, clicks = [[100.0, 0.0], [50.0, 50.0]], [[5.0, 0.0], [2.0, 3.0]]
    rate, error = bandit.inverse_probability_rates(impressions, clicks, [[1.0, 0.0], [0.5, 0.5]])
    assert rate[0] == pytest.approx((5 + 4) / 200)
    assert np.isnan([rate[1], error[1]]).all()


@pytest.mark.parametrize(
    "call",
    [
        bandit.day_effects,
        bandit.overdispersion,
        bandit.information_kept,
        lambda n, x: bandit.batchwise_difference(n, x, 0),
        lambda n, x: bandit.inverse_probability_rates(n, x, np.full(np.shape(n), 0.5)),
    ],
)
@pytest.mark.parametrize(
    ("impressions", "clicks", "says"),
    [
        ([[10.0, 10.0]], [[11.0, 1.0]], "clicks must not exceed impressions"),
        ([[-1.0, 10.0]], [[0.0, 1.0]], "impressions must be finite and not negative"),
        ([[float("nan"), 10.0]], [[0.0, 1.0]], "impressions must be finite and not negative"),
        ([10.0, 10.0], [1.0, 1.0], r"\(n_days, n_variants\)"),
        ([[10.0, 10.0]], [[1.0]], "must have one shape"),
    ],
)
def test_counts_that_cannot_be_are_refused(call, impressions, clicks, says):
    with pytest.raises(ValueError, match=says):
        call(impressions, clicks)


def test_variants_that_no_chain_of_days_connects_keep_no_information():
    shown = np.array([[900.0, 0.0, 800.0], [0.0, 700.0, 0.0], [0.0, 600.0, 0.0]])
    assert bandit.information_kept(shown, shown / 10.0) == 0.0
    shown[2, 0] = 500.0  # now 0 meets 2 on one day and 1 on another
    assert 0.0 < bandit.information_kept(shown, shown / 10.0) < 1.0


def test_a_batch_gives_each_experiment_what_it_gets_alone_to_the_last_bit():
    generator = np.random.default_rng(7)
    shape = (60, 28, 3)
    shown = generator.integers(0, 3000, shape) * (generator.random(shape) < 0.6)
    hits = generator.binomial(shown, generator.uniform(0.0, 0.2, (60, 1, 3)))
    hits[:5, :, 1] = 0
    shown, hits = shown.astype(float), hits.astype(float)
    together = scaled_day_effects(shown, hits)
    for row in range(len(shown)):
        alone = scaled_day_effects(shown[row : row + 1], hits[row : row + 1])
        later = [np.pad(side[row : row + 1], ((0, 0), (7, 0), (0, 0))) for side in (shown, hits)]
        padded = scaled_day_effects(*later)
        for all_rows, one, other in zip(together, alone, padded, strict=True):
            assert np.array_equal(all_rows[row], one[0])
            assert np.array_equal(all_rows[row], other[0])
        kept = bandit.information_kept(shown[row], hits[row])
        assert np.array_equal(alone[0][0], kept * bandit.day_effects(shown[row], hits[row])[0])


def test_no_day_is_refused_and_no_click_tells_nothing_of_the_days():
    nothing = np.zeros((0, 2))
    for call in (bandit.day_effects, bandit.overdispersion, bandit.information_kept):
        with pytest.raises(
            ValueError, match=r"must have a day and a variant, not the shape \(0, 2"
        ):
            call(nothing, nothing)
    assert np.isnan(bandit.overdispersion([[5, 5], [5, 5]], [[0, 0], [0, 0]]))
