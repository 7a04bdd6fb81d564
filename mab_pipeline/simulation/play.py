"""Play an experiment day by day, many repetitions at once: decide, serve, count, decide again."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.decision import HUNDREDTHS, to_hundredths
from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.bandit.posterior import posterior
from mab_pipeline.simulation.truth import Truth
from mab_pipeline.simulation.windows import sum_windows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Played(NamedTuple):
    """What became of the repetitions; each of shape `(n_days, n_reps, n_arms)`.

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


def play(truth: Truth, rule: RuleSettings, generator: np.random.Generator) -> Played:
    """Let a rule allocate the traffic of every day on the evidence of the days before.

    Args:
        truth: Rates and traffic.
        rule: The settings that decide.
        generator: Source of randomness.

    Notes:
        A decision counts in how many of `samples` joint draws from the posteriors each variant
        wins. Joint draws are independent, and a variant wins each with its probability P of being
        best, so the counts are Multinomial(samples, P) exactly, and P comes from a quadrature.
        Impressions are Multinomial(traffic, shares), clicks Binomial(impressions, rate).
    """
    shape = truth.rates.shape
    shares, best = np.zeros(shape), np.zeros(shape)
    impressions, clicks = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    reported = np.zeros(shape, np.int64)
    pending: list[IntArray] = []
    for day in range(shape[0]):
        is_there = np.broadcast_to(~np.isnan(truth.expected[day]), shape[1:])
        best[day], shares[day] = _decide(impressions, reported, is_there, day, rule, generator)
        impressions[day] = generator.multinomial(truth.traffic[day], shares[day])
        clicks[day] = generator.binomial(impressions[day], truth.rates[day])
        # A day's clicks by delay; those of delay d are in the evidence of d days later.
        if len(truth.late) == 1:
            reported[day] = clicks[day]
            continue
        pending.append(generator.multinomial(clicks[day], truth.late))
        for delay in range(min(day + 1, len(truth.late))):
            reported[day - delay] += pending[day - delay][..., delay]
    return Played(shares, best, impressions, clicks)


def _decide(
    impressions: IntArray,
    reported: IntArray,
    is_there: npt.NDArray[np.bool_],
    day: int,
    rule: RuleSettings,
    generator: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return P(best) and the shares of a day, each of shape `(n_reps, n_arms)`."""
    windows = sum_windows(impressions, reported, day, rule)
    alpha, beta = posterior(
        np.where(is_there, windows.clicks, np.nan),
        np.where(is_there, windows.impressions, np.nan),
        prior_alpha=rule.prior_alpha,
        prior_beta=rule.prior_beta,
    )
    best = probability_best(alpha, beta)
    if rule.allocation_method == "exact":
        return best, to_hundredths(best) / HUNDREDTHS
    draws = generator.multinomial(rule.thompson_samples, best)
    return best, to_hundredths(draws / rule.thompson_samples) / HUNDREDTHS
