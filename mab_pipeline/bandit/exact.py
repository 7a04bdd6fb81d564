"""Exact comparison of Beta posteriors by deterministic quadrature.

What belongs here: the probability that each variant is best, and the loss expected of choosing it.
What does not: how panels are placed (`quadrature`), a single posterior (`logit_beta`), Monte Carlo
(`thompson`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mab_pipeline.bandit.arrays import Batch, FloatArray, as_batch
from mab_pipeline.bandit.logit_beta import LogitBeta
from mab_pipeline.bandit.quadrature import NODES, ORDER, UPWARD, WEIGHTS, Panels, lay_panels
from mab_pipeline.bandit.threads import available_cores, for_each

# Signed root deviance that a panel may span of any one posterior.
_WIDTH = 2.0
# The probabilities of a row sum to 1 but for the error of the quadrature.
_SUM_TOLERANCE = 1e-11
_REFINEMENTS = 3
# Numbers that a block of panels may hold: two such arrays fit into a core's cache, and they are
# used again for the next block, since fresh memory costs more than the arithmetic on it.
_BLOCK = 2**17
# Cells of a chunk, squared widths counted: keeps the working set near the size of a core's cache.
_CHUNK = 2**14


class Comparison(NamedTuple):
    """What one pass of the quadrature yields for experiments of one width.

    Attributes:
        best: Probability of being best, shape `(n_experiments, n_variants)`.
        gain: E[max theta] minus the largest posterior mean, at least 0, `(n_experiments,)`.
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
    density, cdf = work[: 2 * own.mode.size * ORDER].reshape(2, *own.mode.shape[:2], ORDER)
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
    """Integrate over the panels; the sums of the probabilities show the error made."""
    win = _win_density(arms, panels, work)
    best = np.add.reduceat(np.vecdot(win, WEIGHTS), panels.first, axis=1).T
    top = special.expit(arms.mode.max(axis=1))  # the largest mean, alpha / (alpha + beta)
    beyond = special.expit(panels.centre[:, None] + panels.half[:, None] * NODES)
    beyond -= top[panels.row, None]
    beyond *= win.sum(axis=0)
    return Comparison(best, np.add.reduceat(np.vecdot(beyond, WEIGHTS), panels.first))


def _compare_active(arms: LogitBeta, reach: FloatArray, width: float) -> Comparison:
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
        finer = _compare_active(arms.pick(doubtful), reach[doubtful], width / 2.0)
        best[doubtful], gain[doubtful] = finer
    return Comparison(best, gain)


def _compare(alpha: FloatArray, beta: FloatArray) -> Comparison:
    """Compare the variants of experiments without padding."""
    arms = LogitBeta.of(alpha, beta)
    reach = arms.reach()
    low = reach[..., 0].max(axis=1)
    # A posterior that lies below another one's whole range never wins; see probability_best.
    active = reach[..., 1] > low[:, None]
    order = np.lexsort((alpha, np.where(active, -arms.mode, np.inf)), axis=1)
    n_active = active.sum(axis=1)
    width = np.minimum(
        np.maximum(2 ** np.ceil(np.log2(n_active)).astype(np.intp), 4), alpha.shape[1]
    )
    best, gain = np.zeros_like(alpha), np.zeros(len(alpha))
    best[np.arange(len(alpha)), order[:, 0]] = 1.0
    for w in np.unique(width[n_active > 1]):
        rows = np.flatnonzero((width == w) & (n_active > 1))
        cells = rows[:, None], order[rows, :w]
        some = arms.pick(cells)
        best[cells], gain[rows] = _compare_active(some, reach[cells], _WIDTH)
    return Comparison(best, np.maximum(gain, 0.0))


def _chunks(real: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split a batch into chunks of experiments with equally many real cells.

    Yields the rows, shape `(n, 1)`, and their real columns, shape `(n, width)`.
    """
    widths = real.sum(axis=1)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        columns = np.nonzero(real[rows])[1].reshape(-1, width)
        step = max(1, min(_CHUNK // width**2, -(-len(rows) // available_cores())))
        for i in range(0, len(rows), step):
            yield rows[i : i + step, None], columns[i : i + step]


def _compare_batch(batch: Batch) -> Comparison:
    best, gain = np.zeros(batch.alpha.shape), np.zeros(len(batch.alpha))

    def work(cells: tuple[NDArray[np.intp], NDArray[np.intp]]) -> None:
        best[cells], gain[cells[0][:, 0]] = _compare(batch.alpha[cells], batch.beta[cells])

    for_each(list(_chunks(batch.real)), work)
    return Comparison(best, gain)


def probability_best(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    best = _compare_batch(batch := as_batch(alpha, beta)).best
    return best.reshape(batch.shape)


def expected_loss(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    batch = as_batch(alpha, beta)
    gain = _compare_batch(batch).gain
    mean = batch.alpha / (batch.alpha + batch.beta)
    top = np.nanmax(mean, axis=1, keepdims=True)
    return ((top - mean) + gain[:, None]).reshape(batch.shape)
