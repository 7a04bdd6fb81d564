"""Processes that hold, rebuild or kill: what the tests of a home at work share.

They are forked from a server that has imported everything, so that each costs no start of its own.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from mab_pipeline.recovery import rebuild as rebuild_module
from mab_pipeline.resources import build_platform
from mab_store.home_lock import HomeLock
from mab_store.settings import load_settings
from mab_store.warehouse.duckdb import warehouse as duckdb_warehouse
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def hold(home: Path, how: str, is_held) -> None:
    """Hold a home until the process is killed."""
    settings = load_settings(mab_home=home, _env_file=None)
    with getattr(HomeLock(settings), how)(f"a test that is {how}"):
        is_held.set()
        signal.pause()


def rebuild_until(home: Path, now: datetime, point: str) -> None:
    """Rebuild, and die of SIGKILL at a point."""
    POINTS[point]()
    platform = build_platform(load_settings(mab_home=home, _env_file=None), clock=lambda: now)
    rebuild_module.rebuild(platform)


def _die(*_arguments: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: object, name: str) -> Callable[[], None]:
    getattr(owner, name)  # a renamed function would otherwise let the rebuild live
    return lambda: setattr(owner, name, _die)


def _in_mid_of_the_swap() -> None:
    """Die when the old file is moved away and the new one is not there yet."""
    replace = Path.replace

    def dying(path: Path, target: Path) -> Path:
        if path.parent.name == "rebuilding" and path.name == "warehouse.duckdb":
            _die()
        return replace(path, target)

    Path.replace = dying  # type: ignore[method-assign]  # dies soon


POINTS: dict[str, Callable[[], None]] = {
    "before the new warehouse is begun": _before(DuckDBWarehouse, "replacement"),
    "before the registry": _before(rebuild_module, "load_experiments"),
    "before raw_metrics": _before(rebuild_module, "load_raw_metrics"),
    "before daily_metrics": _before(rebuild_module, "load_daily_metrics"),
    "before the windows": _before(rebuild_module, "unbroken"),
    "before the new file is whole": _before(DuckDBWarehouse, "_settle"),
    "before the swap": _before(DuckDBWarehouse, "_take_over"),
    "in the middle of the swap": _in_mid_of_the_swap,
    "before publishing": _before(rebuild_module, "serve"),
    "before the pointer": _before(duckdb_warehouse, "point_to"),
}
