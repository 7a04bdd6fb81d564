"""When an experiment may stop: the rules of the advice, with the error rates measured for them.

Pure functions of counts. `tools/measure_stop_rule.py` measures them; docs/adr/0024 tells why.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from mab_pipeline import bandit
from mab_pipeline.bandit.arrays import FloatArray
from mab_pipeline.bandit.day_fits import day_fits
from mab_pipeline.bandit.stratified import Score

WEEK = 7
MIN_DAYS = 14
"""Days that any advice to stop needs; only whole weeks count, so that each weekday counts alike."""
HORIZON_WEEKS = 26
"""Most weeks of evidence; older ones tell little of today's rates."""
WINNER_P = 0.996
"""Probability of a higher rate, against each other variant, that makes a winner."""

WINNER_ERROR = (
    "in simulated 60-day runs of equal variants, read daily, it named a winner in 0.0 to 3.5 % "
    "(4,000 runs each of two, three and ten variants, with and without effects of days)"
)
SAFE_ERROR = (
    "in simulated 60-day runs of 5 against 4.5 % it chose the worse variant in 3.8 % of the times "
    "that it spoke at 1,000 impressions a day, and in at most 0.2 % from 5,000 on"
)
"""Measured by `tools/measure_stop_rule.py` with seed 1; docs/adr/0024 has the whole table."""

Verdict = Literal["keep_running", "safe_to_stop", "winner", "data_problem"]


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether an experiment may stop; nothing acts on it.

    Attributes:
        verdict: `data_problem` before `winner` before `safe_to_stop`; else `keep_running`.
        variant_name: The variant to choose; None if there is none to choose yet.
        reason: Why, in one sentence.
        error_rate: How often the rule of this verdict is wrong, as measured; None for a verdict
            that asks to choose nothing.
    """

    verdict: Verdict
    variant_name: str | None
    reason: str
    error_rate: str | None


class Weeks(NamedTuple):
    """What the whole weeks of an experiment say with day effects.

    Attributes:
        phi: max(1, phi): the factor by which variances exceed those of binomial counts.
        leader: The variant with the smallest expected loss.
        loss: Its expected loss relative to its rate.
    """

    phi: float
    leader: int
    loss: float


def advise(
    variants: Sequence[str],
    impressions: FloatArray,
    clicks: FloatArray,
    *,
    stop_loss: float,
    faults: Sequence[str] = (),
    weeks: Weeks | None = None,
) -> Advice:
    """Say whether an experiment may stop.

    Args:
        variants: Names of the K variants.
        impressions: Impressions per variant of all days since the first, shape `(T, K)`; only its
            first whole weeks count.
        clicks: Clicks, same shape.
        stop_loss: Relative expected loss of the leader below which stopping is safe.
        faults: Faults of the data, each in a few words.
        weeks: What `fit_weeks` says of these counts; computed if it is not given.
    """
    if faults:
        return Advice("data_problem", None, f"See to the data first: {'; '.join(faults)}.", None)
    if len(variants) < 2:
        return Advice("keep_running", None, "There is one variant and nothing to compare.", None)
    days = whole_weeks(len(impressions))
    if days == 0:
        n = len(impressions)
        found = "is 1 day" if n == 1 else f"are {n} days"
        reason = f"There {found} of data; the advice needs {MIN_DAYS}."
        return Advice("keep_running", None, reason, None)
    shown, hits = impressions[:days], clicks[:days]
    (weeks,) = fit_weeks([(shown, hits)]) if weeks is None else (weeks,)
    best = _winner(shown, hits, weeks.phi, WINNER_P)
    if best is not None:
        reason = (
            f"{variants[best]} beats each other variant day by day over {days} days with a "
            f"probability of at least {WINNER_P:g}."
        )
        return Advice("winner", variants[best], reason, WINNER_ERROR)
    leader, loss = weeks.leader, weeks.loss
    costs = f"{variants[leader]} leads after {days} days; choosing it is expected to cost"
    if loss < stop_loss:
        reason = f"{costs} {100 * loss:.2g} % of the clicks, below {100 * stop_loss:g} %."
        return Advice("safe_to_stop", variants[leader], reason, SAFE_ERROR)
    reason = f"{costs} {100 * loss:.2g} % of the clicks, at least {100 * stop_loss:g} %."
    return Advice("keep_running", None, reason, None)


def whole_weeks(n_days: int) -> int:
    """Return how many of the first days are whole weeks; 0 if fewer than `MIN_DAYS`."""
    days = n_days // WEEK * WEEK
    return days if days >= MIN_DAYS else 0


def lead(impressions: FloatArray, clicks: FloatArray) -> FloatArray:
    """Return each variant's probability of a higher rate than the strongest other one, by day.

    Args:
        impressions: Impressions per day and variant, shape `(..., n_days, n_variants)`.
        clicks: Clicks, same shape.

    Returns:
        Shape `(..., n_variants)`, before phi is applied: the smaller of the normal probability of
        `score / sqrt(variance)` and the Student one of `score / sqrt(residual)`
        (`bandit.stratified_score`). 0 if there is one variant, or one that shares no `MIN_DAYS`
        days with it.
    """
    return _lead(bandit.stratified_score(impressions, clicks), 1.0)


def winner(impressions: FloatArray, clicks: FloatArray, *, least: float = WINNER_P) -> int | None:
    """Return the variant that beats each other one by the rule of `winner`; None if none does.

    Args:
        impressions: Impressions per day and variant, shape `(n_days, n_variants)`, whole weeks.
        clicks: Clicks, same shape.
        least: The least probability against each other variant.
    """
    return _winner(impressions, clicks, noise(bandit.overdispersion(impressions, clicks)), least)


def _winner(impressions: FloatArray, clicks: FloatArray, phi: float, least: float) -> int | None:
    found = bandit.stratified_score(impressions, clicks)
    best = int(_lead(found, 1.0).argmax())
    return best if _lead(found, phi)[best] >= least else None


def fit_weeks(counts: Sequence[tuple[FloatArray, FloatArray]]) -> list[Weeks]:
    """Fit the whole weeks of each experiment; together it costs a fraction.

    Args:
        counts: Impressions and clicks of each, both of shape `(n_days, n_variants)`.

    Notes:
        The posteriors are those of the rates on an average day: effective counts, scaled by the
        information that is left and by phi, on top of a uniform prior.
    """
    fits = day_fits(counts)
    if not fits:
        return []
    width = max(len(fit.clicks) for fit in fits)
    alpha, beta = np.full((2, len(fits), width), np.nan)
    phis = [noise(fit.phi) for fit in fits]
    for row, (fit, phi) in enumerate(zip(fits, phis, strict=True)):
        alpha[row, : len(fit.clicks)] = 1.0 + fit.clicks / phi
        beta[row, : len(fit.clicks)] = 1.0 + (fit.impressions - fit.clicks) / phi
    loss = bandit.expected_loss(alpha, beta)
    relative = loss * (alpha + beta) / alpha
    leaders = np.nanargmin(loss, axis=1)
    return [
        Weeks(phi, int(leader), float(relative[row, leader]))
        for row, (phi, leader) in enumerate(zip(phis, leaders, strict=True))
    ]


def leader_loss(impressions: FloatArray, clicks: FloatArray) -> tuple[int, float]:
    """Return the variant with the smallest expected loss, and the loss relative to its rate."""
    (weeks,) = fit_weeks([(impressions, clicks)])
    return weeks.leader, weeks.loss


def noise(phi: float) -> float:
    """Return max(1, phi); 1 without degrees of freedom."""
    return max(1.0, phi) if math.isfinite(phi) else 1.0


def _lead(found: Score, phi: float) -> FloatArray:
    n_variants = found.score.shape[-1]
    if n_variants == 1:
        return np.zeros(found.score.shape[:-1])
    known = (found.days >= MIN_DAYS) & (found.effective_days > 1.0)
    spread = np.where(known, found.variance * phi, 1.0)
    normal = special.ndtr(found.score / np.sqrt(spread))
    is_spread = known & (found.residual > 0.0)
    spread = np.where(is_spread, found.residual, 1.0)
    freedom = np.where(known, found.effective_days - 1.0, 1.0)
    student = np.where(is_spread, special.stdtr(freedom, found.score / np.sqrt(spread)), normal)
    probability = np.where(known, np.minimum(normal, student), 0.0)
    probability[..., np.arange(n_variants), np.arange(n_variants)] = 1.0
    smallest: FloatArray = probability.min(axis=-1)
    return smallest
