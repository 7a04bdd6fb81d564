"""Alert throttle: pending and sent notices, the runs that were read, one alert per cause and hour.

The memory is the cursor of the alert sensor, so it lives as long as Dagster's records do and
outlives the daemon. It stays small: of many notices of one cause it holds the newest and a count.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import BaseModel, ValidationError

from mab_pipeline.alerts.conditions import Notice

QUIET = timedelta(hours=1)
# How far back the first look goes, and the first one after a long silence.
LOOK_BACK = timedelta(days=1)
# Runs end while we look and can enter the records after one that ended later.
OVERLAP = timedelta(minutes=10)
NOTICES_KEPT = 10
RUNS_PER_LOOK = 100


class Waiting(BaseModel):
    """The pending notices of a cause: their number, and the newest of them, oldest first."""

    count: int = 0
    notices: list[Notice] = []


class Memory(BaseModel):
    """The memory of the alert sensor from tick to tick.

    Attributes:
        looked_until: End of the last run that was read [seconds since 1970].
        looked_at: Runs that ended shortly before that and were read.
        waiting: Pending notices, by cause.
        told: When each cause was sent last, as naive UTC; forgotten after an hour.
        is_webhook_down: Whether the last attempt to send failed.
    """

    looked_until: float = 0.0
    looked_at: list[str] = []
    waiting: dict[str, Waiting] = {}
    told: dict[str, datetime] = {}
    is_webhook_down: bool = False

    @classmethod
    def read(cls, cursor: str | None) -> "Memory":
        """Return the memory that a cursor holds; a cursor that holds none begins a new one."""
        try:
            return cls.model_validate_json(cursor or "{}")
        except ValidationError:
            return cls()

    def finished_runs(self, instance: dg.DagsterInstance, now: datetime) -> Iterator[dg.DagsterRun]:
        """Yield the runs that ended since the last look, oldest first, each once."""
        earliest = (now - LOOK_BACK).replace(tzinfo=UTC).timestamp()
        since = max(self.looked_until - OVERLAP.total_seconds(), earliest)
        records = instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                updated_after=datetime.fromtimestamp(since, UTC),
            ),
            order_by="update_timestamp",
            ascending=True,
        )
        ended = [record for record in records if (record.end_time or 0) > since]
        new = [record for record in ended if record.dagster_run.run_id not in self.looked_at]
        new = new[:RUNS_PER_LOOK]
        for record in new:
            yield record.dagster_run
            self.looked_at.append(record.dagster_run.run_id)
            self.looked_until = max(self.looked_until, record.end_time or 0)
        recent = {record.dagster_run.run_id for record in ended}
        self.looked_at = [run_id for run_id in self.looked_at if run_id in recent]

    def note(self, notices: Iterable[Notice]) -> None:
        """Remember notices until they are sent."""
        for notice in notices:
            waiting = self.waiting.setdefault(notice.cause, Waiting())
            waiting.count += 1
            waiting.notices = [*waiting.notices, notice][-NOTICES_KEPT:]

    def note_state(self, cause: str, notice: Notice | None) -> None:
        """Remember a state, sent again each hour that it lasts; None: it is over."""
        self.waiting.pop(cause, None)
        if notice:
            self.waiting[cause] = Waiting(count=1, notices=[notice])

    def due(self, now: datetime) -> dict[str, Waiting]:
        """Return the notices to send now: causes that were not sent within the hour.

        A time that is more than an hour ahead was written by a wrong clock.
        """
        self.told = {cause: at for cause, at in self.told.items() if abs(now - at) < QUIET}
        return {cause: waiting for cause, waiting in self.waiting.items() if cause not in self.told}

    def mark_told(self, cause: str, now: datetime) -> None:
        """Forget the notices of a cause, as they are sent."""
        self.waiting.pop(cause, None)
        self.told[cause] = now
