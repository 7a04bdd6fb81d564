"""`mab rebuild`: bring a lost warehouse back from inbox and journal.

What belongs here: the order of restoring. What does not: computing: what is a function of the
inbox is materialised by the ordinary assets, what is a journal is read back.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from mab_pipeline.assets.declare import Days
from mab_pipeline.platform import Platform
from mab_pipeline.publishing import serve
from mab_pipeline.runs import run_days
from mab_store.journal import JOURNALED, last_of_each_file


class Rebuilt(NamedTuple):
    """What a rebuild did.

    Attributes:
        restored: Rows read back from the journal, by table.
        loaded: Days of metrics that were loaded.
        windowed: As-of days whose windows were made.
        set_aside: Where the old warehouse went, where there was one.
    """

    restored: dict[str, int]
    loaded: int
    windowed: int
    set_aside: Path | None


def rebuild(platform: Platform, *, console: Console, accept_loss: bool = False) -> Rebuilt:
    """Make the warehouse anew; what was in its place is set aside, never deleted.

    Args:
        platform: The outside world.
        console: Where progress goes.
        accept_loss: Whether it is meant that readers lose what they are served now.

    Raises:
        RunFailedError: A step failed; running it again starts over.
    """
    journal = {table: platform.journal.read(table) for table in JOURNALED}
    journal["inbox_files"] = last_of_each_file(journal["inbox_files"])
    set_aside = platform.warehouse.start_anew(f"{platform.clock():%Y%m%dT%H%M%S}")
    with platform.warehouse.transaction() as transaction:
        for table, rows in journal.items():
            transaction.load_arrow(table, rows)
    yesterday = platform.clock().date() - timedelta(days=1)
    known = {day for day in journal["inbox_files"]["metric_date"].to_pylist() if day}
    loaded = sorted(known or platform.inbox.metric_days())
    loaded = [day for day in loaded if platform.settings.mab_start_date <= day <= yesterday]
    windowed = sorted(set(journal["allocations"]["as_of_date"].to_pylist()))
    if days_to_load := loaded or windowed:  # the registry comes back without any metrics too
        days = Days(days_to_load[0], days_to_load[-1] + timedelta(days=1))
        assets = ["experiments", "raw_metrics", "daily_metrics"]
        run_days(platform, days, console=console, assets=assets)
    for days in _unbroken(windowed):
        run_days(platform, days, console=console, assets=["windowed_aggregates"])
    serve(platform, accept_loss=accept_loss)
    restored = {table: len(rows) for table, rows in journal.items()}
    return Rebuilt(restored, len(loaded), len(windowed), set_aside)


def _unbroken(days: Iterable[date]) -> list[Days]:
    """Return ascending days as ranges without gaps."""
    ranges: list[Days] = []
    for day in days:
        end = day + timedelta(days=1)
        if ranges and ranges[-1].end == day:
            ranges[-1] = Days(ranges[-1].start, end)
        else:
            ranges.append(Days(day, end))
    return ranges
