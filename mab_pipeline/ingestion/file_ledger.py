"""The ledger: the inbox files that were loaded, their content, and when each was first seen.

"New" always means: in the inbox and not, or not with this hash, in the ledger. A content's
`received_at` is its time of receipt, or the time when the pipeline first saw it (`sightings.py`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import pyarrow as pa

from mab_pipeline.ingestion.raw_rows import RawRows
from mab_pipeline.ingestion.sightings import Held, order_of_receipt
from mab_pipeline.ingestion.waiting_files import (
    KnownFileUnreadableError,
    counts,
    missing_files,
    waits,
    why,
)
from mab_store.errors import UnreadableFileError
from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import Content, InboxFile
from mab_store.files.limits import Limits, RowCollector
from mab_store.files.parsers import MetricsFile, read_metrics
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Queries, Transaction

# The ledger's error of a vanished file, whose rows were removed.
GONE = "is gone from the inbox"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row of `inbox_files`, and whether raw_metrics holds rows of the file."""

    source_file: str
    metric_date: date | None
    size_bytes: int
    sha256: str
    received_at: datetime
    row_count: int
    error: str | None
    loaded_at: datetime
    has_rows: bool = False


@dataclass(slots=True)
class LoadReport:
    """The result of a load, for metadata and warnings.

    Attributes:
        files: Files loaded.
        rows: Rows loaded; a file that cannot be parsed counts as one.
        days: Days that were loaded, including late ones.
        unreadable: Why a file could not be used, by name.
        changed: Day of each file whose content changed since it was loaded, by name.
        vanished: Day of each file that was loaded and is gone, by name.
        kept: Days that stay unchanged because a known file cannot be read, and the reason.
    """

    files: int = 0
    rows: int = 0
    days: list[date] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    changed: dict[str, date] = field(default_factory=dict)
    vanished: dict[str, date] = field(default_factory=dict)
    kept: dict[date, str] = field(default_factory=dict)


def known_files(queries: Queries, start: date, end: date) -> dict[str, LedgerRow]:
    """Return the ledger's rows of the days from start to before end, by file name."""
    rows = queries.fetch_arrow("ledger/files_of_days", {"start_date": start, "end_date": end})
    return {row["source_file"]: LedgerRow(**row) for row in rows.to_pylist()}


def unloaded_files(
    inbox: Inbox, known: dict[str, LedgerRow], start: date, end: date
) -> dict[str, date]:
    """Return the files whose content raw_metrics lacks, and those that it holds in excess.

    Args:
        inbox: The inbox.
        known: The ledger's rows of these days.
        start: First day.
        end: Day after the last.

    Returns:
        The day of each such file, by name.
    """
    present = {file.source_file: file for file in inbox.metric_files(start, end)}
    differing = _vanished(known, present)
    for name, file in present.items():
        row = known.get(name)
        is_loaded = row is not None and (row.has_rows or (row.row_count == 0 and not row.error))
        if row is None or not is_loaded or row.sha256 != inbox.fingerprint(file):
            assert file.metric_date is not None
            differing[name] = file.metric_date
    return differing


def arrived_files(
    inbox: Inbox, known: dict[str, LedgerRow], start: date, end: date
) -> dict[str, date]:
    """Return the files of these days that arrived, changed or vanished since they were loaded.

    Unlike `unloaded_files` it does not miss pruned rows, and it reads a file that the ledger knows
    only if the file system says that it arrived after it was loaded.

    Returns:
        The day of each such file, by name.
    """
    present = {file.source_file: file for file in inbox.metric_files(start, end)}
    differing = _vanished(known, present)
    for name, file in present.items():
        row = known.get(name)
        assert file.metric_date is not None
        is_known = row is not None and row.error != GONE and not waits(row.error)
        if row and is_known and new_content(inbox, file, row.sha256, row.loaded_at) is None:
            continue
        differing[name] = file.metric_date
    return differing


def _vanished(known: dict[str, LedgerRow], present: Mapping[str, InboxFile]) -> dict[str, date]:
    """Return the day of each file that has rows and is gone, by name."""
    return {
        row.source_file: row.metric_date
        for row in known.values()
        if row.has_rows and row.source_file not in present and row.metric_date
    }


def new_content(inbox: Inbox, file: InboxFile, sha256: str, loaded_at: datetime) -> str | None:
    """Return a file's fingerprint if it is not the one that was loaded, else None.

    A file that has not arrived since then is not read.
    """
    if inbox.arrival(file) < loaded_at.replace(tzinfo=UTC).timestamp():
        return None
    fingerprint = inbox.fingerprint(file)
    return None if fingerprint == sha256 else fingerprint


def load_day(
    transaction: Transaction,
    inbox: Inbox,
    day: date,
    *,
    known: dict[str, LedgerRow],
    now: datetime,
    report: LoadReport,
    unreadable: Mapping[str, str],
    only: Collection[str] | None = None,
) -> None:
    """Make raw_metrics and the ledger mirror the files of one day.

    Args:
        transaction: The open transaction.
        inbox: The inbox.
        day: The day.
        known: The ledger's rows of at least this day.
        now: The time to stamp new files with.
        report: Gets the results of this day.
        unreadable: Known files that an earlier attempt could not read, and the reasons.
        only: Ids and names of the experiments whose rows are loaded, as `RawRows` does; all if
            omitted.

    Raises:
        KnownFileUnreadableError: A file that counted can no longer be read. The caller must roll
            this transaction back; the day stays unchanged.
    """
    known_today = {name: row for name, row in known.items() if row.metric_date == day}
    missing = missing_files(inbox, known_today.values()).get(day, {})
    missing |= {name: reason for name, reason in unreadable.items() if name in known_today}
    if missing:
        report.kept[day] = why(missing)
        report.vanished |= {name: day for name in missing if known[name].has_rows}
        _note_waiting(transaction, inbox, day, known=known_today, now=now, report=report)
        return
    ledger: dict[str, LedgerRow] = dict(known_today)
    load = RawRows(transaction, only=only)
    present = set()
    transaction.execute("ledger/delete_day", {"metric_date": day})
    files = inbox.metric_files(day, _next(day))
    held = {
        name: Held(row.sha256, row.received_at, row.loaded_at) for name, row in known_today.items()
    }
    order = order_of_receipt(inbox, files, known=held, now=now)
    for file in files:
        content = inbox.read(file)
        received_at = order.received_at(file.source_file, content.sha256)
        known_row = known_today.get(file.source_file)
        row, parsed = _load_file(
            file, content, known_row, now=now, received_at=received_at, limits=inbox.limits
        )
        if file.source_file in known_today and known_today[file.source_file].sha256 != row.sha256:
            report.changed[file.source_file] = day
        if row.error:
            is_same = content.payload is None or (known_row and known_row.sha256 == content.sha256)
            if known_row and counts(known_row) and is_same:
                raise KnownFileUnreadableError(file.source_file, row.error)
            report.unreadable[file.source_file] = row.error
        ledger[file.source_file] = row
        present.add(file.source_file)
        load.add(row, parsed)
        report.files += 1
        report.rows += 1 if row.error else len(parsed)
    for name, row in known_today.items():
        if row.has_rows and name not in present:
            report.vanished[name] = day
            # Its time makes this a journal entry: a replay knows that the file was absent.
            ledger[name] = replace(row, error=GONE, loaded_at=now)
    load.finish()
    transaction.load_arrow("inbox_files", ledger_rows(ledger.values()))
    report.days.append(day)


def _note_waiting(
    transaction: Transaction,
    inbox: Inbox,
    day: date,
    *,
    known: dict[str, LedgerRow],
    now: datetime,
    report: LoadReport,
) -> None:
    """Enter new files of a day that stays unchanged in the ledger, with the reason to wait."""
    error = report.kept[day]
    files = inbox.metric_files(day, _next(day))
    held = {name: Held(row.sha256, row.received_at, row.loaded_at) for name, row in known.items()}
    order = order_of_receipt(inbox, files, known=held, now=now)
    ledger = dict(known)
    for file in files:
        before = known.get(file.source_file)
        if before is not None and (before.has_rows or counts(before)):
            continue
        content = inbox.read(file)
        received_at = order.received_at(file.source_file, content.sha256)
        ledger[file.source_file] = ledger_row(
            file, content, before, now=now, row_count=0, error=error, received_at=received_at
        )
        report.unreadable[file.source_file] = error
    if ledger != known:
        transaction.execute("ledger/delete_files_of_day", {"metric_date": day})
        transaction.load_arrow("inbox_files", ledger_rows(ledger.values()))


def ledger_rows(rows: Iterable[LedgerRow]) -> pa.Table:
    """Return ledger rows as the Arrow table that `inbox_files` takes."""
    schema = declared_tables()["inbox_files"].arrow_schema
    return pa.Table.from_pylist(
        [{name: getattr(row, name) for name in schema.names} for row in rows], schema=schema
    )


def ledger_row(
    file: InboxFile,
    content: Content,
    known: LedgerRow | None,
    *,
    now: datetime,
    row_count: int,
    error: str | None,
    received_at: datetime | None = None,
) -> LedgerRow:
    """Return the ledger's row of a file: the known one if the content is the same."""
    if known is not None and known.sha256 == content.sha256:
        if known.error == error and known.row_count == row_count:
            return known
        # The same content under another limit, back again, or in a day that takes it now: it keeps
        # its time of receipt.
        return replace(known, row_count=row_count, error=error, loaded_at=now)
    return LedgerRow(
        source_file=file.source_file,
        metric_date=file.metric_date,
        size_bytes=content.size_bytes,
        sha256=content.sha256,
        received_at=received_at or now,
        row_count=row_count,
        error=error,
        loaded_at=now,
    )


def _load_file(
    file: InboxFile,
    content: Content,
    known: LedgerRow | None,
    *,
    now: datetime,
    received_at: datetime,
    limits: Limits,
) -> tuple[LedgerRow, pa.Table]:
    """Return the file's ledger row and its rows."""
    assert file.metric_date is not None
    try:
        if content.payload is None:
            raise UnreadableFileError(content.error or "cannot be read")
        parsed = read_metrics(
            file.source_file, content.payload, metric_date=file.metric_date, limits=limits
        )
        error = None
    except UnreadableFileError as failure:
        parsed = MetricsFile(RowCollector(limits).table())
        error = str(failure)
    row = ledger_row(
        file,
        content,
        known,
        now=now,
        row_count=len(parsed.rows),
        error=error,
        received_at=received_at,
    )
    return row, parsed.rows


def _next(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
