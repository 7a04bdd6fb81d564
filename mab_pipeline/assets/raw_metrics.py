"""The audit table: every row of every metrics file, as received.

A run for day D loads D. Of the days that D's windows see, and of those from D to the newest
computed day, it also loads the ones that changed since: a late file needs no run of its own.
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from mab_pipeline.assets.source_files import METRIC_FILES
from mab_pipeline.assets.sources import source_keys
from mab_pipeline.assets.table_asset import table_asset
from mab_pipeline.ingestion.loaders import load_raw_metrics
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_pipeline.sources.dropped import take_exports
from mab_store.plain_text import plain
from mab_store.warehouse.sql_loader import sql_fingerprint


@table_asset(
    group="metrics",
    deps=[METRIC_FILES],
    more_deps=source_keys,
    version=lambda: sql_fingerprint("ledger/delete_day"),
)
def raw_metrics(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """Every row of every metrics file as received, and a row for each file that cannot be read."""
    days = days_of(context)
    for name, reason in take_exports(platform).broken.items():
        context.log.warning(plain(f"{name} {reason}"))
    report = load_raw_metrics(platform, days)
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
    late_days = [day for day in report.days if not days.start <= day < days.end]
    for day in late_days:
        context.log_event(
            dg.AssetMaterialization(
                "raw_metrics",
                partition=str(day),
                metadata={
                    "loaded_by_the_run_of": f"{days.start} to {days.end - timedelta(days=1)}"
                },
            )
        )
    notices = {
        **{name: f"{name} {error}" for name, error in report.unreadable.items()},
        **{name: f"{name} has another content than before" for name in report.changed},
        **{name: f"{name} was loaded before and is gone" for name in report.vanished},
    }
    notices |= {str(day): f"{day} stays as it is: {error}" for day, error in report.kept.items()}
    for notice in notices.values():
        context.log.warning(plain(notice))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.rows,
            "files": report.files,
            "quarantined_files": len(report.unreadable),
            "changed_files": {name: str(day) for name, day in report.changed.items()},
            "vanished_files": {name: str(day) for name, day in report.vanished.items()},
            "days_kept_as_they_are": {str(day): error for day, error in report.kept.items()},
            "late_days_loaded_too": [str(day) for day in late_days],
        }
    )
