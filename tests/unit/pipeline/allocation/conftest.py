"""The variant gap of a scene, from the SQL files on an empty warehouse."""

from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest

from mab_pipeline.allocation.variant_gaps import VariantGap, VariantGaps
from mab_store.days import Days
from mab_store.settings import load_settings
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.unit.pipeline.allocation.gap_scene import DAY, NAME, Scene, march
from tests.unit.sql.test_sql_cases import to_arrow


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        yield connection


@pytest.fixture
def gap_of(connection):
    """Return the one gap of a scene, or None."""

    def find(scene: Scene, **settings: object) -> VariantGap | None:
        transaction = DuckDBTransaction(connection)
        tables = scene.tables()
        for name, table in declared_tables().items():
            connection.execute(f"delete from {name}")
            if tables.get(name):
                transaction.load_arrow(name, to_arrow(table, tables[name]))
        everything = {"start_date": march(1), "end_date": march(31)}
        transaction.execute("assets/daily_metrics", everything)
        chosen = load_settings(_env_file=None, mab_home="nowhere", **settings)
        gaps = VariantGaps(transaction, Days(DAY, DAY + timedelta(days=1)), chosen).of(DAY)
        assert set(gaps) <= {NAME}
        return gaps.get(NAME)

    return find
