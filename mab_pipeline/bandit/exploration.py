"""Shares that keep every variant in play: exploration and floors."""

import numpy as np
from numpy.typing import ArrayLike

from mab_pipeline.bandit.arrays import FloatArray, as_floats, as_rows, refuse, same_shape

_SUM_TOLERANCE = 1e-6


def explore(weights: ArrayLike, exploration: float, floors: ArrayLike | None = None) -> FloatArray:
    """Mix shares with a floor under each variant.

    Args:
        weights: Shares of an experiment, shape `(n_variants,)` or `(n_experiments, n_variants)`,
            not negative, each row summing to 1 within 1e-6; NaN pads a cell.
        exploration: Share of the traffic that is split equally, 0 to 1, in total.
        floors: Least share of each variant, 0 to 1, the shape of `weights`; none by default. A
            variant's floor is the larger of this and its part of `exploration`.

    Returns:
        Shares of the shape of `weights`, each row summing to 1 up to rounding, NaN for padding.

    Raises:
        ValueError: If a share, a floor or `exploration` is out of range, or a row does not sum
            to 1; the message names the cell or the experiment.

    Notes:
        With K variants, `f_i = max(exploration / K, floor_i)` and

            p_i = f_i + (1 - sum_j f_j) w_i;

        floors that sum to 1 or more leave nothing to the weights, and the split is equal.
    """
    if not 0.0 <= exploration <= 1.0:
        raise ValueError(f"exploration must lie between 0 and 1, not {exploration}")
    given = as_floats(weights, "weights")
    least = np.zeros_like(given) if floors is None else as_floats(floors, "floors")
    same_shape(given, least, ("weights", "floors"))
    refuse(
        (given < 0.0) | np.isinf(given), "weights must be finite and not negative", weights=given
    )
    real = ~np.isnan(given)
    refuse(real & ~((least >= 0.0) & (least <= 1.0)), "floors must lie in 0 to 1", floors=least)
    rows, real = as_rows(given, "weights"), np.atleast_2d(real)
    total = np.nansum(rows, axis=1, keepdims=True)
    wrong = np.flatnonzero(np.abs(total - 1.0) > _SUM_TOLERANCE)
    if wrong.size:
        row = wrong[0]
        raise ValueError(f"the weights of experiment {row} sum to {total[row, 0]:.17g}, not to 1")
    equal = 1.0 / real.sum(axis=1, keepdims=True)
    floor = np.where(real, np.maximum(exploration * equal, np.atleast_2d(least)), 0.0)
    taken = floor.sum(axis=1, keepdims=True)
    mixed = np.where(taken >= 1.0, equal, floor + (1.0 - taken) * rows / total)
    return np.where(real, mixed, np.nan).reshape(given.shape)
