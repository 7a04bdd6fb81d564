"""Schedules: when a day is computed without anybody asking.

What belongs here: the daily schedule. What does not: what it runs (`jobs.py`).
"""

import dagster as dg
from dagster._core.definitions.partitions.partitioned_schedule import (
    UnresolvedPartitionedAssetScheduleDefinition,
)

from mab_pipeline.jobs import daily_allocation
from mab_store.settings import Settings

# The schedule of a job whose partitions are known only when the definitions are put together.
Schedule = dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition


def schedules(settings: Settings) -> list[Schedule]:
    """Run the day that just ended, at MAB_SCHEDULE_HOUR UTC.

    The schedule is on wherever a daemon runs; with MAB_AUTOMATION=off there is none.
    """
    if settings.mab_automation == "off":
        return []
    schedule = dg.build_schedule_from_partitioned_job(
        daily_allocation,
        name="daily_allocation_schedule",
        hour_of_day=settings.mab_schedule_hour,
        description="Every day after its end, in UTC.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return [schedule]
