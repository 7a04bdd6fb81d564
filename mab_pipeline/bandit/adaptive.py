"""Estimates that stay right although the shares followed the data."""

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arguments import control_column
from mab_pipeline.bandit.arrays import FloatArray, as_floats, refuse, same_shape
from mab_pipeline.bandit.day_effects import day_counts


def batchwise_difference(
    impressions: ArrayLike, clicks: ArrayLike, control: int
) -> tuple[FloatArray, FloatArray]:
    """Compare each variant's rate with the control's, day by day.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.
        control: Index of the control, from 0.

    Returns:
        `(difference, standard error)` of the rates, each of shape `(n_variants,)`; NaN for the
        control, and for a variant that shares no day with clicks with it.

    Raises:
        ValueError: If a count is negative, infinite or NaN, clicks exceed impressions, the shape
            is wrong, or `control` names no variant.

    Notes:
        Batchwise OLS: with `D_t` the difference on day t and
        `w_t = sqrt(n_1 n_2 / (n p q))`, `n = n_1 + n_2` and p the pooled rate of both that day,
        `sum_t w_t D_t / sqrt(T)` is normal whatever earlier data made of the shares, so that the
        estimate is `sum w D / sum w` with standard error `sqrt(T) / sum w`.

    References:
        Zhang, Janson and Murphy, Inference for batched bandits, NeurIPS 2020.
    """
    shown, hits = day_counts(impressions, clicks)
    n_variants = shown.shape[1]
    control = control_column(control, n_variants)
    base, base_hits = shown[:, [control]], hits[:, [control]]
    both = shown + base
    pooled = np.divide(hits + base_hits, both, out=np.zeros_like(both), where=both > 0.0)
    used = (shown > 0.0) & (base > 0.0) & (pooled > 0.0) & (pooled < 1.0)
    used[:, control] = False
    rate = np.divide(hits, shown, out=np.zeros_like(shown), where=used)
    base_rate = np.divide(base_hits, base, out=np.zeros_like(base), where=base > 0.0)
    weight = np.zeros_like(shown)
    product = both * pooled * (1.0 - pooled)
    np.divide(shown * base, product, out=weight, where=used)
    np.sqrt(weight, out=weight)
    total, days = weight.sum(axis=0), used.sum(axis=0)
    nothing = np.full(n_variants, np.nan)
    difference = np.divide(
        (weight * (rate - base_rate)).sum(axis=0), total, out=nothing.copy(), where=days > 0
    )
    error = np.divide(np.sqrt(days), total, out=nothing.copy(), where=days > 0)
    return difference, error


def inverse_probability_rates(
    impressions: ArrayLike, clicks: ArrayLike, shares: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Estimate each variant's rate over all traffic, weighting clicks by the inverse of its share.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.
        shares: Share that was published for each day and variant, 0 to 1, same shape.

    Returns:
        `(rate, standard error)`, each of shape `(n_variants,)`. NaN if a variant's share was 0 on
        a day with traffic: nothing is known of it there. Exploration above 0 prevents that.

    Raises:
        ValueError: If a count or share is out of range, or the shapes differ.

    Notes:
        Horvitz-Thompson: `sum_t x_tk / e_tk / N`, N all impressions of all days. Its variance,
        given the impressions, is `sum_t n_tk p_tk (1 - p_tk) / e_tk**2 / N**2`.

    References:
        Horvitz and Thompson, Journal of the American Statistical Association 47 (1952), 663-685.
        Hadad et al., Confidence intervals for policy evaluation in adaptive experiments, PNAS 2021.
    """
    shown, hits = day_counts(impressions, clicks)
    share = as_floats(shares, "shares")
    same_shape(shown, share, ("impressions", "shares"))
    refuse(~((share >= 0.0) & (share <= 1.0)), "shares must lie between 0 and 1", shares=share)
    daily = shown.sum(axis=1, keepdims=True)
    unknown = ((daily > 0.0) & (share == 0.0)).any(axis=0) | (daily.sum() == 0.0)
    everything = max(float(daily.sum()), 1.0)
    inverse = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0.0)
    rate = np.divide(hits, shown, out=np.zeros_like(shown), where=shown > 0.0)
    estimate = (hits * inverse).sum(axis=0) / everything
    variance = (shown * rate * (1.0 - rate) * inverse**2).sum(axis=0) / everything**2
    return np.where(unknown, np.nan, estimate), np.where(unknown, np.nan, np.sqrt(variance))
