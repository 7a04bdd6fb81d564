"""The first partition: where the days begin that Dagster shows, and what comes in before it."""

import dagster as dg
import pytest
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions import reconstruct
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext

from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.operations.run import run_days
from mab_pipeline.partitions import first_partition
from mab_pipeline.sensors import inbox_sensor
from mab_store.days import Days

START, YESTERDAY = "2025-01-01", "2025-03-19"  # MAB_START_DATE; it is the night after


def repository(world):
    return build_defs(platform=world.platform).get_repository_def()


def first_of(location):
    return location.get_job(DAILY_ALLOCATION).partitions_def.get_first_partition_key()


def tick(world, location):
    context = dg.build_sensor_context(
        instance=world.instance, resources={"platform": world.platform}, repository_def=location
    )
    return inbox_sensor.evaluate_tick(context)


@pytest.mark.parametrize(
    ("days", "first"),
    [
        ((), START),
        (("2025-03-10", "2025-02-14", "2025-03-18"), "2025-02-14"),
        ((START,), START),
        (("2024-12-31", "2025-02-14"), "2025-02-14"),  # one is before MAB_START_DATE
        (("2024-12-31",), START),
        ((YESTERDAY,), YESTERDAY),
        (("2025-03-20",), YESTERDAY),  # today is not over: a day can be run at any time
        (("2025-04-01",), YESTERDAY),
    ],
)
def test_days_begin_with_the_first_that_has_files(world, days, first):
    for day in days:
        world.metrics(day, ("cta", "control", 1000, 30))
    assert str(first_partition(world.platform)) == first
    assert first_of(repository(world)) == first


def test_with_sources_any_day_can_be_pulled(world):
    world.metrics(YESTERDAY, ("cta", "control", 1000, 30))
    world.drop("../sources.toml", '[sources.counts]\nkind = "http"\nurl = "https://x.test/{day}"\n')
    assert str(first_partition(world.platform)) == START


def test_an_inbox_on_an_object_store_is_not_asked_while_definitions_load(make_world):
    world = make_world(mab_inbox="memory://inbox")
    assert str(first_partition(world.platform)) == START


@pytest.fixture(scope="module")
def decided(make_world):
    world = make_world()
    world.register("cta")
    world.metrics("2025-03-17", ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    world.run("2025-03-16", "2025-03-18")
    return world


def test_a_day_that_was_decided_or_loaded_stays_one_when_its_files_are_gone(decided):
    path = decided.inbox / "metrics/2025-03-17/export.csv"
    kept = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    assert str(first_partition(decided.platform)) == "2025-03-16"
    decided.drop("metrics/2025-03-17/export.csv", kept)
    assert str(decided.platform.journal.first_day()) == "2025-03-16"


def test_a_journal_that_cannot_be_read_hides_no_day(decided):
    broken = decided.settings.journal_dir / "allocations" / "broken.parquet"
    broken.write_bytes(b"rubbish")
    assert str(first_partition(decided.platform)) == START
    broken.unlink()


def test_a_file_of_an_earlier_day_waits_for_the_definitions_to_be_loaded_again(decided):
    before = repository(decided)
    decided.metrics("2025-02-01", ("cta", "control", 9, 1), ("cta", "variant_a", 9, 1))

    waiting = tick(decided, before)
    assert not waiting.run_requests
    assert "files for 2025-02-01, before the first partition" in waiting.skip_message

    after = repository(decided)
    (request,) = tick(decided, after).run_requests
    assert (first_of(before), first_of(after)) == ("2025-03-16", "2025-02-01")
    assert request.partition_key == "2025-02-01"
    job = after.get_job(request.job_name)
    done = job.execute_in_process(
        instance=decided.instance, partition_key=request.partition_key, tags=request.tags
    )
    assert done.success
    assert decided.query("select count(*) from raw_metrics where metric_date = '2025-02-01'") == [
        (2,)
    ]


@pytest.fixture
def pointer(tmp_path, monkeypatch):
    """What `workspace.yaml` names, on a home of its own; Dagster's global state is put back."""
    monkeypatch.setenv("MAB_HOME", str(tmp_path))
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext.get()):
        yield CodePointer.from_module("mab_pipeline.definitions", "defs", None)


def test_a_run_finds_the_days_that_its_server_knew(pointer, tmp_path):
    empty = reconstruct.initialize_repository_def_from_pointer(pointer)
    files = tmp_path / "inbox" / "metrics"
    (files / "2025-02-14").mkdir(parents=True)
    run = reconstruct.reconstruct_repository_def_from_pointer(pointer, empty.repository_load_data)
    assert first_of(empty) == first_of(run) == START  # "all days" were asked for

    server = reconstruct.initialize_repository_def_from_pointer(pointer)
    (files / "2025-02-14").rename(files / "2025-03-01")
    run = reconstruct.reconstruct_repository_def_from_pointer(pointer, server.repository_load_data)
    assert first_of(server) == first_of(run) == "2025-02-14"
    assert first_of(reconstruct.initialize_repository_def_from_pointer(pointer)) == "2025-03-01"


def test_mab_run_takes_any_day_from_mab_start_date_on(decided):
    day = decided.settings.mab_start_date
    assert run_days(decided.platform, Days(day, day.replace(day=3))).result.success
