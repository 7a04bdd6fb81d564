"""True rates behind past counts: estimates shrunk towards each other, and draws from them.

The best of several measured rates is partly luck. To play a policy against measured rates would
let it earn that luck, so the truth is drawn from a posterior that knows how much variants differ.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.bandit.day_effects import day_effects, fit_days, overdispersion
from mab_pipeline.simulation.history import History
from mab_pipeline.simulation.truth import Truth

FloatArray = npt.NDArray[np.float64]

# A prior this strong is as good as equal rates; a stronger one would only lose digits.
_STRONGEST = 1e9
_WEAKEST = 0.1


class Estimate(NamedTuple):
    """The effects of days and variants in the counts of an experiment.

    Attributes:
        day: Factor of each day, shape `(n_days,)`; the mean over all impressions is 1.
        impressions: Impressions of each variant weighed by its days, shape `(n_arms,)`.
        clicks: Clicks of each variant, shape `(n_arms,)`.
        noise: Overdispersion across days, at least 1.
    """

    day: FloatArray
    impressions: FloatArray
    clicks: FloatArray
    noise: float

    @property
    def rate(self) -> float:
        """Pooled rate, above 0 and below 1."""
        return float((self.clicks.sum() + 1.0) / (self.impressions.sum() + 2.0))


def estimate(history: History) -> Estimate:
    """Fit day factors, and weigh each variant's counts by them."""
    shown, hits = history.impressions, history.clicks
    impressions, clicks = day_effects(shown, hits)
    noise = overdispersion(shown, hits)
    day = fit_days(shown, hits).day
    return Estimate(day, impressions, clicks, max(1.0, noise) if np.isfinite(noise) else 1.0)


def spread(estimates: Sequence[Estimate]) -> float:
    """Return by how much true rates of the variants of an experiment differ.

    Args:
        estimates: Of all experiments.

    Returns:
        Standard deviation of a variant's rate, relative to its experiment's mean; 0 if chance
        explains the differences.

    Notes:
        With `y_k` the rate of a variant over the pooled one and `v_k` its variance by chance,
        `w = 1 / v`, `Q = sum w (y - mean)**2` and `C = sum w - sum w**2 / sum w`, the variance is
        `max(0, (sum Q - sum (K - 1)) / sum C)` over the experiments.

    References:
        DerSimonian and Laird, Meta-analysis in clinical trials, Controlled Clinical Trials 7
        (1986), 177-188.
    """
    excess = scale = 0.0
    for one in estimates:
        used = one.impressions > 0.0
        shown, hits, rate = one.impressions[used], one.clicks[used], one.rate
        weight = shown * rate / ((1.0 - rate) * one.noise)
        relative = hits / shown / rate
        mean = (weight * relative).sum() / weight.sum()
        excess += float((weight * (relative - mean) ** 2).sum()) - (len(shown) - 1)
        scale += float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, excess / scale) ** 0.5 if scale > 0.0 else 0.0


def draw_past(
    history: History,
    estimated: Estimate,
    relative_spread: float,
    *,
    reps: int,
    generator: np.random.Generator,
) -> Truth:
    """Draw true rates that the counts leave possible.

    Args:
        history: The counts; the traffic of each day stays as it was.
        estimated: Its estimate.
        relative_spread: Of all experiments, see `spread`.
        reps: Draws, at least 1.
        generator: Source of randomness.

    Notes:
        With m the pooled rate and s the relative spread, the prior is Beta(m c, (1 - m) c),
        `c = (1 - m) / (m s**2) - 1`, whose standard deviation is `m s`. Counts are divided by the
        overdispersion before they are added. A day's rate is the draw times the day's factor.
    """
    rate = estimated.rate
    strength = _STRONGEST
    if relative_spread > 0.0:
        strength = (1.0 - rate) / (rate * relative_spread**2) - 1.0
    strength = min(max(strength, _WEAKEST), _STRONGEST)
    hits = estimated.clicks / estimated.noise
    misses = np.maximum(estimated.impressions - estimated.clicks, 0.0) / estimated.noise
    shape = (reps, len(hits))
    arms = generator.beta(rate * strength + hits, (1.0 - rate) * strength + misses, shape)
    rates = np.minimum(estimated.day[:, None, None] * arms, 1.0)
    there = history.is_there[:, None, :]
    return Truth(
        history.impressions.sum(axis=1),
        np.where(there, rates, np.nan),
        np.where(there, rates, 0.0),
        np.ones(1),
    )
