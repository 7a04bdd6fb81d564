"""Start the pipeline through Dagster from a command, and follow the run.

No daemon is needed; the run is kept in the history of Dagster's instance like any other.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import dagster as dg

from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.operations.dagster_home import dagster_instance
from mab_pipeline.recovery.home import NOTE
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import cause_of, failed_checks, found_lines, leave_advice, name_of
from mab_pipeline.runs.liveness import (
    ADVICE,
    partition_tags,
    process_tags,
)
from mab_store.days import Days
from mab_store.errors import MabError, UsageError


@dataclass(frozen=True, slots=True)
class Progress:
    """A report of a run at work.

    Attributes:
        kind: A step started or is done, the run has a note, or the run ended.
        text: The step's name, or the note.
        seconds: Time that a step took, once it is done [s].
    """

    kind: Literal["started", "done", "note", "ended"]
    text: str = ""
    seconds: float = 0.0


Follow = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that failed in a run.

    Attributes:
        name: Its asset and name.
        is_warning: Whether it is a warning.
        count: Number of findings.
        newest: The newest finding.
    """

    name: str
    is_warning: bool
    count: object
    newest: str


@dataclass(frozen=True, slots=True)
class Published:
    """The publications of a run.

    Attributes:
        row_count: Number of rows of the publications.
        unchanged_count: Number of allocations that were published before.
        held_back: Names of the experiments that are held back now, after all days of the run.
        accepted_gaps: Names of the experiments published with an accepted gap.
    """

    row_count: int
    unchanged_count: int
    held_back: tuple[str, ...]
    accepted_gaps: tuple[str, ...]

    @property
    def is_any(self) -> bool:
        """Whether something is served of these days, or held back."""
        return bool(self.row_count or self.unchanged_count or self.held_back)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that succeeded.

    Attributes:
        result: Dagster's result.
        failed_checks: The checks that failed without stopping it.
        published: The publications; None if the run had none to make.
    """

    result: dg.ExecuteInProcessResult
    failed_checks: tuple[FailedCheck, ...]
    published: Published | None


class RunFailedError(MabError):
    """A run failed; the message states the cause and the remedy.

    Attributes:
        failed_checks: The checks that failed.
    """

    def __init__(self, message: str, failed: tuple[FailedCheck, ...] = ()) -> None:
        super().__init__(message)
        self.failed_checks = failed


def check_days(platform: Platform, first: date, last: date) -> Days:
    """Return the days of a run.

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
    follow: Follow = lambda _progress: None,
    assets: list[str] | None = None,
    republish: bool = False,
    accept_loss: bool = False,
    accept_variant_gap: bool = False,
) -> FinishedRun:
    """Materialise these days as one Dagster run.

    Args:
        platform: The shared resources.
        days: The days.
        follow: Receives the progress of the run.
        assets: Assets to materialise with their checks; all if omitted.
        republish: Whether older days are published again if their decision changed.
        accept_loss: Whether readers may lose published allocations.
        accept_variant_gap: Whether experiments with a variant gap are published too.

    Raises:
        RunFailedError: A step failed.
    """
    logger = _progress_logger(follow)
    # The first day that the UI shows does not matter here, and finding it reads inbox and journal.
    start = platform.settings.mab_start_date
    defs = build_defs(platform=platform, run_logger=logger, first=start)
    job = defs.resolve_job_def(DAILY_ALLOCATION)
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
    with dagster_instance() as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=key,
            tags=tags,
            run_config={"loggers": {"progress": {}}, "ops": ops},
            raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else None,
        )
        failed = tuple(map(_failed_check, failed_checks(result.all_events)))
        if not result.success:
            leave_advice(instance)
            cause = cause_of(instance, result.dagster_run)
            message = f"{cause.reason} {ADVICE}{cause.remedy} (Run {result.run_id}.)"
            raise RunFailedError(message, failed)
    return FinishedRun(result, failed, _published(result))


def _failed_check(evaluation: dg.AssetCheckEvaluation) -> FailedCheck:
    return FailedCheck(
        name_of(evaluation),
        evaluation.severity == dg.AssetCheckSeverity.WARN,
        evaluation.metadata["failures"].value,
        found_lines(evaluation)[0],
    )


def _published(result: dg.ExecuteInProcessResult) -> Published | None:
    events = result.get_asset_materialization_events()
    published = [event for event in events if event.asset_key == dg.AssetKey("publication")]
    if not published:
        return None
    metadata = published[-1].materialization.metadata
    rows, unchanged = metadata["dagster/row_count"].value, metadata["unchanged"].value
    held, accepted = metadata["held_back_now"].value, metadata["accepted_gaps"].value
    assert isinstance(rows, int)
    assert isinstance(unchanged, int)
    assert isinstance(held, list)
    assert isinstance(accepted, list)
    return Published(rows, unchanged, tuple(map(str, held)), tuple(map(str, accepted)))


class _ProgressHandler(logging.Handler):
    """Report the steps of a run and the notes of its assets."""

    def __init__(self, follow: Follow) -> None:
        super().__init__()
        self._follow = follow

    def emit(self, record: logging.LogRecord) -> None:
        """Follow one message of the run."""
        meta: dict[str, Any] = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            text = str(meta.get("orig_message", ""))
            if text.startswith(NOTE):
                self._follow(Progress("note", text.removeprefix(NOTE)))
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self._follow(Progress("started", event.step_key))
        elif kind == "STEP_SUCCESS":
            seconds = event.event_specific_data.duration_ms / 1000
            self._follow(Progress("done", event.step_key, seconds))
        elif kind in {"RUN_SUCCESS", "RUN_FAILURE", "PIPELINE_SUCCESS", "PIPELINE_FAILURE"}:
            self._follow(Progress("ended"))


def _progress_logger(follow: Follow) -> dg.LoggerDefinition:
    @dg.logger
    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("mab.progress")  # noqa: LOG001  # Dagster wants one of our own
        logger.addHandler(_ProgressHandler(follow))
        return logger

    return progress
