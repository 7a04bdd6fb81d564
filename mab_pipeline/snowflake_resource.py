"""The pipeline's connection to Snowflake: the store's adapter over `dagster_snowflake`."""

from collections.abc import Iterator
from contextlib import contextmanager

from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Connect, Connection, connection_arguments
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
    were autocommit not on; so the connection is closed here, and transactions are ended by
    statements of the adapter.

    Args:
        settings: The settings.
        query_seconds: Limit of a query on the server; None: that of a run [s].
    """

    @contextmanager
    def connected() -> Iterator[Connection]:
        from dagster_snowflake import SnowflakeResource  # noqa: PLC0415  # takes 10 s

        arguments = connection_arguments(settings, query_seconds=query_seconds)
        known = {name: arguments.pop(name) for name in RESOURCE_FIELDS if name in arguments}
        resource = SnowflakeResource(**known, additional_snowflake_connection_args=arguments)
        with resource.get_connection() as connection:
            try:
                yield connection
            finally:
                connection.close()

    return connected
