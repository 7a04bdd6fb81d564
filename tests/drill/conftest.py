"""What the drills share: worlds, the command line, and the seed that repeats a drill."""

import os
import time

import pytest

from tests.integration import conftest as worlds

clean_environment, make_world, mab = worlds.clean_environment, worlds.make_world, worlds.mab


@pytest.fixture(scope="session")
def seed() -> int:
    """Return what decides the moments; MAB_DRILL_SEED repeats those of another drill."""
    return int(os.environ.get("MAB_DRILL_SEED", time.time_ns() % 10**9))
