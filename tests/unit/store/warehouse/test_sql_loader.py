import hashlib

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_store.warehouse.sql_loader import (
    SQL_ROOT,
    load_query,
    load_sql,
    parse_sql,
    sql_fingerprint,
)


def parse(text: str):
    return parse_sql(text, source="test.sql")


def test_a_named_value_becomes_a_question_mark_in_its_place():
    (statement,) = parse("select :b + :a_2 where x = :b;")
    assert statement.text == "select ? + ? where x = ?"
    assert statement.names == ("b", "a_2", "b")
    assert statement.bind({"a_2": 2, "b": 1, "surplus": 9}) == [1, 2, 1]


def test_of_an_insert_the_query_can_be_run_alone():
    (_, insert), query = (
        load_sql("assets/windowed_aggregates"),
        load_query("assets/windowed_aggregates"),
    )
    assert insert.text.startswith("insert into windowed_aggregates (")
    assert query.text.startswith("with recursive")
    assert insert.text.endswith(query.text)
    assert query.names == insert.names
    assert load_query("ledger/newest_stamp") == load_sql("ledger/newest_stamp")[0]
    with pytest.raises(ValueError, match="unpack"):
        load_query("schema/02_fill_current")  # three of them


def test_a_missing_value_is_an_error_that_names_it():
    (statement,) = parse("select :day;")
    with pytest.raises(KeyError, match="day"):
        statement.bind({"today": 1})


def test_colons_and_semicolons_in_strings_are_text():
    (statement,) = parse("select 'a:b; -- :c', 'it''s :d', :e;")
    assert statement.text == "select 'a:b; -- :c', 'it''s :d', ?"
    assert statement.names == ("e",)


def test_comments_are_dropped_with_whatever_they_hold():
    (statement,) = parse("-- don't; bind :a\nselect 1 -- :b; it's\n/* :c; ' */ + :d;")
    assert statement.names == ("d",)
    assert statement.text.split() == ["select", "1", "+", "?"]


def test_a_dash_dash_in_a_string_is_no_comment():
    (statement,) = parse("select '--', :a;")
    assert statement.text == "select '--', ?"


def test_a_cast_with_two_colons_is_no_parameter():
    (statement,) = parse("select x::bigint, :a::date;")
    assert statement.text == "select x::bigint, ?::date"
    assert statement.names == ("a",)


def test_statements_are_split_at_semicolons_each_with_its_own_parameters():
    first, second = parse("delete from t where d = :a;\n\n-- then\ninsert into t select :b, :a;\n;")
    assert (first.names, second.names) == (("a",), ("b", "a"))
    assert second.text == "insert into t select ?, ?"
    assert first.source == "test.sql"


@pytest.mark.parametrize("end", ["", ";", ";\n", " -- last words", "; -- last words", "\n;;"])
def test_the_last_statement_counts_whatever_the_file_ends_with(end):
    (statement,) = parse(f"select :a{end}")
    assert (statement.text, statement.names) == ("select ?", ("a",))


@pytest.mark.parametrize("text", ["", " \n", ";;", "-- nothing\n", "/* nothing; */"])
def test_a_file_without_statements_has_none(text):
    assert parse(text) == ()


@given(value=st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_string_survives_as_a_literal_and_as_a_bound_value(value):
    literal = value.replace("'", "''")
    (statement,) = parse(f"select '{literal}', :value; -- {' '.join(value.split())}")
    with duckdb.connect() as connection:
        row = connection.execute(statement.text, statement.bind({"value": value})).fetchone()
    assert row == (value, value)


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        load_sql("assets/no_such_asset")


def all_names() -> list[str]:
    return sorted(
        path.relative_to(SQL_ROOT).with_suffix("").as_posix() for path in SQL_ROOT.rglob("*.sql")
    )


@pytest.mark.parametrize("name", all_names())
def test_every_file_of_ours_holds_statements_and_no_stray_question_mark(name):
    statements = load_sql(name)
    assert statements
    for statement in statements:
        assert statement.text.count("?") == len(statement.names)


def test_the_fingerprint_changes_with_the_statements_and_not_with_comments(monkeypatch, tmp_path):
    def fingerprint(text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()
        (tmp_path / f"{name}.sql").write_text(text)
        return sql_fingerprint(name)

    monkeypatch.setattr("mab_store.warehouse.sql_loader.SQL_ROOT", tmp_path)
    base = fingerprint("select 1;")
    assert fingerprint("-- why\nselect 1;\n") == base
    assert fingerprint("select 2;") != base
    assert len(base) == 12
