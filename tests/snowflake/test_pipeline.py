"""The pipeline on both engines, step by step: after each one every table is the same."""

import json
from datetime import date, timedelta

import pyarrow as pa
import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import windows_that_differ
from mab_pipeline.operations import demo, prune
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.replay import replay
from mab_store.allocation_payload import allocation_bodies
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.sql_loader import SQL_ROOT, load_sql

LAST = "2025-02-22"  # of the sample, whose first day is 2025-01-10
PARAMETERS: dict[str, object] = {
    "start_date": date(2025, 2, 12),
    "end_date": date(2025, 2, 22),
    "from_date": None,
    "to_date": date(2025, 2, 20),
    "after_date": None,
    "after_variant": None,
    "after_file": None,
    "after_row": None,
    "verdict": None,
    "after_moment": None,
    "allocation_id": "alc_0000000000000000",
    "as_of_date": date(2025, 2, 19),
    "max_rejected_share": 0.01,
    "gap_days": 3,
    "gap_impressions": 20,
    "reason": "variant_gap",
    "due_date": date(2025, 2, 19),
    "cutoff_date": date(2025, 2, 14),
    "experiment": "asos_329386",
    "experiment_id": experiment_id_of("asos_329386"),
    "effective_date": date(2025, 2, 15),
    "entry": None,
    "limit": 5,
    "most": 3,
    "least_p_value": 0.001,
    "code_version": "another",  # every day has to be judged
    "max_window_days": 30,
    "min_impressions": 200,
    "prefix": "metrics/%",
    "run_id": None,  # differs between the worlds; the table `analysis` is compared above
    "table_name": "allocations",
}
QUERIES = sorted(
    name
    for path in SQL_ROOT.rglob("*.sql")
    for name in [str(path.relative_to(SQL_ROOT).with_suffix(""))]
    if load_sql(name)[0].text.startswith(("select", "with"))
    and not name.startswith("snowflake/")
    and not name.endswith("_entries")  # run ids; the journal itself is compared below
)
LATE = "metrics/2025-02-20/late.json"
REJECTED = """experiment,variant_name,impressions,clicks
asos_329386,control,-5,0
asos_329386,control,10,11
asos_329386,control,1e3,0
asos_329386,no such variant,10,1
no such experiment,control,10,1
asos_329386,variant_1,9007199254740992,1
"""
TOO_LONG = f"""experiment,variant_name,impressions,clicks
{"x" * (1 << 24)},control,10,1
asos_329386,control,{"1" * (1 << 24)},1
"""


@pytest.fixture(scope="module")
def worlds(make_worlds):
    """Both engines after the sample's first days as one range."""
    both = make_worlds(mab_start_date=date(2025, 1, 1))
    for world in both:
        demo.place_sample(world.platform, date.fromisoformat(LAST))
        world.run("2025-02-12", "2025-02-19")
    return both


def each_table_equal(worlds) -> dict[str, list[dict[str, object]]]:
    duck, flake = (world.tables() for world in worlds)
    for name, rows in duck.items():
        assert flake[name] == rows, name
    return flake


def test_a_range_gives_the_same_tables(worlds):
    tables = each_table_equal(worlds)

    assert all(tables.values())  # some of the sample's experiments end, so there are holds too
    assert {row["as_of_date"] for row in tables["allocations"]} == {
        date(2025, 2, 12) + timedelta(days=number) for number in range(8)
    }


def test_the_windows_are_those_that_their_inputs_give(worlds):
    days = Days(date(2025, 2, 12), date(2025, 2, 20))
    for world in worlds:
        rule = RuleSettings.of(world.settings)
        with world.platform.warehouse.reading() as queries:
            assert windows_that_differ(queries, rule, days) == set()


def test_the_same_range_again_adds_no_decision(worlds):
    before = each_table_equal(worlds)
    for world in worlds:
        world.run("2025-02-18", "2025-02-19")
    after = each_table_equal(worlds)

    assert after["allocations"] == before["allocations"]
    assert after["publications"] == before["publications"]
    assert after["windowed_aggregates"] == before["windowed_aggregates"]


def test_rejected_rows_and_unreadable_files_are_kept_and_named(worlds):
    for world in worlds:
        world.drop("metrics/2025-02-20/rejected.csv", REJECTED)
        world.drop("metrics/2025-02-20/broken.json", "{")
        world.drop("metrics/2025-02-20/long.csv", TOO_LONG)
        world.drop("metrics/2025-02-20/naïve ☃.csv", REJECTED.replace("no such", "Ünïcode 雪"))
        world.run("2025-02-20")
    each_table_equal(worlds)
    counts = [
        world.query(
            "select rejection_reason, count(*) as n from validated_metrics "
            "group by rejection_reason order by rejection_reason nulls last"
        ).to_pylist()
        for world in worlds
    ]

    longest = worlds[1].query("select max(length(experiment)) as n from raw_metrics").to_pylist()
    assert longest[0]["n"] < 11_000
    assert counts[0] == counts[1]
    assert {row["rejection_reason"] for row in counts[1]} == {
        None, "unreadable_file", "unknown_experiment", "unknown_variant", "not_an_integer",
        "too_large", "negative", "clicks_exceed_impressions",
    }  # fmt: skip


def test_a_late_file_counts_in_the_next_run(worlds):
    submission = {
        "experiment": "asos_329386",
        "date": "2025-02-20",
        "metrics": [{"variant_name": "control", "impressions": 5000, "clicks": 50}],
    }
    for world in worlds:
        world.drop(LATE, json.dumps(submission))
        world.run("2025-02-21")
    tables = each_table_equal(worlds)

    (row,) = [row for row in tables["daily_metrics"] if row["source_file"] == LATE]
    assert (row["impressions"], row["clicks"]) == (5000, 50)


def test_what_is_served_is_the_same(worlds):
    bodies = []
    for world in worlds:
        now = world.clock.now
        parameters = {"today": now.date(), "as_of_date": None}
        with open_reader(world.settings) as reader:
            rows = reader.fetch_arrow("serving/published_allocations", parameters)
        bodies.append(list(allocation_bodies(rows, settings=world.settings, now=now)))

    assert bodies[0] == bodies[1]
    assert "2025-02-21" in {body["as_of_date"] for body in bodies[1]}


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_gives_the_same_rows(worlds, name):
    duck, flake = (
        without_run_ids(
            world.platform.warehouse,
            name,
            {"today": world.clock.now.date()},
        )
        for world in worlds
    )

    assert flake.sort_by(by_all(flake)).to_pylist() == duck.sort_by(by_all(duck)).to_pylist()
    assert flake.column_names == duck.column_names


def without_run_ids(warehouse, name: str, more: dict[str, object]) -> pa.Table:
    with warehouse.transaction() as transaction:
        rows = transaction.fetch_arrow(name, PARAMETERS | more)
    columns = [column for column in rows.column_names if column not in {"run_id", "entry"}]
    return rows.select(columns)


def by_all(rows: pa.Table) -> list[tuple[str, str]]:
    return [(name, "ascending") for name in rows.column_names]


def test_explain_and_replay_read_snowflake(worlds):
    _, flake = worlds
    with open_reader(flake.settings) as reader:
        record = find_record(reader, "asos_329386", date(2025, 2, 20))
        assert explain(reader, record)

    assert replay(flake.platform, record).differences == []


def test_the_journal_is_the_same(worlds):
    duck, flake = (world.platform.journal for world in worlds)

    for table in ("inbox_files", "allocations", "publications"):
        rows = [journal.read(table) for journal in (duck, flake)]
        names = [name for name in rows[0].column_names if name != "run_id"]
        assert rows[0].select(names) == rows[1].select(names)


def test_pruning_drops_the_same_and_leaves_the_same(worlds):
    for world in worlds:  # a day that is history is decided twice more; the second time stays
        for clicks in (60, 70):
            late = json.dumps({
                "experiment": "asos_329386",
                "metrics": [{"variant_name": "control", "impressions": 5000, "clicks": clicks}],
            })  # fmt: skip
            world.drop(f"metrics/2025-02-13/late-{clicks}.json", late)
            world.run("2025-02-13")
    found = [prune._prune_tables(w.platform, date(2025, 3, 2), apply=True) for w in worlds]
    tables = each_table_equal(worlds)

    assert found[0] == found[1]
    assert all(item.amount for item in found[1])
    assert tables["raw_metrics"] == []
