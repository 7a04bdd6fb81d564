"""The warehouse protocol: what the pipeline asks of an engine, and nothing more.

What belongs here: the two protocols, what holds for every engine, and the choice of one. What does
not: an engine's own code (one module per engine), SQL, and any knowledge of what the tables mean.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mab_store.settings import Settings


class Transaction(Protocol):
    """One open transaction; all of it is committed, or none."""

    def execute(self, name: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run every statement of `sql/<name>.sql` in order."""

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""

    def load_arrow(self, table_name: str, rows: pa.Table) -> None:
        """Append rows in bulk; their columns are those of the table, in its order."""


@dataclass(slots=True)
class Replacement:
    """A warehouse that is being made in the place of another.

    Attributes:
        warehouse: The new one, empty at first.
        set_aside: Where the old one went, once it is replaced; None if there was none.
    """

    warehouse: "Warehouse"
    set_aside: Path | None = None


class Warehouse(Protocol):
    """An engine that holds the tables of `sql/schema/`."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin; commit when the body ends, roll back when it raises, always close."""

    def create_schema(self) -> list[str]:
        """Create what is missing; run again, it changes nothing. Return what there is to tell."""

    def publish_copy(self, *, accept_loss: bool = False) -> str:
        """Put a read-only copy of what is committed where readers look; return its name.

        Args:
            accept_loss: Whether it is meant that the copy lacks what the served one has.

        Raises:
            PublicationRefusedError: It lacks some of that, and this is not meant.
        """

    def replacement(self, stamp: str) -> AbstractContextManager[Replacement]:
        """Begin with empty tables beside this warehouse; they take its place when the body ends.

        Args:
            stamp: Names what is set aside.
        """


class _Undone(Exception):  # noqa: N818  # it ends a transaction, nothing is wrong
    """Rolls back a transaction that was only for looking."""


@contextmanager
def rolled_back(warehouse: Warehouse) -> Iterator[Transaction]:
    """Begin a transaction that is rolled back in the end: to see what a change would bring."""
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
