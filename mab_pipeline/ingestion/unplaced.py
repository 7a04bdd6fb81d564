"""Unplaced files: misplaced, before MAB_START_DATE, or for a future day.

The ledger keeps them without a metric_date until a day takes them. A file for a future day is
loaded after that day, one for an early day when MAB_START_DATE moves back. Both count from when
they were first seen.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, datetime

from mab_pipeline.ingestion.file_ledger import LedgerRow, ledger_row, ledger_rows
from mab_pipeline.resources import Platform
from mab_store.files.inbox import parse_day
from mab_store.files.inbox_file import InboxFile
from mab_store.warehouse.warehouse import Transaction

MISPLACED = "lies in no folder that names a day; it belongs in metrics/<YYYY-MM-DD>/"
_PREFIX = {"prefix": "metrics/%"}


def unplaced_files(platform: Platform) -> dict[InboxFile, str]:
    """Return the metrics files that no day takes, and the reasons."""
    found = {file: file.fault or MISPLACED for file in platform.inbox.misplaced_files()}
    for day in platform.inbox.metric_days():
        reason = _why_not_taken(platform, day)
        if reason is not None:
            files = platform.inbox.files_of_day(day)
            found |= {replace(file, metric_date=None): file.fault or reason for file in files}
    return found


def sighted_before(transaction: Transaction, days: Collection[date]) -> Iterator[LedgerRow]:
    """Yield ledger rows of files for these days that were entered before any day took them."""
    for row in transaction.fetch_arrow("ledger/undated_files", _PREFIX).to_pylist():
        day = _day_of(row["source_file"])
        if day is not None and day in days:
            yield replace(LedgerRow(**row), metric_date=day)


def note_unplaced(
    transaction: Transaction, platform: Platform, *, now: datetime, loaded: Collection[date]
) -> dict[str, str]:
    """Enter the files that no day takes in the ledger.

    Args:
        transaction: The open transaction.
        platform: The shared resources.
        now: When this load began, as naive UTC.
        loaded: The days that this load took; their files have their own rows.

    Returns:
        The fault of each file, by name.
    """
    rows = transaction.fetch_arrow("ledger/undated_files", _PREFIX).to_pylist()
    known = {row["source_file"]: LedgerRow(**row) for row in rows}
    seen = {name: row for name, row in known.items() if _day_of(name) not in loaded}
    errors = {}
    for file, reason in unplaced_files(platform).items():
        content = platform.inbox.read(file)
        error = (content.error or reason) if reason == MISPLACED else reason
        seen[file.source_file] = ledger_row(
            file, content, known.get(file.source_file), now=now, row_count=0, error=error
        )
        errors[file.source_file] = error
    transaction.execute("ledger/delete_undated_files", _PREFIX)
    transaction.load_arrow("inbox_files", ledger_rows(seen.values()))
    return errors


def _why_not_taken(platform: Platform, day: date) -> str | None:
    start, today = platform.settings.mab_start_date, platform.clock().date()
    if day < start:
        return (
            f"is for a day before MAB_START_DATE={start}; set that earlier and run the day, or "
            "take the file away"
        )
    if day > today:
        return f"is for a day in the future (today is {today}, UTC); it is loaded when that is over"
    return None


def _day_of(source_file: str) -> date | None:
    """Return the day that a metrics file's folder names."""
    folder, _, _ = source_file.removeprefix("metrics/").partition("/")
    return parse_day(folder)
