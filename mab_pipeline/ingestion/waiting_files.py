"""Waiting files: a day is never rewritten unless all its known files can be read (docs/adr/0017).

If raw_metrics of an old day is pruned and its files are archived, daily_metrics holds all that is
left of the day, and a late file must not replace it by its own few rows. That file waits in the
ledger, with its receipt and the reason, until the others are back. For daily_metrics
`sql/assets/daily_metrics.sql` has the same rule.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from mab_store.errors import MabError
from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import OVERSIZE
from mab_store.files.journal import last_of_each_file

WAITS = "waits: "
NAMES_SHOWN = 3
GIVEN_UP = "Put them back and run the day; or give one up: put an empty file in its place."


class Known(Protocol):
    """The fields of a known file that decide whether it must be there."""

    @property
    def source_file(self) -> str:
        """Its name."""

    @property
    def metric_date(self) -> date | None:
        """Its day."""

    @property
    def row_count(self) -> int:
        """The rows it had."""

    @property
    def error(self) -> str | None:
        """The reason why it could not be used."""


class KnownFile(NamedTuple):
    """A known file from the journal."""

    source_file: str
    metric_date: date | None
    row_count: int
    error: str | None


class KnownFileUnreadableError(MabError):
    """A file that counted could not be read while its day was loaded.

    Attributes:
        source_file: Its name.
        reason: The cause.
    """

    def __init__(self, source_file: str, reason: str) -> None:
        super().__init__(f"{source_file} {reason}")
        self.source_file, self.reason = source_file, reason


def counts(row: Known) -> bool:
    """Return whether its day is incomplete without this file."""
    return row.error is None and row.row_count > 0 and row.metric_date is not None


def waits(error: str | None) -> bool:
    """Return whether an error of the ledger means that a file waits for others."""
    return bool(error and error.startswith(WAITS))


def missing_files(inbox: Inbox, known: Iterable[Known]) -> dict[date, dict[str, str]]:
    """Return the known files that cannot be read now, with the reasons, by day."""
    missing: dict[date, dict[str, str]] = {}
    by_day: dict[date, list[Known]] = {}
    for row in known:
        if counts(row) and row.metric_date is not None:
            by_day.setdefault(row.metric_date, []).append(row)
    for day, rows in by_day.items():
        present = {file.source_file: file for file in inbox.metric_files(day, _next(day))}
        for row in rows:
            file = present.get(row.source_file)
            fingerprint = inbox.fingerprint(file) if file else None
            reason = _reason(row, fingerprint, inbox)
            if reason:
                missing.setdefault(day, {})[row.source_file] = reason
    return missing


def why(missing: Mapping[str, str]) -> str:
    """Return the ledger's error of a file that waits."""
    names = [f"{name} {reason}" for name, reason in sorted(missing.items())]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{WAITS}{', '.join(names[:NAMES_SHOWN])}{more}. {GIVEN_UP}"


def journaled(rows: pa.Table) -> list[KnownFile]:
    """Return the last ledger entry of each file in the journal."""
    known = last_of_each_file(rows).select(list(KnownFile._fields))
    return [KnownFile(**row) for row in known.to_pylist()]


def days_of_waiting(ledger: pa.Table) -> pa.Table:
    """Return the ledger's rows of the days with a file that waits: usually none."""
    held = ledger.filter(pc.starts_with(pc.fill_null(ledger["error"], ""), WAITS))
    return ledger.filter(pc.is_in(ledger["metric_date"], value_set=held["metric_date"]))


def waiting(inbox: Inbox, known: Iterable[KnownFile]) -> list[KnownFile]:
    """Return the waiting files that are still in the inbox."""
    held = [row for row in known if waits(row.error)]
    present = {
        file.source_file
        for day in {row.metric_date for row in held if row.metric_date}
        for file in inbox.metric_files(day, _next(day))
    }
    return [row for row in held if row.source_file in present]


def released(inbox: Inbox, known: Iterable[KnownFile]) -> set[str]:
    """Return the names of files that need wait no longer: the others are back."""
    known = list(known)
    held = waiting(inbox, known)
    days = {row.metric_date for row in held}
    missing = missing_files(inbox, (row for row in known if row.metric_date in days))
    return {row.source_file for row in held if row.metric_date not in missing}


def _reason(row: Known, fingerprint: str | None, inbox: Inbox) -> str | None:
    if fingerprint is None:
        return "was loaded before and is gone"
    if fingerprint in {"", OVERSIZE}:
        return "was loaded before and cannot be read"
    if row.row_count > inbox.limits.max_rows:
        return f"has {row.row_count} rows, and INBOX_MAX_FILE_ROWS allows {inbox.limits.max_rows}"
    return None


def _next(day: date) -> date:
    return day + timedelta(days=1)
