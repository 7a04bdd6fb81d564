"""Compute a past decision again from the files, and compare it bit for bit.

Replay copies the inbox as the ledger held it at that time. It runs the pipeline's own loaders, SQL
and numerics, in a temporary warehouse.
"""

import tempfile
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.allocation.code_version import code_version
from mab_pipeline.allocation.decide import decide, identify
from mab_pipeline.allocation.inputs import read_inputs
from mab_pipeline.allocation.recorded import Record
from mab_pipeline.allocation.windows import compute_windows
from mab_pipeline.ingestion.file_ledger import GONE
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.ingestion.waiting_files import waits
from mab_pipeline.resources import Platform, build_platform
from mab_store.days import Days
from mab_store.errors import ReplayError
from mab_store.experiments.registration import registered as registered_as
from mab_store.files.inbox import Inbox
from mab_store.files.journal import last_of_each_file

COMPARED = (
    "impressions",
    "clicks",
    "window_days",
    "data_source",
    "alpha",
    "beta",
    "probability_best",
    "allocation_hundredths",
    "seed",
    "inputs_hash",
    "allocation_id",
)


@dataclass(slots=True)
class Replay:
    """The outcome of a replay.

    Attributes:
        differences: (variant, column, recorded, replayed) of every value that differs.
        notes: Changes since then: code, numpy, files.
        files: Number of files that the replay read.
    """

    differences: list[tuple[str, str, Any, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether every compared value is the same to the last bit."""
        return not self.differences


def replay(platform: Platform, record: Record) -> Replay:
    """Compute a recorded allocation again and compare.

    Args:
        platform: The shared resources: inbox and journal are read, nothing is written.
        record: The allocation.

    Raises:
        ReplayError: The journal has no record of the files of that time.
    """
    result = Replay(notes=_what_changed(record))
    ledger = last_of_each_file(_entries_until(platform, record.computed_at))
    if len(ledger) == 0:
        raise ReplayError(
            f"The journal holds no ledger entry up to {record.computed_at}; without the names and "
            "hashes of the files of that time nothing can be replayed."
        )
    with tempfile.TemporaryDirectory(prefix="mab-replay-") as folder:
        past = _past_platform(platform, record, Path(folder))
        wanted = _without_gone(_wanted(ledger, record, platform.inbox), result)
        result.files = _lay_out(platform.inbox, past.inbox, wanted, record.experiment_id, result)
        tables = {"inbox_files": ledger} | _earlier(platform, record)
        rows = _compute(past, record, tables, first_day=_first_day(wanted, record))
    for name in sorted(set(record.rows) | set(rows)):
        recorded, replayed = record.rows.get(name), rows.get(name)
        if recorded is None or replayed is None:
            words = ("absent", "present") if recorded is None else ("present", "absent")
            result.differences.append((name, "row", *words))
            continue
        result.differences += [
            (name, column, recorded[column], replayed[column])
            for column in COMPARED
            if recorded[column] != replayed[column]
        ]
    return result


def _what_changed(record: Record) -> list[str]:
    notes = []
    if record.head["code_version"] != code_version():
        notes.append(f"the rule's code is {code_version()} now, {record.head['code_version']} then")
    if record.head["numpy_version"] != np.__version__:
        notes.append(f"numpy is {np.__version__} now, {record.head['numpy_version']} then")
    return notes


def _entries_until(platform: Platform, moment: datetime) -> pa.Table:
    entries = platform.journal.read("inbox_files")
    return entries.filter(pc.less_equal(entries["loaded_at"], pa.scalar(moment)))


def _wanted(ledger: pa.Table, record: Record, inbox: Inbox) -> list[dict[str, Any]]:
    """Return the ledger rows of the files that the decision can depend on."""
    events = f"experiments/{record.experiment_id}/"
    rows = [row for row in ledger.to_pylist() if not waits(row["error"])]  # did not count then
    registered = [row for row in rows if row["source_file"].startswith(events)]
    metrics = [
        row for row in rows if row["metric_date"] and row["metric_date"] <= record.as_of_date
    ]
    # An experiment that was registered after its first data starts with the first of them, which
    # may be older than any window.
    registration = registered_as(inbox, record.experiment_id)
    effective_date = record.as_of_date + timedelta(days=1)
    if record.rule.burn_in == "on":  # it counts all days since a variant joined
        return registered + metrics
    if registration and registration.created_at_utc.date() <= effective_date:
        oldest = record.as_of_date - timedelta(days=record.rule.max_window_days - 1)
        metrics = [row for row in metrics if row["metric_date"] >= oldest]
    return registered + metrics


def _without_gone(rows: list[dict[str, Any]], result: Replay) -> list[dict[str, Any]]:
    """Leave out the files that were gone at the time of the decision, and note them."""
    result.notes += [
        f"{row['source_file']} was gone when this was decided (since {row['loaded_at']:%F %T} "
        "UTC), so it is left out"
        for row in rows
        if row["error"] == GONE
    ]
    return [row for row in rows if row["error"] != GONE]


def _first_day(wanted: list[dict[str, Any]], record: Record) -> date:
    days: list[date] = [row["metric_date"] for row in wanted if row["metric_date"]]
    return min([record.as_of_date, *days])


def _past_platform(platform: Platform, record: Record, folder: Path) -> Platform:
    rule = record.rule
    settings = platform.settings.model_copy(
        update={
            "mab_home": folder,
            "mab_inbox": None,
            "mab_engine": "duckdb",
            "default_window_days": rule.default_window_days,
            "max_window_days": rule.max_window_days,
            "min_impressions": rule.min_impressions,
        }
    )
    return build_platform(settings, clock=lambda: record.computed_at)


def _lay_out(
    inbox: Inbox, past: Inbox, wanted: list[dict[str, Any]], experiment_id: str, result: Replay
) -> int:
    """Copy the files of that time; note files that are missing or changed."""
    days = {row["metric_date"] for row in wanted if row["metric_date"]}
    present = {
        file.source_file: file
        for day in sorted(days)
        for file in inbox.metric_files(day, day + timedelta(days=1))
    } | {file.source_file: file for file in inbox.event_files(experiment_id)}
    copied = 0
    for row in wanted:
        name = row["source_file"]
        if name not in present:
            result.notes.append(f"{name} is no longer in the inbox")
            continue
        content = inbox.read(present[name])
        if content.sha256 != row["sha256"]:
            result.notes.append(f"{name} has another content than then")
        if content.payload is not None:
            past.write(name, content.payload)
            copied += 1
    return copied


def _earlier(platform: Platform, record: Record) -> dict[str, pa.Table]:
    """Return the earlier decisions if this one counted by them the days that were archived."""
    if record.rule.burn_in == "off":
        return {}
    parameters = {"experiment_id": record.experiment_id, "as_of_date": record.as_of_date}
    with platform.warehouse.reading() as queries:
        return {"allocations": queries.fetch_arrow("assets/allocations_earlier", parameters)}


def _compute(
    past: Platform, record: Record, tables: dict[str, pa.Table], *, first_day: date
) -> dict[str, dict[str, Any]]:
    """Run the pipeline's own steps in the empty warehouse; return the experiment's rows."""
    day = Days(record.as_of_date, record.as_of_date + timedelta(days=1))
    with past.warehouse.transaction() as transaction:
        for name, table in tables.items():  # receipt times of the files are in the ledger
            transaction.load_arrow(name, table)
    load_experiments(past)
    # No verdict on a row depends on another experiment's rows.
    own = {record.experiment_id, record.experiment_name}
    load_raw_metrics(past, Days(first_day, day.end), only=own)
    load_daily_metrics(past, Days(first_day, day.end))
    with past.warehouse.transaction() as transaction:
        compute_windows(transaction, record.rule, day)
        inputs = read_inputs(transaction, day, record.rule, with_own_options=False)
    mine = inputs.filter(pc.equal(inputs["experiment_id"], record.experiment_id))
    version = record.head["code_version"]
    decisions = identify(mine, record.rule, version=version)
    rows = decide(decisions, version=version, now=record.computed_at, run_id="replay")
    return {row["variant_name"]: row for row in rows.to_pylist()}
