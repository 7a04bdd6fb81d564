"""`Serving`: the parts of a running app, which every route works with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

import anyio
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from mab_api.problems import Kind, ProblemError
from mab_api.server.limits import Turnstile
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_api.snapshot.refresher import Refresher
from mab_api.snapshot.registrations import is_experiment_id
from mab_api.snapshot.snapshot import Entry, Snapshot
from mab_api.submissions import Submissions
from mab_api.telemetry import Log, RequestLines, ServerMetrics
from mab_store.settings import Settings

NEVER_PUBLISHED = {
    "running": (
        "The experiment is registered; its first allocation comes with the next run of the "
        "pipeline."
    ),
    "paused": (
        "The experiment is paused and was never published; its first allocation comes with the "
        "run after it is resumed."
    ),
    "finished": "The experiment is finished; no allocation was ever published, and none will be.",
}
"""Why an experiment has no allocation, by its status."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts of a running app.

    Attributes:
        settings: The settings.
        clock: Returns the time as naive UTC.
        refresher: Holds the snapshot and keeps it current.
        submissions: Writes the bodies of POST and PATCH into the inbox.
        metrics: The app's Prometheus metrics.
        log: The app's logger.
        lines: Logs one line per request.
        history_slots: How many history queries run at a time.
        turnstile: Limits and counters that all connections share.
    """

    settings: Settings
    clock: Callable[[], datetime]
    refresher: Refresher
    submissions: Submissions
    metrics: ServerMetrics
    log: Log
    lines: RequestLines
    history_slots: anyio.CapacityLimiter
    turnstile: Turnstile

    def snapshot(self) -> Snapshot:
        """Return the snapshot of the last good publication.

        Raises:
            ProblemError: 503 before the first publication, and before it is loaded.
        """
        snapshot = self.refresher.snapshot
        if snapshot is None:
            self.check_loaded()
            raise ProblemError(
                Kind.NOT_PUBLISHED,
                "No allocation was published yet; the pipeline publishes with `mab run`.",
                headers={"retry-after": str(round(self.settings.api_refresh_seconds) or 1)},
            )
        return snapshot

    def check_loaded(self) -> None:
        """Refuse to report that something is missing before the first load has ended.

        Raises:
            ProblemError: 503 until the first look for a publication has ended.
        """
        if self.refresher.is_loading:
            raise ProblemError(
                Kind.LOADING,
                "It takes seconds; /readyz reports the end.",
                headers={"retry-after": "1"},
            )

    async def record(self, experiment_id: str) -> ExperimentRecord:
        """Return an experiment's record, published or only registered.

        Raises:
            ProblemError: 404 if it is unknown, 503 before the first load has ended.
        """
        record = await self.known(experiment_id)
        if record is None:
            self.check_loaded()
            raise ProblemError(Kind.EXPERIMENT_NOT_FOUND, "No experiment of this id is registered.")
        return record

    async def known(self, experiment_id: str) -> ExperimentRecord | None:
        """Return an experiment's record, or None."""
        record = self.refresher.experiment_index.get(experiment_id)
        if record is None and is_experiment_id(experiment_id):
            record = await run_in_threadpool(self.refresher.registrations.look_up, experiment_id)
        return record

    async def entry(self, experiment_id: str) -> Entry:
        """Return an experiment's published allocation.

        Raises:
            ProblemError: 404 if there is none, 503 before the first publication.
        """
        entry = self.snapshot().entries.get(experiment_id)
        if entry is None:
            record = await self.record(experiment_id)
            raise ProblemError(Kind.NOT_MATERIALISED, NEVER_PUBLISHED[record["status"]])
        return entry


def _serving(request: Request) -> Serving:
    return cast("Serving", request.app.state.serving)


ServingDep = Annotated[Serving, Depends(_serving)]
