"""A pull: days of one source, from the fetch to immutable files of the inbox.

A pull raises nothing that a source can cause: what went wrong is in its result, cleaned of secrets,
so that a run goes on without the source.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar

from mab_pipeline.resources import Platform, inbox_fault
from mab_pipeline.sources.config import FileSource, HttpSource, SnowflakeSource, Source, filled_in
from mab_pipeline.sources.deposit import deposit, files_of_days
from mab_pipeline.sources.fetch_files import fetch_files
from mab_pipeline.sources.fetch_http import fetch_http
from mab_pipeline.sources.fetch_snowflake import fetch_snowflake
from mab_pipeline.sources.fetch_sql import fetch_sql
from mab_pipeline.sources.fetched import Fetched, SourceDownError, SourceError
from mab_pipeline.sources.import_file import Accepted, Count, read_export
from mab_pipeline.sources.mapping import Mapping
from mab_pipeline.sources.rows import NoRowsError
from mab_pipeline.sources.url_secrets import Secrets
from mab_store.errors import MabError, UnreadableFileError, UsageError
from mab_store.files.inbox import Receiver

_OPTION = re.compile(r"--([a-z][a-z-]*)")
# Options whose field in a mapping has another name.
_OPTIONS = {
    "sum": "add_up",
    "impression-event": "impression_events",
    "click-event": "click_events",
}
T = TypeVar("T")


class DayCounts(NamedTuple):
    """Counts of one day.

    Attributes:
        counts: The counts, by experiment and variant; one of each.
        other_days: How many counts of other days came with them and were left out.
        notes: Remarks of the reader.
        files: How many files, answers or results it is from.
    """

    counts: list[Count]
    other_days: int
    notes: list[str]
    files: int


@dataclass(slots=True)
class Pulled:
    """The result of a pull.

    Attributes:
        days: Days that were pulled, ascending.
        rows: Counts of these days.
        added: Files added to the inbox.
        unchanged: Files that were the newest of their day already.
        other_days: Counts of days that were not asked for.
        notes: Remarks of the reader.
        failed: Why a day was not pulled.
        is_down: Whether another attempt may succeed.
    """

    days: list[date] = field(default_factory=list)
    rows: int = 0
    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    other_days: int = 0
    notes: list[str] = field(default_factory=list)
    failed: dict[date, str] = field(default_factory=dict)
    is_down: bool = False


class Puller:
    """Pulls days of one source; the same file is understood once."""

    def __init__(self, platform: Platform, source: Source) -> None:
        self._platform = platform
        self._source = source
        self._secrets = Secrets()
        self._understood: dict[str, tuple[list[Count], list[str]]] = {}

    def pull(self, days: Sequence[date], *, late: Iterable[date] = ()) -> Pulled:
        """Bring days into the inbox, each on its own.

        If the source does not answer, the days after that are not tried.

        Args:
            days: The days, ascending.
            late: Earlier days that are pulled again; these may be empty.
        """
        result, may_be_empty = Pulled(), set(late)
        asked = sorted({*days, *may_be_empty})
        if fault := inbox_fault(self._platform.settings):
            result.failed |= dict.fromkeys(asked, fault)
            return result
        for place, day in enumerate(asked):
            try:
                found = self.read(day)
                if not (found.counts or self._source.allow_empty or day in may_be_empty):
                    raise SourceError(f"it has no rows of {day}{self._hint(day, found)}")
                self._store(day, found, result)
            except SourceDownError as error:
                result.is_down = True
                result.failed |= dict.fromkeys(asked[place:], str(error))
                break
            except MabError as error:
                result.failed[day] = self._secrets.clean(error)
        return result

    def read(self, day: date) -> DayCounts:
        """Fetch and understand the counts of a day; store nothing.

        Raises:
            SourceDownError: It does not answer; another attempt may succeed.
            SourceError: It cannot be used.
        """
        try:
            fetched = within(self._source.timeout_seconds, lambda: self._fetch(day))
        except MabError as error:
            kind = SourceDownError if isinstance(error, SourceDownError) else SourceError
            raise kind(self._secrets.clean(error)) from None
        except Exception as error:  # noqa: BLE001  # a driver raises what it likes; all is reported
            text = f"{type(error).__name__}: {error}"
            raise SourceDownError(self._secrets.clean(text)) from None
        try:
            return self._counts(day, fetched, self._source.columns(self._platform.settings))
        except (UnreadableFileError, UsageError) as error:
            text = self._secrets.clean(error)
        raise SourceError(_OPTION.sub(_field, text))

    def _fetch(self, day: date) -> list[Fetched]:
        settings, source = self._platform.settings, self._source
        most_bytes = self._platform.inbox.max_file_bytes
        if isinstance(source, FileSource):
            return fetch_files(source, day, settings=settings, most_bytes=most_bytes)
        if isinstance(source, HttpSource):
            return fetch_http(source, day, secrets=self._secrets, most_bytes=most_bytes)
        if isinstance(source, SnowflakeSource):
            return fetch_snowflake(source, day, self._platform)
        return fetch_sql(
            source,
            day,
            secrets=self._secrets,
            settings=settings,
            limits=self._platform.inbox.limits,
            most_bytes=most_bytes,
        )

    def _counts(self, day: date, fetched: list[Fetched], mapping: Mapping) -> DayCounts:
        """Return a day's counts of all files; no two files may count the same variant."""
        held: dict[tuple[str, str], tuple[Count, str]] = {}
        other_days, notes = 0, []
        for file in fetched:
            counts, remarks = self._understand(file, day, mapping)
            notes += remarks
            for count in counts:
                if count.day != day:
                    other_days += 1
                    continue
                key = count.experiment, count.variant
                before = held.get(key)
                total = count if before is None else _sum(before, count, file, mapping)
                held[key] = total, file.name
        return DayCounts([held[key][0] for key in sorted(held)], other_days, notes, len(fetched))

    def _understand(
        self, file: Fetched, day: date, mapping: Mapping
    ) -> tuple[list[Count], list[str]]:
        if file.payload.strip() == b"[]":
            return [], []
        sha256 = f"{hashlib.sha256(file.payload).hexdigest()} {file.name}"
        if sha256 in self._understood:
            return self._understood[sha256]
        # A file may have more days than are asked for, of any time.
        accepted = Accepted(self._platform.inbox.limits, date.min, date.max, day)
        try:
            export = read_export(file.name, file.payload, mapping, accepted)
        except NoRowsError:
            return [], []
        except UnreadableFileError as error:
            raise UnreadableFileError(f"{file.name} {error}") from None
        understood = export.counts, [f"{file.name}: {note}" for note in export.notes]
        if export.mapping.date_column is not None:  # otherwise its day is the one that was asked
            self._understood[sha256] = understood
        return understood

    def _hint(self, day: date, found: DayCounts) -> str:
        if isinstance(self._source, FileSource) and not found.files:
            return f": no file matches {filled_in(self._source.path, day)}"
        return f", but {found.other_days} of other days" if found.other_days else ""

    def _store(self, day: date, found: DayCounts, result: Pulled) -> None:
        done = deposit(
            self._platform.inbox,
            self._source.series,
            files_of_days(found.counts),
            receiver=Receiver(f"source {self._source.name}", self._platform.clock()),
        )
        result.days.append(day)
        result.rows += len(found.counts)
        result.added += done.added
        result.unchanged += done.unchanged
        result.other_days += found.other_days
        result.notes += [note for note in found.notes if note not in result.notes]


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of work that has a deadline, whatever a driver makes of its own timeouts.

    Work that is late goes on in its thread until it ends, and its result is dropped.

    Args:
        seconds: The deadline [s].
        work: The work; it changes nothing.

    Raises:
        SourceDownError: It took longer.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # raised by the caller's thread below
            errors.append(error)

    thread = threading.Thread(target=run, name="mab source", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise SourceDownError(f"it took longer than {seconds:g} s (timeout_seconds)")
    if errors:
        raise errors[0]
    return results[0]


def _sum(before: tuple[Count, str], count: Count, file: Fetched, mapping: Mapping) -> Count:
    """Add the counts of two files, if the mapping says that they are parts of one."""
    held, name = before
    texts = held.impressions, held.clicks, count.impressions, count.clicks
    if not mapping.add_up or not all(text.isdecimal() for text in texts):
        raise UnreadableFileError(
            f"{file.name} has the variant {count.variant!r} of {count.experiment!r}, which {name} "
            "has too; set add_up = true in its mapping if they are parts, or match one of them"
        )
    return held._replace(
        impressions=str(int(held.impressions) + int(count.impressions)),
        clicks=str(int(held.clicks) + int(count.clicks)),
    )


def _field(option: re.Match[str]) -> str:
    """Name an option of `mab import` as the field of a mapping that it is here."""
    name = _OPTIONS.get(option[1], option[1].replace("-", "_"))
    return f"{name} in the mapping"
