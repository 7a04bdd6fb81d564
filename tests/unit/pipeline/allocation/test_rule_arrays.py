"""The rule on arrays: what each option does to posteriors and shares, and what it leaves alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_pipeline import bandit
from mab_pipeline.allocation.rule_arrays import Evidence, mixture, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings

BRIEF = RuleSettings(14, 30, 200, 1.0, 99.0, "exact", 10_000, 0)
N_DAYS = 6


def days_of(seed: int, n_variants: int, n_decisions: int = 1) -> Evidence:
    """Return evidence of random days; some variants are short, some new, the first the control."""
    generator = np.random.default_rng(seed)
    shape = (n_decisions, N_DAYS, n_variants)
    scale = generator.choice([2.0, 40.0, 300.0], size=(n_decisions, 1, n_variants))
    shown = generator.poisson(scale, size=shape).astype(float)
    hits = generator.binomial(shown.astype(int), 0.08).astype(float)
    longest, most = shown.sum(axis=1), hits.sum(axis=1)
    short = longest < BRIEF.min_impressions
    control = np.zeros((n_decisions, n_variants), dtype=bool)
    control[:, 0] = True
    return Evidence(
        np.where(short, 0.0, longest),
        np.where(short, 0.0, most),
        is_short=short,
        max_window_impressions=longest,
        max_window_clicks=most,
        since_joined=longest + generator.choice([0.0, 150.0, 999.0], size=longest.shape),
        is_control=control,
        day_impressions=shown,
        day_clicks=hits,
        window_days=np.full((n_decisions, n_variants), N_DAYS),
    )


rules = st.builds(
    RuleSettings,
    *(st.just(getattr(BRIEF, field.name)) for field in fields(BRIEF)[:8]),
    burn_in=st.sampled_from(["off", "on"]),
    exploration=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    control_min_allocation=st.sampled_from([0.0, 0.1, 1.0]),
    short_window=st.sampled_from(["prior", "keep"]),
    estimate=st.sampled_from(["pooled", "day_effects"]),
    prior=st.sampled_from(["fixed", "own_rate"]),
)
seeds = st.integers(0, 2**32)


@given(seeds, st.integers(1, 6), rules)
@settings(max_examples=60, deadline=None)
def test_shares_sum_to_1_and_floors_hold(seed, n_variants, rule):
    evidence = days_of(seed, n_variants, 2)
    weighed = weigh(evidence, rule)
    assert weighed.shares.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-12)
    assert weighed.hundredths.sum(axis=1).tolist() == [10_000, 10_000]
    assert (weighed.alpha > 0.0).all()
    assert (weighed.beta > 0.0).all()
    least = np.full((2, n_variants), rule.exploration / n_variants)
    least[:, 0] = np.maximum(least[:, 0], rule.control_min_allocation)
    fits = least.sum(axis=1, keepdims=True) < 1.0
    floor = np.where(fits, least, 1.0 / n_variants)
    assert (weighed.shares >= floor - 1e-12).all()
    assert (weighed.hundredths >= 10_000 * floor - 1.0 - 1e-6).all()


@given(seeds, st.integers(2, 6), rules, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_permuted_variants_have_permuted_shares(seed, n_variants, rule, random):
    evidence = days_of(seed, n_variants)
    order = list(range(n_variants))
    random.shuffle(order)
    moved = Evidence(**{f.name: getattr(evidence, f.name)[..., order] for f in fields(evidence)})
    expected = weigh(evidence, rule).shares[:, order]
    assert weigh(moved, rule).shares == pytest.approx(expected, abs=1e-9)


@given(seeds, st.integers(2, 5), rules, st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_one_more_click_never_lowers_the_share_with_pooled_days_and_a_fixed_prior(
    seed, n_variants, rule, place
):
    rule = replace(rule, estimate="pooled", prior="fixed", short_window="prior")
    evidence, own = days_of(seed, n_variants), place % n_variants
    clicks = evidence.clicks.copy()
    clicks[0, own] += clicks[0, own] < evidence.impressions[0, own]
    more = replace(evidence, clicks=clicks)
    before, after = weigh(evidence, rule).shares, weigh(more, rule).shares
    assert after[0, own] >= before[0, own] - 1e-12


@given(seeds, st.integers(1, 5), rules)
@settings(max_examples=40, deadline=None)
def test_a_share_is_what_it_owes_to_the_options_and_its_part_of_the_rest(seed, n_variants, rule):
    evidence = days_of(seed, n_variants, 3)
    weighed, parts = weigh(evidence, rule), mixture(evidence, rule)
    alpha = np.where(parts.compared, weighed.alpha, np.nan)
    won = bandit.probability_best(alpha, np.where(parts.compared, weighed.beta, np.nan))
    assert parts.least + parts.scale * won == pytest.approx(weighed.shares, abs=1e-9)


def test_padding_and_neighbours_change_nothing():
    rule = replace(
        BRIEF, burn_in="on", exploration=0.02, short_window="keep", estimate="day_effects"
    )
    wide, narrow = days_of(1, 4), days_of(2, 2)
    both = {}
    for field in fields(Evidence):
        name = field.name
        first, second = getattr(wide, name), getattr(narrow, name)
        pad = np.nan if name in {"impressions", "clicks"} else 0
        gap = [(0, 0)] * (second.ndim - 1) + [(0, 2)]
        both[name] = np.concatenate([first, np.pad(second, gap, constant_values=pad)])
    together = weigh(Evidence(**both), rule)
    assert together.shares[0].tolist() == weigh(wide, rule).shares[0].tolist()
    assert together.shares[1].tolist() == [*weigh(narrow, rule).shares[0], 0.0, 0.0]
    assert together.hundredths[1, 2:].tolist() == [0, 0]


def plain(impressions: list[float], clicks: list[float], **more: object) -> Evidence:
    arrays = {name: np.array([values]) for name, values in more.items()}
    return Evidence(np.array([impressions]), np.array([clicks]), **arrays)


def test_burn_in_ends_at_min_impressions_since_the_variant_joined():
    rule = replace(BRIEF, burn_in="on")
    counts = ([1000.0, 1000.0, 0.0], [50.0, 60.0, 0.0])
    new = plain(*counts, since_joined=[9999.0, 9999.0, 199.0])
    shares = weigh(new, rule).shares[0]
    among_others = bandit.probability_best([51.0, 61.0], [1049.0, 1039.0])
    assert shares[2] == pytest.approx(1 / 3)
    assert shares[:2] == pytest.approx(2 / 3 * among_others)
    old = plain(*counts, since_joined=[9999.0, 9999.0, 200.0])
    assert weigh(old, rule).shares.tolist() == weigh(old, BRIEF).shares.tolist()
    all_new = plain(*counts, since_joined=[0.0, 0.0, 199.0])
    assert weigh(all_new, rule).shares[0] == pytest.approx([1 / 3] * 3)


def test_exploration_comes_after_burn_in_and_a_control_keeps_its_floor():
    counts = ([1000.0, 1000.0, 0.0], [10.0, 90.0, 0.0])
    more = {"since_joined": [999.0, 999.0, 0.0], "is_control": [True, False, False]}
    rule = replace(BRIEF, burn_in="on", exploration=0.06, control_min_allocation=0.2)
    shares = weigh(plain(*counts, **more), rule).shares[0]
    floors = [0.2, 0.02, 0.02]
    assert shares == pytest.approx([0.2, 0.02 + 0.76 * 2 / 3, 0.02 + 0.76 / 3], abs=1e-6)
    assert (shares >= floors).all()
    everything = replace(rule, control_min_allocation=1.0)
    assert weigh(plain(*counts, **more), everything).shares[0] == pytest.approx([1 / 3] * 3)


def test_a_short_variant_keeps_its_counts_or_falls_back_to_the_prior():
    evidence = plain(
        [1000.0, 0.0],
        [50.0, 0.0],
        is_short=[False, True],
        max_window_impressions=[1900.0, 150.0],
        max_window_clicks=[90.0, 12.0],
    )
    kept = weigh(evidence, replace(BRIEF, short_window="keep"))
    assert kept.alpha.tolist() == [[51.0, 13.0]]
    assert kept.beta.tolist() == [[1049.0, 237.0]]
    assert weigh(evidence, BRIEF).alpha.tolist() == [[51.0, 1.0]]


def test_the_own_rate_is_the_mean_of_the_prior():
    weighed = weigh(plain([1000.0, 900.0], [300.0, 299.0]), replace(BRIEF, prior="own_rate"))
    beta = 1.0 / (600.0 / 2000.0) - 1.0
    assert weighed.alpha.tolist() == [[301.0, 300.0]]
    assert weighed.beta[0] == pytest.approx([700.0 + beta, 601.0 + beta])


def test_day_effects_see_through_moving_shares():
    """b is better on both days; pooled it looks worse, since it was shown on the bad day."""
    shown = np.array([[[9000.0, 1000.0], [1000.0, 9000.0]]])
    hits = np.array([[[1800.0, 220.0], [50.0, 540.0]]])
    evidence = Evidence(
        shown.sum(axis=1),
        hits.sum(axis=1),
        day_impressions=shown,
        day_clicks=hits,
        window_days=np.array([[2, 2]]),
    )
    rule = replace(BRIEF, estimate="day_effects")
    assert weigh(evidence, BRIEF).shares[0, 1] < 0.01
    weighed = weigh(evidence, rule)
    assert weighed.shares[0, 1] > 0.6
    effective = np.array(bandit.day_effects(shown[0], hits[0]))
    effective *= bandit.information_kept(shown[0], hits[0])
    assert weighed.alpha[0] == pytest.approx(1.0 + effective[1])
    assert weighed.beta[0] == pytest.approx(99.0 + effective[0] - effective[1])


@pytest.mark.parametrize(
    ("shown", "hits"),
    [
        ([[900.0, 800.0]], [[90.0, 70.0]]),  # one day
        ([[900.0, 800.0], [0.0, 0.0]], [[90.0, 70.0], [0.0, 0.0]]),  # the other without traffic
        ([[900.0, 800.0], [500.0, 700.0]], [[90.0, 0.0], [60.0, 0.0]]),  # one arm with clicks
        ([[900.0, 800.0], [500.0, 700.0]], [[0.0, 0.0], [0.0, 0.0]]),  # no clicks
    ],
)
def test_day_effects_that_cannot_be_told_apart_are_pooled(shown, hits):
    days = {"day_impressions": np.array([shown]), "day_clicks": np.array([hits])}
    length = np.full((1, 2), len(shown))
    evidence = Evidence(np.sum([shown], axis=1), np.sum([hits], axis=1), **days, window_days=length)
    rule = replace(BRIEF, estimate="day_effects")
    assert weigh(evidence, rule).alpha.tolist() == weigh(evidence, BRIEF).alpha.tolist()
    assert weigh(evidence, rule).beta.tolist() == weigh(evidence, BRIEF).beta.tolist()


@pytest.mark.parametrize(
    "option",
    [
        {"burn_in": "on"},
        {"control_min_allocation": 0.1},
        {"short_window": "keep"},
        {"estimate": "day_effects"},
    ],
)
def test_an_option_says_what_it_lacks(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name.upper()}.* needs the evidence's"):
        weigh(plain([1.0, 2.0], [0.0, 1.0]), replace(BRIEF, **option))
