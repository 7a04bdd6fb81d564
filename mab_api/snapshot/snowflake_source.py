"""What is published on Snowflake, seen by the API: over one connection, and seldom.

What belongs here: which version is newest, reading it, and when Snowflake is asked. What does not:
the connection (`mab_store/warehouse/snowflake/shared_connection.py`).

Nothing here wakes the virtual warehouse until something was published or somebody asks for history.
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
"""How often Snowflake is asked while no publication is due."""


class SnowflakeSource:
    """The newest version of a Snowflake schema, over one line.

    A day alone makes no new version: to read all anew at midnight would wake the virtual
    warehouse. A status that begins then shows with the night's publication.
    """

    remedy = "Restore the tables (Time Travel); if the loss is meant, restart the API."

    def __init__(self, settings: Settings, line: Line) -> None:
        self._settings = settings
        self._line = line

    def look(self, _now: datetime) -> Version:
        """Ask for the newest version, which wakes no virtual warehouse."""
        found = self._line.fetch_arrow("snowflake/newest_version")
        return Version(version_name(found, self._settings))

    def open(self, name: str) -> Reader:
        """Read over the line; the tables of decisions only grow, so a version needs no opening."""
        return LineReader(self._line, name)

    def wait_seconds(self, now: datetime, published_at: datetime | None, failures: int) -> float:
        """Look seldom while no publication is due, and ever more seldom while looking fails."""
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
    """What is published, read over a line that is shared."""

    def __init__(self, line: Line, name: str) -> None:
        self.name = name
        self._line = line

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
        return self._line.fetch_arrow(name, parameters)

    def branch(self) -> "LineReader":
        """Return itself: threads may share the line."""
        return self

    def close(self) -> None:
        """Do nothing: the line is the source's."""


def snowflake_source(settings: Settings, *, query_seconds: int) -> SnowflakeSource:
    """Return the source of the settings, which connects when it is first asked."""
    logging.getLogger("snowflake").setLevel(logging.CRITICAL)  # our own line says it, once
    connect = connect_directly(settings, query_seconds=query_seconds)
    return SnowflakeSource(settings, Line(settings, connect=connect))
