"""Rejections of a run: each reason with its count, an example and the remedy, and lost days."""

from dataclasses import dataclass
from datetime import date

from mab_pipeline.operations.ingest_verdicts import Rejections, rejections_of
from mab_pipeline.resources import Platform
from mab_store.days import Days

_CORRECT = "Add a corrected file under a new name; the row received last counts."
REMEDIES = {
    "unknown_experiment": "Register it: `mab import FILE`, or `mab experiments create NAME "
    "--control VARIANT --variant VARIANT`. Then run the day again: the rows are kept.",
    "unknown_variant": "If it is new: `mab experiments add-variant EXPERIMENT VARIANT`; it counts "
    "from tomorrow on. If its name is wrong, add a corrected file under a new name.",
    "unreadable_file": "Correct it and add it under a new name; a file of the inbox never changes.",
    "not_an_integer": f"Counts are whole numbers without separators. {_CORRECT}",
    "too_large": f"Counts are below 2^53. {_CORRECT}",
    "negative": f"Counts are 0 or more. {_CORRECT}",
    "clicks_exceed_impressions": f"Look for swapped columns in the export. {_CORRECT}",
}
"""What to do about each `rejection_reason`."""


@dataclass(frozen=True, slots=True)
class RunVerdicts:
    """The rows of a run's days that do not count.

    Attributes:
        rejections: The rejected rows by reason, with one example each.
        lost_days: The days of which every row was rejected, ascending.
    """

    rejections: list[Rejections]
    lost_days: list[date]


def verdicts_of_run(platform: Platform, days: Days) -> RunVerdicts:
    """Return the rejections of these days."""
    with platform.warehouse.transaction() as transaction:
        found = rejections_of(transaction, days, most=1)
        lost = transaction.fetch_arrow("follow_up/wholly_rejected_days", days.parameters)
    return RunVerdicts(found, lost["metric_date"].to_pylist())
