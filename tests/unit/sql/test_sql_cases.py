"""Run every SQL unit test: one YAML file in `cases/` each, with the arithmetic in its comments.

A case has these keys, of which only `purpose` and `expect` are always there:

    purpose: the sentence that it proves
    inputs:                    # tables that are filled first
      table:
        - {column: value}      # a column that is left out gets a default, see `_default`
    vars: {name: value}        # values for `:name`
    run: assets/daily_metrics  # file or files of sql/, executed in order
    query: daily_metrics       # table or view that is looked at; without it, the rows that the
                               # last statement of `run` gives
    order_by: [column]         # how to sort these rows; without it they come as they come
    expect:                    # all rows, each with the columns that matter
      - {column: value}

Dates are `2025-01-31`, times `2025-01-31 12:00:00` (UTC). A count that is text must be quoted.
"""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import Column, Table, declared_tables

CASES = Path(__file__).with_name("cases")
KEYS = {"purpose", "inputs", "vars", "run", "query", "order_by", "expect"}

# What a column gets that a row leaves out, by name and then by type; null where it may be null.
DEFAULTS_BY_NAME: dict[str, object] = {
    "valid_from_date": date(1900, 1, 1),
    "valid_to_date": date(9999, 12, 31),
    "row_number": 1,
}
DEFAULTS_BY_TYPE: dict[str, object] = {
    "bigint": 0,
    "boolean": False,
    "date": date(2025, 1, 1),
    "double": 0.0,
    "timestamp": datetime(2025, 1, 1),  # noqa: DTZ001  # the warehouse holds naive UTC
    "varchar": "",
}
DEFAULT_STATUS = {"experiments": "running", "variants": "active"}


class Case:
    """A parsed case; refuses keys, tables and columns that do not exist."""

    def __init__(self, document: dict[str, Any]) -> None:
        unknown = set(document) - KEYS
        assert not unknown, f"unknown keys {sorted(unknown)}; a case has {sorted(KEYS)}"
        assert document.get("purpose"), "a case says what it proves: `purpose`"
        assert "expect" in document, "a case says what comes out: `expect`"
        run = document.get("run", [])
        self.run: list[str] = [run] if isinstance(run, str) else run
        self.query: str | None = document.get("query")
        assert self.run or self.query, "a case has `run`, `query` or both"
        self.variables: dict[str, object] = document.get("vars") or {}
        self.order_by: list[str] = document.get("order_by") or []
        self.inputs: dict[str, list[dict[str, object]]] = document.get("inputs") or {}
        self.expect: list[dict[str, object]] = document["expect"] or []

    def outcome(self, connection: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
        """Fill the tables, run the files and return the rows to compare."""
        transaction = DuckDBTransaction(connection)
        for name, rows in self.inputs.items():
            transaction.load_arrow(name, to_arrow(declared_tables()[name], rows))
        result: duckdb.DuckDBPyRelation | None = None
        for name in self.run:
            for statement in load_sql(name):
                result = connection.sql(
                    statement.text, params=statement.bind(self.variables) or None
                )
        if self.query:
            assert self.query.isidentifier()
            result = connection.table(self.query)
        assert result is not None, "the last statement of `run` gives no rows: add a `query`"
        if self.order_by:
            result = result.order(", ".join(f"{column} nulls last" for column in self.order_by))
        rows: list[dict[str, object]] = result.to_arrow_table().to_pylist()
        return rows


def to_arrow(table: Table, rows: list[dict[str, object]]) -> pa.Table:
    """Return the rows of a case with every column of the table."""
    names = {column.name for column in table.columns}
    for row in rows:
        unknown = set(row) - names
        assert not unknown, f"{table.name} has no column {', '.join(sorted(unknown))}"
    full = [
        {column.name: row.get(column.name, _default(table, column)) for column in table.columns}
        for row in rows
    ]
    return pa.Table.from_pylist(full, schema=table.arrow_schema)


def _default(table: Table, column: Column) -> object:
    if column.nullable:
        return None
    if column.name == "status":
        return DEFAULT_STATUS[table.name]
    return DEFAULTS_BY_NAME.get(column.name, DEFAULTS_BY_TYPE[column.type])


def differences(
    actual: list[dict[str, object]], expected: list[dict[str, object]]
) -> Iterator[str]:
    """Say where the rows are not as expected; only the columns that a row lists are compared."""
    if len(actual) != len(expected):
        yield f"{len(actual)} rows, not {len(expected)}: {actual}"
    for number, (row, wanted) in enumerate(zip(actual, expected, strict=False), start=1):
        for column, value in wanted.items():
            if column not in row:
                yield f"row {number} has no column {column}; it has {', '.join(row)}"
            elif not _same(row[column], value):
                yield f"row {number}: {column} is {row[column]!r}, not {value!r}, in {row}"


def _same(actual: object, expected: object) -> bool:
    if isinstance(expected, float):
        return isinstance(actual, float) and actual == pytest.approx(expected, rel=1e-12)
    return type(actual) is type(expected) and actual == expected


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        yield connection


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_sql(path, engine):
    case = Case(yaml.safe_load(path.read_text("utf-8")))
    found = list(differences(case.outcome(engine), case.expect))
    assert not found, "\n".join(found)


BASE = {"purpose": "p", "query": "experiments", "expect": [], "inputs": {"experiments": []}}


def run(engine, **changes: object) -> list[str]:
    case = Case(BASE | changes)
    return list(differences(case.outcome(engine), case.expect))


def test_a_case_with_an_unknown_key_or_without_a_purpose_is_refused():
    with pytest.raises(AssertionError, match="unknown keys"):
        Case(BASE | {"expects": []})
    with pytest.raises(AssertionError, match="purpose"):
        Case(BASE | {"purpose": ""})
    with pytest.raises(AssertionError, match="expect"):
        Case({"purpose": "p", "query": "experiments"})


def test_a_case_with_a_misspelt_input_column_is_refused(engine):
    with pytest.raises(AssertionError, match="experiments has no column experiment_idd"):
        run(engine, inputs={"experiments": [{"experiment_idd": "x"}]})


def test_a_case_that_expects_something_else_fails_and_says_where(engine):
    rows = {"experiments": [{"experiment_id": "x"}]}
    assert run(engine, inputs=rows, expect=[{"experiment_id": "x", "status": "running"}]) == []
    assert "not 2" in run(engine, expect=[{}, {}])[0]
    (fault,) = run(engine, expect=[{"experiment_id": "y"}])
    assert "experiment_id is 'x', not 'y'" in fault
    (fault,) = run(engine, expect=[{"experimentid": "x"}])
    assert "has no column experimentid" in fault


@pytest.mark.parametrize(
    ("actual", "expected"), [(True, 1), (1, True), ("1", 1), (1, 1.0), (None, 0), (1.0, 1)]
)
def test_values_of_different_types_are_not_the_same(actual, expected):
    assert not _same(actual, expected)


def test_a_case_without_its_variable_is_refused(engine):
    with pytest.raises(KeyError, match="start_date"):
        run(engine, run="assets/daily_metrics")
