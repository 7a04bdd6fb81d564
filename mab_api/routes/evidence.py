"""Reading the evidence: daily counts with their files, verdicts on rows, and explanations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from mab_api.dependencies import ServingDep
from mab_api.evidence_schemas import Daily, Explanation, Quality, Rows
from mab_api.problems import Kind
from mab_api.queries.evidence import (
    DAY_CURSOR,
    ROW_CURSOR,
    daily_page,
    explanation_answer,
    quality_page,
    rows_page,
)
from mab_api.queries.history import PageRequest
from mab_api.routes.experiments import ExperimentId
from mab_api.routes.history import answered, documented, page
from mab_api.schemas import Day

router = APIRouter(tags=["history"])

PageOfDays = Annotated[PageRequest, Depends(page(DAY_CURSOR))]
RowVerdict = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z_]{1,40}$",
        description="`accepted`, `superseded`, `rejected`, or one reason of rejection.",
        examples=["rejected"],
    ),
]
AsOf = Annotated[
    Day | None,
    Query(alias="date", description="The as-of date; by default the newest published one."),
]


@router.get(
    "/experiments/{experiment_id}/daily",
    summary="Accepted counts per day with the file of each, oldest first",
    response_model=Daily,
    responses=documented("daily", Kind.INVALID),
)
async def get_daily(
    request: Request, serving: ServingDep, experiment_id: ExperimentId, wanted: PageOfDays
) -> Response:
    """Like `/history`, one item per day; every count names its file."""
    return await answered(request, serving, experiment_id, daily_page, wanted)


@router.get(
    "/experiments/{experiment_id}/quality",
    summary="Received, accepted, superseded and rejected rows per day, oldest first",
    response_model=Quality,
    responses=documented("quality", Kind.INVALID),
)
async def get_quality(
    request: Request, serving: ServingDep, experiment_id: ExperimentId, wanted: PageOfDays
) -> Response:
    """Rows that name no known experiment belong to none; pruned days have no rows."""
    return await answered(request, serving, experiment_id, quality_page, wanted)


@router.get(
    "/experiments/{experiment_id}/rows",
    summary="Received rows as they came, with the verdict on each, oldest day first",
    response_model=Rows,
    responses=documented("rows", Kind.INVALID),
)
async def get_rows(
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    wanted: Annotated[PageRequest, Depends(page(ROW_CURSOR))],
    verdict: RowVerdict = None,
) -> Response:
    """Rows that name no known experiment belong to none; pruned days have no rows."""
    return await answered(request, serving, experiment_id, rows_page, wanted, verdict)


@router.get(
    "/experiments/{experiment_id}/explanation",
    summary="How each variant got its share, down to the files",
    response_model=Explanation,
    responses=documented("explanation", Kind.NOT_MATERIALISED, Kind.INVALID),
)
async def get_explanation(
    request: Request, serving: ServingDep, experiment_id: ExperimentId, date: AsOf = None
) -> Response:
    """The same as `mab explain` says, as data."""
    return await answered(request, serving, experiment_id, explanation_answer, date)
