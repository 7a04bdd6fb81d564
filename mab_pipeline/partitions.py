"""The one daily partitions definition that every asset and check shares, and its first day.

There is only one: assets on different definitions would split a backfill of one run into several.
Its first day is a matter of the view alone (docs/adr/0027); MAB_START_DATE says which days count.
"""

from datetime import date, timedelta

import dagster as dg

from mab_pipeline.resources import Platform
from mab_pipeline.sources.config import load_sources
from mab_store.days import Days
from mab_store.errors import HomeError
from mab_store.files.entries import local_path


def daily_partitions(first: date) -> dg.DailyPartitionsDefinition:
    """Return the days from the first to yesterday, in UTC."""
    return dg.DailyPartitionsDefinition(start_date=str(first), timezone="UTC")


def first_partition(platform: Platform) -> date:
    """Return the first day with files in the inbox, or that was loaded or decided.

    It is MAB_START_DATE if any day from there on may have data that nothing here shows: if there is
    no such day yet, with sources of `sources.toml`, with an inbox on an object store (it is not
    asked while definitions load), and if inbox or journal cannot be read (the next run says why).
    It is never after yesterday, so that there is a day to run, and never before MAB_START_DATE.
    """
    settings, inbox = platform.settings, platform.inbox
    start = settings.mab_start_date
    if local_path(inbox.root) is None or load_sources(settings):
        return start
    try:
        days = [*inbox.metric_days(), *filter(None, [platform.journal.first_day()])]
    except (OSError, HomeError):
        return start
    if not any(day >= start for day in days):
        return start
    yesterday = platform.clock().date() - timedelta(days=1)
    return max(start, min(yesterday, *(day for day in days if day >= start)))


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Days:
    """Return the days of this run, whether it was asked for one partition or for a range."""
    window = context.partition_time_window
    return Days(window.start.date(), window.end.date())
