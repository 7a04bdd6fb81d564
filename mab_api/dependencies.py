"""What every route works with, in one object.

What belongs here: the parts of a running app and the few questions that several routes ask of
them. What does not: building the parts (`app.py`).
"""

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
    "finished": "The experiment is finished; no allocation of it was ever published, or will be.",
}
"""Why an experiment has no allocation, by its status."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts of a running app.

    Attributes:
        settings: The settings.
        clock: Tells the time as naive UTC.
        refresher: Holds what is served.
        submissions: Takes what is posted.
        metrics: The app's metrics.
        log: The app's logger.
        lines: Its line for each request.
        history_slots: How many history queries run at a time.
        turnstile: What the connections share.
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
        """Return what is published.

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
        """Refuse to say what there is not, before it is known what there is.

        Raises:
            ProblemError: 503 until the first look for what is published has ended.
        """
        if self.refresher.is_loading:
            raise ProblemError(
                Kind.LOADING, "It takes seconds; /readyz says when.", headers={"retry-after": "1"}
            )

    async def record(self, experiment_id: str) -> ExperimentRecord:
        """Return what is known of an experiment, published or only registered.

        Raises:
            ProblemError: 404 if it is unknown, 503 while that is not known yet.
        """
        record = await self.known(experiment_id)
        if record is None:
            self.check_loaded()
            raise ProblemError(Kind.EXPERIMENT_NOT_FOUND, "No experiment of this id is registered.")
        return record

    async def known(self, experiment_id: str) -> ExperimentRecord | None:
        """Return what is known of an experiment, or None."""
        record = self.refresher.experiment_index.get(experiment_id)
        if record is None and is_experiment_id(experiment_id):
            record = await run_in_threadpool(self.refresher.registrations.look_up, experiment_id)
        return record

    async def entry(self, experiment_id: str) -> Entry:
        """Return an experiment's published allocation.

        Raises:
            ProblemError: 404 where there is none, 503 before the first publication.
        """
        entry = self.snapshot().entries.get(experiment_id)
        if entry is None:
            record = await self.record(experiment_id)
            raise ProblemError(Kind.NOT_MATERIALISED, NEVER_PUBLISHED[record["status"]])
        return entry


def _serving(request: Request) -> Serving:
    return cast("Serving", request.app.state.serving)


ServingDep = Annotated[Serving, Depends(_serving)]
