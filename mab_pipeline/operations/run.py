"""Runs: start the pipeline through Dagster from a command, and follow it.

What belongs here: the instance, the run, its progress, and what to say when it fails. What does
not: the assets. No daemon is needed; the run is kept in the instance's history like any other.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock
from rich.console import Console
from rich.status import Status
from sqlalchemy.exc import DBAPIError

from mab_pipeline.allocation.sharding import Shard
from mab_pipeline.console import say, words
from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.recovery.home import NOTE
from mab_pipeline.resources import Platform, build_platform
from mab_pipeline.runs.failures import cause_of, found_lines, leave_advice, name_of
from mab_pipeline.runs.liveness import (
    ADVICE,
    RANGE_START_TAG,
    fail_dead_runs,
    partition_tags,
    process_tags,
)
from mab_store.atomic_files import make_folders
from mab_store.days import Days
from mab_store.errors import HomeError, MabError, UsageError
from mab_store.files.entries import local_path
from mab_store.settings import Settings

DAGSTER_YAML = """\
# Dagster's settings for one machine; `mab init` wrote it and never overwrites it.
telemetry:
  enabled: false
nux:
  enabled: false  # its dialog would cover the lineage
run_monitoring:
  enabled: true  # a run that never began (the power went) fails, or the sensor would wait for it
"""


class RunFailedError(MabError):
    """A run failed; the message says why and what to do."""


def prepare_home(settings: Settings) -> None:
    """Make the folders of MAB_HOME and tell Dagster where its own is.

    Raises:
        HomeError: MAB_HOME cannot be written.
    """
    home = settings.mab_home
    dagster_home = os.environ.setdefault("DAGSTER_HOME", str(home / "dagster"))
    try:
        for folder in ("published", "journal", "dagster"):
            make_folders(home / folder)
        config = home / "dagster" / "dagster.yaml"
        if dagster_home == str(config.parent) and not config.exists():
            config.write_text(DAGSTER_YAML, "utf-8")
        if (inbox := local_path(settings.inbox_root)) is not None:
            make_folders(inbox)
        else:
            settings.inbox_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(
            f"MAB_HOME {home} cannot be written: {error.strerror or error}. "
            "Set MAB_HOME to a folder that you own, or free space there."
        ) from None


def prepared_platform(settings: Settings) -> Platform:
    """Make the folders of MAB_HOME and wire the outside world.

    Raises:
        HomeError: MAB_HOME cannot be written.
    """
    prepare_home(settings)
    return build_platform(settings)


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """Open the instance of DAGSTER_HOME, first closing the books on runs whose process died.

    Raises:
        HomeError: Dagster's storage cannot be read or written, as on a full disk.
    """
    try:
        with _opened() as instance:
            fail_dead_runs(instance)
            leave_advice(instance)
            yield instance
    except DBAPIError as error:
        raise HomeError(
            f"Dagster's records in {os.environ.get('DAGSTER_HOME')} cannot be used ({error.orig}). "
            "What was committed is whole, and what was published is still served; free space "
            "there, or start its database, and run it again."
        ) from None


def _opened() -> dg.DagsterInstance:
    """Open the instance, one process at a time: who comes first makes Dagster's tables.

    Two that make them at once in SQLite fail each other (`table … already exists`).
    """
    home = Path(os.environ["DAGSTER_HOME"])
    if not home.is_dir():
        raise HomeError(
            f"DAGSTER_HOME={home} is not a folder. Make it and put a dagster.yaml there "
            "(deploy/dagster.yaml is one), or unset it: MAB_HOME/dagster is then used."
        )
    try:
        with FileLock(home / ".opening.lock"):
            return dg.DagsterInstance.get()
    except OSError as error:
        raise HomeError(
            f"DAGSTER_HOME {home} cannot be written: {error.strerror or error}. Set it to a "
            "folder that you own, or free space there."
        ) from None


def check_days(platform: Platform, first: date, last: date) -> Days:
    """Return the days of a run, or say why they cannot be run.

    Raises:
        UsageError: They are in the wrong order, before MAB_START_DATE, or not over yet.
    """
    newest = platform.clock().date() - timedelta(days=1)
    if first > last:
        raise UsageError(f"--from {first} is after --to {last}; swap them.")
    if first < platform.settings.mab_start_date:
        raise UsageError(
            f"{first} is before MAB_START_DATE={platform.settings.mab_start_date}; choose a later "
            "day, or set MAB_START_DATE."
        )
    if last > newest:
        raise UsageError(
            f"{last} is not over yet (UTC); the newest day that can be run is {newest}."
        )
    return Days(first, last + timedelta(days=1))


def run_days(
    platform: Platform,
    days: Days,
    *,
    console: Console,
    assets: list[str] | None = None,
    republish: bool = False,
    accept_loss: bool = False,
    accept_variant_gap: bool = False,
    shard: Shard | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise these days as one Dagster run.

    Args:
        platform: The outside world.
        days: The days.
        console: Where progress goes.
        assets: Assets to materialise with their checks; all where none are named.
        republish: Whether older days are published again where their decision changed.
        accept_loss: Whether it is meant that readers lose what they are served now.
        accept_variant_gap: Whether experiments with a variant gap are published too.
        shard: Which part of the experiments the asset allocations decides; all where None is given.

    Raises:
        RunFailedError: A step failed.
    """
    job = build_defs(platform=platform, run_logger=_progress_logger(console)).resolve_job_def(
        DAILY_ALLOCATION
    )
    tags = process_tags()
    last = days.end - timedelta(days=1)
    key = str(days.start) if len(days) == 1 else None
    if key is None:
        tags |= partition_tags(days.start, last)
    ops: dict[str, Any] = {}
    asked = {
        "republish": republish,
        "accept_loss": accept_loss,
        "accept_variant_gap": accept_variant_gap,
    }
    if any(asked.values()):
        ops["publication"] = {"config": asked}
    if shard:
        ops["allocations"] = {"config": {"shard": shard.number, "shards": shard.count}}
    with dagster_instance() as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=key,
            tags=tags,
            run_config={"loggers": {"progress": {}}, "ops": ops},
            raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
        )
        _print_findings(result, console)
        if not result.success:
            leave_advice(instance)
            cause = cause_of(instance, result.dagster_run)
            raise RunFailedError(f"{cause.reason} {ADVICE}{cause.remedy} (Run {result.run_id}.)")
    _print_summary(result, console)
    return result


def _print_findings(result: dg.ExecuteInProcessResult, console: Console) -> None:
    """Print every check that failed, once, with the first of what it found."""
    for event in result.all_events:
        if event.event_type_value != "ASSET_CHECK_EVALUATION":
            continue
        evaluation = event.asset_check_evaluation_data
        is_summary = not evaluation.passed and (
            evaluation.partition is None or not _has_range(result)
        )
        if is_summary:
            is_warning = evaluation.severity == dg.AssetCheckSeverity.WARN
            say(
                console,
                ("warning", "yellow") if is_warning else ("check failed", "red"),
                f" {name_of(evaluation)}: {evaluation.metadata['failures'].value} found, "
                f"the newest: {found_lines(evaluation)[0]}",
            )


def _print_summary(result: dg.ExecuteInProcessResult, console: Console) -> None:
    """Say what the run published, once."""
    events = result.get_asset_materialization_events()
    published = [event for event in events if event.asset_key == dg.AssetKey("publication")]
    if not published:
        return
    metadata = published[-1].materialization.metadata
    held, accepted = metadata["held_back"].value, metadata["accepted_gaps"].value
    assert isinstance(held, list)
    assert isinstance(accepted, list)
    say(
        console,
        f"Published {metadata['dagster/row_count'].value} allocations, "
        f"{metadata['unchanged'].value} were published before"
        + (f"; held back: {', '.join(map(str, held))}" if held else "")
        + (f"; with a gap that was accepted: {', '.join(map(str, accepted))}" if accepted else "")
        + ". `mab allocations` shows what is served.",
    )


def _has_range(result: dg.ExecuteInProcessResult) -> bool:
    return RANGE_START_TAG in result.dagster_run.tags


class _ProgressHandler(logging.Handler):
    """Show the step at work, and pass on warnings of the assets."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._status = Status("starting", console=console)

    def emit(self, record: logging.LogRecord) -> None:
        """Follow one message of the run."""
        meta: dict[str, Any] = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            text = str(meta.get("orig_message", ""))
            if text.startswith(NOTE):
                say(self._console, text.removeprefix(NOTE))
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self._status.update(words(f"{event.step_key} …"))
            self._status.start()
        elif kind == "STEP_SUCCESS":
            seconds = event.event_specific_data.duration_ms / 1000
            if not event.step_key.endswith("_checks"):
                parts = ("✓", "green"), f" {event.step_key} ", (f"{seconds:.1f} s", "dim")
                say(self._console, *parts)
        elif kind in {"RUN_SUCCESS", "RUN_FAILURE", "PIPELINE_SUCCESS", "PIPELINE_FAILURE"}:
            self._status.stop()


def _progress_logger(console: Console) -> dg.LoggerDefinition:
    @dg.logger
    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("mab.progress")  # noqa: LOG001  # Dagster wants one of our own
        logger.addHandler(_ProgressHandler(console))
        return logger

    return progress
