"""The Dagster code location: puts assets, checks, jobs, schedules and resources together.

Dagster concept: https://docs.dagster.io/deployment/code-locations
"""

import os
import warnings
from datetime import date

import dagster as dg

from mab_pipeline import assets
from mab_pipeline.assets.source_files import inbox_sources
from mab_pipeline.assets.sources import source_assets
from mab_pipeline.assets.table_asset import TableAsset
from mab_pipeline.checks.definitions import build_checks
from mab_pipeline.discovery import declared_in
from mab_pipeline.jobs import daily_allocation, refresh_day, refresh_windows
from mab_pipeline.partitions import daily_partitions, first_partition
from mab_pipeline.recovery.home import platform_of_a_run
from mab_pipeline.resources import Platform, build_platform
from mab_pipeline.schedules import schedules
from mab_pipeline.sensors import sensors
from mab_store.errors import SettingsError
from mab_store.settings import Settings, load_settings


def table_assets() -> list[TableAsset]:
    """Return the assets that the modules of `mab_pipeline.assets` declare, by name."""
    return sorted(declared_in(assets, TableAsset), key=lambda asset: asset.name)


def build_defs(
    *,
    settings: Settings | None = None,
    platform: Platform | None = None,
    run_logger: dg.LoggerDefinition | None = None,
    asked: date | None = None,
) -> dg.Definitions:
    """Return the definitions of everything that Dagster runs.

    Args:
        settings: The settings; read from the environment if omitted.
        platform: The shared resources; built from the settings if omitted.
        run_logger: A logger that run config can name `progress`.
        asked: A day that must be a partition.

    Raises:
        SettingsError: A setting cannot be used.
        UsageError: `sources.toml` cannot be used.
    """
    platform = platform or build_platform(settings or load_settings())
    settings = platform.settings
    partitions = daily_partitions(min(first_partition(platform), asked or date.max))
    with warnings.catch_warnings():
        # Single-run backfills are marked beta; the version is pinned and the behaviour tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions(
            assets=[
                *inbox_sources(),
                *source_assets(settings, partitions),
                *(asset.build(settings, partitions) for asset in table_assets()),
            ],
            asset_checks=build_checks(partitions),
            jobs=[daily_allocation, refresh_day, refresh_windows],
            schedules=schedules(settings),
            sensors=sensors(settings),
            resources={"platform": platform_of_a_run(platform)},
            executor=dg.in_process_executor,
            loggers={"progress": run_logger} if run_logger else None,
        )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that `workspace.yaml`, `dagster dev -m` and `dg` load.

    Raises:
        SettingsError: DAGSTER_HOME is not set, or a setting cannot be used.
    """
    settings = load_settings()
    if not os.environ.get("DAGSTER_HOME"):
        home = settings.mab_home
        raise SettingsError(
            "DAGSTER_HOME is not set, so Dagster would keep its records in a temporary folder "
            f"while its sensors work on MAB_HOME={home}. Use `mab up`; or run `mab init` and set "
            f"DAGSTER_HOME={home / 'dagster'}."
        )
    return build_defs(settings=settings)
