"""The clean table: the accepted counts of each variant and day."""

from collections import Counter
from typing import Any

import dagster as dg

from mab_pipeline.assets.table_asset import same_columns, table_asset
from mab_pipeline.ingestion.loaders import load_daily_metrics
from mab_pipeline.metadata import add_days, log_follow_up
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform


@table_asset(
    group="metrics",
    deps=["experiments", "raw_metrics"],
    sql=["assets/daily_metrics", "schema/02_create_views"],
    lineage={
        **same_columns(
            "raw_metrics",
            "metric_date", "variant_name", "impressions", "clicks", "source_file", "received_at",
        ),
        "experiment_id": [("experiments", "experiment_id"), ("raw_metrics", "experiment")],
    },
)  # fmt: skip
def daily_metrics(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """The accepted counts: for each variant and day the good row that was received last."""
    days = days_of(context)
    follow_up = load_daily_metrics(platform, days)
    log_follow_up(context, follow_up)
    with platform.warehouse.reading() as queries:
        verdicts = queries.fetch_arrow("assets/daily_metrics_verdicts", days.parameters)
    by_day = {row.pop("metric_date"): row for row in verdicts.to_pylist()}
    add_days(context, days, by_day)
    counts: Counter[str] = Counter()
    for row in by_day.values():
        counts.update(row)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": counts["accepted"],
            "rows_received": counts["received"],
            "rows_superseded": counts["superseded"],
            "rows_rejected": counts["rejected"],
            "impressions": counts["impressions"],
            "clicks": counts["clicks"],
            "late_days_made_too": [str(day) for day in follow_up.metric_days],
            "windows_made_too": [str(day) for day in follow_up.as_of_days],
        }
    )
