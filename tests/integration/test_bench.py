"""The generated homes of `make bench` fit the schema: no suite runs the benchmarks themselves."""

from datetime import timedelta
from pathlib import Path

import duckdb

from mab_store.days import Days
from tests.bench.bench_pipeline import START, VARIANTS, aggregate, filled


def test_a_generated_history_gives_windows(tmp_path: Path) -> None:
    platform = filled(tmp_path, experiments=3, days=35)
    day = START + timedelta(days=34)
    aggregate(platform, Days(day, day + timedelta(days=1)))
    with duckdb.connect(platform.settings.warehouse_path, read_only=True) as connection:
        rows = connection.sql(
            "select count(*), min(impressions), count(distinct experiment_id) "
            "from windowed_aggregates"
        ).fetchall()
    (count, least, experiments) = rows[0]
    assert (count, experiments) == (3 * VARIANTS, 3)
    assert least >= 14 * 1000
