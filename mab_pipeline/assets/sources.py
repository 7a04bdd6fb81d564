"""The sources of `sources.toml` as assets upstream of raw_metrics: each pulls days to the inbox.

They write files only: no home lock, no warehouse. So a slow source holds up nothing but its run.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mab_pipeline.assets.source_record import CHECK, check_of, metadata_of, source_key
from mab_pipeline.assets.table_asset import OWNERS
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_pipeline.sources.config import (
    FileSource,
    HttpSource,
    SnowflakeSource,
    Source,
    load_sources,
)
from mab_pipeline.sources.fetched import SourceDownError
from mab_pipeline.sources.pull import Puller
from mab_store.days import Days
from mab_store.plain_text import plain
from mab_store.settings import Settings

GROUP = "sources"
_STORES = {"s3": "s3", "s3a": "s3", "gs": "googlecloud", "gcs": "googlecloud"}
_STORES |= dict.fromkeys(("az", "abfs", "abfss"), "azure")


def source_keys(settings: Settings) -> list[dg.AssetKey]:
    """Return the keys of the sources' assets."""
    return [source_key(source.name) for source in load_sources(settings)]


def source_assets(
    settings: Settings, partitions: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """Return an asset per source.

    Raises:
        UsageError: `sources.toml` cannot be used.
    """
    return [_asset_of(source, partitions) for source in load_sources(settings)]


def _asset_of(source: Source, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    key = source_key(source.name)
    return dg.asset(
        key=key,
        description=_description(source),
        group_name=GROUP,
        owners=list(OWNERS),
        kinds=_kinds(source),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=_retries(source),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=key, description="The last pull brought every day that it asked for."
            )
        ],
        op_tags={"dagster/priority": "1"},  # before an asset that locks the home
    )(_compute(source))


def _description(source: Source) -> str:
    own = f"{source.description}\n\n" if source.description else ""
    return (
        f"{own}Pulls each day's counts from the source `{source.name}` of sources.toml and adds "
        f"them to the inbox as `inbox/metrics/<day>/{source.series}.<hash>.csv`. If the source "
        "fails, its check fails, and the day goes on without it."
    )


def _kinds(source: Source) -> set[str]:
    if isinstance(source, HttpSource):
        return {"python", "http"}
    if isinstance(source, FileSource):
        return {"python", _STORES.get(source.path.partition("://")[0], "file")}
    if isinstance(source, SnowflakeSource):
        return {"sql", "snowflake"}
    return {"sql", "duckdb" if source.duckdb else "sql"}


def _retries(source: Source) -> dg.RetryPolicy | None:
    if not source.retries:
        return None
    return dg.RetryPolicy(
        max_retries=source.retries,
        delay=source.retry_delay_seconds,
        backoff=dg.Backoff.EXPONENTIAL,
    )


def _compute(source: Source) -> Callable[..., Iterator[dg.MaterializeResult[Any]]]:
    def pull(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        days = days_of(context)
        late = _late_days(days, source, platform.settings)
        pulled = Puller(platform, source).pull(days.listed, late=late)
        if pulled.is_down and context.retry_number < source.retries:
            reason = next(iter(pulled.failed.values()))
            raise SourceDownError(f"The source {source.name} is tried again: {reason}")
        for day, reason in pulled.failed.items():
            context.log.warning(plain(f"{source.name} brought nothing for {day}: {reason}"))
        metadata = metadata_of(pulled)
        for day in late:
            if any(name.startswith(f"metrics/{day}/") for name in pulled.added):
                context.log_event(
                    dg.AssetMaterialization(source_key(source.name), partition=str(day))
                )
        yield dg.MaterializeResult(
            metadata=metadata, check_results=[dg.AssetCheckResult(**check_of(source, pulled))]
        )

    pull.__name__ = f"source_{source.name}"
    pull.__annotations__["return"] = dg.MaterializeResult
    return pull


def _late_days(days: Days, source: Source, settings: Settings) -> Sequence[date]:
    """Return the days before the run's, from MAB_START_DATE on, that are pulled again."""
    first = max(days.start - timedelta(days=source.lookback_days), settings.mab_start_date)
    return Days(first, days.start).listed if first < days.start else []
