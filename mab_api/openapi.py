"""The OpenAPI document: adds examples, problems and hot routes, which FastAPI cannot know.

`python -m tools.write_openapi` writes the committed file.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from mab_api.openapi_examples import EXAMPLES, EXPERIMENT_ID, REQUESTS
from mab_api.problems import MEDIA_TYPE, TYPE_PREFIX, Kind
from mab_api.schemas import MetricsSubmission, Problem
from mab_store.experiments.schemas import ChangeSpec, ExperimentSpec
from mab_store.version import mab_version

__all__ = ["EXPERIMENT_ID"]

TITLE = "mab"
VERSION = mab_version()
DESCRIPTION = """\
How to split tomorrow's sessions between the variants of each experiment, computed once a day by
Thompson sampling and served from memory. `docs/API.md` in the repository shows each call with a
real answer. Every error is `application/problem+json`.
"""
NAME_PATTERN = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
"""The rule that the contract checks in code: no control characters, no white space at the ends."""
WRITING = frozenset({"post", "patch"})
OF_THE_SERVER = (Kind.TOO_SLOW, Kind.HEAD_TOO_LARGE, Kind.TOO_MANY_CONNECTIONS)
"""Problems that can end a request before its address is read."""
REF = "#/components/schemas/{model}"

Responses = dict[int | str, dict[str, Any]]

ENCODED_HEADERS = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "ETag": "Identifies this exact body; send it back as If-None-Match.",
        "Last-Modified": "Since when this body is served; send it back as If-Modified-Since.",
        "Cache-Control": "max-age=60, stale-if-error=86400",
    }.items()
}
NOT_MODIFIED: Responses = {304: {"description": "The body that the client holds is current."}}
TEXT_METRICS: Responses = {
    200: {
        "description": "Prometheus text format.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "# TYPE mab_stale_seconds gauge\nmab_stale_seconds 12.5\n",
            }
        },
    }
}


def operation_id(route: APIRoute) -> str:
    """Name an operation like its function: client generators show this name."""
    return route.name


def example(
    name: str,
    *,
    status: int = 200,
    description: str = "Successful Response",
    headers: Mapping[str, Any] | None = None,
) -> Responses:
    """Document a successful answer; `openapi_document` puts a real one in for its name."""
    content = {"application/json": {"example": name}}
    response: dict[str, Any] = {"description": description, "content": content}
    if headers:
        response["headers"] = dict(headers)
    return {status: response}


def linked(response: Responses, *operations: str) -> Responses:
    """Add links to the next operations on the experiment that an answer names."""
    parameters = {"experiment_id": "$response.body#/experiment_id"}
    for documented in response.values():
        documented["links"] = {
            name: {"operationId": name, "parameters": parameters} for name in operations
        }
    return response


def problems(*kinds: Kind) -> Responses:
    """Document the problems of a route, in addition to those that every route has."""
    by_status: dict[int, list[Kind]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {status: _problem_response(found) for status, found in by_status.items()}


def body_of(model: str, name: str) -> dict[str, Any]:
    """Document a request body that the route reads without FastAPI."""
    media = {"schema": {"$ref": REF.format(model=model)}, "example": REQUESTS[name]}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def openapi_document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Build the document.

    Args:
        routes: FastAPI's routes, and those that only document a hot route.
    """
    document = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (Problem, ExperimentSpec, ChangeSpec, MetricsSubmission):
        schema = model.model_json_schema(ref_template=REF)
        schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, is_open=path == "/healthz", is_write=method in WRITING)
    for name in _names(schemas):
        name["pattern"] = NAME_PATTERN
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _names(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    change = schemas["ChangeSpec"]["properties"]
    return [
        schemas["ExperimentSpec"]["properties"]["name"],
        schemas["VariantSpec"]["properties"]["name"],
        change["changed_by"],
        change["add_variants"]["items"],
        change["retire_variants"]["items"],
    ]


def _complete(operation: dict[str, Any], *, is_open: bool, is_write: bool) -> None:
    """Add the parts that every route has: keys, and the problems that can always occur."""
    keys = [] if is_open else [Kind.KEY_REQUIRED, Kind.KEY_REFUSED]
    common = [*keys, Kind.FOREIGN, Kind.INTERNAL]
    responses = operation["responses"]
    for status, response in problems(*common, *OF_THE_SERVER).items():
        responses.setdefault(str(status), response)
    if "application/json" in responses.get("422", {}).get("content", {}):
        responses.pop("422")
    if not is_open:
        operation["security"] = [{"key": []}] if is_write else [{}, {"key": []}]
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json", {})
        if status.startswith("2") and content:  # FastAPI would drop every null of an example
            content["example"] = EXAMPLES[content["example"]]
    operation["responses"] = dict(sorted(responses.items()))


def _problem_response(kinds: Sequence[Kind]) -> dict[str, Any]:
    examples = {
        kind.slug: {
            "value": {
                "type": TYPE_PREFIX + kind.slug,
                "title": kind.title,
                "status": kind.status,
                "detail": "The error in this request, in one sentence.",
                "request_id": "3f1c8a52c4d94f0e9b7d7a1f5f0f2b61",
            }
        }
        for kind in kinds
    }
    return {
        "description": "; ".join(f"`{kind.slug}`: {kind.title}" for kind in kinds),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}, "examples": examples}
        },
    }
