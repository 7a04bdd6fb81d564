"""The windows of `sql/assets/windowed_aggregates.sql` as sums over arrays; a test compares them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mab_pipeline.allocation.rule_settings import RuleSettings

IntArray = npt.NDArray[np.int64]

SOURCES = ("default_window", "max_window", "prior")
"""Names of the codes in `Windows.source`."""


class Windows(NamedTuple):
    """The counts that the rule looks at on a day; each of shape `(n_experiments, n_arms)`.

    Attributes:
        source: Index in `SOURCES`.
        impressions: Impressions that the posterior uses.
        clicks: Clicks that the posterior uses.
        default_impressions: Impressions of the default window.
        default_clicks: Clicks of the default window.
        max_impressions: Impressions of the maximum window.
        max_clicks: Clicks of the maximum window.
    """

    source: IntArray
    impressions: IntArray
    clicks: IntArray
    default_impressions: IntArray
    default_clicks: IntArray
    max_impressions: IntArray
    max_clicks: IntArray


def sum_windows(impressions: IntArray, clicks: IntArray, end: int, rule: RuleSettings) -> Windows:
    """Sum the windows that end before day `end`.

    Args:
        impressions: Impressions per day, shape `(n_days, n_experiments, n_arms)`.
        clicks: Clicks as reported by then, same shape.
        end: Index of the day after the as-of day, 0 to `n_days`.
        rule: The settings.
    """
    default = slice(max(0, end - rule.default_window_days), end)
    longest = slice(max(0, end - rule.max_window_days), end)
    sums = (
        impressions[default].sum(axis=0),
        clicks[default].sum(axis=0),
        impressions[longest].sum(axis=0),
        clicks[longest].sum(axis=0),
    )
    source = np.where(
        sums[0] >= rule.min_impressions, 0, np.where(sums[2] >= rule.min_impressions, 1, 2)
    )
    nothing = np.zeros_like(sums[0])
    return Windows(
        source,
        np.choose(source, (sums[0], sums[2], nothing)),
        np.choose(source, (sums[1], sums[3], nothing)),
        *sums,
    )
