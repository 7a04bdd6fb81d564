"""Records: read one experiment's past decisions from the published copy."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.errors import NotPublishedError
from mab_store.warehouse.reader import Reader


@dataclass(frozen=True, slots=True)
class Record:
    """A decision as it was recorded.

    Attributes:
        experiment_id: The experiment.
        experiment_name: Its name.
        rows: Its rows of `allocations`, one per variant, by variant name.
        version_ids: Ids of all versions of the day's decision, the one published last first.
    """

    experiment_id: str
    experiment_name: str
    rows: dict[str, dict[str, Any]]
    version_ids: tuple[str, ...]

    @property
    def versions(self) -> int:
        """Return how many versions of the day's decision there are."""
        return len(self.version_ids)

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


def find_allocation(copy: Reader, allocation_id: str, experiment: str | None = None) -> Record:
    """Return a decision by its id, whichever version of its day it is.

    Args:
        copy: The published copy.
        allocation_id: Its id, as bodies, `mab explain` and the API's lists show it.
        experiment: Id or name of its experiment, if that is known.

    Raises:
        NotPublishedError: There is no such decision, or it is of another experiment.
    """
    owners = copy.fetch_arrow("serving/allocation_owner", {"allocation_id": allocation_id})
    for owner in owners.to_pylist():
        versions = _versions(copy, owner["experiment_id"], owner["as_of_date"])
        record = Record(
            experiment_id=owner["experiment_id"],
            experiment_name=_experiment(copy, owner["experiment_id"])["experiment_name"],
            rows=versions[allocation_id],
            version_ids=tuple(versions),
        )
        if experiment in {None, record.experiment_id, record.experiment_name}:
            return record
    of = f" of {experiment}" if experiment else ""
    raise NotPublishedError(
        f"No allocation {allocation_id!r}{of} is known. `mab allocations --format json` shows the "
        "ids of today, GET /experiments/{id}/allocations those of every day that was published."
    )


def find_record(copy: Reader, experiment: str, as_of_date: date | None) -> Record:
    """Return the decision that was published last for a day, otherwise the one computed last.

    Args:
        copy: The published copy.
        experiment: Its id or name.
        as_of_date: The day; the newest published one if None.

    Raises:
        NotPublishedError: There is no such experiment, or no decision for that day.
    """
    match = _experiment(copy, experiment)
    versions = _versions(copy, match["experiment_id"], as_of_date)
    if not versions:
        day = f"for {as_of_date}" if as_of_date else "yet"
        raise NotPublishedError(f"{experiment} has no allocation {day}. Run that day first.")
    return Record(
        experiment_id=match["experiment_id"],
        experiment_name=match["experiment_name"],
        rows=next(iter(versions.values())),
        version_ids=tuple(versions),
    )


def _experiment(copy: Reader, experiment: str) -> dict[str, Any]:
    matches = copy.fetch_arrow("serving/experiment_ids", {"experiment": experiment}).to_pylist()
    if not matches:
        raise NotPublishedError(
            f"No experiment {experiment!r} is known by id or name. `mab allocations` lists them."
        )
    match: dict[str, Any] = matches[0]
    return match


def _versions(
    copy: Reader, experiment_id: str, as_of_date: date | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each version of a day's decision by id, the one published last first."""
    parameters = {"experiment_id": experiment_id, "as_of_date": as_of_date}
    versions: dict[str, dict[str, dict[str, Any]]] = {}
    for row in copy.fetch_arrow("serving/recorded_allocations", parameters).to_pylist():
        versions.setdefault(row["allocation_id"], {})[row["variant_name"]] = row
    return versions
