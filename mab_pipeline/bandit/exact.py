"""Exact comparison of Beta posteriors by deterministic quadrature.

`quadrature` places the panels, `logit_beta` describes one posterior.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arrays import Batch, BoolArray, FloatArray, IndexArray, as_batch
from mab_pipeline.bandit.logit_beta import LogitBeta
from mab_pipeline.bandit.quadrature import NODES, ORDER, UPWARD, WEIGHTS, Panels, lay_panels
from mab_pipeline.bandit.threads import available_cores, for_each

# Signed root deviance that a panel may span of any one posterior. At 2, panels of 16 nodes are
# within 1e-12 of ever finer ones; at 3 within 1e-9.
_WIDTH = 2.0
# Before they are scaled to it, the probabilities of a row sum to 1 but for the quadrature's error.
_SUM_TOLERANCE = 1e-11
_REFINEMENTS = 3
# Numbers that a block of panels may hold. Two such arrays stay in cache and serve block after
# block: fresh memory costs more than the arithmetic on it. Smaller ones fight for Python's lock.
_BLOCK = 2**17
# Experiments of a chunk times their width squared, which is what placing the panels takes.
_CHUNK = 2**14
# Experiments of up to this many variants are not made narrower by leaving out sure losers.
_MIN_WIDTH = 4


class Comparison(NamedTuple):
    """The result of a pass of the quadrature.

    Attributes:
        best: Probability of being best, shape `(n_experiments, n_variants)`.
        gain: E[max theta] minus the largest posterior mean, shape `(n_experiments,)`.
    """

    best: FloatArray
    gain: FloatArray


def _below(mass: FloatArray, panels: Panels) -> FloatArray:
    """Probability below each panel's upper end: 1 minus sums of `mass` over the later panels."""
    table = np.zeros((len(mass), len(panels.first), panels.rank.max() + 2))
    table[:, panels.row, panels.rank] = mass
    above = np.cumsum(table[..., ::-1], axis=2)[..., ::-1]
    # All but 1e-13 of every posterior lies below the highest panel.
    return 1.0 - above[:, panels.row, panels.rank + 1]


def _win_density(arms: LogitBeta, panels: Panels, work: FloatArray) -> FloatArray:
    """Evaluate f_i(y) times the product of F_j(y), j != i, at the nodes of every panel.

    Returns the density of y, times half the panel's width, at which variant i is best and has its
    rate there, shape `(n_variants, n_panels, order)`; a part of `work`, which has room for two.
    """
    own = LogitBeta(*(field[panels.row].T[:, :, None] for field in arms))
    shape = (2, *own.mode.shape[:2], ORDER)
    density: FloatArray
    cdf: FloatArray
    density, cdf = work[: 2 * own.mode.size * ORDER].reshape(shape)
    np.multiply(own.sign * panels.half[:, None], NODES, out=density)
    density += own.sign * (panels.centre[:, None] - own.mode)
    own.fall(density, cdf)
    density += own.log_peak + np.log(panels.half)[:, None]
    np.exp(density, out=density)
    # One small product per panel, of a shape that the experiment alone decides: BLAS may add in
    # another order for another shape, and no result may depend on its neighbours in the batch.
    np.matmul(density.swapaxes(0, 1), UPWARD, out=cdf.swapaxes(0, 1))
    below = _below(np.vecdot(density, WEIGHTS), panels)
    np.subtract(below[:, :, None], cdf, out=cdf)
    np.maximum(cdf, 0.0, out=cdf)
    # Multiply by the CDFs of the variants before i, then by those of the variants after it.
    before, after = cdf[0].copy(), cdf[-1].copy()
    last = len(cdf) - 1
    for i in range(1, last + 1):
        density[i] *= before
        density[last - i] *= after
        before *= cdf[i]
        after *= cdf[last - i]
    return density


def _integrate(arms: LogitBeta, panels: Panels, work: FloatArray) -> Comparison:
    """Integrate over the panels; how far the probabilities miss the sum 1 shows the error."""
    win = _win_density(arms, panels, work)
    best = np.add.reduceat(np.vecdot(win, WEIGHTS), panels.first, axis=1).T
    top = special.expit(arms.mode.max(axis=1))  # the largest mean, alpha / (alpha + beta)
    beyond = special.expit(panels.centre[:, None] + panels.half[:, None] * NODES)
    beyond -= top[panels.row, None]
    beyond *= win.sum(axis=0)
    return Comparison(best, np.add.reduceat(np.vecdot(beyond, WEIGHTS), panels.first))


def _compare_able(arms: LogitBeta, reach: FloatArray, width: float) -> Comparison:
    """Compare the variants of experiments in which at least two can win."""
    panels = lay_panels(arms, reach, width=width)
    best, gain = np.empty_like(arms.mode), np.empty(len(arms.mode))
    blocks = list(panels.blocks(_BLOCK // (ORDER * best.shape[1])))
    work = np.empty(2 * ORDER * best.shape[1] * max(len(block.row) for _, block in blocks))
    for rows, block in blocks:
        best[rows], gain[rows] = _integrate(arms.pick(rows), block, work)
    total = best.sum(axis=1)
    best /= total[:, None]
    doubtful = np.abs(total - 1.0) > _SUM_TOLERANCE
    if doubtful.any() and width > _WIDTH / 2**_REFINEMENTS:
        finer = _compare_able(arms.pick(doubtful), reach[doubtful], width / 2.0)
        best[doubtful], gain[doubtful] = finer
    return Comparison(best, gain)


def _compare(alpha: FloatArray, beta: FloatArray) -> Comparison:
    """Compare the variants of experiments without padding."""
    n, n_variants = alpha.shape
    arms = LogitBeta.of(alpha, beta)
    reach = arms.reach()
    # A posterior wholly below the reach of another wins with probability 1e-13 at most.
    able = reach[..., 1] > reach[..., :1].max(axis=1)
    n_able = able.sum(axis=1)
    # Sorted, so that the caller's order of the variants changes no bit of a result.
    order = np.lexsort((alpha, -arms.mode, ~able), axis=1)
    best, gain = np.zeros_like(alpha), np.zeros(n)
    best[np.arange(n), order[:, 0]] = 1.0  # overwritten below if there is a rival
    power_of_2 = 2 ** np.ceil(np.log2(n_able)).astype(np.intp)
    width = np.clip(power_of_2, min(_MIN_WIDTH, n_variants), n_variants)
    width[n_able == 1] = 0
    for w in np.unique(width[width > 0]):
        rows = np.flatnonzero(width == w)
        cells = rows[:, None], order[rows, :w]
        best[cells], gain[rows] = _compare_able(arms.pick(cells), reach[cells], _WIDTH)
    return Comparison(best, np.maximum(gain, 0.0))


def _chunks(real: BoolArray) -> Iterator[tuple[IndexArray, IndexArray]]:
    """Split a batch into chunks of experiments with equally many real cells.

    Yields the rows, shape `(n, 1)`, and their real columns, shape `(n, width)`.
    """
    widths = real.sum(axis=1)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        columns = np.nonzero(real[rows])[1].reshape(-1, width)
        share = -(-len(rows) // available_cores())
        step = max(1, min(_CHUNK // int(width) ** 2, share))
        for i in range(0, len(rows), step):
            yield rows[i : i + step, None], columns[i : i + step]


def _compare_batch(batch: Batch) -> Comparison:
    best, gain = np.zeros(batch.alpha.shape), np.zeros(len(batch.alpha))

    def work(cells: tuple[IndexArray, IndexArray]) -> None:
        best[cells], gain[cells[0][:, 0]] = _compare(batch.alpha[cells], batch.beta[cells])

    for_each(list(_chunks(batch.real)), work)
    return Comparison(best, gain)


def probability_best(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Compute each variant's probability of having the highest click-through rate.

    The value that `thompson.thompson_shares` estimates, by deterministic quadrature.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell, anywhere.
        beta: Second shape parameter, likewise.

    Returns:
        Probabilities of the shape of `alpha`, 0 for padding, each row summing to 1 up to
        rounding. The absolute error is below 1e-11 up to 1e9 impressions, below 1e-9 up to 1e13.
        A variant whose probability is below 1e-13 may get 0.

    Raises:
        ValueError: If a parameter is not above 0, infinite or NaN in one array only (the message
            names the cell), an experiment has no real cell, or shapes do not match.

    Notes:
        With f and F a posterior's density and distribution function,

            P(i is best) = integral of f_i(y) prod_{j != i} F_j(y) dy,

        taken over the logit y of the rate, in which densities of all shapes are smooth. The range
        is cut into panels that suit the narrowest posterior at each place (`quadrature`), with 16
        Gauss-Legendre nodes each. The F_j at the nodes come from the same panels: 1 minus the
        integral of the interpolated f_j from the node upwards. The probabilities of a row must
        sum to 1; a row that misses that by more than 1e-11 is done again with panels half as wide.

        An experiment's result depends, to the last bit, on its own real cells only: not on the
        order of variants (but among equal ones) or experiments, the padding, the rest of the batch,
        or the threads.

    References:
        Chapelle and Li, An empirical evaluation of Thompson sampling, NIPS 24 (2011).
        Davis and Rabinowitz, Methods of Numerical Integration, 2nd ed., 1984, section 2.7.
    """
    batch = as_batch(alpha, beta)
    return _compare_batch(batch).best.reshape(batch.shape)


def expected_loss(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Compute the click-through rate expected to be lost by choosing each variant for good.

    Args:
        alpha: First shape parameter, above 0, shape `(n_experiments, n_variants)`, or
            `(n_variants,)` for one experiment; NaN, in both arrays, pads a cell, anywhere.
        beta: Second shape parameter, likewise.

    Returns:
        Losses in clicks per impression, at least 0, of the shape of `alpha`; NaN for padding,
        since 0 would mark the padding as the best choice. The absolute error is that of
        `probability_best`, which see.

    Raises:
        ValueError: If a parameter is not above 0, infinite or NaN in one array only (the message
            names the cell), an experiment has no real cell, or shapes do not match.

    Notes:
        The loss of variant i is `E[max_j theta_j - theta_i]`. With m the largest posterior mean,

            loss_i = (m - E[theta_i]) + E[max_j theta_j - m],

        and the last term, the value of knowing which variant is best, is the integral of
        `(theta - m)` over the density of the maximum, `sum_i f_i prod_{j != i} F_j`.

    References:
        Stucchio, Bayesian A/B Testing at VWO, 2015 (expected loss as a stopping rule).
    """
    batch = as_batch(alpha, beta)
    gain = _compare_batch(batch).gain
    mean = batch.alpha / (batch.alpha + batch.beta)
    top = np.fmax.reduce(mean, axis=1, keepdims=True)
    loss: FloatArray = (top - mean) + gain[:, None]
    return loss.reshape(batch.shape)
