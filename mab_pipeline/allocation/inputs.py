"""Inputs: read the windows of the variants, and the counts that only options need.

Without such an option its counts are not read.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mab_pipeline.allocation.evidence import OWN_OPTIONS
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.days import Days

SINCE_JOINED = "impressions_since_joined"
"""Column of what BURN_IN counts; decisions record it, as a rebuild may lack archived days."""
IntArray = npt.NDArray[np.int64]


class Source(Protocol):
    """A transaction or a reader of the published data."""

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows."""


def read_inputs(
    source: Source, days: Days, rule: RuleSettings, *, with_own_options: bool = True
) -> pa.Table:
    """Return the rows of `sql/assets/allocations_inputs.sql` with the columns of the options.

    Args:
        source: The tables.
        days: The as-of days.
        rule: The settings of the installation.
        with_own_options: Whether experiments' own options go before the settings; not if the
            settings are those of a decision already.

    Returns:
        The rows, in their order. `decision` holds an experiment's own options, if one has any;
        `impressions_since_joined`, cut to MIN_IMPRESSIONS, if burn-in is on for one, else nulls;
        `day_impressions` and `day_clicks`, lists of MAX_WINDOW_DAYS counts up to the as-of day,
        oldest first, for day effects.
    """
    inputs = source.fetch_arrow("assets/allocations_inputs", days.parameters)
    own: list[str | None] = []
    if with_own_options and any(own := _own_options(source, days, inputs)):
        inputs = inputs.append_column(OWN_OPTIONS, pa.array(own, pa.string()))
    rules = [rule.with_own_options(text) for text in set(own) | {None}]
    if any(each.burn_in == "on" for each in rules):
        inputs = _with_since_joined(source, days, rule, inputs)
    else:
        inputs = inputs.append_column(SINCE_JOINED, pa.nulls(len(inputs), pa.int64()))
    if any(each.estimate == "day_effects" for each in rules):
        inputs = _with_days(source, days, rule, inputs)
    return inputs


def _own_options(source: Source, days: Days, inputs: pa.Table) -> list[str | None]:
    """Return the options of each row's experiment that are valid on the day it is decided for."""
    versions: dict[str, list[tuple[date, date, str]]] = defaultdict(list)
    for row in source.fetch_arrow("assets/allocations_own_options", days.parameters).to_pylist():
        version = (row["valid_from_date"], row["valid_to_date"], row["decision"])
        versions[row["experiment_id"]].append(version)
    if not versions:
        return []
    found: list[str | None] = []
    for as_of, experiment_id in zip(
        inputs["as_of_date"].to_pylist(), inputs["experiment_id"].to_pylist(), strict=True
    ):
        effective = as_of + timedelta(days=1)
        valid = (text for a, b, text in versions.get(experiment_id, []) if a <= effective < b)
        found.append(next(valid, None))
    return found


def _with_since_joined(
    source: Source, days: Days, rule: RuleSettings, inputs: pa.Table
) -> pa.Table:
    enough = rule.min_impressions
    names = ("as_of_date", "experiment_id", "variant_name")

    def counted(query: str, column: str) -> dict[tuple[date, str, str], int]:
        found = source.fetch_arrow(query, days.parameters | {"min_impressions": enough}).to_pydict()
        return dict(
            zip(zip(*(found[name] for name in names), strict=True), found[column], strict=True)
        )

    since = counted("assets/allocations_since_joined", SINCE_JOINED)
    before = counted("assets/allocations_recorded_impressions", "impressions_before")
    rows = zip(
        *(inputs[name].to_pylist() for name in (*names, "max_window_impressions")), strict=True
    )
    shown = [
        min(enough, since.get((day, e, v), longest) + before.get((day, e, v), 0))
        for day, e, v, longest in rows
    ]
    return inputs.append_column(SINCE_JOINED, pa.array(shown, pa.int64()))


def _with_days(source: Source, days: Days, rule: RuleSettings, inputs: pa.Table) -> pa.Table:
    length = rule.max_window_days
    found = source.fetch_arrow(
        "assets/allocations_days", days.parameters | {"max_window_days": length}
    ).to_pydict()
    variants = list(zip(found["experiment_id"], found["variant_name"], strict=True))
    series = {variant: place for place, variant in enumerate(dict.fromkeys(variants))}
    first = days.start - timedelta(days=length - 1)
    # One series more, of zeros, for variants without counts.
    counts = np.zeros((2, len(series) + 1, len(days) + length - 1), dtype=np.int64)
    place = [series[variant] for variant in variants]
    offset = [(day - first).days for day in found["metric_date"]]
    counts[0, place, offset] = found["impressions"]
    counts[1, place, offset] = found["clicks"]
    keys = zip(inputs["experiment_id"].to_pylist(), inputs["variant_name"].to_pylist(), strict=True)
    own = np.array([series.get(key, len(series)) for key in keys], dtype=np.int64)
    start = [(day - days.start).days for day in inputs["as_of_date"].to_pylist()]
    window = np.array(start, dtype=np.int64)[:, None] + np.arange(length)
    for name, side in zip(("day_impressions", "day_clicks"), counts, strict=True):
        inputs = inputs.append_column(name, _lists(side[own[:, None], window]))
    return inputs


def _lists(rows: IntArray) -> pa.Array:
    """Return the rows of an array as one list each."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))
