"""Checks that a failed run never reached: each says what it was blocked by.

Dagster leaves such a check planned, and shows it as red as one that failed. Here it gets a result:
a warning, as it did not pass, whose text says that it was not evaluated and why.
"""

from collections.abc import Iterator

import dagster as dg

from mab_store.plain_text import plain

NOT_EVALUATED = "not_evaluated"
BLOCKED_BY = "Blocked by "
# Each day of a range has its own results; beyond these, the run's log and its advice must do.
DAYS_NOTED = 31

_PLANNED = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
_EVALUATED = dg.DagsterEventType.ASSET_CHECK_EVALUATION


def is_evaluated(check: dg.AssetCheckEvaluation) -> bool:
    """Return whether a result is one of a check, and not a note that there is none."""
    return NOT_EVALUATED not in check.metadata


def note_unevaluated(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """Record for each planned check without a result that it was not evaluated.

    Args:
        instance: Dagster's records.
        run: A failed run. A second call for it records nothing.
        reason: Why the run failed, as a sentence.
    """
    if reason.startswith(BLOCKED_BY):
        text = plain(f"Not evaluated: {reason[0].lower()}{reason[1:]}")
    else:
        text = plain(f"Not evaluated. {reason}")
    for step_key, key, day in _left(instance, run):
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            partition=day,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=text,
            metadata={NOT_EVALUATED: text},
        )
        event = dg.DagsterEvent(
            event_type_value=_EVALUATED.value,
            job_name=run.job_name,
            message=f"{key.to_user_string()}: {text}",
            event_specific_data=evaluation,
            step_key=step_key,
        )
        instance.report_dagster_event(event, run.run_id)


def _left(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> Iterator[tuple[str | None, dg.AssetCheckKey, str | None]]:
    """Yield step, check and day of each planned check without a result."""
    entries = instance.all_logs(run.run_id, of_type={_PLANNED, _EVALUATED})
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    done = {
        (found.asset_check_key, found.partition)
        for event in events
        if event.event_type == _EVALUATED
        for found in [event.asset_check_evaluation_data]
    }
    for event in events:
        if event.event_type == _PLANNED:
            planned = event.asset_check_planned_data
            subset = planned.partitions_subset
            days = sorted(subset.get_partition_keys())[-DAYS_NOTED:] if subset else [None]
            for day in days:
                if (planned.asset_check_key, day) not in done:
                    yield event.step_key, planned.asset_check_key, day
