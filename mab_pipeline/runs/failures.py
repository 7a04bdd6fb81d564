"""Failed runs: why a run failed and what to do about it, as the last event of its log.

Dagster closes the log of a failed run by itself, after every hook that could write there. So the
advice is written later: by `mab run` when its run has ended, and by the inbox sensor for runs that
the daemon launched.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from mab_pipeline.runs.liveness import ADVICE, REMEDY, again, report_advice
from mab_pipeline.runs.unevaluated import BLOCKED_BY, is_evaluated, note_unevaluated
from mab_store.errors import PublicationRefusedError
from mab_store.plain_text import plain

RUNS_LOOKED_AT = 25
# Findings are shown as code: Markdown in them is not parsed.
FENCES = ("```text", "```")
CAUSES = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ENGINE_EVENT,
}
# Dagster's message when a run's process is gone; the event before it says more.
FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."
# Errors of a step that only follow from a failed check or from the end of the run.
CONSEQUENCES = {"DagsterAssetCheckFailedError", "DagsterExecutionInterruptedError"}
# An error of ours is a sentence that says what to do; Dagster puts the name of its class before it.
OURS = re.compile(r"^mab_\w+(\.\w+)+: ")

# How SQLite, which may hold Dagster's records, and the system speak of a full disk.
FULL_DISK = re.compile(r"disk is full|disk I/O error|No space left on device")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a run failed.

    Attributes:
        reason: The cause, as a sentence.
        remedy: The next step.
        is_check: Whether a blocking check stopped it, and nothing else failed.
        is_refusal: Whether readers would have lost served data.
    """

    reason: str
    remedy: str
    is_check: bool = False
    is_refusal: bool = False


def cause_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Cause:
    """Say why a run failed and what to do about it."""
    entries = instance.all_logs(run.run_id, of_type=CAUSES)
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    for event in events:
        if event.is_step_failure and _class_of_error(event) not in CONSEQUENCES:
            return _of_step(event, run)
    blocking = [check for check in failed_checks(events) if check.blocking]
    if blocking:
        names = ", ".join(map(name_of, blocking))
        return Cause(
            f"{BLOCKED_BY}{names}: {first_found(blocking[0])}.",
            f"fix that, then {again(run)}. Until then readers get the last publication.",
            is_check=True,
        )
    return _of_ending(events, run)


def leave_advice(instance: dg.DagsterInstance) -> None:
    """Make the remedy the last event of each run that failed lately.

    Its checks that were not evaluated say so.
    """
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    for run in instance.get_runs(failed, limit=RUNS_LOOKED_AT):
        last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        if not last or ADVICE not in last[0].event_log_entry.message:
            cause = cause_of(instance, run)
            note_unevaluated(instance, run, cause.reason)
            report_advice(instance, run, cause.reason, cause.remedy)


def failed_checks(events: Iterable[dg.DagsterEvent]) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield each check that was evaluated and failed; for a range, the evaluation that spans it."""
    failed = [
        event.asset_check_evaluation_data
        for event in events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not event.asset_check_evaluation_data.passed
        and is_evaluated(event.asset_check_evaluation_data)
    ]
    spanning = {(check.asset_key, check.check_name) for check in failed if check.partition is None}
    for check in failed:
        if check.partition is None or (check.asset_key, check.check_name) not in spanning:
            yield check


def name_of(check: dg.AssetCheckEvaluation) -> str:
    """Return a check's asset and name."""
    return f"{check.asset_key.to_user_string()}.{check.check_name}"


def first_found(check: dg.AssetCheckEvaluation) -> str:
    """Return the newest finding of a failed check, and the number of the others."""
    lines = found_lines(check)
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + more


def found_lines(check: dg.AssetCheckEvaluation) -> list[str]:
    """Return the findings of a failed check, newest first, a line each.

    Evaluations that an earlier version stored are lists in Markdown.
    """
    found = check.metadata.get("found")
    lines = str(found.value).splitlines() if found else [check.description or "see its page"]
    return [plain(line.removeprefix("* ")) for line in lines if line not in FENCES]


def _of_step(event: dg.DagsterEvent, run: dg.DagsterRun) -> Cause:
    """Return the first error in the chain of causes as the cause."""
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    message = error.message.strip() if error else "no reason was given"
    reason = f"{event.step_key} failed: {OURS.sub('', message)}"
    if OURS.match(message):
        is_refusal = error is not None and error.cls_name == PublicationRefusedError.__name__
        remedy = f"fix that, then {again(run)}."
        return Cause(reason, remedy, is_refusal=is_refusal)
    if FULL_DISK.search(message):
        return Cause(reason, f"free space, then {again(run)}; committed data is intact.")
    return Cause(
        reason,
        f"{again(run)}; committed data is intact. This error was not foreseen: if it comes back, "
        "report it with the traceback that the failed step's event shows.",
    )


def _of_ending(events: Sequence[dg.DagsterEvent], run: dg.DagsterRun) -> Cause:
    """Return the cause of a run that another process ended, or that never began."""
    reason, before = "No reason was given.", None
    for event in events:
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            reason = event.message or reason
            data = event.job_failure_data  # none if another process ended it
            if data and data.error:
                reason += f" {data.error.message}"
            break
        if event.event_type == dg.DagsterEventType.ENGINE_EVENT and event.message:
            before = event.message.partition(". ")[0] + "."
    if before and reason.startswith(FROM_OUTSIDE):
        reason = before.removeprefix("[DagsterApiServer] ")
    return Cause(
        reason.strip(),
        _remedy_given(events)
        or f"{again(run)}; committed data is intact. If it comes back, see `mab doctor` and the "
        "daemon's log.",
    )


def _remedy_given(events: Iterable[dg.DagsterEvent]) -> str:
    """Return the remedy that was written into the log last; empty if there is none."""
    given = ""
    for event in events:
        if event.event_type == dg.DagsterEventType.ENGINE_EVENT:
            value = event.engine_event_data.metadata.get(REMEDY)
            given = str(value.value) if value else given
    return given


def _class_of_error(event: dg.DagsterEvent) -> str | None:
    error = event.step_failure_data.error
    return error.cls_name if error else None
