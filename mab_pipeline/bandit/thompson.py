"""Thompson sampling by Monte Carlo, and the seeds that make it replayable."""

import hashlib
from datetime import date

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, IntArray, as_batch
from mab_pipeline.bandit.threads import available_cores, for_each

SEED_BITS = 63
"""Seeds are stored in a signed 64-bit column."""

# Draws held at a time. A part of the algorithm: another value is another stream of draws.
_BLOCK = 16_384
# Below this shape a gamma variate can underflow: P(G < 1e-308) = 1e-308 ** shape, about 1e-31 here.
_TINY_SHAPE = 0.1


def experiment_seed(seed_base: int, experiment_id: str, as_of_date: date) -> int:
    """Derive the seed of one experiment on one day.

    Args:
        seed_base: The installation's seed, any integer.
        experiment_id: The experiment's identifier.
        as_of_date: The last day of data that the allocation is computed from.

    Returns:
        An integer of 63 bits: 0 to 2**63 - 1.

    Notes:
        The seed is the first 8 bytes, big-endian, of the SHA-256 of the UTF-8 text
        `mab-seed-v1|<seed_base>|<experiment_id>|<YYYY-MM-DD>`, shifted right by one bit. The text
        is unambiguous for any identifier, since the fields around it have fixed forms.
    """
    day = date(as_of_date.year, as_of_date.month, as_of_date.day).isoformat()
    text = f"mab-seed-v1|{int(seed_base)}|{experiment_id}|{day}"
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def _draw_odds(
    generator: np.random.Generator, shapes: tuple[float, float], out: FloatArray, work: FloatArray
) -> FloatArray:
    """Draw odds theta / (1 - theta) of a Beta variate into `out`."""
    generator.standard_gamma(shapes[0], out=out)
    generator.standard_gamma(shapes[1], out=work)
    return np.divide(out, work, out=out)


def _draw_log_odds(
    generator: np.random.Generator, shapes: tuple[float, float], out: FloatArray, work: FloatArray
) -> FloatArray:
    """Draw log odds of a Beta variate into `out`, for shapes however small."""
    # G(a) = G(a + 1) * U ** (1 / a) in distribution, and U ** (1 / a) is only ever a logarithm.
    np.log(generator.standard_gamma(shapes[0] + 1.0, out=out), out=out)
    out -= generator.standard_exponential(out=work) / shapes[0]
    np.log(generator.standard_gamma(shapes[1] + 1.0, out=work), out=work)
    out -= work
    out += generator.standard_exponential(out=work) / shapes[1]
    return out


def _wins(alpha: FloatArray, beta: FloatArray, samples: int, seed: int) -> IntArray:
    """Count the draws that each variant of one experiment wins."""
    generator = np.random.Generator(np.random.SFC64(seed))
    tiny = min(alpha.min(), beta.min()) < _TINY_SHAPE
    draw = _draw_log_odds if tiny else _draw_odds
    size = min(samples, _BLOCK)
    best, rival, work = np.empty(size), np.empty(size), np.empty(size)
    winner = np.empty(size, dtype=np.int64)
    wins = np.zeros(alpha.size, dtype=np.int64)
    for start in range(0, samples, _BLOCK):
        n = min(_BLOCK, samples - start)
        draw(generator, (alpha[0], beta[0]), best[:n], work[:n])
        winner[:n] = 0
        for j in range(1, alpha.size):
            draw(generator, (alpha[j], beta[j]), rival[:n], work[:n])
            np.copyto(winner[:n], j, where=rival[:n] > best[:n])
            np.maximum(best[:n], rival[:n], out=best[:n])
        wins += np.bincount(winner[:n], minlength=alpha.size)
    return wins


def as_seeds(seeds: ArrayLike | int, n_experiments: int) -> list[int]:
    """Return one seed per experiment, or say which of them cannot be one.

    Args:
        seeds: Integers in [0, 2**63), shape `(n_experiments,)`; a scalar for one experiment.
        n_experiments: Number of experiments.

    Raises:
        ValueError: If the shape is wrong, or a seed is no integer or out of range.
    """
    given = np.atleast_1d(np.asarray(seeds))
    if given.shape != (n_experiments,):
        raise ValueError(
            f"seeds must have the shape ({n_experiments},), one per experiment, not {given.shape}"
        )
    if given.size and given.dtype.kind not in "iuO":
        raise ValueError(f"seeds must be integers, not {given.dtype}")
    numbers = [int(seed) for seed in given]
    for i, seed in enumerate(numbers):
        if not 0 <= seed < 2**SEED_BITS:
            raise ValueError(f"seeds must lie in [0, 2**63); experiment {i} has seed {seed}")
    return numbers


def as_samples(samples: int) -> int:
    """Return a number of draws, or say why it cannot be one.

    Raises:
        ValueError: If it is not whole, or below 1.
    """
    if isinstance(samples, bool) or samples != int(samples) or samples < 1:
        raise ValueError(f"samples must be a whole number of at least 1, not {samples}")
    return int(samples)


def thompson_shares(
    alpha: ArrayLike, beta: ArrayLike, *, samples: int, seeds: ArrayLike | int
) -> FloatArray:
    """Estimate each variant's probability of being best by drawing from the posteriors.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell, anywhere.
        beta: Second shape parameter, likewise.
        samples: Draws per variant, at least 1.
        seeds: One integer in [0, 2**63) per experiment, shape `(n_experiments,)`; for one
            experiment a scalar will do.

    Returns:
        The share of draws that each variant wins, of the shape of `alpha`: multiples of
        `1 / samples`, 0 for padding, each row summing to 1 up to rounding.

    Raises:
        ValueError: If a parameter is not above 0, infinite or NaN in one array only (the message
            names the cell), an experiment has no real cell, shapes do not match, `samples` is
            below 1 or a seed out of range.

    Notes:
        One generator per experiment, seeded by its own seed, draws for the experiment's real
        cells in their order. So the rest of the batch, its order, the padded width and the number
        of threads change no bit of a result. Memory is three blocks of 16,384 draws per thread.

        With `G` gamma variates, `theta = G(alpha) / (G(alpha) + G(beta))` is the Beta variate and
        the odds `G(alpha) / G(beta)` grow with it, so the largest odds win. Odds keep their
        relative precision where theta rounds to 1 (frequent already at beta = 0.1). If a shape is
        below 0.1, G itself may underflow to 0, and the experiment is drawn in log odds by
        `log G(a) = log G(a + 1) - E / a`, `E` a standard exponential. Ties, which would go to the
        first variant, are then no more frequent than equal 53-bit numbers.

    References:
        Thompson, Biometrika 25 (1933), 285-294.
        Marsaglia and Tsang, ACM Trans. Math. Softw. 26 (2000), 363-372, also for small shapes.
    """
    batch = as_batch(alpha, beta)
    draws, numbers = as_samples(samples), as_seeds(seeds, batch.alpha.shape[0])
    shares = np.zeros(batch.alpha.shape)

    def work(rows: range) -> None:
        for i in rows:
            real = batch.real[i]
            wins = _wins(batch.alpha[i, real], batch.beta[i, real], draws, numbers[i])
            shares[i, real] = wins / draws

    # A few chunks per core even out experiments of unequal width.
    n_rows = len(numbers)
    step = max(1, n_rows // (8 * available_cores()))
    for_each([range(i, min(i + step, n_rows)) for i in range(0, n_rows, step)], work)
    return shares.reshape(batch.shape)
