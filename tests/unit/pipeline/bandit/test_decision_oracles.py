"""The functions beside the share, against values from independent code.

`data/decision_oracles.json` holds formula, source and cases (mpmath, scipy, statsmodels).
"""

import json
from pathlib import Path

import numpy as np
import pytest

from mab_pipeline import bandit

ORACLES = json.loads((Path(__file__).parent / "data" / "decision_oracles.json").read_text("utf-8"))


def cases(name):
    return pytest.mark.parametrize("case", ORACLES[name]["cases"])


def days_of(case):
    """Return impressions and clicks, each of shape (n_days, n_variants)."""
    days = np.array(case["days"], dtype=np.float64)
    return days[..., 1], days[..., 0]


def posteriors_of(case):
    return np.array(case["posteriors"], dtype=np.float64).T


@cases("srm")
def test_the_sample_ratio_test_is_pearsons(case):
    expected = sum(case["observed"]) * np.array(case["weights"])
    p = bandit.sample_ratio_p_value(case["observed"], expected)
    assert p == pytest.approx(case["p"], rel=1e-12)
    assert bandit.sample_ratio_p_value(case["observed"], case["weights"]) == pytest.approx(p)


@cases("floor")
def test_exploration_is_a_floor_under_each_variant(case):
    shares = bandit.explore(case["w"], case["f"] * len(case["w"]))
    assert shares == pytest.approx(case["p"], rel=1e-14)


@cases("control_floor")
def test_the_control_may_have_a_floor_of_its_own(case):
    floors = np.full(len(case["w"]), case["f"])
    floors[case["control"]] = case["f_control"]
    assert bandit.explore(case["w"], 0.0, floors) == pytest.approx(case["p"], rel=1e-14)
    of_the_control = np.where(np.arange(len(floors)) == case["control"], floors, 0.0)
    exploration = case["f"] * len(floors)
    assert bandit.explore(case["w"], exploration, of_the_control) == pytest.approx(case["p"])


@cases("starvation")
def test_a_cold_variant_rarely_beats_a_strong_incumbent(case):
    clicks, impressions = case["incumbent"]
    beats = bandit.probability_beats([1 + clicks, 1], [99 + impressions - clicks, 99], 0)
    assert beats[1] == pytest.approx(case["p_new"], rel=1e-11)
    assert np.isnan(beats[0])


@cases("expected_loss")
def test_the_expected_loss_is_the_gap_to_the_best(case):
    assert bandit.expected_loss(*posteriors_of(case)) == pytest.approx(case["loss"], rel=1e-11)


@cases("value_remaining")
def test_the_value_remaining_is_a_quantile_of_the_gap(case):
    alpha, beta = posteriors_of(case)
    assert bandit.value_remaining(alpha, beta) == pytest.approx(case["q95"], rel=1e-10)
    assert bandit.value_remaining(alpha, beta, 0.5) == case["q50"]


@cases("day_effects_poisson")
def test_day_effects_weigh_impressions_and_keep_their_sum(case):
    impressions, clicks = days_of(case)
    effective, hits = bandit.day_effects(impressions, clicks)
    assert effective == pytest.approx(case["effective_impressions"], rel=1e-12)
    assert hits == pytest.approx(case["clicks"], rel=0)
    assert effective.sum() == pytest.approx(impressions.sum(), rel=1e-13)
    kept = bandit.information_kept(impressions, clicks)
    assert kept == pytest.approx(case["information_kept"], rel=1e-9)
    alpha, beta = 1 + kept * hits, 99 + kept * (effective - hits)
    best = bandit.probability_best(alpha, beta)
    assert best[1] == pytest.approx(case["p_second_beta_1_99_scaled"], rel=1e-10)


@pytest.mark.parametrize(
    "case", [*ORACLES["overdispersion"]["cases"], *ORACLES["day_effects_poisson"]["cases"]]
)
def test_overdispersion_is_pearsons_statistic_over_its_freedom(case):
    phi = bandit.overdispersion(*days_of(case))
    assert phi == pytest.approx(float("nan") if case["phi"] is None else case["phi"], nan_ok=True)


@cases("adaptive_estimates")
def test_estimates_after_moving_shares(case):
    impressions, clicks = days_of(case)
    rate, error = bandit.inverse_probability_rates(impressions, clicks, case["shares"])
    assert rate == pytest.approx([arm["ipw"] for arm in case["arms"]], rel=1e-12)
    assert error == pytest.approx([arm["by_day_se"] for arm in case["arms"]], rel=1e-12)
    difference, error = bandit.batchwise_difference(impressions, clicks, 0)
    assert difference[1] == pytest.approx(case["bols"]["estimate"], rel=1e-12)
    assert error[1] == pytest.approx(case["bols"]["se"], rel=1e-12)
    assert np.isnan([difference[0], error[0]]).all()


@cases("own_prior")
def test_the_own_rate_prior_has_the_mean_of_the_experiment(case):
    clicks, impressions = np.array(case["arms"], dtype=np.float64).T
    alpha, beta = bandit.own_rate_prior(impressions, clicks)
    assert [float(alpha), float(beta)] == pytest.approx(case["prior"], rel=1e-13)
    best = bandit.probability_best(alpha + clicks, beta + impressions - clicks)
    assert best == pytest.approx(case["p_best"], rel=1e-11)


def test_simpsons_paradox_days_and_pool_disagree():
    """Pooled, the second variant loses for certain; on each day it wins."""
    impressions, clicks = days_of(ORACLES["day_effects_poisson"]["cases"][0])
    friday, saturday = ORACLES["simpson"]["cases"][1:]
    for day, case in enumerate((friday, saturday)):
        alpha, beta = 1 + clicks[day], 99 + impressions[day] - clicks[day]
        best = bandit.probability_best(alpha, beta)
        assert best[1] == pytest.approx(float(case["p_second"]), rel=1e-11)
    pooled = clicks.sum(axis=0), impressions.sum(axis=0)
    assert bandit.probability_best(1 + pooled[0], 99 + pooled[1] - pooled[0])[1] < 1e-13
    difference, error = bandit.batchwise_difference(impressions, clicks, 0)
    assert difference[1] > 5 * error[1]
