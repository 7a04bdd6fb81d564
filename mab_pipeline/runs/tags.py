"""Tags of mab on its runs: only machines read them, so the Dagster UI does not show them.

Dagster's API leaves out every tag that begins with `.dagster/`. Runs of earlier versions carry the
same tags as `mab/...`; each function here finds both.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

_HIDDEN = ".dagster/mab_"
_EARLIER = "mab/"

HOST_TAG = f"{_HIDDEN}host"
PID_TAG = f"{_HIDDEN}pid"
STARTED_TAG = f"{_HIDDEN}process_started"
TRIGGER_TAG = f"{_HIDDEN}trigger"
ARRIVALS_TAG = f"{_HIDDEN}arrivals"

TRIGGER = {TRIGGER_TAG: "inbox"}
"""The tag of every run that the inbox sensor asks for."""


def value_of(run: dg.DagsterRun, tag: str) -> str | None:
    """Return a run's value of a tag of ours; None if it has none."""
    return run.tags.get(tag) or run.tags.get(_earlier(tag))


def runs_tagged(
    instance: dg.DagsterInstance,
    tags: Mapping[str, str],
    *,
    statuses: Sequence[dg.DagsterRunStatus] = (),
    limit: int | None = None,
) -> list[dg.DagsterRun]:
    """Return the runs with all of these tags of ours, the newest first.

    Args:
        instance: Dagster's records.
        tags: The tags.
        statuses: The statuses that count; all if empty.
        limit: The most runs to return.
    """
    records = [
        record
        for named in (dict(tags), {_earlier(tag): value for tag, value in tags.items()})
        for record in instance.get_run_records(
            dg.RunsFilter(tags=named, statuses=list(statuses)), limit=limit
        )
    ]
    records.sort(key=lambda record: record.storage_id, reverse=True)
    return [record.dagster_run for record in records[:limit]]


def _earlier(tag: str) -> str:
    return _EARLIER + tag.removeprefix(_HIDDEN)
