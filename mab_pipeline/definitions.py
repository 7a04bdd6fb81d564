"""The Dagster code location: the one place where things are wired.

What belongs here: which assets, checks, jobs, schedules and resources there are. What does not:
their code, and any choice that a setting does not make.
"""

import warnings

import dagster as dg

from mab_pipeline.assets.allocations import allocations
from mab_pipeline.assets.daily_metrics import daily_metrics
from mab_pipeline.assets.experiments import experiments
from mab_pipeline.assets.inbox import inbox_sources
from mab_pipeline.assets.publication import publication
from mab_pipeline.assets.raw_metrics import raw_metrics
from mab_pipeline.assets.windowed_aggregates import windowed_aggregates
from mab_pipeline.checks import build_checks
from mab_pipeline.home import platform_of_a_run
from mab_pipeline.jobs import daily_allocation, refresh_day, refresh_windows
from mab_pipeline.platform import Platform, build_platform
from mab_pipeline.schedules import schedules
from mab_pipeline.sensors import sensors
from mab_store.settings import Settings, load_settings

ASSETS = (
    experiments,
    raw_metrics,
    daily_metrics,
    windowed_aggregates,
    allocations,
    publication,
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
            assets=[*inbox_sources(), *(build(settings) for build in ASSETS)],
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
