"""Ratios at which a rate wins a race with a given probability: Newton's method on the probit scale.

The distribution of the logarithm of a ratio of rates is nearly normal, so its probit is nearly a
straight line. Two or three steps on a coarse quadrature find the root to 1e-5 standard deviations
or so; one step on the fine one, with the slope of the coarse one, squares that.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.polynomial import legendre
from scipy import special

from mab_pipeline.bandit.arrays import BoolArray, FloatArray, IndexArray
from mab_pipeline.bandit.logit_beta import REACH, LogitBeta
from mab_pipeline.bandit.quadrature import NODES, WEIGHTS
from mab_pipeline.bandit.race import Race, blocks, bracketed_roots, scaled_logit
from mab_pipeline.bandit.threads import for_each

# Ordinary posteriors; others, such as rates that round to 1, take the slow and safe way.
_LEAST_ALPHA, _LEAST_BETA = 0.5, 5.0
_LEAST_TAIL = 1e-9  # further out, the quadrature's error decides
# A panel's width in signed root deviances, and the bend that it may span, as in `quadrature`.
_COARSE, _FINE = 3.0, 2.0
_BEND = 1.75
_COARSE_RULE = legendre.leggauss(8)
_COARSE_STEPS, _FINE_STEPS = 5, 4
# Standard deviations: what ends the coarse steps, and the fine ones. A step leaves its square.
_NEAR, _DONE = 1e-4, 3e-7
_LONGEST_STEP = 2.0
_LEAST_P = 1e-300
# Numbers of an experiment in an array, roughly: panels times nodes.
_USUAL_NODES = 10 * NODES.size

Bracket = Callable[[IndexArray], tuple[FloatArray, FloatArray]]


class _Nodes(NamedTuple):
    """Nodes on the panels of several races, one after the other.

    Attributes:
        row: The race that each panel belongs to, shape `(n_panels,)`.
        first: The first panel of each race, shape `(n_races,)`.
        rate: The base's rate at the nodes, shape `(n_panels, order)`.
        mass: The base's probability that a node stands for, same shape; of each race it sums to 1.
    """

    row: IndexArray
    first: IndexArray
    rate: FloatArray
    mass: FloatArray

    @classmethod
    def of(
        cls, race: Race, log_ratio: FloatArray, width: float, rule: tuple[FloatArray, FloatArray]
    ) -> Self:
        """Lay panels that suit every posterior near this ratio, by its logarithm."""
        cuts = race.edges(log_ratio)
        progress = _progress(race, cuts, log_ratio)
        count = np.maximum(np.ceil(progress[:, -1] / width), 1.0).astype(np.intp)
        row = np.repeat(np.arange(len(count)), count)
        first = np.cumsum(count) - count
        lower, upper = _panel_ends(cuts, progress, count)
        half = 0.5 * (upper - lower)[:, None]
        y = lower[:, None] + half + half * rule[0]
        own = LogitBeta(*(field[row, None] for field in race.base))
        t = own.sign * (y - own.mode)
        mass = np.exp(own.fall(t, np.empty_like(t))) * half * rule[1]
        total = np.add.reduceat(mass.sum(axis=1), first)
        return cls(row, first, special.expit(y), mass / total[row, None])

    def probability(
        self, race: Race, log_ratio: FloatArray, *, with_slope: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(every other rate <= ratio * base), and its derivative by `log_ratio`."""
        rate = np.minimum(self.rate * np.exp(log_ratio)[self.row, None], 1.0)
        below, slope = np.ones_like(rate), np.zeros_like(rate)
        for k in range(race.alpha.shape[1]):
            alpha, beta = race.alpha[self.row, k, None], race.beta[self.row, k, None]
            is_padding = np.isnan(alpha)
            cdf = np.where(is_padding, 1.0, special.betainc(alpha, beta, rate))
            if with_slope:
                other = LogitBeta(*(field[self.row, k, None] for field in race.others))
                density = np.where(is_padding, 0.0, _log_rate_density(other, rate))
                slope = slope * cdf + below * density
            below *= cdf
        sums = (np.vecdot(self.mass, part) for part in (below, slope))
        p, derivative = (np.add.reduceat(part, self.first) for part in sums)
        return p, derivative


def _panel_ends(
    cuts: FloatArray, progress: FloatArray, count: IndexArray
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of panels spread evenly in `progress`; a race's depend on itself alone."""
    row = np.repeat(np.arange(len(count)), count + 1)
    first = np.cumsum(count + 1) - (count + 1)
    k = np.arange(len(row)) - first[row]
    places = progress * (count / progress[:, -1])[:, None]
    # Cuts at or before edge k; the next one is the upper end of the stretch that the edge is on.
    slot = np.clip(np.ceil(places).astype(np.intp), 0, count[:, None])
    held = np.bincount((first[:, None] + slot).ravel(), minlength=len(row))
    right = np.clip(np.cumsum(held) - cuts.shape[1] * row, 1, cuts.shape[1] - 1)
    low, high = places[row, right - 1], places[row, right]
    share = np.clip((k - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    edges = cuts[row, right - 1] + share * (cuts[row, right] - cuts[row, right - 1])
    is_last = k == count[row]
    edges[is_last] = cuts[:, -1]
    return edges[~is_last], edges[k > 0]


def _log_rate_density(posterior: LogitBeta, rate: FloatArray) -> FloatArray:
    """Return the density of the rate's logarithm: that of its logit over 1 - rate."""
    inside = np.minimum(rate, 1.0 - 1e-15)  # beyond, it is 0 for ordinary posteriors
    t = posterior.sign * (special.logit(inside) - posterior.mode)
    density: FloatArray = np.exp(posterior.fall(t, np.empty_like(t)) + posterior.log_peak)
    return density / (1.0 - inside)


def _progress(race: Race, cuts: FloatArray, log_ratio: FloatArray) -> FloatArray:
    """How far the most demanding posterior has moved at each cut; see `quadrature`."""
    own = _moved(race.base.pick((slice(None), None, None)), cuts[:, None])
    y = np.minimum(scaled_logit(cuts, log_ratio[:, None]), 600.0)
    others = _moved(race.others.pick((..., None)), y[:, None])
    progress = np.zeros_like(cuts)
    moves = np.diff(np.concatenate([own, others], axis=1), axis=2).max(axis=1)
    np.cumsum(moves, axis=1, out=progress[:, 1:])
    return progress


def _moved(posteriors: LogitBeta, y: FloatArray) -> FloatArray:
    root = np.clip(posteriors.signed_root(y), -1.2 * REACH, 1.2 * REACH)
    bend: FloatArray = _BEND * np.arcsinh((y - posteriors.mode) / np.pi)
    return root + bend


def _start(race: Race, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Guess the root by the moments of the logarithms of the ratios; return its spread too."""
    base_alpha, base_beta = _shapes(race.base)
    base = _moments(base_alpha[:, None], base_beta[:, None])
    others = _moments(*_shapes(race.others))
    mean, spread = others[0] - base[0], np.sqrt(others[1] + base[1])
    skewness = (others[2] - base[2]) / spread**3
    z = special.ndtri(level)[:, None]
    guesses = mean + spread * (z + (z**2 - 1.0) * skewness / 6.0)
    guesses = np.where(np.isnan(race.alpha), -np.inf, guesses)
    last = guesses.argmax(axis=1)[:, None]
    found, own = (np.take_along_axis(part, last, axis=1)[:, 0] for part in (guesses, spread))
    return found, own


def _shapes(posteriors: LogitBeta) -> tuple[FloatArray, FloatArray]:
    large, mirrored = posteriors.total - posteriors.small, posteriors.sign < 0.0
    alpha: FloatArray = np.where(mirrored, large, posteriors.small)
    beta: FloatArray = np.where(mirrored, posteriors.small, large)
    return alpha, beta


def _moments(alpha: FloatArray, beta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the first three cumulants of the logarithm of a rate."""
    n = alpha + beta
    mean = special.psi(alpha) - special.psi(n)
    variance = special.polygamma(1, alpha) - special.polygamma(1, n)
    third = special.polygamma(2, alpha) - special.polygamma(2, n)
    return mean, variance, third


def _step(p: FloatArray, level: FloatArray, slope: FloatArray, spread: FloatArray) -> FloatArray:
    """Return Newton's step on the probit scale, at most two standard deviations long."""
    z = special.ndtri(np.clip(p, _LEAST_P, 1.0 - 1e-16))
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (special.ndtri(level) - z) * density / slope
    longest = _LONGEST_STEP * spread
    result: FloatArray = np.clip(np.nan_to_num(step, nan=np.inf), -longest, longest)
    return result


def _newton(race: Race, level: FloatArray, *, is_needle: bool) -> tuple[FloatArray, BoolArray]:
    """Return the roots of ordinary races, and which are found.

    Args:
        race: The rates.
        level: The probabilities.
        is_needle: Whether another rate may be much narrower than the base: panels must follow it.
    """
    x, spread = _start(race, level)
    nodes = _Nodes.of(race, x, _COARSE, _COARSE_RULE)
    slope, is_far = np.ones_like(x), np.ones(len(x), dtype=np.bool_)
    for _ in range(_COARSE_STEPS):
        p, found = nodes.probability(race, x, with_slope=True)
        slope = np.where(is_far, found, slope)
        # A race that is near waits, so that no result depends on the others of its block.
        step = np.where(is_far, _step(p, level, slope, spread), 0.0)
        x = x + step
        is_far &= np.abs(step) > _NEAR * spread
        if not is_far.any():
            break
        if is_needle:
            nodes = _Nodes.of(race, x, _COARSE, _COARSE_RULE)
    open_rows = np.arange(len(x))
    for _ in range(_FINE_STEPS):
        some = race.pick(open_rows)
        nodes = _Nodes.of(some, x[open_rows], _FINE, (NODES, WEIGHTS))
        p, _ = nodes.probability(some, x[open_rows], with_slope=False)
        step = _step(p, level[open_rows], slope[open_rows], spread[open_rows])
        x[open_rows] += step
        # Where the probability is all but 1, a step is short although it is far from the root.
        wanted = level[open_rows]
        is_near = np.abs(p - wanted) <= _NEAR * np.minimum(wanted, 1.0 - wanted)
        is_done = is_near & (np.abs(step) <= _DONE * np.minimum(spread[open_rows], 1.0))
        open_rows = open_rows[~is_done]
        if open_rows.size == 0:
            break
    is_found = np.ones(len(x), dtype=np.bool_)
    is_found[open_rows] = False
    return x, is_found


def ratio_roots(race: Race, level: FloatArray, bracket: Bracket) -> FloatArray:
    """Return the logarithm of the least ratio at which every other rate is below ratio times base.

    Args:
        race: The rates.
        level: The probability to reach, above 0 and below 1, shape `(n,)`.
        bracket: Gives the logarithms of a ratio below and of one above for some rows.

    Returns:
        Logarithms, shape `(n,)`.
    """
    found = np.empty(len(level))
    is_found = np.zeros(len(level), dtype=np.bool_)
    tail = np.minimum(level, 1.0 - level)
    ordinary, needle = _is_ordinary(race) & (tail >= _LEAST_TAIL), _has_needle(race)
    groups = [
        (rows[block], is_needle)
        for is_needle in (False, True)
        for rows in [np.flatnonzero(ordinary & (needle == is_needle))]
        for block in blocks(len(rows), _USUAL_NODES)
    ]

    def solve(group: tuple[IndexArray, bool]) -> None:
        rows, is_needle = group
        solved = _newton(race.pick(rows), level[rows], is_needle=is_needle)
        found[rows], is_found[rows] = solved

    for_each(groups, solve)
    rest = np.flatnonzero(~is_found)
    if rest.size:
        found[rest] = bracketed_roots(race.pick(rest), level[rest], bracket(rest))
    return found


def _has_needle(race: Race) -> BoolArray:
    """Say where another rate's logarithm has less than a third of the base's spread."""
    (alpha, beta), (others_alpha, others_beta) = _shapes(race.base), _shapes(race.others)
    base = log_variance(alpha, beta)
    needle: BoolArray = log_variance(others_alpha, others_beta).min(axis=1) < base / 9.0
    return needle


def log_variance(alpha: FloatArray, beta: FloatArray) -> FloatArray:
    """Return about the variance of a rate's logarithm."""
    variance: FloatArray = 1.0 / alpha - 1.0 / (alpha + beta)
    return variance


def _is_ordinary(race: Race) -> BoolArray:
    alpha, beta = _shapes(race.base)
    others_alpha, others_beta = _shapes(race.others)
    least_alpha = np.minimum(alpha, others_alpha.min(axis=1))
    least_beta = np.minimum(beta, others_beta.min(axis=1))
    ordinary: BoolArray = (least_alpha >= _LEAST_ALPHA) & (least_beta >= _LEAST_BETA)
    return ordinary
