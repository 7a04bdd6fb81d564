"""From shares to published percentages: rounding that loses nothing."""

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, IntArray, as_floats, as_rows, refuse

HUNDREDTHS = 10_000
"""Hundredths of a percent in the whole."""

_SUM_TOLERANCE = 1e-6
# Shares are ratios of counts or quadratures: what differs by less than this, in hundredths, is
# rounding, and must neither break a tie nor turn 2874.0 into 2873 and a large remainder.
_REMAINDER_DECIMALS = 6


def _round_rows(shares: FloatArray) -> IntArray:
    exact = np.round(shares / shares.sum(axis=1, keepdims=True) * HUNDREDTHS, _REMAINDER_DECIMALS)
    whole = np.floor(exact)
    missing = HUNDREDTHS - whole.sum(axis=1, keepdims=True)
    # Stable: among equal remainders the earlier position comes first. A zero share has the
    # remainder 0 and others always have enough of it to go round.
    order = np.argsort(-(exact - whole), axis=1, kind="stable")
    rank = np.argsort(order, axis=1)
    hundredths: IntArray = (whole + (rank < missing)).astype(np.int64)
    return hundredths


def to_hundredths(shares: ArrayLike) -> IntArray:
    """Round shares to hundredths of a percent that sum to exactly 100.00 %.

    Largest remainder: everyone gets the whole part; the hundredths left over go to the largest
    remainders, among equal ones to the earlier position.

    Args:
        shares: Shares of the whole, shape `(n_variants,)` or `(n_experiments, n_variants)`, not
            negative, each row summing to 1 within 1e-6. A padded cell is NaN or 0.

    Returns:
        Integers of the same shape; each row sums to exactly 10,000. A cell that is NaN or 0 gets
        0: it can never receive a leftover hundredth.

    Raises:
        ValueError: If a share is negative or infinite, or a row does not sum to 1; the message
            names the cell or the experiment.

    References:
        Balinski and Young, Fair Representation, 2nd ed., 2001 (Hamilton's method).
    """
    given = as_floats(shares, "shares")
    rows = as_rows(given, "shares")
    refuse((given < 0.0) | np.isinf(given), "shares must be finite and not negative", shares=given)
    filled = np.nan_to_num(rows, nan=0.0)
    sums = filled.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
    if wrong.size:
        raise ValueError(
            f"the shares of experiment {wrong[0]} sum to {sums[wrong[0]]:.17g}, not to 1"
        )
    return _round_rows(filled).reshape(given.shape)
