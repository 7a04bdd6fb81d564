"""The array form of the windows against the SQL, on 1,000 random histories."""

from datetime import date, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.windows import SOURCES, sum_windows
from mab_store.settings import Settings
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables

FIRST = date(2025, 1, 1)
N_DAYS, N_EXPERIMENTS, N_ARMS = 40, 250, 3
SETTINGS = (
    "brief",
    "DEFAULT_WINDOW_DAYS=1,MAX_WINDOW_DAYS=1,MIN_IMPRESSIONS=0",
    "DEFAULT_WINDOW_DAYS=7,MAX_WINDOW_DAYS=60,MIN_IMPRESSIONS=500",
    "DEFAULT_WINDOW_DAYS=28,MAX_WINDOW_DAYS=28,MIN_IMPRESSIONS=1000",
)


@pytest.mark.parametrize("place", range(len(SETTINGS)))
def test_the_windows_are_those_of_the_sql(place):
    rule = parse_policy(SETTINGS[place], Settings(_env_file=None)).rule
    impressions, clicks = histories(np.random.default_rng(place))
    with duckdb.connect() as connection:
        load(connection, impressions, clicks)
        days = {"start_date": FIRST, "end_date": FIRST + timedelta(days=N_DAYS)}
        parameters = days | rule.window_parameters
        DuckDBTransaction(connection).execute("assets/windowed_aggregates", parameters)
        found = connection.sql(
            "select * from windowed_aggregates order by as_of_date, experiment_id, variant_name"
        ).to_arrow_table()
    shape = (N_DAYS, N_EXPERIMENTS, N_ARMS)
    ours = [sum_windows(impressions, clicks, day + 1, rule) for day in range(N_DAYS)]
    sources = np.array(found["data_source"].to_pylist()).reshape(shape)
    assert np.array_equal(np.array(SOURCES)[np.stack([day.source for day in ours])], sources)
    columns = {
        "impressions": "impressions",
        "clicks": "clicks",
        "default_window_impressions": "default_impressions",
        "default_window_clicks": "default_clicks",
        "max_window_impressions": "max_impressions",
        "max_window_clicks": "max_clicks",
    }
    for column, field in columns.items():
        sql = found[column].to_numpy().reshape(shape)
        assert np.array_equal(np.stack([getattr(day, field) for day in ours]), sql), column
    assert place != 0 or set(SOURCES) == set(sources.ravel())


def histories(generator):
    """Traffic between a few and thousands of impressions a day, with gaps and late starts."""
    shape = (N_DAYS, N_EXPERIMENTS, N_ARMS)
    level = 10.0 ** generator.uniform(0.5, 3.5, shape[1:])
    impressions = generator.poisson(level * generator.random(shape) ** 2)
    impressions[generator.random(shape) < 0.2] = 0
    starts = generator.integers(0, N_DAYS, shape[1:])
    impressions[np.arange(N_DAYS)[:, None, None] < starts] = 0
    # Sums that meet MIN_IMPRESSIONS exactly.
    impressions[:, ::10] = impressions[:, ::10] // 100 * 100
    return impressions, generator.binomial(impressions, 0.1)


def load(connection, impressions, clicks):
    for name in SCHEMA_FILES:
        for statement in load_sql(name):
            connection.execute(statement.text)
    rows = np.argwhere(impressions > 0)
    at = tuple(rows.T)
    created = datetime(2024, 1, 1)  # noqa: DTZ001  # the warehouse holds naive UTC
    names = [f"exp_{i:012x}" for i in range(N_EXPERIMENTS)]
    tables = {
        "experiments": [{"experiment_id": name, "experiment_name": name} for name in names],
        "variants": [
            {"experiment_id": name, "variant_name": f"v{k}", "position": k, "is_control": k == 0}
            for name in names
            for k in range(N_ARMS)
        ],
        "daily_metrics": [
            {"metric_date": FIRST + timedelta(days=day), "experiment_id": names[i],
             "variant_name": f"v{k}", "impressions": shown, "clicks": hits}
            for (day, i, k), shown, hits in zip(
                rows.tolist(), impressions[at].tolist(), clicks[at].tolist(), strict=True
            )
        ],
    }  # fmt: skip
    common = {
        "valid_from_date": date(1900, 1, 1),
        "valid_to_date": date(9999, 12, 31),
        "created_at": created,
        "received_at": created,
        "source_file": "metrics/file.csv",
    }
    status = {"experiments": "running", "variants": "active"}
    for name, content in tables.items():
        schema = declared_tables()[name].arrow_schema
        defaults = {field: value for field, value in common.items() if field in schema.names}
        if name in status:
            defaults["status"] = status[name]
        table = pa.Table.from_pylist([defaults | row for row in content], schema=schema)
        DuckDBTransaction(connection).load_arrow(name, table)
