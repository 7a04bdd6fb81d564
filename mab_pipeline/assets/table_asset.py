"""How every asset is declared: its partitions, backfill policy, columns, lineage, code version.

An asset module holds a function decorated with `table_asset`; the decorated object is a builder
that `definitions.py` calls once the settings are known, so nothing is read at import.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

import dagster as dg

from mab_pipeline.resources import Platform
from mab_store.lateness import deadline_hours
from mab_store.settings import Settings
from mab_store.warehouse.query_tag import query_tag
from mab_store.warehouse.sql_loader import SQL_ROOT, sql_fingerprint
from mab_store.warehouse.table_schema import Table, declared_tables

OWNERS = ("team:experimentation",)
Lineage = Mapping[str, Sequence[tuple[str, str]]]
Compute = Callable[..., dg.MaterializeResult[Any] | None]


@dataclass(frozen=True, slots=True)
class TableAsset:
    """An asset that waits for the settings; `definitions.py` finds it by its type.

    Attributes:
        name: Its name.
        build: Returns the Dagster asset for these settings and partitions.
    """

    name: str
    build: Callable[[Settings, dg.DailyPartitionsDefinition], dg.AssetsDefinition]


def table_asset(
    *,
    group: str,
    deps: Sequence[str | dg.AssetKey] = (),
    more_deps: Callable[[Settings], Sequence[dg.AssetKey]] = lambda _settings: (),
    lookback: Sequence[str] = (),
    sql: Sequence[str] = (),
    lineage: Lineage | None = None,
    version: Callable[[], str] | None = None,
) -> Callable[[Compute], TableAsset]:
    """Declare an asset that maintains the table of the function's name.

    Args:
        group: Asset group in the UI.
        deps: Assets of which it reads the same day.
        more_deps: Returns further ones, which depend on the settings.
        lookback: Assets of which it reads MAX_WINDOW_DAYS up to the day.
        sql: SQL files that compute it; their text is its code version.
        lineage: For each column the columns that it comes from.
        version: Code version, if it is not that of the SQL alone.
    """

    def decorate(compute: Compute) -> TableAsset:
        name = compute.__name__

        def build(
            settings: Settings, partitions: dg.DailyPartitionsDefinition
        ) -> dg.AssetsDefinition:
            window = dg.TimeWindowPartitionMapping(
                start_offset=1 - settings.max_window_days,
                allow_nonexistent_upstream_partitions=True,
            )
            return dg.asset(
                name=name,
                description=compute.__doc__,
                group_name=group,
                owners=list(OWNERS),
                kinds={"sql", settings.mab_engine} if sql else {"python", settings.mab_engine},
                partitions_def=partitions,
                backfill_policy=dg.BackfillPolicy.single_run(),
                freshness_policy=_deadline(name, settings),
                deps=[
                    *deps,
                    *more_deps(settings),
                    *(dg.AssetDep(key, partition_mapping=window) for key in lookback),
                ],
                code_version=version() if version else sql_fingerprint(*sql),
                metadata={
                    **_table_metadata(declared_tables()[_table_of(name)], sql, lineage or {}),
                    "dagster/table_name": _identifier(_table_of(name), settings),
                    "dagster/storage_kind": settings.mab_engine,
                    "dagster/code_references": _source_of(compute, sql),
                },
            )(_tagged(compute))

        return TableAsset(name, build)

    return decorate


def _tagged(compute: Compute) -> Callable[..., Iterator[dg.MaterializeResult[Any]]]:
    """Enter the home, and tag the queries of the asset.

    It yields, as Dagster would take a returned None for an output.
    """

    @wraps(compute)
    def tagged(
        context: dg.AssetExecutionContext, *args: Any, **kwargs: Any
    ) -> Iterator[dg.MaterializeResult[Any]]:
        platform: Platform = kwargs["platform"]
        platform.enter(context.run.run_id, context.log.warning)
        with query_tag(compute.__name__, context.run.run_id):
            result = compute(context, *args, **kwargs)
        if result is not None:
            yield result

    tagged.__annotations__["return"] = (
        dg.MaterializeResult
    )  # without it a range run wants an IO manager
    return tagged


def _source_of(compute: Compute, sql: Sequence[str]) -> dg.CodeReferencesMetadataValue:
    """Return the places of the asset's function and its SQL, for the link in the UI."""
    code = getattr(compute, "__code__")  # noqa: B009  # a function, which Callable does not say
    paths = [(code.co_filename, code.co_firstlineno, compute.__name__)]
    paths += [(str(SQL_ROOT / f"{name}.sql"), 1, f"{name}.sql") for name in sql]
    return dg.CodeReferencesMetadataValue(
        code_references=[
            dg.LocalFileCodeReference(file_path=path, line_number=line, label=label)
            for path, line, label in paths
        ]
    )


def _table_of(asset_name: str) -> str:
    """Return the table of an asset; all but `publication` have its name."""
    return "publications" if asset_name == "publication" else asset_name


def _deadline(name: str, settings: Settings) -> dg.FreshnessPolicy | None:
    """Return the deadline of each day's publication; none if no schedule publishes."""
    if name != "publication" or settings.mab_automation == "off":
        return None
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"0 {deadline_hours(settings) % 24} * * *",
        lower_bound_delta=timedelta(hours=settings.publication_deadline_hours),
    )


def _identifier(table_name: str, settings: Settings) -> str:
    """Return the full name of a table, by which other tools of the warehouse know it."""
    if settings.mab_engine != "snowflake":
        return table_name
    return f"{settings.snowflake_database}.{settings.snowflake_schema}.{table_name}"


def _table_metadata(table: Table, sql: Sequence[str], lineage: Lineage) -> dict[str, Any]:
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=f"{column.description} [{column.unit}]",
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    depends_on = {
        column: [dg.TableColumnDep(dg.AssetKey(asset), source) for asset, source in sources]
        for column, sources in lineage.items()
    }
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": dg.TableColumnLineage(depends_on),
        "grain": ", ".join(table.grain),
        **({"sql": ", ".join(f"sql/{name}.sql" for name in sql)} if sql else {}),
    }


def same_columns(asset: str, *columns: str) -> dict[str, list[tuple[str, str]]]:
    """Return the lineage of columns that are taken over under their own names."""
    return {column: [(asset, column)] for column in columns}
