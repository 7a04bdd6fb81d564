"""Every check with good and with bad input."""

import shutil
from datetime import date

import dagster as dg
import pytest

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import windows_that_differ
from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.checks.finders import Subject, unloaded_days
from mab_store.days import Days
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import rolled_back
from tests.integration.checks.corruptions import BAD, DAY, FIRST, LAST, ON_DAY

DATES = date(2025, 3, 18), date(2025, 3, 19)  # DAY alone


ALL = [(asset, check.name) for asset, checks in CHECKS.items() for check in checks]


@pytest.fixture(scope="module")
def sound(make_world):
    """Four days of two equal variants; three of them ran, as one range."""
    world = make_world()
    world.register("checkout")
    for day in ("2025-03-16", FIRST, DAY, LAST):
        world.metrics(
            day,
            ("checkout", "control", 400, 4),
            ("checkout", "variant_a", 400, 4),
            ("checkout", "variant_a", 400, 4),
        )
    world.result = world.run(FIRST, LAST)
    return world


@pytest.fixture
def world(sound, tmp_path):
    """The sound world, whose warehouse is put back after the test."""
    kept = tmp_path / "warehouse.duckdb"
    shutil.copy(sound.settings.warehouse_path, kept)
    yield sound
    shutil.copy(kept, sound.settings.warehouse_path)


@pytest.mark.parametrize(("asset", "check"), ALL)
def test_a_check_passes_on_sound_tables(sound, asset, check):
    assert sound.find(asset, check, FIRST, LAST) == []


@pytest.mark.parametrize(
    ("name", "corruption", "day", "detail"), BAD, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(BAD)]
)
def test_a_check_finds_what_is_wrong_and_on_which_day(world, name, corruption, day, detail):
    world.query(corruption)
    failures = world.find(*name.split("."), FIRST, LAST)
    assert {str(failure.day) for failure in failures} == {day}
    assert any(detail in failure.detail for failure in failures), failures


WINDOWS = declared_tables()["windowed_aggregates"]
STORED = f"windowed_aggregates where as_of_date = '{DAY}'"
EDITS = [
    f"delete from {STORED} and variant_name = 'control'",
    f"insert into windowed_aggregates select * replace ('new' as variant_name) from {STORED}",
    f"insert into windowed_aggregates select * from {STORED}",
    f"update daily_metrics set clicks = clicks + 1 where metric_date = '{DAY}'",
    f"delete from daily_metrics where metric_date = '{DAY}' and variant_name = 'control'",
    "update variants set valid_to_date = '2025-03-19' where variant_name = 'variant_a'",
    "update experiments set status = 'paused'",
    *(
        f"update windowed_aggregates set {column.name} = "
        f"{'lower(data_source) || 1' if column.type == 'varchar' else f'{column.name} + 1'} "
        f"where as_of_date = '{DAY}' and variant_name = 'control'"
        for column in WINDOWS.columns
        if column.name not in WINDOWS.grain
    ),
]


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_of_windows_or_of_their_inputs_is_found(sound, edit):
    rule, days = RuleSettings.of(sound.settings), Days(date(2025, 3, 17), date(2025, 3, 20))
    with rolled_back(sound.platform.warehouse) as transaction:
        assert windows_that_differ(transaction, rule, days) == set()
        transaction._connection.execute(edit)
        assert DATES[0] in {row[0] for row in windows_that_differ(transaction, rule, days)}


# The window of as-of day D is D-29 to D: those of FIRST to LAST begin on 2025-02-16 to 2025-02-18.
SEEN_BY = {
    "2025-02-15": (),
    "2025-02-16": (FIRST,),
    "2025-02-17": (FIRST, DAY),
    "2025-02-18": (FIRST, DAY, LAST),
    DAY: (DAY, LAST),
    LAST: (LAST,),
    "2025-03-20": (),
}


@pytest.mark.parametrize("day", SEEN_BY)
def test_a_day_that_is_not_loaded_concerns_the_windows_that_see_it(sound, day):
    name = sound.metrics(day, ("checkout", "control", 1, 0), name="waiting.csv")
    failures = sound.find("windowed_aggregates", "window_days_are_loaded", FIRST, LAST)
    (sound.inbox / name).unlink()
    assert tuple(str(failure.day) for failure in failures) == SEEN_BY[day]
    assert all(f"{name} is not loaded" in failure.detail for failure in failures)


@pytest.mark.parametrize("day", SEEN_BY)
def test_a_day_that_is_older_than_its_rows_concerns_the_windows_that_see_it(world, day):
    world.query(
        "insert into raw_metrics select ?, 'metrics/x.csv', 1, null, now(), 'checkout', 'control', "
        "'1', '0', null",
        day,
    )
    failures = world.find("windowed_aggregates", "window_days_are_loaded", FIRST, LAST)
    assert tuple(str(failure.day) for failure in failures) == SEEN_BY[day]


@pytest.mark.parametrize(("began_after", "is_found"), [(-1, False), (0, False), (1, True)])
def test_a_file_that_came_in_since_the_run_began_is_left_to_the_next(sound, began_after, is_found):
    name = sound.metrics(DAY, ("checkout", "control", 1, 0), name="arriving.csv")
    (file,) = [
        file
        for file in sound.platform.inbox.metric_files(DATES[0], DATES[1])
        if file.source_file == name
    ]
    began = sound.platform.inbox.arrival(file) + began_after
    asset = "windowed_aggregates"
    opened = Subject.opened(sound.platform, Days(*DATES), sound.instance, asset, began=began)
    with opened as subject:
        found = bool(unloaded_days(subject))
    (sound.inbox / name).unlink()
    assert found is is_found


def test_every_check_is_seen_to_fail():
    elsewhere = {  # test_late_data.py sees these, tests/abuse/test_archived_days.py the last
        "experiments.files_never_change",
        "experiments.registrations_are_kept",
        "raw_metrics.files_never_change",
        "allocations.windows_are_fresh",
        "raw_metrics.no_file_waits_for_others",
    }
    assert {f"{asset}.{check}" for asset, check in ALL} == {name for name, *_ in BAD} | elsewhere


@pytest.mark.parametrize(("asset", "check"), ALL)
def test_a_range_run_evaluates_each_check_once_for_every_day(sound, evaluations, asset, check):
    by_day = evaluations(sound.result, asset, check)
    assert set(by_day) == {None, FIRST, DAY, LAST}
    assert all(evaluation.passed for evaluation in by_day.values())


def test_the_days_of_a_range_fail_one_by_one_with_severity_and_blocking(world, evaluations):
    world.query(f"insert into raw_metrics select * from raw_metrics {ON_DAY}")
    world.query(f"update inbox_files set error = 'is empty' {ON_DAY}")
    result = world.run_checks("raw_metrics", FIRST, LAST, fails=True)
    grain = evaluations(result, "raw_metrics", "grain_is_unique")
    assert {day: e.passed for day, e in grain.items() if day} == {
        FIRST: True,
        DAY: False,
        LAST: True,
    }
    assert grain[DAY].severity == dg.AssetCheckSeverity.ERROR
    assert grain[DAY].blocking
    readable = evaluations(result, "raw_metrics", "files_are_readable")
    assert not readable[DAY].passed
    assert readable[DAY].severity == dg.AssetCheckSeverity.WARN
    assert not readable[DAY].blocking


def test_a_table_without_the_names_is_a_finding_and_no_error(world, evaluations):
    world.query("alter table experiments rename column experiment_name to renamed")
    result = world.run_checks("experiments", DAY, fails=True)
    columns = evaluations(result, "experiments", "columns_as_declared")[DAY]
    assert "experiment_name" in columns.metadata["found"].value


def test_a_single_day_is_evaluated_under_its_partition(world, evaluations):
    result = world.run_checks("daily_metrics", DAY)
    for check in CHECKS["daily_metrics"]:
        assert set(evaluations(result, "daily_metrics", check.name)) == {DAY}


def test_a_blocking_check_stops_what_is_behind_it_and_readers_keep_what_they_have(
    world, materialized
):
    world.query("alter table daily_metrics add column extra bigint")
    served, decided = world.bodies(), world.table("allocations", volatile=True)
    world.metrics(LAST, ("checkout", "control", 999, 9), name="new.csv")
    result = world.run(LAST, fails=True)
    assert materialized(result, "daily_metrics") == [LAST]
    # Windows that were made before follow the counts in the same transaction (adr/0019).
    assert materialized(result, "windowed_aggregates") == [LAST]
    for asset in ("allocations", "publication"):
        assert materialized(result, asset) == []
    assert world.table("allocations", volatile=True) == decided
    assert world.bodies()["checkout"]["allocation_id"] == served["checkout"]["allocation_id"]
    (world.inbox / f"metrics/{LAST}/new.csv").unlink()


def test_a_materialisation_that_somebody_reported_by_hand_confuses_no_check(world):
    event = dg.AssetMaterialization("raw_metrics", partition=LAST)
    world.instance.report_runless_asset_event(event)
    assert world.find("raw_metrics", "files_never_change", LAST) == []
