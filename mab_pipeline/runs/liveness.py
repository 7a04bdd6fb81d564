"""Liveness of runs: tags that name a run's days and process, and marking dead runs as failed."""

import socket
from datetime import date

import dagster as dg
import psutil
from dagster._core.events import EngineEventData

from mab_pipeline.runs.tags import HOST_TAG, PID_TAG, STARTED_TAG, value_of
from mab_pipeline.runs.unevaluated import note_unevaluated
from mab_store.plain_text import plain

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
DAY_TAG = "dagster/partition"
PARENT_TAG = "dagster/parent_run_id"
# Introduces the remedy in the last event of a failed run; REMEDY is the same as that event's data.
ADVICE = "What to do: "
REMEDY = "what_to_do"


def partition_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags that make a run span a range of days."""
    return {RANGE_START_TAG: str(first), RANGE_END_TAG: str(last)}


def process_tags() -> dict[str, str]:
    """Return the tags that identify this process, to see later whether it still runs."""
    process = psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(process.pid),
        STARTED_TAG: repr(process.create_time()),
    }


def days_name(run: dg.DagsterRun) -> str:
    """Return the days of a run in words; empty if it has none."""
    if day := run.tags.get(DAY_TAG):
        return day
    first, last = run.tags.get(RANGE_START_TAG), run.tags.get(RANGE_END_TAG)
    return f"{first} to {last}" if first and last else ""


def again(run: dg.DagsterRun) -> str:
    """Return how to run these days again."""
    first = run.tags.get(DAY_TAG) or run.tags.get(RANGE_START_TAG)
    last = run.tags.get(DAY_TAG) or run.tags.get(RANGE_END_TAG)
    if run.job_name.startswith("refresh_") or not (first and last):
        return "re-execute the run in the Dagster UI"
    days = f"--date {first}" if first == last else f"--from {first} --to {last}"
    return f"run `mab run {days}`, or re-execute the run in the Dagster UI"


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process on this machine is gone; return their ids."""
    unfinished = [
        dg.DagsterRunStatus.NOT_STARTED,  # killed between entering the run and beginning it
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        pid = _dead_process(instance, run)
        if pid is not None:
            reason = f"Process {pid} died in mid-run; committed data is intact."
            instance.report_run_failed(run, reason)
            note_unevaluated(instance, run, reason)
            report_advice(instance, run, reason, f"{again(run)}.")
            dead.append(run.run_id)
    return dead


def report_advice(
    instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str, remedy: str
) -> None:
    """Write into a run's log why it failed and what to do; the remedy is data of the event too."""
    data = EngineEventData(metadata={REMEDY: plain(remedy)})
    instance.report_engine_event(plain(f"{reason} {ADVICE}{remedy}"), run, data)


def _dead_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """Return the process of a run if it is known and gone.

    A run of `mab run` is tagged with its process; a run that re-executes it may have inherited its
    tags, not its process. For a run that the daemon launched, the event log names the process that
    wrote last; a process that began later has only inherited its number.
    """
    is_own = PARENT_TAG not in run.tags
    host = value_of(run, HOST_TAG) if is_own else None
    if host not in {None, socket.gethostname()}:
        return None  # its processes cannot be seen from here
    tagged = _tagged_process(run) if is_own else None
    if tagged is not None:
        pid, started = tagged
        return None if _created(pid) == started else pid
    entries = [
        (entry.dagster_event.pid, entry.timestamp)
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.PIPELINE_START)
        if entry.dagster_event and entry.dagster_event.pid
    ]
    if not entries:
        return None
    pid, moment = entries[-1]
    created = _created(pid)
    return pid if created is None or created > moment else None


def _tagged_process(run: dg.DagsterRun) -> tuple[int, float] | None:
    pid, started = value_of(run, PID_TAG), value_of(run, STARTED_TAG)
    return (int(pid), float(started)) if pid and started else None


def _created(pid: int) -> float | None:
    """Return when a process began [seconds since 1970], None if it is gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
