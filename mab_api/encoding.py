"""Encoded answers: bytes and the headers that belong to them, made once.

What belongs here: JSON, ETag, Last-Modified and Cache-Control of an answer from memory. What does
not: when it is made, and sending it.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NamedTuple

import orjson

CACHE_CONTROL = b"max-age=60, stale-if-error=86400"

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """An encoded body and what its headers say.

    The headers are put together for each request: ten small objects for each of 10,000 bodies
    would pin three times the memory that they need.
    """

    body: bytes
    etag: bytes
    last_modified: bytes

    @property
    def headers(self) -> tuple[Header, ...]:
        """Return the headers of a 200."""
        headers = (
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"etag", self.etag),
            (b"cache-control", CACHE_CONTROL),
        )
        return (*headers, (b"last-modified", self.last_modified)) if self.last_modified else headers


def encode(body: dict[str, Any], *, last_modified: datetime | None = None) -> Answer:
    """Encode a body.

    Args:
        body: What JSON can hold.
        last_modified: When it became what it is (naive UTC); None where nobody asks.
    """
    payload = compact(body)
    etag = b'"%s"' % hashlib.sha256(payload).hexdigest()[:32].encode()
    return Answer(payload, etag, b"" if last_modified is None else http_date(last_modified))


def compact(body: dict[str, Any]) -> bytes:
    """Encode into no more memory than is needed; orjson's own bytes hold on to its buffer."""
    return bytes(memoryview(orjson.dumps(body)))


def http_date(moment: datetime) -> bytes:
    """Write naive UTC as HTTP does."""
    return format_datetime(moment.replace(tzinfo=UTC), usegmt=True).encode()


def holds(headers: Iterable[Header], etag: bytes) -> bool:
    """Say whether the client holds this version already (If-None-Match)."""
    for name, value in headers:
        if name == b"if-none-match":
            tags = {tag.strip().removeprefix(b"W/") for tag in value.split(b",")}
            if etag in tags or b"*" in tags:
                return True
    return False


def not_modified(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return the headers of a 304: all but those that describe a body."""
    return tuple(header for header in headers if not header[0].startswith(b"content-"))
