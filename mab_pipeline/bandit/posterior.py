"""Beta posteriors of click-through rates: the conjugate update, and summaries of one posterior."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arrays import FloatArray, as_floats, refuse, same_shape


def _check_prior(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} must be finite and above 0, not {value}")


def posterior(
    clicks: ArrayLike, impressions: ArrayLike, *, prior_alpha: float, prior_beta: float
) -> tuple[FloatArray, FloatArray]:
    """Update a Beta prior with counts.

    Args:
        clicks: Clicks per cell, 0 to `impressions`; integers or floats of any one shape, usually
            `(n_experiments, n_variants)`. NaN, in both arrays, pads a cell and stays NaN.
        impressions: Impressions per cell, likewise.
        prior_alpha: First shape parameter of the prior, in pseudo-clicks, above 0.
        prior_beta: Second shape parameter of the prior, in pseudo-impressions without a click,
            above 0.

    Returns:
        `(alpha, beta)` of the posteriors, each of the shape of `clicks`.

    Raises:
        ValueError: If a count is negative, infinite or NaN in one array only, if clicks exceed
            impressions (the message names the cell), if shapes differ, or a prior is not above 0.

    Notes:
        The Beta distribution is conjugate to the binomial likelihood:
        `theta ~ Beta(a, b)` and `clicks | theta ~ Binomial(impressions, theta)` give
        `theta | clicks ~ Beta(a + clicks, b + impressions - clicks)`.

    References:
        Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.4.
    """
    _check_prior("prior_alpha", prior_alpha)
    _check_prior("prior_beta", prior_beta)
    hits, shown = as_floats(clicks, "clicks"), as_floats(impressions, "impressions")
    same_shape(hits, shown, ("clicks", "impressions"))
    quoted = {"clicks": hits, "impressions": shown}
    refuse(
        np.isnan(hits) != np.isnan(shown),
        "a padded cell is NaN in both clicks and impressions, a real one in neither",
        **quoted,
    )
    for name, counts in quoted.items():
        bad = np.isinf(counts) | (counts < 0.0)
        refuse(bad, f"{name} must be finite and not negative", **quoted)
    refuse(hits > shown, "clicks must not exceed impressions", **quoted)
    return prior_alpha + hits, prior_beta + (shown - hits)


def credible_interval(
    alpha: ArrayLike, beta: ArrayLike, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Bound each click-through rate by an equal-tailed credible interval.

    Args:
        alpha: First shape parameter, above 0, of any shape; NaN, in both arrays, pads a cell.
        beta: Second shape parameter, likewise.
        level: Posterior probability inside the interval, above 0 and below 1.

    Returns:
        `(low, high)`, as rates between 0 and 1, each of the shape of `alpha`, NaN for padding;
        `(1 - level) / 2` of the posterior lies below `low` and as much above `high`.

    Raises:
        ValueError: If a parameter is not above 0, infinite or NaN in one array only (the message
            names the cell), if the shapes differ, or `level` is out of range.

    Notes:
        The upper end inverts the complement, so that a tail of 1e-20 is no less exact than 0.025.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    a, b = as_floats(alpha, "alpha"), as_floats(beta, "beta")
    same_shape(a, b, ("alpha", "beta"))
    refuse(
        np.isnan(a) != np.isnan(b),
        "a padded cell is NaN in both alpha and beta, a real one in neither",
        alpha=a,
        beta=b,
    )
    for name, values in (("alpha", a), ("beta", b)):
        bad = np.isinf(values) | (values <= 0.0)
        refuse(bad, f"{name} must be finite and above 0", alpha=a, beta=b)
    tail = (1.0 - level) / 2.0
    low: FloatArray = np.asarray(special.betaincinv(a, b, tail), dtype=np.float64)
    high: FloatArray = np.asarray(special.betainccinv(a, b, tail), dtype=np.float64)
    return low, high
