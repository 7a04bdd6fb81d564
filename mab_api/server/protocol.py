"""The protocol: uvicorn's, which is quick, with the limits that it lacks.

A connection is checked a few times within the shortest limit: a timer for each request would cost
more than parsing the request. docs/adr/0014 has the figures and the alternatives.
"""

import asyncio
from typing import Any

import httptools
from fastapi import FastAPI
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from mab_api.problems import Kind, ProblemError, problem_response
from mab_api.server.limits import (
    LINGER_SECONDS,
    MOST_HEADERS,
    MOST_LINGERING,
    MOST_PIPELINED,
    Turnstile,
)
from mab_api.telemetry import new_request_id

BODY_SHARE = 8
"""Chunks with less than one byte of body in eight are counted as head, like trailers."""

RETRY_SECONDS = "5"


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._turnstile = _turnstile_of(self.app)
        self._limits = self._turnstile.limits
        self.timeout_keep_alive = self._limits.idle_seconds  # type: ignore[assignment]  # it is handed to call_later
        self._timer: asyncio.TimerHandle | None = None
        self._since = self.loop.time()  # of the incoming request, otherwise of the last answer
        self._stalled_since = 0.0  # when the client stopped reading
        self._is_receiving = False
        self._is_refused = False
        self._begun = 0  # requests that began in the bytes that are being parsed
        self._body_bytes = 0
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, or refuse it if there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn does
        if len(self.connections) > self._limits.connections:
            most = self._limits.connections
            self._refuse(
                Kind.TOO_MANY_CONNECTIONS, f"At most {most} are accepted; try again later."
            )
            return
        self._timer = self.loop.call_later(self._limits.look_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        self._turnstile.lingering -= self._is_refused
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse incoming bytes, unless they are too many."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._begun = self._body_bytes = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here; the request itself is answered
        except httptools.HttpParserError:
            if not self._is_refused:
                self._refuse(Kind.MALFORMED_REQUEST, "The request is not HTTP/1.1.")
            return
        if self._is_receiving:
            self._count(len(data))

    def on_message_begin(self) -> None:
        """Note when a request begins."""
        super().on_message_begin()
        self._begun += 1
        self._head_bytes = 0
        self._is_receiving = True
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Start answering a request, unless its head is too large."""
        if self._is_head_too_large():
            self._refuse_head()
            raise ValueError  # the parser stops
        if len(self.pipeline) >= MOST_PIPELINED:
            self._refuse(
                Kind.MALFORMED_REQUEST,
                f"At most {MOST_PIPELINED} requests are accepted before their answers.",
            )
            raise ValueError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count a part of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._is_receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note when an answer ends."""
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note when the client stopped reading."""
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._stalled_since = 0.0
        super().resume_writing()

    def shutdown(self) -> None:
        """Finish the request under way, but within the server's time to stop."""
        super().shutdown()
        self.loop.call_later(self._limits.drain_seconds, self.transport.abort)

    def _should_upgrade_to_ws(self) -> bool:
        return False

    def _count(self, size: int) -> None:
        """Count the bytes of an incomplete request, except its body."""
        if self._begun == 0:
            self._head_bytes += size - BODY_SHARE * self._body_bytes
        elif self._begun == 1:
            self._head_bytes = size - BODY_SHARE * self._body_bytes
        self._head_bytes = max(0, self._head_bytes)
        if self._head_bytes > self._limits.head_bytes or self._is_head_too_large():
            self._refuse_head()

    def _is_head_too_large(self) -> bool:
        if len(self.headers) > MOST_HEADERS:
            return True
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value)
        return size > self._limits.head_bytes

    def _refuse_head(self) -> None:
        most = self._limits.head_bytes >> 10
        self._refuse(
            Kind.HEAD_TOO_LARGE, f"At most {most} KiB and {MOST_HEADERS} headers are accepted."
        )

    def _look(self) -> None:
        """End the connection if its client has used up its time."""
        self._timer = self.loop.call_later(self._limits.look_seconds, self._look)
        if self._is_refused:
            return
        now = self.loop.time()
        waited = now - self._since
        if self.flow.write_paused or self.transport.is_closing():
            self._stalled_since = self._stalled_since or now
            if now - self._stalled_since > self._limits.write_seconds:
                self._turnstile.metrics.refused.labels("answer-not-taken").inc()
                self.transport.abort()
        elif self._is_receiving and not self.flow.read_paused:
            if waited > self._limits.read_seconds:
                seconds = self._limits.read_seconds
                self._refuse(Kind.TOO_SLOW, f"A request must arrive within {seconds:g} s.")
        elif waited > self._limits.idle_seconds and self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, kind: Kind, detail: str) -> None:
        """Send the reason, give the client a moment to read it, and end the connection."""
        self._is_refused = True
        self._turnstile.lingering += 1
        self.connections.discard(self)
        request_id = new_request_id()
        self._turnstile.note(kind, request_id)
        is_answering = not self._is_idle()
        if is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        is_begun = is_answering and self.cycle.response_started
        if is_begun or self._turnstile.lingering > MOST_LINGERING:
            self.transport.abort()
            return
        self.transport.write(self._refusal(kind, detail, request_id))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()  # unread bytes at the end would destroy the answer
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _refusal(self, kind: Kind, detail: str, request_id: str) -> bytes:
        headers = {"connection": "close", "x-request-id": request_id}
        if kind is Kind.TOO_MANY_CONNECTIONS:
            headers["retry-after"] = RETRY_SECONDS
        problem = ProblemError(kind, detail, headers=headers)
        response = problem_response(problem, request_id=request_id)
        lines = [b"%b: %b\r\n" % header for header in response.raw_headers]
        lines += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        return b"".join([STATUS_LINE[kind.status], *lines, b"\r\n", response.body])


def _turnstile_of(app: Any) -> Turnstile:
    """Find the turnstile inside uvicorn's wrappers of the app."""
    while not isinstance(app, FastAPI):
        app = app.app
    turnstile: Turnstile = app.state.serving.turnstile
    return turnstile
