"""Reading the past: accepted counts, publications, and the newest analysis."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import anyio
import duckdb
from fastapi import APIRouter, Query, Request, Response

from mab_api.analysis_schemas import Analysis
from mab_api.dependencies import Serving, ServingDep
from mab_api.openapi import ENCODED_HEADERS, NOT_MODIFIED, example, problems
from mab_api.problems import Kind, ProblemError
from mab_api.queries.analysis import analysis_answer
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
from mab_store.errors import MabError, NotPublishedError

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
UNAVAILABLE = "History cannot be queried now; allocations are still served, from memory."
OLDER = (
    "The data were published by an older version of mab and lack what this address reads. The "
    "next publication brings it."
)
_LACKING = (duckdb.BinderException, duckdb.CatalogException, NotPublishedError)
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
    return await page_answer(request, serving, experiment_id, wanted=wanted, build=metrics_page)


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
    return await page_answer(
        request, serving, experiment_id, wanted=wanted, build=publications_page
    )


@router.get(
    "/experiments/{experiment_id}/analysis",
    summary="Intervals, lifts, checks and the stop advice",
    response_model=Analysis,
    responses=example("analysis", headers=HEADERS)
    | NOT_MODIFIED
    | problems(
        Kind.EXPERIMENT_NOT_FOUND,
        Kind.NOT_MATERIALISED,
        Kind.NOT_PUBLISHED,
        Kind.LOADING,
        Kind.HISTORY_UNAVAILABLE,
    ),
)
async def get_analysis(
    request: Request, serving: ServingDep, experiment_id: ExperimentId
) -> Response:
    """The newest analysis, made when its allocation was published or held back."""
    snapshot = serving.snapshot()
    record = await serving.record(experiment_id)
    query = partial(_analysis, snapshot, record)
    return await answered(
        request, serving, key=("analysis", experiment_id), query=query, snapshot=snapshot
    )


async def page_answer(
    request: Request, serving: Serving, experiment_id: str, *, wanted: PageRequest, build: Build
) -> Response:
    """Answer with a page that `build` makes."""
    snapshot = serving.snapshot()
    record = await serving.record(experiment_id)
    query = partial(_query, snapshot, record, wanted, build)
    return await answered(
        request, serving, key=(build, experiment_id, wanted), query=query, snapshot=snapshot
    )


async def answered(
    request: Request,
    serving: Serving,
    *,
    snapshot: Snapshot,
    key: tuple[object, ...],
    query: Callable[[], Answer],
) -> Response:
    """Answer from the pages that were asked for before, else query in a thread."""
    answer = snapshot.pages.get(key)
    if answer is None:
        try:
            answer = await anyio.to_thread.run_sync(query, limiter=serving.history_slots)
        except (duckdb.Error, MabError) as error:
            serving.log.warning("history query failed", error=type(error).__name__)
            raise ProblemError(
                Kind.HISTORY_UNAVAILABLE,
                OLDER if isinstance(error, _LACKING) else UNAVAILABLE,
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


def _analysis(snapshot: Snapshot, record: ExperimentRecord) -> Answer:
    copy = snapshot.copy.branch()
    try:
        return analysis_answer(copy, record)
    finally:
        copy.close()
