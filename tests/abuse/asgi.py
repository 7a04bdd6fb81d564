"""Requests that no client library sends: straight into the app, as a server hands them on."""

import asyncio
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import FastAPI

from mab_api.app import create_app
from mab_store.settings import Settings
from tests.integration.api.homes import Clock


def made_app(settings: Settings, *, is_dev: bool = False) -> FastAPI:
    """Return an app whose background work is not started."""
    return create_app(settings, clock=Clock(), is_dev=is_dev, log_stream=io.BytesIO())


@dataclass
class Reply:
    """What came back.

    Attributes:
        status: Status of the answer; 0 where there was none.
        headers: Its headers.
        body: Its body.
        reads: How often the app asked for the request's body.
        types: The types of all messages.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reads: int = 0
    types: list[str] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """Return the kind of problem, without its prefix."""
        return orjson.loads(self.body)["type"].removeprefix("urn:mab:problem:")


def send(
    app: FastAPI,
    method: str,
    target: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    root_path: str = "",
    kind: str = "http",
    incoming: Iterable[dict[str, Any]] | None = None,
    plain: bool = False,
) -> Reply:
    """Hand a request to an app, with the path that uvicorn makes of a request line's target.

    Args:
        app: The app.
        method: The method, as it is sent.
        target: Path and query, percent-encoded.
        headers: Headers beside Host and Content-Type.
        body: The body.
        root_path: The server's `--root-path`.
        kind: `http` or `websocket`.
        incoming: Messages that the app receives in place of the body.
        plain: Whether no other headers are sent than the given ones.
    """
    raw_path, _, query = target.partition("?")
    usual = [("host", "127.0.0.1:8000"), ("content-type", "application/json")]
    sent = [*headers] if plain else [*usual, *headers]
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "method": method,
        "root_path": root_path,
        "path": root_path + unquote(raw_path),
        "raw_path": (root_path + raw_path).encode(),
        "query_string": query.encode(),
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in sent
        ],
    }
    messages = iter(incoming or [{"type": "http.request", "body": body, "more_body": False}])
    reply = Reply()

    async def receive() -> dict[str, Any]:
        reply.reads += 1
        return next(messages, {"type": "http.disconnect"})

    async def take(message: dict[str, Any]) -> None:
        reply.types.append(message["type"])
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {n.decode().lower(): v.decode() for n, v in message["headers"]}
        reply.body += message.get("body", b"")

    asyncio.run(_call(app, scope, receive, take))
    return reply


async def _call(app: FastAPI, scope: Any, receive: Any, take: Any) -> None:
    await app(scope, receive, take)
