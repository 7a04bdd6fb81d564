"""A warehouse from before a column was declared gets it from the schema files."""

import duckdb

from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables


def create(connection: duckdb.DuckDBPyConnection) -> None:
    for name in SCHEMA_FILES:
        for statement in load_sql(name):
            connection.execute(statement.text)


def test_a_missing_column_is_added_in_its_place():
    with duckdb.connect() as connection:
        create(connection)
        connection.execute("alter table experiments drop column decision")
        create(connection)
        found = [row[0] for row in connection.sql("describe experiments").fetchall()]
    assert found == [column.name for column in declared_tables()["experiments"].columns]
