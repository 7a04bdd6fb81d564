"""Problems: the one shape of every error (RFC 9457, `application/problem+json`)."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mab:problem:"
MAX_ERRORS = 20
MAX_PART = 100
"""Characters of a key that a pointer repeats."""
NOT_SERVED = "Nothing is served here; /docs lists all addresses."


class Kind(Enum):
    """A kind of problem: its name in `type`, its HTTP status and its title."""

    MALFORMED_REQUEST = ("malformed-request", 400, "The request cannot be read")
    KEY_REQUIRED = ("key-required", 401, "A key is required")
    KEY_REFUSED = ("key-refused", 403, "This key is refused")
    READ_ONLY = ("read-only-deployment", 403, "This deployment takes no writes")
    FOREIGN = ("foreign-request", 403, "This server answers its own machine only")
    ROUTE_NOT_FOUND = ("route-not-found", 404, "There is nothing at this address")
    EXPERIMENT_NOT_FOUND = ("experiment-not-found", 404, "There is no such experiment")
    NOT_MATERIALISED = (
        "allocation-not-materialised", 404, "The experiment has no published allocation yet",
    )  # fmt: skip
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This address does not take that method")
    CONFLICT = ("experiment-exists", 409, "The name is taken by another experiment")
    CHANGE_REFUSED = ("change-refused", 409, "The experiment cannot be changed like this")
    TOO_LARGE = ("body-too-large", 413, "The body is too large")
    NOT_JSON = ("unsupported-media-type", 415, "The body must be plain application/json")
    TOO_SLOW = ("request-timeout", 408, "The request did not arrive in time")
    HEAD_TOO_LARGE = ("head-too-large", 431, "The head of the request is too large")
    INVALID = ("invalid-request", 422, "The request is well-formed but not valid")
    KEY_REUSED = ("idempotency-key-reused", 409, "The Idempotency-Key was used with another body")
    CLIENT_GONE = ("client-gone", 499, "The client left before its request had arrived")
    INTERNAL = ("internal-error", 500, "The server failed")
    NOT_PUBLISHED = ("not-published", 503, "Nothing is published yet")
    LOADING = ("loading", 503, "The publication is still being loaded")
    TOO_MANY_CONNECTIONS = ("too-many-connections", 503, "Too many connections are open")
    HISTORY_UNAVAILABLE = ("history-unavailable", 503, "The published copy cannot be queried")
    INBOX_UNAVAILABLE = ("inbox-unavailable", 503, "The inbox cannot be written")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


class ProblemError(Exception):
    """Raised anywhere below the gateway; it becomes the answer.

    Attributes:
        kind: The kind of problem.
        detail: The error in this request, in one sentence.
        errors: Invalid places in the body or the parameters.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Iterable[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def problem_response(error: ProblemError, *, request_id: str) -> Response:
    """Turn a problem into its answer."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.kind.slug,
        "title": error.kind.title,
        "status": error.kind.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if error.errors:
        body["errors"] = error.errors
    headers = {"cache-control": "no-store"} | error.headers
    return Response(orjson.dumps(body), error.kind.status, headers, MEDIA_TYPE)


def as_problem(error: Exception) -> ProblemError:
    """Translate an exception into a problem; an unexpected one is an internal error."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RequestValidationError):
        return from_validation(error.errors())
    if isinstance(error, HTTPException):
        return _from_http_exception(error)
    if isinstance(error, ClientDisconnect):
        return ProblemError(Kind.CLIENT_GONE, "No client reads this; log and metrics count it.")
    return ProblemError(Kind.INTERNAL, "Search the log for the request id.")


def method_problem(methods: Iterable[str]) -> ProblemError:
    """Return the problem that lists the methods of an address."""
    allowed = ", ".join(sorted(methods))
    return ProblemError(
        Kind.METHOD_NOT_ALLOWED, f"This address takes {allowed}.", headers={"allow": allowed}
    )


def _from_http_exception(error: HTTPException) -> ProblemError:
    headers = dict(error.headers or {})
    if error.status_code == Kind.ROUTE_NOT_FOUND.status:
        return ProblemError(Kind.ROUTE_NOT_FOUND, NOT_SERVED)
    if error.status_code == Kind.METHOD_NOT_ALLOWED.status:
        return method_problem(headers.get("Allow", "GET, HEAD").split(", "))
    if error.status_code == Kind.TOO_LARGE.status:
        return ProblemError(Kind.TOO_LARGE, "The body is larger than this address takes.")
    return ProblemError(Kind.MALFORMED_REQUEST, str(error.detail), headers=headers)


def from_validation(faults: Iterable[Mapping[str, Any]]) -> ProblemError:
    """Translate pydantic's first 20 errors: their places and reasons, never the values sent."""
    found = list(faults)
    errors = [
        {"pointer": "/" + "/".join(_escaped(part) for part in fault["loc"]), "detail": fault["msg"]}
        for fault in found[:MAX_ERRORS]
    ]
    detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return ProblemError(Kind.INVALID, detail + more, errors=errors)


def _escaped(part: object) -> str:
    """Write a key as a JSON pointer does (RFC 6901)."""
    return str(part)[:MAX_PART].replace("~", "~0").replace("/", "~1")
