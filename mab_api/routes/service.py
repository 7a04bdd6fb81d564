"""Service routes for operators: health, readiness, metrics."""

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mab_api.dependencies import ServingDep
from mab_api.openapi import TEXT_METRICS, example, problems
from mab_api.problems import Kind
from mab_api.schemas import Health, Readiness
from mab_api.snapshot.refresher import Refused
from mab_store.allocation_payload import timestamp

router = APIRouter(tags=["service"])
open_router = APIRouter(tags=["service"])


@open_router.get(
    "/healthz",
    summary="The process answers",
    response_model=Health,
    responses=example("health"),
)
async def healthz() -> Response:
    """Never requires a key, and reports nothing about data."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get(
    "/readyz",
    summary="Allocations are served",
    response_model=Readiness,
    responses=example("readiness") | problems(Kind.NOT_PUBLISHED, Kind.LOADING),
)
async def readyz(serving: ServingDep) -> Response:
    """503 before the first publication; stale allocations are served, so they count as ready.

    `refused` is a newer copy that is not served because it lost served data.
    """
    snapshot = serving.snapshot()
    published_at = snapshot.published_at
    body = {
        "status": "ready",
        "experiments": len(snapshot.entries),
        "published_at": None if published_at is None else timestamp(published_at),
        "stale_seconds": round(serving.refresher.stale_seconds, 3),
        "refused": _refused(serving.refresher.refused),
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _refused(refused: Refused | None) -> dict[str, str] | None:
    return refused and {"version": refused.version.name, "reason": refused.reason}


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=TEXT_METRICS,
)
async def metrics(serving: ServingDep) -> Response:
    """Requests, latencies, age of the publication, failed refreshes."""
    return Response(generate_latest(serving.metrics.registry), media_type=CONTENT_TYPE_LATEST)
