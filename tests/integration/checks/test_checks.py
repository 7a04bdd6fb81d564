"""Every check with good and with bad input."""

import shutil
from datetime import date

import dagster as dg
import pytest

from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.checks.finders import Subject, unloaded_days
from mab_store.days import Days

FIRST, DAY, LAST = "2025-03-17", "2025-03-18", "2025-03-19"
DATES = date(2025, 3, 18), date(2025, 3, 19)  # DAY alone
ALL = [(asset, check.name) for asset, checks in CHECKS.items() for check in checks]
ON_DAY = f"where metric_date = '{DAY}'"
AS_OF = f"where as_of_date = '{DAY}'"
OF_CONTROL = "and variant_name = 'control'"
ALL_TO_CONTROL = "case variant_name when 'control' then 10000 else 0 end"
HOLD = (
    "insert into publication_holds select as_of_date, experiment_id, now(), '{}', '{}', 'run' "
    f"from publications {AS_OF}"
)

# For each check: what is done to the tables behind the pipeline's back, the day on which the
# check fails, and a part of what it says.
BAD = [
    (
        "experiments.grain_is_unique",
        "insert into experiments select * from experiments",
        LAST,
        "2 rows for exp_",
    ),
    (
        "experiments.grain_is_unique",
        "insert into variants select * from variants where variant_name = 'variant_a'",
        LAST,
        "variant_a",
    ),
    (
        "experiments.columns_as_declared",
        "alter table variants add column extra bigint",
        LAST,
        "variants differs from its declaration in: extra bigint",
    ),
    (
        "experiments.event_files_are_readable",
        "update inbox_files set error = 'is not JSON' where metric_date is null",
        LAST,
        "registered.json is not JSON",
    ),
    (
        "raw_metrics.grain_is_unique",
        f"insert into raw_metrics select * from raw_metrics {ON_DAY} and row_number = 2",
        DAY,
        f"2 rows for metrics/{DAY}/export.csv row 2",
    ),
    (
        "raw_metrics.columns_as_declared",
        "alter table raw_metrics drop column submission_id",
        LAST,
        "raw_metrics differs from its declaration in: submission_id varchar",
    ),
    (
        "raw_metrics.files_are_readable",
        f"update inbox_files set error = 'is empty' {ON_DAY}",
        DAY,
        f"metrics/{DAY}/export.csv is empty",
    ),
    (
        "daily_metrics.grain_is_unique",
        f"insert into daily_metrics select * from daily_metrics {ON_DAY}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "daily_metrics.columns_as_declared",
        "alter table daily_metrics alter column clicks type double",
        LAST,
        "daily_metrics differs from its declaration in: clicks bigint, clicks double",
    ),
    (
        "daily_metrics.every_row_is_accounted_for",
        f"delete from daily_metrics {ON_DAY} and variant_name = 'control'",
        DAY,
        "3 rows received, but 1 accepted + 1 superseded + 0 rejected",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set clicks = impressions + 1 {ON_DAY}",
        DAY,
        "401 clicks of 400 impressions",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set clicks = -1 {ON_DAY}",
        DAY,
        "-1 clicks",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set impressions = 9007199254740992 {ON_DAY}",
        DAY,
        "of 9007199254740992 impressions",
    ),
    (
        "daily_metrics.few_rows_are_rejected",
        f"update raw_metrics set clicks = 'x' {ON_DAY} and row_number = 1",
        DAY,
        "1 of 3 rows were rejected",
    ),
    (
        "windowed_aggregates.grain_is_unique",
        f"insert into windowed_aggregates select * from windowed_aggregates {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "windowed_aggregates.columns_as_declared",
        "alter table windowed_aggregates rename column clicks to click",
        LAST,
        "click bigint, clicks bigint",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        f"delete from raw_metrics where metric_date = '{LAST}'",
        LAST,
        f"metrics/{LAST}/export.csv is not loaded; materialise raw_metrics and daily_metrics",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        f"update daily_metrics set clicks = 0 where metric_date = '{LAST}'",
        LAST,
        f"daily_metrics of {LAST} is older than raw_metrics",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        "update inbox_files set sha256 = 'another' where metric_date = '2025-03-19'",
        LAST,
        "export.csv is not loaded",
    ),
    (
        "windowed_aggregates.variants_have_traffic",
        "update daily_metrics set impressions = 0, clicks = 0 where metric_date > '2025-03-16'",
        LAST,
        "control had no impressions for 3 days",
    ),
    (
        "windowed_aggregates.variants_share_a_window",
        f"update windowed_aggregates set data_source = 'prior' {AS_OF} {OF_CONTROL}",
        DAY,
        "its variants use default_window and prior",
    ),
    (
        "allocations.grain_is_unique",
        f"insert into allocations select * from allocations {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "allocations.columns_as_declared",
        "alter table allocations alter column seed type varchar",
        LAST,
        "seed bigint, seed varchar",
    ),
    (
        "allocations.every_running_variant_has_a_row",
        f"delete from allocations {AS_OF} and variant_name = 'control'",
        DAY,
        f"no share for control; materialise allocations of {DAY}",
    ),
    (
        "allocations.every_running_variant_has_a_row",
        f"update windowed_aggregates set impressions = impressions + 1 {AS_OF}",
        DAY,
        "no share for control, variant_a",
    ),
    (
        "allocations.shares_sum_to_100",
        f"update allocations set allocation_hundredths = 5001 {AS_OF}",
        DAY,
        "shares [5001, 5001] (in 0.01 %) sum to 10002, not to 10000",
    ),
    (
        "allocations.monte_carlo_agrees_with_exact",
        # Equal counts: 1/2 each. 10,000 wins of 10,000 have the probability 2^-10000.
        f"update allocations set allocation_hundredths = {ALL_TO_CONTROL} {AS_OF}",
        DAY,
        "control: 100.00 % of 10000 draws, but the exact probability is 0.5",
    ),
    (
        "publication.grain_is_unique",
        f"insert into publications select * from publications {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "publication.columns_as_declared",
        "alter table publication_holds drop column detail",
        LAST,
        "publication_holds differs from its declaration in: detail varchar",
    ),
    (
        "publication.feeds_are_alive",
        HOLD.format("data_gap", "none since"),
        DAY,
        "none since",
    ),
    (
        "publication.variants_are_complete",
        HOLD.format("variant_gap", "b is missing"),
        DAY,
        "b is missing",
    ),
    (
        "publication.newest_day_is_decided",
        "delete from allocations where as_of_date > '2025-03-17'",
        LAST,
        "the newest decided day is 2025-03-17",
    ),
]


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
    subject = Subject(sound.platform, Days(*DATES), sound.instance, "windowed_aggregates", began)
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
