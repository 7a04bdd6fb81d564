"""The gateway: wraps every request, whatever its address.

It sets the request id, asks the door, answers HEAD like GET, turns exceptions into problems, and
writes the log line and the metrics. It wraps the whole app, so nothing enters or leaves without it.
"""

import re
import time
from collections.abc import Mapping
from traceback import extract_tb

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mab_api.auth import MAY_WRITE, Door
from mab_api.problems import NOT_SERVED, Kind, ProblemError, as_problem, problem_response
from mab_api.routes.allocations import FastLane
from mab_api.snapshot.encoded import Answer
from mab_api.telemetry import Log, RequestLines, ServerMetrics, new_request_id

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Gateway:
    """ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Door,
        metrics: ServerMetrics,
        log: Log,
        lines: RequestLines,
        fast_lane: FastLane,
    ) -> None:
        self._app = app
        self._door = door
        self._metrics = metrics
        self._log = log
        self._lines = lines
        self._fast_lane = fast_lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._handle_other(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        exchange = _Exchange(scope, headers, send)
        try:
            if self._door(exchange.scope, headers):
                exchange.scope[MAY_WRITE] = True
            answer = self._fast_lane(scope, headers)
            if answer is None:
                _check_address(scope["path"])
                await self._app(exchange.scope, receive, exchange.send)
            else:
                await exchange.give(answer)
        except Exception as error:  # noqa: BLE001  # after this nothing can answer it
            await self._answer_error(error, exchange, receive)
        finally:
            self._note(exchange, time.perf_counter() - started)

    async def _handle_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:  # the app speaks no WebSocket, and no door checks one
            await send({"type": "websocket.close", "code": 1008})

    async def _answer_error(
        self, error: Exception, exchange: "_Exchange", receive: Receive
    ) -> None:
        problem = as_problem(error)
        if problem.kind is Kind.INTERNAL:
            # The stack frames, never the message: it may quote a body.
            frames = [f"{f.filename}:{f.lineno} {f.name}" for f in extract_tb(error.__traceback__)]
            self._log.error(
                "crashed",
                request_id=exchange.request_id,
                error=type(error).__name__,
                at=frames[-5:],
            )
        if exchange.status == 0:
            response = problem_response(problem, request_id=exchange.request_id)
            await response(exchange.scope, receive, exchange.send)

    def _note(self, exchange: "_Exchange", seconds: float) -> None:
        scope = exchange.scope
        route = scope.get("route")
        template = route.path if route else exchange.template
        method = exchange.method
        self._metrics.requests.add(template, method, exchange.status, seconds)
        self._lines.add(
            request_id=exchange.request_id,
            method=method,
            path=scope["path"],
            status=exchange.status,
            seconds=seconds,
        )


def _check_address(path: str) -> None:
    """Refuse an address that no route has but that a route's pattern might match.

    A pattern's `$` also matches before a newline at the end.
    """
    if not path.isprintable():
        raise ProblemError(Kind.ROUTE_NOT_FOUND, NOT_SERVED)


class _Exchange:
    """One request and its answer.

    Attributes:
        scope: The request as the app sees it: a GET for HEAD, which is answered without the body.
        method: The method that was sent.
        request_id: Its id: the client's own, or a new one.
        status: Status of the answer; 0 before it starts.
        template: Address that the metrics show if no route was found.
    """

    __slots__ = ("_send", "method", "request_id", "scope", "status", "template")

    def __init__(self, scope: Scope, headers: Mapping[bytes, bytes], send: Send) -> None:
        sent = headers.get(b"x-request-id")
        is_usable = sent is not None and _REQUEST_ID.fullmatch(sent)
        self.request_id = sent.decode() if sent and is_usable else new_request_id()
        self.method = scope["method"]
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.scope["request_id"] = self.request_id
        self.status = 0
        self.template = "none"
        self._send = send

    async def give(self, answer: Answer) -> None:
        """Send an answer of the fast path."""
        self.status, self.template = 200, FastLane.template
        headers = (*answer.headers, (b"x-request-id", self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = (*message["headers"], (b"x-request-id", self.request_id.encode()))
            message = {**message, "headers": headers}
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)
