"""The second parser of statements for Snowflake; `make lint` runs it over all of them."""

import pytest

from tools.snowflake_parse import faults, statements


@pytest.mark.parametrize(
    "text",
    [
        "select ? as a",
        "create or replace view a copy grants as select b from c",
        "copy into a from @~/b file_format = (type = parquet) purge = true",
        "alter session set timestamp_type_mapping = 'TIMESTAMP_NTZ'",
    ],
)
def test_a_statement_of_snowflake_is_understood(text):
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "selec a from b",
        "select a from b where",
        "create table a (b bigint not nul)",
        "insert into a (b select 1",
        "select struct_pack(a := 1)",  # DuckDB's own
    ],
)
def test_another_one_is_not(text):
    assert faults(text)


def test_every_statement_is_looked_at():
    found = list(statements())
    assert len({name for name, _ in found}) > 90
    assert any(" copy grants as" in text for _, text in found)
