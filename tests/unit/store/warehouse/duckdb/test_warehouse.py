import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import date, datetime

import duckdb
import pyarrow as pa
import pytest

from mab_store.errors import HomeError, SettingsError, WarehouseError, WarehouseLockedError
from mab_store.warehouse.duckdb.published_copies import current_copy
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import open_warehouse

DAY = date(2025, 1, 2)
NOW = datetime(2025, 1, 3, 4, 5, 6, 789)  # noqa: DTZ001  # the warehouse holds naive UTC


@pytest.fixture
def settings(make_settings):
    return make_settings(warehouse_lock_timeout_seconds=0.3)


@pytest.fixture
def warehouse(settings) -> DuckDBWarehouse:
    return DuckDBWarehouse(settings)


def ledger(*names: str) -> pa.Table:
    row = {"metric_date": DAY, "size_bytes": 1, "sha256": "0", "received_at": NOW, "row_count": 1}
    rows = [row | {"source_file": name, "error": None, "loaded_at": NOW} for name in names]
    return pa.Table.from_pylist(rows, schema=declared_tables()["inbox_files"].arrow_schema)


def files_in(connection_or_copy) -> list[str]:
    rows = connection_or_copy.fetch_arrow(
        "ledger/files_of_days", {"start_date": DAY, "end_date": date(2025, 1, 3)}
    )
    return sorted(row["source_file"] for row in rows.to_pylist())


def add(warehouse: DuckDBWarehouse, *names: str) -> None:
    with warehouse.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger(*names))


def stored(warehouse: DuckDBWarehouse) -> list[str]:
    with warehouse.transaction() as transaction:
        return files_in(transaction)


@contextmanager
def child_process(script: str, *arguments: object):
    """Run a Python script that prints `ready` and then waits until its input ends."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def test_what_is_committed_is_there_for_the_next_process(settings, warehouse):
    add(warehouse, "a.csv")
    assert stored(DuckDBWarehouse(settings)) == ["a.csv"]


def test_values_come_back_as_they_went_in(warehouse):
    name = 'it\'s "a"\nb; drop table x -- ümläut 🙂'
    add(warehouse, name)
    with warehouse.transaction() as transaction:
        rows = transaction.fetch_arrow(
            "ledger/files_of_days", {"start_date": DAY, "end_date": date(2025, 1, 3)}
        ).to_pylist()
    assert rows[0]["source_file"] == name
    assert rows[0]["received_at"] == NOW


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_body_that_raises_leaves_everything_as_it_was(warehouse, failure):
    def replace_and_fail():
        with warehouse.transaction() as transaction:
            transaction.execute("ledger/delete_day", {"metric_date": DAY})
            transaction.load_arrow("inbox_files", ledger("b.csv"))
            raise failure

    add(warehouse, "a.csv")
    with pytest.raises(failure):
        replace_and_fail()
    assert stored(warehouse) == ["a.csv"]


def test_a_statement_that_fails_leaves_everything_as_it_was(warehouse):
    nameless = ledger("c.csv").set_column(0, "source_file", pa.array([None], pa.string()))

    def add_and_fail():
        with warehouse.transaction() as transaction:
            transaction.load_arrow("inbox_files", ledger("b.csv"))
            transaction.load_arrow("inbox_files", nameless)

    add(warehouse, "a.csv")
    with pytest.raises(duckdb.ConstraintException):
        add_and_fail()
    assert stored(warehouse) == ["a.csv"]


def test_a_process_that_dies_in_a_transaction_leaves_everything_as_it_was(settings, warehouse):
    add(warehouse, "a.csv")
    script = """
import sys
from datetime import date
from pathlib import Path
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.settings import load_settings
with DuckDBWarehouse(load_settings(mab_home=Path(sys.argv[1]))).transaction() as transaction:
    transaction.execute("ledger/delete_day", {"metric_date": date(2025, 1, 2)})
    print("ready", flush=True)
    sys.stdin.read()
"""
    with child_process(script, settings.mab_home) as child:
        child.kill()
        child.wait()
    assert stored(warehouse) == ["a.csv"]


def test_a_query_without_rows_still_has_its_columns(warehouse):
    with warehouse.transaction() as transaction:
        rows = transaction.fetch_arrow("ledger/files_of_days", {"start_date": DAY, "end_date": DAY})
    assert rows.num_rows == 0
    assert "source_file" in rows.schema.names


def test_creating_the_schema_again_changes_nothing(settings, warehouse):
    warehouse.create_schema()
    add(warehouse, "a.csv")
    warehouse.create_schema()
    DuckDBWarehouse(settings).create_schema()
    assert stored(warehouse) == ["a.csv"]


def test_while_another_process_holds_it_one_sentence_says_who_and_for_how_long(settings):
    script = """
import sys
from pathlib import Path
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.settings import load_settings
with DuckDBWarehouse(load_settings(mab_home=Path(sys.argv[1]))).transaction():
    print("ready", flush=True)
    sys.stdin.read()
"""
    waiting = DuckDBWarehouse(settings)
    with child_process(script, settings.mab_home) as child:
        with pytest.raises(WarehouseLockedError) as caught:
            add(waiting, "a.csv")
        message = str(caught.value)
        assert str(settings.warehouse_path) in message
        assert f"is held by process {child.pid} since 20" in message
        assert "waited 0.3 s. Wait for that run to end" in message
        assert "\n" not in message
    add(waiting, "a.csv")  # a dead process holds nothing
    assert stored(waiting) == ["a.csv"]


def test_a_foreign_connection_is_named_as_what_it_is(settings, warehouse):
    warehouse.create_schema()
    script = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""
    with child_process(script, settings.warehouse_path) as child:
        with pytest.raises(WarehouseLockedError) as caught:
            add(warehouse, "a.csv")
        assert f"is open in process {child.pid}, which is not a pipeline" in str(caught.value)
        assert "waited 0.3 s" in str(caught.value)
        assert "\n" not in str(caught.value)
    add(warehouse, "a.csv")


def test_the_lock_is_free_again_after_every_end(settings, warehouse):
    for _ in range(3):
        with pytest.raises(RuntimeError), warehouse.transaction():
            raise RuntimeError
        add(DuckDBWarehouse(settings), "a.csv")
    assert stored(warehouse) == ["a.csv"] * 3


@pytest.mark.parametrize(
    "content", [b"", b"garbage\n", b"x" * 20_000], ids=["empty", "short", "long"]
)
def test_a_file_that_is_no_warehouse_is_one_sentence_and_stays_as_it_is(settings, content):
    settings.mab_home.mkdir()
    settings.warehouse_path.write_bytes(content)
    with pytest.raises(WarehouseError, match=r"cannot be opened .*`mab rebuild`") as caught:
        DuckDBWarehouse(settings).create_schema()
    assert "\n" not in str(caught.value)
    assert settings.warehouse_path.read_bytes() == content


@pytest.mark.parametrize("below", ["", "home", "home/deeper"])
def test_a_home_that_cannot_be_made_is_one_sentence_that_names_it(make_settings, tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    settings = make_settings(mab_home=tmp_path / "file" / below)
    with pytest.raises(HomeError, match=r"cannot be written: .*Set MAB_HOME") as caught:
        DuckDBWarehouse(settings).create_schema()
    assert str(settings.mab_home) in str(caught.value)


def test_two_homes_never_touch_each_other(make_settings, tmp_path):
    one = DuckDBWarehouse(make_settings(mab_home=tmp_path / "one"))
    other = DuckDBWarehouse(make_settings(mab_home=tmp_path / "other"))
    with one.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger("a.csv"))
        assert stored(other) == []
    assert (stored(one), stored(other)) == (["a.csv"], [])


def test_a_published_copy_holds_what_was_committed_and_nothing_later(settings, warehouse):
    add(warehouse, "a.csv")
    assert warehouse.publish_copy() == "serving-1.duckdb"
    add(warehouse, "b.csv")
    with open_reader(settings) as copy:
        assert (copy.name, files_in(copy)) == ("serving-1.duckdb", ["a.csv"])


def test_whoever_has_the_old_copy_open_goes_on_reading_it(settings, warehouse):
    add(warehouse, "a.csv")
    warehouse.publish_copy()
    with open_reader(settings) as old:
        for name in ["b.csv", "c.csv", "d.csv", "e.csv"]:
            add(warehouse, name)
            warehouse.publish_copy()
        assert files_in(old) == ["a.csv"]
        with open_reader(settings) as new:
            assert files_in(new) == ["a.csv", "b.csv", "c.csv", "d.csv", "e.csv"]
    left = sorted(path.name for path in settings.published_dir.glob("*"))
    assert left == ["current.json", "serving-3.duckdb", "serving-4.duckdb", "serving-5.duckdb"]


def test_an_open_reader_does_not_lock_the_pipeline_out(settings, warehouse):
    add(warehouse, "a.csv")
    warehouse.publish_copy()
    script = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("ready", flush=True)
sys.stdin.read()
"""
    with child_process(script, current_copy(settings.published_dir)):
        add(warehouse, "b.csv")
        assert warehouse.publish_copy() == "serving-2.duckdb"


def test_a_copy_that_fails_half_way_leaves_the_pointer_where_it_was(
    settings, warehouse, monkeypatch
):
    add(warehouse, "a.csv")
    warehouse.publish_copy()

    def full_disk(_connection, _folder, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mab_store.warehouse.duckdb.warehouse.write_copy", full_disk)
        with pytest.raises(HomeError, match="No space left"):
            warehouse.publish_copy()
    assert current_copy(settings.published_dir).name == "serving-1.duckdb"
    assert warehouse.publish_copy() == "serving-2.duckdb"  # over the leftover
    with open_reader(settings) as copy:
        assert files_in(copy) == ["a.csv"]


def test_the_engine_is_chosen_by_the_settings(make_settings):
    assert isinstance(open_warehouse(make_settings()), DuckDBWarehouse)
    with pytest.raises(SettingsError, match="MAB_ENGINE=snowflake"):
        open_warehouse(make_settings(mab_engine="snowflake"))


def test_opening_a_warehouse_touches_nothing_before_its_first_use(settings):
    DuckDBWarehouse(settings)
    assert not settings.mab_home.exists()
    assert os.listdir(settings.mab_home.parent) == []  # noqa: PTH208  # the names are enough
