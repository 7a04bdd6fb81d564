"""How much sooner and cheaper a test ends under the rule than one of fixed length (Scott 2015)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.posterior import posterior
from mab_pipeline.bandit.ratios import value_remaining
from mab_pipeline.simulation.play import Played, play
from mab_pipeline.simulation.truth import Truth

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A normal approximation that gives less than this for P(no other variant is so much better) is
# far enough from the 0.95 that stops a test.
_CLEARLY_NOT = 0.9


class Plan(NamedTuple):
    """A test, and the one of fixed length that it is compared with.

    Attributes:
        traffic: Impressions a day.
        fixed_days: Length of the test with equal split [days].
        days: Most days of a test.
        confidence: P(best) that ends a test, and probability of the value remaining.
        tolerance: Value remaining, relative, below which a test ends.
        first_day: Days before which no test ends.
    """

    traffic: int
    fixed_days: int
    days: int = 365
    confidence: float = 0.95
    tolerance: float = 0.01
    first_day: int = 14


class StoppedTest(NamedTuple):
    """Means over the repetitions, and their standard errors.

    Attributes:
        days_saved: Days that the test ends before the one of fixed length.
        days_se: Standard error of `days_saved`.
        clicks_saved: Expected clicks that it does not lose on worse variants.
        clicks_se: Standard error of `clicks_saved`.
        right: Repetitions that end with the best variant in the lead.
        unfinished: Repetitions that have not ended on the last day; they count as ended then.
    """

    days_saved: float
    days_se: float
    clicks_saved: float
    clicks_se: float
    right: float
    unfinished: float


def stop_test(
    rates: FloatArray, rule: RuleSettings, plan: Plan, *, reps: int, seed: int
) -> StoppedTest:
    """Play tests that end when there is a winner or little left to gain.

    Args:
        rates: True click-through rates, shape `(n_arms,)`.
        rule: Settings that allocate; its windows must hold all days of the plan.
        plan: Traffic, and when a test ends.
        reps: Repetitions, at least 2.
        seed: Any integer from 0.

    References:
        Scott, Multi-armed bandit experiments in the online service economy, Applied Stochastic
        Models in Business and Industry 31 (2015), 37-45.
    """
    days, traffic, fixed_days = plan.days, plan.traffic, plan.fixed_days
    truth = Truth(
        np.full(days, traffic),
        np.broadcast_to(rates, (days, 1, len(rates))),
        np.broadcast_to(rates, (days, reps, len(rates))),
        np.ones(1),
    )
    played = play(truth, rule, np.random.Generator(np.random.SFC64(seed)))
    stopped, led = _stops(played, rule, plan)
    lost = (played.shares * (rates.max() - rates)).sum(axis=2) * traffic
    in_test = np.arange(days)[:, None] < stopped
    fixed = fixed_days * traffic * (rates.max() - rates.mean())
    saved = fixed - (lost * in_test).sum(axis=0)
    return StoppedTest(
        float(fixed_days - stopped.mean()),
        float(stopped.std(ddof=1) / reps**0.5),
        float(saved.mean()),
        float(saved.std(ddof=1) / reps**0.5),
        float((rates[led] == rates.max()).mean()),
        float((stopped == days).mean()),
    )


def _stops(
    played: Played, rule: RuleSettings, plan: Plan
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Return after how many days each repetition ends, and which variant leads then."""
    days, reps, _ = played.shares.shape
    shown, hits = played.impressions.cumsum(axis=0), played.clicks.cumsum(axis=0)
    stopped = np.full(reps, days, np.int64)
    led = played.best[-1].argmax(axis=1)
    running = np.arange(reps)
    for day in range(plan.first_day, days):
        best = played.best[day, running]
        ends = best.max(axis=1) >= plan.confidence
        alpha, beta = posterior(
            hits[day - 1, running],
            shown[day - 1, running],
            prior_alpha=rule.prior_alpha,
            prior_beta=rule.prior_beta,
        )
        doubtful = np.flatnonzero(~ends & _may_be_below(alpha, beta, best, plan.tolerance))
        if doubtful.size:
            remaining = value_remaining(alpha[doubtful], beta[doubtful], plan.confidence)
            ends[doubtful] = remaining < plan.tolerance
        stopped[running[ends]] = day
        led[running[ends]] = best[ends].argmax(axis=1)
        running = running[~ends]
    return stopped, led


def _may_be_below(
    alpha: FloatArray, beta: FloatArray, best: FloatArray, tolerance: float
) -> BoolArray:
    """Say if the value remaining may be below `tolerance`: it costs much to compute.

    Each other variant must, with probability 0.95, not be better by more than that. The logarithm
    of a rate is nearly normal with variance `1 / alpha - 1 / (alpha + beta)`.
    """
    mean, variance = np.log(alpha / (alpha + beta)), 1.0 / alpha - 1.0 / (alpha + beta)
    leader = best.argmax(axis=1)[:, None]
    ahead = np.take_along_axis(mean, leader, axis=1) - mean + np.log1p(tolerance)
    spread = np.sqrt(np.take_along_axis(variance, leader, axis=1) + variance)
    likely: BoolArray = np.asarray(special.ndtr(ahead / spread)) >= _CLEARLY_NOT
    np.put_along_axis(likely, leader, values=True, axis=1)
    all_likely: BoolArray = np.all(likely, axis=1)
    return all_likely
