"""The first hour on an account, step by step and in order; `make snowflake-first-hour` runs it.

Each step runs unchanged on the emulator behind the wire double and on an account. A step that only
one of them can show is named, with its reason, at the end of the report.
"""

import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta

import pyarrow as pa
import pytest
from pydantic import SecretStr
from snowflake.connector.errors import ProgrammingError

from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec
from mab_store.settings import Settings
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.snowflake import connection as snowflake_connection
from mab_store.warehouse.snowflake import statements
from mab_store.warehouse.snowflake.connection import connect_directly
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.snowflake.wire import Wire, serving
from tests.snowflake.worlds import World

FIRST, LAST = date(2024, 11, 20), date(2025, 2, 28)  # 101 days
NOW = "2025-03-01T02:00:00"
MARKERS = ["\\N", "NULL", "null", "", "NaN", "None", "\\\\N", " "]
MANY = 200_000

# A run that stops in the middle of its transaction; the parent kills it there.
KILLED = """
import sys, time
from mab_store.settings import load_settings
from mab_store.warehouse.warehouse import open_warehouse
with open_warehouse(load_settings(_env_file=None)).transaction() as transaction:
    transaction.execute("ledger/delete_day", {"metric_date": "2025-02-28"})
    print("in the middle", flush=True)
    time.sleep(600)
"""


def run_as(settings: Settings, role: str) -> Settings:
    return settings.model_copy(update={"snowflake_role": role})


def one(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with connect_directly(settings)() as connection:
        return connection.cursor().execute(statement).fetchall()


@pytest.fixture(scope="module")
def owner(make_settings, tmp_path_factory) -> Settings:
    """The settings of `mab init`."""
    return make_settings(tmp_path_factory.mktemp("home"), mab_start_date=FIRST)


@pytest.fixture(scope="module")
def world(owner) -> World:
    """A pipeline with its own role, and 101 days of counts."""
    one(owner, f"grant role mab_pipeline to user {owner.snowflake_user}")
    one(owner, f"grant role mab_api to user {owner.snowflake_user}")
    made = World(run_as(owner, "MAB_PIPELINE"), now=NOW, with_schema=False)
    variants = [VariantSpec(name="control", is_control=True), VariantSpec(name="b")]
    spec = ExperimentSpec(name="cta", variants=variants, start_date=FIRST)
    register(made.platform.inbox, spec, now=made.clock())
    for offset in range(101):
        day = FIRST + timedelta(days=offset)
        rows = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,b,1000,12\n"
        made.drop(f"metrics/{day}/counts.csv", rows)
    return made


def test_1_init_makes_everything_and_again_changes_nothing(owner):
    warehouse = SnowflakeWarehouse(owner, connect=connect_directly(owner))
    first, second = warehouse.create_schema(), warehouse.create_schema()
    assert len(first) == len(second) > 50


@pytest.mark.account_only("the emulator has no grants")
def test_1_init_keeps_what_others_were_granted(owner):
    one(owner, "grant select on view served_metrics to role public")
    before = rights_of_the_api(owner)
    SnowflakeWarehouse(owner, connect=connect_directly(owner)).create_schema()
    assert "PUBLIC" in str(one(owner, "show grants on view served_metrics"))
    assert rights_of_the_api(owner) == before
    assert {name.rpartition(".")[2] for _, kind, name in before if kind == "VIEW"} == {
        statement.text.split()[4].upper()
        for statement in load_sql("schema/03_grants")
        if statement.text.endswith("to role mab_api") and " on view " in statement.text
    }


def rights_of_the_api(owner: Settings) -> set[tuple[str, str, str]]:
    """Return right, kind of object and name of each grant in the owner's schema."""
    schema = f".{owner.snowflake_schema}.".upper()
    rows = [tuple(map(str, row[1:4])) for row in one(owner, "show grants to role mab_api")]
    return {(right, kind, name) for right, kind, name in rows if schema in name.upper()}


@pytest.mark.shows_less("the emulator has no roles: every login may do everything")
def test_2_a_day_runs_as_mab_pipeline(world):
    world.run(str(LAST))
    assert len(world.table("publications")) == 1


@pytest.mark.account_only("the emulator refuses nobody")
@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("MAB_PIPELINE", "delete from publications"),
        ("MAB_PIPELINE", "update allocations set alpha = 1"),
        ("MAB_PIPELINE", "create table t (a int)"),
        ("MAB_PIPELINE", "create temporary stage s"),
        ("MAB_PIPELINE", "drop table raw_metrics"),
        ("MAB_PIPELINE", "delete from analysis"),
        ("MAB_PIPELINE", "update current_publications set as_of_date = current_date()"),
        ("MAB_API", "select * from allocations"),
        ("MAB_API", "select * from current_publications"),
        ("MAB_API", "insert into published_versions select 1, current_timestamp()"),
        ("MAB_ANALYST", "delete from raw_metrics"),
    ],
)
def test_2_a_role_is_refused_what_it_has_no_right_to(owner, role, statement):
    with pytest.raises(ProgrammingError, match=r"(?i)privilege|not authorized"):
        one(run_as(owner, role), statement)


@pytest.mark.shows_less("the emulator has no roles: every login may do everything")
def test_3_the_api_reads_what_is_served_as_mab_api(world, owner):
    with open_reader(run_as(owner, "MAB_API")) as reader:
        today = {"today": world.clock.now.date(), "as_of_date": None}
        rows = reader.fetch_arrow("serving/published_allocations", today)
    assert set(rows["variant_name"].to_pylist()) == {"control", "b"}


@pytest.mark.shows_less("the wire double ends an idle transaction in Snowflake's place")
def test_4_a_run_that_is_killed_in_its_transaction_changes_nothing_and_the_next_one_goes_on(
    world, account, monkeypatch
):
    if account:
        monkeypatch.setattr(account, "idle_seconds", 1.0)  # 300 on an account
    settings = world.settings
    env = {
        name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings
        if value is not None and name.startswith(("snowflake_", "mab_home", "mab_engine"))
    }
    before = world.table("inbox_files")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], env=os.environ | env, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout.readline() == "in the middle\n"
        os.kill(killed.pid, signal.SIGKILL)
    assert world.table("inbox_files") == before
    world.run(str(LAST))
    days = [row for row in before if row["metric_date"]]
    assert len(world.table("raw_metrics")) == 2 * len(days) > 0


@pytest.mark.shows_less("the emulator has no limit of recursion, which the parts of 31 days avoid")
def test_5_a_range_of_101_days(world):
    world.run(str(FIRST), str(LAST))
    decided = {row["as_of_date"] for row in world.table("allocations")}
    assert len(decided) == 101


@pytest.mark.shows_less("the emulator sends one chunk; test_wire.py sends chunks of its own")
def test_6_as_many_rows_as_come_in_chunks_are_read_as_they_were_written(world):
    schema = declared_tables()["daily_metrics"].arrow_schema
    numbers = pa.array([number**2 for number in range(MANY)], pa.int64())
    moment = pa.repeat(pa.scalar(world.clock.now, pa.timestamp("us")), MANY)
    values = {
        "metric_date": pa.repeat(pa.scalar(date(2000, 1, 1)), MANY),
        "received_at": moment,
    }
    rows = pa.table(
        [
            values.get(field.name, numbers if field.type == pa.int64() else _texts(field, MANY))
            for field in schema
        ],
        schema=schema,
    )
    with world.platform.warehouse.transaction() as transaction:
        transaction.load_arrow("daily_metrics", rows)
    found = world.query("select * from daily_metrics where metric_date = date '2000-01-01'")
    assert found.sort_by("impressions") == rows


def _texts(field: pa.Field, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(field.name), count)


@pytest.mark.shows_less("the emulator's reader of Parquet knows no null markers")
def test_7_no_text_is_taken_for_a_null(world):
    schema = declared_tables()["raw_metrics"].arrow_schema
    rows = pa.Table.from_pylist(
        [
            {"metric_date": date(2000, 1, 1), "source_file": "markers", "row_number": number,
             "received_at": world.clock.now, "impressions": text}
            for number, text in enumerate(MARKERS)
        ],
        schema=schema,
    )  # fmt: skip
    with world.platform.warehouse.transaction() as transaction:
        transaction.load_arrow("raw_metrics", rows)
    found = world.query("select * from raw_metrics where source_file = 'markers'")
    assert found.sort_by("row_number") == rows


@pytest.mark.emulator_only("an account takes a real statement of 65 s")
def test_8_a_statement_longer_than_the_network_allows_a_request(world, emulator, monkeypatch):
    for name in ("SOCKET_TIMEOUT_SECONDS", "NETWORK_SECONDS"):
        monkeypatch.setattr(snowflake_connection, name, 3)
    with serving(Wire(emulator)) as wire:
        wire.slow, wire.seconds = "count(*)", 4.0
        far = world.settings.model_copy(update={"snowflake_url": wire.url})
        with connect_directly(far)() as connection:
            cursor = connection.cursor()
            statements.run(cursor, "select count(*) from writer_lock")
            assert cursor.fetchone() == (1,)


@pytest.mark.account_only("the emulator has no SYSTEM$WAIT; the wire double scales it down")
def test_8_a_statement_of_more_than_a_minute(world):
    began = time.monotonic()
    with connect_directly(world.settings)() as connection:
        statements.run(connection.cursor(), "call system$wait(65)")
    assert time.monotonic() - began > 60


@pytest.mark.account_only("the emulator meters nothing")
def test_9_the_credits_of_the_last_hour(owner, capsys):
    query = (
        "select coalesce(sum(credits_used), 0) from table(information_schema."
        "warehouse_metering_history(dateadd('hour', -1, current_timestamp()), "
        f"current_timestamp(), '{owner.snowflake_warehouse}'))"
    )
    with capsys.disabled():
        sys.stdout.write(f"\ncredits of the last hour: {one(owner, query)[0][0]}\n")
