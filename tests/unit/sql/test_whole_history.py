"""Statements that read a few days give the rows that all of history would give."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from mab_store.days import Days
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.unit.sql.test_sql_cases import to_arrow

FIRST = date(2025, 1, 1)
NOON = datetime(2025, 6, 1, 12)  # noqa: DTZ001  # the warehouse holds naive UTC
HISTORY_DAYS = 80  # the statements look 30 days back before they ask for more
EXPERIMENTS = [f"exp_{number}" for number in range(8)]

DATA_THROUGH = """
select asked.as_of_date, asked.experiment_id, max(daily_metrics.metric_date) as data_through
from (select distinct as_of_date, experiment_id from windowed_aggregates) as asked
left join daily_metrics
    on daily_metrics.experiment_id = asked.experiment_id
    and daily_metrics.metric_date <= asked.as_of_date
    and daily_metrics.impressions > 0
where asked.as_of_date >= $start_date and asked.as_of_date < $end_date
group by all
"""
STATE = """
select experiment_id, as_of_date, buckets, was_live, recency = 1 as is_newest
from (
    select *,
        row_number() over (
            partition by experiment_id order by as_of_date desc, published_at desc
        ) as recency,
        row_number() over (
            partition by experiment_id, was_live order by as_of_date desc, published_at desc
        ) as recency_by_liveness
    from publications
)
where (recency = 1 or (was_live and recency_by_liveness = 1))
    and experiment_id in (
        select experiment_id from windowed_aggregates
        where as_of_date >= $start_date and as_of_date < $end_date
    )
"""


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        yield connection


def fill(engine: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, object]]) -> None:
    DuckDBTransaction(engine).load_arrow(table, to_arrow(declared_tables()[table], rows))


def listed(rows: pa.Table) -> list[tuple[object, ...]]:
    return sorted((tuple(row.values()) for row in rows.to_pylist()), key=str)


def days_of_a_feed(chance: random.Random) -> list[date]:
    """Return days with traffic: all, none, or some that may end long ago or begin late."""
    first, last = sorted(chance.choices(range(HISTORY_DAYS), k=2))
    step = chance.choice([1, 1, 2, 29, 30, 31])
    count = chance.choice([0, 1, HISTORY_DAYS])
    return [FIRST + timedelta(days=day) for day in range(first, last + 1, step)][:count]


def span(chance: random.Random) -> Days:
    start = FIRST + timedelta(days=chance.randrange(HISTORY_DAYS))
    return Days(start, start + timedelta(days=chance.choice([1, 1, 2, 40])))


@pytest.mark.parametrize("seed", range(20))
def test_how_far_data_reach_is_what_all_days_say(engine, seed):
    chance = random.Random(seed)
    fill(engine, "daily_metrics", [
        {"experiment_id": name, "metric_date": day, "variant_name": variant,
         "impressions": chance.choice([0, 1, 5])}
        for name in EXPERIMENTS
        for day in days_of_a_feed(chance)
        for variant in chance.sample(["a", "b"], chance.randint(1, 2))
    ])  # fmt: skip
    fill(engine, "windowed_aggregates", [
        {"experiment_id": name, "as_of_date": FIRST + timedelta(days=day), "variant_name": variant}
        for name in EXPERIMENTS
        for day in range(HISTORY_DAYS)
        for variant in ("a", "b")
        if chance.random() < 0.7
    ])  # fmt: skip

    for _ in range(5):
        days = span(chance).parameters
        found = DuckDBTransaction(engine).fetch_arrow("assets/publication_data_through", days)
        asked = engine.sql(DATA_THROUGH, params=days).to_arrow_table()
        assert listed(found) == listed(asked)
        assert found.schema == asked.schema


@pytest.mark.parametrize("seed", range(20))
def test_the_newest_publications_are_those_of_all_days(engine, seed):
    chance = random.Random(seed)
    publications = [
        {
            "experiment_id": name,
            "as_of_date": day,
            "published_at": NOON + timedelta(seconds=chance.randrange(10**6)),
            "was_live": is_live,
            "buckets": str(chance.random()),
        }
        for name in EXPERIMENTS
        for is_live in chance.sample([True, False], chance.randint(0, 2))
        for day in days_of_a_feed(chance)
        for _ in range(chance.randint(1, 2))
    ]
    fill(engine, "publications", publications)
    fill(engine, "windowed_aggregates", [
        {"experiment_id": name, "as_of_date": FIRST + timedelta(days=day)}
        for name in EXPERIMENTS
        for day in range(HISTORY_DAYS)
        if chance.random() < 0.5
    ])  # fmt: skip

    for _ in range(5):
        days = span(chance).parameters
        found = DuckDBTransaction(engine).fetch_arrow("assets/publication_state", days)
        assert listed(found) == listed(engine.sql(STATE, params=days).to_arrow_table())
