"""Ratios of click-through rates: better than the control, by how much, and what remains to gain."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arguments import control_column, inner_probability
from mab_pipeline.bandit.arrays import Batch, FloatArray, IndexArray, as_batch
from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.bandit.race import Race
from mab_pipeline.bandit.ratio_roots import log_variance, ratio_roots

_TOLERANCE = 1e-11


def _ends(alpha: FloatArray, beta: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logarithms of the rates with this much of the posterior below, and above."""
    tiny = np.finfo(np.float64).tiny
    low = np.log(np.maximum(special.betaincinv(alpha, beta, tail), tiny))
    return low, np.log(np.maximum(special.betainccinv(alpha, beta, tail), tiny))


def _control_column(batch: Batch, control: int) -> int:
    control = control_column(control, batch.alpha.shape[1])
    missing = np.flatnonzero(~batch.real[:, control])
    if missing.size:
        raise ValueError(f"the control of experiment {missing[0]} is padding")
    return control


def _pairs(batch: Batch, control: int) -> tuple[IndexArray, IndexArray]:
    """Return row and column of every real variant but the control."""
    against = batch.real.copy()
    against[:, control] = False
    rows, columns = np.nonzero(against)
    return rows, columns


def probability_beats(alpha: ArrayLike, beta: ArrayLike, control: int) -> FloatArray:
    """Compute each variant's probability of a higher click-through rate than the control's.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell.
        beta: Second shape parameter, same shape.
        control: Index of the control, from 0.

    Returns:
        Probabilities of the shape of `alpha`, with the error of `probability_best`; NaN for the
        control itself and for padding.

    Raises:
        ValueError: If a parameter is out of range, or `control` names no variant.
    """
    batch = as_batch(alpha, beta)
    control = _control_column(batch, control)
    rows, columns = _pairs(batch, control)
    beats = np.full(batch.alpha.shape, np.nan)
    if rows.size:
        pair = (
            np.column_stack([shape[rows, columns], shape[rows, control]])
            for shape in (batch.alpha, batch.beta)
        )
        beats[rows, columns] = probability_best(*pair)[:, 0]
    return beats.reshape(batch.shape)


def lift_interval(
    alpha: ArrayLike, beta: ArrayLike, control: int, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Bound each variant's lift over the control by an equal-tailed credible interval.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell.
        beta: Second shape parameter, same shape.
        control: Index of the control, from 0.
        level: Posterior probability inside the interval, above 0 and below 1.

    Returns:
        `(low, high)` of `theta_i / theta_control - 1`, each of the shape of `alpha`; 0.1 is a rate
        10 % higher. NaN for the control itself and for padding. The relative error of
        `1 + lift` is below 1e-9 for levels up to 0.999.

    Raises:
        ValueError: If a parameter or `level` is out of range, or `control` names no variant.

    Notes:
        The end r with `P(theta_i <= r theta_control) = q` solves
        `integral f_control(y) F_i(r theta(y)) dy = q`; by the union bound it lies between
        `Q_i(q / 2) / Q_control(1 - q / 2)` and `Q_i((1 + q) / 2) / Q_control((1 - q) / 2)`.
    """
    level = inner_probability(level, "level")
    batch = as_batch(alpha, beta)
    control = _control_column(batch, control)
    rows, columns = _pairs(batch, control)
    ends = np.full((2, *batch.alpha.shape), np.nan)
    if rows.size:
        tail = (1.0 - level) / 2.0
        ends[:, rows, columns] = np.expm1(_lift_ends(batch, rows, columns, control, tail))
    low, high = (end.reshape(batch.shape) for end in ends)
    return low, high


def _lift_ends(
    batch: Batch, rows: IndexArray, columns: IndexArray, place: int, tail: float
) -> FloatArray:
    """Return the logarithms of the ratios to the variant in a column, with this much beyond each.

    The shape is `(2, n)`.
    """
    # Both ends of a pair side by side: they are found together. The narrower rate is the base,
    # which needs the fewest panels: P(own <= r control) = 1 - P(control <= own / r).
    own = np.array([np.tile(part[rows, columns], 2) for part in (batch.alpha, batch.beta)])
    control = np.array([np.tile(part[rows, place], 2) for part in (batch.alpha, batch.beta)])
    is_turned = log_variance(*own) < log_variance(*control)
    base, other = np.where(is_turned, own, control), np.where(is_turned, control, own)
    level = np.repeat([tail, 1.0 - tail], len(rows))
    level = np.where(is_turned, 1.0 - level, level)

    def bracket(some: IndexArray) -> tuple[FloatArray, FloatArray]:
        low, high = level[some] / 2.0, (1.0 - level[some]) / 2.0
        (mine, its), (more, less) = other[:, some], base[:, some]
        lowest = _ends(mine, its, low)[0] - _ends(more, less, low)[1]
        highest = _ends(mine, its, high)[1] - _ends(more, less, high)[0]
        return lowest, highest

    race = Race.of((base[0], base[1]), other[0][:, None], other[1][:, None])
    log_ratio = ratio_roots(race, level, bracket)
    return np.where(is_turned, -log_ratio, log_ratio).reshape(2, -1)


def value_remaining(alpha: ArrayLike, beta: ArrayLike, quantile: float = 0.95) -> FloatArray:
    """Bound what another variant may still gain over the leader, relative to its rate.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell.
        beta: Second shape parameter, same shape.
        quantile: Posterior probability that no more can be gained, above 0 and below 1.

    Returns:
        The quantile of `(max_j theta_j - theta_*) / theta_*`, shape `()` or `(n_experiments,)`, at
        least 0; `*` is the variant with the largest probability of being best, among equal ones
        the first. 0.01: with this probability no variant is more than 1 % better.

    Raises:
        ValueError: If a parameter or `quantile` is out of range.

    Notes:
        The least v >= 0 with `E[prod_{j != *} F_j((1 + v) theta_*)] >= quantile`.

    References:
        Scott, Multi-armed bandit experiments in the online service economy, Applied Stochastic
        Models in Business and Industry 31 (2015), 37-45.
    """
    quantile = inner_probability(quantile, "quantile")
    batch = as_batch(alpha, beta)
    best = probability_best(batch.alpha, batch.beta)
    remaining = np.zeros(len(best))
    leader = best.argmax(axis=1)
    rows = np.flatnonzero(best.max(axis=1) < quantile)
    if rows.size:
        remaining[rows] = np.expm1(_gain_left(batch, rows, leader[rows], quantile))
    return remaining.reshape(batch.shape[:-1])


def _gain_left(batch: Batch, rows: IndexArray, leader: IndexArray, quantile: float) -> FloatArray:
    """Return the logarithm of the ratio that lifts each leader above all others, at least 0."""
    base = batch.alpha[rows, leader], batch.beta[rows, leader]
    columns = np.arange(batch.alpha.shape[1] - 1)
    columns = columns + (columns >= leader[:, None])  # all but the leader's
    alpha, beta = (part[rows[:, None], columns] for part in (batch.alpha, batch.beta))

    def bracket(some: IndexArray) -> tuple[FloatArray, FloatArray]:
        tail = (1.0 - quantile) / batch.real[rows[some]].sum(axis=1)
        lowest = _ends(base[0][some], base[1][some], tail)[0]
        highest = np.nanmax(_ends(alpha[some], beta[some], tail[:, None])[1], axis=1)
        return np.zeros(some.size), np.maximum(highest - lowest, _TOLERANCE)

    log_ratio = ratio_roots(Race.of(base, alpha, beta), np.full(rows.size, quantile), bracket)
    return np.maximum(log_ratio, 0.0)
