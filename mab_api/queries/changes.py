"""Changes of an experiment: the pages of `GET /experiments/{id}/changes`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mab_api.snapshot.allocation_list import EPOCH
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_store.allocation_payload import timestamp
from mab_store.experiments.schemas import ExperimentChanged

YEAR_ONE = EPOCH.replace(year=1)
CHANGE_CURSOR = r"^[0-9]{1,18}-([0-9a-f]{2}){1,800}$"


def changes_page(
    changes: Mapping[str, ExperimentChanged],
    record: ExperimentRecord,
    *,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Build a page of changes, oldest first.

    Args:
        changes: The changes of one experiment by file, in their order.
        record: The experiment.
        limit: Most changes on a page.
        cursor: End of the previous page; None for the first.
    """
    after = _place_named(cursor) if cursor else (-1, "")
    rest = [item for item in changes.items() if _place(*item) > after]
    page = rest[:limit]
    return {
        "experiment_id": record["experiment_id"],
        "experiment_name": record["name"],
        "changes": [_change(source_file, change) for source_file, change in page],
        "next_cursor": _cursor(*_place(*page[-1])) if len(rest) > limit else None,
    }


def _change(source_file: str, change: ExperimentChanged) -> dict[str, Any]:
    return {
        "changed_at": timestamp(change.created_at_utc),
        "effective_date": str(change.effective_date),
        "changed_by": change.changed_by,
        "reason": change.reason,
        "status": change.status,
        "add_variants": change.add_variants,
        "retire_variants": change.retire_variants,
        "decision": change.decision and change.decision.model_dump(exclude_none=True),
        "source_file": source_file,
    }


def _place(source_file: str, change: ExperimentChanged) -> tuple[int, str]:
    """Return the position in the order: microseconds since year 1, and the file."""
    return (change.created_at_utc - YEAR_ONE) // timedelta(microseconds=1), source_file


def _cursor(microseconds: int, source_file: str) -> str:
    return f"{microseconds}-{source_file.encode().hex()}"


def _place_named(cursor: str) -> tuple[int, str]:
    microseconds, _, name = cursor.partition("-")
    return int(microseconds), bytes.fromhex(name).decode("utf-8", "replace")
