"""Snowflake as a source: over one shared connection, asked as rarely as possible.

Nothing here wakes the virtual warehouse until something was published or a client asks for history.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

import pyarrow as pa

from mab_api.snapshot.version import Version
from mab_store.settings import Settings
from mab_store.warehouse.reader import Reader
from mab_store.warehouse.snowflake.connection import connect_directly
from mab_store.warehouse.snowflake.reader import version_name
from mab_store.warehouse.snowflake.shared_connection import Line, pause_seconds

IDLE_SECONDS = 300.0
"""Interval of the looks while no publication is due."""


class SnowflakeSource:
    """The newest version of a Snowflake schema, over one shared connection.

    A new day alone is no new version: reading all data again at midnight would wake the virtual
    warehouse. A status that begins then shows with the night's publication.
    """

    remedy = "Restore the tables (Time Travel); if the loss is intended, restart the API."

    def __init__(self, settings: Settings, line: Line) -> None:
        self._settings = settings
        self._line = line

    def look(self, _now: datetime) -> Version:
        """Ask for the newest version, which wakes no virtual warehouse."""
        found = self._line.fetch_arrow("snowflake/newest_version")
        return Version(version_name(found, self._settings))

    def open(self, name: str) -> Reader:
        """Read over the connection; decisions are only added, so a version needs no opening."""
        return LineReader(self._line, name)

    def wait_seconds(self, now: datetime, published_at: datetime | None, failures: int) -> float:
        """Look rarely while no publication is due, and ever more rarely while looking fails."""
        usual = self._settings.api_refresh_seconds
        start = now.replace(
            hour=self._settings.mab_schedule_hour, minute=0, second=0, microsecond=0
        )
        if start > now:
            start -= timedelta(days=1)
        if not failures and published_at is not None and published_at >= start:
            seconds_to_next = (start + timedelta(days=1) - now).total_seconds()
            return max(usual, min(IDLE_SECONDS, seconds_to_next))
        return pause_seconds(usual, failures)

    def close(self) -> None:
        """Log out."""
        self._line.close()


class LineReader:
    """Reads published data over the shared connection."""

    def __init__(self, line: Line, name: str) -> None:
        self.name = name
        self._line = line

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
        return self._line.fetch_arrow(name, parameters)

    def branch(self) -> "LineReader":
        """Return itself: threads may share the connection."""
        return self

    def close(self) -> None:
        """Do nothing: the connection belongs to the source."""


def snowflake_source(settings: Settings, *, query_seconds: int) -> SnowflakeSource:
    """Return the source of the settings, which connects when it is first asked."""
    logging.getLogger("snowflake").setLevel(logging.CRITICAL)  # our own log line reports it, once
    connect = connect_directly(settings, query_seconds=query_seconds)
    line = Line(settings, connect=connect, query_seconds=query_seconds)
    return SnowflakeSource(settings, line)
