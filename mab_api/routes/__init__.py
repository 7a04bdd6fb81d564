"""The routes of the API, one module per kind."""

from mab_api.routes import experiments, history, intake, service

ROUTERS = (
    experiments.router,
    history.router,
    intake.router,
    service.open_router,
    service.router,
)
OPEN_ROUTES = service.open_router.routes
"""Routes that never want a key."""
