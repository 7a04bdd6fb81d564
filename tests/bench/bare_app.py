"""What the hot route is measured against: a Starlette route that returns bytes from a dict."""

import json
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODIES = {
    name: body.encode()
    for name, body in json.loads(Path(os.environ["BARE_BODIES"]).read_text("utf-8")).items()
}


async def allocation(request: Request) -> Response:
    """Return the bytes."""
    body = BODIES[request.path_params["experiment_id"]]
    return Response(body, media_type="application/json")


app = Starlette(routes=[Route("/experiments/{experiment_id}/allocation", allocation)])
