"""One more click for a variant: its share must not fall, but two options can make it fall."""

from dataclasses import replace

import numpy as np
import pytest

from mab_pipeline.allocation.rule_arrays import Evidence, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings

BRIEF = RuleSettings(14, 30, 200, 1.0, 99.0, "exact", 10_000, 0)
FALL = 1e-9  # shares are good to 1e-11
DAYS, VARIANTS = 4, 3
SIZES = (0, 60, 300, 3000)  # mean impressions a day; below 200 in all the prior counts


def histories(tries: int) -> Evidence:
    """Return random histories of three variants over four days, at about 2 %, from the seed 1."""
    generator = np.random.default_rng(1)
    size = generator.choice(SIZES, (tries, 1, VARIANTS))
    shown = generator.poisson(np.broadcast_to(size, (tries, DAYS, VARIANTS)))
    shown = np.where(shown.sum(axis=1, keepdims=True) < BRIEF.min_impressions, 0, shown)
    rate = 0.02 * np.exp(generator.normal(0.0, 0.5, (tries, 1, VARIANTS)))
    hits = generator.binomial(shown, np.broadcast_to(rate, shown.shape))
    shown[:, -1, 0] += 1  # the impression that will be clicked
    return of_days(shown, hits)


def of_days(shown, hits) -> Evidence:
    shown, hits = (np.asarray(side, dtype=float) for side in (shown, hits))
    return Evidence(
        shown.sum(axis=1),
        hits.sum(axis=1),
        day_impressions=shown,
        day_clicks=hits,
        window_days=np.full(shown.sum(axis=1).shape, shown.shape[1]),
    )


def shares(before: Evidence, rule: RuleSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the first variant's share, and that with one more click on the last day."""
    hits = before.day_clicks.copy()
    hits[:, -1, 0] += 1.0
    after = of_days(before.day_impressions, hits)
    return weigh(before, rule).shares[:, 0], weigh(after, rule).shares[:, 0]


@pytest.mark.parametrize(
    ("option", "tries", "falls"),
    [
        ({}, 1500, 0),
        ({"prior_alpha": 5.0, "prior_beta": 5.0}, 1500, 0),
        ({"estimate": "day_effects"}, 799, 3),
        ({"prior": "own_rate"}, 1500, 21),
    ],
)
def test_a_share_falls_as_often_as_the_method_page_says(option, tries, falls):
    before, after = shares(histories(tries), replace(BRIEF, **option))
    assert int((after < before - FALL).sum()) == falls


@pytest.mark.parametrize(
    ("option", "shown", "hits", "expected"),
    [
        (
            {"estimate": "day_effects"},
            [[0, 60, 60], [0, 60, 60], [0, 60, 60], [1, 60, 60]],
            [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
            (0.552729, 0.333333),
        ),
        ({"prior": "own_rate"}, [[300, 0, 0]] * 4, [[27, 0, 0]] * 4, (0.412549, 0.412418)),
    ],
)
def test_the_examples_of_the_method_page(option, shown, hits, expected):
    before, after = shares(of_days([shown], [hits]), replace(BRIEF, **option))
    assert (before[0], after[0]) == pytest.approx(expected, abs=5e-6)
    pooled = shares(of_days([shown], [hits]), BRIEF)
    assert pooled[1][0] > pooled[0][0]
