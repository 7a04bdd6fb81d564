"""The edges of windows, deadlines and tolerances outside SQL, each tried on both sides."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from mab_pipeline.alerts.conditions import late_publication_notice
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.ingestion.late_data import Arrivals, Plan, _new_content, find_arrivals, plan_runs
from mab_pipeline.operations.prune import prune
from mab_pipeline.operations.replay import replay
from mab_store.errors import ReplayError
from mab_store.warehouse.reader import open_reader
from tests.integration.test_sensors import requests

ONE_DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
NEWEST = date(2025, 3, 19)
START = date(2025, 1, 1)
# With MAX_WINDOW_DAYS = 30 the window of the newest day begins 29 days before it.
FIRST_SEEN, UNSEEN = NEWEST - timedelta(days=29), NEWEST - timedelta(days=30)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture(scope="module")
def world(make_world):
    """The newest day is decided on what its 30 days hold; data lie on both sides of their edge."""
    world = make_world(now="2025-03-20T02:00:00", mab_start_date=START)
    world.register("cta")
    # Their traffic began before any window; they were registered on and after the effective date.
    world.register("in time", created="2025-03-20T01:59:59Z")
    world.register("too late", created="2025-03-21T00:00:00Z")
    world.metrics("2025-01-15", ("in time", "control", 9, 9), name="in-time.csv")
    world.metrics("2025-01-15", ("too late", "control", 9, 9), name="too-late.csv")
    for day, shown in ((UNSEEN, 900), (FIRST_SEEN, 150), (NEWEST - ONE_DAY, 0), (NEWEST, 50)):
        world.metrics(str(day), *[("cta", name, shown, 0) for name in ("control", "variant_a")])
    loading = ("experiments", "raw_metrics", "daily_metrics")
    for day in ("2025-01-15", str(UNSEEN)):
        world.run(day, assets=loading)
    world.run(str(NEWEST))
    return world


def record_of(world, name):
    with open_reader(world.settings) as reader:
        return find_record(reader, name, NEWEST)


def arrive(*days: date, events: int = 0) -> Arrivals:
    """Return arrivals of files for these days, and of event files that say nothing new."""
    names = {f"metrics/{day}/late-{place}.csv": day for place, day in enumerate(days)}
    return Arrivals(names, [f"experiments/x/{number}.json" for number in range(events)], "key")


def test_the_longest_window_counts_its_first_day_and_not_the_day_before(world):
    assert world.windows("cta", str(NEWEST))["control"] == ("max_window", 3, 200, 0)


@pytest.mark.parametrize(
    ("days", "plan"),
    [
        ([UNSEEN], Plan(audit=(UNSEEN, UNSEEN))),
        ([FIRST_SEEN], Plan(decide=(NEWEST, NEWEST))),
        ([NEWEST - ONE_DAY], Plan(decide=(NEWEST, NEWEST))),
        ([NEWEST], Plan(decide=(NEWEST, NEWEST))),
        ([NEWEST + ONE_DAY], Plan(decide=(NEWEST + ONE_DAY,) * 2)),
        ([NEWEST, NEWEST + ONE_DAY], Plan(decide=(NEWEST + ONE_DAY,) * 2)),
        (
            [FIRST_SEEN, FIRST_SEEN + ONE_DAY, NEWEST + ONE_DAY],
            Plan((FIRST_SEEN, FIRST_SEEN), (NEWEST + ONE_DAY,) * 2),
        ),
        (
            [UNSEEN - ONE_DAY, UNSEEN, NEWEST + 3 * ONE_DAY],
            Plan((UNSEEN - ONE_DAY, UNSEEN), (NEWEST + ONE_DAY, NEWEST + 3 * ONE_DAY)),
        ),
        ([], Plan()),
    ],
)
def test_late_is_what_the_newest_decision_can_see(world, days, plan):
    assert plan_runs(world.platform, arrive(*days)) == plan


def test_an_event_alone_decides_the_newest_day_again(world):
    assert plan_runs(world.platform, arrive(events=1)) == Plan(decide=(NEWEST, NEWEST))


@pytest.mark.parametrize(
    ("day", "is_found"),
    [(START - ONE_DAY, False), (START, True), (NEWEST, True), (NEWEST + ONE_DAY, False)],
)
def test_files_count_from_the_start_date_to_the_day_that_just_ended(world, day, is_found):
    world.clock.set("2025-03-20T23:59:00")
    name = world.metrics(str(day), ("cta", "control", 1, 0), name="edge.csv")
    try:
        assert (name in find_arrivals(world.platform).metrics) is is_found
    finally:
        (world.inbox / name).unlink()


def test_a_known_file_is_read_again_if_it_came_in_at_or_after_its_loading(world):
    (file,) = world.platform.inbox.metric_files(NEWEST, NEWEST + ONE_DAY)
    came_in = datetime.fromtimestamp(world.platform.inbox.arrival(file), UTC).replace(tzinfo=None)
    known = {"sha256": "another content", "metric_date": NEWEST, "error": None}
    millisecond = timedelta(milliseconds=1)
    assert _new_content(world.platform, file, known | {"loaded_at": came_in - millisecond})
    assert _new_content(world.platform, file, known | {"loaded_at": came_in + millisecond}) is None
    same = world.platform.inbox.fingerprint(file)
    again = known | {"sha256": same, "loaded_at": came_in - millisecond}
    assert _new_content(world.platform, file, again) is None
    # It was seen when no day took it yet, as one of a day that was not over.
    assert _new_content(world.platform, file, again | {"metric_date": None}) == same


def test_replay_reads_the_first_day_of_the_longest_window_and_none_before_it(world):
    result = replay(world.platform, record_of(world, "cta"))
    assert result.differences == []
    # One registration; the files of the newest day, of the one before, and of the first seen.
    assert result.files == 4


@pytest.mark.parametrize(("name", "old_files"), [("in time", 0), ("too late", 3)])
def test_replay_reads_older_files_only_for_an_experiment_registered_after_it_began(
    world, name, old_files
):
    result = replay(world.platform, record_of(world, name))
    assert result.differences == []
    assert result.files == 4 + old_files


def test_replay_reads_no_file_of_a_later_day(world):
    record = record_of(world, "cta")
    yesterday = replace(
        record,
        rows={name: row | {"as_of_date": NEWEST - ONE_DAY} for name, row in record.rows.items()},
    )
    # The window moves by a day: the file of the newest day goes, that of the unseen day comes.
    assert replay(world.platform, yesterday).files == 4
    assert replay(world.platform, yesterday).differences


def test_replay_counts_what_was_loaded_at_the_very_moment_of_the_decision(world):
    record = record_of(world, "cta")
    first, *_, last = sorted(world.platform.journal.read("inbox_files")["loaded_at"].to_pylist())

    def computed(moment: datetime):
        rows = {name: row | {"computed_at": moment} for name, row in record.rows.items()}
        return replay(world.platform, replace(record, rows=rows))

    assert computed(last).is_exact
    assert computed(first).files < 4
    with pytest.raises(ReplayError, match="holds no ledger entry up to 2025-03-20 01:59:59"):
        computed(first.replace(hour=1, minute=59, second=59))
    with pytest.raises(ReplayError):
        computed(first - INSTANT)


@pytest.mark.parametrize(
    ("now", "is_late"),
    [
        # Due at MAB_SCHEDULE_HOUR = 2 plus PUBLICATION_DEADLINE_HOURS = 2.
        ("2025-03-20T04:00:00", False),
        ("2025-03-21T04:00:00", False),
        ("2025-03-21T04:00:00.000001", True),
        ("2025-03-22T04:00:00", True),
    ],
)
def test_a_publication_is_late_from_its_deadline_on(world, now, is_late):
    with dg.DagsterInstance.ephemeral() as forgetful:  # what is published counts, not its record
        notice = late_publication_notice(world.platform, forgetful, at(now))
    assert (notice is not None) is is_late
    if notice:
        assert notice.days == "2025-03-20"


@pytest.mark.parametrize(
    ("newest", "stamp"),
    [
        (None, "2025-03-20T02:00:00"),
        ("2025-03-20T01:59:59.999999", "2025-03-20T02:00:00"),
        ("2025-03-20T02:00:00", "2025-03-20T02:00:00.000001"),
        ("2025-03-21T00:00:00", "2025-03-21T00:00:00.000001"),
    ],
)
def test_a_stamp_is_newer_than_every_other_and_the_time_by_the_clock_if_it_can(
    make_world, newest, stamp
):
    world = make_world(clock=lambda: at("2025-03-20T02:00:00"))
    with world.platform.warehouse.transaction() as transaction:
        if newest:
            moment = at(newest)
            columns = "metric_date, size_bytes, sha256, received_at, row_count, loaded_at"
            transaction._connection.execute(
                f"insert into inbox_files (source_file, {columns}) values (?, ?, ?, ?, ?, ?, ?)",
                ["metrics/x.csv", NEWEST, 1, "0", moment, 1, moment],
            )
        assert next_stamp(world.platform, transaction) == at(stamp)


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (NEWEST, FIRST_SEEN),
        (START + timedelta(days=30), START + ONE_DAY),
        (START + timedelta(days=29), START),
        (START + timedelta(days=28), START),
        (START, START),
    ],
)
def test_the_windows_look_29_days_back_and_not_before_the_start_date(world, start, first):
    assert world.platform.lookback_start(start) == first


@pytest.mark.parametrize(
    ("clock", "cutoff"),
    [
        ("2025-03-19T23:00:00", date(2024, 12, 19)),  # 90 days before today
        ("2025-03-20T00:00:00", date(2024, 12, 20)),
        ("2025-03-21T00:00:00", date(2024, 12, 20)),  # never later than the newest day allows
    ],
)
def test_a_file_is_old_up_to_the_last_second_before_the_cutoff(world, clock, cutoff):
    world.clock.set(clock)
    midnight = datetime.combine(cutoff, datetime.min.time(), tzinfo=UTC).timestamp()
    for name, moment in (("old", midnight - 1), ("young", midnight)):
        path = world.home / f"warehouse.duckdb.before-{name}"
        path.write_bytes(b"x")
        os.utime(path, (moment, moment))
    found = prune(world.platform, world.instance, older_than_days=90, apply=True)
    (aside,) = [item for item in found if item.kind == "warehouses that a rebuild set aside"]
    assert (aside.amount, aside.newest) == (1, cutoff - ONE_DAY)
    (world.home / "warehouse.duckdb.before-young").unlink()  # it is there


def test_the_sensor_asks_for_a_decision_of_what_it_can_see_and_for_nothing_else(world):
    world.clock.set("2025-03-20T02:00:00")
    for day, jobs in ((UNSEEN, set()), (FIRST_SEEN, {"daily_allocation"})):
        name = world.metrics(str(day), ("cta", "control", 1, 0), name="late.csv")
        asked = {request.job_name for request in requests(world)}
        (world.inbox / name).unlink()
        assert asked & {"daily_allocation"} == jobs
