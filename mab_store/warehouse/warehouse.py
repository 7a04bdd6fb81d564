"""The warehouse protocol, as small as the pipeline needs it, and the choice of the engine."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from mab_store.settings import Settings

if TYPE_CHECKING:
    from mab_store.warehouse.reader import Reader


class Queries(Protocol):
    """Tables that can be read."""

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none).

        Of a file with an INSERT it is the query whose rows that adds; nothing is written.
        """


class Transaction(Queries, Protocol):
    """One open transaction; all of it is committed, or none."""

    def execute(self, name: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run every statement of `sql/<name>.sql` in order."""

    def load_arrow(self, table_name: str, rows: pa.Table) -> None:
        """Append rows in bulk; their columns are those of the table, in its order."""


@dataclass(slots=True)
class Replacement:
    """A new warehouse that replaces another one.

    Attributes:
        warehouse: The new one, empty at first.
        set_aside: Path of the old one once it is replaced; None if there was none.
    """

    warehouse: "Warehouse"
    set_aside: Path | None = None


class Warehouse(Protocol):
    """An engine that holds the tables of `sql/schema/`."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin; commit when the body ends, roll back when it raises, always close."""

    def reading(self) -> AbstractContextManager[Queries]:
        """Open the tables once for any number of queries, without the writer lock if possible.

        A transaction that begins within this block does not wait for the block to end.
        """

    def published(self) -> AbstractContextManager["Reader"]:
        """Open the newest published data, which other processes read too.

        Raises:
            NotPublishedError: Nothing is published, or it cannot be read.
        """

    def create_schema(self) -> list[str]:
        """Create missing objects; run again, it changes nothing. Return lines for the user."""

    def publish_copy(self, *, accept_loss: bool = False) -> str:
        """Publish a read-only copy of the committed data for readers; return its name.

        Args:
            accept_loss: Whether a loss compared with the served copy is intended.

        Raises:
            PublicationRefusedError: There is a loss that is not intended.
        """

    def replacement(self, stamp: str) -> AbstractContextManager[Replacement]:
        """Begin with empty tables next to this warehouse; they replace it when the body ends.

        Args:
            stamp: Becomes part of the old warehouse's new name.
        """


class _Undone(Exception):  # noqa: N818  # it ends a transaction, it reports no error
    """Roll back a trial transaction."""


@contextmanager
def rolled_back(warehouse: Warehouse) -> Iterator[Transaction]:
    """Begin a transaction that is always rolled back, to try a change."""
    with suppress(_Undone), warehouse.transaction() as transaction:
        yield transaction
        raise _Undone


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the warehouse of the engine that MAB_ENGINE names; an engine is imported on demand."""
    if settings.mab_engine == "snowflake":
        from mab_store.warehouse.snowflake.connection import connect_directly
        from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse

        return SnowflakeWarehouse(settings, connect=connect_directly(settings))
    from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse

    return DuckDBWarehouse(settings)
