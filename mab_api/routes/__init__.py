"""The routes of the API, one module per kind: they read requests and send answers."""

from mab_api.routes import evidence, experiments, history, pages, service, submissions

ROUTERS = (
    experiments.router,
    history.router,
    evidence.router,
    submissions.router,
    service.open_router,
    service.router,
    pages.router,
)
OPEN_ROUTES = service.open_router.routes
"""Routes that never require a key."""
