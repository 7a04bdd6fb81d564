"""The figures of a policy in a world: one record per pair, and how each is counted."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.simulation.play import Played
from mab_pipeline.simulation.truth import Truth

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CLAIM = 0.95
"""Probability of being best that people read as "we have a winner"."""

_ROUNDING = 1e-12


class Outcome(NamedTuple):
    """Figures of a policy in a world; of shares and probabilities, 0 to 1, if not said otherwise.

    Attributes:
        world: Name of the world.
        policy: Name of the policy.
        gain: Expected clicks more than under equal split [%], mean over the repetitions.
        se: Standard error of `gain` [%]; None with one repetition.
        below_equal: Repetitions that earned less than equal split.
        leader_7: Repetitions in which the largest share of day 7 was the best variant's; None in a
            shorter world.
        leader_14: The same of day 14.
        leader_30: The same of day 30.
        leader_end: The same of the last day.
        bad_traffic: Traffic on variants below the mean rate of the variants of the day.
        days_to_95: Median first day on which P(best) of a variant that is best reached 0.95; None
            if half of the repetitions or more never came to that.
        false_winner: Repetitions in which P(best) of a variant that is not the one best reached
            0.95 on some day.
        moved: Traffic that changes variant from one day to the next, mean over the days.
    """

    world: str
    policy: str
    gain: float
    se: float | None
    below_equal: float
    leader_7: float | None
    leader_14: float | None
    leader_30: float | None
    leader_end: float
    bad_traffic: float
    days_to_95: float | None
    false_winner: float
    moved: float


class Detail(NamedTuple):
    """An outcome, and its course for a chart.

    Attributes:
        outcome: The figures.
        best_share: Mean share of the best variants by day, shape `(n_days,)`.
    """

    outcome: Outcome
    best_share: FloatArray


def gains(truth: Truth, played: Played) -> FloatArray:
    """Return each repetition's expected clicks against equal split, shape `(n_reps,)`; 0.1 is 10 %.

    Notes:
        Clicks are counted by the rates without chance and by the shares: the same mean as by the
        clicks drawn, with less noise.
    """
    traffic = truth.traffic[:, None].astype(float)
    rates = np.nan_to_num(truth.expected)
    earned = (traffic * (played.shares * rates).sum(axis=2)).sum(axis=0)
    count = (~np.isnan(truth.expected)).sum(axis=2)
    equal = (traffic * rates.sum(axis=2) / count).sum(axis=0)
    gain: FloatArray = np.divide(
        earned - equal, equal, out=np.zeros_like(earned), where=equal > 0.0
    )
    gain[np.abs(gain) < _ROUNDING] = 0.0
    return gain


def summarise(names: tuple[str, str], truth: Truth, played: Played) -> Detail:
    """Count the figures of an outcome.

    Args:
        names: World and policy.
        truth: Rates and traffic.
        played: The course under the policy.
    """
    rates = np.broadcast_to(truth.expected, played.shares.shape)
    is_best = rates >= np.nanmax(rates, axis=2, keepdims=True)
    gain = gains(truth, played)
    n_days, reps, _ = played.shares.shape
    led = _led(played.shares, is_best)
    outcome = Outcome(
        *names,
        gain=100.0 * float(gain.mean()),
        se=100.0 * float(gain.std(ddof=1)) / reps**0.5 if reps > 1 else None,
        below_equal=float((gain < 0.0).mean()),
        leader_7=_on(led, 7),
        leader_14=_on(led, 14),
        leader_30=_on(led, 30),
        leader_end=float(led[-1]),
        bad_traffic=_bad_traffic(truth, played, rates),
        days_to_95=_first_day(((played.best >= CLAIM) & is_best).any(axis=2)),
        false_winner=float(_is_false(played.best, is_best).mean()),
        moved=float(np.abs(np.diff(played.shares, axis=0)).sum(axis=2).mean() / 2.0)
        if n_days > 1
        else 0.0,
    )
    return Detail(outcome, (played.shares * is_best).sum(axis=2).mean(axis=1))


def _led(shares: FloatArray, is_best: BoolArray) -> FloatArray:
    """Return for each day in how many repetitions a best variant had the largest share."""
    leader = shares.argmax(axis=2)[..., None]
    led: FloatArray = np.take_along_axis(is_best, leader, axis=2)[..., 0].mean(axis=1)
    return led


def _on(values: FloatArray, day: int) -> float | None:
    return float(values[day - 1]) if day <= len(values) else None


def _bad_traffic(truth: Truth, played: Played, rates: FloatArray) -> float:
    mean = np.nanmean(rates, axis=2, keepdims=True)
    is_bad = rates < mean * (1.0 - _ROUNDING)
    bad = (played.shares * is_bad).sum(axis=2).mean(axis=1)
    total = int(truth.traffic.sum())
    return float((bad * truth.traffic).sum() / total) if total else 0.0


def _first_day(reached: BoolArray) -> float | None:
    """Return the median first day, from 1, of `reached`, shape `(n_days, n_reps)`."""
    first = np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)
    median = float(np.median(first))
    return median if np.isfinite(median) else None


def _is_false(best: FloatArray, is_best: BoolArray) -> BoolArray:
    """Say of each repetition whether 95 % was shown for a variant that is not the one best."""
    is_winner = is_best & (is_best.sum(axis=2, keepdims=True) == 1)
    found: BoolArray = ((best >= CLAIM) & ~is_winner).any(axis=(0, 2))
    return found
