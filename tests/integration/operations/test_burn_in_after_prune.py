"""Burn-in after a prune, archived folders and a rebuild: a variant that had enough keeps it."""

import shutil
from datetime import date

import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.operations import prune
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.warehouse.reader import open_reader
from tests.integration.steps import run

OLD = [f"2025-01-0{day}" for day in range(1, 6)]
EVE, LAST = "2025-03-08", "2025-03-09"
WINDOWS = {"default_window_days": 2, "max_window_days": 3}


def rows_of(world, day: str) -> list[dict]:
    return [row for row in world.table("allocations") if str(row["as_of_date"]) == day]


@pytest.fixture(scope="module")
def world(make_world):
    """`slow` gets 60 impressions a day: enough since it joined, never enough in three days."""
    world = make_world(now="2025-03-10T02:00:00", burn_in="on", **WINDOWS)
    world.register("shop", "control", "slow")
    world.change("shop", "2025-03-06T08:00:00Z", add_variants=["new"])
    for day in (*OLD, EVE, LAST):
        rows = [("shop", "control", 900, 9), ("shop", "slow", 60, 3)]
        rows += [("shop", "new", 60, 3)] if day > OLD[-1] else []
        world.metrics(day, *rows)
    run(world, OLD[0], OLD[-1])
    run(world, EVE, LAST)
    world.before = {day: rows_of(world, day) for day in (*OLD, EVE, LAST)}
    prune.prune(world.platform, world.instance, older_than_days=36, apply=True)
    for day in OLD:
        shutil.move(world.inbox / "metrics" / day, world.home / f"archived-{day}")
    world.rebuilt = rebuild(world.platform)
    return world


def test_a_decision_records_what_burn_in_counted(world):
    found = {row["variant_name"]: row for row in world.before[LAST]}
    counted = {name: row["impressions_since_joined"] for name, row in found.items()}
    assert counted == {"control": 200, "slow": 200, "new": 120}
    assert found["new"]["allocation_hundredths"] == 3333  # in burn-in: a third
    assert found["slow"]["allocation_hundredths"] != 3333
    assert [row["impressions_since_joined"] for row in world.before[OLD[1]]] == [200, 120]


def test_the_decisions_after_the_rebuild_are_those_from_before(world):
    assert len(world.rebuilt.missing) == len(OLD)
    run(world, LAST)
    assert rows_of(world, LAST) == world.before[LAST]  # no second version
    world.metrics("2025-03-10", ("shop", "control", 900, 9), ("shop", "slow", 10, 1))
    world.clock.set("2025-03-11T02:00:00")
    run(world, "2025-03-10")
    found = {row["variant_name"]: row for row in rows_of(world, "2025-03-10")}
    assert found["slow"]["impressions_since_joined"] == 200
    assert found["new"]["impressions_since_joined"] == 120


def test_it_is_replayed_bit_for_bit_without_the_archived_days(world):
    with open_reader(world.settings) as copy:
        record = find_record(copy, "shop", date.fromisoformat(LAST))
    assert replay(world.platform, record).is_exact
