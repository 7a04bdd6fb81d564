"""Does the observed traffic fit the shares that were published?"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mab_pipeline.bandit.arrays import FloatArray, as_counts, as_rows


def sample_ratio_p_value(observed: ArrayLike, expected: ArrayLike) -> FloatArray:
    """Test impressions against the shares that were published, also if these moved from day to day.

    Args:
        observed: Impressions per variant, shape `(n_variants,)` or `(n_experiments, n_variants)`,
            not negative; NaN, in both arrays, pads a cell.
        expected: Impressions that the shares promise, same shape: the sum over the days of the
            day's total times the variant's share of that day. Only the ratios within a row count.

    Returns:
        The p-value of each experiment, shape `()` or `(n_experiments,)`: the probability of a
        deviation at least as large if the shares were applied. NaN if fewer than two variants
        were promised traffic, or there was none. 0 if a variant that was promised nothing has
        traffic. The approximation wants at least 5 expected impressions in each cell.

    Raises:
        ValueError: If a count is negative or infinite, NaN in one array only, or shapes differ.

    Notes:
        Pearson's statistic `sum (observed - expected)**2 / expected` over the variants with an
        expectation above 0, against chi-square with one degree of freedom less than there are of
        them.

    References:
        Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.
    """
    seen, promised = as_counts(observed, expected, ("observed", "expected"))
    o = np.nan_to_num(as_rows(seen, "observed"))
    e = np.nan_to_num(as_rows(promised, "expected"))
    total, sums = o.sum(axis=1), e.sum(axis=1)
    cells = (e > 0.0).sum(axis=1)
    is_decided = (total > 0.0) & (cells >= 2)
    e *= np.divide(total, sums, out=np.zeros_like(total), where=is_decided)[:, None]
    terms = np.divide((o - e) ** 2, e, out=np.zeros_like(o), where=e > 0.0)
    p = special.chdtrc(np.maximum(cells - 1, 1), terms.sum(axis=1))
    p = np.where(((e == 0.0) & (o > 0.0)).any(axis=1), 0.0, p)
    result: FloatArray = np.where(is_decided, p, np.nan)
    return result.reshape(seen.shape[:-1])
