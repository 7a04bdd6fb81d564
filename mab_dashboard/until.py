"""How long until the stop advice changes, if the true rates are as estimated; pure.

The rule's own code allocates simulated traffic that continues the experiment's counts, and the rule
of the advice judges each whole week.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_dashboard.counts import Counts
from mab_pipeline import bandit
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.stop_rule import (
    HORIZON_WEEKS,
    MIN_DAYS,
    WEEK,
    Advice,
    advise,
    fit_weeks,
    whole_weeks,
)
from mab_pipeline.simulation.play import Past, Played, play
from mab_pipeline.simulation.truth import Truth

FloatArray = npt.NDArray[np.float64]

AHEAD_WEEKS = 13
MOST_REPS = 200
MOST_CELLS = 60_000
"""Repetitions times variants times days ahead that are played: some seconds."""
TRAFFIC_DAYS = 14
SEED = 1


class Wait(NamedTuple):
    """The result of the repetitions.

    Attributes:
        now: The advice of today's counts.
        rates: The rates that were taken for the true ones, one per variant.
        traffic: The impressions of each day ahead.
        reps: Repetitions.
        changed: How many of them had other advice within the horizon.
        days: Days until then at the 10th, 50th and 90th percentile of all repetitions; None if the
            advice of so many did not change.
        verdicts: How many changed to each verdict, and to which variant, the most frequent first.
        horizon: The days ahead that were played.
    """

    now: Advice
    rates: tuple[float, ...]
    traffic: int
    reps: int
    changed: int
    days: tuple[int | None, int | None, int | None]
    verdicts: tuple[tuple[str, str | None, int], ...]
    horizon: int


def advice_now(counts: Counts, stop_loss: float) -> Advice:
    """Return the advice of all days, as the pipeline gives it if the data have no fault."""
    shown, hits = _evidence(counts.impressions, counts.clicks)
    return advise(counts.variants, shown, hits, stop_loss=stop_loss)


def wait(
    counts: Counts,
    rule: RuleSettings,
    *,
    stop_loss: float,
    follow: Callable[[float], None] = lambda _: None,
) -> Wait | None:
    """Simulate the days ahead.

    Args:
        counts: The counts since the first day with impressions; the columns are the variants of
            the newest decision, the control first if there is one.
        rule: The settings that allocate.
        stop_loss: Relative expected loss below which stopping is safe.
        follow: Is told the share of the work that is done.

    Returns:
        The result: the same for the same arguments. None if there is nothing to simulate: one
        variant, or no impressions in the last two weeks.
    """
    recent = counts.impressions[-TRAFFIC_DAYS:].sum(axis=1)
    traffic = int(recent[recent > 0].mean()) if recent.any() else 0
    if traffic == 0 or len(counts.variants) < 2:
        return None
    rates = _rates(counts, rule)
    days = AHEAD_WEEKS * WEEK - len(counts.impressions) % WEEK
    reps = max(20, min(MOST_REPS, MOST_CELLS // (days * len(rates))))
    truth = Truth(
        np.full(days, traffic),
        np.broadcast_to(rates, (days, 1, len(rates))),
        np.broadcast_to(rates, (days, reps, len(rates))),
        np.ones(1),
    )
    past = Past(counts.impressions, counts.clicks)
    played = play(truth, rule, np.random.Generator(np.random.SFC64(SEED)), past)
    now = advice_now(counts, stop_loss)
    found = _first_changes(counts, played, now, stop_loss, follow)
    waited = np.array([day for day, _ in found.values()] + [np.inf] * (reps - len(found)))
    percentiles = np.quantile(waited, (0.1, 0.5, 0.9), method="inverted_cdf")
    after = Counter((advice.verdict, advice.variant_name) for _, advice in found.values())
    low, middle, high = (int(value) if np.isfinite(value) else None for value in percentiles)
    return Wait(
        now,
        tuple(rates.tolist()),
        traffic,
        reps,
        len(found),
        (low, middle, high),
        tuple((*key, count) for key, count in after.most_common()),
        days,
    )


def _rates(counts: Counts, rule: RuleSettings) -> FloatArray:
    """Return the rates on an average day, drawn to the prior where there are few counts."""
    shown, hits = bandit.day_effects(counts.impressions, counts.clicks)
    rates: FloatArray = (rule.prior_alpha + hits) / (rule.prior_alpha + rule.prior_beta + shown)
    return rates


def _first_changes(
    counts: Counts, played: Played, now: Advice, stop_loss: float, follow: Callable[[float], None]
) -> dict[int, tuple[int, Advice]]:
    """Return of each repetition whose advice changes the day of that, from 1, and the advice."""
    n_past, (n_days, reps, _) = len(counts.impressions), played.shares.shape
    running, found = list(range(reps)), {}
    ends = [end for end in range(1, n_days + 1) if (n_past + end) % WEEK == 0]
    for step, end in enumerate(ends):
        if n_past + end < MIN_DAYS:
            continue
        planes = {
            rep: _evidence(
                np.concatenate([counts.impressions, played.impressions[:end, rep]]),
                np.concatenate([counts.clicks, played.clicks[:end, rep]]),
            )
            for rep in running
        }
        for rep, weeks in zip(running, fit_weeks(list(planes.values())), strict=True):
            advice = advise(counts.variants, *planes[rep], stop_loss=stop_loss, weeks=weeks)
            if (advice.verdict, advice.variant_name) != (now.verdict, now.variant_name):
                found[rep] = end, advice
        running = [rep for rep in running if rep not in found]
        follow((step + 1) / len(ends))
    return found


def _evidence(
    impressions: npt.NDArray[np.int64], clicks: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Return the days that the advice weighs: whole weeks from the first day on, the last 26."""
    too_many = len(impressions) - HORIZON_WEEKS * WEEK
    start = max(0, -(-too_many // WEEK) * WEEK)
    days = start + (whole_weeks(len(impressions) - start) or len(impressions) - start)
    return impressions[start:days].astype(float), clicks[start:days].astype(float)
