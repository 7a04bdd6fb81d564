"""Ratios of rates: what must hold for any posteriors, and against draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_pipeline import bandit
from mab_pipeline.bandit.race import Race

shapes = st.floats(0.05, 1e5)
# A rate whose second parameter is below 1/2 rounds to 1 often enough to tie with another.
untied = st.lists(st.tuples(shapes, st.floats(0.5, 1e5)), min_size=2, max_size=5)
posteriors = st.lists(st.tuples(shapes, shapes), min_size=2, max_size=5)


def test_the_interval_of_the_lift_is_that_of_draws():
    alpha, beta = np.array([30.0, 45.0, 50.0]), np.array([970.0, 955.0, 950.0])
    draws = np.random.default_rng(1).beta(alpha, beta, (400_000, 3))
    low, high = bandit.lift_interval(alpha, beta, 0, level=0.9)
    for variant in (1, 2):
        ratio = draws[:, variant] / draws[:, 0] - 1
        # The standard error of a 5 % quantile of 400,000 draws is below 0.002 here.
        assert low[variant] == pytest.approx(np.quantile(ratio, 0.05), abs=0.008)
        assert high[variant] == pytest.approx(np.quantile(ratio, 0.95), abs=0.02)
    gap = (draws.max(axis=1) - draws[:, 2]) / draws[:, 2]
    expected = np.quantile(gap, 0.95)
    assert bandit.value_remaining(alpha, beta) == pytest.approx(expected, abs=0.005)


@settings(derandomize=True)  # the same histories on every machine
@given(posteriors)
def test_the_ends_of_the_lift_leave_the_tails_that_they_promise(pairs):
    alpha, beta = np.array(pairs).T
    low, high = bandit.lift_interval(alpha, beta, 0)
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1:] <= high[1:]).all()
    beats = bandit.probability_beats(alpha, beta, 0)
    # The lift is above 0 with at most 2.5 % if its upper end is below 0, and the other way round.
    assert (beats[1:][high[1:] < -1e-9] <= 0.025 + 1e-9).all()
    assert (beats[1:][low[1:] > 1e-9] >= 0.975 - 1e-9).all()


def test_a_narrow_rate_against_a_wide_one_is_seen():
    """The transition of ten million impressions is a needle in the cold variant's density."""
    alpha, beta = np.array([1.0, 500_001.0]), np.array([99.0, 9_500_099.0])
    low, high = bandit.lift_interval(alpha, beta, 1)
    edges = np.quantile(np.random.default_rng(2).beta(1, 99, 400_000) / 0.05, [0.025, 0.975]) - 1
    assert low[0] == pytest.approx(edges[0], abs=0.001)
    assert high[0] == pytest.approx(edges[1], abs=0.01)
    mirrored = bandit.lift_interval(alpha, beta, 0)
    assert 1 + mirrored[0][1] == pytest.approx(1 / (1 + high[0]), rel=1e-8)
    assert 1 + mirrored[1][1] == pytest.approx(1 / (1 + low[0]), rel=1e-8)


@settings(derandomize=True)  # the same histories on every machine
@given(untied)
def test_nothing_remains_of_a_leader_that_is_certain_enough(pairs):
    alpha, beta = np.array(pairs).T
    best = bandit.probability_best(alpha, beta).max()
    for quantile in (0.5, 0.95):
        remaining = float(bandit.value_remaining(alpha, beta, quantile))
        assert remaining >= 0.0
        if abs(best - quantile) > 1e-6:  # closer, the root may be below its own tolerance
            assert (remaining == 0.0) is bool(best > quantile)


@pytest.mark.parametrize("alpha", [41.0, 51.0])
def test_rates_that_round_to_1_leave_nothing_to_gain(alpha):
    """The leader is best with less than 1/2, but its rivals are ahead by less than a rounding."""
    assert bandit.value_remaining([1.0, alpha, 0.25], [0.0625, 0.5, 0.0625], 0.5) == 0.0


@settings(derandomize=True)
@given(posteriors)
def test_the_value_that_remains_is_a_number_for_any_posteriors(pairs):
    alpha, beta = np.array(pairs).T
    assert (bandit.value_remaining(np.tile(alpha, (2, 1)), beta[None].repeat(2, 0)) >= 0.0).all()


def test_permuted_variants_and_padding_change_nothing_but_places():
    rng = np.random.default_rng(3)
    alpha, beta = rng.uniform(1, 300, (2, 6, 4))
    beta += 1000
    alpha[0, 2] = beta[0, 2] = np.nan
    order = np.array([3, 1, 0, 2])
    control = 1
    low, high = bandit.lift_interval(alpha, beta, control)
    moved = bandit.lift_interval(alpha[:, order], beta[:, order], int(np.argmax(order == control)))
    assert moved[0] == pytest.approx(low[:, order], rel=1e-9, nan_ok=True)
    assert moved[1] == pytest.approx(high[:, order], rel=1e-9, nan_ok=True)
    remaining = bandit.value_remaining(alpha, beta)
    assert bandit.value_remaining(alpha[:, order], beta[:, order]) == pytest.approx(remaining)
    for row in range(6):
        real = ~np.isnan(alpha[row])
        alone = bandit.value_remaining(alpha[row, real], beta[row, real])
        assert remaining[row] == pytest.approx(float(alone), rel=1e-9)


@pytest.mark.parametrize("call", [bandit.probability_beats, bandit.lift_interval])
def test_a_control_that_is_not_there_is_refused(call):
    with pytest.raises(ValueError, match="control must be 0 to 1, not 2"):
        call([1.0, 2.0], [3.0, 4.0], 2)
    with pytest.raises(ValueError, match="control must be 0 to 1, not -1"):
        call([1.0, 2.0], [3.0, 4.0], -1)
    with pytest.raises(ValueError, match="the control of experiment 0 is padding"):
        call([np.nan, 2.0], [np.nan, 4.0], 0)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        bandit.lift_interval([1.0, 2.0], [3.0, 4.0], 0, level)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        bandit.value_remaining([1.0, 2.0], [3.0, 4.0], level)


def test_one_variant_has_nothing_to_beat_and_nothing_to_gain():
    assert np.isnan(bandit.probability_beats([5.0], [95.0], 0)).all()
    assert np.isnan(bandit.lift_interval([5.0], [95.0], 0)).all()
    assert bandit.value_remaining([5.0], [95.0]) == 0.0


ordinary = st.tuples(
    st.floats(-0.7, 14.0).map(np.exp),  # 0.5 to a million: the least that Newton's method takes
    st.floats(1.6, 16.0).map(np.exp),  # just below 5, the least, to nine million
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(ordinary, min_size=2, max_size=4), st.sampled_from([0.5, 0.95, 0.999]))
def test_the_fast_roots_are_those_of_the_safe_quadrature(pairs, level):
    alpha, beta = np.array(pairs).T
    ends = bandit.lift_interval(alpha, beta, 0, level)
    own, control = (np.stack([part[1:], np.full(len(part) - 1, part[0])]) for part in (alpha, beta))
    race = Race.of((own[1], control[1]), own[0][:, None], control[0][:, None])
    for end, tail in zip(ends, ((1.0 - level) / 2.0, (1.0 + level) / 2.0), strict=True):
        with np.errstate(divide="ignore"):
            reached = race.probability(np.log1p(end[1:]))
        # 1 + lift loses digits near -1.
        assert reached == pytest.approx(tail, abs=1e-11 + 1e-16 / (1.0 + end[1:]).min())


def test_posteriors_on_both_sides_of_what_newtons_method_takes_agree():
    for low, high in (((0.4999999, 50.0), (0.5000001, 50.0)), ((9.0, 4.9999999), (9.0, 5.0000001))):
        found = [
            bandit.lift_interval([5.0, shape[0]], [95.0, shape[1]], 0) for shape in (low, high)
        ]
        assert found[0][0][1] == pytest.approx(found[1][0][1], rel=1e-5)
        assert found[0][1][1] == pytest.approx(found[1][1][1], rel=1e-5)
        left = [
            float(bandit.value_remaining([5.0, shape[0]], [95.0, shape[1]], 0.9999))
            for shape in (low, high)
        ]
        assert left[0] == pytest.approx(left[1], rel=1e-5)


def test_a_result_depends_on_its_own_experiment_alone():
    alpha, beta = (
        np.array([[5.0, 9.0], [800.0, 900.0], [1.0, 38459.0]]),
        np.array([[95.0, 91.0], [19_200.0, 19_100.0], [99.0, 536_316.0]]),
    )
    low, high = bandit.lift_interval(alpha, beta, 0)
    left = bandit.value_remaining(alpha, beta)
    for row in range(3):
        alone = bandit.lift_interval(alpha[row], beta[row], 0)
        assert (low[row, 1], high[row, 1]) == (alone[0][1], alone[1][1])
        assert left[row] == bandit.value_remaining(alpha[row], beta[row])


@pytest.mark.parametrize("control", [1.0, None, "0", True, [0], float("nan")])
@pytest.mark.parametrize("call", [bandit.probability_beats, bandit.lift_interval])
def test_a_control_that_is_no_integer_is_refused(call, control):
    with pytest.raises(ValueError, match="control must be 0 to 1"):
        call([1.0, 2.0], [3.0, 4.0], control)
    with pytest.raises(ValueError, match="control must be 0 to 1"):
        bandit.batchwise_difference([[1, 2]], [[0, 1]], control)


@pytest.mark.parametrize("level", ["0.9", None, [0.9], 1 - 1e-17])
def test_a_level_that_is_no_number_below_1_is_refused(level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        bandit.lift_interval([1.0, 2.0], [3.0, 4.0], 0, level)
    with pytest.raises(ValueError, match="quantile must lie between 0 and 1"):
        bandit.value_remaining([1.0, 2.0], [3.0, 4.0], level)


def test_tails_beyond_the_quadrature_are_still_ordered_numbers():
    previous = bandit.lift_interval([30.0, 50.0], [970.0, 950.0], 0, 0.999)
    for tail in (1e-6, 1e-8, 1e-10, 1e-13):
        low, high = bandit.lift_interval([30.0, 50.0], [970.0, 950.0], 0, 1.0 - tail)
        assert -1.0 <= low[1] < previous[0][1]
        assert high[1] > previous[1][1]
        previous = low, high
