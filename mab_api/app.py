"""The app: puts the parts of the API together."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import BinaryIO

import anyio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp

from mab_api.auth import Door, KeyDoor, Keyring, dev_door
from mab_api.dependencies import Serving
from mab_api.middleware import Gateway
from mab_api.openapi import DESCRIPTION, TITLE, VERSION, openapi_document, operation_id
from mab_api.problems import Kind, ProblemError, as_problem, method_problem, problem_response
from mab_api.routes import OPEN_ROUTES, ROUTERS
from mab_api.routes.allocations import FastLane, documented, hot_routes
from mab_api.routes.pages import SelfContained
from mab_api.server.limits import Turnstile, limits_of
from mab_api.snapshot.refresher import Refresher
from mab_api.snapshot.worker import Read, read_in_worker
from mab_api.submissions import Submissions
from mab_api.telemetry import RequestLines, ServerMetrics, make_log
from mab_store.clock import Clock, utc_now
from mab_store.files.inbox import Inbox
from mab_store.files.receipts import Receipts
from mab_store.settings import Settings

HISTORY_SLOTS = 2


def create_app(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    is_dev: bool = False,
    log_stream: BinaryIO | None = None,
    read: Read = read_in_worker,
    on_start: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the API.

    Args:
        settings: The settings.
        clock: Returns the time as naive UTC.
        is_dev: Whether POSTs are taken without a key, and reads too (`mab api --dev`).
        log_stream: Takes the log lines; stderr by default.
        read: Reads a published version.
        on_start: Called in the server's thread when it starts.
    """
    stream = log_stream or sys.stderr.buffer
    log, metrics = make_log(stream), ServerMetrics()
    inbox = Inbox(
        settings.inbox_root,
        max_file_bytes=settings.inbox_max_file_mb << 20,
        receipts=Receipts(settings.receipts_dir),
    )
    refresher = Refresher(settings, inbox, clock=clock, metrics=metrics, log=log, read=read)
    lines = RequestLines(stream)
    serving = Serving(
        settings=settings,
        clock=clock,
        refresher=refresher,
        submissions=Submissions(inbox, start_date=settings.mab_start_date, clock=clock),
        metrics=metrics,
        log=log,
        lines=lines,
        history_slots=anyio.CapacityLimiter(HISTORY_SLOTS),
        turnstile=Turnstile(limits_of(settings), metrics, lines),
    )
    _add_gauges(serving)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        on_start()
        refresher.start()
        yield
        await anyio.to_thread.run_sync(refresher.stop, limiter=anyio.CapacityLimiter(1))
        serving.lines.flush()

    app: FastAPI = FastAPIOffline(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,  # `routes.pages` has its own
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # 3 µs a request
        generate_unique_id_function=operation_id,
    )
    app.state.serving = serving
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(SelfContained)
    app.openapi = cache(lambda: openapi_document([*app.routes, *documented.routes]))  # type: ignore[method-assign]  # as FastAPI says
    hot = hot_routes(serving)
    answer_problem = _problem_handler([*hot, *app.routes])
    for kind in (ProblemError, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, answer_problem)
    gateway = Gateway(
        Router(
            hot,
            default=app.build_middleware_stack(),
            redirect_slashes=False,
            lifespan=lifespan,
        ),
        door=dev_door if is_dev else _key_door(settings),
        metrics=metrics,
        log=log,
        lines=serving.lines,
        fast_lane=FastLane(serving),
    )
    origins = settings.api_cors_origins
    app.middleware_stack = _read_from(gateway, origins) if origins else gateway
    return app


def _read_from(app: ASGIApp, origins: Sequence[str]) -> CORSMiddleware:
    """Let pages of these origins read. It stands outside, as a preflight request has no key."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match"],
        expose_headers=["ETag", "Last-Modified", "Retry-After", "X-Request-ID"],
        max_age=3600,
    )


def _key_door(settings: Settings) -> Door:
    readers = [*settings.api_read_keys, *settings.api_write_keys] if settings.api_read_keys else []
    return KeyDoor(
        readers=Keyring(readers),
        writers=Keyring(settings.api_write_keys),
        open_routes=OPEN_ROUTES,
    )


def _add_gauges(serving: Serving) -> None:
    """Add the gauges that are computed when the metrics are read."""
    refresher, metrics = serving.refresher, serving.metrics

    def publication_age() -> float:
        snapshot = refresher.snapshot
        if snapshot is None or snapshot.published_at is None:
            return float("nan")
        return (serving.clock() - snapshot.published_at).total_seconds()

    def experiments() -> float:
        return len(refresher.snapshot.entries) if refresher.snapshot else 0

    metrics.gauge(
        "mab_stale_seconds",
        "Seconds since the snapshot was last known to be the newest publication.",
        lambda: refresher.stale_seconds,
    )
    metrics.gauge(
        "mab_publication_age_seconds", "Seconds since the newest publication.", publication_age
    )
    metrics.gauge(
        "mab_publication_refused",
        "1 while a newer publication is refused because it lost served data.",
        lambda: float(refresher.refused is not None),
    )
    metrics.gauge("mab_experiments", "Experiments with a published allocation.", experiments)


def _problem_handler(
    routes: Sequence[BaseRoute],
) -> Callable[[Request, Exception], Response]:
    """Return the handler that turns an exception below FastAPI into a problem."""
    contexts = list(iter_route_contexts(routes))

    def answer(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if problem.kind is Kind.METHOD_NOT_ALLOWED:
            here = [c for c in contexts if c.matches(request.scope)[0] is not Match.NONE]
            methods = set().union(*(context.methods or () for context in here)) or {"GET"}
            problem = method_problem(methods | {"HEAD"} if "GET" in methods else methods)
        return problem_response(problem, request_id=request.scope["request_id"])

    return answer
