"""Finders: each returns the violations of one condition.

Conditions that publication obeys too are in `allocation/gate.py`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import dagster as dg

from mab_pipeline.allocation.gate import CurrentAllocations, Failure, current_allocations
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import windows_that_differ
from mab_pipeline.ingestion.file_ledger import LedgerRow, known_files, unloaded_files
from mab_pipeline.ingestion.judged_days import Judge
from mab_pipeline.ingestion.unplaced import unplaced_files
from mab_pipeline.ingestion.waiting_files import missing_files
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.files.inbox import Inbox
from mab_store.lateness import newest_day_past_deadline
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Queries


@dataclass(frozen=True)
class Subject:
    """The input of a finder; the checks of an asset share one, with one opening of the warehouse.

    Attributes:
        platform: The shared resources.
        days: The days of the run.
        instance: Dagster's records.
        asset: The asset whose check it is.
        queries: The open warehouse.
        began: When the run began [seconds since 1970].
    """

    platform: Platform
    days: Days
    instance: dg.DagsterInstance
    asset: str
    queries: Queries
    began: float = math.inf

    @classmethod
    @contextmanager
    def opened(
        cls,
        platform: Platform,
        days: Days,
        instance: dg.DagsterInstance,
        asset: str,
        *,
        began: float = math.inf,
    ) -> Iterator["Subject"]:
        """Open the warehouse for the checks of an asset."""
        with platform.warehouse.reading() as queries:
            yield cls(platform, days, instance, asset, queries, began)

    @cached_property
    def current(self) -> CurrentAllocations:
        """The decisions that the windows call for now."""
        return current_allocations(self.queries, self.days, self.platform)


Find = Callable[[Subject], list[Failure]]


def sql_check(name: str, *settings: str, **values: object) -> Find:
    """Return a finder that runs `sql/checks/<name>.sql`; each row is a failure.

    Args:
        name: The statement; it returns a day, a detail, and an experiment_id if it knows one.
        settings: Settings that it takes as parameters in addition to the days.
        values: Its other parameters.
    """

    def find(subject: Subject) -> list[Failure]:
        chosen = {setting: getattr(subject.platform.settings, setting) for setting in settings}
        parameters = subject.days.parameters | chosen | values
        rows = subject.queries.fetch_arrow(f"checks/{name}", parameters)
        last_day = subject.days.end - timedelta(days=1)
        return [
            Failure(row["day"] or last_day, row["detail"], row.get("experiment_id"))
            for row in rows.to_pylist()
        ]

    return find


def unreadable_files(name: str) -> Find:
    """Return a finder of files that could not be used and are still in the inbox.

    `sql/checks/<name>.sql` names them from the ledger, which also remembers removed files.
    """

    def find(subject: Subject) -> list[Failure]:
        inbox, days = subject.platform.inbox, subject.days
        rows = subject.queries.fetch_arrow(f"checks/{name}", days.parameters).to_pylist()
        if not rows:
            return []
        files = [*inbox.experiment_files(), *unplaced_files(subject.platform)]
        files += inbox.metric_files(days.start, days.end)
        present = {file.source_file for file in files}
        last_day = days.end - timedelta(days=1)
        return [
            Failure(row["day"] or last_day, row["detail"])
            for row in rows
            if row["source_file"] in present
        ]

    return find


def wrong_columns(*tables: str) -> Find:
    """Return a finder of tables whose columns are not those of `02_create_tables.sql`."""

    def find(subject: Subject) -> list[Failure]:
        failures = []
        for table in tables:
            found = subject.queries.fetch_arrow("checks/table_columns", {"table_name": table})
            present = [(row["column_name"], row["data_type"]) for row in found.to_pylist()]
            declared = [(column.name, column.type) for column in declared_tables()[table].columns]
            if present != declared:
                odd = sorted({" ".join(pair) for pair in set(present) ^ set(declared)}) or ["order"]
                detail = f"{table} differs from its declaration in: {', '.join(odd)}"
                failures.append(Failure(subject.days.end - timedelta(days=1), detail))
        return failures

    return find


def unloaded_days(subject: Subject) -> list[Failure]:
    """Find as-of dates whose windows contain a day that differs from the inbox."""
    platform, days = subject.platform, subject.days
    lookback = Days(platform.lookback_start(days.start), days.end)
    known = known_files(subject.queries, lookback.start, lookback.end)
    stale = Judge(subject.queries).stale_days(lookback)
    files = unloaded_files(platform.inbox, known, lookback.start, lookback.end)
    kept = _kept_days(platform.inbox, known, files)
    arriving = _arrived_since(subject, lookback)
    faults = {day: f"daily_metrics of {day} is older than raw_metrics" for day in sorted(stale)}
    faults |= {
        day: f"{name} is not loaded"
        for name, day in files.items()
        if name not in arriving and day not in kept
    }
    window = timedelta(days=platform.settings.max_window_days - 1)
    return [
        Failure(as_of, f"{fault}; materialise raw_metrics and daily_metrics of {day}")
        for as_of in days.listed
        for day, fault in sorted(faults.items())
        if as_of - window <= day <= as_of
    ]


def _kept_days(
    inbox: Inbox, known: Mapping[str, LedgerRow], unloaded: Mapping[str, date]
) -> set[date]:
    """Return the days that stay unchanged until their known files are back."""
    days = set(unloaded.values())
    return set(missing_files(inbox, (row for row in known.values() if row.metric_date in days)))


def waiting_files(subject: Subject) -> list[Failure]:
    """Find files in the inbox that wait until the other files of their day are back."""
    inbox = subject.platform.inbox
    rows = subject.queries.fetch_arrow("checks/raw_metrics_waiting_files").to_pylist()
    present = {
        file.source_file
        for day in {row["day"] for row in rows}
        for file in inbox.metric_files(day, day + timedelta(days=1))
    }
    return [Failure(row["day"], row["detail"]) for row in rows if row["source_file"] in present]


def _arrived_since(subject: Subject, days: Days) -> set[str]:
    """Return the files that arrived during the run; the next run loads them."""
    return {
        file.source_file
        for file in subject.platform.inbox.metric_files(days.start, days.end)
        if subject.platform.inbox.arrival(file) >= subject.began
    }


def noted_files(*kinds: str) -> Find:
    """Return a finder of files that the last load found `changed` or `vanished`.

    A file in the inbox never changes; a correction is another file.
    """

    def find(subject: Subject) -> list[Failure]:
        event = subject.instance.get_latest_materialization_event(dg.AssetKey(subject.asset))
        materialization = event.asset_materialization if event else None
        if materialization is None:
            return []
        failures = []
        for kind in kinds:
            entry = materialization.metadata.get(f"{kind}_files")  # a report made by hand has none
            value = entry.value if entry else {}
            assert isinstance(value, dict)
            failures += [
                Failure(
                    date.fromisoformat(day) if day else subject.days.end - timedelta(days=1),
                    f"{name} has {kind} since it was loaded",
                )
                for name, day in value.items()
            ]
        return failures

    return find


def stale_windows(subject: Subject) -> list[Failure]:
    """Find days whose windows differ from those that daily_metrics and the registry give now."""
    rule = RuleSettings.of(subject.platform.settings)
    days = {row[0] for row in windows_that_differ(subject.queries, rule, subject.days)}
    detail = "its windows are older than daily_metrics; materialise windowed_aggregates first"
    return [Failure(day, detail) for day in subject.days.listed if day in days]


def undecided_due_day(subject: Subject) -> list[Failure]:
    """Find the newest due day if it is not decided by the deadline of its publication.

    A day has nothing to decide if no experiment runs on the next day.
    """
    platform = subject.platform
    newest_late = newest_day_past_deadline(platform.clock(), settings=platform.settings)
    (row,) = subject.queries.fetch_arrow("checks/publication_newest_day").to_pylist()
    (due,) = subject.queries.fetch_arrow(
        "serving/newest_due_day", {"due_date": newest_late}
    ).to_pylist()
    newest, due_day = row["newest_day"], due["due_day"]
    if due_day is None or (newest is not None and newest >= due_day):
        return []
    known = f"the newest decided day is {newest}" if newest else "no day is decided yet"
    detail = f"{known}; {due_day} is due, run it"
    return [Failure(subject.days.end - timedelta(days=1), detail)]


def gate_check(find: Callable[[CurrentAllocations], list[Failure]]) -> Find:
    """Return a finder for a condition that publication obeys too."""
    return lambda subject: find(subject.current)
