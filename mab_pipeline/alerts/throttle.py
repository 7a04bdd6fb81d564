"""Alert memory: what was told when, what waits, and which runs were looked at.

What belongs here: the rule of one alert per cause and hour. What does not: what is worth telling
(`alerts.py`), sending (`webhook.py`).

The memory is the cursor of the alert sensor, so it lives as long as Dagster's records do and
outlives the daemon. It is kept small: of many notices of one cause it holds the newest and counts.
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
    """The notices of a cause that nobody was told yet: how many, and the newest, oldest first."""

    count: int = 0
    notices: list[Notice] = []


class Memory(BaseModel):
    """What the alert sensor remembers from tick to tick.

    Attributes:
        looked_until: When the last run ended that was looked at [seconds since 1970].
        looked_at: Runs that ended shortly before that and were looked at.
        waiting: What is to be told, by cause.
        told: When each cause was told last, as naive UTC; forgotten after an hour.
        is_webhook_down: Whether the last attempt to tell failed.
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
        """Remember notices until somebody was told."""
        for notice in notices:
            waiting = self.waiting.setdefault(notice.cause, Waiting())
            waiting.count += 1
            waiting.notices = [*waiting.notices, notice][-NOTICES_KEPT:]

    def note_state(self, cause: str, notice: Notice | None) -> None:
        """Remember what is the case now, told again each hour that it lasts; None: no longer."""
        self.waiting.pop(cause, None)
        if notice:
            self.waiting[cause] = Waiting(count=1, notices=[notice])

    def due(self, now: datetime) -> dict[str, Waiting]:
        """Return what may be told now: causes that were not told within the hour.

        A time of telling that lies ahead by more than that was written by a clock that was wrong.
        """
        self.told = {cause: at for cause, at in self.told.items() if abs(now - at) < QUIET}
        return {cause: waiting for cause, waiting in self.waiting.items() if cause not in self.told}

    def mark_told(self, cause: str, now: datetime) -> None:
        """Forget the notices of a cause: somebody was told."""
        self.waiting.pop(cause, None)
        self.told[cause] = now
