"""Archived days: a day whose known files are not all readable is never rewritten.

The attack: prune, archive as docs/OPERATIONS.md advises, then one late file. It used to replace the
day in daily_metrics by its own rows, silently.
"""

import json
import shutil

import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import UnreadableFileError
from mab_store.warehouse.reader import open_reader
from tests.integration.steps import load, run
from tests.integration.test_sensors import requests

NAME = "checkout"
OLD, BESIDE, NEWEST = "2025-03-10", "2025-03-11", "2025-03-16"
DERIVED = ("raw_metrics", "daily_metrics", "windowed_aggregates")
ROWS = ((NAME, "control", 300, 3), (NAME, "variant_a", 300, 6))


OPTIONS = {"default_window_days": 2, "max_window_days": 2, "max_data_gap_days": 365}


@pytest.fixture(scope="module")
def pruned(make_world):
    """Old days that were run, and whose rows of raw_metrics were pruned."""
    world = make_world(now="2025-03-12T02:00:00", **OPTIONS)
    world.register(NAME, start_date="2025-01-01")
    world.metrics(OLD, *ROWS)
    world.metrics(OLD, (NAME, "control", 310, 31), name="second.csv")
    world.metrics(BESIDE, *ROWS)
    run(world, OLD, BESIDE)
    world.clock.set("2025-03-17T02:00:00")
    world.metrics(NEWEST, *ROWS)
    run(world, NEWEST)
    world.query("delete from raw_metrics where metric_date < '2025-03-15'")  # sql/prune/raw_metrics
    return world.home


@pytest.fixture
def world(pruned, make_world):
    world = make_world(now="2025-03-17T03:00:00", **OPTIONS)
    shutil.copytree(pruned, world.home, dirs_exist_ok=True)
    return world


def archive(world, *names):
    """Move files away; return what brings them back."""
    away = world.home / "archive"
    moves = [(world.inbox / name, away / name) for name in names]
    for source, target in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    def bring_back():
        for source, target in moves:
            shutil.copy(target, source)  # with new times, as from a backup

    return bring_back


def late(world, day=OLD):
    return world.metrics(day, (NAME, "variant_a", 5, 5), name="late.csv")


def daily(world, day=OLD):
    rows = world.query("select * from daily_metrics where metric_date = ? order by 3", day)
    return [row[:-1] for row in rows]


def ledger(world, name):
    ((error, rows, received),) = world.query(
        "select error, row_count, received_at from inbox_files where source_file = ?", name
    )
    return error, rows, received


GONE = {
    "the whole folder": (f"metrics/{OLD}/export.csv", f"metrics/{OLD}/second.csv"),
    "one file of two": (f"metrics/{OLD}/second.csv",),
}


@pytest.mark.parametrize("names", GONE.values(), ids=GONE)
def test_a_late_file_for_an_archived_day_waits_until_the_files_are_back(world, names):
    before, tables = daily(world), world.tables(volatile=True)
    bring_back = archive(world, *names)
    name = late(world)
    assert len(requests(world)) == 1  # the sensor saw the file
    load(world, OLD)
    assert daily(world) == before
    error, rows, received = ledger(world, name)
    assert error.startswith(f"waits: {names[0]} was loaded before and is gone")
    assert rows == 0
    for table in DERIVED:
        assert world.table(table, volatile=True) == tables[table], table

    assert requests(world) == []  # it asks for nothing while nothing has changed
    load(world, OLD)
    assert daily(world) == before

    bring_back()
    (request,) = requests(world)
    assert (request.job_name, request.partition_key) == ("refresh_day", OLD)
    load(world, OLD)
    assert ledger(world, name) == (None, 1, received)
    assert [row[1:5] for row in daily(world)][-1][1:] == ("variant_a", 5, 5)
    assert requests(world) == []
    loaded = world.tables(volatile=True)
    rebuild(world.platform)
    assert world.table("daily_metrics", volatile=True) == loaded["daily_metrics"]


def test_it_is_said_by_a_warning_of_every_run_and_by_doctor(world):
    archive(world, *GONE["the whole folder"])
    name = late(world)
    load(world, OLD)
    for day in (OLD, NEWEST):
        (failure,) = world.find("raw_metrics", "no_file_waits_for_others", day)
        assert failure.detail.startswith(f"{name} waits: metrics/{OLD}/export.csv was loaded")
    assert "export.csv" in failure.detail
    assert "second.csv" in failure.detail
    assert "put an empty file in its place" in failure.detail
    found = {item.part: item for item in examine(world.platform, world.instance, with_api=False)}
    assert not found["waiting files"].is_ok
    assert name in found["waiting files"].detail
    assert OLD in found["waiting files"].remedy

    (world.inbox / name).unlink()  # a person takes the late file away again
    assert world.find("raw_metrics", "no_file_waits_for_others", NEWEST) == []
    found = {item.part: item for item in examine(world.platform, world.instance, with_api=False)}
    assert found["waiting files"].is_ok


def test_an_archived_day_is_kept_by_the_run_of_a_day_whose_windows_see_it(world):
    """No late file is needed: the audit table alone would say that the day has no rows."""
    before = daily(world)
    archive(world, *GONE["the whole folder"])
    run(world, BESIDE)
    assert daily(world) == before
    assert world.windows(NAME, BESIDE)["control"] == ("default_window", 2, 610, 34)
    assert world.find("windowed_aggregates", "window_days_are_loaded", BESIDE) == []


def test_a_late_registration_does_not_rewrite_an_archived_day_either(world):
    before = daily(world)
    archive(world, *GONE["the whole folder"])
    world.register("other", start_date="2025-01-01")
    load(world, OLD)
    world.run(OLD, assets=("daily_metrics",))
    assert daily(world) == before


def test_a_lost_file_is_given_up_by_an_empty_one_in_its_place(world):
    names = GONE["the whole folder"]
    archive(world, *names)
    late(world)
    load(world, OLD)
    for name in names:
        world.drop(name, "")
    load(world, OLD)
    assert [row[2:5] for row in daily(world)] == [("variant_a", 5, 5)]
    assert world.find("raw_metrics", "no_file_waits_for_others", OLD) == []


def test_a_day_in_the_window_goes_on_with_what_was_loaded_and_takes_no_more(make_world):
    world = make_world()
    day, after = "2025-03-18", "2025-03-19"
    world.register(NAME)
    gone = world.metrics(day, *ROWS)
    run(world, day)
    before = daily(world, day)
    (world.inbox / gone).unlink()
    name = late(world, day)
    world.metrics(after, *ROWS)
    run(world, after)
    assert daily(world, day) == before
    assert world.query("select count(*) from raw_metrics where metric_date = ?", day) == [(2,)]
    assert world.published(NAME)[-1][0] == after  # nothing is blocked
    assert ledger(world, name)[1] == 0
    world.metrics(day, *ROWS)
    run(world, after)
    assert daily(world, day)[-1][3:5] == (5, 5)


@pytest.mark.parametrize("what", ["no permission", "a lower limit", "a folder"])
def test_a_known_file_that_cannot_be_read_any_more_keeps_its_day(make_world, what):
    world = make_world()
    day = "2025-03-19"
    world.register(NAME)
    name = world.metrics(day, *ROWS)
    run(world, day)
    before = daily(world, day)
    late(world, day)
    if what == "a lower limit":
        world = type(world)(world.home, now="2025-03-20T03:00:00", inbox_max_file_rows=1)
    else:
        (world.inbox / name).unlink()
        if what == "a folder":
            (world.inbox / name).mkdir()
        else:
            (world.inbox / name).symlink_to(world.inbox / name)  # a loop that nobody can open
    load(world, day)
    assert daily(world, day) == before


def test_a_file_that_fails_while_its_day_is_loaded_rolls_the_day_back(make_world, monkeypatch):
    world = make_world()
    day = "2025-03-19"
    world.register(NAME)
    world.metrics(day, *ROWS)
    run(world, day)
    before = world.table("raw_metrics", volatile=True)
    late(world, day)
    monkeypatch.setattr(type(world.platform.inbox.limits), "check", refuse_all)
    load(world, day)
    assert world.table("raw_metrics", volatile=True) == before


def refuse_all(_limits, **_amounts):
    raise UnreadableFileError("holds more text than is allowed")


def test_a_rebuild_says_which_days_come_back_without_rows(world):
    bring_back = archive(world, *GONE["one file of two"])
    before = daily(world)
    result = rebuild(world.platform)
    assert result.missing == GONE["one file of two"]
    assert f"without rows: 1 day ({OLD} to {OLD})" in str(result)
    assert daily(world) == []
    assert result.set_aside.exists()
    bring_back()
    assert rebuild(world.platform).missing == ()
    assert daily(world) == before


def test_a_replay_leaves_out_what_waited_then(make_world):
    world = make_world()
    day, after = "2025-03-18", "2025-03-19"
    world.register(NAME)
    gone = world.metrics(day, *ROWS)
    run(world, day)
    (world.inbox / gone).unlink()
    late(world, day)
    run(world, after)
    world.metrics(day, *ROWS)
    with open_reader(world.settings) as reader:
        record = find_record(reader, NAME, None)
    result = replay(world.platform, record)
    assert (result.differences, result.notes) == ([], [])


def test_posts_for_an_archived_day_wait_like_files(world):
    archive(world, *GONE["the whole folder"])
    before = daily(world)
    post = {"experiment": NAME, "date": OLD, "metrics": []}
    post["metrics"] = [{"variant_name": "variant_a", "impressions": 5, "clicks": 5}]
    world.drop(f"metrics/{OLD}/post-1.json", json.dumps(post))
    load(world, OLD)
    assert daily(world) == before
