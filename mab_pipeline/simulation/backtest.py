"""Clicks of policies on past traffic, against equal split and the shares that were served."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.simulation.history import History
from mab_pipeline.simulation.play import play
from mab_pipeline.simulation.policy import Policy
from mab_pipeline.simulation.shrink import draw_past, estimate, spread
from mab_pipeline.simulation.simulate import Step, seeded
from mab_pipeline.simulation.truth import Truth
from mab_store.how_many import how_many

FloatArray = npt.NDArray[np.float64]

EQUAL, SERVED, ALL = "equal split", "as served", "all"
_TAILS = (2.5, 97.5)


class Earned(NamedTuple):
    """Clicks of a policy on a history; intervals hold 95 % of the repetitions.

    Attributes:
        experiment: Id, or `all` for the sum.
        name: Name of the experiment.
        policy: Name of the policy.
        days: Days of the history, over all experiments.
        impressions: Impressions in it.
        clicks: Expected clicks, mean over the repetitions.
        gain: Clicks more than under equal split [%].
        gain_low: Lower end of its interval [%].
        gain_high: Upper end [%].
        more: Clicks more than under the first policy [% of its clicks].
        more_low: Lower end of its interval [%].
        more_high: Upper end [%].
    """

    experiment: str
    name: str
    policy: str
    days: int
    impressions: int
    clicks: float
    gain: float
    gain_low: float
    gain_high: float
    more: float
    more_low: float
    more_high: float


class Backtest(NamedTuple):
    """The result.

    Attributes:
        spread: Standard deviation of true rates within an experiment, relative.
        earned: For each experiment, and last for all: equal split, as served, each policy.
    """

    spread: float
    earned: list[Earned]


def backtest(
    histories: Sequence[History],
    policies: Sequence[Policy],
    *,
    reps: int,
    seed: int,
    follow: Callable[[Step], None] = lambda _: None,
) -> Backtest:
    """Play policies on the traffic of the past, against rates that its counts leave possible.

    Args:
        histories: At least one.
        policies: At least one; the first is the one that others are compared with.
        reps: Repetitions, each with true rates of its own, at least 1.
        seed: Any integer from 0.
        follow: Is told of each experiment before it is played.
    """
    estimates = [estimate(history) for history in histories]
    relative_spread = spread(estimates)
    names = [EQUAL, SERVED, *(policy.name for policy in policies)]
    total = np.zeros((len(names), reps))
    earned: list[Earned] = []
    for place, (history, own) in enumerate(zip(histories, estimates, strict=True)):
        follow(Step(history.name, place / len(histories)))
        dice = seeded(seed, history.experiment_id, "past")
        truth = draw_past(history, own, relative_spread, reps=reps, generator=dice)
        shares = [_equal(truth), _served(history)]
        for policy in policies:
            dice = seeded(seed, history.experiment_id, "play")
            shares.append(play(truth, policy.rule, dice).shares)
        clicks = np.stack([_clicks(truth, one) for one in shares])
        total += clicks
        size = len(history.impressions), int(history.impressions.sum())
        earned += _compared((history.experiment_id, history.name), names, size, clicks)
    size = (
        sum(len(history.impressions) for history in histories),
        sum(int(history.impressions.sum()) for history in histories),
    )
    label = how_many(len(histories), "experiment")
    return Backtest(relative_spread, earned + _compared((ALL, label), names, size, total))


def _equal(truth: Truth) -> FloatArray:
    there = ~np.isnan(truth.expected)
    shares: FloatArray = there / there.sum(axis=2, keepdims=True)
    return shares


def _served(history: History) -> FloatArray:
    traffic = np.maximum(history.impressions.sum(axis=1, keepdims=True), 1)
    shares: FloatArray = (history.impressions / traffic)[:, None, :]
    return shares


def _clicks(truth: Truth, shares: FloatArray) -> FloatArray:
    """Return expected clicks of each repetition, shape `(n_reps,)`."""
    clicks: FloatArray = truth.traffic @ (shares * truth.rates).sum(axis=2)
    return clicks


def _compared(
    experiment: tuple[str, str], names: Sequence[str], size: tuple[int, int], clicks: FloatArray
) -> list[Earned]:
    """Return a record per policy; `clicks` has the shape `(n_policies, n_reps)`."""
    first = names.index(SERVED) + 1
    return [
        Earned(
            *experiment,
            name,
            *size,
            float(own.mean()),
            *_percent(own, clicks[0]),
            *_percent(own, clicks[first]),
        )
        for name, own in zip(names, clicks, strict=True)
    ]


def _percent(own: FloatArray, base: FloatArray) -> tuple[float, float, float]:
    """Return the mean difference and its interval, in percent of the base."""
    ratio = 100.0 * np.divide(own - base, base, out=np.zeros_like(own), where=base > 0.0)
    low, high = np.percentile(ratio, _TAILS)
    return float(ratio.mean()), float(low), float(high)
