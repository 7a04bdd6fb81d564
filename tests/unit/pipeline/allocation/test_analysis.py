"""The analysis of a decision: hand-computed cases, edges, and variants in another order."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from mab_pipeline import bandit
from mab_pipeline.allocation.analysis import (
    MISMATCH_P,
    Evidence,
    analyse,
    analyse_with,
    fit_all,
    sample_ratio,
)
from mab_pipeline.allocation.compared import compare_all

DAYS = 4


def evidence(**changes) -> Evidence:
    """Two variants over four days, each day live with equal shares."""
    shown = np.full((DAYS, 2), 1000.0)
    base = Evidence(
        variants=("control", "b"),
        control=0,
        alpha=np.array([41.0, 61.0]),
        beta=np.array([4059.0, 4039.0]),
        first_day=date(2025, 3, 1),
        impressions=shown,
        clicks=shown * [0.01, 0.015],
        shares=np.full((DAYS, 2), 0.5),
        buckets=np.full((DAYS, 2), 0.5),
    )
    return replace(base, **changes)


def test_two_variants_are_compared_with_the_control():
    found = analyse(evidence())
    control, b = found.variants
    assert (control.mean, b.mean) == pytest.approx((0.01, 61 / 4100))
    assert b.lift == pytest.approx(61 / 41 - 1)
    assert b.lift_interval[0] < b.lift < b.lift_interval[1]
    assert b.probability_beats_control == pytest.approx(b.probability_best, abs=1e-10)
    assert control.probability_best + b.probability_best == pytest.approx(1.0)
    assert b.difference.estimate == pytest.approx(0.005)
    # each day: w = sqrt(1000 * 1000 / (2000 * 0.0125 * 0.9875)); error sqrt(4) / (4 w)
    assert b.difference.standard_error == pytest.approx(0.5 / (500 / (0.0125 * 0.9875)) ** 0.5)
    assert control.lift is control.lift_interval is control.difference is None
    assert (found.control, found.first_day, found.days) == ("control", "2025-03-01", 4)
    assert found.overdispersion == pytest.approx(0.0, abs=1e-9)


def test_permuting_the_variants_permutes_the_answer():
    rng = np.random.default_rng(1)
    shown = rng.integers(500, 2000, (20, 3)).astype(float)
    shares = rng.dirichlet([5, 5, 5], 20)
    base = evidence(
        variants=("a", "b", "c"),
        alpha=np.array([50.0, 60.0, 55.0]),
        beta=np.array([950.0, 940.0, 945.0]),
        impressions=shown,
        clicks=rng.binomial(shown.astype(int), 0.05).astype(float),
        shares=shares,
        buckets=shares,
        exploration=0.1,
    )
    order = [2, 0, 1]
    turned = replace(
        base,
        variants=tuple(base.variants[k] for k in order),
        control=order.index(0),
        **{
            name: getattr(base, name)[..., order]
            for name in ("alpha", "beta", "impressions", "clicks", "shares", "buckets")
        },
    )
    first, second = (json.loads(analyse(found).to_json()) for found in (base, turned))
    first["variants"] = [first["variants"][k] for k in order]
    for side in ("observed", "expected"):
        first["sample_ratio"][side] = [first["sample_ratio"][side][k] for k in order]
    for one, other in zip(first.pop("variants"), second.pop("variants"), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            if isinstance(value, (float, list)):
                assert value == pytest.approx(other[key], rel=1e-7, abs=1e-12), key
    assert first["sample_ratio"]["p_value"] == pytest.approx(second["sample_ratio"]["p_value"])
    assert first["advice"] == second["advice"] or first["advice"]["reason"]


FEW = "due fewer than 5 impressions: "
ALONE = f"fewer than two cells are due enough ({FEW}a)"


@pytest.mark.parametrize(
    ("due", "note"),
    [
        ((5.0, 995.0), ""),
        ((4.999, 995.001), ALONE),
        ((0.0, 1000.0), ALONE),
        ((5.0, 5.0, 990.0), ""),
        ((4.0, 400.0, 596.0), f"counted as one variant: a, b ({FEW}a)"),
        ((3.0, 2.0, 995.0), f"counted as one variant: a, b ({FEW}a, b)"),
        ((3.0, 1.999, 995.001), f"fewer than two cells are due enough ({FEW}a, b)"),
        ((3.0, 3.0, 4.0, 990.0), f"counted as one variant: a, b, c ({FEW}a, b, c)"),
    ],
)
def test_variants_that_are_due_fewer_than_five_impressions_are_pooled(due, note):
    shown = np.array([due])
    names = tuple("abcd"[: len(due)])
    given = evidence(variants=names, impressions=shown, shares=shown / 1000, buckets=shown / 1000)
    found = sample_ratio(given)
    assert found.note == note
    assert (found.p_value is None) is note.startswith("fewer than two")
    assert found.p_value is None or found.p_value == pytest.approx(1.0)
    assert (found.observed, found.expected) == (tuple(due), pytest.approx(due))


def test_a_starved_variant_does_not_hide_a_split_that_nobody_applies():
    shares = np.array([[0.0001, 0.4999, 0.5]])
    shown = np.array([[3334.0, 3333.0, 3333.0]])
    given = evidence(variants=("a", "b", "c"), impressions=shown, shares=shares, buckets=shares)
    found = sample_ratio(given)
    assert found.is_mismatch
    two = bandit.sample_ratio_p_value([6667.0, 3333.0], [5000.0, 5000.0])
    assert found.p_value == pytest.approx(float(two), rel=1e-9)


def shown_with_p(p: float) -> np.ndarray:
    """Return 10,000 impressions of two equal shares whose p-value is p."""
    low, high = 0.0, 1000.0
    for _ in range(200):
        off = (low + high) / 2
        value = float(bandit.sample_ratio_p_value([5000 - off, 5000 + off], [5000, 5000]))
        low, high = (off, high) if value > p else (low, off)
    return np.array([[5000 - low, 5000 + low]])


@pytest.mark.parametrize(("p", "is_mismatch"), [(0.00101, False), (0.00099, True)])
def test_a_p_value_below_one_in_a_thousand_is_a_mismatch_and_a_data_problem(p, is_mismatch):
    shown = shown_with_p(p)
    half = np.full((1, 2), 0.5)
    given = evidence(impressions=shown, clicks=shown * 0, shares=half, buckets=half)
    found = analyse(given)
    assert found.sample_ratio.p_value == pytest.approx(p, rel=1e-6)
    assert found.sample_ratio.is_mismatch is is_mismatch is (p < MISMATCH_P)
    assert (found.advice.verdict == "data_problem") is is_mismatch
    if is_mismatch:
        assert "does not follow the published shares (p = 9.9e-04 over 1 day" in (
            found.advice.reason
        )


def test_moving_shares_are_summed_day_by_day_and_days_without_a_publication_left_out():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]])
    shown = np.array([[900.0, 100.0], [600.0, 2400.0], [5.0, 9995.0]])
    found = sample_ratio(
        evidence(impressions=shown, clicks=shown * 0, shares=shares, buckets=shares)
    )
    assert found.days == 2
    assert found.expected == pytest.approx((1500.0, 2500.0))
    assert found.observed == (1500.0, 2500.0)
    assert found.p_value == pytest.approx(1.0)


def test_traffic_that_follows_the_buckets_is_no_mismatch():
    # 33.33 % are 33 buckets: of a million impressions the two differ far beyond chance.
    shown = np.array([[330_000.0, 670_000.0]])
    shares, buckets = np.array([[0.3333, 0.6667]]), np.array([[0.33, 0.67]])
    given = evidence(impressions=shown, clicks=shown * 0, shares=shares, buckets=buckets)
    assert sample_ratio(given).p_value == pytest.approx(1.0)
    assert sample_ratio(replace(given, buckets=shares)).is_mismatch


def test_rates_over_all_traffic_need_exploration_and_live_days():
    found = analyse(evidence())
    assert found.variants[0].rate_over_all_traffic is None
    assert found.rate_note == "not estimated: without exploration a variant's share can be 0"
    explored = analyse(evidence(exploration=0.02))
    # 10 clicks a day at half the traffic: 4 * 10 / 0.5 / 8000
    assert explored.variants[0].rate_over_all_traffic.estimate == pytest.approx(0.01)
    assert explored.rate_note == ""
    nowhere = np.full((DAYS, 2), np.nan)
    past = analyse(evidence(exploration=0.02, shares=nowhere))
    assert past.rate_note == "not estimated: no day with a live publication has traffic"
    assert past.sample_ratio.note == "no day with a live publication has traffic"
    zero = np.tile([0.0, 1.0], (DAYS, 1))
    partial = analyse(evidence(exploration=0.02, shares=zero))
    assert partial.variants[0].rate_over_all_traffic is None
    assert partial.rate_note == "not estimated for variants whose share was 0 on a day"


def test_without_a_control_nothing_is_compared_with_it():
    found = analyse(evidence(control=None))
    assert found.control is None
    for variant in found.variants:
        assert variant.probability_beats_control is variant.lift is variant.difference is None
    assert sum(variant.probability_best for variant in found.variants) == pytest.approx(1.0)


def test_a_single_variant_without_any_day_has_an_analysis():
    none = np.zeros((0, 1))
    found = analyse(
        Evidence(("a",), 0, np.array([1.0]), np.array([99.0]), None, none, none, none, none)
    )
    assert found.variants[0].probability_best == 1.0
    assert (found.first_day, found.days, found.overdispersion) == (None, 0, None)
    assert found.advice.reason == "There is one variant and nothing to compare."
    assert json.loads(found.to_json())["value_remaining"] == 0.0


def test_zero_impressions_leave_the_prior_and_no_estimate():
    zero = np.zeros((DAYS, 2))
    prior = {"alpha": np.ones(2), "beta": np.full(2, 99.0)}
    found = analyse(evidence(impressions=zero, clicks=zero, **prior))
    assert found.variants[1].lift == pytest.approx(0.0)
    assert found.variants[1].difference is None
    assert found.overdispersion is None
    assert found.sample_ratio.p_value is None
    assert "NaN" not in found.to_json()


def test_the_same_evidence_gives_the_same_bytes():
    assert analyse(evidence()).to_json() == analyse(evidence()).to_json()


def test_many_decisions_together_are_each_alone():
    several = [evidence(), evidence(control=None), evidence(alpha=np.array([45.0, 50.0]))]
    together = compare_all([(given.alpha, given.beta, given.control) for given in several])
    parts = zip(several, together, fit_all(several), strict=True)
    found = [analyse_with(*part) for part in parts]
    assert [one.to_json() for one in found] == [analyse(given).to_json() for given in several]
