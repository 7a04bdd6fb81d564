"""A prior from the experiment's own click-through rate."""

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, as_counts, as_rows, refuse

PSEUDO_CLICKS = 1.0
PSEUDO_IMPRESSIONS = 100.0
"""The pooled rate shrinks towards it: the brief's prior, one click in a hundred impressions."""


def own_rate_prior(impressions: ArrayLike, clicks: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Derive a weak prior with the mean of the experiment's pooled rate.

    Args:
        impressions: Impressions per variant, shape `(n_variants,)` or
            `(n_experiments, n_variants)`, not negative; NaN, in both arrays, pads a cell.
        clicks: Clicks per variant, 0 to `impressions`, same shape.

    Returns:
        `(alpha, beta)` of the prior, each of shape `()` or `(n_experiments,)`: Beta(1, 1/m - 1)
        with `m = (sum clicks + 1) / (sum impressions + 100)`. Beta is at least 1/100 if nearly
        every impression was clicked.

    Raises:
        ValueError: If a count is negative or infinite, NaN in one array only, clicks exceed
            impressions, or shapes differ.
    """
    shown, hits = as_counts(impressions, clicks, ("impressions", "clicks"))
    refuse(hits > shown, "clicks must not exceed impressions", impressions=shown, clicks=hits)
    total = np.nansum(as_rows(shown, "impressions"), axis=1) + PSEUDO_IMPRESSIONS
    rate = (np.nansum(as_rows(hits, "clicks"), axis=1) + PSEUDO_CLICKS) / total
    beta = np.maximum(1.0 / rate - 1.0, 1.0 / PSEUDO_IMPRESSIONS)
    shape = shown.shape[:-1]
    return np.ones_like(beta).reshape(shape), beta.reshape(shape)
