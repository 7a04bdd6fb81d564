"""Attacks as data: what was tried against each part, and what must come of it.

One module per subject; the attacks are the tables that its tests run through. A bomb is generated
by its test, never stored.
"""

from tests.integration.conftest import (  # worlds, as the integration tests have them
    _evaluations,
    _materialized,
    clean_environment,
    free_port,
    mab,
    make_world,
    migrations_are_read_once,
    world,
)

__all__ = [
    "_evaluations",
    "_materialized",
    "clean_environment",
    "free_port",
    "mab",
    "make_world",
    "migrations_are_read_once",
    "world",
]
