"""The sources: how the API reads the published versions of each engine."""

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mab_api.snapshot.version import Version
from mab_store.settings import Settings
from mab_store.warehouse.duckdb.published_copies import open_copy, read_pointer
from mab_store.warehouse.reader import Reader

COPY_CONFIG = {
    "threads": "1",  # the event loop and the CDP need the other core
    "memory_limit": "1GB",
    "temp_directory": str(Path(tempfile.gettempdir()) / f"mab-api-{os.getpid()}"),
}
QUERY_SECONDS = 30
"""How long Snowflake may take for a page of history."""


class Source(Protocol):
    """The published versions of an engine.

    Attributes:
        remedy: What to do if a version lost served data, and if the loss is intended.
    """

    remedy: str

    def look(self, now: datetime) -> Version:
        """Return the newest version.

        Raises:
            MabError: There is none, or it cannot be seen.
        """

    def open(self, name: str) -> Reader:
        """Open a version for queries; the caller closes it."""

    def wait_seconds(self, now: datetime, published_at: datetime | None, failures: int) -> float:
        """Return how long to wait until the next look.

        Args:
            now: The time, as naive UTC.
            published_at: Moment of the newest publication that is served; None before the first.
            failures: How often looking or reading has failed in a row.
        """

    def close(self) -> None:
        """Release its own connections."""


class CopySource:
    """The published copies of DuckDB in a folder."""

    remedy = "Run `mab rebuild`; if the loss is intended, run it with --accept-loss."

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.published_dir
        self._refresh_seconds = settings.api_refresh_seconds

    def look(self, now: datetime) -> Version:
        """Return the copy that the pointer names; a new day shows new statuses."""
        path, accepts_loss = read_pointer(self._folder)
        stat = path.stat()
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return Version(path.name, mark, now.date(), accepts_loss)

    def open(self, name: str) -> Reader:
        """Open a copy, read-only."""
        return open_copy(self._folder / name, config=COPY_CONFIG)

    def wait_seconds(self, _now: datetime, _published_at: datetime | None, _failures: int) -> float:
        """Look at the usual interval: a look reads only one small file."""
        return self._refresh_seconds

    def close(self) -> None:
        """Do nothing: it holds no connection."""


def open_source(settings: Settings, *, query_seconds: int = QUERY_SECONDS) -> Source:
    """Return the source of the engine that MAB_ENGINE names.

    Args:
        settings: The settings.
        query_seconds: How long Snowflake may take for a query [s].
    """
    if settings.mab_engine == "snowflake":
        from mab_api.snapshot.snowflake_source import snowflake_source  # noqa: PLC0415  # engine on demand

        return snowflake_source(settings, query_seconds=query_seconds)
    return CopySource(settings)
