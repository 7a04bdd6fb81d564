"""Does Monte Carlo agree with the exact probability? The test behind the data check."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arrays import BoolArray, FloatArray, as_floats, refuse

PROBABILITY_TOLERANCE = 1e-9
"""Absolute error that `exact.probability_best` may have."""


def _at_most(wins: FloatArray, samples: FloatArray, probability: FloatArray) -> FloatArray:
    """P(X <= wins), as the complement of a regularised incomplete beta function."""
    certain = wins >= samples
    # betaincc wants positive parameters; if all samples may be wins, the answer is 1.
    rest = np.where(certain, 1.0, samples - wins)
    return np.where(certain, 1.0, special.betaincc(wins + 1.0, rest, probability))


def _at_least(wins: FloatArray, samples: FloatArray, probability: FloatArray) -> FloatArray:
    """P(X >= wins), as a regularised incomplete beta function."""
    certain = wins <= 0.0
    least = np.where(certain, 1.0, wins)
    return np.where(certain, 1.0, special.betainc(least, samples - least + 1.0, probability))


def _whole(values: FloatArray) -> BoolArray:
    whole: BoolArray = np.isfinite(values) & (values == np.floor(values))
    return whole


def binomial_tail(
    wins_low: ArrayLike, wins_high: ArrayLike, samples: ArrayLike, probability: ArrayLike
) -> FloatArray:
    """Say how far out in its tail an observed number of wins lies, in the wins' favour.

    Args:
        wins_low: Fewest wins that the record allows, whole numbers from 0; a win count recovered
            from rounded hundredths is an interval.
        wins_high: Most wins that the record allows, `wins_low` to `samples`.
        samples: Draws per experiment, whole numbers, at least 1.
        probability: The exact probability of a win, 0 to 1, correct to 1e-9.

    Returns:
        The smaller of `P(X <= wins)` and `P(X >= wins)` for `X ~ Binomial(samples, p)`, each with
        the number of wins in the interval and the `p` within `probability` +/- 1e-9 that make it
        largest; of the shape that the arguments broadcast to. Near 0: the two disagree. Multiply
        by 2 for a two-sided p-value.

    Raises:
        ValueError: If a count is not whole or out of range, or a probability is not in [0, 1].

    Notes:
        With `I` the regularised incomplete beta function, `P(X <= w) = 1 - I_p(w + 1, n - w)` and
        `P(X >= w) = I_p(w, n - w + 1)`. Each form is the one that does not cancel when
        its value is small. The first grows with w and falls with p, the second the other way
        round, so the most favourable values lie at the ends of the intervals. A normal
        approximation is no substitute: one win at `p = 1e-6` is 9 standard errors away and
        happens once in a hundred runs.

    References:
        NIST Digital Library of Mathematical Functions, section 8.17(i), equation 8.17.5.
    """
    named = {
        "wins_low": as_floats(wins_low, "wins_low"),
        "wins_high": as_floats(wins_high, "wins_high"),
        "samples": as_floats(samples, "samples"),
        "probability": as_floats(probability, "probability"),
    }
    try:
        low, high, draws, p = np.broadcast_arrays(*named.values())
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items())
        raise ValueError(f"the arguments do not broadcast: {shapes}") from error
    quoted = dict(zip(named, (low, high, draws, p), strict=True))
    refuse(~(_whole(draws) & (draws >= 1.0)), "samples must be whole and at least 1", **quoted)
    in_order = _whole(low) & _whole(high) & (low >= 0.0) & (low <= high) & (high <= draws)
    refuse(~in_order, "wins must be whole, 0 <= wins_low <= wins_high <= samples", **quoted)
    refuse(~((p >= 0.0) & (p <= 1.0)), "probability must lie between 0 and 1", **quoted)
    below = _at_most(high, draws, np.maximum(p - PROBABILITY_TOLERANCE, 0.0))
    above = _at_least(low, draws, np.minimum(p + PROBABILITY_TOLERANCE, 1.0))
    return np.minimum(below, above)
