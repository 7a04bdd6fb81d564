"""An HTTP source: one bounded GET per day.

The standard library sends it, since httpx and urllib3 write each URL into their logs, and a URL may
be a secret. A redirect to another host or to plain http is an error: the token is for one host.
"""

import http.client
import time
import urllib.error
import urllib.request
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from mab_pipeline.sources.config import HttpSource, filled_in
from mab_pipeline.sources.fetched import Fetched, SourceDownError, SourceError, too_large
from mab_pipeline.sources.url_secrets import Secrets
from mab_store.errors import UsageError

_CHUNK_BYTES = 1 << 16
_TYPES = {"json": "json", "csv": "csv", "plain": "csv"}
_HERE = {"127.0.0.1", "localhost", "::1"}
_TRY_LATER = {
    http.HTTPStatus.REQUEST_TIMEOUT,
    http.HTTPStatus.TOO_EARLY,
    http.HTTPStatus.TOO_MANY_REQUESTS,
}


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to the host, port and scheme that were asked."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request.

        Raises:
            SourceError: It goes elsewhere.
        """
        asked, told = urlsplit(req.full_url), urlsplit(newurl)
        if (asked.scheme, asked.netloc) != (told.scheme, told.netloc):
            raise SourceError(
                f"{asked.hostname} redirects to another host ({told.hostname}), which is not "
                "followed; name that URL itself if it is right"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_http(
    source: HttpSource, day: date, *, secrets: Secrets, most_bytes: int
) -> list[Fetched]:
    """Get the answer for a day; none if it is empty.

    Args:
        source: The source.
        day: The day.
        secrets: Remembers the secrets that are read.
        most_bytes: Largest answer [bytes].

    Raises:
        SourceDownError: The host does not answer, not in time, or with 5xx, 408, 425 or 429.
        SourceError: It answers otherwise; with another status, or with too much.
        UsageError: An environment variable is not set.
    """
    template = source.url or secrets.read(source.url_env or "")
    url = filled_in(template, day)
    headers = {"User-Agent": "mab", "Accept": "application/json, text/csv"}
    if source.token_env:
        headers["Authorization"] = f"Bearer {secrets.read(source.token_env)}"
    _require_safe(url, has_token=source.token_env is not None)
    host = urlsplit(url).hostname or ""
    end = time.monotonic() + source.timeout_seconds
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # http or https, see above
        opener = urllib.request.build_opener(_SameHost)
        with opener.open(request, timeout=source.timeout_seconds) as response:
            payload = _read(response, end=end, host=host, most_bytes=most_bytes)
            kind = source.format or _kind(response.headers.get_content_type(), host)
    except urllib.error.HTTPError as error:
        raise _refused(error.code, host) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            raise _slow(host, source.timeout_seconds) from None
        raise SourceDownError(f"{host} does not answer ({cause})") from None
    return [Fetched(f"answer.{kind}", payload)] if payload.strip() else []


def _require_safe(url: str, *, has_token: bool) -> None:
    """Refuse a URL that is none, or that would carry the token in plain text."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it raises for a bad one
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("its URL must be https://HOST/PATH or http://HOST/PATH")
    if parts.scheme == "http" and has_token and parts.hostname not in _HERE:
        raise UsageError(
            "its URL must begin with https://, or the token would travel in plain text"
        )


def _read(response: Any, *, end: float, host: str, most_bytes: int) -> bytes:
    """Read an answer up to a size and a time, however slowly it drips."""
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > most_bytes:
            raise too_large(f"the answer of {host}", most_bytes)
        if time.monotonic() > end:
            raise TimeoutError
    stated = response.headers.get("Content-Length", "")
    if stated.isdecimal() and int(stated) != size:
        raise SourceDownError(f"{host} broke off after {size} of {stated} bytes")
    return b"".join(chunks)


def _kind(content_type: str, host: str) -> str:
    """Return the format that a Content-Type names."""
    subtype = content_type.partition("/")[2].rpartition("+")[2].removeprefix("x-")
    try:
        return _TYPES[subtype]
    except KeyError:
        raise SourceError(
            f'{host} answers with the type {content_type}; give format = "json" or "csv"'
        ) from None


def _refused(status: int, host: str) -> SourceError:
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRY_LATER:
        return SourceDownError(f"{host} answers {status}")
    hints: dict[int, str] = {
        http.HTTPStatus.UNAUTHORIZED: "; see whether the token is right",
        http.HTTPStatus.FORBIDDEN: "; see whether the token may read this",
        http.HTTPStatus.NOT_FOUND: "; the day is not there yet, or the URL is wrong",
    }
    return SourceError(f"{host} answers {status}{hints.get(status, '')}")


def _slow(host: str, seconds: float) -> SourceDownError:
    return SourceDownError(f"{host} did not answer in full in {seconds:g} s (timeout_seconds)")
