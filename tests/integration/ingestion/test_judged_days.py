"""A day is judged again if something that its rows are judged by has changed, and only then."""

import shutil
from datetime import date, timedelta

import pytest

from mab_pipeline.ingestion import judged_days
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.duckdb.warehouse import DuckDBTransaction
from tests.integration.conftest import World

FIRST, LAST = date(2025, 3, 5), date(2025, 3, 9)
NAME = "checkout"
ROWS = ((NAME, "control", 300, 3), (NAME, "variant_a", 300, 6))


def run(world: World, first: date = LAST, last: date = LAST) -> None:
    days = Days(first, last + timedelta(days=1))
    load_experiments(world.platform)
    load_raw_metrics(world.platform, days)
    load_daily_metrics(world.platform, days)


@pytest.fixture(scope="module")
def template(make_world) -> World:
    """Five days with counts; one of them also names an experiment that is not registered."""
    world = make_world(now="2025-03-10T02:00:00", mab_start_date=FIRST)
    world.register(NAME)
    for day in Days(FIRST, LAST + timedelta(days=1)).listed:
        more = [("later", "control", 300, 3)] if day.day == 7 else []
        world.metrics(str(day), *ROWS, *more)
    run(world, FIRST, LAST)
    return world


@pytest.fixture
def world(template, make_world) -> World:
    world = make_world(now="2025-03-10T03:00:00", mab_start_date=FIRST)
    shutil.copytree(template.home, world.home, dirs_exist_ok=True)
    return world


@pytest.fixture
def read(monkeypatch) -> dict[str, list[int]]:
    """Collect the days of the month that were judged, and that were searched for names."""
    found = {"assets/daily_metrics_stale_days": [], "follow_up/unknown_names": []}
    fetch_arrow = DuckDBTransaction.fetch_arrow

    def noted(self, name, parameters=None):
        if name in found:
            days = Days(parameters["start_date"], parameters["end_date"])
            found[name] += [day.day for day in days.listed]
        return fetch_arrow(self, name, parameters)

    monkeypatch.setattr(DuckDBTransaction, "fetch_arrow", noted)
    return {
        "judged": found["assets/daily_metrics_stale_days"],
        "searched": found["follow_up/unknown_names"],
    }


def judged_by_a_run(world: World, read: dict[str, list[int]]) -> list[int]:
    read["judged"].clear()
    run(world)
    return sorted(read["judged"])


def test_days_that_nothing_touched_are_not_judged(world, read):
    assert judged_by_a_run(world, read) == []


def test_a_late_file_has_its_day_judged_once(world, read):
    world.metrics("2025-03-06", (NAME, "control", 400, 9), name="late.csv")
    assert judged_by_a_run(world, read) == [6]
    assert judged_by_a_run(world, read) == []


def test_a_registration_that_no_row_names_has_no_day_judged(world, read):
    world.register("another")
    assert judged_by_a_run(world, read) == []
    assert read["searched"] == [7]  # the only day with an unknown name


def test_a_registration_has_the_days_judged_whose_rows_name_it(world, read):
    world.register("later")
    assert judged_by_a_run(world, read) == [7]
    assert len(world.query("select * from daily_metrics where metric_date = '2025-03-07'")) == 3
    world.register("another")
    read["searched"].clear()
    assert judged_by_a_run(world, read) == []
    assert read["searched"] == []


def test_a_name_that_is_an_id_gives_way_to_the_experiment_of_that_id(world, read):
    taken = experiment_id_of("of that id")
    world.register(taken)
    world.metrics("2025-03-05", (taken, "control", 300, 3), name="late.csv")
    run(world)
    of_name = "select distinct experiment_id from daily_metrics where source_file like '%late.csv'"
    assert world.query(of_name) == [(experiment_id_of(taken),)]

    world.register("of that id")
    assert judged_by_a_run(world, read) == [5, 6, 7, 8, 9]
    assert world.query(of_name) == [(taken,)]


def test_a_new_variant_has_the_days_judged_from_its_first_one_on(world, read):
    world.metrics("2025-03-08", (NAME, "new", 300, 3), name="late.csv")
    run(world)
    world.change(NAME, "2025-03-06T12:00:00Z", add_variants=["new"])
    assert judged_by_a_run(world, read) == [7, 8, 9]
    assert len(world.query("select * from daily_metrics where metric_date = '2025-03-08'")) == 3


@pytest.mark.parametrize("change", [
    "update daily_metrics set clicks = clicks + 1 where metric_date = '2025-03-06'",
    "delete from daily_metrics where metric_date = '2025-03-06' and variant_name = 'control'",
    "update raw_metrics set clicks = '9' where metric_date = '2025-03-06' and row_number = 1",
    "update raw_metrics set variant_name = 'x' where metric_date = '2025-03-06' and row_number = 1",
    "update inbox_files set row_count = 0 where metric_date = '2025-03-06'",
    "delete from judged_days where metric_date = '2025-03-06'",
    "update judged_days set fingerprint = '' where metric_date = '2025-03-06'",
])  # fmt: skip
def test_a_change_behind_the_pipelines_back_has_its_day_judged(world, read, change):
    world.query(change)
    load_daily_metrics(world.platform, Days(LAST, LAST + timedelta(days=1)))
    assert sorted(read["judged"]) == [6]
    expected = world.query(
        "select count(*), sum(clicks_count) from validated_metrics where rejection_reason is null"
    )
    assert world.query("select count(*), sum(clicks) from daily_metrics") == expected


def test_rows_that_changed_places_are_noticed(world, read):
    world.query(
        "update daily_metrics set clicks = 9 - clicks where metric_date = '2025-03-06'"
    )  # 3 and 6: the sums stay
    assert judged_by_a_run(world, read) == [6]


def test_another_version_of_the_sql_has_every_day_judged_once(world, read, monkeypatch):
    monkeypatch.setattr(judged_days, "JUDGING_SQL", ("assets/daily_metrics",))
    assert judged_by_a_run(world, read) == [5, 6, 7, 8]
    assert judged_by_a_run(world, read) == []


def test_a_home_from_before_judges_each_day_once_and_reads_each_day_once_for_names(world, read):
    world.query("drop table judged_days")
    world.register("another")
    assert judged_by_a_run(world, read) == [5, 6, 7, 8]
    assert sorted(read["searched"]) == [5, 6, 7, 8, 9]
    read["searched"].clear()
    world.register("a third")
    assert judged_by_a_run(world, read) == []
    assert read["searched"] == [7]


def test_the_check_judges_no_day_that_is_known_to_agree_and_finds_one_that_does_not(world, read):
    read["judged"].clear()
    assert world.find("windowed_aggregates", "window_days_are_loaded", str(LAST)) == []
    assert read["judged"] == []
    world.query("update daily_metrics set clicks = 0 where metric_date = '2025-03-06'")
    (found,) = world.find("windowed_aggregates", "window_days_are_loaded", str(LAST))
    assert "daily_metrics of 2025-03-06 is older than raw_metrics" in found.detail
    assert read["judged"] == [6]
