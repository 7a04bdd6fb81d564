"""Dagster's old runs: which of them may be forgotten, and forgetting one.

What belongs here: runs with their events and logs in Dagster's storage, whichever that is. What
does not: choosing an age (`prune.py`).
"""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def old_runs(instance: dg.DagsterInstance, *, before: datetime) -> list[tuple[str, date]]:
    """Return finished runs that began before a moment, with their days, oldest first.

    Two kinds stay: the run that last materialised an asset, whose findings the checks read, and
    the newest run of each job, which `mab doctor` looks at.
    """
    filters = dg.RunsFilter(statuses=FINISHED, created_before=before)
    records = instance.get_run_records(filters=filters, ascending=True)
    if not records:
        return []
    kept = {
        entry.run_id
        for key in instance.get_asset_keys()
        if (entry := instance.get_latest_materialization_event(key)) is not None
    }
    for job_name in {record.dagster_run.job_name for record in records}:
        newest = instance.get_runs(dg.RunsFilter(job_name=job_name), limit=1)
        kept |= {run.run_id for run in newest}
    return [
        (record.dagster_run.run_id, record.create_timestamp.astimezone(UTC).date())
        for record in records
        if record.dagster_run.run_id not in kept
    ]


def size_of(instance: dg.DagsterInstance, run_id: str) -> int:
    """Return what a run takes on this disk [bytes]; 0 where a database server keeps it."""
    logs = (Path(instance.storage_directory()) / run_id).rglob("*")
    files = [path for path in logs if path.is_file()] + _event_files(instance, run_id)
    return sum(path.stat().st_size for path in files)


def forget(instance: dg.DagsterInstance, run_id: str) -> None:
    """Drop a run: its logs, then its events, and at last its record, by which it is found."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.event_log_storage.delete_events(run_id)
    for path in _event_files(instance, run_id):
        path.unlink(missing_ok=True)
    instance.run_storage.delete_run(run_id)


def _event_files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """Return the files of a run's own event log, which Dagster makes where it uses SQLite."""
    return list((Path(instance.root_directory) / "history" / "runs").glob(f"{run_id}.db*"))
