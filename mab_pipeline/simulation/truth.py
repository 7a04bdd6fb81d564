"""The truth that a policy plays against: rates and traffic, drawn once for all policies."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.simulation.worlds import World

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Truth(NamedTuple):
    """Rates and traffic of repetitions of an experiment.

    Attributes:
        traffic: Impressions of each day, shape `(n_days,)`.
        expected: Rates but for chance, shape `(n_days, n_reps or 1, n_arms)`; NaN if the variant
            is not there on that day.
        rates: Rates of the clicks, shape `(n_days, n_reps, n_arms)`; 0 for a variant not there.
        late: Shares of the clicks by days until they are reported, shape `(n_delays,)`.
    """

    traffic: IntArray
    expected: FloatArray
    rates: FloatArray
    late: FloatArray

    @property
    def n_reps(self) -> int:
        """Number of repetitions."""
        return int(self.rates.shape[1])


def draw_truth(world: World, reps: int, generator: np.random.Generator) -> Truth:
    """Draw the random factors of the days and the variants.

    Args:
        world: The rates but for chance.
        reps: Repetitions, at least 1.
        generator: Source of randomness.

    Notes:
        A factor with standard deviation s is a gamma variate with mean 1 and shape `1 / s**2`. A
        rate stops at 1.
    """
    expected = world.daily_rates()[:, None, :]
    n_days, _, n_arms = expected.shape
    rates = np.repeat(np.nan_to_num(expected, nan=0.0), reps, axis=1)
    for spread, shape in (
        (world.day_spread, (n_days, reps, 1)),
        (world.arm_spread, (n_days, reps, n_arms)),
    ):
        if spread > 0.0:
            rates *= generator.gamma(spread**-2, spread**2, shape)
    late = np.asarray(world.late) / sum(world.late)
    return Truth(world.daily_traffic(), expected, np.minimum(rates, 1.0), late)
