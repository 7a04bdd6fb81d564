"""A log-linear model of days and variants, which keeps moving shares and moving days apart.

Clicks of variant k on day t are Poisson with mean `n_tk day_t arm_k`. Pooling counts over days
compares the days as much as the variants if the shares moved (Simpson's paradox); this does not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import BoolArray, FloatArray, as_floats, refuse, same_shape

_STEPS = 100
_TOLERANCE = 1e-13


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


def _log_arms(shown: FloatArray, hits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Maximise the likelihood of the variants' clicks given each day's, by Newton's method.

    Given a day's total the clicks are multinomial, and the day effects drop out:

        pi_tk = n_tk a_k / sum_j n_tj a_j.

    Returns:
        Logarithms of the variants' effects and the inverse of their information.
    """
    totals, own = hits.sum(axis=1), hits.sum(axis=0)
    log_arm = np.log(own / shown.sum(axis=0))
    log_arm -= log_arm.mean()

    def state(at: FloatArray) -> tuple[float, FloatArray]:
        odds = shown * np.exp(at - at.max())
        sums = odds.sum(axis=1, keepdims=True)
        share = np.divide(odds, sums, out=np.zeros_like(odds), where=sums > 0.0)
        seen = hits > 0.0
        return float((hits[seen] * np.log(share[seen])).sum()), share

    likelihood, share = state(log_arm)
    for _ in range(_STEPS):
        slope = own - totals @ share
        information = np.diag(totals @ share) - (share * totals[:, None]).T @ share
        step = np.linalg.pinv(information, hermitian=True) @ slope
        for _ in range(_STEPS):
            trial = log_arm + step
            new_likelihood, new_share = state(trial)
            if new_likelihood >= likelihood - _TOLERANCE * abs(likelihood):
                break
            step /= 2.0
        log_arm, likelihood, share = trial - trial.mean(), new_likelihood, new_share
        if np.abs(step).max(initial=0.0) < _TOLERANCE:
            break
    information = np.diag(totals @ share) - (share * totals[:, None]).T @ share
    return log_arm, np.linalg.pinv(information, hermitian=True)


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
    shown, hits = day_counts(impressions, clicks)
    n_variants = shown.shape[1]
    active = hits.sum(axis=0) > 0.0
    arm = np.where(shown.sum(axis=0) > 0.0, 0.0, np.nan)
    covariance = np.zeros((n_variants, n_variants))
    day = np.zeros(len(shown))
    if active.any():
        log_arm, inverse = _log_arms(shown[:, active], hits[:, active])
        arm[active] = np.exp(log_arm)
        covariance[np.ix_(active, active)] = inverse
        due = shown[:, active] @ arm[active]
        day = np.divide(hits.sum(axis=1), due, out=day, where=due > 0.0)
    daily = shown.sum(axis=1)
    mean = float(day @ daily) / daily.sum() if daily.sum() > 0.0 else 1.0
    if mean > 0.0:
        day, arm = day / mean, arm * mean
    return DayFit(day, arm, covariance)


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
    shown, hits = day_counts(impressions, clicks)
    fit = fit_days(shown, hits)
    if not fit.day.any():  # no click at all: the days cannot be told apart
        return shown.sum(axis=0), hits.sum(axis=0)
    own = hits.sum(axis=0)
    return np.maximum(fit.day @ shown, own), own


def information_kept(impressions: ArrayLike, clicks: ArrayLike) -> float:
    """Compare the information about the variants with that of the same clicks on one day.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, not negative.
        clicks: Clicks, 0 to `impressions`, same shape.

    Returns:
        A factor, above 0 and at most 1; 1 for fewer than two variants with clicks.

    Notes:
        The sum of the variances of the centred logarithms of the rates if each variant's clicks
        were plain Poisson counts, `1 / x_k`, over the same sum under the model with day effects.
        For two variants it is `(1 / x_1 + 1 / x_2) / se**2`, se that of the log ratio.
    """
    shown, hits = day_counts(impressions, clicks)
    own = hits.sum(axis=0)
    active = own > 0.0
    k = int(active.sum())
    if k < 2:
        return 1.0
    centre = np.eye(k) - 1.0 / k
    model = fit_days(shown, hits).covariance[np.ix_(active, active)]
    plain = float(np.trace(centre @ np.diag(1.0 / own[active]) @ centre))
    return min(1.0, plain / float(np.trace(centre @ model @ centre)))


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
    shown, hits = day_counts(impressions, clicks)
    fit = fit_days(shown, hits)
    used: BoolArray = (shown > 0.0) & (hits.sum(axis=1) > 0.0)[:, None] & (hits.sum(axis=0) > 0.0)
    freedom = int(used.sum() - used.any(axis=1).sum() - used.any(axis=0).sum() + 1)
    if freedom <= 0:
        return float("nan")
    mean = (shown * fit.day[:, None] * np.nan_to_num(fit.arm))[used]
    # A Poisson mean can exceed the impressions; a binomial variance then has no meaning.
    variance = mean * np.clip(1.0 - mean / shown[used], 1.0 / shown[used], 1.0)
    return float(((hits[used] - mean) ** 2 / variance).sum() / freedom)
