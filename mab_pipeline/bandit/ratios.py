"""Ratios of click-through rates: better than the control, by how much, and what remains to gain."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.optimize import elementwise

from mab_pipeline.bandit.arrays import Batch, FloatArray, IndexArray, as_batch
from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.bandit.logit_beta import LogitBeta
from mab_pipeline.bandit.quadrature import NODES, WEIGHTS
from mab_pipeline.bandit.threads import available_cores, for_each

# Panels around each mode, evenly in asinh(t / pi) on both sides out to the posterior's reach.
_CUTS = np.arange(1, 7) / 6
_TOLERANCE = 1e-11
# Numbers that one evaluation may hold in an array.
_BLOCK = 2**17


class _Race(NamedTuple):
    """One rate against several others, in many experiments.

    Attributes:
        base: The rate that is multiplied, shape `(n_experiments,)`.
        base_cuts: Where its density is cut into panels, in logit units, `(n_experiments, n_cuts)`.
        alpha: First shape parameters of the others, `(n_experiments, n_others)`; NaN pads.
        beta: Second shape parameters.
        cuts: Where the others' distribution functions change, `(n_experiments, n_others * n_cuts)`.
    """

    base: LogitBeta
    base_cuts: FloatArray
    alpha: FloatArray
    beta: FloatArray
    cuts: FloatArray

    @classmethod
    def of(cls, base: tuple[FloatArray, FloatArray], alpha: FloatArray, beta: FloatArray) -> Self:
        """Build from shape parameters; `base` has shape `(n,)`, the others `(n, n_others)`."""
        others = LogitBeta.of(np.nan_to_num(alpha, nan=1.0), np.nan_to_num(beta, nan=1.0))
        own = LogitBeta.of(*base)
        return cls(own, _cuts(own), alpha, beta, _cuts(others).reshape(len(alpha), -1))

    def probability(self, log_ratio: FloatArray, rows: IndexArray) -> FloatArray:
        """Return P(every other rate <= ratio * base) in some experiments."""
        own = self.base.pick(rows)
        others = self.cuts[rows] + np.zeros_like(log_ratio)[:, None]
        # The others' cuts, as logits of the base's rate: logit(expit(c) / ratio).
        log_rate = -np.logaddexp(0.0, -others) - log_ratio[:, None]
        with np.errstate(over="ignore", divide="ignore"):
            moved = log_rate - np.log(-np.expm1(np.minimum(log_rate, 0.0)))
        low, high = self.base_cuts[rows, :1], self.base_cuts[rows, -1:]
        edges = np.concatenate([self.base_cuts[rows], np.clip(moved, low, high)], axis=1)
        edges.sort(axis=1)
        half = 0.5 * np.diff(edges)[..., None]
        y = edges[:, :-1, None] + half + half * NODES
        t = own.sign[:, None, None] * (y - own.mode[:, None, None])
        shaped = own.pick((slice(None), None, None))
        mass = np.exp(shaped.fall(t, np.empty_like(t)) + shaped.log_peak) * half * WEIGHTS
        rate = np.minimum(np.exp(log_ratio)[:, None, None] * special.expit(y), 1.0)
        below = np.ones_like(mass)
        for alpha, beta in zip(self.alpha[rows].T, self.beta[rows].T, strict=True):
            cdf = special.betainc(alpha[:, None, None], beta[:, None, None], rate)
            below *= np.where(np.isnan(alpha)[:, None, None], 1.0, cdf)
        won = (mass * below).sum(axis=(1, 2))
        result: FloatArray = won / mass.sum(axis=(1, 2))
        return result


def _cuts(posteriors: LogitBeta) -> FloatArray:
    """Cut each posterior within its reach; shape `(..., n_cuts)`, ascending."""
    ends = np.arcsinh((posteriors.reach() - posteriors.mode[..., None]) / np.pi)
    low, high = ends[..., :1] * _CUTS[::-1], ends[..., 1:] * _CUTS
    middle = np.zeros_like(low[..., :1])
    steps = np.concatenate([low, middle, high], axis=-1)
    cuts: FloatArray = posteriors.mode[..., None] + np.pi * np.sinh(steps)
    return cuts


def _blocks(n: int, width: int) -> Iterator[IndexArray]:
    """Split experiments so that a block's arrays stay in cache and every core has work."""
    step = max(1, min(_BLOCK // (NODES.size * width), -(-n // available_cores())))
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n))


def _quantile(race: _Race, level: FloatArray, bracket: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Return the logarithm of the least ratio at which the probability reaches `level`.

    Args:
        race: The rates.
        level: The probability, shape `(n,)`.
        bracket: Logarithms of a ratio below and one above, each of shape `(n,)`.
    """
    found = np.empty(len(level))

    def solve(rows: IndexArray) -> None:
        def miss(log_ratio: FloatArray, row: FloatArray) -> FloatArray:
            index = row.astype(np.intp)
            return race.probability(log_ratio, index) - level[index]

        low, high = bracket[0][rows], bracket[1][rows]
        result = elementwise.find_root(
            miss,
            (low, high),
            args=(rows.astype(np.float64),),
            tolerances={"xatol": _TOLERANCE, "xrtol": _TOLERANCE, "fatol": 0.0, "frtol": 0.0},
        )
        # Rates that round to 1 tie at the ratio 1 itself: then there is no root above it.
        is_reached = miss(low, rows.astype(np.float64)) >= 0.0
        found[rows] = np.where(is_reached, low, result.x)

    for_each(list(_blocks(len(level), race.base_cuts.shape[1] + race.cuts.shape[1])), solve)
    return found


def _ends(alpha: FloatArray, beta: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logarithms of the rates with this much of the posterior below, and above."""
    tiny = np.finfo(np.float64).tiny
    low = np.log(np.maximum(special.betaincinv(alpha, beta, tail), tiny))
    return low, np.log(np.maximum(special.betainccinv(alpha, beta, tail), tiny))


def _control_column(batch: Batch, control: int) -> int:
    n_variants = batch.alpha.shape[1]
    if not 0 <= control < n_variants:
        raise ValueError(f"control must be 0 to {n_variants - 1}, not {control}")
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
    _control_column(batch, control)
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
        `1 + lift` is below 1e-9.

    Raises:
        ValueError: If a parameter or `level` is out of range, or `control` names no variant.

    Notes:
        The end r with `P(theta_i <= r theta_control) = q` solves
        `integral f_control(y) F_i(r theta(y)) dy = q`; by the union bound it lies between
        `Q_i(q / 2) / Q_control(1 - q / 2)` and `Q_i((1 + q) / 2) / Q_control((1 - q) / 2)`.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    batch = as_batch(alpha, beta)
    _control_column(batch, control)
    rows, columns = _pairs(batch, control)
    own = batch.alpha[rows, columns], batch.beta[rows, columns]
    base = batch.alpha[rows, control], batch.beta[rows, control]
    ends = []
    tail = (1.0 - level) / 2.0
    for q in (tail, 1.0 - tail):
        end = np.full(batch.alpha.shape, np.nan)
        if rows.size:
            race = _Race.of(base, own[0][:, None], own[1][:, None])
            left, right = np.full(rows.size, q / 2.0), np.full(rows.size, (1.0 - q) / 2.0)
            lowest = _ends(*own, left)[0] - _ends(*base, left)[1]
            highest = _ends(*own, right)[1] - _ends(*base, right)[0]
            log_ratio = _quantile(race, np.full(rows.size, q), (lowest, highest))
            end[rows, columns] = np.expm1(log_ratio)
        ends.append(end.reshape(batch.shape))
    return ends[0], ends[1]


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
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"quantile must lie between 0 and 1, not {quantile}")
    batch = as_batch(alpha, beta)
    best = probability_best(batch.alpha, batch.beta)
    remaining = np.zeros(len(best))
    leader = best.argmax(axis=1)
    rows = np.flatnonzero(best.max(axis=1) < quantile)
    if rows.size:
        base = batch.alpha[rows, leader[rows]], batch.beta[rows, leader[rows]]
        others_alpha, others_beta = batch.alpha[rows].copy(), batch.beta[rows].copy()
        for others in (others_alpha, others_beta):
            others[np.arange(rows.size), leader[rows]] = np.nan
        tail = (1.0 - quantile) / batch.real[rows].sum(axis=1)
        lowest = _ends(*base, tail)[0]
        highest = np.nanmax(_ends(others_alpha, others_beta, tail[:, None])[1], axis=1)
        race = _Race.of(base, others_alpha, others_beta)
        bracket = np.zeros(rows.size), np.maximum(highest - lowest, _TOLERANCE)
        level = np.full(rows.size, quantile)
        remaining[rows] = np.expm1(np.maximum(_quantile(race, level, bracket), 0.0))
    return remaining.reshape(batch.shape[:-1])
