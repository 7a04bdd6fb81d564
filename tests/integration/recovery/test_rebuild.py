"""The warehouse is lost, and comes back from inbox and journal."""

import pytest

from mab_pipeline.assets.allocations import allocate
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.days import Days
from tests.integration.steps import load, run

DAYS = ("2025-03-12", "2025-03-13", "2025-03-14", "2025-03-15")


def fill(world):
    world.register("checkout", "control", "b", "c")
    world.register("silent")
    world.register("fading")  # its data stop; the gate holds it back
    world.metrics(DAYS[0], ("fading", "control", 9, 1), name="fading.csv")
    for place, day in enumerate(DAYS):
        rows = [("checkout", v, 300 + place, 3 + i) for i, v in enumerate(("control", "b", "c"))]
        world.metrics(day, *rows, ("checkout", "b", "x", 1))
    world.drop(f"metrics/{DAYS[0]}/broken.json", "{")
    world.drop("metrics/nowhere/export.csv", "x")
    world.drop("experiments/broken.json", "{")
    return world


@pytest.fixture(scope="module")
def world(make_world):
    """Runs; then late files, a correction, a file given up, a changed registry; and runs."""
    world = fill(make_world(now="2025-03-15T02:00:00", max_data_gap_days=2))
    run(world, DAYS[0], DAYS[2])
    world.clock.set("2025-03-16T02:00:00")
    world.metrics(DAYS[0], ("checkout", "b", 900, 90), name="a_late.csv")
    world.metrics(DAYS[1], ("checkout", "c", 5, 5), name="correction.csv")
    world.drop(f"metrics/{DAYS[2]}/export.csv", "")
    world.change("checkout", "2025-03-15T10:00:00Z", retire_variants=["c"], add_variants=["d"])
    run(world, DAYS[0], DAYS[3])
    return world


def lose(world):
    """Delete the warehouse, and with it everything but inbox, journal and published copies."""
    for path in world.home.glob("warehouse.duckdb*"):
        path.unlink()


def test_every_table_is_what_it_was_after_late_files_and_corrections(world):
    before, served = world.tables(volatile=True), world.bodies()
    assert all(before.values()), "every table has rows, or it would prove little"
    lose(world)
    result = rebuild(world.platform)
    assert world.tables(volatile=True) == before
    assert world.bodies() == served
    assert result.set_aside is None
    assert result.missing == ()  # the file that was given up is there: it is empty
    assert (result.loaded, result.windowed) == (4, 4)
    assert result.restored["allocations"] == len(before["allocations"])


def test_rebuilding_again_sets_the_old_file_aside_and_gives_the_same(world):
    before = world.tables(volatile=True)
    result = rebuild(world.platform)
    assert world.tables(volatile=True) == before
    assert result.set_aside is not None
    assert result.set_aside.exists()


def test_after_a_rebuild_the_next_run_goes_on_as_if_nothing_had_happened(world):
    before = world.tables(volatile=True)
    run(world, DAYS[0], DAYS[3])
    assert world.tables(volatile=True) == before


def test_experiments_without_any_data_come_back_too(make_world):
    world = make_world(now="2025-03-16T02:00:00")
    world.register("silent")
    run(world, DAYS[3])
    before = world.tables(volatile=True)
    assert len(before["windowed_aggregates"]) == 2
    lose(world)
    rebuild(world.platform)
    assert world.tables(volatile=True) == before


def test_what_was_committed_but_not_journaled_before_a_crash_is_journaled_by_the_next_run(
    make_world,
):
    world = fill(make_world(now="2025-03-15T02:00:00"))
    run(world, DAYS[0], DAYS[1])
    entries = sorted((world.home / "journal").glob("*/*.parquet"))
    assert {path.parent.name for path in entries} == {
        "inbox_files",
        "allocations",
        "publications",
        "analysis",
    }
    for path in entries:
        path.unlink()
    before = world.tables(volatile=True)
    world.run(DAYS[2], assets=("raw_metrics",))
    assert set(entries) < set((world.home / "journal").glob("*/*.parquet"))
    lose(world)
    rebuild(world.platform)
    after = world.tables(volatile=True)
    for table in ("allocations", "publications", "publication_holds", "analysis"):
        assert after[table] == before[table]


def test_a_journal_written_between_two_chunks_of_a_long_run_still_gets_both(make_world):
    # A range of more than 31 days is decided in chunks; meanwhile another run writes the journal.
    world = fill(make_world(now="2025-03-15T02:00:00"))
    load(world, DAYS[0], DAYS[2])
    world.run(DAYS[0], DAYS[2], assets=("windowed_aggregates",))
    for day in (world.clock.now.date().replace(day=n) for n in (12, 13)):
        allocate(world.platform, Days(day, day.replace(day=day.day + 1)), run_id="one-long-run")
        with world.platform.warehouse.transaction() as transaction:
            world.platform.journal.write_missing(transaction)
    journaled = world.platform.journal.read("allocations").to_pylist()
    assert len(journaled) == len(world.table("allocations")) == 2 * 7


def test_without_inbox_and_journal_a_rebuild_gives_an_empty_warehouse(make_world):
    world = make_world()
    rebuild(world.platform)
    assert not any(world.tables().values())
