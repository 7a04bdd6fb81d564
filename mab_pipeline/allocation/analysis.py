"""The analysis of a decision: intervals, lifts, checks and the stop advice.

Pure functions of plain values. `analyses.py` reads the evidence and stores the result.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from mab_pipeline import bandit
from mab_pipeline.allocation import stop_rule
from mab_pipeline.allocation.compared import Compared, compare_all
from mab_pipeline.bandit.arrays import FloatArray
from mab_pipeline.bandit.day_fits import day_fits
from mab_store.how_many import how_many

MISMATCH_P = 0.001
"""A sample ratio with a smaller p-value is a mismatch."""
LEAST_EXPECTED = 5.0
"""Impressions that each cell of the sample ratio must be due; variants due fewer are pooled."""
DIGITS = 10

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one experiment at a decision, K variants over T days.

    Attributes:
        variants: Names, in the order of every array.
        control: Index of the control; None if no current variant is.
        alpha: First parameters of the decision's posteriors, shape `(K,)`.
        beta: Second parameters, shape `(K,)`.
        first_day: Day of the first row; None without days.
        impressions: Impressions of consecutive days, shape `(T, K)`, 0 if there were none.
        clicks: Clicks, same shape.
        shares: Shares that were live on the day, 0 to 1, same shape; NaN on a day without.
        buckets: Shares of the buckets that were live, same shape and NaN.
        exploration: Share of the traffic that is always split equally, 0 to 1.
        faults: Faults of the data, each in a few words.
        stop_loss: Relative expected loss of the leader below which stopping is safe.
        oldest_day: First day that ever had impressions; weeks are counted from it.
        rejected_rows: Rows of the decision's day that were rejected.
    """

    variants: tuple[str, ...]
    control: int | None
    alpha: FloatArray
    beta: FloatArray
    first_day: date | None
    impressions: FloatArray
    clicks: FloatArray
    shares: FloatArray
    buckets: FloatArray
    exploration: float = 0.0
    faults: tuple[str, ...] = ()
    stop_loss: float = 0.005
    oldest_day: date | None = None
    rejected_rows: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error."""

    estimate: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class VariantAnalysis:
    """One variant; what compares it with the control is None for the control and without one.

    Attributes:
        variant_name: Its name.
        mean: Mean of the posterior click rate.
        credible_interval: 95 % interval of it.
        probability_best: Probability of the highest rate.
        probability_beats_control: Probability of a higher rate than the control's.
        lift: Mean over the control's mean, less 1.
        lift_interval: 95 % interval of the lift.
        expected_loss: Clicks per impression expected to be lost by choosing it for good.
        difference: Rate less the control's, day by day, right under moving shares; None without a
            day that tells.
        rate_over_all_traffic: Click rate by inverse probability weighting; None if not estimated.
    """

    variant_name: str
    mean: float
    credible_interval: Interval
    probability_best: float
    probability_beats_control: float | None
    lift: float | None
    lift_interval: Interval | None
    expected_loss: float
    difference: Estimate | None
    rate_over_all_traffic: Estimate | None


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the traffic follows the published shares.

    Attributes:
        p_value: Probability of a deviation as large if the shares are applied; None if not tested.
        days: Days with a live publication and impressions that were compared.
        observed: Impressions of each variant on those days.
        expected: Impressions that the shares promise.
        note: Why it was not tested, or which variants were counted as one; else empty.
    """

    p_value: float | None
    days: int
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    note: str

    @property
    def is_mismatch(self) -> bool:
        """Whether the traffic does not follow the shares."""
        return self.p_value is not None and self.p_value < MISMATCH_P


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result.

    Attributes:
        variants: One entry per variant.
        control: Name of the control; None without one.
        first_day: First day of the evidence of all days; None without any.
        days: Number of those days.
        value_remaining: What another variant may still gain over the leader, relative, at 95 %.
        overdispersion: phi across days; None without clicks or degrees of freedom.
        rate_note: Why no rate over all traffic is estimated; empty if it is.
        sample_ratio: Whether the traffic follows the shares.
        advice: Whether the experiment may stop; nothing acts on it.
        rejected_rows: Rows of the decision's day that were rejected.
    """

    variants: tuple[VariantAnalysis, ...]
    control: str | None
    first_day: str | None
    days: int
    value_remaining: float
    overdispersion: float | None
    rate_note: str
    sample_ratio: SampleRatio
    advice: stop_rule.Advice
    rejected_rows: int = 0

    def to_json(self) -> str:
        """Return it as JSON in the order of the attributes, with numbers of 10 digits."""
        return json.dumps(_rounded(self), separators=(",", ":"), ensure_ascii=False)


def analyse(evidence: Evidence) -> Analysis:
    """Compute everything that is shown with a decision's shares."""
    (compared,) = compare_all([(evidence.alpha, evidence.beta, evidence.control)])
    (fitted,) = fit_all([evidence])
    return analyse_with(evidence, compared, fitted)


class Fitted(NamedTuple):
    """Fits of the days of one experiment.

    Attributes:
        phi: Overdispersion over all days; NaN without clicks or degrees of freedom.
        weeks: What its whole weeks say; None if they are too few, or if nothing is compared.
    """

    phi: float
    weeks: stop_rule.Weeks | None


def fit_all(given: Sequence[Evidence]) -> list[Fitted]:
    """Fit the days of each experiment; together it costs a fraction."""
    counted = [k for k, one in enumerate(given) if one.clicks.any()]
    fits = day_fits([(given[k].impressions, given[k].clicks) for k in counted])
    phi = {k: fit.phi for k, fit in zip(counted, fits, strict=True)}
    whole = {
        k: days
        for k, one in enumerate(given)
        if len(one.variants) > 1 and (days := stop_rule.whole_weeks(len(one.impressions)))
    }
    weeks = stop_rule.fit_weeks(
        [(given[k].impressions[:days], given[k].clicks[:days]) for k, days in whole.items()]
    )
    by_place = dict(zip(whole, weeks, strict=True))
    return [Fitted(phi.get(k, math.nan), by_place.get(k)) for k in range(len(given))]


def analyse_with(evidence: Evidence, compared: Compared, fitted: Fitted) -> Analysis:
    """Complete an analysis whose comparison and fits are there."""
    ratio = sample_ratio(evidence)
    rates, note = _rates(evidence)
    faults = evidence.faults + ((_mismatch(evidence, ratio),) if ratio.is_mismatch else ())
    return Analysis(
        variants=_variants(evidence, compared, rates),
        control=None if evidence.control is None else evidence.variants[evidence.control],
        first_day=None if evidence.first_day is None else str(evidence.first_day),
        days=len(evidence.impressions),
        value_remaining=float(compared.remaining[0]),
        overdispersion=_number(fitted.phi),
        rate_note=note,
        sample_ratio=ratio,
        advice=stop_rule.advise(
            evidence.variants,
            evidence.impressions,
            evidence.clicks,
            stop_loss=evidence.stop_loss,
            faults=faults,
            weeks=fitted.weeks,
        ),
        rejected_rows=evidence.rejected_rows,
    )


def sample_ratio(evidence: Evidence) -> SampleRatio:
    """Compare impressions with the sum over days of the day's total times its published share.

    Readers may apply the shares or the hundred buckets: the better fit of the two counts.
    """
    shown = evidence.impressions
    known = ~np.isnan(evidence.shares).any(axis=1) & (shown.sum(axis=1) > 0.0)
    observed = shown[known].sum(axis=0)
    nothing = tuple(0.0 for _ in evidence.variants)
    if not known.any():
        return SampleRatio(None, 0, nothing, nothing, "no day with a live publication has traffic")
    totals = shown[known].sum(axis=1, keepdims=True)
    promised = [(totals * part[known]).sum(axis=0) for part in (evidence.shares, evidence.buckets)]
    expected = promised[0]
    found = (int(known.sum()), tuple(observed.tolist()), tuple(expected.tolist()))
    if len(evidence.variants) < 2:
        return SampleRatio(None, *found, "there is one variant")
    pool, note = _pool(evidence.variants, expected)
    if len(pool) == len(evidence.variants):
        return SampleRatio(None, *found, note)
    seen, dues = _merged(observed, pool), [_merged(part, pool) for part in promised]
    p = max(float(bandit.sample_ratio_p_value(seen, due)) for due in dues)
    return SampleRatio(p, *found, note)


def _pool(names: Sequence[str], expected: FloatArray) -> tuple[list[int], str]:
    """Return which variants count as one, and why.

    Chi-square wants `LEAST_EXPECTED` in each cell. Variants due fewer are pooled, with the next
    smallest ones if together they are still due too few; none is left out, because traffic that a
    starved variant should not have had is missing elsewhere.
    """
    order = np.argsort(expected, kind="stable")
    small = int((expected < LEAST_EXPECTED).sum())
    if small == 0:
        return [], ""
    is_enough = np.cumsum(expected[order]) >= LEAST_EXPECTED
    enough = int(is_enough.argmax()) + 1 if is_enough.any() else len(order)
    pool = sorted(order[: max(small, enough)].tolist())
    due = ", ".join(names[k] for k in sorted(order[:small].tolist()))
    few = f"due fewer than {LEAST_EXPECTED:g} impressions: {due}"
    if len(pool) == len(order):
        return pool, f"fewer than two cells are due enough ({few})"
    return pool, f"counted as one variant: {', '.join(names[k] for k in pool)} ({few})"


def _merged(counts: FloatArray, pool: list[int]) -> FloatArray:
    """Return the counts with those of the pool added up in a cell of their own."""
    if not pool:
        return counts
    merged: FloatArray = np.append(np.delete(counts, pool), counts[pool].sum())
    return merged


def _mismatch(evidence: Evidence, ratio: SampleRatio) -> str:
    pairs = zip(evidence.variants, ratio.observed, ratio.expected, strict=True)
    seen = ", ".join(f"{name} {got:.0f} of {due:.0f}" for name, got, due in pairs)
    return (
        f"the traffic does not follow the published shares (p = {ratio.p_value:.1e} over "
        f"{how_many(ratio.days, 'day')}; impressions of those due: {seen})"
    )


def _rates(evidence: Evidence) -> tuple[tuple[Estimate | None, ...], str]:
    """Return each variant's rate over all traffic, or why there is none."""
    nothing: tuple[Estimate | None, ...] = (None,) * len(evidence.variants)
    if not evidence.exploration > 0.0:
        return nothing, "not estimated: without exploration a variant's share can be 0"
    known = ~np.isnan(evidence.shares).any(axis=1)
    shown = evidence.impressions[known]
    if not shown.sum() > 0.0:
        return nothing, "not estimated: no day with a live publication has traffic"
    rate, error = bandit.inverse_probability_rates(
        shown, evidence.clicks[known], evidence.shares[known]
    )
    found = tuple(_estimate(*pair) for pair in zip(rate, error, strict=True))
    is_partial = None in found
    return found, "not estimated for variants whose share was 0 on a day" if is_partial else ""


def _variants(
    evidence: Evidence, compared: Compared, rates: tuple[Estimate | None, ...]
) -> tuple[VariantAnalysis, ...]:
    alpha, beta, control = evidence.alpha, evidence.beta, evidence.control
    mean = alpha / (alpha + beta)
    low, high, best, loss, beats, lowest, highest, _ = compared
    lift = difference = error = np.full(len(alpha), np.nan)
    if control is not None:
        lift = np.where(np.isnan(beats), np.nan, mean / mean[control] - 1.0)
        difference, error = bandit.batchwise_difference(
            evidence.impressions, evidence.clicks, control
        )
    return tuple(
        VariantAnalysis(
            variant_name=name,
            mean=float(mean[k]),
            credible_interval=(float(low[k]), float(high[k])),
            probability_best=float(best[k]),
            probability_beats_control=_number(beats[k]),
            lift=_number(lift[k]),
            lift_interval=None if np.isnan(lowest[k]) else (float(lowest[k]), float(highest[k])),
            expected_loss=float(loss[k]),
            difference=_estimate(difference[k], error[k]),
            rate_over_all_traffic=rates[k],
        )
        for k, name in enumerate(evidence.variants)
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _estimate(value: float, error: float) -> Estimate | None:
    return Estimate(float(value), float(error)) if math.isfinite(value) else None


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if is_dataclass(value):
        return {field.name: _rounded(getattr(value, field.name)) for field in fields(value)}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
