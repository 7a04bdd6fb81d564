"""A Snowflake source: a day of a table, a view or a query.

If mab's own warehouse is Snowflake, its kept session reads the source too; otherwise the settings
SNOWFLAKE_* open one for the pull. Nothing is written there.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import date

from mab_pipeline.resources import Platform
from mab_pipeline.sources.config import SnowflakeSource
from mab_pipeline.sources.fetch_sql import CHUNK_ROWS, DAY, fetched_rows
from mab_pipeline.sources.fetched import Fetched, SourceDownError, SourceError
from mab_store.errors import SettingsError, UsageError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Connection, connect_directly
from mab_store.warehouse.snowflake.errors import mab_error
from mab_store.warehouse.snowflake.statements import run
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse


def fetch_snowflake(source: SnowflakeSource, day: date, platform: Platform) -> list[Fetched]:
    """Run the query of a day; none if it returns no row.

    Args:
        source: The source.
        day: The day, bound to `:day`.
        platform: For the settings, the session and the limits.

    Raises:
        SourceDownError: Snowflake does not answer, or rejects the query.
        SourceError: The login is refused, or the result is too large.
        UsageError: The SNOWFLAKE_* settings are not there.
    """
    settings, inbox = platform.settings, platform.inbox
    if not (settings.snowflake_account or settings.snowflake_connection):
        raise UsageError('kind = "snowflake" needs the SNOWFLAKE_* settings; see .env.example')
    try:
        from snowflake.connector.errors import Error  # noqa: PLC0415  # takes seconds
    except ImportError:
        raise SourceError("the package mab[snowflake] is not installed") from None
    seconds = max(1, int(source.timeout_seconds))
    statement = source.statement
    values = [day] * len(DAY.findall(statement))
    opened = _session(platform, settings, seconds)
    try:
        with opened() as connection, closing(connection.cursor()) as cursor:
            run(cursor, DAY.sub("?", statement), values, seconds=seconds)
            names = [str(column[0]).lower() for column in cursor.description or ()]
            chunks = iter(lambda: cursor.fetchmany(CHUNK_ROWS), [])
            return fetched_rows(names, chunks, inbox.limits, inbox.max_file_bytes)
    except Error as error:
        known = mab_error(error, settings, doing="reading a source")
        if isinstance(known, SettingsError):  # a refused login is not tried again: it could lock
            raise SourceError(str(known)) from None
        raise SourceDownError(f"Snowflake says: {error}") from None


def _session(
    platform: Platform, settings: Settings, seconds: int
) -> Callable[[], AbstractContextManager[Connection]]:
    if isinstance(platform.warehouse, SnowflakeWarehouse):
        return platform.warehouse.session
    return connect_directly(settings, query_seconds=seconds)
