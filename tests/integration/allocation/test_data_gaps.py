"""Data gaps: an experiment whose data stop keeps its publication until they return."""

import json

import pytest

from tests.integration.steps import run


def feed(world, *days, names=("steady", "dying")):
    for day in days:
        rows = [(name, variant, 400, 4) for name in names for variant in ("control", "variant_a")]
        world.metrics(day, *rows)


@pytest.fixture
def dying(make_world):
    """Two experiments; from 2025-03-12 on only one of them has data."""
    world = make_world(now="2025-03-16T02:00:00")
    for name in ("steady", "dying"):
        world.register(name)
    feed(world, "2025-03-10", "2025-03-11")
    feed(world, "2025-03-12", "2025-03-13", "2025-03-14", "2025-03-15", names=("steady",))
    run(world, "2025-03-11", "2025-03-15")
    return world


def test_an_experiment_whose_data_stopped_keeps_its_publication_until_they_return(dying):
    # MAX_DATA_GAP_DAYS=3: without data on the 12th and 13th it goes on; on the 14th, the third
    # day without, it stops.
    assert [day for day, _ in dying.published("dying")] == [
        "2025-03-11",
        "2025-03-12",
        "2025-03-13",
    ]
    body = dying.bodies()["dying"]
    assert body["as_of_date"] == "2025-03-13"
    assert body["held_back"] == {
        "reason": "data_gap",
        "detail": "no accepted impressions since 2025-03-11, 3 days are allowed",
    }
    assert body["data_through"] == "2025-03-11"
    assert dying.bodies()["steady"]["as_of_date"] == "2025-03-15"
    found = dying.find("publication", "feeds_are_alive", "2025-03-11", "2025-03-15")
    assert [str(failure.day) for failure in found] == ["2025-03-14", "2025-03-15"]
    feed(dying, "2025-03-16")
    dying.clock.set("2025-03-17T02:00:00")
    run(dying, "2025-03-16")
    body = dying.bodies()["dying"]
    assert (body["as_of_date"], body["held_back"]) == ("2025-03-16", None)


def test_late_data_for_the_gap_close_it_and_the_day_is_published_after_all(dying):
    rows = [("dying", variant, 400, 4) for variant in ("control", "variant_a")]
    dying.metrics("2025-03-14", *rows, name="late.csv")
    run(dying, "2025-03-15")
    body = dying.bodies()["dying"]
    assert (body["as_of_date"], body["held_back"]) == ("2025-03-15", None)
    assert dying.find("publication", "feeds_are_alive", "2025-03-15") == []


def test_an_experiment_without_any_publication_is_published_whatever_its_gap(make_world):
    world = make_world(now="2025-03-16T02:00:00")
    for name in ("old", "never"):
        world.register(name)
    feed(world, "2025-03-05", names=("old",))
    run(world, "2025-03-15")
    assert set(world.bodies()) == {"old", "never"}
    assert world.windows("old", "2025-03-15")["control"] == ("default_window", 1, 400, 4)
    # One that never had data is published day after day: there is nothing to keep.
    world.clock.set("2025-03-17T02:00:00")
    run(world, "2025-03-16")
    assert world.bodies()["never"]["as_of_date"] == "2025-03-16"
    assert world.bodies()["never"]["data_through"] is None
    assert world.bodies()["old"]["held_back"]["reason"] == "data_gap"


def test_a_hold_is_in_the_journal_as_much_as_a_publication(dying):
    rows = dying.platform.journal.read("publication_holds").to_pylist()
    assert [str(row["as_of_date"]) for row in rows] == ["2025-03-14", "2025-03-15"]
    published = dying.platform.journal.read("publications").to_pylist()
    assert len(published) == 3 + 5
    assert all(json.loads(row["buckets"]) for row in published)
