"""The Dagster code location: puts assets, checks, jobs, schedules and resources together.

Dagster concept: https://docs.dagster.io/deployment/code-locations
"""

import os
import warnings
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)

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
from mab_store.snowflake_login import login_of

FIRST_PARTITION = "mab_first_partition"


def table_assets() -> list[TableAsset]:
    """Return the assets that the modules of `mab_pipeline.assets` declare, by name."""
    return sorted(declared_in(assets, TableAsset), key=lambda asset: asset.name)


def build_defs(
    *,
    settings: Settings | None = None,
    platform: Platform | None = None,
    run_logger: dg.LoggerDefinition | None = None,
    first: date | None = None,
) -> dg.Definitions:
    """Return the definitions of everything that Dagster runs.

    Args:
        settings: The settings; read from the environment if omitted.
        platform: The shared resources; built from the settings if omitted.
        run_logger: A logger that run config can name `progress`.
        first: The first partition; `first_partition` finds it if omitted.

    Raises:
        SettingsError: A setting cannot be used.
        UsageError: `sources.toml` cannot be used.
    """
    platform = platform or build_platform(settings or load_settings())
    settings = platform.settings
    partitions = daily_partitions(first or first_partition(platform))
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
            resources={
                "platform": platform_of_a_run(platform),
                **snowflake_resources(platform.settings),
            },
            executor=dg.in_process_executor,
            loggers={"progress": run_logger} if run_logger else None,
        )


# Fields of the resource that name a variable, without secrets and with those of a login.
_PLACE = ("account", "user", "role", "warehouse", "database", "schema")
_SECRETS = {"snowflake": ("password",), "snowflake_jwt": ("private_key_path", "private_key")}


def snowflake_resources(settings: Settings) -> dict[str, Any]:
    """Return the resource `snowflake`, as the UI shows it; none on another engine.

    Each field names its environment variable. The pipeline connects through a resource with the
    same fields (`snowflake_resource.py`), with the values of the settings, which may be in `.env`.
    A login of `connections.toml` (SNOWFLAKE_CONNECTION) has no variables to name.
    """
    if settings.mab_engine != "snowflake" or settings.snowflake_connection:
        return {}
    from dagster_snowflake import SnowflakeResource  # noqa: PLC0415  # takes 10 s

    login = str(login_of(settings))
    secrets = [name for name in _SECRETS.get(login, ()) if _is_set(settings, name)]
    fields: dict[str, Any] = {
        name: dg.EnvVar(f"SNOWFLAKE_{name.upper()}")
        for name in (*_PLACE, *secrets[:1])
        if _is_set(settings, name)
    }
    if login == "snowflake_jwt" and settings.snowflake_private_key_passphrase:
        fields["private_key_password"] = dg.EnvVar("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
    return {
        "snowflake": SnowflakeResource(
            **{"user": "", **fields},
            authenticator=login.upper(),
            autocommit=True,
            paramstyle="qmark",
        )
    }


def _is_set(settings: Settings, field: str) -> bool:
    return bool(getattr(settings, f"snowflake_{field}"))


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
    platform = build_platform(settings)
    context = DefinitionsLoadContext.get()
    first = _first_of_the_server(context) or first_partition(platform)
    context.add_to_pending_reconstruction_metadata(FIRST_PARTITION, str(first))
    return build_defs(platform=platform, first=first)


def _first_of_the_server(context: DefinitionsLoadContext) -> date | None:
    """Return the first partition of the code server that launched this run; else None.

    A run must find the days that it was asked for, whatever came or went since the server began.
    """
    if context.load_type != DefinitionsLoadType.RECONSTRUCTION:
        return None
    first = context.reconstruction_metadata.get(FIRST_PARTITION)
    return date.fromisoformat(first) if first else None
