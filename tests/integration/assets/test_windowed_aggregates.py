"""Who gets a row on which day, and what its windows hold."""

import datetime as dt

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables

UP_TO_WINDOWS = ("experiments", "raw_metrics", "daily_metrics", "windowed_aggregates")
MID_MARCH = [f"2025-03-{day:02}" for day in range(12, 18)]


@pytest.fixture(scope="module")
def world(make_world):
    """Every way for an experiment or a variant to begin and to end, in one range run."""
    world = make_world()
    for name in ("paused", "resumed", "finished", "grown", "shrunk"):
        world.register(name)
    # Events on the 14th are true from the 15th on.
    world.change("paused", "2025-03-14T23:59:59Z", status="paused")
    world.change("resumed", "2025-03-13T00:00:00Z", status="paused")
    world.change("resumed", "2025-03-14T12:00:00Z", status="running")
    world.change("finished", "2025-03-14T00:00:00Z", status="finished")
    world.change("grown", "2025-03-14T12:00:00Z", add_variants=["b"])
    world.change("shrunk", "2025-03-14T12:00:00Z", retire_variants=["variant_a"])
    world.register("starts on the 15th", start_date="2025-03-15")
    world.register("registered on the 15th", created="2025-03-15T12:00:00Z")
    world.register("registered after its data", created="2025-03-19T12:00:00Z")
    world.register("registered long after", created="2025-03-19T12:00:00Z")
    world.register("start given", start_date="2025-03-16")
    world.metrics("2025-01-10", ("registered long after", "control", 9, 9), name="old.csv")
    for day in ("2025-03-14", "2025-03-16"):
        world.metrics(
            day,
            ("registered after its data", "control", 300, 3),
            ("start given", "control", 300, 3),
            ("grown", "b", 300, 3),
            ("shrunk", "variant_a", 300, 3),
            ("resumed", "control", 300, 3),
        )
    world.run("2025-01-10", assets=UP_TO_WINDOWS[:3])
    world.run(MID_MARCH[0], MID_MARCH[-1], assets=UP_TO_WINDOWS)
    return world


def days_of(world, name, variant="control"):
    """Return the as-of days in March on which a variant has a row."""
    rows = world.query(
        "select distinct day(as_of_date) from windowed_aggregates join experiments "
        "using (experiment_id) where experiment_name = ? and variant_name = ? order by 1",
        name,
        variant,
    )
    return [day for (day,) in rows]


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [
        # As-of day D is for D+1: what is true from the 15th on shows from as-of day 14 on.
        ("paused", "control", [12, 13]),
        ("resumed", "control", [12, 14, 15, 16, 17]),  # paused on the 14th alone
        ("finished", "variant_a", [12, 13]),
        ("grown", "control", [12, 13, 14, 15, 16, 17]),
        ("grown", "b", [14, 15, 16, 17]),
        ("shrunk", "variant_a", [12, 13]),
        ("shrunk", "control", [12, 13, 14, 15, 16, 17]),
        ("starts on the 15th", "control", [14, 15, 16, 17]),
        ("registered on the 15th", "control", [14, 15, 16, 17]),
        # Without a start date: its first accepted row is of the 14th.
        ("registered after its data", "control", [14, 15, 16, 17]),
        ("registered after its data", "variant_a", [14, 15, 16, 17]),
        ("registered long after", "control", [12, 13, 14, 15, 16, 17]),
        ("start given", "control", [15, 16, 17]),
    ],
)
def test_the_registry_is_read_as_of_the_day_that_the_shares_are_for(world, name, variant, expected):
    assert days_of(world, name, variant) == expected


def test_a_variant_counts_from_the_day_after_it_was_added(world):
    # Its data of the 14th are those of an unknown variant; those of the 16th count.
    assert world.windows("grown", "2025-03-17")["b"] == ("default_window", 1, 300, 3)


def test_data_of_days_before_the_start_count_once_it_has_started(world):
    seen = world.windows("start given", "2025-03-17")
    assert seen["control"] == ("default_window", 2, 600, 6)


def test_data_of_before_a_pause_count_after_it(world):
    assert world.windows("resumed", "2025-03-17")["control"] == ("default_window", 2, 600, 6)


def test_data_of_no_window_leave_the_prior(world):
    assert world.windows("registered long after", "2025-03-12")["control"] == ("prior", 0, 0, 0)


def test_each_variant_falls_back_by_itself(make_world):
    world = make_world()
    world.register("mixed", "rich", "older", "poor", "none")
    world.metrics("2025-02-18", ("mixed", "older", 150, 2), ("mixed", "poor", 199, 2))
    world.metrics("2025-02-17", ("mixed", "poor", 900, 9))  # the 31st day back
    world.metrics("2025-03-05", ("mixed", "older", 900, 9))  # the 15th day back
    world.metrics("2025-03-06", ("mixed", "older", 199, 1))  # the 14th
    world.metrics("2025-03-19", ("mixed", "rich", 200, 20))
    world.run("2025-02-17", assets=UP_TO_WINDOWS[:3])
    world.run("2025-03-19")
    assert world.windows("mixed", "2025-03-19") == {
        "rich": ("default_window", 1, 200, 20),
        # 199 impressions in 14 days; 199 + 900 + 150 in 30, 1 + 9 + 2 clicks.
        "older": ("max_window", 3, 1249, 12),
        "poor": ("prior", 1, 0, 0),
        "none": ("prior", 0, 0, 0),
    }
    body = world.bodies()["mixed"]
    assert body["window_days"] == 30
    assert [v["metrics"]["ctr"] for v in body["allocations"]] == [0.1, 12 / 1249, None, None]


# The oracle: the rule of design 4.4 in plain Python, one day and one variant at a time.

START = dt.date(2025, 1, 1)
VARIANTS = ("x", "y")
counts = st.integers(0, 150).flatmap(
    lambda impressions: st.tuples(st.just(impressions), st.integers(0, impressions))
)
data = st.dictionaries(
    st.tuples(st.integers(0, 24), st.sampled_from(VARIANTS)), counts, max_size=30
)


def naive(metrics, as_of, *, short, long, enough):
    """Return (source, days, impressions, clicks, short and long sums) of each variant."""
    result = {}
    for variant in VARIANTS:

        def total(days, variant=variant):
            held = [
                metrics[offset, variant]
                for offset in range(as_of - days + 1, as_of + 1)
                if (offset, variant) in metrics
            ]
            return len(held), sum(i for i, _ in held), sum(c for _, c in held)

        near, far = total(short), total(long)
        if near[1] >= enough:
            chosen = ("default_window", short, *near)
        elif far[1] >= enough:
            chosen = ("max_window", long, *far)
        else:
            chosen = ("prior", long, far[0], 0, 0)
        result[variant] = (*chosen, *near[1:], *far[1:])
    return result


def windows_by_sql(metrics, first, last, **rule):
    """Return the same by the SQL file, for a range of as-of days at once."""
    day = {offset: START + dt.timedelta(days=offset) for offset in range(-1, 40)}
    always = {"valid_from_date": dt.date(1900, 1, 1), "valid_to_date": dt.date(9999, 12, 31)}
    stamp = dt.datetime(2024, 12, 1)  # noqa: DTZ001  # the warehouse holds naive UTC
    rows = {
        "experiments": [
            {"experiment_id": "e", "experiment_name": "e", "status": "running", **always}
            | {"created_at": stamp}
        ],
        "variants": [
            {"experiment_id": "e", "variant_name": name, "status": "active", **always}
            | {"is_control": name == "x", "position": place}
            for place, name in enumerate(VARIANTS)
        ],
        "daily_metrics": [
            {"metric_date": day[offset], "experiment_id": "e", "variant_name": variant}
            | {"impressions": i, "clicks": c, "source_file": "f", "received_at": stamp}
            for (offset, variant), (i, c) in metrics.items()
        ],
    }
    with duckdb.connect() as connection:
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        transaction = DuckDBTransaction(connection)
        for table, content in rows.items():
            schema = declared_tables()[table].arrow_schema
            transaction.load_arrow(table, pa.Table.from_pylist(content, schema=schema))
        parameters = {
            "start_date": day[first],
            "end_date": day[last + 1],
            "default_window_days": rule["short"],
            "max_window_days": rule["long"],
            "min_impressions": rule["enough"],
        }
        transaction.execute("assets/windowed_aggregates", parameters)
        found = connection.execute(
            "select as_of_date, variant_name, data_source, window_days, days_observed, "
            "impressions, clicks, default_window_impressions, default_window_clicks, "
            "max_window_impressions, max_window_clicks from windowed_aggregates"
        ).fetchall()
    result = {}
    for as_of, variant, *values in found:
        result.setdefault((as_of - START).days, {})[variant] = tuple(values)
    return result


@settings(max_examples=25)
@given(
    metrics=data,
    first=st.integers(0, 24),
    length=st.integers(1, 12),
    short=st.integers(1, 6),
    longer=st.integers(0, 6),
    enough=st.sampled_from([0, 1, 100, 200, 400]),
)
def test_windows_of_a_range_are_those_of_a_naive_computation_day_by_day(
    metrics, first, length, short, longer, enough
):
    rule = {"short": short, "long": short + longer, "enough": enough}
    days = range(first, first + length)
    expected = {as_of: naive(metrics, as_of, **rule) for as_of in days}
    assert windows_by_sql(metrics, days[0], days[-1], **rule) == expected
