"""Every file of sql/ parses in both dialects and stays inside the portable subset."""

import re

import pytest
import sqlglot
from sqlglot import exp

from mab_store.sql_files import SQL_ROOT, load_sql

FILES = sorted(str(path.relative_to(SQL_ROOT).with_suffix("")) for path in SQL_ROOT.rglob("*.sql"))
FORBIDDEN_WORDS = re.compile(
    r"\b(iff|nvl|dateadd|to_date|filter\s*\(|on\s+conflict|generate_series|insert\s+overwrite"
    r"|timestamp_ntz|timestamp_tz|interval|strftime|epoch|list_|struct_)\b",
    re.IGNORECASE,
)


def trees(name: str, dialect: str) -> list[exp.Expression]:
    return [
        tree
        for statement in load_sql(name)
        for tree in sqlglot.parse(statement.text, dialect=dialect)
        if tree is not None
    ]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
def test_every_statement_parses(name, dialect):
    parsed = trees(name, dialect)

    assert len(parsed) == len(load_sql(name)) > 0
    assert not any(isinstance(tree, exp.Command) for tree in parsed), "not understood"


@pytest.mark.parametrize("name", FILES)
def test_no_statement_leaves_the_portable_subset(name):
    for statement in load_sql(name):
        outside_strings = re.sub(r"'[^']*'", "''", statement.text)
        assert not FORBIDDEN_WORDS.search(outside_strings)
    for tree in trees(name, "duckdb"):
        assert not [node for node in tree.find_all(exp.Identifier) if node.quoted]
        for division in tree.find_all(exp.Div):
            assert isinstance(division.expression, exp.Nullif | exp.Literal), division.sql()


@pytest.mark.parametrize("name", FILES)
def test_every_descending_order_says_where_nulls_go(name):
    for statement in load_sql(name):
        text = " ".join(statement.text.lower().split())
        assert len(re.findall(r"\bdesc\b", text)) == len(re.findall(r"\bdesc nulls last\b", text))


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_its_purpose(name):
    assert (SQL_ROOT / f"{name}.sql").read_text("utf-8").startswith("-- Purpose: ")


def test_the_lint_finds_what_it_shall_find():
    assert FORBIDDEN_WORDS.search("select iff(a, b, c)")
    assert FORBIDDEN_WORDS.search("date '2025-01-01' - interval 1 day")
    assert not FORBIDDEN_WORDS.search("select coalesce(a, b)")
