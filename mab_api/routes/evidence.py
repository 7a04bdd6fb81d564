"""Reading the evidence: daily counts with their files, verdicts on rows, and explanations."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mab_api.dependencies import ServingDep
from mab_api.evidence_schemas import Daily, Explanation, Quality
from mab_api.openapi import NOT_MODIFIED, example, problems
from mab_api.problems import Kind
from mab_api.queries.evidence import DAY_CURSOR, daily_page, explanation_answer, quality_page
from mab_api.queries.history import PageRequest
from mab_api.routes.experiments import ExperimentId, Limit
from mab_api.routes.history import HEADERS, RESPONSES, From, To, answered, page_answer
from mab_api.schemas import Day
from mab_api.snapshot.encoded import Answer
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_api.snapshot.snapshot import Snapshot

router = APIRouter(tags=["history"])

DayCursor = Annotated[
    str | None, Query(pattern=DAY_CURSOR, description="`next_cursor` of the previous page.")
]
AsOf = Annotated[
    Day | None,
    Query(alias="date", description="The as-of date; by default the newest published one."),
]


@router.get(
    "/experiments/{experiment_id}/daily",
    summary="Accepted counts per day with the file of each, oldest first",
    response_model=Daily,
    responses=example("daily", headers=HEADERS) | RESPONSES,
)
async def get_daily(  # one per query parameter
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    *,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: DayCursor = None,
) -> Response:
    """Like `/history`, one item per day; every count names its file."""
    wanted = PageRequest(from_, to, limit, cursor)
    return await page_answer(request, serving, experiment_id, wanted=wanted, build=daily_page)


@router.get(
    "/experiments/{experiment_id}/quality",
    summary="Received, accepted, superseded and rejected rows per day, oldest first",
    response_model=Quality,
    responses=example("quality", headers=HEADERS) | RESPONSES,
)
async def get_quality(  # one per query parameter
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    *,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: DayCursor = None,
) -> Response:
    """Rows that name no known experiment belong to none; pruned days have no rows."""
    wanted = PageRequest(from_, to, limit, cursor)
    return await page_answer(request, serving, experiment_id, wanted=wanted, build=quality_page)


@router.get(
    "/experiments/{experiment_id}/explanation",
    summary="How each variant got its share, down to the files",
    response_model=Explanation,
    responses=example("explanation", headers=HEADERS)
    | NOT_MODIFIED
    | problems(
        Kind.EXPERIMENT_NOT_FOUND,
        Kind.NOT_MATERIALISED,
        Kind.INVALID,
        Kind.NOT_PUBLISHED,
        Kind.LOADING,
        Kind.HISTORY_UNAVAILABLE,
    ),
)
async def get_explanation(
    request: Request, serving: ServingDep, experiment_id: ExperimentId, date: AsOf = None
) -> Response:
    """The same as `mab explain` says, as data."""
    snapshot = serving.snapshot()
    record = await serving.record(experiment_id)
    return await answered(
        request,
        serving,
        key=("explanation", experiment_id, date),
        query=partial(_explanation, snapshot, record, date),
        snapshot=snapshot,
    )


def _explanation(snapshot: Snapshot, record: ExperimentRecord, date: Day | None) -> Answer:
    copy = snapshot.copy.branch()
    try:
        return explanation_answer(copy, record, date)
    finally:
        copy.close()
