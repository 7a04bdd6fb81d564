"""What is served: the newest day, who was live, which buckets change hands, which copies stay."""

import json

import duckdb
import pytest

from mab_pipeline import bandit
from mab_store.warehouse.duckdb.published_copies import current_copy
from mab_store.warehouse.reader import open_reader
from tests.integration.steps import publish_days, run

NAME = "checkout"
FIRST, SECOND, THIRD = "2025-03-17", "2025-03-18", "2025-03-19"


@pytest.fixture
def world(make_world):
    world = make_world(now="2025-03-18T02:00:00")
    world.register(NAME)
    # The winner changes: 30 against 15 clicks, then 105 against 47, then 145 against 177.
    for day, control, treated in ((FIRST, 30, 15), (SECOND, 75, 32), (THIRD, 40, 130)):
        world.metrics(day, (NAME, "control", 1000, control), (NAME, "variant_a", 1000, treated))
    return world


def owners(buckets):
    """Return the owner of each bucket."""
    return {
        bucket: name
        for name, pairs in buckets.items()
        for first, last in pairs
        for bucket in range(first, last + 1)
    }


def state(world, day):
    """Return the buckets of a day's last publication, and its shares in hundredths."""
    (row,) = world.query(
        "select buckets from publications where as_of_date = ? order by published_at desc limit 1",
        day,
    )
    shares = world.query(
        "select variant_name, allocation_hundredths from allocations where as_of_date = ? "
        "order by computed_at, variant_name",
        day,
    )
    buckets = {name: [tuple(p) for p in pairs] for name, pairs in json.loads(row[0]).items()}
    return buckets, dict(shares)


def test_a_backfill_of_older_days_never_displaces_the_newest(world):
    world.clock.set("2025-03-20T02:00:00")
    run(world, THIRD)
    run(world, FIRST, SECOND)
    assert world.published(NAME) == [(THIRD, True), (FIRST, False), (SECOND, False)]
    assert world.bodies()[NAME]["as_of_date"] == THIRD
    assert world.bodies(FIRST)[NAME]["as_of_date"] == FIRST


def test_a_day_is_live_until_the_end_of_the_day_that_it_is_for(world):
    # The allocation of the 17th is for the 18th.
    world.clock.set("2025-03-18T23:59:00")
    run(world, FIRST)
    world.clock.set("2025-03-20T00:00:01")
    run(world, SECOND)  # it was for the 19th
    run(world, THIRD)
    assert world.published(NAME) == [(FIRST, True), (SECOND, False), (THIRD, True)]


def test_as_few_buckets_as_possible_change_hands_from_one_live_day_to_the_next(world):
    run(world, FIRST)
    world.clock.set("2025-03-20T02:00:00")
    run(world, SECOND, THIRD)  # the second day was never live
    first, _ = state(world, FIRST)
    second, _ = state(world, SECOND)
    third, shares = state(world, THIRD)
    assert world.published(NAME) == [(FIRST, True), (SECOND, False), (THIRD, True)]
    assert third == {
        name: [tuple(pair) for pair in pairs]
        for name, pairs in bandit.assign_buckets(shares, first).items()
    }
    before, after = owners(first), owners(third)
    assert sorted(after) == list(range(100))
    moved = sum(before[bucket] != after[bucket] for bucket in after)
    grown = sum(
        max(0, list(after.values()).count(name) - list(before.values()).count(name))
        for name in shares
    )
    assert moved == grown > 0
    assert second != third


def test_the_last_three_copies_are_kept_and_the_pointer_names_the_newest(world):
    for _ in range(4):
        publish_days(world, FIRST)
    folder = world.settings.published_dir
    copies = sorted(path.name for path in folder.glob("*.duckdb*"))
    assert copies == ["serving-2.duckdb", "serving-3.duckdb", "serving-4.duckdb"]
    assert json.loads((folder / "current.json").read_bytes()) == {"file": "serving-4.duckdb"}
    assert current_copy(folder).name == "serving-4.duckdb"
    assert not list(folder.glob("*.part"))


def test_a_copy_that_a_reader_has_open_goes_on_answering_while_runs_publish(world):
    run(world, FIRST)
    with open_reader(world.settings) as copy:
        parameters = {"today": world.clock.now.date(), "as_of_date": None}
        before = copy.fetch_arrow("serving/published_allocations", parameters)
        world.clock.set("2025-03-19T02:00:00")
        run(world, SECOND)
        for _ in range(3):  # its file is dropped from the folder meanwhile
            publish_days(world, SECOND)
        assert copy.fetch_arrow("serving/published_allocations", parameters) == before
    assert world.bodies()[NAME]["as_of_date"] == SECOND


def test_a_copy_is_a_whole_database_that_nobody_can_write(world):
    run(world, FIRST)
    with open_reader(world.settings) as copy:
        counts = copy.fetch_arrow("checks/publication_newest_day").to_pylist()
        assert str(counts[0]["newest_day"]) == FIRST
        with pytest.raises(duckdb.Error, match="read-only"):
            copy._connection.execute("delete from publications")


def test_late_data_do_not_change_what_a_paused_experiment_was_frozen_with(world):
    run(world, FIRST)
    world.change(NAME, "2025-03-18T10:00:00Z", status="paused")
    world.clock.set("2025-03-19T12:00:00")
    frozen = world.bodies()[NAME]["allocation_id"]
    world.metrics(FIRST, (NAME, "control", 1000, 300), name="late.csv")
    run(world, FIRST)  # what the sensor does: it is the newest published day
    body = world.bodies()[NAME]
    assert (body["allocation_id"], body["is_frozen"]) == (frozen, True)
    run(world, FIRST, republish=True)
    assert world.bodies()[NAME]["allocation_id"] != frozen
