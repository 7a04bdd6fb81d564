"""Files for days that no run takes: named, kept, and loaded when a day takes them."""

import datetime as dt

import pytest

from mab_pipeline.ingestion.late_data import find_arrivals, plan_runs
from mab_pipeline.operations.doctor import examine
from tests.integration.steps import load

NAME = "checkout"
NOW = "2025-03-20T02:00:00"
LOADING = ("experiments", "raw_metrics", "daily_metrics")
EARLY = "is for a day before MAB_START_DATE=2025-01-01"
FUTURE = "is for a day in the future (today is 2025-03-20, UTC); it is loaded when that is over"


@pytest.fixture
def world(make_world):
    world = make_world(now=NOW)
    world.register(NAME)
    world.metrics("2025-03-19", (NAME, "control", 300, 3), (NAME, "variant_a", 300, 9))
    return world


def ledger(world, day):
    rows = world.query(
        "select metric_date, error, row_count, received_at from inbox_files where source_file = ?",
        f"metrics/{day}/export.csv",
    )
    assert len(rows) <= 1
    return rows[0] if rows else None


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("1999-12-31", EARLY),
        ("2024-12-31", EARLY),
        ("2025-01-01", None),
        ("2025-03-20", None),  # today: it is loaded tomorrow, like every day
        ("2025-03-21", FUTURE),
        ("9999-12-31", FUTURE),
    ],
)
def test_it_is_in_the_ledger_in_a_warning_and_in_doctor(world, evaluations, day, reason):
    name = world.metrics(day, (NAME, "control", 5, 1))
    result = world.run("2025-03-19", assets=LOADING)
    check = evaluations(result, "raw_metrics", "files_are_readable")["2025-03-19"]
    doctor = {f.part: f for f in examine(world.platform, world.instance, with_api=False)}
    finding = doctor["inbox days"]
    if reason is None:
        assert check.passed
        assert finding.is_ok
        assert ledger(world, day) is None  # no run has looked at that day
        return
    metric_date, error, rows, _ = ledger(world, day)
    assert (metric_date, rows) == (None, 0)
    assert error.startswith(reason)
    assert f"{name} {reason}" in check.metadata["found"].value
    assert not finding.is_ok
    assert f"1 file in no day taken: {name} {reason}" in finding.detail
    assert world.query("select count(*) from raw_metrics") == [(2,)]


def test_a_future_file_is_loaded_when_its_day_is_over_and_counts_from_its_first_sighting(world):
    world.metrics("2025-03-22", (NAME, "control", 500, 5))
    world.run("2025-03-19")
    *_, sighted = ledger(world, "2025-03-22")
    world.clock.set("2025-03-22T12:00:00")  # its own day: not over yet
    assert find_arrivals(world.platform).metrics == {}
    load(world, "2025-03-21")
    world.clock.set("2025-03-23T02:00:00")
    arrivals = find_arrivals(world.platform)
    assert arrivals.metrics == {"metrics/2025-03-22/export.csv": dt.date(2025, 3, 22)}
    assert plan_runs(world.platform, arrivals).decide is not None
    load(world, "2025-03-22")
    assert ledger(world, "2025-03-22") == (dt.date(2025, 3, 22), None, 1, sighted)
    counted = "select impressions from daily_metrics where metric_date = ?"
    assert world.query(counted, "2025-03-22") == [(500,)]
    assert find_arrivals(world.platform).metrics == {}
    before = world.tables(volatile=True)
    load(world, "2025-03-22")
    assert world.tables(volatile=True) == before


def test_a_future_file_that_was_taken_away_warns_no_more(world):
    name = world.metrics("2025-03-25", (NAME, "control", 500, 5))
    load(world, "2025-03-19")
    assert len(world.find("raw_metrics", "files_are_readable", "2025-03-19")) == 1
    (world.inbox / name).unlink()
    load(world, "2025-03-19")
    assert world.find("raw_metrics", "files_are_readable", "2025-03-19") == []
    assert ledger(world, "2025-03-25")[0] is None  # the ledger remembers it
