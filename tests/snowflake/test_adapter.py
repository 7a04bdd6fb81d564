"""The adapter over the wire: what comes back is what went in, and nothing is half done."""

import threading
from datetime import date, datetime

import pyarrow as pa
import pytest
from snowflake.connector import SnowflakeConnection

from mab_pipeline.snowflake_resource import connect_through_dagster, snowflake_warehouse
from mab_store.errors import NotPublishedError, SettingsError, WarehouseError
from mab_store.warehouse.query_tag import query_tag
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.snowflake.connection import connect_directly, connection_arguments
from mab_store.warehouse.snowflake.statements import fetched
from mab_store.warehouse.snowflake.warehouse import SnowflakeTransaction, SnowflakeWarehouse
from mab_store.warehouse.table_schema import declared_tables

NOON = datetime(2025, 3, 1, 12, 0, 0, 123456)  # noqa: DTZ001  # the warehouse holds naive UTC
DAY = {"start_date": date(2025, 3, 1), "end_date": date(2025, 3, 2)}


def ledger_rows(*names: str, **values: object) -> pa.Table:
    row = {
        "metric_date": date(2025, 3, 1), "size_bytes": 1, "sha256": "x", "received_at": NOON,
        "row_count": 1, "error": None, "loaded_at": NOON,
    } | values  # fmt: skip
    schema = declared_tables()["inbox_files"].arrow_schema
    return pa.Table.from_pylist([{"source_file": name, **row} for name in names], schema=schema)


def files(warehouse: SnowflakeWarehouse) -> list[str]:
    with warehouse.transaction() as transaction:
        rows = transaction.fetch_arrow("ledger/files_of_days", DAY)
    return rows["source_file"].to_pylist()


def test_every_value_comes_back_as_it_went_in(warehouse, connect):
    rows = pa.Table.from_pylist(
        [
            {"metric_date": date(1900, 1, 1), "source_file": "naïve ☃ 雪.csv", "received_at": NOON,
             "row_number": -(2**63) + 1, "impressions": "9" * 5000, "clicks": ""},
            {"metric_date": date(9999, 12, 31), "source_file": "quote'\"\\ ;--\n\t$1",
             "row_number": 0, "received_at": NOON, "error": "\u2028 \U0001f600 é"},
            {"metric_date": date(2025, 3, 1), "source_file": "z", "row_number": 2**63 - 1,
             "received_at": datetime(1970, 1, 1)},  # noqa: DTZ001  # naive UTC
        ],
        schema=declared_tables()["raw_metrics"].arrow_schema,
    )  # fmt: skip
    with warehouse.transaction() as transaction:
        transaction.load_arrow("raw_metrics", rows)
    with connect() as connection:
        cursor = connection.cursor()
        cursor.execute("select * from raw_metrics order by source_file")
        found = fetched(cursor)
    assert found == rows


def test_numbers_keep_every_bit(warehouse):
    declared = declared_tables()["allocations"]
    values: dict[str, object] = {
        "bigint": 2**63 - 1, "double": 0.1 + 0.2, "date": date(2025, 3, 1), "timestamp": NOON,
        "varchar": "x",
    }  # fmt: skip
    smallest = 5e-324
    rows = pa.Table.from_pylist(
        [
            {column.name: values[column.type] for column in declared.columns} | {"alpha": number}
            for number in (smallest, 1e308, 1 / 3)
        ],
        schema=declared.arrow_schema,
    )
    with warehouse.transaction() as transaction:
        transaction.load_arrow("allocations", rows)
        found = transaction.fetch_arrow("journal/allocations_entry", {"entry": NOON})
    assert found.sort_by("alpha") == rows.sort_by("alpha")


def test_an_empty_result_has_the_columns_and_types_of_a_full_one(warehouse):
    with warehouse.transaction() as transaction:
        empty = transaction.fetch_arrow("journal/inbox_files_entry", {"entry": NOON})
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
        full = transaction.fetch_arrow("journal/inbox_files_entry", {"entry": NOON})
        transaction.load_arrow("inbox_files", ledger_rows())
    assert (len(empty), len(full)) == (0, 1)
    assert empty.schema == full.schema == declared_tables()["inbox_files"].arrow_schema


def load_and_fail(transaction: SnowflakeTransaction) -> None:
    transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    raise ZeroDivisionError


def load_two(transaction: SnowflakeTransaction, second: pa.Table) -> None:
    transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    transaction.load_arrow("inbox_files", second)


def test_a_body_that_raises_leaves_nothing_behind(warehouse):
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as transaction:
        load_and_fail(transaction)
    assert files(warehouse) == []


def test_a_statement_that_fails_rolls_everything_back(warehouse):
    with pytest.raises(WarehouseError), warehouse.transaction() as transaction:
        load_two(transaction, ledger_rows("b.csv", sha256=None))
    assert files(warehouse) == []


def test_what_is_not_committed_is_not_seen(warehouse, connect):
    with warehouse.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
        with connect() as connection:
            cursor = connection.cursor()
            cursor.execute("select count(*) from inbox_files")
            assert cursor.fetchone() == (0,)
    assert files(warehouse) == ["a.csv"]


def test_two_writers_of_one_day_end_with_one_result_whole(warehouse, settings):
    """Both delete the day and load it; neither may add to the other."""
    sets = {name: [f"{name}{number}" for number in range(20)] for name in ("x", "y")}
    start = threading.Barrier(2)

    def write(name: str) -> None:
        own = SnowflakeWarehouse(settings, connect=connect_directly(settings))
        start.wait()
        with own.transaction() as transaction:
            transaction.execute("ledger/delete_day", {"metric_date": date(2025, 3, 1)})
            transaction.load_arrow("inbox_files", ledger_rows(*sets[name]))

    for _ in range(3):
        threads = [threading.Thread(target=write, args=(name,)) for name in sets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert files(warehouse) in [sorted(names) for names in sets.values()]


def test_making_the_schema_twice_does_no_harm_and_says_what_it_did(warehouse):
    with warehouse.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    lines = warehouse.create_schema()
    assert files(warehouse) == ["a.csv"]
    assert any(line.startswith("01_create_schema: create warehouse") for line in lines)
    assert any(line.startswith("02_create_tables: create table") for line in lines)
    assert any(line.startswith("03_grants: grant") for line in lines)


def test_a_reader_sees_what_was_published(warehouse, settings):
    with (
        pytest.raises(NotPublishedError, match="Nothing is published"),
        open_reader(settings),
    ):
        pass
    assert warehouse.publish_copy() == "version-1"
    assert warehouse.publish_copy() == "version-2"
    with open_reader(settings) as reader:
        assert reader.name == "version-2"
        branch = reader.branch()
        assert branch.fetch_arrow("serving/registry", {"today": date(2025, 3, 1)}).num_rows == 0
        branch.close()


def test_a_reader_connects_again_where_its_connection_broke(warehouse, settings):
    warehouse.publish_copy()
    with open_reader(settings) as reader:
        with reader._sessions.session() as connection:
            connection.close()
        assert reader.fetch_arrow("snowflake/newest_version")["version"].to_pylist() == [1]


def test_an_empty_schema_is_begun_anew_and_a_full_one_refused(warehouse):
    with warehouse.replacement("20250301") as made:
        assert made.warehouse is warehouse
    assert made.set_aside is None
    with warehouse.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    refused = pytest.raises(WarehouseError, match="Set SNOWFLAKE_SCHEMA to a new name")
    with refused, warehouse.replacement("20250301"):
        pass
    assert files(warehouse) == ["a.csv"]


def test_without_its_tables_it_says_which_command_makes_them(settings, connect):
    warehouse = SnowflakeWarehouse(settings, connect=connect)
    with pytest.raises(WarehouseError, match="mab init") as caught, warehouse.transaction():
        pass
    assert str(settings.snowflake_schema) in str(caught.value)


@pytest.mark.usefixtures("warehouse")
def test_the_pipeline_connects_through_dagsters_resource_and_always_closes(settings, monkeypatch):
    closed = []
    close = SnowflakeConnection.close

    def recording_close(connection: SnowflakeConnection, **options: object) -> None:
        closed.append(connection)
        close(connection, **options)

    monkeypatch.setattr(SnowflakeConnection, "close", recording_close)
    assert files(snowflake_warehouse(settings)) == []
    with pytest.raises(ZeroDivisionError), connect_through_dagster(settings)() as connection:
        raise ZeroDivisionError
    assert connection in closed


def test_a_session_is_tagged_and_in_utc(settings):
    with query_tag("allocations", "run-1"):
        parameters = connection_arguments(settings)["session_parameters"]
    assert parameters["QUERY_TAG"] == "mab:allocations:run-1"
    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["LOCK_TIMEOUT"] == 660
    assert connection_arguments(settings)["session_parameters"]["QUERY_TAG"] == "mab"


def test_an_account_that_does_not_answer_is_named_and_no_secret_is(make_settings, tmp_path):
    settings = make_settings(
        tmp_path,
        snowflake_account="nowhere",
        snowflake_password="correct horse",
        snowflake_url="http://localhost:9",
    )
    warehouse = SnowflakeWarehouse(settings, connect=connect_directly(settings))
    with pytest.raises((WarehouseError, SettingsError)) as caught, warehouse.transaction():
        pass
    assert "SNOWFLAKE_ACCOUNT=nowhere" in str(caught.value)
    assert "correct horse" not in str(caught.value)


@pytest.mark.account_only("the emulator has no roles and grants")
@pytest.mark.usefixtures("warehouse")
def test_the_roles_hold_the_grants_of_the_file(settings, connect):
    grants = shown(connect, f"show grants on schema {settings.snowflake_schema}")
    held = {(row["grantee_name"], row["privilege"]) for row in grants}
    roles = {"MAB_PIPELINE", "MAB_API", "MAB_ANALYST"}
    assert {(role, "USAGE") for role in roles} <= held


@pytest.mark.account_only("the emulator keeps no parameters of a session")
def test_the_session_is_what_the_adapter_relies_on(connect):
    values = {row["key"]: row["value"] for row in shown(connect, "show parameters in session")}
    assert values["TIMEZONE"] == "UTC"
    assert values["TIMESTAMP_TYPE_MAPPING"] == "TIMESTAMP_NTZ"
    assert values["LOCK_TIMEOUT"] == "660"
    assert values["QUERY_TAG"] == "mab"


def shown(connect, statement: str) -> list[dict[str, object]]:
    with connect() as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
