"""Late data: files that arrived since the last load, and the days that they touch.

The ledger comes from the journal and the rest from the published copy, so looking never waits for
a run that holds the warehouse.
"""

import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.ingestion.file_ledger import GONE, new_content
from mab_pipeline.ingestion.waiting_files import days_of_waiting, journaled, released
from mab_pipeline.resources import Platform
from mab_store.errors import NotPublishedError
from mab_store.files.inbox_file import InboxFile
from mab_store.files.journal import last_of_each_file
from mab_store.files.settled_days import DayState, day_state


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Files that the ledger does not know, or not with their content.

    Attributes:
        metrics: The day of each metrics file, by name; without days that are not over yet.
        events: Names of experiment event files.
        key: Names and contents, hashed: the same arrivals have the same key.
    """

    metrics: dict[str, date]
    events: list[str]
    key: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs that process arrivals, each a range of days (first and last).

    Attributes:
        audit: Days that the deciding run does not see: it loads them and recomputes their windows.
        decide: Days to decide and publish.
    """

    audit: tuple[date, date] | None = None
    decide: tuple[date, date] | None = None


def find_arrivals(platform: Platform) -> Arrivals:
    """Compare the inbox with the ledger.

    A file that the ledger knows by name is read again only if the file system says that it arrived
    or changed after it was loaded. Days that `settled_days` takes for settled are not listed.
    """
    ledger = last_of_each_file(platform.journal.read("inbox_files"))
    back = released(platform.inbox, journaled(days_of_waiting(ledger)))
    listed, folded = platform.inbox.loose_and_folded()
    days = _days_to_look_at(platform, ledger, back)
    for day in days:
        listed += platform.inbox.metric_files(day, day + timedelta(days=1))
    new = _new_files(platform, ledger, listed, back)
    metrics = {file.source_file: file.metric_date for file in new if file.metric_date}
    events = {file.source_file: found for file, found in new.items() if not file.metric_date}
    events |= _new_folded(ledger, folded)
    settled = days.keys() - metrics.values()
    for day in settled:
        platform.settled.note(day, days[day], time.time())
    hashes = events | {file.source_file: found for file, found in new.items()}
    digest = hashlib.sha256(repr(sorted(hashes.items())).encode())
    return Arrivals(
        metrics=metrics,
        events=sorted(events),
        key=digest.hexdigest()[:16],
    )


def _days_to_look_at(
    platform: Platform, ledger: pa.Table, back: Collection[str]
) -> dict[date, DayState]:
    """Return the days that are over, but for old ones that are settled, each with its state.

    Args:
        platform: The shared resources.
        ledger: The ledger.
        back: Names of files that are looked at in any case.
    """
    start, today = platform.settings.mab_start_date, platform.clock().date()
    sums = ledger.group_by("metric_date").aggregate(
        [("loaded_at", "max"), ("source_file", "count")]
    )
    loaded = {row["metric_date"]: tuple(row.values()) for row in sums.to_pylist()}
    recent = today - timedelta(days=platform.settings.max_window_days)
    asked = {name.split("/")[1] for name in back}
    days = {}
    for day in platform.inbox.metric_days():
        if start <= day < today:
            state = day_state(platform.inbox, day, loaded.get(day))
            is_wanted = day >= recent or str(day) in asked
            if is_wanted or not platform.settled.holds(day, state, time.time()):
                days[day] = state
    return days


def _new_files(
    platform: Platform, ledger: pa.Table, files: Sequence[InboxFile], back: Collection[str]
) -> dict[InboxFile, str]:
    """Return the files that the ledger does not hold, or not with their content, and the hashes.

    Those of `back` count as new: the files that they waited for are there again.
    """
    names = pa.array([file.source_file for file in files], pa.string())
    known = ledger.filter(pc.is_in(ledger["source_file"], value_set=names)).to_pylist()
    by_name = {row["source_file"]: row for row in known if row["source_file"] not in back}
    found = ((file, _new_content(platform, file, by_name.get(file.source_file))) for file in files)
    return {file: content for file, content in found if content is not None}


def _new_folded(ledger: pa.Table, folded: pa.Table) -> dict[str, str]:
    """Return the hashes of the folded files that the ledger does not hold, by name."""
    held = ledger.filter(pc.not_equal(pc.fill_null(ledger["error"], ""), GONE))
    places = pc.index_in(folded["source_file"], value_set=held["source_file"])
    same = pc.equal(held["sha256"].take(places), folded["sha256"])
    new = folded.filter(pc.invert(pc.fill_null(same, False)))
    return {row["source_file"]: row["sha256"] for row in new.to_pylist()}


def plan_runs(platform: Platform, arrivals: Arrivals) -> Plan:
    """Choose the days to run: a late file decides the newest published day again, no other.

    Publications of earlier days are history; their windows follow in the run that loads the file
    (`follow_up.py`). A file older than every window of the newest day is loaded for audit.
    """
    newest = newest_published_day(platform)
    days = sorted(set(arrivals.metrics.values()))
    if newest is None:
        yesterday = platform.clock().date() - timedelta(days=1)
        return Plan(decide=_span(days) or (yesterday, yesterday))
    reach = timedelta(days=platform.settings.max_window_days - 1)
    # Burn-in counts all days since a variant joined, however old.
    is_burning = platform.settings.burn_in == "on"
    decide = None
    if days and days[-1] > newest:
        decide = (newest + timedelta(days=1), days[-1])
    elif arrivals.events or (days and (is_burning or days[-1] >= newest - reach)):
        decide = (newest, newest)
    oldest_seen = (decide[0] if decide else newest) - reach
    return Plan(audit=_span([day for day in days if day < oldest_seen]), decide=decide)


def newest_published_day(platform: Platform) -> date | None:
    """Return the newest published day, or None if there is none."""
    try:
        with platform.warehouse.published() as copy:
            (row,) = copy.fetch_arrow("serving/newest_published_day").to_pylist()
    except NotPublishedError:
        return None
    day: date | None = row["newest_day"]
    return day


def newest_due_day(platform: Platform, due_by_now: date) -> date | None:
    """Return the newest as-of day, up to `due_by_now`, with a decision due, as readers know it.

    None while no experiment runs: then nothing is late. Registrations and changes since the last
    publication are not known yet.
    """
    with platform.warehouse.published() as copy:
        parameters = {"due_date": due_by_now}
        (row,) = copy.fetch_arrow("serving/newest_due_day", parameters).to_pylist()
    day: date | None = row["due_day"]
    return day


def _new_content(platform: Platform, file: InboxFile, known: dict[str, Any] | None) -> str | None:
    """Return a file's fingerprint if the ledger does not hold it."""
    if known is None or known["error"] == GONE or known["metric_date"] != file.metric_date:
        return platform.inbox.fingerprint(file)  # perhaps no day took it when it was first seen
    return new_content(platform.inbox, file, known["sha256"], known["loaded_at"])


def _span(days: list[date]) -> tuple[date, date] | None:
    return (days[0], days[-1]) if days else None
