"""One rate against several others: how likely it wins if it is multiplied by a ratio.

Slow and safe: it serves posteriors of any shape. `ratio_roots` has the fast way for ordinary ones.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from scipy import special

from mab_pipeline.bandit.arrays import FloatArray, IndexArray
from mab_pipeline.bandit.logit_beta import LogitBeta
from mab_pipeline.bandit.quadrature import NODES, WEIGHTS
from mab_pipeline.bandit.threads import available_cores, for_each

# Panels around each mode, evenly in asinh(t / pi) on both sides out to the posterior's reach.
_CUTS = np.arange(1, 7) / 6
_TOLERANCE = 1e-11
# Numbers that one evaluation may hold in an array.
_BLOCK = 2**17


class Race(NamedTuple):
    """One rate against several others, in many experiments.

    Attributes:
        base: The rate that is multiplied, shape `(n_experiments,)`.
        others: The other rates, shape `(n_experiments, n_others)`; copies of the base as padding.
        alpha: First shape parameters of the others, `(n_experiments, n_others)`; NaN pads.
        beta: Second shape parameters.
        base_cuts: Where its density is cut into panels, in logit units, `(n_experiments, n_cuts)`.
        cuts: Where the others' distribution functions change, `(n_experiments, n_others * n_cuts)`.
    """

    base: LogitBeta
    others: LogitBeta
    alpha: FloatArray
    beta: FloatArray
    base_cuts: FloatArray
    cuts: FloatArray

    @classmethod
    def of(cls, base: tuple[FloatArray, FloatArray], alpha: FloatArray, beta: FloatArray) -> Self:
        """Build from shape parameters; `base` has shape `(n,)`, the others `(n, n_others)`."""
        own = LogitBeta.of(*base)
        filled = (
            np.where(np.isnan(shape), one[:, None], shape)
            for shape, one in zip((alpha, beta), base, strict=True)
        )
        others = LogitBeta.of(*filled)
        return cls(own, others, alpha, beta, _cuts(own), _cuts(others).reshape(len(alpha), -1))

    def pick(self, rows: IndexArray) -> Self:
        """Return the races of some experiments."""
        return type(self)(
            self.base.pick(rows), self.others.pick(rows), *(part[rows] for part in self[2:])
        )

    def edges(self, log_ratio: FloatArray) -> FloatArray:
        """Return all cuts within the base's reach, as logits of its rate; ascending rows.

        Args:
            log_ratio: Logarithm of the ratio, shape `(n_experiments,)`.
        """
        moved = scaled_logit(self.cuts, -log_ratio[:, None])
        low, high = self.base_cuts[:, :1], self.base_cuts[:, -1:]
        edges = np.concatenate([self.base_cuts, np.clip(moved, low, high)], axis=1)
        edges.sort(axis=1)
        return edges

    def probability(self, log_ratio: FloatArray) -> FloatArray:
        """Return P(every other rate <= ratio * base), shape `(n_experiments,)`."""
        edges, own = self.edges(log_ratio), self.base
        half = 0.5 * np.diff(edges)[..., None]
        y = edges[:, :-1, None] + half + half * NODES
        t = own.sign[:, None, None] * (y - own.mode[:, None, None])
        shaped = own.pick((slice(None), None, None))
        mass = np.exp(shaped.fall(t, np.empty_like(t)) + shaped.log_peak) * half * WEIGHTS
        rate = np.minimum(np.exp(log_ratio)[:, None, None] * special.expit(y), 1.0)
        below = np.ones_like(mass)
        for alpha, beta in zip(self.alpha.T, self.beta.T, strict=True):
            cdf = special.betainc(alpha[:, None, None], beta[:, None, None], rate)
            below *= np.where(np.isnan(alpha)[:, None, None], 1.0, cdf)
        won = (mass * below).sum(axis=(1, 2))
        result: FloatArray = won / mass.sum(axis=(1, 2))
        return result


def scaled_logit(y: FloatArray, log_ratio: FloatArray) -> FloatArray:
    """Return `logit(ratio * expit(y))`; infinite if the product is 1 or more."""
    log_rate = -np.logaddexp(0.0, -y) + log_ratio
    with np.errstate(divide="ignore"):
        result: FloatArray = log_rate - np.log(-np.expm1(np.minimum(log_rate, 0.0)))
    return result


def bracketed_roots(
    race: Race, level: FloatArray, bracket: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Return the logarithm of the least ratio at which the probability reaches `level`.

    Args:
        race: The rates.
        level: The probability, shape `(n,)`.
        bracket: Logarithms of a ratio below and one above, each of shape `(n,)`.
    """
    from scipy.optimize.elementwise import find_root  # noqa: PLC0415  # slow; seldom needed

    found = np.empty(len(level))

    def solve(rows: IndexArray) -> None:
        def miss(log_ratio: FloatArray, row: FloatArray) -> FloatArray:
            index = row.astype(np.intp)
            return race.pick(index).probability(log_ratio) - level[index]

        low, high = bracket[0][rows], bracket[1][rows]
        result = find_root(
            miss,
            (low, high),
            args=(rows.astype(np.float64),),
            tolerances={"xatol": _TOLERANCE, "xrtol": _TOLERANCE, "fatol": 0.0, "frtol": 0.0},
        )
        # Rates that round to 1 tie at the ratio 1 itself: then there is no root above it.
        is_reached = miss(low, rows.astype(np.float64)) >= 0.0
        found[rows] = np.where(is_reached, low, result.x)

    width = NODES.size * (race.base_cuts.shape[1] + race.cuts.shape[1])
    for_each(list(blocks(len(level), width)), solve)
    return found


def blocks(n: int, width: int) -> Iterator[IndexArray]:
    """Split experiments so that a block's arrays stay in cache and every core has work.

    Args:
        n: Experiments.
        width: Numbers that an array holds for each of them.
    """
    step = max(1, min(_BLOCK // width, -(-n // available_cores())))
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n))


def _cuts(posteriors: LogitBeta) -> FloatArray:
    """Cut each posterior within its reach; shape `(..., n_cuts)`, ascending."""
    ends = np.arcsinh((posteriors.reach() - posteriors.mode[..., None]) / np.pi)
    low, high = ends[..., :1] * _CUTS[::-1], ends[..., 1:] * _CUTS
    middle = np.zeros_like(low[..., :1])
    steps = np.concatenate([low, middle, high], axis=-1)
    cuts: FloatArray = posteriors.mode[..., None] + np.pi * np.sinh(steps)
    return cuts
