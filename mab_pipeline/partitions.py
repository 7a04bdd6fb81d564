"""The one daily partitions definition that every asset and check shares.

There is only one: assets on different definitions would split a backfill of one run into several.
"""

import dagster as dg

from mab_store.days import Days
from mab_store.settings import Settings


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the days from MAB_START_DATE to yesterday, in UTC."""
    return dg.DailyPartitionsDefinition(start_date=str(settings.mab_start_date), timezone="UTC")


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Days:
    """Return the days of this run, whether it was asked for one partition or for a range."""
    window = context.partition_time_window
    return Days(window.start.date(), window.end.date())
