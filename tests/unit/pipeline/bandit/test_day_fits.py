"""Fits of many experiments at once are those of each alone."""

import math

import numpy as np
import pytest

from mab_pipeline import bandit
from mab_pipeline.bandit.day_fits import day_fits


def random_counts(generator, days, width):
    """Return counts with variants that come and go, days without traffic, and few clicks."""
    shown = generator.integers(0, generator.choice([3, 50, 3000]), (days, width))
    shown *= generator.random((days, width)) > generator.choice([0.0, 0.3])
    hits = generator.binomial(shown, generator.choice([0.0, 0.01, 0.3, 1.0], (1, width)))
    return shown.astype(float), hits.astype(float)


def test_the_fits_are_those_of_one_experiment_at_a_time():
    generator = np.random.default_rng(4)
    shapes = [(days, width) for days in (1, 2, 14, 27, 28, 29, 60) for width in (1, 2, 4)]
    counts = [random_counts(generator, *shape) for shape in shapes * 6]
    known = 0
    for (shown, hits), found in zip(counts, day_fits(counts), strict=True):
        kept = bandit.information_kept(shown, hits)
        effective, clicks = bandit.day_effects(shown, hits)
        assert found.impressions == pytest.approx(kept * effective, rel=1e-8, abs=1e-8)
        assert found.clicks == pytest.approx(kept * clicks, rel=1e-8, abs=1e-8)
        phi = bandit.overdispersion(shown, hits)
        assert found.phi == pytest.approx(phi, rel=1e-6, abs=1e-9, nan_ok=True)
        known += math.isfinite(phi)
    assert known > 40
    assert day_fits([]) == []


def test_an_experiments_fit_does_not_depend_on_the_others():
    generator = np.random.default_rng(5)
    counts = [random_counts(generator, days, 3) for days in (14, 20, 28)]
    together = day_fits(counts)
    for one, found in zip(counts, together, strict=True):
        (alone,) = day_fits([one])
        assert found.impressions.tolist() == alone.impressions.tolist()
        assert found.phi == alone.phi or (math.isnan(found.phi) and math.isnan(alone.phi))
