"""Thompson sampling without the draws: how many each variant wins, from P(best) at once."""

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, IntArray, as_floats, as_rows, refuse
from mab_pipeline.bandit.thompson import as_samples, as_seeds

_SUM_TOLERANCE = 1e-6


def _wins(probabilities: FloatArray, samples: int, seed: int) -> IntArray:
    """Count the draws that each variant of one experiment wins."""
    # numpy draws one binomial after another, each with p over what is left of 1. In ascending
    # order the last, the largest, takes the rest: no p can come out above 1, and a variant that
    # cannot win gets no draw that rounding left over.
    order = np.argsort(probabilities, kind="stable")
    able = order[probabilities[order] > 0.0]
    chances = probabilities[able]
    wins = np.zeros(probabilities.shape, dtype=np.int64)
    generator = np.random.Generator(np.random.SFC64(seed))
    wins[able] = generator.multinomial(samples, chances / chances.sum())
    return wins


def multinomial_shares(
    probability_best: ArrayLike, *, samples: int, seeds: ArrayLike | int
) -> FloatArray:
    """Draw the shares that `thompson.thompson_shares` would draw, from P(best).

    Args:
        probability_best: Probability of being best, 0 to 1, shape `(n_experiments, n_variants)` or
            `(n_variants,)`, each row summing to 1 within 1e-6; 0 for padding, anywhere.
        samples: Draws per experiment, at least 1.
        seeds: One integer in [0, 2**63) per experiment, shape `(n_experiments,)`; for one
            experiment a scalar will do.

    Returns:
        The share of draws that each variant wins, of the shape of `probability_best`: multiples of
        `1 / samples`, 0 for a variant that cannot win, each row summing to 1 up to rounding.

    Raises:
        ValueError: If a probability is out of range, a row does not sum to 1, `samples` is below 1
            or a seed out of range; the message names the cell or the experiment.

    Notes:
        Joint draws from the posteriors are independent, and variant i has the highest rate in each
        with probability P_i. So the counts of wins of N draws are Multinomial(N, P), exactly. The
        numbers are others than those of literal draws with the same seed; their distribution is the
        same, as far as P is (`exact.probability_best`: 1e-11).

        One generator per experiment, seeded by its own seed, draws for the variants that can win,
        in ascending order of P. So the rest of the batch, its order and the padding change no bit
        of a result.

    References:
        Johnson, Kotz and Balakrishnan, Discrete Multivariate Distributions, 1997, chapter 35.
    """
    given = as_floats(probability_best, "probability_best")
    rows = as_rows(given, "probability_best")
    out_of_range = ~((given >= 0.0) & (given <= 1.0 + _SUM_TOLERANCE))
    refuse(out_of_range, "probabilities must lie between 0 and 1", probability_best=given)
    sums = rows.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
    if wrong.size:
        raise ValueError(
            f"the probabilities of experiment {wrong[0]} sum to {sums[wrong[0]]:.17g}, not to 1"
        )
    draws, numbers = as_samples(samples), as_seeds(seeds, len(rows))
    shares = np.empty(rows.shape)
    for i, seed in enumerate(numbers):
        shares[i] = _wins(rows[i], draws, seed)
    return (shares / draws).reshape(given.shape)
