"""The loaders: from the inbox to `experiments`, `raw_metrics` and `daily_metrics`.

Assets, replay and rebuild run them. Nothing here imports Dagster, which a replay need not wait for.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta

import pyarrow as pa

from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.ingestion.file_ledger import (
    LedgerRow,
    LoadReport,
    arrived_files,
    known_files,
    ledger_row,
    ledger_rows,
    load_day,
    unloaded_files,
)
from mab_pipeline.ingestion.follow_up import FollowUp, follow_metrics, follow_registry, made_days
from mab_pipeline.ingestion.registry_changes import registry_change
from mab_pipeline.ingestion.unplaced import note_unplaced, sighted_before
from mab_pipeline.ingestion.waiting_files import KnownFileUnreadableError
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.experiments.events import Registry, fold_events
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

EVENTS = {"prefix": "experiments/%"}


def load_experiments(platform: Platform) -> tuple[Registry, FollowUp]:
    """Replace the registry by the events of the files, and enter the files in the ledger.

    Returns:
        The registry, and the days that were recomputed since it changed. While a file is gone the
        tables keep their rows: a check stops the run until the file is back.
    """
    files = platform.inbox.experiment_files()
    contents = {file.source_file: platform.inbox.read(file) for file in files}
    registry = fold_events(contents)
    with platform.warehouse.transaction() as transaction:
        now = next_stamp(platform, transaction)
        known = {
            row["source_file"]: LedgerRow(**row)
            for row in transaction.fetch_arrow("ledger/undated_files", EVENTS).to_pylist()
        }
        seen = dict(known)
        used = [name for name, row in known.items() if row.error is None]
        registry.vanished += [name for name in used if name not in contents]
        registry.changed += [
            name
            for name, row in known.items()
            if name in contents and contents[name].sha256 != row.sha256
        ]
        for file in files:
            error = registry.errors.get(file.source_file)
            seen[file.source_file] = ledger_row(
                file,
                contents[file.source_file],
                known.get(file.source_file),
                now=now,
                row_count=0 if error else 1,
                error=error,
            )
        transaction.execute("ledger/delete_undated_files", EVENTS)
        transaction.load_arrow("inbox_files", ledger_rows(seen.values()))
        change = registry_change(transaction, registry)
        if registry.vanished and change.has_old:
            return registry, FollowUp()
        _replace(transaction, registry)
        return registry, follow_registry(transaction, platform.settings, change)


def _replace(transaction: Transaction, registry: Registry) -> None:
    transaction.execute("assets/experiments")
    for table, rows in (
        ("experiments", registry.experiments),
        ("variants", registry.variants),
    ):
        schema = declared_tables()[table].arrow_schema
        transaction.load_arrow(table, pa.Table.from_pylist(rows, schema=schema))


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


def load_daily_metrics(platform: Platform, days: Days) -> FollowUp:
    """Compute these days, the late days that a run finds, and the windows that contain them."""
    with platform.warehouse.transaction() as transaction:
        return follow_metrics(transaction, platform.settings, days)
