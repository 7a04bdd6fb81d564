"""Play an experiment day by day, many repetitions at once: decide, serve, count, decide again."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.allocation.rule_arrays import Draw, Evidence, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.decision import HUNDREDTHS
from mab_pipeline.simulation.truth import Truth
from mab_pipeline.simulation.windows import SOURCES, sum_windows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Played(NamedTuple):
    """The course of the repetitions; each of shape `(n_days, n_reps, n_arms)`.

    Attributes:
        shares: Share of each variant of the day's traffic, 0 to 1.
        best: Probability of being best that the share was drawn from; 0 for a variant not there.
        impressions: Impressions served.
        clicks: Clicks, with those that are reported later.
    """

    shares: FloatArray
    best: FloatArray
    impressions: IntArray
    clicks: IntArray


class Past(NamedTuple):
    """Counts of the days before the first one that is played, each of shape `(n_past, n_arms)`."""

    impressions: IntArray
    clicks: IntArray


def play(
    truth: Truth, rule: RuleSettings, generator: np.random.Generator, past: Past | None = None
) -> Played:
    """Let a rule allocate the traffic of every day on the evidence of the days before.

    Args:
        truth: Rates and traffic.
        rule: The settings that decide.
        generator: Source of randomness.
        past: Counts that every repetition begins with; None begins without any.

    Notes:
        A decision counts in how many of `samples` joint draws from the posteriors each variant
        wins. Joint draws are independent, and a variant wins each with its probability P of being
        best, so the counts are Multinomial(samples, P) exactly, and P comes from a quadrature.
        Impressions are Multinomial(traffic, shares), clicks Binomial(impressions, rate).
    """
    shape = truth.rates.shape
    shares, best, clicks = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)
    shown, reported = _begun(past, shape)
    begin = len(shown) - shape[0]
    pending: list[IntArray] = []
    draw = _draw(rule, generator)
    for day in range(shape[0]):
        is_there = np.broadcast_to(~np.isnan(truth.expected[day]), shape[1:])
        decision = weigh(_evidence(shown, reported, is_there, begin + day, rule), rule, draw)
        best[day], shares[day] = decision.probability_best, decision.hundredths / HUNDREDTHS
        shown[begin + day] = generator.multinomial(truth.traffic[day], shares[day])
        clicks[day] = generator.binomial(shown[begin + day], truth.rates[day])
        # A day's clicks by delay; those of delay d are in the evidence of d days later.
        if len(truth.late) == 1:
            reported[begin + day] = clicks[day]
            continue
        pending.append(generator.multinomial(clicks[day], truth.late))
        for delay in range(min(day + 1, len(truth.late))):
            reported[begin + day - delay] += pending[day - delay][..., delay]
    return Played(shares, best, shown[begin:], clicks)


def _begun(past: Past | None, shape: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Return impressions and clicks of the past and of the days to play, which are still 0."""
    n_past = 0 if past is None else len(past.impressions)
    shown, hits = np.zeros((2, n_past + shape[0], *shape[1:]), np.int64)
    if past is not None:
        shown[:n_past], hits[:n_past] = past.impressions[:, None], past.clicks[:, None]
    return shown, hits


def _draw(rule: RuleSettings, generator: np.random.Generator) -> Draw | None:
    """Return how shares are drawn; None takes the exact probabilities."""
    if rule.allocation_method == "exact":
        return None
    samples = rule.thompson_samples
    return lambda _alpha, _beta, best: generator.multinomial(samples, best) / samples


def _evidence(
    impressions: IntArray,
    reported: IntArray,
    is_there: npt.NDArray[np.bool_],
    day: int,
    rule: RuleSettings,
) -> Evidence:
    """Return the evidence in the night before a day."""
    windows = sum_windows(impressions, reported, day, rule)
    days = slice(max(0, day - rule.max_window_days), day)
    is_control = np.zeros(is_there.shape, np.bool_)
    is_control[:, 0] = True
    return Evidence(
        impressions=np.where(is_there, windows.impressions, np.nan),
        clicks=np.where(is_there, windows.clicks, np.nan),
        is_short=windows.source == SOURCES.index("prior"),
        max_window_impressions=windows.max_impressions.astype(float),
        max_window_clicks=windows.max_clicks.astype(float),
        since_joined=impressions[:day].sum(axis=0).astype(float),
        is_control=is_control,
        day_impressions=impressions[days].swapaxes(0, 1).astype(float),
        day_clicks=reported[days].swapaxes(0, 1).astype(float),
        window_days=np.where(
            windows.source == SOURCES.index("default_window"),
            rule.default_window_days,
            rule.max_window_days,
        ),
    )
