import re

import duckdb
import pytest

from mab_store.warehouse.sql_loader import SQL_ROOT, load_sql
from tools.schema_docs import (
    REJECTION_REASONS,
    RELATIONS,
    VIEW_NAME,
    data_dictionary,
    documented_tables,
    erd,
    pages,
)


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        for name in ("schema/02_create_tables", "schema/02_create_views"):
            for statement in load_sql(name):
                connection.execute(statement.text)
        yield connection


def test_the_committed_pages_are_current():
    for path, text in pages().items():
        assert path.read_text("utf-8") == text, f"run `python -m tools.schema_docs`: {path}"


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: f"{relation[0]}-{relation[1]}")
def test_every_relation_names_tables_that_exist_and_columns_that_both_have(relation):
    tables = documented_tables()
    for name in (relation.one, relation.many):
        assert set(relation.columns) <= {column.name for column in tables[name].columns}


def test_every_table_stands_in_some_relation():
    related = {name for relation in RELATIONS for name in (relation.one, relation.many)}
    assert related == set(documented_tables())


def test_every_documented_column_is_what_an_engine_makes_of_the_ddl(engine):
    for name, table in documented_tables().items():
        described = engine.execute(f"describe {name}").fetchall()
        assert [(column, kind.lower()) for column, kind, *_ in described] == [
            (column.name, column.type) for column in table.columns
        ]


def test_an_engine_has_no_table_or_view_that_is_not_documented(engine):
    # but the views of 02_create_served_views.sql, which are columns of documented tables
    made = {name for (name,) in engine.execute("show tables").fetchall()}
    assert made == set(documented_tables())


def test_the_rejection_reasons_are_those_of_the_view_in_their_order():
    text = (SQL_ROOT / "schema" / "02_create_views.sql").read_text("utf-8")
    judged = text[text.index("judged as (") : text.index("end as rejection_reason")]
    assert re.findall(r"then '(\w+)'", judged) == list(REJECTION_REASONS)


def test_the_dictionary_has_a_line_for_every_column_and_every_reason():
    text = data_dictionary()
    for table in documented_tables().values():
        section = text.split(f"## {table.name}")[1].split("\n## ")[0]
        for column in table.columns:
            null = "yes" if column.nullable else "no"
            assert f"| `{column.name}` | {column.type} | {null} |" in section
    for reason in REJECTION_REASONS:
        assert f"| `{reason}` |" in text.split(f"## {VIEW_NAME}")[1]


def test_no_cell_of_the_dictionary_breaks_its_row():
    for line in data_dictionary().splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {3, 6}


def test_the_erd_draws_every_table_once_with_its_grain_as_key():
    text = erd()
    for table in documented_tables().values():
        (entity,) = re.findall(
            rf"^    {table.name} \{{\n(.*?)\n    \}}$", text, re.MULTILINE | re.DOTALL
        )
        keys = re.findall(r"^ +\w+ (\w+) PK$", entity, re.MULTILINE)
        assert set(keys) == set(table.grain)
