"""Evidence: rows of inputs, laid out as the arrays that the rule reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mab_pipeline.allocation.rule_arrays import Evidence
from mab_pipeline.allocation.rule_settings import RuleSettings

Places = npt.NDArray[np.int64]
Cells = tuple[Places, Places]

OWN_OPTIONS = "decision"
"""Column of an experiment's own options of the rule; absent if no experiment has any."""
KEPT = "max_window"
"""Data source of a variant that keeps its counts: they are those of the longest window."""


def cells_of(sizes: Places) -> Cells:
    """Return the places of decisions' rows in an array of shape `(n_decisions, n_variants)`."""
    index = np.repeat(np.arange(len(sizes)), sizes)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def rows_of(first_rows: Places, sizes: Places) -> Places:
    """Return the input rows of decisions, in the order of `cells_of`."""
    index, position = cells_of(sizes)
    rows: Places = first_rows[index] + position
    return rows


def option_columns(rule: RuleSettings) -> tuple[str, ...]:
    """Return the input columns that only the options of a rule read; they are hashed if read."""
    columns: tuple[str, ...] = ()
    if rule.burn_in == "on":
        columns += ("impressions_since_joined",)
    if rule.control_min_allocation > 0.0:
        columns += ("is_control",)
    if rule.estimate == "day_effects":
        columns += ("day_impressions", "day_clicks")
    return columns


def evidence_of(
    columns: Mapping[str, Sequence[Any]], first_rows: Places, sizes: Places, rule: RuleSettings
) -> Evidence:
    """Lay out the inputs of decisions.

    Args:
        columns: Columns of inputs, those of `option_columns` included.
        first_rows: First input row of each decision, shape `(n_decisions,)`.
        sizes: Number of variants of each, same shape.
        rule: The settings, which choose the arrays.
    """
    cells, rows = cells_of(sizes), rows_of(first_rows, sizes)
    shape = (len(sizes), int(sizes.max(initial=1)))

    def padded(name: str) -> npt.NDArray[np.float64]:
        plane = np.full(shape, np.nan)
        plane[cells] = np.asarray(columns[name], dtype=np.float64)[rows]
        return plane

    more: dict[str, Any] = {}
    if rule.short_window == "keep":
        more["is_short"] = np.zeros(shape, dtype=np.bool_)
        more["is_short"][cells] = np.asarray(columns["data_source"])[rows] == "prior"
        more |= {name: padded(name) for name in ("max_window_impressions", "max_window_clicks")}
    if rule.burn_in == "on":
        more["since_joined"] = padded("impressions_since_joined")
    if rule.control_min_allocation > 0.0:
        more["is_control"] = padded("is_control") == 1.0
    if rule.estimate == "day_effects":
        more["window_days"] = np.nan_to_num(padded("window_days")).astype(np.int64)
        for name in ("day_impressions", "day_clicks"):
            days = np.zeros((*shape, rule.max_window_days))
            days[cells] = np.asarray(columns[name], dtype=np.float64)[rows]
            more[name] = days.swapaxes(1, 2)
    return Evidence(padded("impressions"), padded("clicks"), **more)
