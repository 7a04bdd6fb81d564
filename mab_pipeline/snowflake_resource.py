"""The pipeline's connection to Snowflake: the store's adapter over `dagster_snowflake`."""

from contextlib import AbstractContextManager
from typing import Any

from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Connect, Connection, connected_by
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse

RESOURCE_FIELDS = (
    "account", "user", "password", "authenticator", "role", "warehouse", "database", "schema",
    "autocommit", "paramstyle", "login_timeout",
)  # fmt: skip


def snowflake_warehouse(settings: Settings) -> SnowflakeWarehouse:
    """Return the warehouse of the settings, connected through Dagster's resource."""
    return SnowflakeWarehouse(settings, connect=connect_through_dagster(settings))


def connect_through_dagster(settings: Settings, *, query_seconds: int | None = None) -> Connect:
    """Return a function that opens a connection with `SnowflakeResource`.

    The resource leaves a connection open when its block raises, and would commit at the end of it
    were autocommit not on; `connected_by` closes the connection, and statements of the adapter end
    transactions.

    Args:
        settings: The settings.
        query_seconds: Limit of a query on the server; None: that of a run [s].
    """

    def open_one(arguments: dict[str, Any]) -> AbstractContextManager[Connection]:
        from dagster_snowflake import SnowflakeResource  # noqa: PLC0415  # takes 10 s

        known = {name: arguments.pop(name) for name in RESOURCE_FIELDS if name in arguments}
        resource = SnowflakeResource(**known, additional_snowflake_connection_args=arguments)
        opened: AbstractContextManager[Connection] = resource.get_connection()
        return opened

    return connected_by(open_one, settings, query_seconds=query_seconds)
