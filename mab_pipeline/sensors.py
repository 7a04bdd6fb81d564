"""Sensors: what is done because something came in, or went wrong.

What belongs here: turning arrivals into run requests, and notices into alerts. What does not:
finding arrivals and planning (`arrivals.py`), what is worth an alert (`alerts.py`).

The inbox sensor has no memory of its own: what is new follows from inbox and ledger, so nothing is
missed or taken twice when the daemon starts again. It asks for nothing while a run that it asked
for is at work, and gives up on the same files after some failures, until somebody looks.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime

import dagster as dg

from mab_pipeline.alerts.conditions import LATE, late_publication_notice, notices_of_run
from mab_pipeline.alerts.throttle import Memory
from mab_pipeline.alerts.webhook import WebhookError, payload, post
from mab_pipeline.ingestion.late_data import Arrivals, find_arrivals, plan_runs
from mab_pipeline.jobs import daily_allocation, refresh_day
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import leave_advice
from mab_pipeline.runs.liveness import (
    DAY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    fail_dead_runs,
    partition_tags,
)
from mab_store.errors import MabError
from mab_store.plain_text import plain
from mab_store.settings import Settings

TRIGGER = {"mab/trigger": "inbox"}
ARRIVALS_TAG = "mab/arrivals"
ATTEMPTS = 3
INTERVAL_SECONDS = 30
RUNS_LOOKED_AT = 100
DAYS_TAGS = (DAY_TAG, RANGE_START_TAG, RANGE_END_TAG)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Watch the inbox and the runs; with MAB_AUTOMATION=off nobody does."""
    return [] if settings.mab_automation == "off" else [inbox_sensor, alert_sensor]


@dg.sensor(
    jobs=[daily_allocation, refresh_day],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """New, late and corrected files: load them, and decide the newest published day anew."""
    fail_dead_runs(context.instance)
    leave_advice(context.instance)
    at_work = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=TRIGGER))
    if at_work:
        yield dg.SkipReason(f"Run {at_work[0].run_id} is loading what came in before.")
        return
    arrivals = find_arrivals(platform)
    if broken_off := _broken_off(context.instance, arrivals):
        yield from broken_off
        return
    if not arrivals.metrics and not arrivals.events:
        yield dg.SkipReason("Everything in the inbox is loaded.")
        return
    failed = failed_attempts(context.instance, arrivals)
    if failed >= ATTEMPTS:
        yield dg.SkipReason(
            f"{failed} runs failed on the same files. See why in the last of them, then "
            "materialise the day by hand; a new file makes the sensor try again."
        )
        return
    yield from _requests(platform, arrivals, attempt=failed)


def failed_attempts(instance: dg.DagsterInstance, arrivals: Arrivals) -> int:
    """Return how many runs for these files have failed; after ATTEMPTS a person must look."""
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], tags={ARRIVALS_TAG: arrivals.key}
    )
    return instance.get_runs_count(failed)


def _requests(platform: Platform, arrivals: Arrivals, *, attempt: int) -> Iterator[dg.RunRequest]:
    """Ask for the planned runs; the same files and attempt are asked for once.

    What decides comes first: should the others be lost, no decision is.
    """
    plan = plan_runs(platform, arrivals)
    for job, days in (
        (daily_allocation, plan.decide),
        (refresh_day, plan.audit),
    ):
        if days is not None:
            yield dg.RunRequest(
                run_key=f"{arrivals.key}-{attempt}-{job.name}",
                job_name=job.name,
                tags=TRIGGER | {ARRIVALS_TAG: arrivals.key} | _partition(days),
                partition_key=str(days[0]) if days[0] == days[1] else None,
            )


def _broken_off(instance: dg.DagsterInstance, arrivals: Arrivals) -> list[dg.RunRequest]:
    """Ask again for runs that failed after they had loaded their files.

    Inbox and ledger say nothing of them any more, but what follows from the files is not done.
    """
    runs: dict[tuple[str, str], list[dg.DagsterRun]] = defaultdict(list)
    for run in instance.get_runs(dg.RunsFilter(tags=TRIGGER), limit=RUNS_LOOKED_AT):
        runs[run.tags.get(ARRIVALS_TAG, ""), run.job_name].append(run)
    requests = []
    for (key, job_name), attempts in runs.items():
        newest = attempts[0]
        days = {name: newest.tags[name] for name in DAYS_TAGS if name in newest.tags}
        is_failed = newest.status == dg.DagsterRunStatus.FAILURE
        if is_failed and days and key != arrivals.key and len(attempts) < ATTEMPTS:
            requests.append(
                dg.RunRequest(
                    run_key=f"{key}-{len(attempts)}-{job_name}",
                    job_name=job_name,
                    tags=TRIGGER | {ARRIVALS_TAG: key} | days,
                    partition_key=days.get(DAY_TAG),
                )
            )
    return requests


def _partition(days: tuple[date, date]) -> dict[str, str]:
    return {} if days[0] == days[1] else partition_tags(*days)


@dg.sensor(minimum_interval_seconds=INTERVAL_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def alert_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.SkipReason:
    """Failed runs and checks, rejected rows, dead feeds, a late publication: tell somebody.

    Runs of `mab run` are seen too, when the daemon next looks.
    """
    if platform.settings.alert_webhook_url is None:
        return dg.SkipReason("ALERT_WEBHOOK_URL is not set: nobody is told.")
    now = platform.clock()
    memory = Memory.read(context.cursor)
    for run in memory.finished_runs(context.instance, now):
        memory.note(notices_of_run(context.instance, run))
    try:
        memory.note_state(LATE, late_publication_notice(platform, context.instance, now))
    except MabError as error:
        context.log.warning(plain(f"Whether the publication is late cannot be seen: {error}"))
    told = _tell(context, platform, memory, now)
    context.update_cursor(memory.model_dump_json())
    waiting = ", ".join(sorted(memory.waiting)) or "nothing"
    return dg.SkipReason(f"Told: {', '.join(told) or 'nothing'}. Waiting to be told: {waiting}.")


def _tell(
    context: dg.SensorEvaluationContext, platform: Platform, memory: Memory, now: datetime
) -> list[str]:
    """Send what is due; what cannot be sent waits for the next tick, and one warning says so."""
    url = platform.settings.alert_webhook_url
    assert url is not None
    told = []
    for cause, waiting in memory.due(now).items():
        try:
            post(url, payload(platform.settings, waiting, now))
        except WebhookError as error:
            if not memory.is_webhook_down:
                message = (
                    f"ALERT_WEBHOOK_URL does not take alerts: {error}. They are kept, and every "
                    "tick tries again; see whether the URL is still the right one."
                )
                context.log.warning(plain(message))
            memory.is_webhook_down = True
            if not error.is_reachable:
                break  # the others would wait as long
            continue
        memory.is_webhook_down = False
        memory.mark_told(cause, now)
        told.append(cause)
    return told
