"""Gauss-Legendre panels, placed to suit a set of Beta posteriors."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

from mab_pipeline.bandit.arrays import FloatArray, IndexArray
from mab_pipeline.bandit.logit_beta import REACH, LogitBeta

ORDER = 16
"""Nodes on a panel."""

# Cuts on either side of a mode, as shares of the way to the posterior's reach, in asinh(t / pi).
# They go on beyond the reach, lest a panel that begins there is wide enough to miss the flank.
_CUTS = 1.2 * np.arange(1, 7) / 6
_BEYOND = 1.2 * REACH
# Panels are no wider than a kink of the log density near its mode, |t| < pi or so, allows: asinh
# (t / pi), times this, counts as much as the signed root deviance. It matters below shapes of 1.
_BEND = 1.75


def _rule(order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nodes and weights on [-1, 1], and the matrix that integrates from each node up to 1.

    The interpolant through values f_l at the nodes is
        sum_l f_l w_l sum_n (n + 1/2) P_n(x_l) P_n(x)                                     (1)
    by the discrete orthogonality of the P_n with n < order, and
        integral of P_n from x to 1 = (P_{n-1}(x) - P_{n+1}(x)) / (2 n + 1),  P_{-1} = 1.   (2)
    """
    nodes, weights = legendre.leggauss(order)
    p = legendre.legvander(nodes, order)  # P_0 .. P_order, one column each
    before = np.column_stack([np.ones(order), p[:, : order - 1]])
    upward = 0.5 * (before - p[:, 1:])  # (2), times n + 1/2 from (1)
    return nodes, weights, np.ascontiguousarray(p[:, :order] * weights[:, None] @ upward.T)


NODES, WEIGHTS, UPWARD = _rule(ORDER)
"""Nodes, weights, and `f @ UPWARD` = integrals from each node to the panel's upper end."""


class Panels(NamedTuple):
    """Panels of several experiments, one after the other, ascending within each.

    Attributes:
        row: The experiment that each panel belongs to, shape `(n_panels,)`.
        rank: The panel's place within its experiment, from 0, shape `(n_panels,)`.
        centre: Midpoint in logit units, shape `(n_panels,)`.
        half: Half the width in logit units, shape `(n_panels,)`.
        first: The first panel of each experiment, shape `(n_experiments,)`.
    """

    row: IndexArray
    rank: IndexArray
    centre: FloatArray
    half: FloatArray
    first: IndexArray

    def blocks(self, limit: int) -> Iterator[tuple[slice, "Panels"]]:
        """Split between experiments.

        Args:
            limit: Panels that a block may have, unless a single experiment has more.

        Yields:
            The experiments of each block, and their panels.
        """
        ends = np.append(self.first[1:], len(self.row))
        start = 0
        while start < len(ends):
            begin = self.first[start]
            stop = max(start + 1, int(np.searchsorted(ends, begin + limit, side="right")))
            inside = slice(begin, ends[stop - 1])
            yield (
                slice(start, stop),
                Panels(
                    self.row[inside] - start,
                    self.rank[inside],
                    self.centre[inside],
                    self.half[inside],
                    self.first[start:stop] - begin,
                ),
            )
            start = stop


def _cuts(arms: LogitBeta, reach: FloatArray) -> FloatArray:
    """Cut around each mode, evenly in asinh(t / pi); all cuts of an experiment, ascending."""
    ends = np.arcsinh((reach - arms.mode[..., None]) / np.pi)
    t = np.sinh(ends[..., None] * _CUTS)
    t *= np.pi
    t += arms.mode[..., None, None]
    low, high = reach.max(axis=1, keepdims=True).T
    cuts = np.clip(t.reshape(len(reach), -1), low.T, high.T)
    cuts.sort(axis=1)
    return cuts


def _progress(arms: LogitBeta, cuts: FloatArray) -> FloatArray:
    """How far the most demanding posterior has moved at each cut.

    Over every interval between cuts the one posterior counts that moves most; a sum over
    posteriors would refine 80 like ones 80-fold.
    """
    points, arms = cuts[:, None, :], arms.pick((..., None))
    moved = arms.signed_root(points)
    np.clip(moved, -_BEYOND, _BEYOND, out=moved)
    bend = points - arms.mode
    bend /= np.pi
    np.arcsinh(bend, out=bend)
    bend *= _BEND
    moved += bend
    progress = np.zeros_like(cuts)
    np.cumsum(np.diff(moved, axis=2).max(axis=1), axis=1, out=progress[:, 1:])
    return progress


def _edges(cuts: FloatArray, progress: FloatArray, count: IndexArray) -> tuple[FloatArray, ...]:
    """Invert `progress` at k / count of its total, k = 0 .. count.

    Returns the lower and the upper edge of each panel, the experiments' panels in sequence.
    """
    n, n_cuts = cuts.shape
    total = progress[:, -1]
    row = np.repeat(np.arange(n), count + 1)
    first = np.cumsum(count + 1) - (count + 1)
    k = np.arange(len(row)) - first[row]
    # The cuts that edge k lies beyond are those with ceil(progress / total * count) <= k.
    slot = np.ceil(progress * (count / total)[:, None]).astype(np.intp)
    np.clip(slot, 0, count[:, None], out=slot)
    held = np.bincount((first[:, None] + slot).ravel(), minlength=len(row))
    right = np.clip(np.cumsum(held) - n_cuts * row, 1, n_cuts - 1)
    low, high = progress[row, right - 1], progress[row, right]
    share = (k * (total / count)[row] - low) / np.where(high > low, high - low, 1.0)
    start, end = cuts[row, right - 1], cuts[row, right]
    edges = start + np.clip(share, 0.0, 1.0) * (end - start)
    last = k == count[row]
    edges[last] = cuts[:, -1]
    return edges[~last], edges[k > 0]


def lay_panels(arms: LogitBeta, reach: FloatArray, *, width: float) -> Panels:
    """Cut the range in which variants can win so that no panel spans much of any posterior.

    The range is from the highest lower end of the posteriors' reaches to the highest upper end.

    Args:
        arms: Posteriors, shape `(n_experiments, n_variants)`.
        reach: Lower and upper ends of theirs, shape `(n_experiments, n_variants, 2)`.
        width: Signed root deviance (standard deviations, for a normal posterior) that a panel may
            span of any one posterior, above 0.

    Returns:
        The panels. An experiment's panels depend on its own posteriors only.

    Notes:
        A fixed grid cannot serve a posterior of ten million impressions beside a cold one, whose
        widths differ by a factor of thousands. Here cuts are placed around every mode and out to
        the extreme quantiles of every posterior, and panels are then spread evenly in the signed
        root deviance of whichever posterior changes fastest there.
    """
    cuts = _cuts(arms, reach)
    progress = _progress(arms, cuts)
    count = np.maximum(np.ceil(progress[:, -1] / width), 1.0).astype(np.intp)
    lower, upper = _edges(cuts, progress, count)
    first = np.cumsum(count) - count
    row = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(row)) - first[row]
    return Panels(row, rank, 0.5 * (lower + upper), 0.5 * (upper - lower), first)
