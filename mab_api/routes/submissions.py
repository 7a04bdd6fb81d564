"""Writing: the routes that take a POST or a PATCH.

The door has checked the key before these run (`mab_api/auth.py`).
"""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from mab_api.auth import check_may_write
from mab_api.dependencies import ServingDep
from mab_api.openapi import body_of, example, linked, problems
from mab_api.problems import Kind
from mab_api.routes.experiments import ExperimentId
from mab_api.schemas import ChangedExperiment, Experiment, Receipt
from mab_api.snapshot.experiment_index import registered_record
from mab_api.snapshot.registrations import record_on
from mab_api.submissions import MAX_KEY_LENGTH, read_body

router = APIRouter(tags=["intake"], dependencies=[Depends(check_may_write)])

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        description="The same key and body again return the same receipt and write no second file.",
    ),
]
WRITE_PROBLEMS = (
    Kind.MALFORMED_REQUEST,
    Kind.KEY_REQUIRED,
    Kind.KEY_REFUSED,
    Kind.READ_ONLY,
    Kind.TOO_LARGE,
    Kind.NOT_JSON,
    Kind.INVALID,
    Kind.INBOX_UNAVAILABLE,
)
AGAIN = example("registered", status=200, description="The same experiment was registered before.")
AGAIN[200]["model"] = Experiment
CHANGED_BEFORE = example("changed", description="The same change was made before and still holds.")
CHANGED_BEFORE[200]["model"] = ChangedExperiment
NEXT = ("get_experiment", "submit_metrics", "get_history", "get_publications")
CREATED = linked(example("registered", status=201), *NEXT)


@router.post(
    "/experiments",
    status_code=201,
    summary="Register an experiment",
    response_model=Experiment,
    responses=CREATED | AGAIN | problems(Kind.CONFLICT, *WRITE_PROBLEMS),
    openapi_extra=body_of("ExperimentSpec", "register"),
)
async def register_experiment(request: Request, serving: ServingDep) -> Response:
    """Its id follows from its name; the next run of the pipeline allocates its first traffic."""
    body = await read_body(request)
    registration = await run_in_threadpool(serving.submissions.register, body)
    record = registered_record(registration.event)
    if registration.is_new:
        serving.refresher.experiment_index.add(record)
    else:  # it may have been changed since
        record = await serving.known(record["experiment_id"]) or record
    root_path = request.scope.get("root_path", "").rstrip("/")
    return Response(
        orjson.dumps(record),
        201 if registration.is_new else 200,
        {"location": f"{root_path}/experiments/{record['experiment_id']}"},
        "application/json",
    )


@router.patch(
    "/experiments/{experiment_id}",
    status_code=202,
    summary="Change an experiment from tomorrow on",
    response_model=ChangedExperiment,
    responses=example("changed", status=202)
    | CHANGED_BEFORE
    | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.CHANGE_REFUSED, *WRITE_PROBLEMS),
    openapi_extra=body_of("ChangeSpec", "change"),
)
async def change_experiment(
    request: Request, serving: ServingDep, experiment_id: ExperimentId
) -> Response:
    """Pause, resume, finish, add or retire variants; today and the past do not change.

    202 means that the change is on disk. The answer is the experiment with the change applied.
    """
    body = await read_body(request)
    await serving.record(experiment_id)
    made = await run_in_threadpool(serving.submissions.change, experiment_id, body)
    day = made.event.effective_date
    record = record_on(made.registry, day) | {"effective_date": str(day)}
    return Response(
        orjson.dumps(record), 202 if made.is_new else 200, media_type="application/json"
    )


@router.post(
    "/experiments/{experiment_id}/metrics",
    status_code=202,
    summary="Submit the counts of a day",
    response_model=Receipt,
    responses=example("receipt", status=202)
    | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.KEY_REUSED, *WRITE_PROBLEMS),
    openapi_extra=body_of("MetricsSubmission", "metrics"),
)
async def submit_metrics(
    request: Request,
    serving: ServingDep,
    experiment_id: ExperimentId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """202 means that the counts are on disk. They replace earlier counts of the day."""
    body = await read_body(request)
    await serving.record(experiment_id)
    receipt = await run_in_threadpool(
        serving.submissions.submit, experiment_id, body, idempotency_key=idempotency_key
    )
    return Response(orjson.dumps(receipt), 202, media_type="application/json")
