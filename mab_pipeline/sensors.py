"""Sensors: turn new files into run requests, and notices into alerts.

The inbox sensor keeps no state: new files follow from inbox and ledger, so none is missed or taken
twice when the daemon restarts. It requests nothing while one of its runs is at work. After ATTEMPTS
failures with the same files it waits for a person.

Dagster concept: https://docs.dagster.io/guides/automate/sensors
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime

import dagster as dg

from mab_pipeline.alerts.conditions import LATE, late_publication_notice, notices_of_run
from mab_pipeline.alerts.throttle import Memory
from mab_pipeline.alerts.webhook import WebhookError, payload, post
from mab_pipeline.ingestion.late_data import Arrivals, find_arrivals, plan_runs
from mab_pipeline.ingestion.undecided import moved_windows
from mab_pipeline.jobs import DAILY_ALLOCATION, daily_allocation, refresh_day
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import leave_advice
from mab_pipeline.runs.liveness import (
    DAY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    fail_dead_runs,
    partition_tags,
)
from mab_pipeline.runs.tags import ARRIVALS_TAG, TRIGGER, runs_tagged, value_of
from mab_pipeline.sources.dropped import take_exports
from mab_store.errors import MabError
from mab_store.plain_text import plain
from mab_store.settings import Settings

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
    """Return the sensors of the inbox and the runs; none with MAB_AUTOMATION=off."""
    return [] if settings.mab_automation == "off" else [inbox_sensor, alert_sensor]


@dg.sensor(
    jobs=[daily_allocation, refresh_day],
    description=(
        "Looks every 30 seconds for files in the inbox that no run has loaded: new, late and "
        "corrected ones, and exports in inbox/exports. It asks for one run that loads them and "
        "decides the newest published day again, or the days after it. After three failures with "
        "the same files it waits for a person. It also marks runs whose process died as failed, "
        "and writes into failed runs what to do."
    ),
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Load new, late and corrected files, and decide the newest published day again."""
    fail_dead_runs(context.instance)
    leave_advice(context.instance)
    at_work = runs_tagged(context.instance, TRIGGER, statuses=UNFINISHED)
    if at_work:
        yield dg.SkipReason(f"Run {at_work[0].run_id} is loading earlier files.")
        return
    for name, reason in take_exports(platform).broken.items():
        context.log.warning(plain(f"{name} {reason}"))
    arrivals = find_arrivals(platform)
    if broken_off := _broken_off(context.instance, arrivals):
        yield from broken_off
        return
    if not arrivals.metrics and not arrivals.events:
        yield _decide_moved_windows(context.instance)
        return
    failed = failed_attempts(context.instance, arrivals)
    if failed >= ATTEMPTS:
        yield dg.SkipReason(
            f"{failed} runs failed on the same files. See why in the last of them, then "
            "materialise the day by hand; a new file makes the sensor try again."
        )
        return
    requests = list(_requests(platform, arrivals, attempt=failed))
    known = [request for request in requests if _first_day(request) >= _first_loaded(context)]
    yield from known
    if requests and not known:
        yield dg.SkipReason(
            f"The inbox holds files for {_first_day(requests[0])}, before the first partition of "
            "these definitions. The daemon loads them again each minute and goes on then; the UI "
            'shows the day once you click "Reload definitions" on the lineage.'
        )


def failed_attempts(instance: dg.DagsterInstance, arrivals: Arrivals) -> int:
    """Return how many runs for these files failed; after ATTEMPTS a person must look."""
    tags, failure = {ARRIVALS_TAG: arrivals.key}, dg.DagsterRunStatus.FAILURE
    return len(runs_tagged(instance, tags, statuses=[failure]))


def _requests(platform: Platform, arrivals: Arrivals, *, attempt: int) -> Iterator[dg.RunRequest]:
    """Request the planned runs; the same files and attempt are requested once.

    Runs that decide come first: if later requests are lost, no decision is.
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


def _decide_moved_windows(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    """Request the newest published day if a run of other days has moved its windows since."""
    moved = moved_windows(instance)
    if moved is None:
        return dg.SkipReason("Everything in the inbox is loaded.")
    day, key = moved
    return dg.RunRequest(
        run_key=f"{key}-0-{daily_allocation.name}",
        job_name=daily_allocation.name,
        tags=TRIGGER | {ARRIVALS_TAG: key},
        partition_key=day,
    )


def _broken_off(instance: dg.DagsterInstance, arrivals: Arrivals) -> list[dg.RunRequest]:
    """Request runs again that failed after they had loaded their files.

    Inbox and ledger no longer show these files, but their windows and decisions are still missing.
    """
    runs: dict[tuple[str, str], list[dg.DagsterRun]] = defaultdict(list)
    for run in runs_tagged(instance, TRIGGER, limit=RUNS_LOOKED_AT):
        runs[value_of(run, ARRIVALS_TAG) or "", run.job_name].append(run)
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


def _first_day(request: dg.RunRequest) -> str:
    """Return the first day of a requested run."""
    return request.partition_key or request.tags[RANGE_START_TAG]


def _first_loaded(context: dg.SensorEvaluationContext) -> str:
    """Return the first partition of the definitions that this sensor was loaded with."""
    location = context.repository_def
    partitions = location.get_job(DAILY_ALLOCATION).partitions_def if location else None
    return (partitions and partitions.get_first_partition_key()) or ""


def _partition(days: tuple[date, date]) -> dict[str, str]:
    return {} if days[0] == days[1] else partition_tags(*days)


@dg.sensor(
    description=(
        "Sends alerts to ALERT_WEBHOOK_URL: failed runs and checks, rejected rows, experiments "
        "that are held back, a late publication; each cause at most once an hour. Without that "
        "setting it does nothing. It starts no run."
    ),
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alert_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.SkipReason:
    """Send alerts on failed runs and checks, rejected rows, dead feeds and a late publication.

    The next tick also sees runs of `mab run`.
    """
    if platform.settings.alert_webhook_url is None:
        return dg.SkipReason("ALERT_WEBHOOK_URL is not set: no alert is sent.")
    now = platform.clock()
    memory = Memory.read(context.cursor)
    for run in memory.finished_runs(context.instance, now):
        memory.note(notices_of_run(context.instance, run))
    try:
        memory.note_state(LATE, late_publication_notice(platform, context.instance, now))
    except MabError as error:
        context.log.warning(plain(f"Cannot see whether the publication is late: {error}"))
    sent = _send(context, platform, memory, now)
    context.update_cursor(memory.model_dump_json())
    pending = ", ".join(sorted(memory.waiting)) or "nothing"
    return dg.SkipReason(f"Sent: {', '.join(sent) or 'nothing'}. Pending: {pending}.")


def _send(
    context: dg.SensorEvaluationContext, platform: Platform, memory: Memory, now: datetime
) -> list[str]:
    """Send the alerts that are due; the others wait for the next tick, and one warning says so."""
    url = platform.settings.alert_webhook_url
    assert url is not None
    sent = []
    for cause, waiting in memory.due(now).items():
        try:
            post(url, payload(platform.settings, waiting, now))
        except WebhookError as error:
            if not memory.is_webhook_down:
                message = (
                    f"ALERT_WEBHOOK_URL does not take alerts: {error}. They are kept, and every "
                    "tick tries again; check whether the URL is still right."
                )
                context.log.warning(plain(message))
            memory.is_webhook_down = True
            if not error.is_reachable:
                break  # the others would wait as long
            continue
        memory.is_webhook_down = False
        memory.mark_told(cause, now)
        sent.append(cause)
    return sent
