"""Waiting files: a day whose known files are not all readable is never rewritten.

What belongs here: which known files of a day are gone, which files wait for them, and how that is
said. What does not: loading (`ledger.py`), and the same rule for daily_metrics, which is SQL
(`sql/assets/daily_metrics.sql`).

raw_metrics of an old day may be pruned and its files archived, and then daily_metrics is all that
is left of it: a late file must not replace the day by its own few rows. It waits in the ledger,
with its receipt and the reason, until the files are back (docs/adr/0017).
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple, Protocol

import pyarrow as pa

from mab_store.errors import MabError
from mab_store.files.inbox import OVERSIZE, Inbox
from mab_store.files.journal import last_of_each_file

WAITS = "waits: "
NAMES_SHOWN = 3
GIVEN_UP = "Put them back and run the day; or give one up: put an empty file in its place."


class Known(Protocol):
    """What the ledger knows of a file."""

    @property
    def source_file(self) -> str:
        """Its name."""

    @property
    def metric_date(self) -> date | None:
        """Its day."""

    @property
    def row_count(self) -> int:
        """Rows that it held."""

    @property
    def error(self) -> str | None:
        """Why it could not be used."""


class KnownFile(NamedTuple):
    """The same, read from the journal."""

    source_file: str
    metric_date: date | None
    row_count: int
    error: str | None


class KnownFileUnreadableError(MabError):
    """A file that counted before turned out to be unreadable while its day was loaded.

    Attributes:
        source_file: Its name.
        reason: Why.
    """

    def __init__(self, source_file: str, reason: str) -> None:
        super().__init__(f"{source_file} {reason}")
        self.source_file, self.reason = source_file, reason


def counts(row: Known) -> bool:
    """Say whether a day is not whole without this file."""
    return row.error is None and row.row_count > 0 and row.metric_date is not None


def waits(error: str | None) -> bool:
    """Say whether an error of the ledger is that a file waits for others."""
    return bool(error and error.startswith(WAITS))


def missing_files(inbox: Inbox, known: Iterable[Known]) -> dict[date, dict[str, str]]:
    """Return the known files that cannot be read now, and why, by their day."""
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
    """Return the error of a file that waits."""
    names = [f"{name} {reason}" for name, reason in sorted(missing.items())]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{WAITS}{', '.join(names[:NAMES_SHOWN])}{more}. {GIVEN_UP}"


def journaled(rows: pa.Table) -> list[KnownFile]:
    """Return what the journal's ledger says last of each file."""
    known = last_of_each_file(rows).select(list(KnownFile._fields))
    return [KnownFile(**row) for row in known.to_pylist()]


def waiting(inbox: Inbox, known: Iterable[KnownFile]) -> list[KnownFile]:
    """Return the files that wait and are still there."""
    held = [row for row in known if waits(row.error)]
    present = {
        file.source_file
        for day in {row.metric_date for row in held if row.metric_date}
        for file in inbox.metric_files(day, _next(day))
    }
    return [row for row in held if row.source_file in present]


def released(inbox: Inbox, known: Iterable[KnownFile]) -> set[str]:
    """Return the names of files that waited and need to no longer: the others are back."""
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
