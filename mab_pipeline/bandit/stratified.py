"""Compare variants day by day, so that neither moving shares nor moving days can mislead."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, as_floats, refuse, same_shape


class Score(NamedTuple):
    """Each pair of variants compared over the days, each of shape `(..., n_variants, n_variants)`.

    Attributes:
        score: `score[i, j]` is the number of clicks that i has above its part of the clicks of i
            and j, summed over the days on which both had impressions; the negative of
            `score[j, i]`. The diagonal is 0.
        variance: Variance of the score if the clicks of a day vary as binomial counts do.
        residual: Variance of the score as the days themselves show it.
        days: Days on which both had impressions, and one of them clicks.
        effective_days: Days that the variance amounts to if all were as good: at most `days`, 0 for
            none.
    """

    score: FloatArray
    variance: FloatArray
    residual: FloatArray
    days: FloatArray
    effective_days: FloatArray


def stratified_score(impressions: ArrayLike, clicks: ArrayLike) -> Score:
    """Compare every pair of variants day by day.

    Args:
        impressions: Impressions per day and variant, shape `(..., n_days, n_variants)`, not
            negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        The score, its two variances, and the days behind them.

    Raises:
        ValueError: If a count is negative, infinite or NaN, clicks exceed impressions, or the shape
            is wrong.

    Notes:
        With `n = n_i + n_j` and `m = x_i + x_j` of a day, the score is `sum x_i - m n_i / n` and
        its variance `sum n_i n_j m (n - m) / (n**2 (n - 1))`. If the rates of i and j are equal on
        each day, a day's term has mean 0 given all earlier days and the day's n and m, however the
        shares followed the data and the days differ: the score is a martingale. The residual is
        `T / (T - 1) sum (d - b v)**2` over the terms d and variances v of the days, b being score
        over variance and `T = (sum v)**2 / sum v**2` the effective days: it is also right if a
        variant has good and bad days of its own, which more impressions do not even out.

    References:
        Mantel and Haenszel, Journal of the National Cancer Institute 22 (1959), 719-748.
    """
    shown, hits = as_floats(impressions, "impressions"), as_floats(clicks, "clicks")
    same_shape(shown, hits, ("impressions", "clicks"))
    if shown.ndim < 2:
        raise ValueError(f"impressions must have the shape (n_days, n_variants), not {shown.shape}")
    quoted = {"impressions": shown, "clicks": hits}
    for name, counts in quoted.items():
        bad = ~np.isfinite(counts) | (counts < 0.0)
        refuse(bad, f"{name} must be finite and not negative", **quoted)
    refuse(hits > shown, "clicks must not exceed impressions", **quoted)
    n_variants = shown.shape[-1]
    shape = (*shown.shape[:-2], n_variants, n_variants)
    score, variance, residual, days, effective = (np.zeros(shape) for _ in range(5))
    for i in range(n_variants - 1):
        mine, others = shown[..., i : i + 1], shown[..., i + 1 :]
        both, clicked = mine + others, hits[..., i : i + 1] + hits[..., i + 1 :]
        used = (mine > 0.0) & (others > 0.0) & (clicked > 0.0) & (clicked < both)
        part = np.divide(mine, both, out=np.zeros_like(both), where=used)
        term = np.where(used, hits[..., i : i + 1] - clicked * part, 0.0)
        spread = clicked * part * (1.0 - part) * (both - clicked)
        spread = np.divide(spread, both - 1.0, out=np.zeros_like(both), where=used)
        n, total, known = used.sum(axis=-2), term.sum(axis=-2), spread.sum(axis=-2)
        slope = np.divide(total, known, out=np.zeros_like(total), where=known > 0.0)
        left = ((term - slope[..., None, :] * spread) ** 2).sum(axis=-2)
        rest = (..., i, slice(i + 1, None))
        score[rest], variance[rest], days[rest] = total, known, n
        squares = (spread**2).sum(axis=-2)
        good = np.divide(known**2, squares, out=np.zeros_like(known), where=squares > 0.0)
        effective[rest] = good
        residual[rest] = np.divide(
            left * good, good - 1.0, out=np.full_like(left, np.inf), where=good > 1.0
        )
    sides = (variance, residual, days, effective)
    mirrored = (side + side.swapaxes(-1, -2) for side in sides)
    return Score(score - score.swapaxes(-1, -2), *mirrored)
