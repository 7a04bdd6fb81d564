"""Records: read one experiment's past decisions from the published copy.

What belongs here: what `mab explain` and `mab replay` both look up. What does not: explaining and
replaying.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from mab_pipeline.rule import RuleSettings
from mab_store.errors import NotPublishedError
from mab_store.reading import Reader


@dataclass(frozen=True, slots=True)
class Record:
    """A decision as it was recorded.

    Attributes:
        experiment_id: The experiment.
        experiment_name: Its name.
        rows: Its rows of `allocations`, one per variant, by variant name.
        versions: How many versions of the day's decision there are.
    """

    experiment_id: str
    experiment_name: str
    rows: dict[str, dict[str, Any]]
    versions: int

    @property
    def head(self) -> dict[str, Any]:
        """Return any one row, for the columns that all share."""
        return next(iter(self.rows.values()))

    @property
    def as_of_date(self) -> date:
        """Return the last day of its evidence."""
        day: date = self.head["as_of_date"]
        return day

    @property
    def computed_at(self) -> datetime:
        """Return when it was computed, as naive UTC."""
        moment: datetime = self.head["computed_at"]
        return moment

    @property
    def rule(self) -> RuleSettings:
        """Return the settings that it recorded."""
        return RuleSettings.from_json(self.head["settings"])


def find_record(copy: Reader, experiment: str, as_of_date: date | None) -> Record:
    """Return the decision that was published last for a day, else the one computed last.

    Args:
        copy: The published copy.
        experiment: Its id or name.
        as_of_date: The day; the newest published one where None is given.

    Raises:
        NotPublishedError: There is no such experiment, or no decision for that day.
    """
    matches = copy.fetch_arrow("serving/experiment_ids", {"experiment": experiment}).to_pylist()
    if not matches:
        raise NotPublishedError(
            f"No experiment {experiment!r} is known by id or name. `mab allocations` lists them."
        )
    experiment_id = matches[0]["experiment_id"]
    parameters = {"experiment_id": experiment_id, "as_of_date": as_of_date}
    rows = copy.fetch_arrow("serving/recorded_allocations", parameters).to_pylist()
    if not rows:
        day = f"for {as_of_date}" if as_of_date else "yet"
        raise NotPublishedError(f"{experiment} has no allocation {day}. Run that day first.")
    chosen = rows[0]["allocation_id"]
    return Record(
        experiment_id=experiment_id,
        experiment_name=matches[0]["experiment_name"],
        rows={row["variant_name"]: row for row in rows if row["allocation_id"] == chosen},
        versions=len({row["allocation_id"] for row in rows}),
    )
