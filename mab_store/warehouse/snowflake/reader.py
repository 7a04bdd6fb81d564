"""Read published data on Snowflake for one command, without Dagster and the writers' lock.

A program that runs for months uses `shared_connection`.
"""

from collections.abc import Mapping

import pyarrow as pa

from mab_store.errors import NotPublishedError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import connect_directly, with_retries
from mab_store.warehouse.snowflake.errors import explained
from mab_store.warehouse.snowflake.sessions import Sessions
from mab_store.warehouse.snowflake.statements import fetch


class SnowflakeReader:
    """The published data, open for reading; logs in with the first query.

    Each query takes a session and gives it back, so a transaction that begins between two queries
    needs no login of its own.

    Attributes:
        name: The newest published version when the reader was opened.
    """

    def __init__(self, settings: Settings, name: str, sessions: Sessions) -> None:
        self.name = name
        self._settings = settings
        self._sessions = sessions

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql`; run it again if the connection broke."""

        def attempt() -> pa.Table:
            with self._sessions.session() as connection:
                return fetch(connection.cursor(), name, parameters)

        with explained(self._settings, doing=f"sql/{name}.sql"):
            return with_retries(attempt)

    def branch(self) -> "SnowflakeReader":
        """Return itself: a thread takes a session of its own for each query."""
        return self

    def close(self) -> None:
        """Log out; the next query logs in again."""
        self._sessions.close()


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


def open_snowflake(settings: Settings, *, sessions: Sessions | None = None) -> SnowflakeReader:
    """Return a reader of the published data; the caller closes it, or the sessions.

    Args:
        settings: The settings.
        sessions: The sessions to read over; its own if None.

    Raises:
        NotPublishedError: Nothing was published yet.
        WarehouseError: Snowflake cannot be reached, or lacks an object that the query needs.
    """
    reader = SnowflakeReader(settings, "unknown", sessions or Sessions(connect_directly(settings)))
    try:
        reader.name = version_name(reader.fetch_arrow("snowflake/newest_version"), settings)
    except NotPublishedError:
        reader.close()
        raise
    return reader
