"""Read published data on Snowflake for one command, without Dagster and the writers' lock.

A program that runs for months uses `shared_connection`.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress

import pyarrow as pa

from mab_store.errors import NotPublishedError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import (
    Connect,
    Connection,
    connect_directly,
    with_retries,
)
from mab_store.warehouse.snowflake.errors import explained
from mab_store.warehouse.snowflake.statements import fetch


class SnowflakeReader:
    """The published data, open for reading; connects with the first query.

    Attributes:
        name: The newest published version when the reader was opened.
    """

    def __init__(self, settings: Settings, name: str, *, connect: Connect | None = None) -> None:
        self.name = name
        self._settings = settings
        self._connect = connect or connect_directly(settings)
        self._stack = ExitStack()
        self._connection: Connection | None = None

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql`; run it again if the connection broke."""

        def attempt() -> pa.Table:
            try:
                if self._connection is None:
                    self._connection = self._stack.enter_context(self._connect())
                return fetch(self._connection.cursor(), name, parameters)
            except BaseException as error:
                self._drop(error)
                raise

        with explained(self._settings, doing=f"sql/{name}.sql"):
            return with_retries(attempt)

    def branch(self) -> "SnowflakeReader":
        """Return a reader of the same data for another thread, with its own connection."""
        return SnowflakeReader(self._settings, self.name, connect=self._connect)

    def close(self) -> None:
        """Close the connection, or give it back; the next query opens another one."""
        self._connection = None
        self._stack.close()

    def _drop(self, error: BaseException) -> None:
        """End the connection's block by an error, so that it is not used again."""
        self._connection = None
        with suppress(type(error)), self._stack:
            raise error


def version_name(found: pa.Table, settings: Settings) -> str:
    """Return the name of the newest version, as `sql/snowflake/newest_version.sql` found it.

    Raises:
        NotPublishedError: Nothing was published yet.
    """
    (row,) = found.to_pylist()
    if row["version"] is None:
        raise NotPublishedError(
            f"Nothing is published in {settings.snowflake_database}.{settings.snowflake_schema}. "
            "Run `mab run` or `mab demo` first."
        )
    return f"version-{row['version']}"


def open_snowflake(settings: Settings, *, connect: Connect | None = None) -> SnowflakeReader:
    """Return a reader of the published data; the caller closes it.

    Raises:
        NotPublishedError: Nothing was published yet.
        WarehouseError: Snowflake cannot be reached, or lacks an object that the query needs.
    """
    reader = SnowflakeReader(settings, "unknown", connect=connect)
    try:
        reader.name = version_name(reader.fetch_arrow("snowflake/newest_version"), settings)
    except NotPublishedError:
        reader.close()
        raise
    return reader
