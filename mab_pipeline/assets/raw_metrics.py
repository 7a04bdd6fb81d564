"""The audit table: every row of every metrics file, as received.

A run for day D loads D. Of the days that D's windows see, and of those from D to the newest
computed day, it also loads the ones that changed since: a late file needs no run of its own.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.assets.source_files import METRIC_FILES
from mab_pipeline.assets.sources import source_keys
from mab_pipeline.assets.table_asset import table_asset
from mab_pipeline.ingestion.file_ledger import (
    LoadReport,
    arrived_files,
    known_files,
    load_day,
    unloaded_files,
)
from mab_pipeline.ingestion.follow_up import made_days
from mab_pipeline.ingestion.unplaced import note_unplaced, sighted_before
from mab_pipeline.ingestion.waiting_files import KnownFileUnreadableError
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_pipeline.sources.dropped import take_exports
from mab_store.days import Days
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


def load_raw_metrics(
    platform: Platform, days: Days, *, only: Collection[str] | None = None
) -> LoadReport:
    """Make raw_metrics mirror the inbox for these days, and for changed days around them.

    That is: in the days that their windows see, and in those up to the newest computed day.

    Args:
        platform: The shared resources.
        days: The days.
        only: Ids and names of the experiments whose rows are loaded; all if omitted.
    """
    unreadable: dict[str, str] = {}
    while True:
        try:
            return _load(platform, days, unreadable, only)
        except KnownFileUnreadableError as error:
            unreadable[error.source_file] = error.reason  # its day stays unchanged


def _load(
    platform: Platform, days: Days, unreadable: Mapping[str, str], only: Collection[str] | None
) -> LoadReport:
    """Load in one transaction."""
    report = LoadReport()
    lookback = platform.lookback_start(days.start)
    with platform.warehouse.transaction() as transaction:
        now = next_stamp(platform, transaction)
        known = known_files(transaction, lookback, days.end)
        late = unloaded_files(platform.inbox, known, lookback, days.start)
        if made := made_days(transaction, days.end):
            end = made[-1] + timedelta(days=1)
            known_after = known_files(transaction, days.end, end)
            late |= arrived_files(platform.inbox, known_after, days.end, end)
            known |= known_after
        wanted = sorted({*days.listed, *late.values()})
        known |= {row.source_file: row for row in sighted_before(transaction, wanted)}
        for day in wanted:
            load_day(
                transaction,
                platform.inbox,
                day,
                known=known,
                now=now,
                report=report,
                unreadable=unreadable,
                only=only,
            )
        dated = {*report.days, *report.kept}
        report.unreadable |= note_unplaced(transaction, platform, now=now, loaded=dated)
    return report
