"""Data that come late, again, changed, or disappear."""

import datetime as dt
import os

import pytest

from mab_pipeline.checks.finders import Subject, unloaded_days
from mab_store.days import Days
from tests.integration.steps import load, publish_days, run

LOADING = ("experiments", "raw_metrics", "daily_metrics")
LATE, DAY, NEXT = "2025-03-13", "2025-03-18", "2025-03-19"
NAME = "checkout"


def after(make_world, done):
    world = make_world(now="2025-03-19T02:00:00")
    world.register(NAME)
    world.metrics(DAY, (NAME, "control", 300, 3), (NAME, "variant_a", 300, 6))
    done(world, DAY)
    world.clock.set("2025-03-20T02:00:00")
    return world


@pytest.fixture
def world(make_world):
    """DAY ran with one file; the file of five days before has not come yet."""
    return after(make_world, run)


@pytest.fixture
def loaded(make_world):
    """The same, but DAY was only loaded."""
    return after(make_world, load)


def found(world, check, day):
    return [failure.detail for failure in world.find("raw_metrics", check, day)]


@pytest.mark.parametrize("day", [DAY, NEXT])
def test_a_late_file_is_taken_up_by_the_next_run_that_can_see_its_day(world, day, materialized):
    world.metrics(LATE, (NAME, "control", 1000, 10), (NAME, "variant_a", 1000, 20))
    result = world.run(day)
    # 300 + 1000 impressions, 3 + 10 and 6 + 20 clicks, on two days.
    assert world.windows(NAME, day) == {
        "control": ("default_window", 2, 1300, 13),
        "variant_a": ("default_window", 2, 1300, 26),
    }
    for asset in ("raw_metrics", "daily_metrics"):
        assert materialized(result, asset) == [LATE, day]
    assert set(materialized(result, "windowed_aggregates")) == {DAY, day}  # DAY was made before
    assert world.query("select count(*) from daily_metrics where metric_date = ?", LATE) == [(2,)]
    again = world.run(day)
    assert materialized(again, "raw_metrics") == [day]  # nothing is late any more


def test_a_late_registration_makes_the_days_of_its_data_anew(world, materialized):
    world.metrics(DAY, ("new", "control", 250, 1), ("new", "variant_a", 250, 2), name="new.csv")
    run(world, DAY)
    assert world.query("select count(*) from daily_metrics") == [(2,)]
    world.register("new", created="2025-03-19T12:00:00Z")
    result = world.run(NEXT)
    assert materialized(result, "daily_metrics") == [DAY, NEXT]
    assert world.windows("new", NEXT)["control"] == ("default_window", 1, 250, 1)


def test_a_file_that_changed_is_loaded_again_and_named(loaded):
    name = loaded.metrics(DAY, (NAME, "control", 999, 9))
    result = loaded.run(NEXT, assets=LOADING)
    assert found(loaded, "files_never_change", NEXT) == [f"{name} has changed since it was loaded"]
    metadata = result.asset_materializations_for_node("raw_metrics")[-1].metadata
    assert metadata["changed_files"].value == {name: DAY}
    assert loaded.query("select impressions from daily_metrics") == [(999,)]
    (received,) = loaded.query("select received_at from inbox_files where source_file = ?", name)
    assert received[0].date() == dt.date(2025, 3, 20)  # this content was first seen now
    loaded.run(NEXT, assets=LOADING)
    assert found(loaded, "files_never_change", NEXT) == []


def test_a_file_that_vanished_keeps_its_rows_and_is_named(loaded):
    name = f"metrics/{DAY}/export.csv"
    (loaded.inbox / name).unlink()
    loaded.run(NEXT, assets=LOADING)
    assert found(loaded, "files_never_change", NEXT) == [f"{name} has vanished since it was loaded"]
    assert loaded.query("select count(*) from raw_metrics") == [(2,)]
    assert loaded.query("select count(*) from daily_metrics") == [(2,)]
    # The ledger remembers it.
    assert loaded.query("select row_count from inbox_files where source_file = ?", name) == [(2,)]


def test_a_changed_late_file_shows_in_the_days_of_a_range_too(loaded, evaluations):
    name = loaded.metrics(DAY, (NAME, "control", 999, 9))
    loaded.clock.set("2025-03-21T02:00:00")
    result = loaded.run(NEXT, "2025-03-20", assets=LOADING)
    by_day = evaluations(result, "raw_metrics", "files_never_change")
    shown = [e.metadata["found"].value for e in by_day.values() if not e.passed]
    assert not by_day[None].passed
    assert len(shown) == 2  # the summary of the range, and a day of it
    assert all(name in text for text in shown)


def test_a_file_that_is_not_loaded_blocks_windows_and_what_is_behind_them(world, materialized):
    name = world.metrics(LATE, (NAME, "control", 1000, 10))
    before = world.table("allocations", volatile=True)
    result = world.run(DAY, assets=("windowed_aggregates", "allocations"), fails=True)
    assert materialized(result, "allocations") == []
    assert world.table("allocations", volatile=True) == before
    (failure,) = world.find("windowed_aggregates", "window_days_are_loaded", DAY)
    assert failure.detail == (
        f"{name} is not loaded; materialise raw_metrics and daily_metrics of {LATE}"
    )
    run(world, DAY)
    assert world.find("windowed_aggregates", "window_days_are_loaded", DAY) == []


def test_a_file_that_came_in_while_the_run_was_at_work_is_left_to_the_next(world):
    name = world.metrics(LATE, (NAME, "control", 1000, 10))
    path = world.inbox / name
    os.utime(path, (4e9, 4e9))  # a copy can set this time, also to the year 2096
    arrived = path.stat().st_ctime
    days = Days(dt.date.fromisoformat(DAY), dt.date.fromisoformat(NEXT))

    def failures(began):
        asset = "windowed_aggregates"
        opened = Subject.opened(world.platform, days, world.instance, asset, began=began)
        with opened as subject:
            return unloaded_days(subject)

    assert failures(arrived - 1) == []
    assert [name in failure.detail for failure in failures(arrived + 1)] == [True]


def test_days_that_are_loaded_but_not_cleaned_block_the_windows_too(world):
    world.metrics(LATE, (NAME, "control", 1000, 10))
    world.run(LATE, assets=("raw_metrics",))
    world.run(DAY, assets=("windowed_aggregates", "allocations"), fails=True)
    (failure,) = world.find("windowed_aggregates", "window_days_are_loaded", DAY)
    assert f"daily_metrics of {LATE} is older than raw_metrics" in failure.detail


def test_the_newest_day_is_published_again_when_late_data_changed_it(world):
    world.metrics(LATE, (NAME, "control", 1000, 10), (NAME, "variant_a", 1000, 20))
    world.clock.set("2025-03-19T05:00:00")
    run(world, DAY)
    assert world.published(NAME) == [(DAY, True), (DAY, True)]
    body = world.bodies()[NAME]
    assert body["allocations"][0]["metrics"]["impressions"] == 1300


def test_an_older_day_is_published_again_only_when_asked(world):
    run(world, NEXT)
    world.metrics(LATE, (NAME, "control", 1000, 10), (NAME, "variant_a", 1000, 20))
    run(world, DAY)
    assert world.published(NAME) == [(DAY, True), (NEXT, True)]
    assert world.query("select count(distinct allocation_id) from allocations") == [(3,)]
    publish_days(world, DAY, republish=True)
    assert world.published(NAME) == [(DAY, True), (NEXT, True), (DAY, False)]
    assert world.bodies()[NAME]["as_of_date"] == NEXT
    assert world.bodies(DAY)[NAME]["allocations"][0]["metrics"]["impressions"] == 1300
    publish_days(world, DAY, republish=True)  # it is published as it is
    assert len(world.published(NAME)) == 3


def test_event_files_that_changed_or_vanished_are_named_until_they_are_back(loaded):
    name = f"experiments/{loaded.register('other')}/registered.json"
    loaded.run(DAY, assets=("experiments",))
    content = (loaded.inbox / name).read_bytes()

    def details(check):
        loaded.run(NEXT, assets=("experiments",), fails=check == "registrations_are_kept")
        found = loaded.find("experiments", check, NEXT)
        assert all(str(failure.day) == NEXT for failure in found)
        return [failure.detail for failure in found]

    (loaded.inbox / name).unlink()
    gone = [f"{name} has vanished since it was loaded"]
    assert details("registrations_are_kept") == details("registrations_are_kept") == gone
    loaded.drop(name, content)
    assert details("files_never_change") == []
    loaded.drop(name, content + b"\n")
    assert details("files_never_change") == [f"{name} has changed since it was loaded"]
    assert details("files_never_change") == []


def test_an_inbox_that_is_not_there_does_not_empty_what_is_served(world):
    before = world.bodies()
    away = world.inbox.with_name("elsewhere")
    world.inbox.rename(away)

    world.run(NEXT, fails=True)

    assert world.bodies() == before
    away.rename(world.inbox)
    run(world, NEXT)
    assert world.bodies()[NAME]["as_of_date"] == NEXT


def test_shares_are_not_published_on_windows_that_are_older_than_the_data(world):
    world.metrics(LATE, (NAME, "control", 900, 90))
    load(world, NEXT)  # the windows follow
    assert world.windows(NAME, DAY)["control"][2:] == (1200, 93)
    world.query("update windowed_aggregates set clicks = 3")  # as an earlier version left them

    world.run(DAY, assets=("allocations", "publication"), fails=True)
    (failure,) = world.find("allocations", "windows_are_fresh", DAY)
    assert "materialise windowed_aggregates first" in failure.detail

    world.run(DAY, assets=("windowed_aggregates", "allocations", "publication"))
    assert world.windows(NAME, DAY)["control"][2:] == (1200, 93)
