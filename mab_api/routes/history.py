"""Reading the past: accepted counts and publications."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import anyio
import duckdb
from fastapi import APIRouter, Query, Request, Response

from mab_api.dependencies import Serving, ServingDep
from mab_api.openapi import ENCODED_HEADERS, NOT_MODIFIED, example, problems
from mab_api.problems import Kind, ProblemError
from mab_api.queries.history import (
    HISTORY_CURSOR,
    PUBLICATION_CURSOR,
    Fetch,
    PageRequest,
    metrics_page,
    publications_page,
)
from mab_api.routes.experiments import ExperimentId, Limit
from mab_api.schemas import Day, History, PublicationHistory
from mab_api.snapshot.encoded import Answer, holds, not_modified
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_api.snapshot.snapshot import Snapshot
from mab_store.errors import MabError

router = APIRouter(tags=["history"])

From = Annotated[
    Day | None, Query(alias="from", description="First day; by default the first of all.")
]
To = Annotated[Day | None, Query(description="Last day; by default the last of all.")]
Build = Callable[[Fetch, ExperimentRecord, PageRequest], Answer]
RESPONSES = NOT_MODIFIED | problems(
    Kind.EXPERIMENT_NOT_FOUND,
    Kind.INVALID,
    Kind.NOT_PUBLISHED,
    Kind.LOADING,
    Kind.HISTORY_UNAVAILABLE,
)
HEADERS = {name: header for name, header in ENCODED_HEADERS.items() if name != "Last-Modified"}


@router.get(
    "/experiments/{experiment_id}/history",
    summary="Accepted counts per day and variant, oldest first",
    response_model=History,
    responses=example("history", headers=HEADERS) | RESPONSES,
)
async def get_history(  # one per query parameter
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    *,
    from_: From = None,
    to: To = None,
    limit: Limit = 1000,
    cursor: Annotated[str | None, Query(pattern=HISTORY_CURSOR)] = None,
) -> Response:
    """The counts that the pipeline accepted; late files have replaced earlier counts."""
    wanted = PageRequest(from_, to, limit, cursor)
    return await _page(request, serving, experiment_id, wanted=wanted, build=metrics_page)


@router.get(
    "/experiments/{experiment_id}/allocations",
    summary="Publications, day by day, oldest first",
    response_model=PublicationHistory,
    responses=example("publications", headers=HEADERS) | RESPONSES,
)
async def get_publications(  # one per query parameter
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    *,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(pattern=PUBLICATION_CURSOR)] = None,
) -> Response:
    """Every publication; days count by as_of_date. Follow `next_cursor` until it is null."""
    wanted = PageRequest(from_, to, limit, cursor)
    return await _page(request, serving, experiment_id, wanted=wanted, build=publications_page)


async def _page(
    request: Request, serving: Serving, experiment_id: str, *, wanted: PageRequest, build: Build
) -> Response:
    snapshot = serving.snapshot()
    record = await serving.record(experiment_id)
    key = (build, experiment_id, wanted)
    answer = snapshot.pages.get(key)
    if answer is None:
        query = partial(_query, snapshot, record, wanted, build)
        try:
            answer = await anyio.to_thread.run_sync(query, limiter=serving.history_slots)
        except (duckdb.Error, MabError) as error:
            serving.log.warning("history query failed", error=type(error).__name__)
            raise ProblemError(
                Kind.HISTORY_UNAVAILABLE,
                "History cannot be queried now; allocations are still served, from memory.",
                headers={"retry-after": "30"},
            ) from None
        snapshot.pages.put(key, answer)
    if holds(request.scope["headers"], answer.etag):
        response = Response(status_code=304)
        response.raw_headers = list(not_modified(answer.headers))
        return response
    response = Response(answer.body)
    response.raw_headers = list(answer.headers)
    return response


def _query(
    snapshot: Snapshot, record: ExperimentRecord, wanted: PageRequest, build: Build
) -> Answer:
    """Build a page on this thread's own connection."""
    copy = snapshot.copy.branch()
    try:
        return build(copy.fetch_arrow, record, wanted)
    finally:
        copy.close()
