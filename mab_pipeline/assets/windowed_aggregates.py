"""The windows: each variant's sums at the end of a day; the window rule is in the SQL."""

from collections import Counter
from typing import Any

import dagster as dg

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import compute_windows
from mab_pipeline.assets.table_asset import same_columns, table_asset
from mab_pipeline.metadata import add_days
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform

_COUNTS = {
    f"{prefix}{column}": [("daily_metrics", column)]
    for prefix in ("", "default_window_", "max_window_")
    for column in ("impressions", "clicks")
}


@table_asset(
    group="allocation",
    deps=["experiments"],
    lookback=["daily_metrics"],
    sql=["assets/windowed_aggregates"],
    lineage={
        **_COUNTS,
        **same_columns("experiments", "experiment_id"),
        "days_observed": [("daily_metrics", "metric_date")],
        "data_source": [("daily_metrics", "impressions")],
        "window_days": [("daily_metrics", "impressions")],
    },
)
def windowed_aggregates(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """Each variant of tomorrow with its sums over both windows, and the one that counts."""
    days = days_of(context)
    with platform.warehouse.transaction() as transaction:
        compute_windows(transaction, RuleSettings.of(platform.settings), days)
        sources = transaction.fetch_arrow("assets/windowed_aggregates_sources", days.parameters)
    by_day = {row["as_of_date"]: _counts(row) for row in sources.to_pylist()}
    add_days(context, days, by_day)
    rows: Counter[str] = Counter()
    for counts in by_day.values():
        rows.update(counts)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows["rows"],
            "rows_on_default_window": rows["on_default_window"],
            "rows_on_max_window": rows["on_max_window"],
            "rows_on_prior": rows["on_prior"],
        }
    )


def _counts(row: dict[str, Any]) -> dict[str, int]:
    """Return the counts of one day: its rows first."""
    names = ("experiments", "on_default_window", "on_max_window", "on_prior")
    return {"rows": row["row_count"], **{name: row[name] for name in names}}
