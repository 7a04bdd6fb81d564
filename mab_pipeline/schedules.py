"""Schedules: the time at which a day is computed by itself.

Dagster concept: https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg
from dagster._core.definitions.partitions.partitioned_schedule import (
    UnresolvedPartitionedAssetScheduleDefinition,
)

from mab_pipeline.jobs import daily_allocation
from mab_store.settings import Settings

# Of a job whose partitions are known only once the definitions are put together.
Schedule = dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition


def schedules(settings: Settings) -> list[Schedule]:
    """Return the schedule that runs the day that just ended, at MAB_SCHEDULE_HOUR UTC.

    Every daemon turns it on; with MAB_AUTOMATION=off there is none.
    """
    if settings.mab_automation == "off":
        return []
    schedule = dg.build_schedule_from_partitioned_job(
        daily_allocation,
        name="daily_allocation_schedule",
        hour_of_day=settings.mab_schedule_hour,
        description=(
            f"Every day at {settings.mab_schedule_hour:02}:00 UTC (MAB_SCHEDULE_HOUR): runs the "
            "day that has ended, from the inbox to the publication of the next day's shares. A "
            "file that arrives later is the inbox sensor's."
        ),
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return [schedule]
