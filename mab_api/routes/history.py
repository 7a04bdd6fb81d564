"""Reading the past: accepted counts, publications, and the newest analysis."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Annotated

import anyio
import duckdb
from fastapi import APIRouter, Depends, Query, Request, Response

from mab_api.analysis_schemas import Analysis
from mab_api.dependencies import Serving, ServingDep
from mab_api.openapi import ENCODED_HEADERS, NOT_MODIFIED, Responses, example, problems
from mab_api.problems import Kind, ProblemError
from mab_api.queries.analysis import analysis_answer
from mab_api.queries.history import (
    HISTORY_CURSOR,
    PUBLICATION_CURSOR,
    PageRequest,
    metrics_page,
    publications_page,
)
from mab_api.routes.experiments import ExperimentId, Limit
from mab_api.schemas import Day, History, PublicationHistory
from mab_api.snapshot.encoded import Answer, holds, not_modified
from mab_store.errors import MabError, NotPublishedError
from mab_store.warehouse.reader import Reader

router = APIRouter(tags=["history"])

From = Annotated[
    Day | None, Query(alias="from", description="First day; by default the first of all.")
]
To = Annotated[Day | None, Query(description="Last day; by default the last of all.")]
UNAVAILABLE = "History cannot be queried now; allocations are still served, from memory."
OLDER = (
    "The data were published by an older version of mab and lack what this address reads. The "
    "next publication brings it."
)
_LACKING = (duckdb.BinderException, duckdb.CatalogException, NotPublishedError)
_HEADERS = {name: header for name, header in ENCODED_HEADERS.items() if name != "Last-Modified"}


def page(cursor: str, *, most: int = 100) -> Callable[..., Awaitable[PageRequest]]:
    """Return a dependency: the page that the query of a request asks for.

    Args:
        cursor: Pattern of its cursor.
        most: Items on it if the request names no limit.
    """
    description = "`next_cursor` of the previous page."

    async def wanted(
        *,
        from_: From = None,
        to: To = None,
        limit: Limit = most,
        cursor: Annotated[str | None, Query(pattern=cursor, description=description)] = None,
    ) -> PageRequest:
        return PageRequest(from_, to, limit, cursor)

    return wanted


def documented(name: str, *kinds: Kind) -> Responses:
    """Document what `answered` answers, and other problems of the route."""
    found = problems(
        Kind.EXPERIMENT_NOT_FOUND,
        *kinds,
        Kind.NOT_PUBLISHED,
        Kind.LOADING,
        Kind.HISTORY_UNAVAILABLE,
    )
    return example(name, headers=_HEADERS) | NOT_MODIFIED | found


@router.get(
    "/experiments/{experiment_id}/history",
    summary="Accepted counts per day and variant, oldest first",
    response_model=History,
    responses=documented("history", Kind.INVALID),
)
async def get_history(
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    wanted: Annotated[PageRequest, Depends(page(HISTORY_CURSOR, most=1000))],
) -> Response:
    """The counts that the pipeline accepted; late files have replaced earlier counts."""
    return await answered(request, serving, experiment_id, metrics_page, wanted)


@router.get(
    "/experiments/{experiment_id}/allocations",
    summary="Publications, day by day, oldest first",
    response_model=PublicationHistory,
    responses=documented("publications", Kind.INVALID),
)
async def get_publications(
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    wanted: Annotated[PageRequest, Depends(page(PUBLICATION_CURSOR))],
) -> Response:
    """Every publication; days count by as_of_date. Follow `next_cursor` until it is null."""
    return await answered(request, serving, experiment_id, publications_page, wanted)


@router.get(
    "/experiments/{experiment_id}/analysis",
    summary="Intervals, lifts, checks and the stop advice",
    response_model=Analysis,
    responses=documented("analysis", Kind.NOT_MATERIALISED),
)
async def get_analysis(
    request: Request, serving: ServingDep, experiment_id: ExperimentId
) -> Response:
    """The newest analysis, made when its allocation was published or held back."""
    return await answered(request, serving, experiment_id, analysis_answer)


async def answered(
    request: Request,
    serving: Serving,
    experiment_id: str,
    build: Callable[..., Answer],
    *asked: object,
) -> Response:
    """Answer from the pages that were asked for before, else query in a thread.

    Args:
        request: The request.
        serving: The parts of the app.
        experiment_id: The experiment.
        build: Builds the answer from the published data, the experiment's record and `asked`.
        *asked: What else the request asks for; hashable.
    """
    snapshot = serving.snapshot()
    record = await serving.record(experiment_id)
    key = (build, experiment_id, *asked)
    answer = snapshot.pages.get(key)
    if answer is None:
        try:
            answer = await anyio.to_thread.run_sync(
                _query, snapshot.copy, build, record, *asked, limiter=serving.history_slots
            )
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


def _query(copy: Reader, build: Callable[..., Answer], *arguments: object) -> Answer:
    """Build an answer on this thread's own connection."""
    with closing(copy.branch()) as own:
        return build(own, *arguments)
