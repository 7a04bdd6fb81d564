"""Read published data on any engine: the protocol of a reader and the choice of the engine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from mab_store.settings import Settings
from mab_store.warehouse.duckdb.published_copies import current_copy, open_copy


class Reader(Protocol):
    """The published data, open for reading.

    Attributes:
        name: The copy or version that is read.
    """

    name: str

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""

    def branch(self) -> "Reader":
        """Return a reader of the same data for another thread."""

    def close(self) -> None:
        """Release the connection."""


@contextmanager
def open_reader(settings: Settings) -> Iterator[Reader]:
    """Open the newest published data, on the engine that MAB_ENGINE names.

    Raises:
        NotPublishedError: Nothing is published, or it cannot be read.
    """
    reader: Reader
    if settings.mab_engine == "snowflake":
        from mab_store.warehouse.snowflake.reader import open_snowflake  # noqa: PLC0415  # engine on demand

        reader = open_snowflake(settings)
    else:
        reader = open_copy(current_copy(settings.published_dir))
    try:
        yield reader
    finally:
        reader.close()
