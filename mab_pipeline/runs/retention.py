"""Retention of Dagster's records: expired runs, results of checks and ticks.

Dagster can delete the events of a run, but never deletes the results of its checks: `index.db`, the
part of its SQLite storage that all runs share, would grow for ever.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

_CHECKS = AssetCheckExecutionsTable.c
VACUUM_TIMEOUT_SECONDS = 5
SHARED_FILES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")

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
    """Return the size of a run on this disk [bytes]; 0 if a database server keeps it."""
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
    """Return the files of a run's own event log, which Dagster writes on SQLite."""
    return list((Path(instance.root_directory) / "history" / "runs").glob(f"{run_id}.db*"))


def old_check_results(instance: dg.DagsterInstance, *, before: datetime) -> list[tuple[int, date]]:
    """Return size [bytes] and day of each result of a check from before a moment.

    The newest result of each check stays: the UI shows it.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []
    size = db.func.coalesce(db.func.length(_CHECKS.evaluation_event), 0)
    query = db.select(size, _CHECKS.create_timestamp).where(*_superseded_before(before))
    with storage.index_connection() as connection:
        rows = connection.execute(query).fetchall()
    return [(int(length), moment.date()) for length, moment in rows]


def forget_check_results(instance: dg.DagsterInstance, *, before: datetime) -> None:
    """Drop the results that `old_check_results` finds."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(*_superseded_before(before))
            )


def old_ticks(instance: dg.DagsterInstance, *, before: datetime) -> list[date]:
    """Return the day of each tick of a schedule or sensor from before a moment."""
    return [
        datetime.fromtimestamp(tick.timestamp, UTC).date()
        for origin_id, selector_id in _instigators(instance)
        for tick in instance.get_ticks(origin_id, selector_id, before=before.timestamp())
    ]


def forget_ticks(instance: dg.DagsterInstance, *, before: datetime) -> None:
    """Drop the ticks that `old_ticks` finds."""
    for origin_id, selector_id in _instigators(instance):
        instance.purge_ticks(origin_id, selector_id, before=before.timestamp())


def give_space_back(instance: dg.DagsterInstance) -> None:
    """Shrink Dagster's SQLite files; one that another process writes keeps its size.

    The space of dropped rows is then free inside it, for new rows.
    """
    for path in map(Path(instance.root_directory).joinpath, SHARED_FILES):
        if not path.exists():
            continue
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(path, timeout=VACUUM_TIMEOUT_SECONDS)) as connection,
        ):
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")


def _superseded_before(before: datetime) -> tuple[Any, ...]:
    newest = db.select(db.func.max(_CHECKS.id)).group_by(_CHECKS.asset_key, _CHECKS.check_name)
    moment = before.astimezone(UTC).replace(tzinfo=None)  # as Dagster's storage holds it
    return _CHECKS.create_timestamp < moment, _CHECKS.id.not_in(newest)


def _instigators(instance: dg.DagsterInstance) -> Iterator[tuple[str, str]]:
    for state in instance.all_instigator_state() if instance.schedule_storage else ():
        yield state.instigator_origin_id, state.selector_id
