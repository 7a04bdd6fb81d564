"""`uvicorn mab_api.main:app`: the name that the source document gives `mab_api.asgi:app`."""

from mab_api.asgi import app

__all__ = ["app"]
