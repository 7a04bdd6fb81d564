"""The rule on arrays: evidence and settings in, posteriors and shares out.

The pipeline, the replay and the simulation run this one code. The order of its options is fixed
(docs/adr/0022): counts (SHORT_WINDOW, ESTIMATE), prior (PRIOR), comparison, BURN_IN, and last
EXPLORATION and CONTROL_MIN_ALLOCATION.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.arrays import BoolArray, FloatArray, IntArray
from mab_pipeline.bandit.day_effects import scaled_day_effects
from mab_pipeline.bandit.decision import to_hundredths
from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.bandit.exploration import explore
from mab_pipeline.bandit.multinomial import multinomial_shares
from mab_pipeline.bandit.posterior import posterior
from mab_pipeline.bandit.prior import own_rate_prior
from mab_pipeline.bandit.thompson import thompson_shares

T = TypeVar("T")
_KEEP = "SHORT_WINDOW=keep"
_DAYS = "ESTIMATE=day_effects"
# Numbers that an array of the fit of day effects may hold.
_BLOCK = 2**20
Draw = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Draw shares from `(alpha, beta, P(best))`, each of shape `(n_decisions, n_variants)`: the part of
the draws that each variant wins, 0 for a padded cell. P(best) is exact, for those who emulate the
draws by a multinomial."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The counts of each variant in its windows; one row per decision.

    Arrays have the shape `(n_decisions, n_variants)` unless noted. NaN pads impressions and
    clicks; padded cells of the others are not read. An array that no option needs may be
    None.

    Attributes:
        impressions: Impressions of the window that counts; 0 if neither holds MIN_IMPRESSIONS.
        clicks: Clicks in it.
        is_short: Whether neither window holds MIN_IMPRESSIONS. For SHORT_WINDOW=keep.
        max_window_impressions: Impressions of the last MAX_WINDOW_DAYS. For SHORT_WINDOW=keep.
        max_window_clicks: Clicks in them. For SHORT_WINDOW=keep.
        since_joined: Impressions from the variant's first day to the as-of day; a count above
            MIN_IMPRESSIONS may be cut to it. For BURN_IN.
        is_control: Whether the variant is the control. For CONTROL_MIN_ALLOCATION.
        day_impressions: Impressions by day, oldest first, shape `(n_decisions, n_days,
            n_variants)`: the days of `max_window_impressions`, or the last of them. For
            ESTIMATE=day_effects.
        day_clicks: Clicks by day, same shape. For ESTIMATE=day_effects.
        window_days: How many of the last of these days count. For ESTIMATE=day_effects.
    """

    impressions: FloatArray
    clicks: FloatArray
    is_short: BoolArray | None = None
    max_window_impressions: FloatArray | None = None
    max_window_clicks: FloatArray | None = None
    since_joined: FloatArray | None = None
    is_control: BoolArray | None = None
    day_impressions: FloatArray | None = None
    day_clicks: FloatArray | None = None
    window_days: IntArray | None = None

    @property
    def real(self) -> BoolArray:
        """Whether a cell holds a variant."""
        return ~np.isnan(self.impressions)


class Weighed(NamedTuple):
    """The results of the rule; arrays of shape `(n_decisions, n_variants)`.

    Attributes:
        impressions: Impressions that count, before day effects weigh them; NaN for padding.
        clicks: Clicks that count; NaN for padding.
        alpha: First parameter of the Beta posterior; NaN for padding.
        beta: Second parameter; NaN for padding.
        probability_best: Exact probability of the highest rate among all variants; 0 for padding.
        shares: Shares of the traffic, each row summing to 1; 0 for padding.
        hundredths: Shares in 0.01 %, each row summing to 10,000.
    """

    impressions: FloatArray
    clicks: FloatArray
    alpha: FloatArray
    beta: FloatArray
    probability_best: FloatArray
    shares: FloatArray
    hundredths: IntArray


class Mixture(NamedTuple):
    """How shares follow from the comparison: `share = least + scale * won`.

    Attributes:
        least: A variant's share before any comparison, shape `(n_decisions, n_variants)`.
        scale: The part that the comparison divides, shape `(n_decisions, 1)`.
        compared: Whether a variant takes part in the comparison, shape as `least`. All do if
            otherwise none would; the scale is 0 then.
    """

    least: FloatArray
    scale: FloatArray
    compared: BoolArray


def draw_of(rule: RuleSettings, seeds: IntArray) -> Draw | None:
    """Return the draws that ALLOCATION_METHOD names; None for the exact method.

    Args:
        rule: The settings.
        seeds: A seed for each decision, shape `(n_decisions,)`.
    """
    if rule.allocation_method == "exact":
        return None
    samples = rule.thompson_samples
    if rule.allocation_method == "multinomial":
        return lambda _alpha, _beta, best: multinomial_shares(best, samples=samples, seeds=seeds)
    return lambda alpha, beta, _: thompson_shares(alpha, beta, samples=samples, seeds=seeds)


def weigh(evidence: Evidence, rule: RuleSettings, draw: Draw | None = None) -> Weighed:
    """Compute posteriors and shares.

    Args:
        evidence: The counts of the windows.
        rule: The settings that decide. `allocation_method` is not read: `draw` says it.
        draw: How to draw shares from the posteriors; None takes the exact probabilities.

    Raises:
        ValueError: An option needs an array that the evidence lacks, or the counts are unusable.
    """
    impressions, clicks = counts(evidence, rule)
    alpha, beta = _posteriors(evidence, impressions, clicks, rule)
    if len(alpha) == 0:
        return Weighed(
            impressions, clicks, alpha, beta, alpha, alpha, np.zeros(alpha.shape, dtype=np.int64)
        )
    best = probability_best(alpha, beta)
    real = evidence.real
    burning = burning_in(evidence, rule)
    compared = _compared(real, burning)
    won_alpha, won_beta, won = alpha, beta, best
    if burning.any():
        won_alpha = np.where(compared, alpha, np.nan)
        won_beta = np.where(compared, beta, np.nan)
        rows = burning.any(axis=1)
        won = best.copy()
        won[rows] = probability_best(won_alpha[rows], won_beta[rows])
    if draw is not None:
        won = draw(won_alpha, won_beta, won)
    shares = _mixed(won, evidence, rule, burning)
    return Weighed(impressions, clicks, alpha, beta, best, shares, to_hundredths(shares))


def counts(evidence: Evidence, rule: RuleSettings) -> tuple[FloatArray, FloatArray]:
    """Return the impressions and clicks that count, NaN for padding."""
    kept = kept_counts(evidence, rule)
    if not kept.any():
        return evidence.impressions, evidence.clicks
    shown = _needed(evidence.max_window_impressions, "max_window_impressions", _KEEP)
    hits = _needed(evidence.max_window_clicks, "max_window_clicks", _KEEP)
    return np.where(kept, shown, evidence.impressions), np.where(kept, hits, evidence.clicks)


def kept_counts(evidence: Evidence, rule: RuleSettings) -> BoolArray:
    """Return which variants keep the few counts of the longest window instead of the prior."""
    if rule.short_window == "prior":
        return np.zeros(evidence.impressions.shape, dtype=np.bool_)
    is_short = _needed(evidence.is_short, "is_short", _KEEP)
    shown = _needed(evidence.max_window_impressions, "max_window_impressions", _KEEP)
    kept: BoolArray = evidence.real & is_short & (shown > 0.0)
    return kept


def burning_in(evidence: Evidence, rule: RuleSettings) -> BoolArray:
    """Return which variants have had fewer than MIN_IMPRESSIONS since they joined."""
    if rule.burn_in == "off":
        return np.zeros(evidence.impressions.shape, dtype=np.bool_)
    since = _needed(evidence.since_joined, "since_joined", "BURN_IN=on")
    short: BoolArray = evidence.real & (since < rule.min_impressions)
    return short


def mixture(evidence: Evidence, rule: RuleSettings) -> Mixture:
    """Return what each share owes to the options and how much is left to the comparison."""
    real, burning = evidence.real, burning_in(evidence, rule)
    width = real.sum(axis=1, keepdims=True)
    floor = np.where(real, np.maximum(rule.exploration / width, _floors(evidence, rule)), 0.0)
    left = 1.0 - floor.sum(axis=1, keepdims=True)
    floor, left = np.where(left > 0.0, floor, real / width), np.maximum(left, 0.0)
    scale = left * (1.0 - burning.sum(axis=1, keepdims=True) / width)
    return Mixture(floor + left * burning / width, scale, _compared(real, burning))


def _posteriors(
    evidence: Evidence, impressions: FloatArray, clicks: FloatArray, rule: RuleSettings
) -> tuple[FloatArray, FloatArray]:
    shown, hits = impressions, clicks
    if rule.estimate == "day_effects":
        shown, hits = _without_days(evidence, impressions, clicks)
    if rule.prior == "fixed":
        return posterior(hits, shown, prior_alpha=rule.prior_alpha, prior_beta=rule.prior_beta)
    alpha, beta = own_rate_prior(impressions, clicks)
    return alpha[:, None] + hits, beta[:, None] + (shown - hits)


def _without_days(
    evidence: Evidence, impressions: FloatArray, clicks: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Replace counts by those that hold the same information free of the effects of the days."""
    shown = _needed(evidence.day_impressions, "day_impressions", _DAYS)
    hits = _needed(evidence.day_clicks, "day_clicks", _DAYS)
    length = _needed(evidence.window_days, "window_days", _DAYS)
    days = np.arange(shown.shape[1])[None, :, None]
    # The days of each variant's own window; none of a variant of which the prior counts.
    counted = (days >= shown.shape[1] - length[:, None, :]) & (impressions > 0.0)[:, None, :]
    cells = [np.where(counted, side, 0.0) for side in (shown, hits)]
    effective = np.array([impressions, clicks])
    # Rows with the same real cells together: no result may depend on the padding.
    patterns, kinds = np.unique(evidence.real, axis=0, return_inverse=True)
    for kind, real in enumerate(patterns):
        rows = np.flatnonzero((kinds == kind) & _can_tell_days_apart(*cells))
        step = max(1, _BLOCK // max(1, shown.shape[1] * int(real.sum()) ** 2))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            own = (side[some][:, :, real] for side in cells)
            effective[:, some[:, None], np.flatnonzero(real)] = scaled_day_effects(*own)
    return effective[0], effective[1]


def _can_tell_days_apart(shown: FloatArray, hits: FloatArray) -> BoolArray:
    """Say which rows have two days and two variants with clicks; else pooling loses nothing."""
    days = shown.any(axis=2).sum(axis=1)
    able: BoolArray = (days > 1) & (hits.any(axis=1).sum(axis=1) > 1)
    return able


def _mixed(
    won: FloatArray, evidence: Evidence, rule: RuleSettings, burning: BoolArray
) -> FloatArray:
    """Apply burn-in, then exploration and the control's floor; without them change no bit."""
    real = evidence.real
    shares = won
    if burning.any():
        width = real.sum(axis=1, keepdims=True)
        others = 1.0 - burning.sum(axis=1, keepdims=True) / width
        burnt = np.where(burning, 1.0 / width, others * won)
        shares = np.where(burning.any(axis=1, keepdims=True), burnt, won)
    if rule.exploration > 0.0 or rule.control_min_allocation > 0.0:
        floors = np.where(real, _floors(evidence, rule), np.nan)
        mixed = explore(np.where(real, shares, np.nan), rule.exploration, floors)
        shares = np.nan_to_num(mixed, nan=0.0)
    return shares


def _floors(evidence: Evidence, rule: RuleSettings) -> FloatArray:
    """Return the least share of each variant that a setting names."""
    least = rule.control_min_allocation
    if least == 0.0:
        return np.zeros_like(evidence.impressions)
    is_control = _needed(evidence.is_control, "is_control", "CONTROL_MIN_ALLOCATION")
    return np.where(is_control, least, 0.0)


def _compared(real: BoolArray, burning: BoolArray) -> BoolArray:
    compared = real & ~burning
    return np.where(compared.any(axis=1, keepdims=True), compared, real)


def _needed(array: T | None, name: str, option: str) -> T:
    if array is None:
        raise ValueError(f"{option} needs the evidence's {name}")
    return array
