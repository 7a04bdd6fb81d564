"""The hot routes, `GET /experiments/{id}/allocation` and `GET /allocations`.

They are plain Starlette routes, because FastAPI's own cost twice as much per request. OpenAPI
therefore knows them only from the functions without a body at the end, which nothing calls.
"""

from collections.abc import Iterable, Mapping

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mab_api.dependencies import Serving
from mab_api.openapi import ENCODED_HEADERS, NOT_MODIFIED, example, operation_id, problems
from mab_api.problems import Kind
from mab_api.routes.experiments import ExperimentId
from mab_api.schemas import Allocation, AllocationList
from mab_api.snapshot.allocation_list import Listing
from mab_api.snapshot.encoded import CACHE_CONTROL, Answer, Header, holds, http_date, not_modified

ALLOCATION = "/experiments/{experiment_id}/allocation"
ALLOCATIONS = "/allocations"
_BEFORE, _AFTER = ALLOCATION.split("{experiment_id}")

documented = APIRouter(tags=["allocations"], generate_unique_id_function=operation_id)


class FastLane:
    """Answers nearly every request without any routing.

    It takes a GET of a known experiment's allocation from a client that holds no version of it. All
    other requests take the ordinary way, `AllocationEndpoint` first, and get the same answer.
    """

    template = ALLOCATION

    def __init__(self, serving: Serving) -> None:
        self._refresher = serving.refresher
        self._clock = serving.clock

    def __call__(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer | None:
        """Return the answer, or None if the request must take the ordinary way."""
        path, snapshot = scope["path"], self._refresher.snapshot
        if not path.endswith(_AFTER) or scope["method"] != "GET" or snapshot is None:
            return None
        entry = snapshot.entries.get(path[len(_BEFORE) : -len(_AFTER)])
        if entry is None or not path.startswith(_BEFORE):
            return None
        if b"if-none-match" in headers or b"if-modified-since" in headers:
            return None
        return entry.at(self._clock())


class AllocationEndpoint:
    """Answers one experiment's allocation."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        entry = await self._serving.entry(scope["path_params"]["experiment_id"])
        answer = entry.at(self._serving.clock())
        if holds(scope["headers"], answer.etag, answer.last_modified):
            await _send_not_modified(send, answer.headers)
            return
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


class AllocationsEndpoint:
    """Answers all running and paused experiments' allocations in one body."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        snapshot, now = self._serving.snapshot(), self._serving.clock()
        listing = snapshot.listing
        if now > listing.valid_until:
            listing = await run_in_threadpool(snapshot.relist, now)
        is_gzipped = _accepts_gzip(scope)
        headers = _list_headers(listing, is_gzipped=is_gzipped)
        etag, last_modified = _list_etag(listing, is_gzipped=is_gzipped), listing.last_modified
        if holds(scope["headers"], etag, http_date(last_modified)):
            await _send_not_modified(send, headers)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = [listing.gzipped] if is_gzipped else listing.pieces()
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def hot_routes(serving: Serving) -> list[Route]:
    """Return the routes that are tried before FastAPI's."""
    return [
        Route(ALLOCATION, AllocationEndpoint(serving), methods=["GET"]),
        Route(ALLOCATIONS, AllocationsEndpoint(serving), methods=["GET"]),
    ]


def _list_headers(listing: Listing, *, is_gzipped: bool) -> tuple[Header, ...]:
    length = len(listing.gzipped) if is_gzipped else listing.length
    headers: tuple[Header, ...] = (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % length),
        (b"etag", _list_etag(listing, is_gzipped=is_gzipped)),
        (b"last-modified", http_date(listing.last_modified)),
        (b"cache-control", CACHE_CONTROL),
        (b"vary", b"accept-encoding"),
    )
    return (*headers, (b"content-encoding", b"gzip")) if is_gzipped else headers


def _list_etag(listing: Listing, *, is_gzipped: bool) -> bytes:
    """A strong ETag names bytes, so each encoding has its own."""
    return b'"%s%s"' % (listing.digest.encode(), b"-gzip" if is_gzipped else b"")


async def _send_not_modified(send: Send, headers: Iterable[Header]) -> None:
    kept = not_modified(headers)
    await send({"type": "http.response.start", "status": 304, "headers": kept})
    await send({"type": "http.response.body", "body": b""})


def _accepts_gzip(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            for part in value.lower().split(b","):
                coding, _, weight = part.replace(b" ", b"").partition(b";q=")
                if coding in {b"gzip", b"*"}:
                    return weight.strip(b"0.") != b"" if weight else True
    return False


@documented.get(
    ALLOCATION,
    summary="How to split an experiment's sessions",
    response_model=Allocation,
    responses=example("allocation", headers=ENCODED_HEADERS)
    | NOT_MODIFIED
    | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.NOT_MATERIALISED, Kind.NOT_PUBLISHED, Kind.LOADING),
)
def get_allocation(experiment_id: ExperimentId) -> None:
    """The allocation that was published last, from memory: it needs no warehouse."""


@documented.get(
    ALLOCATIONS,
    summary="All running and paused experiments' allocations",
    response_model=AllocationList,
    responses=example("allocations", headers=ENCODED_HEADERS)
    | NOT_MODIFIED
    | problems(Kind.NOT_PUBLISHED, Kind.LOADING),
)
def get_allocations() -> None:
    """One body for the CDP's sync; each element is an answer of the route above."""
