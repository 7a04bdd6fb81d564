"""A warehouse that is lost, or older than the journal, and then a run; a rebuild that is killed."""

import shutil
from datetime import datetime

import pytest

from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.prune import prune
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import WarehouseLostError
from mab_store.files.journal import JOURNALED
from tests.abuse.homes import CONTEXT, POINTS, rebuild_until
from tests.integration.steps import run

DAYS = ("2025-03-16", "2025-03-17", "2025-03-18")
NEXT = "2025-03-19"
NOW = "2025-03-20T02:00:00"


def fill(world):
    """A feed that is alive, one that is dead, and an experiment that ends."""
    world.register("alive")
    world.register("dead")
    world.register("finished")
    for place, day in enumerate((*DAYS, NEXT)):
        names = ("alive", "dead", "finished") if day == DAYS[0] else ("alive",)
        rows = [
            (n, v, 300 + place, 3 + i)
            for n in names
            for i, v in enumerate(("control", "variant_a"))
        ]
        world.metrics(day, *rows)
    world.change("finished", "2025-03-17T12:00:00Z", status="finished")
    return world


@pytest.fixture(scope="module")
def homes(make_world):
    """Two states of one home: an older backup, and what it was when it was lost."""
    world = fill(make_world(now="2025-03-18T02:00:00", max_data_gap_days=2))
    run(world, *DAYS[:2])
    backup = make_world()
    shutil.copytree(world.home, backup.home, dirs_exist_ok=True)
    world.clock.set("2025-03-19T02:00:00")
    run(world, DAYS[2])
    return world, backup


@pytest.fixture
def make_lost(homes, make_world):
    """Make a copy of the home, a day later: `make_lost(**settings)`."""

    def make(**settings: object):
        world = make_world(now=NOW, max_data_gap_days=2, **settings)
        shutil.copytree(homes[0].home, world.home, dirs_exist_ok=True)
        return world

    return make


@pytest.fixture(scope="module")
def expected(homes, make_world):
    """The tables after the next day, with nothing lost."""
    world = make_world(now=NOW, max_data_gap_days=2)
    shutil.copytree(homes[0].home, world.home, dirs_exist_ok=True)
    world.run(NEXT)
    assert all(world.tables().values()), "every table has rows, or it would prove little"
    return world.tables(), essence(world)


def essence(world):
    """What readers are served, without the moments at which it was computed and published."""
    return {
        name: (body["as_of_date"], body["allocation_id"], body["allocations"], body["held_back"])
        for name, body in world.bodies().items()
    }


def delete(world, _homes) -> None:
    for path in world.home.glob("warehouse.duckdb*"):
        path.unlink()


def empty(world, homes) -> None:
    """As a command of an older version left it, which began anew beside a full journal."""
    journal = world.home / "journal"
    delete(world, homes)
    journal.rename(world.home / "away")
    world.platform.warehouse.create_schema()
    (world.home / "away").rename(journal)


def restore_backup(world, homes) -> None:
    shutil.copyfile(homes[1].settings.warehouse_path, world.settings.warehouse_path)


def lose_all_but_the_ledger(world, _homes) -> None:
    for table in ("allocations", "publications", "publication_holds"):
        world.query(f"delete from {table}")


def lose_the_last_load(world, _homes) -> None:
    world.query(
        "delete from inbox_files where loaded_at = (select max(loaded_at) from inbox_files)"
    )


LOSSES = {
    "deleted": delete,
    "empty": empty,
    "an older backup": restore_backup,
    "no decisions": lose_all_but_the_ledger,
    "the last load is missing": lose_the_last_load,
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_run_restores_a_lost_warehouse_first_and_leaves_what_an_undisturbed_one_leaves(
    lose, make_lost, homes, expected
):
    world = make_lost()
    lose(world, homes)
    found = {finding.part: finding for finding in examine(world.platform, world.instance)}
    assert "`mab rebuild`" in found["warehouse"].detail
    assert found["warehouse"].is_ok  # the next run mends it
    world.run(NEXT)
    assert world.tables() == expected[0]
    assert essence(world) == expected[1]


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_with_auto_rebuild_off_a_run_refuses_and_nothing_is_written(lose, make_lost, homes):
    world = make_lost(mab_auto_rebuild="off")
    served = world.bodies()
    lose(world, homes)
    journal = sorted((world.home / "journal").glob("*/*"))
    result = world.run(NEXT, fails=True)
    failures = [event for event in result.all_events if event.is_step_failure]
    assert "`mab rebuild`" in str(failures[0].step_failure_data.error)
    found = {finding.part: finding for finding in examine(world.platform, world.instance)}
    assert not found["warehouse"].is_ok
    with pytest.raises(WarehouseLostError):
        prune(world.platform, world.instance, older_than_days=120, apply=True)
    assert sorted((world.home / "journal").glob("*/*")) == journal
    assert world.bodies() == served


def test_a_warehouse_that_vanishes_in_the_middle_of_a_run_is_not_begun_anew(make_lost, homes):
    world = make_lost()
    world.run(NEXT, assets=("experiments", "raw_metrics"))
    delete(world, homes)
    with pytest.raises(WarehouseLostError, match="`mab rebuild`"):
        world.platform.warehouse.create_schema()
    assert not world.settings.warehouse_path.exists()


def test_a_warehouse_that_is_ahead_of_the_journal_runs_and_a_rebuild_loses_nothing(make_lost):
    world = make_lost()
    before = world.tables(volatile=True)
    for table in JOURNALED:  # a crash between warehouse and journal, of any table
        newest = max(
            (world.home / "journal" / table).glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns
        )
        newest.unlink()
    rebuild(world.platform)
    assert world.tables(volatile=True) == before


# kill -9 in the middle of a rebuild


def killed(world, point: str) -> None:
    arguments = (world.home, datetime.fromisoformat(NOW), point)
    process = CONTEXT.Process(target=rebuild_until, args=arguments)
    process.start()
    process.join(300)
    assert process.exitcode == -9


@pytest.fixture(scope="module")
def victim(homes, make_world):
    world = make_world(now=NOW, max_data_gap_days=2)
    shutil.copytree(homes[0].home, world.home, dirs_exist_ok=True)
    return world, world.tables(volatile=True), world.bodies()


@pytest.mark.parametrize("point", POINTS)
def test_a_rebuild_that_is_killed_leaves_the_old_state_or_one_that_says_mab_rebuild(point, victim):
    world, before, served = victim
    killed(world, point)
    assert world.bodies() == served
    if point == "in the middle of the swap":
        with pytest.raises(WarehouseLostError, match="`mab rebuild`"):
            world.platform.warehouse.create_schema()
    else:
        assert world.tables(volatile=True) == before
    rebuild(world.platform)
    assert world.tables(volatile=True) == before
    assert world.bodies() == served
    assert not (world.home / "rebuilding").exists()


def test_a_run_after_a_killed_rebuild_of_a_lost_warehouse_restores_it(make_lost, homes, expected):
    world = make_lost()
    delete(world, homes)
    killed(world, "in the middle of the swap")
    world.run(NEXT)
    assert world.tables() == expected[0]
