"""The Dagster code location: the one place where things are wired.

What belongs here: which assets, checks, jobs, schedules and resources there are. What does not:
their code, and any choice that a setting does not make.
"""

import warnings
from importlib import import_module
from pkgutil import iter_modules

import dagster as dg

from mab_pipeline import assets
from mab_pipeline.assets.source_files import inbox_sources
from mab_pipeline.assets.table_asset import TableAsset
from mab_pipeline.checks.definitions import build_checks
from mab_pipeline.jobs import daily_allocation, refresh_day, refresh_windows
from mab_pipeline.recovery.home import platform_of_a_run
from mab_pipeline.resources import Platform, build_platform
from mab_pipeline.schedules import schedules
from mab_pipeline.sensors import sensors
from mab_store.settings import Settings, load_settings


def table_assets() -> list[TableAsset]:
    """Return the assets that the modules of `mab_pipeline.assets` declare, by name."""
    modules = (
        import_module(name) for _, name, _ in iter_modules(assets.__path__, assets.__name__ + ".")
    )
    declared = (value for module in modules for value in vars(module).values())
    return sorted(
        {value.name: value for value in declared if isinstance(value, TableAsset)}.values(),
        key=lambda asset: asset.name,
    )


def build_defs(
    *,
    settings: Settings | None = None,
    platform: Platform | None = None,
    run_logger: dg.LoggerDefinition | None = None,
) -> dg.Definitions:
    """Wire everything.

    Args:
        settings: The settings; read from the environment where they are not given.
        platform: The outside world; built from the settings where it is not given.
        run_logger: A logger that run config can name `progress`.

    Raises:
        SettingsError: A setting cannot be used.
    """
    settings = platform.settings if platform else settings or load_settings()
    with warnings.catch_warnings():
        # Single-run backfills are marked beta; the version is pinned and the behaviour tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions(
            assets=[*inbox_sources(), *(asset.build(settings) for asset in table_assets())],
            asset_checks=build_checks(settings),
            jobs=[daily_allocation, refresh_day, refresh_windows],
            schedules=schedules(settings),
            sensors=sensors(settings),
            resources={"platform": platform_of_a_run(platform or build_platform(settings))},
            executor=dg.in_process_executor,
            loggers={"progress": run_logger} if run_logger else None,
        )


@dg.definitions
def defs() -> dg.Definitions:
    """Return what `workspace.yaml` and `dg` load."""
    return build_defs()
