import re

import duckdb
import pyarrow as pa
import pytest

from mab_store.warehouse.sql_loader import SQL_ROOT, load_sql
from mab_store.warehouse.table_schema import _parse_column, declared_tables

DDL = (SQL_ROOT / "schema" / "02_create_tables.sql").read_text("utf-8")


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        for statement in load_sql("schema/02_create_tables"):
            connection.execute(statement.text)
        yield connection


def test_every_table_of_the_ddl_is_declared_in_its_order():
    assert list(declared_tables()) == re.findall(r"create table if not exists (\w+)", DDL)


@pytest.mark.parametrize("name", declared_tables())
def test_columns_types_and_nulls_are_what_an_engine_makes_of_the_ddl(engine, name):
    made = engine.execute(
        "select column_name, lower(data_type), is_nullable from duckdb_columns() "
        "where table_name = ? order by column_index",
        [name],
    ).fetchall()
    assert made == [(c.name, c.type, c.nullable) for c in declared_tables()[name].columns]


@pytest.mark.parametrize("table", declared_tables().values(), ids=declared_tables())
def test_a_grain_consists_of_columns_that_are_never_null(table):
    required = {column.name for column in table.columns if not column.nullable}
    assert table.grain
    assert set(table.grain) <= required


@pytest.mark.parametrize("table", declared_tables().values(), ids=declared_tables())
def test_everything_has_a_meaning_and_a_unit(table):
    assert table.description.endswith(".")
    for column in table.columns:
        assert column.description[0].isupper() or column.description[0] == '"' or column.unit
        assert column.unit.strip()
        assert "[" not in column.description


@pytest.mark.parametrize("table", declared_tables().values(), ids=declared_tables())
def test_an_arrow_table_of_the_declared_schema_can_be_inserted_as_it_is(engine, table):
    empty = table.arrow_schema.empty_table()
    engine.from_arrow(empty).insert_into(table.name)
    back = engine.sql(f"select * from {table.name}").to_arrow_table()
    assert back.schema.names == table.arrow_schema.names
    assert back.schema.types == table.arrow_schema.types


def test_the_arrow_schema_has_the_types_of_the_declaration():
    schema = declared_tables()["allocations"].arrow_schema
    assert schema.field("as_of_date").type == pa.date32()
    assert schema.field("alpha").type == pa.float64()
    assert schema.field("computed_at").type == pa.timestamp("us")


def test_only_the_portable_types_are_used():
    used = {column.type for table in declared_tables().values() for column in table.columns}
    assert used <= {"bigint", "double", "varchar", "date", "boolean", "timestamp"}


@pytest.mark.parametrize(
    "line", ["    clicks bigint not null,", "    clicks bigint, -- no unit", "    clicks, -- x [y]"]
)
def test_a_column_without_meaning_or_unit_is_an_error_that_quotes_the_line(line):
    with pytest.raises(ValueError, match=r"02_create_tables\.sql: 'clicks.* lacks its"):
        _parse_column(line)


def test_no_key_and_no_default_is_declared():
    assert not re.search(r"primary key|unique|default |references ", re.sub(r"--.*", "", DDL))
