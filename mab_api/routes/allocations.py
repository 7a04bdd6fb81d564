"""OpenAPI documentation of the routes that `allocation_fast_path` serves outside FastAPI."""

from fastapi import APIRouter

from mab_api.openapi import ENCODED_HEADERS, NOT_MODIFIED, example, operation_id, problems
from mab_api.problems import Kind
from mab_api.routes.allocation_fast_path import ALLOCATION, ALLOCATIONS
from mab_api.routes.experiments import ExperimentId
from mab_api.schemas import Allocation, AllocationList

documented = APIRouter(tags=["allocations"], generate_unique_id_function=operation_id)


@documented.get(
    ALLOCATION,
    summary="How to split an experiment's sessions",
    response_model=Allocation,
    responses=example("allocation", headers=ENCODED_HEADERS)
    | NOT_MODIFIED
    | problems(Kind.EXPERIMENT_NOT_FOUND, Kind.NOT_MATERIALISED, Kind.NOT_PUBLISHED, Kind.LOADING),
)
def get_allocation(experiment_id: ExperimentId) -> None:
    """The allocation that was published last. Served from memory; the warehouse may be away."""


@documented.get(
    ALLOCATIONS,
    summary="All running and paused experiments' allocations",
    response_model=AllocationList,
    responses=example("allocations", headers=ENCODED_HEADERS)
    | NOT_MODIFIED
    | problems(Kind.NOT_PUBLISHED, Kind.LOADING),
)
def get_allocations() -> None:
    """One body for the CDP's sync, the elements of which are those of the route above."""
