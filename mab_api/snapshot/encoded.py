"""Encoded answers: bytes and the headers that belong to them, computed once."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

CACHE_CONTROL = b"max-age=60, stale-if-error=86400"

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """An encoded body and the values of its headers.

    The headers are built for each request: ten small objects for each of 10,000 bodies would pin
    three times the memory that they need.
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
        body: A JSON object.
        last_modified: Since when it is served (naive UTC); None for no Last-Modified.
    """
    payload = compact(body)
    etag = b'"%s"' % hashlib.sha256(payload).hexdigest()[:32].encode()
    return Answer(payload, etag, b"" if last_modified is None else http_date(last_modified))


def compact(body: dict[str, Any]) -> bytes:
    """Encode into no more memory than needed; orjson's own bytes keep its whole buffer."""
    return bytes(memoryview(orjson.dumps(body)))


@lru_cache(maxsize=4096)  # experiments of a publication share theirs
def http_date(moment: datetime) -> bytes:
    """Write naive UTC as HTTP does."""
    return format_datetime(moment.replace(tzinfo=UTC), usegmt=True).encode()


def later_second(moment: datetime, other: datetime) -> datetime:
    """Return a moment, moved to a later second than another one if needed.

    HTTP's dates have no smaller unit than a second, and two bodies must not share one.
    """
    return max(moment, other.replace(microsecond=0) + timedelta(seconds=1))


def holds(headers: Iterable[Header], etag: bytes, last_modified: bytes = b"") -> bool:
    """Return whether the client holds this version already (RFC 9110, section 13.2.2).

    Args:
        headers: The request's headers.
        etag: The body's ETag, which If-None-Match is compared with.
        last_modified: Its Last-Modified, which If-Modified-Since is compared with if there is no
            If-None-Match; empty if it has none.
    """
    since, is_named = b"", False
    for name, value in headers:
        if name == b"if-none-match":
            is_named = True
            tags = {tag.strip().removeprefix(b"W/") for tag in value.split(b",")}
            if etag in tags or b"*" in tags:
                return True
        elif name == b"if-modified-since":
            since = value
    return not is_named and bool(since and last_modified) and _is_since(last_modified, since)


def _is_since(last_modified: bytes, since: bytes) -> bool:
    """Return whether nothing changed after a client's date; False for an invalid date."""
    try:
        sent = parsedate_to_datetime(since.decode("ascii"))
        if sent.tzinfo is None:
            return False
        return parsedate_to_datetime(last_modified.decode()) <= sent
    except (ValueError, OverflowError):
        return False


def not_modified(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return the headers of a 304: all but those that describe a body."""
    return tuple(header for header in headers if not header[0].startswith(b"content-"))
