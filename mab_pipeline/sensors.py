"""Sensors: what is run because something came in.

What belongs here: turning arrivals into run requests. What does not: finding arrivals and planning
(`arrivals.py`).

The sensor has no memory of its own: what is new follows from inbox and ledger, so nothing is
missed or taken twice when the daemon starts again. It asks for nothing while a run that it asked
for is at work, and gives up on the same files after some failures, until somebody looks.
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from mab_pipeline.arrivals import Arrivals, find_arrivals, plan_runs
from mab_pipeline.jobs import daily_allocation, refresh_day, refresh_windows
from mab_pipeline.platform import Platform
from mab_pipeline.run_records import fail_dead_runs, partition_tags
from mab_store.settings import Settings

TRIGGER = {"mab/trigger": "inbox"}
ARRIVALS_TAG = "mab/arrivals"
ATTEMPTS = 3
INTERVAL_SECONDS = 30
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Watch the inbox; with MAB_AUTOMATION=off nobody does."""
    return [] if settings.mab_automation == "off" else [inbox_sensor]


@dg.sensor(
    jobs=[daily_allocation, refresh_day, refresh_windows],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """New, late and corrected files: load them, and decide the newest published day anew."""
    fail_dead_runs(context.instance)
    at_work = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=TRIGGER))
    if at_work:
        yield dg.SkipReason(f"Run {at_work[0].run_id} is loading what came in before.")
        return
    arrivals = find_arrivals(platform)
    if not arrivals.metrics and not arrivals.events:
        yield dg.SkipReason("Everything in the inbox is loaded.")
        return
    failed = context.instance.get_runs_count(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={ARRIVALS_TAG: arrivals.key})
    )
    if failed >= ATTEMPTS:
        yield dg.SkipReason(
            f"{failed} runs failed on the same files. See why in the last of them, then "
            "materialise the day by hand; a new file makes the sensor try again."
        )
        return
    yield from _requests(platform, arrivals, attempt=failed)


def _requests(platform: Platform, arrivals: Arrivals, *, attempt: int) -> Iterator[dg.RunRequest]:
    """Ask for the planned runs; the same files and attempt are asked for once.

    What decides comes first: should the others be lost, no decision is.
    """
    plan = plan_runs(platform, arrivals)
    for job, days in (
        (daily_allocation, plan.decide),
        (refresh_windows, plan.windows),
        (refresh_day, plan.audit),
    ):
        if days is not None:
            yield dg.RunRequest(
                run_key=f"{arrivals.key}-{attempt}-{job.name}",
                job_name=job.name,
                tags=TRIGGER | {ARRIVALS_TAG: arrivals.key} | _partition(days),
                partition_key=str(days[0]) if days[0] == days[1] else None,
            )


def _partition(days: tuple[date, date]) -> dict[str, str]:
    return {} if days[0] == days[1] else partition_tags(*days)
