"""The journal: one entry for what one transaction committed, read back whole and in order."""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mab_store.errors import HomeError
from mab_store.files.journal import Journal, last_of_each_file
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.warehouse.table_schema import declared_tables

DAY = date(2025, 1, 2)
NOW = datetime(2025, 1, 3, 4, 5, 6, 789)  # noqa: DTZ001  # the warehouse holds naive UTC
LATER = NOW + timedelta(microseconds=1)
LATEST = NOW + timedelta(days=1)


def ledger(*rows: tuple[str, str, datetime]) -> pa.Table:
    """Return ledger rows of (file, hash, moment)."""
    always = {"metric_date": DAY, "size_bytes": 1, "received_at": NOW, "row_count": 1}
    return pa.Table.from_pylist(
        [
            always | {"source_file": name, "sha256": sha256, "error": None, "loaded_at": moment}
            for name, sha256, moment in rows
        ],
        schema=declared_tables()["inbox_files"].arrow_schema,
    )


def publications(*rows: tuple[str, str, datetime]) -> pa.Table:
    """Return publications of (experiment, run, moment)."""
    always = {"as_of_date": DAY, "allocation_id": "alc_1", "buckets": "{}", "was_live": True}
    return pa.Table.from_pylist(
        [
            always | {"experiment_id": name, "run_id": run_id, "published_at": moment}
            for name, run_id, moment in rows
        ],
        schema=declared_tables()["publications"].arrow_schema,
    )


@pytest.fixture
def warehouse(make_settings) -> DuckDBWarehouse:
    return DuckDBWarehouse(make_settings())


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "journal")


def commit(warehouse: DuckDBWarehouse, table: str, rows: pa.Table) -> None:
    with warehouse.transaction() as transaction:
        transaction.load_arrow(table, rows)


def write(warehouse: DuckDBWarehouse, journal: Journal) -> int:
    with warehouse.transaction() as transaction:
        return journal.write_missing(transaction)


def names(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["source_file"].to_pylist(), rows["sha256"].to_pylist(), strict=True))


@pytest.mark.parametrize("moments", [(NOW, LATER, LATEST), (LATEST, LATER, NOW)])
def test_of_each_file_the_entry_that_was_loaded_last_counts(moments):
    rows = [(name, f"{name}{moment}", moment) for moment in moments for name in ("b", "a", "c")]

    found = last_of_each_file(ledger(*rows))

    assert names(found) == [(name, f"{name}{LATEST}") for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([("a", "1", NOW)], [("a", "1")]),
        ([("a", "1", NOW), ("a", "2", LATER)], [("a", "2")]),
        ([("a", "2", LATER), ("b", "1", NOW)], [("a", "2"), ("b", "1")]),
        ([("a", "1", NOW), ("a", "2", LATER), ("b", "1", NOW)], [("a", "2"), ("b", "1")]),
        ([("a", "1", NOW), ("b", "1", NOW), ("b", "2", LATER)], [("a", "1"), ("b", "2")]),
    ],
)
def test_the_ledger_is_what_the_entries_add_up_to(rows, expected):
    assert names(last_of_each_file(ledger(*rows))) == expected


def test_the_ledger_may_come_in_several_chunks():
    parts = [ledger(("b", "1", NOW)), ledger(("a", "1", NOW), ("b", "2", LATER))]
    assert names(last_of_each_file(pa.concat_tables(parts))) == [("a", "1"), ("b", "2")]


def test_one_entry_for_each_moment_of_the_ledger_and_each_run_of_publications(
    warehouse, journal, tmp_path
):
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW), ("b", "1", NOW), ("c", "1", LATER)))
    rows = [("exp_1", "run-1", NOW), ("exp_2", "run-1", NOW), ("exp_1", "run-2", LATER)]
    commit(warehouse, "publications", publications(*rows))

    assert write(warehouse, journal) == 4

    entries = {str(p.relative_to(tmp_path / "journal")) for p in tmp_path.rglob("*.parquet")}
    assert entries == {
        "inbox_files/20250103T040506000789.parquet",
        "inbox_files/20250103T040506000790.parquet",
        "publications/run-1.parquet",
        "publications/run-2.parquet",
    }


def test_what_is_written_is_not_written_again_and_what_is_missing_is(warehouse, journal, tmp_path):
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW), ("b", "1", LATER), ("c", "1", LATEST)))
    assert write(warehouse, journal) == 3
    first, second, third = sorted(tmp_path.rglob("*.parquet"))
    second.unlink()
    times = [path.stat().st_mtime_ns for path in (first, third)]

    assert write(warehouse, journal) == 1
    assert [path.stat().st_mtime_ns for path in (first, third)] == times
    assert second.exists()
    assert write(warehouse, journal) == 0


def test_every_row_is_read_back_in_the_order_of_the_grain(warehouse, journal):
    commit(warehouse, "inbox_files", ledger(("b", "1", NOW), ("c", "1", LATER), ("a", "1", LATEST)))
    write(warehouse, journal)

    read = journal.read("inbox_files")

    assert read.schema == declared_tables()["inbox_files"].arrow_schema
    assert read == ledger(("a", "1", LATEST), ("b", "1", NOW), ("c", "1", LATER))


def test_a_journal_that_is_not_there_is_empty(journal):
    for table in ("inbox_files", "allocations", "publications", "publication_holds", "analysis"):
        rows = journal.read(table)
        assert len(rows) == 0
        assert rows.schema == declared_tables()[table].arrow_schema


def test_rows_are_forgotten_and_an_entry_without_rows_goes(warehouse, journal, tmp_path):
    rows = [("exp_1", "run-1", NOW), ("exp_2", "run-1", NOW), ("exp_1", "run-2", NOW)]
    commit(warehouse, "publications", publications(*rows, ("exp_3", "run-3", NOW)))
    write(warehouse, journal)
    untouched = tmp_path / "journal" / "publications" / "run-3.parquet"
    before = untouched.stat().st_mtime_ns

    for _ in range(2):  # the second time there is nothing to forget
        journal.forget("publications", "experiment_id", ["exp_1", "exp_9"])
        assert journal.read("publications")["experiment_id"].to_pylist() == ["exp_2", "exp_3"]
        assert sorted(p.stem for p in tmp_path.rglob("*.parquet")) == ["run-1", "run-3"]
    assert untouched.stat().st_mtime_ns == before


def test_to_forget_nothing_opens_nothing(journal, tmp_path):
    entry = tmp_path / "journal" / "publications" / "run-1.parquet"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(b"not Parquet")
    journal.forget("publications", "experiment_id", [])
    assert entry.read_bytes() == b"not Parquet"


def test_an_entry_that_cannot_be_written_is_said_and_written_by_the_next_call(
    warehouse, journal, tmp_path
):
    commit(warehouse, "publications", publications(("exp_1", "run-1", NOW)))
    folder = tmp_path / "journal" / "publications"
    folder.parent.mkdir()
    folder.write_text("a file where the folder belongs")

    with pytest.raises(
        HomeError, match=r"journal entry .*run-1.parquet cannot be written: .+\. The warehouse"
    ):
        write(warehouse, journal)

    folder.unlink()
    assert write(warehouse, journal) == 1
    assert pq.read_table(folder / "run-1.parquet")["experiment_id"].to_pylist() == ["exp_1"]


def missing(warehouse: DuckDBWarehouse, journal: Journal) -> dict[str, int]:
    with warehouse.transaction() as transaction:
        return journal.missing_from(transaction)


def empty(warehouse: DuckDBWarehouse, *tables: str) -> None:
    with warehouse.transaction() as transaction:
        for table in tables:
            transaction._connection.execute(f"delete from {table}")


def test_a_warehouse_that_holds_all_of_the_journal_lacks_nothing(warehouse, journal):
    assert missing(warehouse, journal) == {}
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW)))
    commit(warehouse, "publications", publications(("exp_1", "run-1", NOW)))
    write(warehouse, journal)
    assert missing(warehouse, journal) == {}
    # What is not journaled yet is not lacking either.
    commit(warehouse, "publications", publications(("exp_2", "run-2", NOW)))
    assert missing(warehouse, journal) == {}


def test_what_an_empty_warehouse_lacks_is_counted_by_table(warehouse, journal):
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW), ("b", "1", LATER)))
    rows = [("exp_1", "run-1", NOW), ("exp_2", "run-1", NOW), ("exp_1", "run-2", LATER)]
    commit(warehouse, "publications", publications(*rows))
    write(warehouse, journal)

    empty(warehouse, "inbox_files")
    assert missing(warehouse, journal) == {"inbox_files": 2}
    empty(warehouse, "publications")
    assert missing(warehouse, journal) == {"inbox_files": 2, "publications": 3}


def test_one_row_is_missed_and_so_is_one_of_the_first_and_of_the_last_day(warehouse, journal):
    for number, day in enumerate((DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))):
        rows = publications(("exp_1", f"run-{number}", NOW))
        column = pa.array([day], rows.schema.field("as_of_date").type)
        commit(warehouse, "publications", rows.set_column(0, rows.schema.field(0), column))
    write(warehouse, journal)
    for number in range(3):
        with warehouse.transaction() as transaction:
            run = f"run-{number}"
            keep = "create or replace temp table kept as select * from publications"
            transaction._connection.execute(f"{keep} where run_id = '{run}'")
            transaction._connection.execute(f"delete from publications where run_id = '{run}'")
            assert journal.missing_from(transaction) == {"publications": 1}
            transaction._connection.execute("insert into publications select * from kept")


def test_a_copy_of_an_entry_under_another_name_makes_nothing_missing(warehouse, journal, tmp_path):
    commit(warehouse, "publications", publications(("exp_1", "run-1", NOW)))
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW)))
    write(warehouse, journal)
    for path in list(tmp_path.rglob("*.parquet")):
        path.with_name(f"copy of {path.name}").write_bytes(path.read_bytes())
    assert missing(warehouse, journal) == {}


def test_of_the_ledger_only_loads_after_the_newest_known_count_and_each_file_once(
    warehouse, journal
):
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW), ("b", "1", LATER), ("c", "1", LATEST)))
    write(warehouse, journal)
    commit(warehouse, "inbox_files", ledger(("c", "2", LATEST + timedelta(days=1))))
    write(warehouse, journal)
    with warehouse.transaction() as transaction:  # an older load proves nothing
        transaction._connection.execute("delete from inbox_files where source_file = 'a'")
        assert journal.missing_from(transaction) == {}
        transaction._connection.execute("delete from inbox_files where source_file = 'c'")
        assert journal.missing_from(transaction) == {"inbox_files": 1}


def test_a_load_counts_under_whatever_name_its_entry_has(warehouse, journal, tmp_path):
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW), ("b", "1", LATER)))
    write(warehouse, journal)
    (newest,) = tmp_path.rglob(f"{LATER:%Y%m%dT%H%M%S%f}.parquet")
    newest.rename(newest.with_name("0 restored.parquet"))  # sorts before every time
    with warehouse.transaction() as transaction:
        transaction._connection.execute("delete from inbox_files where source_file = 'b'")
        assert journal.missing_from(transaction) == {"inbox_files": 1}


def test_entries_that_the_warehouse_knows_are_not_read_again(warehouse, journal, tmp_path):
    commit(warehouse, "publications", publications(("exp_1", "run-1", NOW)))
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW)))
    write(warehouse, journal)
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(b"not Parquet")
    assert missing(warehouse, journal) == {}


def test_an_entry_that_cannot_be_read_is_named(journal, tmp_path):
    entry = tmp_path / "journal" / "publications" / "run-1.parquet"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(b"not Parquet")
    with pytest.raises(HomeError, match=r"entry .*run-1.parquet cannot be read \(.+\)\. Restore"):
        journal.read("publications")


def test_the_first_day_is_the_oldest_that_any_entry_loaded_or_decided(warehouse, journal, tmp_path):
    assert journal.first_day() is None
    commit(warehouse, "inbox_files", ledger(("a", "1", NOW)))
    write(warehouse, journal)
    assert journal.first_day() == DAY
    folder, older, newer = tmp_path / "journal", DAY - timedelta(days=3), DAY + timedelta(days=3)
    schema = declared_tables()["allocations"].arrow_schema
    columns = {name: [None, None, None] for name in schema.names}
    rows = pa.table(columns | {"as_of_date": [newer, older, None]}, schema=schema)
    (folder / "allocations").mkdir(parents=True)
    pq.write_table(rows, folder / "allocations" / "1.parquet", row_group_size=1)
    assert journal.first_day() == older
    pq.write_table(ledger(("b", "1", NOW)).slice(0, 0), folder / "inbox_files" / "empty.parquet")
    assert journal.first_day() == older
    (folder / "allocations" / "2.parquet").write_bytes(b"not Parquet")
    with pytest.raises(HomeError, match=r"entry .*2.parquet cannot be read"):
        journal.first_day()


def test_an_entry_of_an_older_version_lacks_columns_and_is_read_with_nulls(journal, tmp_path):
    folder = tmp_path / "journal" / "inbox_files"
    folder.mkdir(parents=True)
    whole = ledger(("a", "1", NOW))
    pq.write_table(whole.drop_columns(["error"]), folder / "1.parquet")
    pq.write_table(ledger(("b", "1", NOW)), folder / "2.parquet")
    rows = journal.read("inbox_files")
    assert rows.schema == whole.schema
    assert rows["source_file"].to_pylist() == ["a", "b"]
    assert rows["error"].to_pylist() == [None, None]
