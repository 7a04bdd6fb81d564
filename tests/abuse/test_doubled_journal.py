"""A journal that holds decisions twice: reading it, a rebuild, and what is served afterwards."""

import shutil

import pytest

from mab_pipeline.recovery.rebuild import rebuild
from mab_store.files.journal import DECISIONS, JOURNALED, LEDGER, last_of_each_file
from mab_store.warehouse.table_schema import declared_tables
from tests.integration.steps import run

DAYS = ("2025-03-17", "2025-03-18")
NEXT = "2025-03-19"
# How a person, a sync tool or a restore may double an entry, by the name that the copy gets.
COPIES = {
    "a sync tool's conflict": "{name} (conflicted copy)",
    "a name before all others": "0-{name}",
    "a later moment": "29991231T235959000000",
    "a name that is no moment": "zzz",
}


def fill(world):
    world.register("checkout", "control", "b", "c")
    world.register("fading")  # its data stop, so that the gate holds it back
    world.metrics("2025-03-15", ("fading", "control", 300, 1), name="fading.csv")
    for place, day in enumerate((*DAYS, NEXT)):
        rows = [("checkout", v, 300 + place, 3 + i) for i, v in enumerate(("control", "b", "c"))]
        world.metrics(day, *rows)
    return world


@pytest.fixture(scope="module")
def decided(make_world):
    """Two days were decided; the data of the next one lie there."""
    world = fill(make_world(now="2025-03-19T02:00:00", max_data_gap_days=2))
    run(world, "2025-03-15", DAYS[1])
    return world


@pytest.fixture
def world(decided, make_world):
    world = make_world(now="2025-03-20T02:00:00", max_data_gap_days=2)
    shutil.copytree(decided.home, world.home, dirs_exist_ok=True)
    return world


def entries(world, table: str):
    return sorted((world.home / "journal" / table).glob("*.parquet"))


def is_whole(world) -> None:
    """No decision is there twice, and no body is doubled."""
    for name in DECISIONS:
        grain = declared_tables()[name].grain
        keys = [tuple(row[column] for column in grain) for row in world.table(name, volatile=True)]
        assert len(keys) == len(set(keys)), name
    for body in world.bodies().values():
        names = [share["variant_name"] for share in body["allocations"]]
        assert len(names) == len(set(names))
        assert sum(share["allocation_percentage"] for share in body["allocations"]) == 100


def copy_entries(world, *names: str) -> None:
    for table in JOURNALED:
        for path in entries(world, table):
            for name in names:
                shutil.copyfile(path, path.with_stem(name.format(name=path.stem)))


@pytest.mark.parametrize("name", COPIES.values(), ids=COPIES)
def test_entries_that_were_copied_under_other_names_are_read_once(name, world):
    before = {table: world.platform.journal.read(table) for table in DECISIONS}
    ledger = last_of_each_file(world.platform.journal.read(LEDGER))
    copy_entries(world, name)
    assert {table: world.platform.journal.read(table) for table in DECISIONS} == before
    assert last_of_each_file(world.platform.journal.read(LEDGER)) == ledger
    with world.platform.warehouse.transaction() as transaction:
        assert world.platform.journal.missing_from(transaction) == {}


def test_a_journal_that_is_full_of_copies_is_rebuilt_to_what_it_was(world):
    before = world.tables(volatile=True)
    copy_entries(world, *COPIES.values())
    rebuild(world.platform)
    assert world.tables(volatile=True) == before
    is_whole(world)


def test_a_day_that_was_decided_twice_counts_once_and_the_first_time_counts(world, make_world):
    before = world.tables(volatile=True)
    other = fill(make_world(now="2025-03-19T05:00:00", max_data_gap_days=2))
    other.run("2025-03-15", DAYS[1])  # as a run with an empty warehouse did
    for table in JOURNALED:
        for path in entries(other, table):
            shutil.copy(path, world.home / "journal" / table)
    rebuild(world.platform)
    assert world.table("allocations", volatile=True) == before["allocations"]
    assert {row["published_at"].hour for row in world.table("publications", volatile=True)} == {
        2,
        5,
    }  # it was published twice, and that is history
    is_whole(world)
    run(world, DAYS[1], NEXT)


def test_a_warehouse_that_holds_decisions_twice_says_what_to_run_and_that_heals_it(world):
    before = world.tables(volatile=True)
    for table in DECISIONS:
        world.query(f"insert into {table} select * from {table}")
    for asset in ("allocations", "publication"):
        (*_, last) = world.find(asset, "grain_is_unique", DAYS[1])
        assert "`mab rebuild`" in last.detail
    rebuild(world.platform)
    assert world.tables(volatile=True) == before
    is_whole(world)
