"""The documentation's pages: `/` leads to them, and they load nothing from another host."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGES = frozenset({"/docs", "/redoc", "/docs/oauth2-redirect"})
# The pages configure their bundles by inline scripts; Redoc searches in a worker made of a blob.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)

STATIC = "/static-offline-docs"
FOREIGN_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_IMAGE = b"data:,"

router = APIRouter()


@router.get("/", include_in_schema=False)
async def start(request: Request) -> RedirectResponse:
    """Lead a person who opens the address to the documentation."""
    return RedirectResponse(f"{_root(request)}/docs")


@router.get("/redoc", include_in_schema=False)
async def redoc(request: Request) -> HTMLResponse:
    """Show the reference as Redoc draws it."""
    root = _root(request)
    return get_redoc_html(
        openapi_url=f"{root}/openapi.json",
        title=f"{request.app.title} - ReDoc",
        redoc_js_url=f"{root}/redoc.js",
        redoc_favicon_url=f"{root}{STATIC}/favicon.png",
        with_google_fonts=False,
    )


@router.get("/redoc.js", include_in_schema=False)
async def redoc_bundle() -> Response:
    """Send Redoc's bundle without the logo that it would load from its makers."""
    return Response(_redoc_bundle(), media_type="text/javascript")


@cache
def _redoc_bundle() -> bytes:
    bundle = files("fastapi_offline") / "static" / "redoc.standalone.js"
    return bundle.read_bytes().replace(FOREIGN_LOGO, NO_IMAGE)


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


class SelfContained:
    """Middleware whose policy keeps the pages from loading anything from another host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; add the policy to a page."""
        root = scope.get("root_path", "")
        if scope["type"] != "http" or scope["path"].removeprefix(root) not in PAGES:
            await self._app(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self._app(scope, receive, send_with_policy)
