"""A log-linear model of days and variants, which keeps moving shares and moving days apart.

Clicks of variant k on day t are Poisson with mean `n_tk day_t arm_k`. Pooling counts over days
compares the days as much as the variants if the shares moved (Simpson's paradox); this does not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arrays import BoolArray, FloatArray, as_floats, refuse, same_shape

_STEPS = 100
_TOLERANCE = 1e-13
# An eigenvalue of the information below this part of the largest is rounding, not information.
_SINGULAR = 1e-11


class DayFit(NamedTuple):
    """The maximum-likelihood fit.

    Attributes:
        day: Effect of each day, shape `(n_days,)`; the mean over all impressions is 1. 0 on a day
            without clicks.
        arm: Rate of each variant on a day with effect 1, shape `(n_variants,)`; NaN without
            impressions.
        covariance: Covariance of the logarithms of `arm`, up to a constant common to all, shape
            `(n_variants, n_variants)`; 0 for variants without clicks.
    """

    day: FloatArray
    arm: FloatArray
    covariance: FloatArray


class _Fit(NamedTuple):
    """Fits of many experiments, as `DayFit`, and the information that each keeps."""

    day: FloatArray
    arm: FloatArray
    covariance: FloatArray
    kept: FloatArray


def day_counts(impressions: ArrayLike, clicks: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check counts per day and variant, shape `(n_days, n_variants)`.

    Raises:
        ValueError: If a count is negative, infinite or NaN, clicks exceed impressions, or the
            shape is wrong.
    """
    shown, hits = as_floats(impressions, "impressions"), as_floats(clicks, "clicks")
    same_shape(shown, hits, ("impressions", "clicks"))
    if shown.ndim != 2:
        raise ValueError(f"impressions must have the shape (n_days, n_variants), not {shown.shape}")
    quoted = {"impressions": shown, "clicks": hits}
    for name, counts in quoted.items():
        refuse(
            ~np.isfinite(counts) | (counts < 0.0),
            f"{name} must be finite and not negative",
            **quoted,
        )
    refuse(hits > shown, "clicks must not exceed impressions", **quoted)
    return shown, hits


def _counts_of_days(impressions: ArrayLike, clicks: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check counts as `day_counts` does; there must be a day and a variant."""
    shown, hits = day_counts(impressions, clicks)
    if shown.size == 0:
        raise ValueError(f"impressions must have a day and a variant, not the shape {shown.shape}")
    return shown, hits


def _state(
    at: FloatArray, shown: FloatArray, hits: FloatArray, totals: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return log likelihoods, shape `(n,)`, and each variant's expected share of a day's clicks."""
    odds = shown * np.exp(at - at.max(axis=1, keepdims=True))[:, None, :]
    sums = odds.sum(axis=2, keepdims=True)
    share = np.divide(odds, sums, out=np.zeros_like(odds), where=sums > 0.0)
    return special.xlogy(hits, share).sum(axis=1).sum(axis=1), share * totals[:, :, None]


def _invert(due: FloatArray, totals: FloatArray, active: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Invert the information about the logarithms of the variants' effects.

    Nothing is known of their sum, so that the information is singular; a multiple of the matrix of
    ones makes up for it and is taken out again.

    Returns:
        The inverses on the effects that sum to 0, and whether days connect all active variants.
    """
    share = np.divide(due, totals[:, :, None], out=np.zeros_like(due), where=due > 0.0)
    information = -(share[..., None] * due[:, :, None, :]).sum(axis=1)
    n_arms = due.shape[2]
    place = np.arange(n_arms)
    information[:, place, place] += due.sum(axis=1)
    count = np.maximum(active.sum(axis=1), 1)[:, None, None]
    both = active[:, :, None] & active[:, None, :]
    scale = np.maximum(np.trace(information, axis1=1, axis2=2), 1.0)[:, None, None] / count
    information += np.where(both, scale / count, 0.0) + np.where(
        np.eye(n_arms, dtype=bool) & ~both, scale, 0.0
    )
    values, vectors = np.linalg.eigh(information)
    known = values > _SINGULAR * values[:, -1:]
    inverse = np.where(known, 1.0 / np.where(known, values, 1.0), 0.0)
    inverted = (vectors * inverse[:, None, :]) @ vectors.swapaxes(1, 2)
    inverted = np.where(both, inverted - 1.0 / (scale * count), 0.0)
    connected: BoolArray = np.all(known, axis=1)
    return inverted, connected


def _fit(shown: FloatArray, hits: FloatArray) -> _Fit:
    """Maximise the likelihood of the variants' clicks given each day's, by Newton's method.

    Given a day's total the clicks are multinomial, and the day effects drop out:

        pi_tk = n_tk a_k / sum_j n_tj a_j.

    Args:
        shown: Impressions, shape `(n, n_days, n_variants)`.
        hits: Clicks, same shape.
    """
    totals, own = hits.sum(axis=2), hits.sum(axis=1)
    active = own > 0.0
    seen = shown * active[:, None, :]
    count = np.maximum(active.sum(axis=1, keepdims=True), 1)
    rate = np.divide(own, seen.sum(axis=1), out=np.ones_like(own), where=active)
    at = np.log(rate)
    at -= np.where(active, at.sum(axis=1, keepdims=True) / count, at)
    likelihood, due = _state(at, seen, hits, totals)
    moving = np.ones((len(at), 1), dtype=np.bool_)
    for _ in range(_STEPS):
        inverse, _ = _invert(due, totals, active)
        # Who has arrived stays, or a result would depend on its neighbours in the batch.
        step = np.where(moving, (inverse @ (own - due.sum(axis=1))[..., None])[..., 0], 0.0)
        for _ in range(_STEPS):
            trial = at + step
            risen, new = _state(trial, seen, hits, totals)
            worse = risen < likelihood - _TOLERANCE * np.abs(likelihood)
            if not worse.any():
                break
            step[worse] /= 2.0
        at, likelihood, due = trial, risen, new
        moving = np.abs(step).max(axis=1, keepdims=True, initial=0.0) >= _TOLERANCE
        if not moving.any():
            break
    inverse, connected = _invert(due, totals, active)
    arm = np.where(active, np.exp(at), np.where(shown.sum(axis=1) > 0.0, 0.0, np.nan))
    expected = (seen * np.where(active, arm, 0.0)[:, None, :]).sum(axis=2)
    day = np.divide(totals, expected, out=np.zeros_like(totals), where=expected > 0.0)
    daily = shown.sum(axis=2)
    weighed, everything = (np.cumsum(x, axis=1)[:, -1] for x in (day * daily, daily))
    mean = np.divide(weighed, everything, out=np.ones_like(weighed), where=weighed > 0.0)
    return _Fit(day / mean[:, None], arm * mean[:, None], inverse, _kept(inverse, own, connected))


def _kept(inverse: FloatArray, own: FloatArray, connected: BoolArray) -> FloatArray:
    active = own > 0.0
    count = active.sum(axis=1)
    inverse_clicks = np.divide(1.0, own, out=np.zeros_like(own), where=active)
    plain = inverse_clicks.sum(axis=1) * (1.0 - 1.0 / np.maximum(count, 1))
    model = np.trace(inverse, axis1=1, axis2=2)
    kept = np.divide(plain, model, out=np.zeros_like(plain), where=connected & (model > 0.0))
    return np.where(count < 2, 1.0, np.minimum(kept, 1.0))


def fit_days(impressions: ArrayLike, clicks: ArrayLike) -> DayFit:
    """Fit `n_tk day_t arm_k` to the clicks.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        The fit.

    Raises:
        ValueError: If a count is negative, infinite or NaN, clicks exceed impressions, or the
            shape is wrong.

    References:
        Breslow and Day, Statistical Methods in Cancer Research II, 1987, chapter 4.
    """
    shown, hits = _counts_of_days(impressions, clicks)
    fit = _fit(shown[None], hits[None])
    return DayFit(fit.day[0], fit.arm[0], fit.covariance[0])


def day_effects(impressions: ArrayLike, clicks: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Weigh each variant's impressions by the days on which it had them.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        `(effective impressions, effective clicks)` per variant, each of shape `(n_variants,)`:
        their ratio is the variant's rate on an average day, free of the effect of the days. The
        clicks are the sums; the impressions are `sum_t n_tk day_t`, and the sum over variants and
        days is kept. Impressions are at least the clicks.

    Raises:
        ValueError: As `fit_days`.

    Notes:
        Scale both by `information_kept` before a prior is added: that the day effects had to be
        estimated leaves less information about the variants.
    """
    shown, hits = _counts_of_days(impressions, clicks)
    effective = _effective(shown[None], hits[None], _fit(shown[None], hits[None]).day)
    return effective[0], hits.sum(axis=0)


def scaled_day_effects(
    impressions: FloatArray, clicks: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return `day_effects` times `information_kept` for many experiments at once.

    Args:
        impressions: Impressions, shape `(n_experiments, n_days, n_variants)`, not negative; 0 for
            a cell that does not count.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        `(effective impressions, effective clicks)`, each of shape `(n_experiments, n_variants)`.
        A row's result depends, to the last bit, on its own counts only, and not on how many days
        without any come first: sums over days are taken one by one, oldest first.
    """
    fit = _fit(impressions, clicks)
    kept = fit.kept[:, None]
    return kept * _effective(impressions, clicks, fit.day), kept * clicks.sum(axis=1)


def _effective(shown: FloatArray, hits: FloatArray, day: FloatArray) -> FloatArray:
    # Without a click the days cannot be told apart.
    weight = np.where(day.any(axis=1, keepdims=True), day, 1.0)[:, :, None]
    effective: FloatArray = np.maximum((weight * shown).sum(axis=1), hits.sum(axis=1))
    return effective


def information_kept(impressions: ArrayLike, clicks: ArrayLike) -> float:
    """Compare the information about the variants with that of the same clicks on one day.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        A factor, 0 to 1; 1 for fewer than two variants with clicks, 0 if no chain of days with
        clicks connects all variants: nothing is known then of how they compare.

    Notes:
        The sum of the variances of the centred logarithms of the rates if each variant's clicks
        were plain Poisson counts, `1 / x_k`, over the same sum under the model with day effects.
        For two variants it is `(1 / x_1 + 1 / x_2) / se**2`, se that of the log ratio.
    """
    shown, hits = _counts_of_days(impressions, clicks)
    return float(_fit(shown[None], hits[None]).kept[0])


def overdispersion(impressions: ArrayLike, clicks: ArrayLike) -> float:
    """Measure how much more the clicks vary across days than binomial counts would.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        phi: Pearson's statistic of the model with day effects over its degrees of freedom; about 1
        if nothing but chance is at work. NaN without degrees of freedom. Divide counts by
        `max(1, phi)`.

    Raises:
        ValueError: As `fit_days`.

    Notes:
        `phi = sum (x - fit)**2 / (fit (1 - fit / n)) / ((T - 1)(K - 1))`; with cells without
        impressions, the cells less the parameters.

    References:
        McCullagh and Nelder, Generalized Linear Models, 2nd ed., 1989, section 4.5.
    """
    shown, hits = _counts_of_days(impressions, clicks)
    fit = fit_days(shown, hits)
    used: BoolArray = (shown > 0.0) & (hits.sum(axis=1) > 0.0)[:, None] & (hits.sum(axis=0) > 0.0)
    freedom = int(used.sum() - used.any(axis=1).sum() - used.any(axis=0).sum() + 1)
    if freedom <= 0 or not used.any():
        return float("nan")
    mean = (shown * fit.day[:, None] * np.nan_to_num(fit.arm))[used]
    # A Poisson mean can exceed the impressions; a binomial variance then has no meaning.
    variance = mean * np.clip(1.0 - mean / shown[used], 1.0 / shown[used], 1.0)
    return float(((hits[used] - mean) ** 2 / variance).sum() / freedom)
