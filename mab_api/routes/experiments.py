"""Reading experiments: the experiment index, the changes, and the variant of a session."""

from functools import partial
from typing import Annotated

import anyio
import orjson
from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from mab_api.analysis_schemas import Verdict
from mab_api.dependencies import ServingDep
from mab_api.openapi import EXPERIMENT_ID, example, problems
from mab_api.problems import Kind
from mab_api.queries.changes import CHANGE_CURSOR, changes_page
from mab_api.schemas import Assignment, ChangeList, Experiment, ExperimentList, Status
from mab_api.snapshot.experiment_index import Filter
from mab_store.experiments.assignment import bucket_of, variant_of

router = APIRouter(tags=["experiments"])

NO_CACHE = {"cache-control": "no-cache"}

ExperimentId = Annotated[
    str, Path(description="The id that `POST /experiments` returned.", examples=[EXPERIMENT_ID])
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items on a page.")]
NameCursor = Annotated[
    str | None,
    Query(
        pattern=r"^([0-9a-f]{2}){1,800}$",
        description="`next_cursor` of the previous page.",
    ),
]
SearchText = Annotated[
    str | None,
    Query(min_length=1, max_length=200, description="Only those with this in name or id."),
]
SessionId = Annotated[
    str, Query(min_length=1, max_length=512, description="The CDP's id of the session.")
]


@router.get(
    "/experiments",
    summary="Experiments by name, with their advice and shares",
    response_model=ExperimentList,
    responses=example("experiments") | problems(Kind.INVALID, Kind.LOADING),
)
async def list_experiments(  # one per query parameter
    serving: ServingDep,
    *,
    limit: Limit = 100,
    cursor: NameCursor = None,
    q: SearchText = None,
    status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
    verdict: Annotated[
        Verdict | None, Query(description="Only those whose stop advice is this.")
    ] = None,
) -> Response:
    """A page at a time; experiments registered a moment ago are in it."""
    serving.check_loaded()
    after = None if cursor is None else bytes.fromhex(cursor)
    index, wanted = serving.refresher.experiment_index, Filter(q, status, verdict)
    if wanted == Filter():
        found = index.page(after, limit)
    else:  # goes through all experiments, so the event loop does not wait for it
        query = partial(index.filtered, wanted, after, limit)
        found = await anyio.to_thread.run_sync(query, limiter=serving.history_slots)
    following = b"null"
    if len(found) > limit:
        following = b'"%s"' % found[limit - 1].name.hex().encode()
    page = b",".join(packed.listed() for packed in found[:limit])
    body = b'{"experiments":[%s],"next_cursor":%s}' % (page, following)
    return Response(body, headers=NO_CACHE, media_type="application/json")


@router.get(
    "/experiments/{experiment_id}",
    summary="One experiment",
    response_model=Experiment,
    responses=example("experiment") | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.LOADING),
)
async def get_experiment(serving: ServingDep, experiment_id: ExperimentId) -> Response:
    """An experiment and its variants as they are today."""
    serving.check_loaded()
    return _json(await serving.record(experiment_id))


@router.get(
    "/experiments/{experiment_id}/changes",
    summary="Who changed an experiment, when and how, oldest first",
    response_model=ChangeList,
    responses=example("changes")
    | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.INVALID, Kind.INBOX_UNAVAILABLE),
)
async def get_changes(
    serving: ServingDep,
    experiment_id: ExperimentId,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(pattern=CHANGE_CURSOR)] = None,
) -> Response:
    """The accepted changes in the inbox now, including those that begin tomorrow."""
    record = await serving.record(experiment_id)
    events = await run_in_threadpool(serving.submissions.events, experiment_id)
    return _json(changes_page(events.changes, record, limit=limit, cursor=cursor))


@router.get(
    "/experiments/{experiment_id}/assignment",
    summary="Which variant a session sees",
    response_model=Assignment,
    responses=example("assignment")
    | problems(
        Kind.EXPERIMENT_NOT_FOUND,
        Kind.NOT_MATERIALISED,
        Kind.INVALID,
        Kind.NOT_PUBLISHED,
        Kind.LOADING,
    ),
)
async def get_assignment(
    serving: ServingDep, experiment_id: ExperimentId, session_id: SessionId
) -> Response:
    """Applies the hash of docs/API.md; the CDP can compute the same without a request."""
    entry = await serving.entry(experiment_id)
    body = orjson.loads(entry.at(serving.clock()).body)
    bucket = bucket_of(experiment_id, session_id)
    return _json(
        {
            "experiment_id": experiment_id,
            "session_id": session_id,
            "bucket": bucket,
            "variant_name": variant_of(bucket, body["allocations"]),
            "allocation_id": body["allocation_id"],
        }
    )


def _json(body: dict[str, object]) -> Response:
    return Response(orjson.dumps(body), headers=NO_CACHE, media_type="application/json")
