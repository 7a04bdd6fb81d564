"""The clean table: the accepted counts of each variant and day.

What belongs here: which days to make. What does not: what is accepted (`validated_metrics`).
"""

from datetime import date, timedelta
from typing import Any

import dagster as dg

from mab_pipeline.assets.declare import Days, days_of, same_columns, table_asset
from mab_pipeline.platform import Platform


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
    late_days = load_daily_metrics(platform, days)
    for day in late_days:
        context.log_event(dg.AssetMaterialization("daily_metrics", partition=str(day)))
    with platform.warehouse.transaction() as transaction:
        verdicts = transaction.fetch_arrow("assets/daily_metrics_verdicts", days.parameters)
    (counts,) = verdicts.to_pylist()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": counts["accepted"],
            "rows_received": counts["received"],
            "rows_superseded": counts["superseded"],
            "rows_rejected": counts["rejected"],
            "impressions": counts["impressions"],
            "clicks": counts["clicks"],
            "late_days_made_too": [str(day) for day in late_days],
        }
    )


def load_daily_metrics(platform: Platform, days: Days) -> list[date]:
    """Make these days anew, and of the days that their windows see those that are out of date.

    Returns:
        The earlier days that were out of date.
    """
    lookback = Days(platform.lookback_start(days.start), days.start)
    with platform.warehouse.transaction() as transaction:
        stale = transaction.fetch_arrow("assets/daily_metrics_stale_days", lookback.parameters)
        late_days: list[date] = stale["metric_date"].to_pylist()
        for day in late_days:
            late = Days(day, day + timedelta(days=1))
            transaction.execute("assets/daily_metrics", late.parameters)
        transaction.execute("assets/daily_metrics", days.parameters)
    return late_days
