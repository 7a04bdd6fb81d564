"""Limits of checks that need more rows than a case in YAML shows well."""

from datetime import date

import duckdb
import pytest

from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.unit.sql.test_sql_cases import to_arrow

DAY = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("received", "rejected", "allowed", "is_found"),
    [
        (100, 1, 0.01, False),
        (99, 1, 0.01, True),
        (100, 2, 0.01, True),
        (100, 29, 0.29, False),  # 0.29 of 100 is 28.999999999999996 in binary
        (100, 30, 0.29, True),
        (100, 0, 0.0, False),
        (100, 1, 0.0, True),
        (2, 2, 1.0, False),
    ],
)
def test_more_than_the_share_of_a_day_must_be_rejected(received, rejected, allowed, is_found):
    names = {"experiment_id": "exp_a", "experiment_name": "a", "variant_name": "b"}
    rows = [
        {
            "metric_date": DAY,
            "row_number": number,
            "experiment": "a",
            "variant_name": "b",
            "impressions": "1",
            "clicks": "2" if number < rejected else "1",
        }
        for number in range(received)
    ]
    inputs = {
        "experiments": [{name: names[name] for name in ("experiment_id", "experiment_name")}],
        "variants": [{name: names[name] for name in ("experiment_id", "variant_name")}],
        "raw_metrics": rows,
    }
    with duckdb.connect() as connection:
        for file in SCHEMA_FILES:
            for statement in load_sql(file):
                connection.execute(statement.text)
        transaction = DuckDBTransaction(connection)
        for name, table_rows in inputs.items():
            transaction.load_arrow(name, to_arrow(declared_tables()[name], table_rows))
        found = transaction.fetch_arrow(
            "checks/daily_metrics_rejected_share",
            {
                "start_date": DAY,
                "end_date": date(2025, 1, 2),
                "max_rejected_share": allowed,
            },
        ).to_pylist()
    detail = f"{rejected} of {received} rows were rejected"
    assert found == ([{"day": DAY, "detail": detail}] if is_found else [])
